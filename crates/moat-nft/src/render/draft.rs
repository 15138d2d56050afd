//! A table that is being changed, and what the changes come to.

use super::sum::Sum;
use crate::edit::Edit;
use crate::model::{Base, Chain, Element, Name, Rule, Set, Table, Verdict};
use core::hash::{Hash, Hasher};
use std::collections::BTreeMap;

/// A table, and what it was before the first of the changes that were not taken yet.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    table: Table,
    /// Chains that were touched, as they were.
    chains: BTreeMap<Name, Option<Chain>>,
    /// Sets that were made or dropped, as they were.
    sets: BTreeMap<Name, Option<Set>>,
    /// Elements that were touched in sets that are older than the first change, as they were.
    elements: BTreeMap<Name, BTreeMap<Element, Option<Option<Verdict>>>>,
}

impl Draft {
    pub(super) fn new(table: Table) -> Self {
        Self { table, chains: BTreeMap::new(), sets: BTreeMap::new(), elements: BTreeMap::new() }
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn into_table(self) -> Table {
        self.table
    }

    /// Makes a chain, or gives it other rules.
    pub(super) fn put_chain(&mut self, name: &Name, base: Option<Base>, rules: Vec<Rule>) {
        if self.table.chains.get(name).is_some_and(|own| own.base == base && own.rules == rules) {
            return;
        }
        let old = self.table.chains.insert(name.clone(), Chain { base, rules });
        self.chains.entry(name.clone()).or_insert(old);
    }

    pub(super) fn drop_chain(&mut self, name: &Name) {
        if let Some(old) = self.table.chains.remove(name) {
            self.chains.entry(name.clone()).or_insert(Some(old));
        }
    }

    /// A name like this that no set of the table has.
    pub(super) fn free_set(&self, name: Name) -> Name {
        free(name, |name| self.table.sets.contains_key(name))
    }

    /// A name like this that no chain of the table has.
    pub(super) fn free_chain(&self, name: Name) -> Name {
        free(name, |name| self.table.chains.contains_key(name))
    }

    /// Makes a set. One of the name that is there already must be as it was made.
    pub(super) fn put_set(&mut self, name: &Name, set: Set) {
        if !self.table.sets.contains_key(name) {
            self.table.sets.insert(name.clone(), set);
            self.sets.entry(name.clone()).or_insert(None);
        }
    }

    /// Makes a set, or gives one without verdicts other elements.
    pub(super) fn fit_set(&mut self, name: &Name, set: Set) {
        let Some(old) = self.table.sets.get(name) else { return self.put_set(name, set) };
        let goes = |element: &&Element| !set.elements.contains_key(*element);
        let go: Vec<Element> = old.elements.keys().filter(goes).cloned().collect();
        let comes = |element: &&Element| !old.elements.contains_key(*element);
        let come: Vec<Element> = set.elements.keys().filter(comes).cloned().collect();
        go.iter().for_each(|element| self.remove(name, element));
        come.into_iter().for_each(|element| self.add(name, element));
    }

    /// Makes a set that is never changed: another content has another name, of which this is the beginning. Packets that began before a
    /// change of rules see the old content to their end, which they would not if elements changed in place.
    pub(super) fn put_fixed(&mut self, name: &str, mut set: Set) -> Name {
        if !set.interval {
            set.size = u32::try_from(set.elements.len().max(1)).ok();
        }
        let mut sum = Sum::new();
        set.elements.hash(&mut sum);
        let name: Name = format!("{name}_{:016x}", sum.finish()).into();
        self.put_set(&name, set);
        name
    }

    pub(super) fn drop_set(&mut self, name: &Name) {
        if let Some(mut old) = self.table.sets.remove(name) {
            // As it was before its elements were touched, in case it comes again.
            for (element, before) in self.elements.remove(name).unwrap_or_default() {
                match before {
                    Some(verdict) => old.elements.insert(element, verdict),
                    None => old.elements.remove(&element),
                };
            }
            self.sets.entry(name.clone()).or_insert(Some(old));
        }
    }

    /// Puts an element into a set.
    pub(super) fn add(&mut self, name: &Name, element: Element) {
        let Some(set) = self.table.sets.get_mut(name) else { return };
        let old = set.elements.insert(element.clone(), None);
        self.touched(name, element, old);
    }

    /// Takes an element out of a set.
    pub(super) fn remove(&mut self, name: &Name, element: &Element) {
        let Some(set) = self.table.sets.get_mut(name) else { return };
        if let Some(old) = set.elements.remove(element) {
            self.touched(name, element.clone(), Some(old));
        }
    }

    fn touched(&mut self, name: &Name, element: Element, old: Option<Option<Verdict>>) {
        if !self.sets.contains_key(name) {
            let own = self.elements.entry(name.clone()).or_default();
            own.entry(element).or_insert(old);
        }
    }

    /// Forgets what it was before.
    pub(super) fn settle(&mut self) {
        self.chains.clear();
        self.sets.clear();
        self.elements.clear();
    }

    /// What the changes since the last time come to.
    pub(super) fn take(&mut self) -> Edit {
        let mut edit = Edit::default();
        for (name, old) in core::mem::take(&mut self.chains) {
            match (old, self.table.chains.get(&name)) {
                (None, Some(new)) => {
                    edit.make_chains.insert(name, new.clone());
                }
                (Some(_), None) => {
                    edit.drop_chains.insert(name);
                }
                (Some(old), Some(new)) if old.rules != new.rules => {
                    edit.refill.insert(name, new.rules.clone());
                }
                _ => {}
            }
        }
        for (name, old) in core::mem::take(&mut self.sets) {
            match (old, self.table.sets.get(&name)) {
                (None, Some(new)) => {
                    edit.make_sets.insert(name, new.clone());
                }
                (Some(_), None) => {
                    edit.drop_sets.insert(name);
                }
                (Some(old), Some(new)) => edit.elements(&name, &old, new),
                (None, None) => {}
            }
        }
        for (name, elements) in core::mem::take(&mut self.elements) {
            let Some(set) = self.table.sets.get(&name) else { continue };
            for (element, old) in elements {
                let new = set.elements.get(&element);
                if old.as_ref() == new {
                    continue;
                }
                if let Some(verdict) = old {
                    let own = edit.remove.entry(name.clone()).or_default();
                    own.push((element.clone(), verdict));
                }
                if let Some(verdict) = new {
                    let own = edit.add.entry(name.clone()).or_default();
                    own.push((element, verdict.clone()));
                }
            }
        }
        edit
    }
}

/// A name, with a number if it is taken.
fn free(name: Name, is_taken: impl Fn(&Name) -> bool) -> Name {
    let others = (1_usize..).map(|n| Name::from(format!("{name}_{n}")));
    core::iter::once(name.clone())
        .chain(others)
        .find(|name| !is_taken(name))
        .unwrap_or(name.clone())
}
