//! Sets of ports by number: what two of them make is known by law or from before, else it is made once.

use rustc_hash::FxHashMap;

/// Number of no port, in every table.
pub const NOTHING: u32 = 0;
/// Number of every port, in every table.
pub const EVERYTHING: u32 = 1;

/// Results of combining numbered sets; the order of the two does not matter.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    both: FxHashMap<(u32, u32), u32>,
    either: FxHashMap<(u32, u32), u32>,
}

/// A result that has to be made and remembered under this key.
pub(crate) type Missing = (u32, u32);

impl Memo {
    /// What is in both sets.
    pub(crate) fn both(&self, a: u32, b: u32) -> Result<u32, Missing> {
        match (a, b) {
            (NOTHING, _) | (_, NOTHING) => Ok(NOTHING),
            (EVERYTHING, other) | (other, EVERYTHING) => Ok(other),
            _ => known(&self.both, a, b),
        }
    }

    /// Remembers what is in both.
    pub(crate) fn set_both(&mut self, key: Missing, id: u32) -> u32 {
        self.both.insert(key, id);
        id
    }

    /// What is in one of the sets.
    pub(crate) fn either(&self, a: u32, b: u32) -> Result<u32, Missing> {
        match (a, b) {
            (NOTHING, other) | (other, NOTHING) => Ok(other),
            (EVERYTHING, _) | (_, EVERYTHING) => Ok(EVERYTHING),
            _ => known(&self.either, a, b),
        }
    }

    /// Remembers what is in one of them.
    pub(crate) fn set_either(&mut self, key: Missing, id: u32) -> u32 {
        self.either.insert(key, id);
        id
    }
}

fn known(memo: &FxHashMap<(u32, u32), u32>, a: u32, b: u32) -> Result<u32, Missing> {
    if a == b {
        return Ok(a);
    }
    let key = (a.min(b), a.max(b));
    memo.get(&key).copied().ok_or(key)
}
