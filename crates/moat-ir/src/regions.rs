//! The interpreter for sets: every peer and every port of a program at once.
//!
//! It follows the same rules as the one for a single flow, clause by clause, on cells of peers that no clause has told apart yet.

use crate::bound::{Bound, Program, Then};
use moat_sets::{IdSet, PortSet};
use rustc_hash::FxHashMap;

/// Peers that a program treats alike, and what it does with their ports.
#[derive(Clone, PartialEq, Debug)]
pub struct Cell {
    /// The peers; cells of one program are disjoint and cover the universe.
    pub peers: IdSet,
    /// Ports that are certainly allowed.
    pub allow: PortSet,
    /// Ports whose verdict is undefined.
    pub undefined: PortSet,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    /// Ports that may still be in this stage.
    here: PortSet,
    /// Ports that may have left for the next stage.
    next: PortSet,
    /// Ports that some way allows.
    allow: PortSet,
    /// Ports that some way denies.
    deny: PortSet,
}

impl Bound {
    /// What a program does with every peer and port.
    #[must_use]
    pub fn regions(&self, program: &Program) -> Vec<Cell> {
        let mut cells = vec![(IdSet::range(0, self.atoms.len()), State::start())];
        for stage in &program.stages {
            for clause in &stage.clauses {
                let set = self.peers(clause.peers);
                let mut split = Vec::with_capacity(cells.len() + 2);
                for (peers, state) in cells {
                    let ports = state.here.intersect(&clause.ports);
                    if ports.is_empty() {
                        split.push((peers, state));
                        continue;
                    }
                    let must = peers.intersect(&set.must);
                    let may =
                        if set.may.is_empty() { IdSet::new() } else { peers.intersect(&set.may) };
                    if must.len() + may.len() < peers.len() {
                        let mut rest = peers;
                        rest.minus_with(&must);
                        rest.minus_with(&may);
                        split.push((rest, state.clone()));
                    }
                    if !may.is_empty() {
                        split.push((may, state.clone().apply(&ports, clause.then, false)));
                    }
                    if !must.is_empty() {
                        split.push((must, state.apply(&ports, clause.then, true)));
                    }
                }
                cells = merge(split);
            }
            for (_, state) in &mut cells {
                state.here = state.here.union(&state.next);
                state.next = PortSet::empty();
            }
            cells = merge(cells);
        }
        cells.into_iter().map(|(peers, state)| state.cell(peers)).collect()
    }
}

impl Bound {
    /// What a program does with the ports of one atom: the cell of [`Bound::regions`] that it lies in.
    #[must_use]
    pub fn ports_at(&self, program: &Program, atom: u32) -> Cell {
        let mut state = State::start();
        for stage in &program.stages {
            for clause in &stage.clauses {
                let set = self.peers(clause.peers);
                let certain = set.must.contains(atom);
                if !certain && !set.may.contains(atom) {
                    continue;
                }
                let ports = state.here.intersect(&clause.ports);
                if !ports.is_empty() {
                    state = state.apply(&ports, clause.then, certain);
                }
            }
            state.here = state.here.union(&state.next);
            state.next = PortSet::empty();
        }
        state.cell(IdSet::range(atom, atom + 1))
    }
}

impl State {
    /// Before the first clause.
    fn start() -> Self {
        Self {
            here: PortSet::all(),
            next: PortSet::empty(),
            allow: PortSet::empty(),
            deny: PortSet::empty(),
        }
    }

    /// After the last.
    fn cell(self, peers: IdSet) -> Cell {
        Cell {
            peers,
            allow: self.allow.minus(&self.deny),
            undefined: self.allow.intersect(&self.deny),
        }
    }

    fn apply(mut self, ports: &PortSet, then: Then, certain: bool) -> Self {
        if certain {
            self.here = self.here.minus(ports);
        }
        match then {
            Then::Allow => self.allow = self.allow.union(ports),
            Then::Deny => self.deny = self.deny.union(ports),
            Then::Pass => self.next = self.next.union(ports),
        }
        self
    }
}

/// Joins cells whose states have become equal.
fn merge(cells: Vec<(IdSet, State)>) -> Vec<(IdSet, State)> {
    if cells.len() < 2 {
        return cells;
    }
    let mut at: FxHashMap<State, usize> = FxHashMap::default();
    let mut merged: Vec<(IdSet, State)> = Vec::with_capacity(cells.len());
    for (peers, state) in cells {
        match at.get(&state) {
            Some(&idx) => {
                if let Some((have, _)) = merged.get_mut(idx) {
                    have.union_with(&peers);
                }
            }
            None => {
                at.insert(state.clone(), merged.len());
                merged.push((peers, state));
            }
        }
    }
    merged
}
