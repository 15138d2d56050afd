//! The difference between two tables, as data: what comes, what goes, and what changes in place.
//!
//! All that changes a table is made of it: [`plan`](crate::plan::plan) as one transaction, a way as the sequence of transactions that is safe
//! for packets.

use crate::model::{Chain, Element, Name, Op, Rule, Set, Statement, Table, Verdict};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Elements with their verdicts, as the steps of a transaction have them.
pub type Elements = Vec<(Element, Option<Verdict>)>;

/// What turns one table into another, part by part.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edit {
    /// Sets that come, with all their elements.
    pub make_sets: BTreeMap<Name, Set>,
    /// Chains that come, with all their rules.
    pub make_chains: BTreeMap<Name, Chain>,
    /// Other rules of chains that stay.
    pub refill: BTreeMap<Name, Vec<Rule>>,
    /// Elements that come into sets that stay; one whose verdict changes is removed and added.
    pub add: BTreeMap<Name, Elements>,
    /// Elements that leave sets that stay.
    pub remove: BTreeMap<Name, Elements>,
    /// Chains that go.
    pub drop_chains: BTreeSet<Name>,
    /// Sets that go.
    pub drop_sets: BTreeSet<Name>,
}

impl Edit {
    /// What turns the old table into the new one; `None` where a name stands for something of another kind afterwards, a set of another
    /// shape or a chain of another hook, so that it has to be made anew while packets may need it.
    #[must_use]
    pub fn between(old: &Table, new: &Table) -> Option<Self> {
        let edit = Self::remaking(old, new);
        let remakes = edit.drop_sets.iter().any(|name| edit.make_sets.contains_key(name))
            || edit.drop_chains.iter().any(|name| edit.make_chains.contains_key(name));
        (!remakes).then_some(edit)
    }

    /// What turns the old table into the new one. What is of another kind afterwards both goes and comes.
    #[must_use]
    pub fn remaking(old: &Table, new: &Table) -> Self {
        let mut edit = Self::default();
        for (name, set) in &old.sets {
            match new.sets.get(name) {
                Some(other) if other.shape() == set.shape() => edit.elements(name, set, other),
                _ => {
                    edit.drop_sets.insert(name.clone());
                }
            }
        }
        for (name, set) in &new.sets {
            if !old.sets.contains_key(name) || edit.drop_sets.contains(name) {
                edit.make_sets.insert(name.clone(), set.clone());
            }
        }
        for (name, chain) in &old.chains {
            if new.chains.get(name).is_none_or(|other| other.base != chain.base) {
                edit.drop_chains.insert(name.clone());
            }
        }
        for (name, chain) in &new.chains {
            match old.chains.get(name) {
                Some(other) if other.base == chain.base => {
                    if other.rules != chain.rules || looks_into(chain, &edit.drop_sets) {
                        edit.refill.insert(name.clone(), chain.rules.clone());
                    }
                }
                _ => {
                    edit.make_chains.insert(name.clone(), chain.clone());
                }
            }
        }
        edit
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.make_sets.is_empty()
            && self.make_chains.is_empty()
            && self.refill.is_empty()
            && self.add.is_empty()
            && self.remove.is_empty()
            && self.drop_chains.is_empty()
            && self.drop_sets.is_empty()
    }

    /// Makes the change to a table, which must be one that it was made for.
    pub fn apply_to(&self, table: &mut Table) {
        for name in &self.drop_chains {
            table.chains.remove(name);
        }
        for name in &self.drop_sets {
            table.sets.remove(name);
        }
        for (name, elements) in &self.remove {
            let Some(set) = table.sets.get_mut(name) else { continue };
            for (element, _) in elements {
                set.elements.remove(element);
            }
        }
        let chains = self.make_chains.iter().map(|(name, chain)| (name.clone(), chain.clone()));
        table.chains.extend(chains);
        table.sets.extend(self.make_sets.iter().map(|(name, set)| (name.clone(), set.clone())));
        for (name, elements) in &self.add {
            if let Some(set) = table.sets.get_mut(name) {
                set.elements.extend(elements.iter().cloned());
            }
        }
        for (name, rules) in &self.refill {
            if let Some(chain) = table.chains.get_mut(name) {
                chain.rules.clone_from(rules);
            }
        }
    }

