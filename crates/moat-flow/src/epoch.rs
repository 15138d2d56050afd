//! The states that the policies have been in, so that a record means what was in force when it was logged.

use crate::record::Name;
use crate::why::Why;
use moat_ir::{Bound, Direction};
use moat_nft::reason::{ReasonId, Reasons};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// A compiled form with the reasons that its rulesets give.
#[derive(Clone, Debug)]
pub struct Ruleset {
    bound: Arc<Bound>,
    /// In names, so that attributing a packet formats nothing.
    reasons: FxHashMap<ReasonId, (Direction, bool, Why)>,
}

impl Ruleset {
    /// Looks up the names of all reasons. The reasons are those of rendering this `bound`.
    #[must_use]
    pub fn new(bound: Arc<Bound>, reasons: &Reasons) -> Self {
        let named = reasons.iter().map(|(&id, reason)| {
            let why = Why::of(&bound, &reason.decision.ground);
            (id, (reason.direction, reason.decision.allow, why))
        });
        let reasons = named.collect();
        Self { bound, reasons }
    }

    /// The reason of this id. The kernel's word on direction and verdict must agree: an id that two reasons share is no reason.
    fn why(&self, id: ReasonId, direction: Direction, allow: bool) -> Option<&Why> {
        let (own_direction, own_allow, why) = self.reasons.get(&id)?;
        (*own_direction == direction && *own_allow == allow).then_some(why)
    }

    fn name(&self, address: IpAddr) -> Option<Name> {
        let bound = &self.bound;
        if let Some(&pod) = bound.pod_by_address.get(&address) {
            return Some(Name::Pod(bound.pod(pod).display.clone()));
        }
        bound.node_by_address.get(&address).cloned().map(Name::Node)
    }
}

/// One state of the policies.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// Rises with every state.
    pub number: u64,
    /// What is enforced.
    pub enforced: Ruleset,
    /// What staged policies would enforce, if there are any.
    pub staged: Option<Ruleset>,
}

impl Epoch {
    pub(crate) fn why(
        &self,
        id: ReasonId,
        direction: Direction,
        allow: bool,
        staged: bool,
    ) -> Option<&Why> {
        if staged {
            // The staged ruleset is compiled on its own; without one, staged records can only name enforced policies.
            self.staged.as_ref().unwrap_or(&self.enforced).why(id, direction, allow)
        } else {
            self.enforced.why(id, direction, allow)
        }
    }
}

/// The current state of the policies and those before it.
#[derive(Clone, Debug)]
pub struct Epochs {
    /// The newest first.
    states: VecDeque<Epoch>,
    n_max: usize,
    last: u64,
}

impl Epochs {
    /// Keeps this many states, at least the current one.
    #[must_use]
    pub fn new(n_max: usize) -> Self {
        Self { states: VecDeque::new(), n_max: n_max.max(1), last: 0 }
    }

    /// A new state is in force; its number. The oldest is forgotten when there are too many.
    pub fn push(&mut self, enforced: Ruleset, staged: Option<Ruleset>) -> u64 {
        self.last += 1;
        self.states.truncate(self.n_max - 1);
        self.states.push_front(Epoch { number: self.last, enforced, staged });
        self.last
    }

    /// The state in force, once there is one.
    #[must_use]
    pub fn current(&self) -> Option<&Epoch> {
        self.states.front()
    }

    /// The states, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Epoch> {
        self.states.iter()
    }

    /// Who has an address, by the given state; if it knows no one, by those before it, since a pod's last packets are logged
    /// after it is gone.
    pub(crate) fn name(&self, from: u64, address: IpAddr) -> Name {
        self.states
            .iter()
            .filter(|epoch| epoch.number <= from)
            .find_map(|epoch| epoch.enforced.name(address))
            .unwrap_or(Name::Outside)
    }
}
