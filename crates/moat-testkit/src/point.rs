//! Flows and answers in words that every engine can be asked in.

use core::fmt;
use moat_ir::Verdict;
use moat_sets::{Family, Protocol};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// One end of a flow.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum End {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name; `kind/name` for a workload, which only the engine knows.
        name: String,
    },
    /// An address that is no pod's.
    Address(IpAddr),
    /// A domain name outside.
    Domain(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Domain(name) => write!(f, "domain/{name}"),
        }
    }
}

/// A connection's first packet.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Flow {
    /// Who opens it.
    pub from: End,
    /// To whom.
    pub to: End,
    /// Its protocol; [`Protocol::Other`] is ICMP.
    pub protocol: Protocol,
    /// The destination port; 0 for ICMP.
    pub port: u16,
    /// By which family.
    pub family: Family,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {} {}/{} over {:?}",
            self.from, self.to, self.port, self.protocol, self.family
        )
    }
}

/// Why one direction decided as it did. Policies are `np/<ns>/<name>`, `cnp/<name>`, `anp/<name>`, `banp/<name>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// No policy can apply.
    Unmanaged,
    /// Policies do not apply to this flow: `self` or `own-node`.
    Exempt(String),
    /// These rules decide: (policy, index of the rule in its direction).
    Rules(BTreeSet<(String, usize)>),
    /// These policies isolate and no rule of theirs matches.
    Isolated(BTreeSet<String>),
    /// Nothing decided.
    Default,
}

/// One direction's part of an answer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Half {
    /// Its verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The source's part.
    pub egress: Half,
    /// The destination's part.
    pub ingress: Half,
    /// The flow is exempt if its ends share a node, which the input does not say.
    pub maybe_own_node: bool,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; egress {} by {:?}; ingress {} by {:?}",
            self.verdict.name(),
            self.egress.verdict.name(),
            self.egress.reason,
            self.ingress.verdict.name(),
            self.ingress.reason
        )
    }
}
