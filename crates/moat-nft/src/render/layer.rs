//! Programs as groups, dispatched to by local address: once for what is in force, and once for what is staged.

use super::draft::Draft;
use super::group::Group;
use super::peers::PodTable;
use super::row::RowParts;
use super::sum::Sum;
use super::{DIRECTIONS, Settings, dispatch_name, host};
use crate::model::{Name, Set, SetKey, SetShape, Verdict};
use crate::reason::{Reason, ReasonId, Reasons};
use core::hash::{Hash, Hasher};
use moat_ir::{Bound, Clause, Decision, Direction, PodIdx, PolicyIdx, Program, ProgramId, Why};
use moat_sets::Family;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What was made of one bound form.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    /// Whether verdicts are only logged.
    pub(super) staged: bool,
    /// The pods by where peer sets have them.
    pub(super) pods: PodTable,
    pub(super) groups: BTreeMap<Name, Group>,
    pub(super) rows: BTreeMap<Name, RowParts>,
    /// The reasons of the decisions that there are chains for.
    pub(super) reasons: Reasons,
    /// The dispatch map of each direction and family.
    pub(super) maps: BTreeMap<(Direction, Family), Name>,
    /// What programs mean; as long as policies are the same, so is this.
    pub(super) meanings: FxHashMap<ProgramId, u64>,
}

impl Layer {
    pub(super) fn new(bound: &Bound) -> Self {
        Self { pods: PodTable::new(bound), ..Self::default() }
    }
}

/// A layer while it is made from a bound form.
pub(super) struct Work<'a> {
    pub(super) bound: &'a Bound,
    pub(super) settings: &'a Settings,
    pub(super) draft: &'a mut Draft,
    pub(super) layer: &'a mut Layer,
}

impl Work<'_> {
    /// What names of chains and sets begin with.
    pub(super) fn prefix(&self) -> &'static str {
        if self.layer.staged { "staged_" } else { "" }
    }

    /// Leads each local pod to the chains of its programs; of staged programs, only those that are not `enforced` already. Groups come
    /// and go as they are needed.
    pub(super) fn dispatch(&mut self, pods: &[(PodIdx, IpAddr)], enforced: Option<&Bound>) {
        let mut targets: BTreeMap<(Direction, Family), Vec<(IpAddr, Name)>> = BTreeMap::new();
        let mut needed: BTreeMap<Name, (ProgramId, Family)> = BTreeMap::new();
        for direction in DIRECTIONS {
            for family in Family::BOTH {
                let list = targets.entry((direction, family)).or_default();
                for &(idx, address) in pods.iter().filter(|(_, own)| Family::of(*own) == family) {
                    let Some(program) = self.bound.class_of(idx).program(direction) else {
                        continue;
                    };
                    let meanings = &mut self.layer.meanings;
                    let own = || meaning_of(self.bound, self.bound.program(program));
                    let meaning = *meanings.entry(program).or_insert_with(own);
                    if enforced.is_some_and(|other| same(other, idx, direction, meaning)) {
                        continue;
                    }
                    let version = if family == Family::V4 { 4 } else { 6 };
                    let name: Name =
                        format!("{}{direction}{version}_{meaning:016x}", self.prefix()).into();
                    needed.entry(name.clone()).or_insert((program, family));
                    list.push((address, name));
                }
            }
        }
        // What is gone goes first, so that what both need is made again only where it is not kept.
        let groups: BTreeSet<Name> = self.layer.groups.keys().cloned().collect();
        for (name, &(program, family)) in &needed {
            self.group(program, family, name);
        }
        for name in groups.iter().filter(|name| !needed.contains_key(*name)) {
            self.drop_group(name);
        }
        for ((direction, family), list) in targets {
            self.map(direction, family, list);
        }
    }

    fn map(&mut self, direction: Direction, family: Family, targets: Vec<(IpAddr, Name)>) {
        let (map, _) = dispatch_name(direction, family);
        let key = if family == Family::V4 { SetKey::V4 } else { SetKey::V6 };
        let mut set = Set::new(SetShape { key, interval: false, map: true, size: None });
        // What is staged comes back to here, so that what is in force is asked next.
        let lead = if self.layer.staged { Verdict::Jump } else { Verdict::Goto };
        let pods = targets.into_iter();
        set.elements = pods.map(|(address, chain)| (host(address), Some(lead(chain)))).collect();
        let name = self.draft.put_fixed(&format!("{}{map}", self.prefix()), set);
        let old = self.layer.maps.insert((direction, family), name.clone());
        if let Some(old) = old.filter(|old| *old != name) {
            self.draft.drop_set(&old);
        }
    }

    /// The name of the chain that ends with a decision.
    pub(super) fn decision_name(&self, direction: Direction, decision: &Decision) -> Name {
        let reason = Reason { direction, decision: decision.clone() };
        let word = if decision.allow { "allow" } else { "deny" };
        format!("{}{word}_{direction}_{}", self.prefix(), reason.id(self.bound)).into()
    }

    /// Notes that something leads to a decision's chain, and makes it if it is the first.
    pub(super) fn hold_decision(&mut self, name: &Name, direction: Direction, decision: &Decision) {
        let (id, words) = self.say(direction, decision);
        if self.draft.hold(name) {
            let rules = self.decided(direction, decision.allow, id, &words);
            self.draft.put_chain(name, None, rules);
        }
    }

    /// Learns a reason in the numbers of the present bound form: a changed policy may say the same words of another clause.
    pub(super) fn say(&mut self, direction: Direction, decision: &Decision) -> (ReasonId, String) {
        let reason = Reason { direction, decision: decision.clone() };
        let words = reason.words(self.bound);
        let id = ReasonId(crate::reason::hash(&words));
        self.layer.reasons.insert(id, reason);
        (id, words)
    }

    /// The chain of a decision is gone.
    pub(super) fn forget_decision(&mut self, name: &Name) {
        let id = name.rsplit('_').next().and_then(|id| u64::from_str_radix(id, 16).ok());
        if let Some(id) = id {
            self.layer.reasons.remove(&ReasonId(id));
        }
    }
}

