//! The smallest transaction from one table to another.
//!
//! First everything that goes is taken away, then everything new is built up. So every step on the way is a part of the old table or
//! a part of the new one, and the kernel, which checks each step as it comes, never sees a reference to something missing, a loop made
//! of an old jump and a new one, or a new range that overlaps one about to go.

use crate::model::{Chain, Element, Name, Op, Rule, Set, Statement, Table, Verdict};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// The steps that make `wanted` of what is installed; none if it is that already.
///
/// Only chains, sets and elements that differ are touched. A base chain is kept in place, because to make it anew lets packets through
/// that it would have dropped, even inside one transaction; the exceptions are in [`recreates`]. A table of another name counts as
/// nothing installed.
#[must_use]
pub fn plan(installed: Option<&Table>, wanted: &Table) -> Vec<Op> {
    let installed = installed.filter(|table| table.name == wanted.name);
    let none = Table::new(&wanted.name);
    let old = installed.unwrap_or(&none);
    let changes = Changes::between(old, wanted);

    let mut ops = Vec::new();
    if installed.is_none() {
        ops.push(Op::AddTable);
    }
    changes.take_away(&mut ops);
    changes.build_up(wanted, &mut ops);
    ops
}

/// The chains of both tables that a transaction between them has to delete and make anew, because what packets enter them differs and no
/// step changes that in place. While a base chain is made anew, packets may pass that both tables would drop.
#[must_use]
pub fn recreates(installed: &Table, wanted: &Table) -> Vec<Name> {
    let again = |(name, chain): (&Name, &Chain)| {
        wanted.chains.get(name).is_some_and(|new| new.base != chain.base).then(|| name.clone())
    };
    installed.chains.iter().filter_map(again).collect()
}

/// What differs between two tables.
struct Changes<'a> {
    /// Chains whose rules go.
    flush: Vec<&'a Name>,
    /// Elements that go from sets that stay.
    drop_elements: Vec<(&'a Name, Elements)>,
    /// Sets that go, some of them to be made anew.
    drop_sets: Vec<&'a Name>,
    /// Chains that go, some of them to be made anew.
    drop_chains: Vec<&'a Name>,
    /// Sets that are made.
    make_sets: Vec<&'a Name>,
    /// Chains that are made.
    make_chains: Vec<&'a Name>,
    /// Elements that come.
    make_elements: Vec<(&'a Name, Elements)>,
    /// Chains whose rules come.
    fill: Vec<&'a Name>,
}

type Elements = Vec<(Element, Option<Verdict>)>;

impl<'a> Changes<'a> {
    fn between(old: &'a Table, new: &'a Table) -> Self {
        let mut drop_elements = Vec::new();
        let mut drop_sets = Vec::new();
        let mut replaced = BTreeSet::new();
        for (name, set) in &old.sets {
            match new.sets.get(name) {
                Some(other) if other.shape() == set.shape() => {
                    drop_elements.push((name, missing(&set.elements, &other.elements)));
                }
                Some(_) => {
                    drop_sets.push(name);
                    replaced.insert(name);
                }
                None => drop_sets.push(name),
            }
        }
        let mut make_elements = Vec::new();
        let mut make_sets = Vec::new();
        for (name, set) in &new.sets {
            let same_shape = |other: &&Set| other.shape() == set.shape();
            if let Some(other) = old.sets.get(name).filter(same_shape) {
                make_elements.push((name, missing(&set.elements, &other.elements)));
            } else {
                make_sets.push(name);
                let all = set.elements.iter().map(|(key, verdict)| (key.clone(), verdict.clone()));
                make_elements.push((name, all.collect()));
            }
        }

        let mut flush = Vec::new();
        let mut drop_chains = Vec::new();
        for (name, chain) in &old.chains {
            let stays = new.chains.get(name).filter(|other| other.base == chain.base);
            if stays.is_none() {
                drop_chains.push(name);
            }
            let keeps_rules = stays.is_some_and(|other| same_rules(chain, other, &replaced));
            if !keeps_rules && !chain.rules.is_empty() {
                flush.push(name);
            }
        }
        let mut make_chains = Vec::new();
        let mut fill = Vec::new();
        for (name, chain) in &new.chains {
            let stays = old.chains.get(name).filter(|other| other.base == chain.base);
            if stays.is_none() {
                make_chains.push(name);
            }
            if !stays.is_some_and(|other| same_rules(other, chain, &replaced)) {
                fill.push(name);
            }
        }
        Self {
            flush,
            drop_elements,
            drop_sets,
            drop_chains,
            make_sets,
            make_chains,
            make_elements,
            fill,
        }
    }

    /// Rules go first, for they refer to sets and chains; then elements and sets, for they refer to chains.
    fn take_away(&self, ops: &mut Vec<Op>) {
        ops.extend(self.flush.iter().map(|name| Op::FlushChain((*name).clone())));
        for (name, elements) in &self.drop_elements {
            if !elements.is_empty() {
                ops.push(Op::DelElements((*name).clone(), elements.clone()));
            }
        }
        ops.extend(self.drop_sets.iter().map(|name| Op::DelSet((*name).clone())));
        ops.extend(self.drop_chains.iter().map(|name| Op::DelChain((*name).clone())));
    }

    /// Chains and sets come first, for elements and rules refer to them. Chains before sets: nft 1.0.6 sends the elements of a new interval
    /// map along with the map, wherever in the script they are, and they may jump.
    fn build_up(self, new: &Table, ops: &mut Vec<Op>) {
        for name in self.make_chains {
            if let Some(chain) = new.chains.get(name) {
                ops.push(Op::AddChain(name.clone(), chain.base));
            }
        }
        for name in self.make_sets {
            if let Some(set) = new.sets.get(name) {
                ops.push(Op::AddSet(name.clone(), set.shape()));
            }
        }
        for (name, elements) in self.make_elements {
            if !elements.is_empty() {
                ops.push(Op::AddElements(name.clone(), elements));
            }
        }
        for name in self.fill {
            let rules = new.chains.get(name).map_or(&[][..], |chain| &chain.rules);
            ops.extend(rules.iter().map(|rule| Op::AddRule(name.clone(), rule.clone())));
        }
    }
}

/// Whether rules can stay: they are equal and no set they name is made anew.
fn same_rules(old: &Chain, new: &Chain, replaced: &BTreeSet<&Name>) -> bool {
    old.rules == new.rules
        && (replaced.is_empty() || !old.rules.iter().any(|rule| refers(rule, replaced)))
}

fn refers(rule: &Rule, sets: &BTreeSet<&Name>) -> bool {
    rule.statements.iter().any(|statement| match statement {
        Statement::Lookup { set: name, .. } | Statement::Vmap { map: name, .. } => {
            sets.contains(name)
        }
        _ => false,
    })
}

/// What `these` have and `those` have not, or with another verdict. Both are sorted, so one pass over both does.
fn missing(
    these: &BTreeMap<Element, Option<Verdict>>,
    those: &BTreeMap<Element, Option<Verdict>>,
) -> Elements {
    let mut found = Vec::new();
    let mut others = those.iter().peekable();
    for (key, verdict) in these {
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
