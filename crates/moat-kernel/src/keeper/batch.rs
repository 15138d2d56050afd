//! One transaction of a sequence.

use super::pace::Pace;
use moat_nft::model::{Element, Op, Table};
use std::collections::BTreeSet;

/// A transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    pub(super) ops: Vec<Op>,
    /// Whether no packet may be in flight that was so before the transaction before this one.
    pub(super) grace: bool,
    /// Whether packets meet other rules after it.
    pub(super) switches: bool,
    /// Addresses of local pods whose elements change in it.
    pub(super) touched: BTreeSet<Element>,
}

impl Batch {
    /// A table as it is once this has taken things away, whether or not it has.
    pub(super) fn tidied(mut table: Table, batch: &Self) -> Table {
        for op in &batch.ops {
            match op {
                Op::DelChain(name) => drop(table.chains.remove(name)),
                Op::DelSet(name) => drop(table.sets.remove(name)),
                Op::DelElements(name, elements) => {
                    if let Some(set) = table.sets.get_mut(name) {
                        elements.iter().for_each(|(key, _)| drop(set.elements.remove(key)));
                    }
                }
                _ => {}
            }
        }
        table
    }

    /// Whether it has to wait for a grace.
    pub(super) fn waits(&self, pace: &mut Pace) -> bool {
        if self.grace { !pace.is_quiet() } else { !pace.allows(self.switches, &self.touched) }
    }
}

/// No step takes more than this.
pub(super) fn bound(op: &Op) -> usize {
    match op {
        Op::AddElements(_, elements) | Op::DelElements(_, elements) => 512 + 512 * elements.len(),
        Op::AddRule(_, rule) => 1024 + 1024 * rule.statements.len(),
        _ => 1024,
    }
}
