//! Finding what the kernel refuses where it does not say.

use moat_nft::model::Name;
use std::collections::BTreeSet;

/// Groups one of which is refused, where the kernel does not say which: all are closed, and opened again by halves.
#[derive(Default)]
pub(super) struct Suspects {
    /// Those that are closed for now.
    waiting: Vec<Vec<Name>>,
    /// Those that are being opened.
    trying: Option<Vec<Name>>,
    /// Whether all of them were tried closed.
    began: bool,
}

impl Suspects {
    pub(super) fn closed(&self) -> impl Iterator<Item = Name> {
        self.waiting.iter().flatten().cloned()
    }

    /// What was tried is taken by the kernel; says whether nothing is left to try.
    pub(super) fn passed(&mut self) -> bool {
        self.trying = self.waiting.pop();
        self.trying.is_none()
    }

    /// What was tried is refused: returns the group that it must be, if it is only one. An error if it cannot be a group.
    pub(super) fn refused(
        &mut self,
        open: impl Iterator<Item = Name>,
    ) -> core::result::Result<BTreeSet<Name>, ()> {
        let Some(mut tried) = self.trying.take() else {
            if self.began {
                return Err(());
            }
            self.began = true;
            let mut first: Vec<Name> = open.collect();
            if first.is_empty() {
                return Err(());
            }
            let second = first.split_off(first.len() / 2);
            self.waiting.extend([first, second].into_iter().filter(|half| !half.is_empty()));
            return Ok(BTreeSet::new());
        };
        let mut bad = BTreeSet::new();
        if tried.len() > 1 {
            let second = tried.split_off(tried.len() / 2);
            self.waiting.extend([second, tried]);
        } else {
            bad.extend(tried);
        }
        self.trying = self.waiting.pop();
        Ok(bad)
    }
}
