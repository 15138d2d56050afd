//! Chains that come in the place of others take over theirs, so that nothing that leads there changes.

use super::draft::Draft;
use super::layer::Work;
use super::row::Row;
use crate::model::Name;
use std::collections::BTreeMap;

/// Rows and decisions that come and go while a ruleset changes.
#[derive(Debug, Default)]
pub(super) struct Shifts {
    pub(super) rows: Shift<Row>,
    pub(super) ends: Shift<()>,
    /// In whose place a row or a decision comes.
    after: BTreeMap<Name, Name>,
}

/// Those of a kind.
#[derive(Debug)]
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

    /// One that comes, now, with the chain that it had or another.
    pub(super) fn place(&mut self, name: &Name, draft: &Draft) -> Option<(T, Name)> {
        let what = self.coming.remove(name)?;
        let chain = self.going.remove(name).unwrap_or_else(|| draft.free_chain(name.clone()));
        Some((what, chain))
    }

    /// Those that come, with their chains: what they had, or what those had whom they come after, or others. Chains that are left are dropped.
    fn finish(mut self, after: &BTreeMap<Name, Name>, draft: &mut Draft) -> Vec<(Name, Name, T)> {
        let had = |own: &BTreeMap<Name, Name>, name: &Name| own.contains_key(name);
        let (same, mut others): (Vec<_>, Vec<_>) =
            self.coming.into_iter().partition(|(name, _)| had(&self.going, name));
        let mut chains: BTreeMap<Name, Name> = BTreeMap::new();
        let of_same = same.iter().map(|(name, _)| (name, name));
        let of_others = others.iter().filter_map(|(name, _)| Some((name, after.get(name)?)));
        for (name, old) in of_same.chain(of_others) {
            chains.extend(self.going.remove(old).map(|chain| (name.clone(), chain)));
        }
        self.going.values().for_each(|chain| draft.drop_chain(chain));
        others.extend(same);
        let placed = others.into_iter().map(|(name, what)| {
            let chain = chains.remove(&name).unwrap_or_else(|| draft.free_chain(name.clone()));
            (name, chain, what)
        });
        placed.collect()
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
            self.shifts.after.entry(new).or_insert(old);
        }
    }

    /// Makes the chains of what came, and takes away those of what went: first those of decisions, to which rows lead.
    pub(super) fn finish_shifts(&mut self) {
        let Shifts { rows, ends, after } = core::mem::take(&mut self.shifts);
        for (name, chain, ()) in ends.finish(&after, self.draft) {
            self.put_end(&name, chain);
        }
        for (name, chain, row) in rows.finish(&after, self.draft) {
            self.put_row(&name, chain, &row);
        }
    }
}
