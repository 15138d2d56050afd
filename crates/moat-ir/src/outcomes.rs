//! The interpreter for sets that keeps reasons: what a kernel ruleset is made from.
//!
//! It follows [`Bound::run`] clause by clause, on cells of peers and pieces of ports that no clause has told apart. Where it is not
//! certain that a peer set contains a peer, a kernel must still do something: such a peer gets no allowance and suffers every denial,
//! and where leaving the stage is in doubt it is denied.

use crate::bound::{Bound, Clause, Program, StageKind, Then, Why};
use crate::symbolic::{ClauseIdx, PolicyIdx};
use moat_sets::{IdSet, PortSet};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Peers that a program treats alike, reasons included.
#[derive(Clone, PartialEq, Debug)]
pub struct OutcomeCell {
    /// The peers; cells of one program are disjoint and cover the universe.
    pub peers: IdSet,
    /// What happens on which ports; the port sets are disjoint and cover all ports.
    pub ports: Vec<(PortSet, Decision)>,
}

/// A verdict with its reason.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Decision {
    /// Whether the packet passes.
    pub allow: bool,
    /// Why.
    pub ground: Ground,
}

/// Why a program decided as it did: [`crate::HalfReason`] without what depends on the two ends.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Ground {
    /// These clauses contain the flow: all that allow it in the Namespace stage, otherwise the one that decides.
    Rules(Vec<ClauseIdx>),
    /// These policies isolate the pod and no rule of theirs contains the flow.
    Isolated(Arc<[PolicyIdx]>),
    /// Nothing decided, and the default is to allow.
    Default,
}

/// How far some ports have come.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Fate {
    /// Not decided.
    Open,
    /// Left this stage undecided.
    Passed,
    /// Decided, in this stage or (`false`) an earlier one.
    Decided(Decision, bool),
}

type State = Vec<(PortSet, Fate)>;

impl Bound {
    /// What a program does with every peer and port, and why.
    #[must_use]
    pub fn outcomes(&self, program: &Program) -> Vec<OutcomeCell> {
        self.outcomes_among(program, IdSet::range(0, self.atoms.len()))
    }

    /// The same for some peers only, which the cells cover.
    #[must_use]
    pub fn outcomes_among(&self, program: &Program, peers: IdSet) -> Vec<OutcomeCell> {
        let mut cells = vec![(peers, vec![(PortSet::all(), Fate::Open)])];
        for stage in &program.stages {
            for clause in &stage.clauses {
                let set = self.peers(clause.peers);
                let mut split = Vec::with_capacity(cells.len() + 2);
                for (peers, state) in cells {
                    let must = peers.intersect(&set.must);
                    let may =
                        if set.may.is_empty() { IdSet::new() } else { peers.intersect(&set.may) };
                    if must.is_empty() && may.is_empty() {
                        split.push((peers, state));
                        continue;
                    }
                    if must.len() + may.len() < peers.len() {
                        let mut rest = peers;
                        rest.minus_with(&must);
                        rest.minus_with(&may);
                        split.push((rest, state.clone()));
                    }
                    if !may.is_empty() {
                        split.push((may, apply(&state, clause, stage.kind, false)));
                    }
                    if !must.is_empty() {
                        split.push((must, apply(&state, clause, stage.kind, true)));
                    }
                }
                cells = split;
            }
            for (_, state) in &mut cells {
                for (_, fate) in state.iter_mut() {
                    match fate {
                        Fate::Passed => *fate = Fate::Open,
                        Fate::Decided(_, here) => *here = false,
                        Fate::Open => {}
                    }
                }
                *state = canonical(std::mem::take(state));
            }
            cells = merge(cells);
        }
        cells.into_iter().map(|(peers, state)| cell(peers, state)).collect()
    }
}

fn apply(state: &State, clause: &Clause, kind: StageKind, certain: bool) -> State {
    let fate = match (clause.then, certain) {
        (Then::Allow, false) => return state.clone(),
        (Then::Pass, true) => Fate::Passed,
        (then, _) => {
            let ground = match &clause.why {
                Why::Rule(idx) => Ground::Rules(vec![*idx]),
                Why::Isolated(policies) => Ground::Isolated(policies.clone()),
                Why::Default => Ground::Default,
            };
            Fate::Decided(Decision { allow: then == Then::Allow, ground }, true)
        }
    };
    let mut next = Vec::with_capacity(state.len() + 1);
    for (ports, have) in state {
        let new = match (have, &clause.why) {
            (Fate::Open, _) => fate.clone(),
            // Every rule that allows is named, as `Bound::run` names them.
            (
                Fate::Decided(Decision { allow: true, ground: Ground::Rules(rules) }, true),
                Why::Rule(idx),
            ) if kind == StageKind::Namespace && rules.last() != Some(idx) => {
                let rules = rules.iter().copied().chain([*idx]).collect();
                Fate::Decided(Decision { allow: true, ground: Ground::Rules(rules) }, true)
            }
            _ => {
                next.push((ports.clone(), have.clone()));
                continue;
            }
        };
        let inside = ports.intersect(&clause.ports);
        if inside.is_empty() {
            next.push((ports.clone(), have.clone()));
            continue;
        }
        let outside = ports.minus(&clause.ports);
        if !outside.is_empty() {
            next.push((outside, have.clone()));
        }
        next.push((inside, new));
    }
    next
}

/// One piece per fate, in a fixed order, so that equal states are equal values.
fn canonical(mut state: State) -> State {
    state.sort_by(|a, b| a.1.cmp(&b.1));
    let mut merged: State = Vec::with_capacity(state.len());
    for (ports, fate) in state {
        match merged.last_mut() {
            Some((have, last)) if *last == fate => *have = have.union(&ports),
            _ => merged.push((ports, fate)),
        }
    }
    merged
}

/// Joins cells whose states are equal.
fn merge(cells: Vec<(IdSet, State)>) -> Vec<(IdSet, State)> {
    let mut at: FxHashMap<State, usize> = FxHashMap::default();
    let mut merged: Vec<(IdSet, State)> = Vec::with_capacity(cells.len());
    for (peers, state) in cells {
        match at.get(&state).and_then(|&idx| merged.get_mut(idx)) {
            Some((have, _)) => have.union_with(&peers),
            None => {
                at.insert(state.clone(), merged.len());
                merged.push((peers, state));
            }
        }
    }
    merged
}

fn cell(peers: IdSet, state: State) -> OutcomeCell {
    let decision = |fate| match fate {
        Fate::Decided(decision, _) => decision,
        // The last stage is total, so nothing is left open; if it were, nothing would stop it.
        Fate::Open | Fate::Passed => Decision { allow: true, ground: Ground::Default },
    };
    let ports = state.into_iter().map(|(ports, fate)| (ports, decision(fate))).collect();
    OutcomeCell { peers, ports }
}
