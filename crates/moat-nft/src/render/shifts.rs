//! Chains that come in the place of others take over theirs, so that nothing that leads there changes.

use super::layer::Work;
use super::row::Row;
use crate::model::Name;
use std::collections::BTreeMap;

/// Rows and decisions that come and go while a ruleset changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Shifts {
    pub(super) rows: Shift<Row>,
    pub(super) ends: Shift<()>,
    /// In whose place a row or a decision comes.
    after: BTreeMap<Name, Name>,
}

/// Those of a kind.
#[derive(Clone, Debug)]
pub(super) struct Shift<T> {
    /// That have no chain yet.
    pub(super) coming: BTreeMap<Name, T>,
    /// The chains of those that are no more.
    pub(super) going: BTreeMap<Name, Name>,
}

impl<T> Default for Shift<T> {
    fn default() -> Self {
        Self { coming: BTreeMap::new(), going: BTreeMap::new() }
    }
}

impl<T> Shift<T> {
    /// Notes that nothing leads to one any more, which may have a chain.
    pub(super) fn leave(&mut self, name: &Name, chain: Option<Name>) {
        self.coming.remove(name);
        self.going.extend(chain.map(|chain| (name.clone(), chain)));
    }

    /// The chains for those that come: their own, or those of whom they come after; and those that still need one. Chains that are left are
    /// `going`.
    fn take_over(
        &mut self,
        after: &BTreeMap<Name, Name>,
    ) -> (Vec<(Name, Name, T)>, Vec<(Name, T)>) {
        let (mut placed, mut others) = (Vec::new(), Vec::new());
        for (name, what) in core::mem::take(&mut self.coming) {
            match self.going.remove(&name) {
                Some(chain) => placed.push((name, chain, what)),
                None => others.push((name, what)),
            }
        }
        let mut left = Vec::new();
        for (name, what) in others {
            match after.get(&name).and_then(|old| self.going.remove(old)) {
                Some(chain) => placed.push((name, chain, what)),
                None => left.push((name, what)),
            }
        }
        (placed, left)
    }
}

impl Work<'_> {
    /// Notes that a row or a decision comes in the place of another, and so does its denial.
    pub(super) fn replaces(&mut self, new: &Name, old: &Name) {
        let denial = |name: &Name| {
            let mut all = self.decisions_of(name).into_iter().filter(|own| self.is_long(own));
            all.next().filter(|_| all.next().is_none())
        };
        let pairs = [Some((new.clone(), old.clone())), denial(new).zip(denial(old))];
        for (new, old) in pairs.into_iter().flatten().filter(|(new, old)| new != old) {
            self.layer.shifts.after.entry(new).or_insert(old);
        }
    }

    /// Makes the chains of what came, and takes away those of what went: first those of decisions, to which rows lead.
    pub(super) fn finish_shifts(&mut self) {
        let Shifts { mut rows, mut ends, after } = core::mem::take(&mut self.layer.shifts);
        let (placed, left) = ends.take_over(&after);
        for (name, chain, ()) in placed {
            self.put_end(&name, chain);
        }
        ends.going.values().for_each(|chain| self.draft.drop_chain(chain));
        for (name, ()) in left {
            let chain = self.draft.free_chain(name.clone());
            self.put_end(&name, chain);
        }
        let (placed, left) = rows.take_over(&after);
        for (name, chain, row) in placed {
            self.put_row(&name, chain, &row);
        }
        rows.going.values().for_each(|chain| self.draft.drop_chain(chain));
        for (name, row) in left {
            let chain = self.draft.free_chain(name.clone());
            self.put_row(&name, chain, &row);
        }
    }
}
