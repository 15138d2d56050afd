//! Single changes of the input, named over a bound form, to ask what would be if they were made.

use crate::bound::PodIdx;
use crate::symbolic::{Direction, PolicyIdx, RuleIdx};
use moat_sets::ServicePoint;
use std::net::IpAddr;
use std::sync::Arc;

/// Labels to set, or to take away where the value is `None`.
pub type LabelChanges = Vec<(String, Option<String>)>;

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Other labels on one pod or workload.
    LabelPod {
        /// The pod.
        pod: PodIdx,
        /// What becomes of its labels.
        labels: LabelChanges,
    },
    /// Other labels on a namespace.
    LabelNamespace {
        /// The namespace.
        namespace: Arc<str>,
        /// What becomes of its labels.
        labels: LabelChanges,
    },
    /// One more rule of a policy, that allows one peer one port.
    AddRule {
        /// The policy.
        policy: PolicyIdx,
        /// The direction.
        direction: Direction,
        /// The peer.
        peer: NewPeer,
        /// The port.
        point: ServicePoint,
    },
    /// One more port of a rule.
    AddPort {
        /// The rule.
        rule: RuleIdx,
        /// The port.
        point: ServicePoint,
    },
    /// A policy taken out whole.
    RemovePolicy {
        /// The policy.
        policy: PolicyIdx,
    },
    /// A rule taken out.
    RemoveRule {
        /// The rule.
        rule: RuleIdx,
    },
}

/// Whom a new rule names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NewPeer {
    /// Pods of a namespace with these labels.
    Pods {
        /// The namespace.
        namespace: Arc<str>,
        /// The labels.
        labels: Vec<(String, String)>,
    },
    /// One address.
    Address(IpAddr),
}