/// Whether a pod's program means the same in another bound form.
fn same(other: &Bound, idx: PodIdx, direction: Direction, meaning: u64) -> bool {
    let own = other.class_of(idx).program(direction);
    own.is_some_and(|own| meaning_of(other, other.program(own)) == meaning)
}

/// A number that follows from all that the rules of a program say, and not from who their peers are at the moment. Whatever changes in a
/// policy gives its programs other numbers, so that their chains come beside the old ones.
fn meaning_of(bound: &Bound, program: &Program) -> u64 {
    let mut sum = Sum::new();
    for stage in &program.stages {
        stage.kind.hash(&mut sum);
        let mut last = None;
        for clause in &stage.clauses {
            let rule = if let Why::Rule(idx) = clause.why { Some(idx) } else { None };
            // What port names mean on the peers of egress is cut into as many clauses as there are meanings.
            if program.direction == Direction::Ingress || rule.is_none() || rule != last {
                meaning(bound, clause, program.direction, &mut sum);
            }
            last = rule;
        }
    }
    sum.finish()
}

fn meaning(bound: &Bound, clause: &Clause, direction: Direction, sum: &mut Sum) {
    let symbolic = &bound.symbolic;
    let policy = |idx: PolicyIdx, sum: &mut Sum| {
        let own = symbolic.policy(idx);
        (own.short, &own.namespace, &own.name).hash(sum);
    };
    clause.then.hash(sum);
    match &clause.why {
        Why::Rule(idx) => {
            let sym = symbolic.clause(*idx);
            let rule = symbolic.rule(sym.rule);
            policy(rule.policy, sum);
            (rule.index, sym.peer_index, &sym.peer, &sym.ports).hash(sum);
            // Names mean ports of the subject, which pods of one program share.
            if direction == Direction::Ingress {
                clause.ports.hash(sum);
            }
        }
        Why::Isolated(policies) => policies.iter().for_each(|&idx| policy(idx, sum)),
        Why::Default => {}
    }
}
