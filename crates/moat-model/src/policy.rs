//! Policies of every supported kind, in one form, with all defaults settled.

use crate::value::Span;
use core::fmt;
use moat_sets::{AddrSet, DomainPattern, PodTerm, PortSet, Protocol, Selector};
use std::sync::Arc;

/// A direction, seen from the subject pod.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// Traffic into the subject.
    Ingress,
    /// Traffic out of the subject.
    Egress,
}

impl Direction {
    /// Both directions, in API order.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// `ingress` or `egress`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The policy kinds Moat interprets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum PolicyKind {
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha2` ClusterNetworkPolicy.
    ClusterNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1` AdminNetworkPolicy, translated.
    AdminNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1` BaselineAdminNetworkPolicy, translated.
    BaselineAdminNetworkPolicy,
}

impl PolicyKind {
    /// The API kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "NetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
        }
    }

    /// The API short name.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "netpol",
            Self::ClusterNetworkPolicy => "cnp",
            Self::AdminNetworkPolicy => "anp",
            Self::BaselineAdminNetworkPolicy => "banp",
        }
    }
}

/// A policy's identity.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PolicyId {
    /// Its kind.
    pub kind: PolicyKind,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for PolicyId {
    /// `netpol ns/name`, `cnp name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind.short(), self.name)
        } else {
            write!(f, "{} {}/{}", self.kind.short(), self.namespace, self.name)
        }
    }
}

/// When a policy is evaluated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Tier {
    /// Before NetworkPolicies; lower priority first.
    Admin {
        /// 0 to 1000; lower is evaluated first.
        priority: i32,
    },
    /// NetworkPolicies: additive, final for the pods they isolate.
    Namespace,
    /// After NetworkPolicies; lower priority first.
    Baseline {
        /// 0 to 1000; lower is evaluated first.
        priority: i32,
    },
}

/// What a matching rule does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Action {
    /// The connection is allowed.
    Accept,
    /// The connection is denied.
    Deny,
    /// The rest of the tier is skipped.
    Pass,
}

impl Action {
    /// The name in ClusterNetworkPolicy v1alpha2.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accept => "Accept",
            Self::Deny => "Deny",
            Self::Pass => "Pass",
        }
    }
}

/// A policy with every default settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Who it is.
    pub id: PolicyId,
    /// Where its document starts.
    pub span: Span,
    /// When it is evaluated.
    pub tier: Tier,
    /// The pods it applies to.
    pub subject: PodTerm,
    /// Whether it isolates its subjects for ingress (NetworkPolicy only).
    pub isolates_ingress: bool,
    /// Whether it isolates its subjects for egress (NetworkPolicy only).
    pub isolates_egress: bool,
    /// Its rules of both directions, in order within each.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// Whether the policy isolates its subjects in this direction.
    #[must_use]
    pub fn isolates(&self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.isolates_ingress,
            Direction::Egress => self.isolates_egress,
        }
    }

    /// The rules of one direction, in order.
    pub fn rules(&self, direction: Direction) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.direction == direction)
    }
}

/// One rule: peers x ports, and an action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its direction.
    pub direction: Direction,
    /// Its index among the policy's rules of that direction, from 0.
    pub index: u32,
    /// The name a cluster policy may give its rule.
    pub name: Option<Arc<str>>,
    /// Where it starts.
    pub span: Span,
    /// What it does; always [`Action::Accept`] in a NetworkPolicy.
    pub action: Action,
    /// With whom.
    pub peers: Peers,
    /// On which destination ports.
    pub ports: Ports,
}

/// The other end of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peers {
    /// Anyone, cluster-external addresses included: `from` or `to` missing or empty.
    Any,
    /// Any of these.
    List(Vec<Peer>),
}

/// One peer of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its index in `from` or `to`.
    pub index: u32,
    /// Where it starts.
    pub span: Span,
    /// Whom it means.
    pub kind: PeerKind,
}

/// Whom a peer means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerKind {
    /// Pods by namespace and labels.
    Pods(PodTerm),
    /// Addresses: `ipBlock` without its exceptions, or one entry of `networks`.
    Addresses(AddrSet),
    /// Nodes by labels, and the hostNetwork pods on them.
    Nodes(Selector),
    /// A domain name.
    Domain(DomainPattern),
    /// No one: the peer cannot be interpreted, and the rule is an Accept rule.
    Nobody,
    /// Everyone: the peer cannot be interpreted, and the rule is a Deny or Pass rule, which then counts as "deny all".
    Everyone,
}

/// The destination ports of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ports {
    /// Every protocol and port, ICMP included: `ports` missing or empty.
    Any,
    /// Any of these.
    List(Vec<PortMatch>),
}

/// One entry of `ports`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortMatch {
    /// Numbered ports, or every port of a protocol.
    Numbers(PortSet),
    /// A port name, looked up on the destination pod.
    Named {
        /// The protocol the named port must have; `None` means any (ClusterNetworkPolicy).
        protocol: Option<Protocol>,
        /// The container port name.
        name: Arc<str>,
    },
}
