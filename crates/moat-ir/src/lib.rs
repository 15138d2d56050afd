//! The one compiled form of policy, and the interpreters that every consumer shares.
//!
//! [`SymbolicIr`] is policies only: who, where from, in which order. [`Bound`] is that form over an inventory: pod classes, peer
//! atoms, programs. [`Bound::decide`] answers one flow, [`Bound::regions`] answers for sets; both read the same clauses.
//! This crate does not know Kubernetes objects, dialects or files: what they mean was settled by `moat-compile`.

mod bound;
mod change;
mod decide;
mod outcomes;
mod regions;
mod services;
mod splice;
mod symbolic;
mod text;

pub use bound::{
    Atom, AtomKind, AtomTable, Bound, Class, ClassIdx, Clause, Management, PeerSet, PeerSetId,
    PodIdx, PodInfo, Program, ProgramId, Stage, StageKind, Then, Why,
};
pub use change::{Change, LabelChanges, NewPeer};
pub use decide::{Answer, End, Exemption, Flow, Half, HalfReason, Matched, Verdict};
pub use outcomes::{Decision, Ground, OutcomeCell, TooLarge};
pub use regions::Cell;
pub use services::{ServiceInfo, ServicePortInfo};
pub use splice::{Cut, Splice};
pub use symbolic::{
    ClauseIdx, Direction, Origin, PolicyIdx, PolicyInfo, RuleIdx, RuleInfo, SymClause, SymPeer,
    SymPorts, SymbolicIr,
};
