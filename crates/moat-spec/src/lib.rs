//! The Kubernetes network policy API text, executable.
//!
//! This crate decides one flow as slowly and as literally as possible, from the objects as they are
//! on the wire. It shares no code with the engine, repeats selectors and CIDR arithmetic on purpose,
//! and quotes the sentence it follows: `//# "..."`. Where the text leaves a choice it takes Moat's
//! own. Objects are presumed to have passed admission; one that cannot be read at all is left out,
//! because loading reports it.

mod cidr;
mod cluster;
mod cluster_network_policy;
mod network_policy;
mod selector;
#[cfg(test)]
mod tests;

use cluster::{Cluster, Party};
use std::net::IpAddr;

/// Everything the cluster holds: objects of any kind, as the API server would return them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct World {
    /// The objects. Namespaces, Pods, Nodes, NetworkPolicies and ClusterNetworkPolicies count.
    pub objects: Vec<serde_json::Value>,
}

/// One end of a flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An address. The address of a pod means that pod.
    Address(IpAddr),
    /// A domain name outside the cluster; destination only.
    Domain(String),
}

/// IP family of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A new connection, after destination NAT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// Who opens it.
    pub from: End,
    /// To whom.
    pub to: End,
    /// `TCP`, `UDP`, `SCTP` or `ICMP`.
    pub protocol: String,
    /// Port on the destination pod; ignored for ICMP.
    pub port: u16,
    /// Which of their addresses the pods use.
    pub family: Family,
}

/// What becomes of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It passes.
    Allowed,
    /// It is dropped.
    Denied,
}

/// Why one direction decided as it did. Policies are `np/<namespace>/<name>` or `cnp/<name>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// This end is not a pod that policies apply to.
    Unmanaged,
    /// Policies cannot stop this flow: `self` or `own-node`.
    Exempt(String),
    /// All NetworkPolicy rules that match, sorted, or the one ClusterNetworkPolicy rule that
    /// decides; each with its index in its direction.
    Rules(Vec<(String, usize)>),
    /// These NetworkPolicies, sorted, isolate the pod and none has a rule that matches.
    Isolated(Vec<String>),
    /// Nothing applies.
    Default,
}

/// What one end's policies say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Half {
    /// Its verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

/// The whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Both halves must allow.
    pub verdict: Verdict,
    /// The policies of the source.
    pub egress: Half,
    /// The policies of the destination.
    pub ingress: Half,
}

/// Which of a pod's rules are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

/// What one direction's policies are asked.
#[derive(Clone, Copy)]
pub(crate) struct Question<'c> {
    pub(crate) cluster: &'c Cluster,
    pub(crate) flow: &'c Flow,
    pub(crate) direction: Direction,
    pub(crate) subject: &'c Party<'c>,
    pub(crate) peer: &'c Party<'c>,
    /// Subject or peer. Named ports are the destination's, whichever direction is asked.
    pub(crate) to: &'c Party<'c>,
}

/// Decides a flow, with reasons.
#[must_use]
pub fn decide(world: &World, flow: &Flow) -> Answer {
    let cluster = Cluster::read(world);
    let from = cluster.party(&flow.from, flow.family);
    let to = cluster.party(&flow.to, flow.family);
    let (cluster, exemption) = (&cluster, exemption(&cluster, &from, &to));
    let half = |direction, subject: &Party, peer| match (subject.pod, exemption) {
        (None, _) => Half { verdict: Verdict::Allowed, reason: Reason::Unmanaged },
        (_, Some(why)) => Half { verdict: Verdict::Allowed, reason: Reason::Exempt(why.into()) },
        _ => answer(Question { cluster, flow, direction, subject, peer, to: &to }),
    };
    let egress = half(Direction::Egress, &from, &to);
    let ingress = half(Direction::Ingress, &to, &from);
    // The concepts page: "For a connection from a source pod to a destination pod to be allowed, both
    // the egress policy on the source pod and the ingress policy on the destination pod need to allow
    // the connection."
    let denied = [&egress, &ingress].iter().any(|half| half.verdict == Verdict::Denied);
    Answer { verdict: if denied { Verdict::Denied } else { Verdict::Allowed }, egress, ingress }
}

/// Flows that no policy stops.
fn exemption(cluster: &Cluster, from: &Party, to: &Party) -> Option<&'static str> {
    let pod = to.pod?;
    match from.pod {
        // The concepts page: "a Pod cannot block access to itself".
        Some(from) => std::ptr::eq(from, pod).then_some("self"),
        //# "OR if the traffic source is the pod's local node"
        None => cluster.is_own_node(from, pod).then_some("own-node"),
    }
}

/// What the policies of the subject say.
fn answer(question: Question) -> Half {
    //# "Policy tiers are evaluated in the following order:
    //# * Admin tier
    //# * NetworkPolicy tier
    //# * Baseline tier"
    cluster_network_policy::tier("Admin", question)
        //# "v1.NetworkPolicy always makes a final decision for selected pods. Further evaluation only
        //# happens for Pods not selected by a v1.NetworkPolicy."
        .or_else(|| network_policy::tier(question))
        .or_else(|| cluster_network_policy::tier("Baseline", question))
        //# "If a given connection wasn't allowed or denied by any of the tiers, the default kubernetes
        //# policy is applied, which says that all pods can communicate with each other."
        .unwrap_or(Half { verdict: Verdict::Allowed, reason: Reason::Default })
}
