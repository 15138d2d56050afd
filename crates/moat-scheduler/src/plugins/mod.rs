//! The plug-ins, one to a file.

pub(crate) mod affinity;
pub(crate) mod fit;
pub(crate) mod image;
pub(crate) mod node;
pub(crate) mod normalize;
pub(crate) mod spread;
pub(crate) mod volume;

use std::cell::Cell;

/// The largest score of a plug-in before it is weighted.
pub(crate) const SCORE_MAX: i64 = 100;

/// Remembers yes or no per class of pods for the length of one decision.
#[derive(Clone, Debug)]
pub(crate) struct Memo(Vec<Cell<Option<bool>>>);

impl Memo {
    pub(crate) fn new(classes: usize) -> Self {
        Self(vec![Cell::new(None); classes])
    }

    pub(crate) fn get(&self, class: u32, find: impl FnOnce() -> bool) -> bool {
        let cell = &self.0[class as usize];
        cell.get().unwrap_or_else(|| {
            let found = find();
            cell.set(Some(found));
            found
        })
    }
}
