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

/// More work than a program of a sound size can be: some ten thousand clauses for as many different peers.
const STEPS_MAX: usize = 1 << 24;

/// A program is too large to be told apart by peers and ports in bounded time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge;

impl Bound {
    /// What a program does with every peer and port, and why.
    ///
    /// # Errors
    ///
    /// Where clauses times peers times ports are out of all proportion, as with hundreds of policies of hundreds of peers each that
    /// apply to one pod.
    pub fn outcomes(&self, program: &Program) -> Result<Vec<OutcomeCell>, TooLarge> {
        self.outcomes_among(program, IdSet::range(0, self.atoms.len()))
    }

    /// The same for some peers only, which the cells cover.
    ///
    /// # Errors
    ///
    /// As for [`Self::outcomes`].
    pub fn outcomes_among(
        &self,
        program: &Program,
        peers: IdSet,
    ) -> Result<Vec<OutcomeCell>, TooLarge> {
        let mut cells = vec![(peers, vec![(PortSet::all(), Fate::Open)])];
        let mut n_steps = 0;
        for stage in &program.stages {
            for clause in &stage.clauses {
                let set = self.peers(clause.peers);
                let mut split = Vec::new();
                for (peers, state) in &mut cells {
                    n_steps += 1;
                    let must = peers.intersect(&set.must);
                    let may =
                        if set.may.is_empty() { IdSet::new() } else { peers.intersect(&set.may) };
                    if must.is_empty() && may.is_empty() {
                        continue;
                    }
                    n_steps += state.len();
                    // A cell that the clause treats as one changes in place.
                    if must.len() == peers.len() {
                        apply(state, clause, stage.kind, true);
                        continue;
                    }
                    if may.len() == peers.len() {
                        apply(state, clause, stage.kind, false);
                        continue;
                    }
                    for (part, certain) in [(may, false), (must, true)] {
                        if !part.is_empty() {
                            let mut own = state.clone();
                            apply(&mut own, clause, stage.kind, certain);
                            peers.minus_with(&part);
                            split.push((part, own));
                        }
                    }
                }
                cells.extend(split);
                cells.retain(|(peers, _)| !peers.is_empty());
                if n_steps > STEPS_MAX {
                    return Err(TooLarge);
                }
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
        Ok(cells.into_iter().map(|(peers, state)| cell(peers, state)).collect())
    }
}

fn apply(state: &mut State, clause: &Clause, kind: StageKind, certain: bool) {
    let fate = match (clause.then, certain) {
        (Then::Allow, false) => return,
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
    for at in 0..state.len() {
        let Some((ports, have)) = state.get_mut(at) else { break };
        // Every rule that allows is named, as `Bound::run` names them.
        let another = match (&*have, &clause.why) {
            (Fate::Open, _) => None,
            (
                Fate::Decided(Decision { allow: true, ground: Ground::Rules(rules) }, true),
                Why::Rule(idx),
            ) if kind == StageKind::Namespace && rules.last() != Some(idx) => Some(*idx),
            _ => continue,
        };
        let inside = ports.intersect(&clause.ports);
        if inside.is_empty() {
            continue;
        }
        let outside = ports.minus(&clause.ports);
        let before = (!outside.is_empty()).then(|| (outside, have.clone()));
        *ports = inside;
        match (have, another) {
            (Fate::Decided(Decision { ground: Ground::Rules(rules), .. }, _), Some(idx)) => {
                rules.push(idx);
            }
            (have, _) => *have = fate.clone(),
        }
        state.extend(before);
    }
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
