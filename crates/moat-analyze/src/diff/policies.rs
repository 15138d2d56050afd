//! Policies that came, went or say something else: by what they mean, not by where they were read.

use moat_ir::{Direction, PolicyIdx, PolicyInfo, SymbolicIr};
use std::collections::BTreeMap;

/// Policies by name, `netpol shop/db`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Only in the new state.
    pub added: Vec<String>,
    /// Only in the old state.
    pub removed: Vec<String>,
    /// In both, with another meaning.
    pub changed: Vec<String>,
    /// What became of each old policy.
    fates: Vec<Fate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Same,
    Changed,
    Gone,
}

type Name<'a> = (&'static str, &'a str, &'a str);

fn name(policy: &PolicyInfo) -> Name<'_> {
    (policy.kind, &policy.namespace, &policy.name)
}

impl Policies {
    pub(crate) fn new(old: &SymbolicIr, new: &SymbolicIr) -> Self {
        let by_name = |symbolic: &'_ SymbolicIr| -> BTreeMap<(String, String, String), PolicyIdx> {
            let key = |policy: &PolicyInfo| {
                let (kind, namespace, name) = name(policy);
                (kind.to_owned(), namespace.to_owned(), name.to_owned())
            };
            (0u32..).zip(&symbolic.policies).map(|(idx, policy)| (key(policy), idx)).collect()
        };
        let (before, after) = (by_name(old), by_name(new));
        let mut out = Self { fates: vec![Fate::Same; old.policies.len()], ..Self::default() };
        for (key, &was) in &before {
            let fate = match after.get(key) {
                None => Fate::Gone,
                Some(&is) if same(old, was, new, is) => Fate::Same,
                Some(_) => Fate::Changed,
            };
            match fate {
                Fate::Gone => out.removed.push(old.policy(was).to_string()),
                Fate::Changed => out.changed.push(old.policy(was).to_string()),
                Fate::Same => {}
            }
            if let Some(slot) = out.fates.get_mut(was as usize) {
                *slot = fate;
            }
        }
        for (key, &is) in &after {
            if !before.contains_key(key) {
                out.added.push(new.policy(is).to_string());
            }
        }
        out
    }

    /// What became of an old policy, in a word or two.
    pub(crate) fn fate(&self, new: bool, policy: PolicyIdx) -> &'static str {
        match self.fates.get(policy as usize) {
            _ if new => "new",
            Some(Fate::Gone) => "gone",
            Some(Fate::Changed) => "changed",
            // Then the pods, their labels or other policies are what changed.
            _ => "does not match any more",
        }
    }
}

/// Whether two policies mean the same, wherever they stand.
fn same(old: &SymbolicIr, was: PolicyIdx, new: &SymbolicIr, is: PolicyIdx) -> bool {
    let (a, b) = (old.policy(was), new.policy(is));
    let heads =
        (a.stage, a.rank, &a.subject, a.isolates) == (b.stage, b.rank, &b.subject, b.isolates);
    heads
        && Direction::BOTH
            .into_iter()
            .all(|direction| rules(old, was, direction) == rules(new, is, direction))
}

type Line<'a> = (u32, Option<&'a str>, &'a moat_ir::SymPeer, &'a moat_ir::SymPorts, moat_ir::Then);

fn rules(symbolic: &SymbolicIr, policy: PolicyIdx, direction: Direction) -> Vec<Line<'_>> {
    symbolic
        .clauses_of(policy, direction)
        .map(|(_, clause)| {
            let rule = symbolic.rule(clause.rule);
            (rule.index, rule.name.as_deref(), &clause.peer, &clause.ports, clause.then)
        })
        .collect()
}
