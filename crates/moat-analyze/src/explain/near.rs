//! The rules that come nearest to containing a flow, and exactly what each lacks.

use super::{FlowExplanation, halves};
use moat_ir::{
    Bound, ClauseIdx, Direction, End, HalfReason, PodInfo, SymClause, SymPeer, Then, Verdict,
};
use moat_sets::{Family, NamespaceTerm, PodTerm, Selector};
use std::net::IpAddr;

/// A rule that nearly contains the flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NearMiss {
    /// Which direction's rule.
    pub direction: Direction,
    /// The clause: a rule and one of its peers.
    pub clause: ClauseIdx,
    /// What is missing; never empty.
    pub lacks: Vec<Lack>,
}

/// One thing that keeps a rule from containing a flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lack {
    /// The peer's namespace is another.
    Namespace {
        /// The namespace the rule means.
        want: String,
        /// The peer's.
        found: String,
    },
    /// The peer's namespace lacks labels.
    NamespaceLabels {
        /// The namespace.
        namespace: String,
        /// Each unmet requirement, in words.
        unmet: Vec<String>,
    },
    /// The peer lacks labels.
    PodLabels {
        /// The peer.
        pod: String,
        /// Each unmet requirement, in words.
        unmet: Vec<String>,
    },
    /// The peer's address is outside the rule's.
    Address(String),
    /// The rule means another kind of peer.
    Kind(String),
    /// The port is not among the rule's.
    Port(String),
}

impl core::fmt::Display for Lack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Namespace { want, found } => write!(f, "namespace `{found}` is not `{want}`"),
            Self::NamespaceLabels { namespace, unmet } => {
                write!(f, "namespace `{namespace}`: {}", unmet.join(", "))
            }
            Self::PodLabels { pod, unmet } => write!(f, "{pod}: {}", unmet.join(", ")),
            Self::Address(text) | Self::Kind(text) | Self::Port(text) => f.write_str(text),
        }
    }
}

impl Lack {
    /// How far it keeps the rule away: one for each thing to change, more where the rule means something else altogether.
    fn weight(&self) -> usize {
        match self {
            Self::Namespace { .. } | Self::Port(_) => 2,
            Self::NamespaceLabels { unmet, .. } | Self::PodLabels { unmet, .. } => unmet.len(),
            Self::Address(_) => 3,
            Self::Kind(_) => 6,
        }
    }
}

/// How many near misses are told in each direction.
const NEAR_MAX: usize = 3;

pub(crate) fn nearest(bound: &Bound, flow: &FlowExplanation) -> Vec<NearMiss> {
    let mut out = Vec::new();
    for (direction, half) in halves(&flow.answer) {
        if half.verdict == Verdict::Allowed {
            continue;
        }
        let HalfReason::Isolated(policies) = &half.reason else { continue };
        let (subject, peer) = match direction {
            Direction::Egress => (&flow.flow.from, &flow.flow.to),
            Direction::Ingress => (&flow.flow.to, &flow.flow.from),
        };
        let mut misses: Vec<(usize, NearMiss)> = Vec::new();
        for &policy in policies.iter() {
            for (idx, clause) in bound
                .symbolic
                .clauses_of(policy, direction)
                .filter(|(_, clause)| clause.then == Then::Allow)
            {
                let lacks = lacks(bound, clause, direction, subject, peer, flow);
                if !lacks.is_empty() {
                    let weight = lacks.iter().map(Lack::weight).sum();
                    misses.push((weight, NearMiss { direction, clause: idx, lacks }));
                }
            }
        }
        misses.sort_by_key(|(weight, miss)| (*weight, miss.clause));
        let best = misses.first().map_or(0, |(weight, _)| *weight);
        // Rules much farther away than the nearest explain nothing.
        out.extend(
            misses
                .into_iter()
                .take_while(|(weight, _)| *weight <= best + 1)
                .take(NEAR_MAX)
                .map(|(_, miss)| miss),
        );
    }
    out
}