    /// The smallest transaction that makes the change.
    ///
    /// First everything that goes is taken away, then everything new is built up. So every step on the way is a part of the old table
    /// or a part of the new one, and the kernel, which checks each step as it comes, never sees a reference to something missing, a
    /// loop made of an old jump and a new one, or a new range that overlaps one about to go.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        self.take_away(&mut ops);
        self.build_up(&mut ops);
        ops
    }

    /// Rules go first, for they refer to sets and chains; then elements and sets, for they refer to chains.
    fn take_away(&self, ops: &mut Vec<Op>) {
        let flush = self.refill.keys().chain(&self.drop_chains);
        ops.extend(flush.cloned().map(Op::FlushChain));
        let remove = self.remove.iter().filter(|(_, elements)| !elements.is_empty());
        ops.extend(remove.map(|(name, elements)| Op::DelElements(name.clone(), elements.clone())));
        ops.extend(self.drop_sets.iter().cloned().map(Op::DelSet));
        ops.extend(self.drop_chains.iter().cloned().map(Op::DelChain));
    }

    /// Chains and sets come first, for elements and rules refer to them. Chains before sets: nft 1.0.6 sends the elements of a new interval
    /// map along with the map, wherever in the script they are, and they may jump.
    fn build_up(&self, ops: &mut Vec<Op>) {
        let chains = self.make_chains.iter();
        ops.extend(chains.map(|(name, chain)| Op::AddChain(name.clone(), chain.base)));
        let sets = self.make_sets.iter();
        ops.extend(sets.map(|(name, set)| Op::AddSet(name.clone(), set.shape())));
        for (name, set) in self.make_sets.iter().filter(|(_, set)| !set.elements.is_empty()) {
            let all = set.elements.iter().map(|(key, verdict)| (key.clone(), verdict.clone()));
            ops.push(Op::AddElements(name.clone(), all.collect()));
        }
        let add = self.add.iter().filter(|(_, elements)| !elements.is_empty());
        ops.extend(add.map(|(name, elements)| Op::AddElements(name.clone(), elements.clone())));
        let made = self.make_chains.iter().map(|(name, chain)| (name, &chain.rules));
        for (name, rules) in made.chain(&self.refill) {
            ops.extend(rules.iter().map(|rule| Op::AddRule(name.clone(), rule.clone())));
        }
    }

    /// What turns one set into another of the same shape.
    pub(crate) fn elements(&mut self, name: &Name, old: &Set, new: &Set) {
        let (remove, add) = (missing(old, new), missing(new, old));
        if !remove.is_empty() {
            self.remove.insert(name.clone(), remove);
        }
        if !add.is_empty() {
            self.add.insert(name.clone(), add);
        }
    }
}

/// The sets that a rule looks into, in order.
pub fn looked_up(rule: &Rule) -> impl Iterator<Item = &Name> {
    rule.statements.iter().filter_map(|statement| match statement {
        Statement::Lookup { set: name, .. } | Statement::Vmap { map: name, .. } => Some(name),
        _ => None,
    })
}

fn looks_into(chain: &Chain, sets: &BTreeSet<Name>) -> bool {
    !sets.is_empty() && chain.rules.iter().flat_map(looked_up).any(|name| sets.contains(name))
}

/// What the one set has and the other has not, or with another verdict. Both are sorted, so one pass over both does.
fn missing(these: &Set, those: &Set) -> Elements {
    let mut found = Vec::new();
    let mut others = those.elements.iter().peekable();
    for (key, verdict) in &these.elements {
        let same = loop {
            match others.peek() {
                None => break false,
                Some((other, theirs)) => match (*other).cmp(key) {
                    Ordering::Less => {
                        others.next();
                    }
                    Ordering::Equal => break *theirs == verdict,
                    Ordering::Greater => break false,
                },
            }
        };
        if !same {
            found.push((key.clone(), verdict.clone()));
        }
    }
    found
}