fn lacks(
    bound: &Bound,
    clause: &SymClause,
    direction: Direction,
    subject: &End,
    peer: &End,
    flow: &FlowExplanation,
) -> Vec<Lack> {
    let mut lacks = Vec::new();
    match (&clause.peer, peer) {
        (SymPeer::Everyone, _) => {}
        (SymPeer::Pods(term), End::Pod(pod)) => pod_lacks(term, bound.pod(*pod), &mut lacks),
        (SymPeer::Pods(term), _) => lacks
            .push(Lack::Kind(format!("the rule means {term}, not addresses outside the cluster"))),
        (SymPeer::Block(set) | SymPeer::Networks(set), End::Address(address))
            if !set.contains(*address) =>
        {
            lacks.push(Lack::Address(format!("{address} is not in {}", short(set))));
        }
        (SymPeer::Block(set) | SymPeer::Networks(set), End::Pod(pod)) => {
            let pod = bound.pod(*pod);
            // Only the address of the flow's family is in its packets.
            let own: Vec<IpAddr> = pod
                .addresses
                .iter()
                .copied()
                .filter(|&address| Family::of(address) == flow.flow.family)
                .collect();
            if pod.addresses.is_empty() {
                lacks.push(Lack::Address(format!(
                    "the address of {} is not known to be in {}",
                    pod.display,
                    short(set)
                )));
            } else if !own.iter().any(|&address| set.contains(address)) {
                let own: Vec<String> = own.iter().map(ToString::to_string).collect();
                lacks.push(Lack::Address(format!(
                    "{} of {} is not in {}",
                    own.join(" and "),
                    pod.display,
                    short(set)
                )));
            }
        }
        (SymPeer::Nobody, _) => {
            lacks.push(Lack::Kind("the rule's peer is invalid and matches no one".to_owned()));
        }
        (SymPeer::Nodes(selector), _) => {
            lacks.push(Lack::Kind(format!("the rule means nodes {selector}")));
        }
        (SymPeer::Domain(domain), _) => {
            lacks.push(Lack::Kind(format!("the rule means the domain {domain}")));
        }
        _ => {}
    }
    lacks.extend(port_lack(bound, clause, direction, subject, peer, flow));
    lacks
}

fn short(set: &moat_sets::AddrSet) -> String {
    let cidrs = set.cidrs();
    let mut names: Vec<String> = cidrs.iter().take(4).map(ToString::to_string).collect();
    if cidrs.len() > names.len() {
        names.push(format!("… {} more", cidrs.len() - names.len()));
    }
    names.join(" ")
}

fn pod_lacks(term: &PodTerm, pod: &PodInfo, lacks: &mut Vec<Lack>) {
    if pod.host_network {
        lacks.push(Lack::Kind(format!(
            "{} uses its node's network, so selectors do not see it",
            pod.display
        )));
        return;
    }
    match &term.namespaces {
        NamespaceTerm::Named(name) if *name != pod.namespace => {
            lacks
                .push(Lack::Namespace { want: name.to_string(), found: pod.namespace.to_string() });
        }
        NamespaceTerm::Matching(selector) if !selector.matches(&pod.namespace_labels) => {
            let unmet = unmet(selector, &pod.namespace_labels);
            lacks.push(Lack::NamespaceLabels { namespace: pod.namespace.to_string(), unmet });
        }
        _ => {}
    }
    if !term.pods.matches(&pod.labels) {
        lacks.push(Lack::PodLabels {
            pod: pod.display.to_string(),
            unmet: unmet(&term.pods, &pod.labels),
        });
    }
}

/// Each unmet requirement as words: `lacks env=prod (has env=dev)`.
fn unmet(selector: &Selector, labels: &moat_sets::Labels) -> Vec<String> {
    let words = |unmet: moat_sets::Unmet<'_>| match &unmet.found {
        Some(found) => {
            format!("lacks {} (has {}={found})", unmet.requirement, unmet.requirement.key)
        }
        None => format!("lacks {}", unmet.requirement),
    };
    selector.unmet(labels).into_iter().map(words).collect()
}

/// What is missing of the port, if it is not among the rule's.
fn port_lack(
    bound: &Bound,
    clause: &SymClause,
    direction: Direction,
    subject: &End,
    peer: &End,
    flow: &FlowExplanation,
) -> Option<Lack> {
    let point = flow.flow.point;
    if clause.ports.numbers.contains(point) {
        return None;
    }
    let destination = if direction == Direction::Ingress { subject } else { peer };
    let mut words = Vec::new();
    for (protocol, name) in &clause.ports.names {
        let End::Pod(pod) = destination else {
            words.push(format!("`{name}` is a port name, which addresses do not have"));
            continue;
        };
        let pod = bound.pod(*pod);
        let found = pod.ports.iter().filter(|(have, own, _)| {
            have.as_ref() == Some(name) && protocol.is_none_or(|protocol| protocol == *own)
        });
        let found: Vec<(moat_sets::Protocol, u16)> =
            found.map(|&(_, own, number)| (own, number)).collect();
        if found.contains(&(point.protocol, point.port)) {
            return None;
        }
        match found.first() {
            Some((own, number)) => {
                words.push(format!("`{name}` is {number}/{own} on {}", pod.display));
            }
            None => words.push(format!("{} has no port named `{name}`", pod.display)),
        }
    }
    if !clause.ports.numbers.is_empty() {
        words.push(format!("the rule has {}", clause.ports.numbers));
    }
    if words.is_empty() {
        words.push("none of them is valid".to_owned());
    }
    Some(Lack::Port(format!("port {point} is not among the rule's: {}", words.join("; "))))
}
