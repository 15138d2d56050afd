//! policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy; quotes are of
//! `apis/v1alpha2/clusternetworkpolicy_types.go`.

use crate::cluster::{Party, has_named_port, name};
use crate::selector::Selector;
use crate::{Direction, Half, Question, Reason, Verdict, cidr};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;
use std::net::Ipv4Addr;

#[derive(Deserialize)]
pub(crate) struct ClusterNetworkPolicy {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    tier: String,
    priority: i32,
    subject: Peer,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

/// A rule. Peers and protocols are read later, because what is unknown in them has a meaning.
#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    action: String,
    #[serde(alias = "to")]
    from: Option<Vec<Value>>,
    protocols: Option<Vec<Value>>,
}

/// A subject or a peer.
//# "Exactly one of the fields must be set for a given peer"
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Peer {
    Namespaces(Selector),
    #[serde(rename_all = "camelCase")]
    Pods {
        #[serde(default)]
        namespace_selector: Selector,
        pod_selector: Selector,
    },
    Nodes(Selector),
    Networks(Vec<String>),
    DomainNames(Vec<String>),
}

//# "Exactly one field must be set."
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Protocol {
    Tcp { destination_port: Option<Port> },
    Udp { destination_port: Option<Port> },
    Sctp { destination_port: Option<Port> },
    DestinationNamedPort(String),
}

//# "You must specify either Port or Range."
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Port {
    Number(i32),
    Range { start: i32, end: i32 },
}

/// The decision of one tier on a pod's traffic; `None` if it makes none.
pub(crate) fn tier(called: &str, question: Question) -> Option<Half> {
    let applies = |policy: &&ClusterNetworkPolicy| {
        let Spec { tier, subject, .. } = &policy.spec;
        //# "Note that host-networked pods are not included in subject selection."
        let known = subject.is_known(Direction::Ingress, "");
        tier == called && known && subject.matches(question, question.subject)
    };
    let mut policies: Vec<_> =
        question.cluster.cluster_network_policies.iter().filter(applies).collect();
    //# "Policies with lower priority values have higher precedence, and are checked before policies
    //# with higher priority values in the same tier."
    //# "... the implementation can apply any of the matching policies to the connection ..."
    // Moat takes the first by name.
    policies.sort_by_key(|policy| (policy.spec.priority, name(&policy.metadata)));
    for policy in policies {
        let Spec { ingress, egress, .. } = &policy.spec;
        let rules = if question.direction == Direction::Ingress { ingress } else { egress };
        //# "The relative precedence of ingress rules within a single CNP object (all of which share
        //# the priority) will be determined by the order in which the rule is written."
        //# "CNPs with no ingress rules do not affect ingress traffic."
        for (index, rule) in rules.iter().flatten().enumerate() {
            let reason = Reason::Rules(vec![(format!("cnp/{}", name(&policy.metadata)), index)]);
            //# "If any element matches the source of incoming traffic then the specified action is
            //# applied."
            //# "If unspecified, protocol-specific attributes will not be used to match traffic."
            let matches = rule.read(question.direction).map(|(peers, protocols)| {
                let by_peer = peers.iter().any(|it| it.matches(question, question.peer));
                by_peer && (protocols.is_empty() || protocols.iter().any(|it| it.matches(question)))
            });
            match (matches, rule.action.as_str()) {
                //# "For "Accept" rules, "fail closed" means: "treat the rule as matching no
                //# traffic". For "Deny" and "Pass" rules, "fail closed" means: "treat the rule as a
                //# 'Deny all' rule"."
                (Some(false), _) | (None, "Accept") => {}
                //# "Accept: Accepts the selected traffic ... No further ingress ClusterNetworkPolicy
                //# or NetworkPolicy rules will be processed."
                (Some(true), "Accept") => return Some(Half { verdict: Verdict::Allowed, reason }),
                //# "Pass: Skips all further ClusterNetworkPolicy rules in the current tier for the
                //# selected traffic, and passes evaluation to the next tier."
                (Some(true), "Pass") => return None,
                //# "Deny: Drops the selected traffic."
                // The text says nothing of an unknown action; it is taken as Deny.
                (Some(true) | None, _) => return Some(Half { verdict: Verdict::Denied, reason }),
            }
        }
    }
    None
}

/// Whether the pattern names the domain. Neither case nor a final dot counts.
fn matches_domain(pattern: &str, domain: &str) -> bool {
    let plain = |text: &str| text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let (pattern, domain) = (plain(pattern), plain(domain));
    match pattern.strip_prefix('*') {
        //# "'*', the wildcard specifier, matches one or more entire labels. It does not support
        //# partial matches."
        Some(suffix) => domain.len() > suffix.len() && domain.ends_with(suffix),
        //# "`kubernetes.io` matches only `kubernetes.io`."
        None => domain == pattern,
    }
}

// === impl Rule ===

impl Rule {
    /// The peers and protocols; `None` if any cannot be understood. The text says this of peers
    /// only; an unknown protocol is taken likewise.
    fn read(&self, direction: Direction) -> Option<(Vec<Peer>, Vec<Protocol>)> {
        //# "If an implementation sees no fields are set then it can infer that the deployed CRD is of
        //# an incompatible version with an unknown field. In that case it should fail closed."
        let known = |peer: &Peer| peer.is_known(direction, &self.action);
        let peers = self.from.iter().flatten().map(|it| Peer::deserialize(it).ok().filter(known));
        let peers: Vec<Peer> = peers.collect::<Option<_>>()?;
        let protocols = self.protocols.iter().flatten().map(|it| Protocol::deserialize(it).ok());
        //# "This field must be defined and contain at least one item."
        if peers.is_empty() { None } else { Some((peers, protocols.collect::<Option<_>>()?)) }
    }
}

// === impl Peer ===

impl Peer {
    /// Whether a rule of this direction and action may have such a peer.
    fn is_known(&self, direction: Direction, action: &str) -> bool {
        let is_cidr = |it: &String| cidr::holds(it, Ipv4Addr::UNSPECIFIED.into()).is_some();
        match self {
            Self::Namespaces(_) | Self::Pods { .. } => true,
            _ if direction == Direction::Ingress => false,
            Self::Nodes(_) => true,
            Self::Networks(cidrs) => !cidrs.is_empty() && cidrs.iter().all(is_cidr),
            //# "DomainNames is only supported for Accept rules."
            Self::DomainNames(names) => !names.is_empty() && action == "Accept",
        }
    }

    fn matches(&self, question: Question, peer: &Party) -> bool {
        let cluster = question.cluster;
        let held =
            |cidr: &String| peer.address.is_some_and(|it| cidr::holds(cidr, it) == Some(true));
        let named = |pattern: &String| peer.domain.is_some_and(|it| matches_domain(pattern, it));
        match self {
            //# "Namespaces defines a way to select all pods within a set of Namespaces. Note that
            //# host-networked pods are not included in this type of peer."
            Self::Namespaces(it) => cluster.is_pod(peer, it, &Selector::default()),
            //# "NamespaceSelector follows standard label selector semantics; if empty, it selects
            //# all Namespaces."
            //# "PodSelector is used to explicitly select pods within a namespace; if empty, it
            //# selects all Pods."
            Self::Pods { namespace_selector: of, pod_selector: it } => cluster.is_pod(peer, of, it),
            //# "Nodes defines a way to select a set of nodes in the cluster (based on the node's
            //# labels)."
            Self::Nodes(it) => cluster.is_node(peer, it),
            //# "note that cluster-internal traffic will be checked against the rule as well"
            Self::Networks(cidrs) => cidrs.iter().any(held),
            //# "DomainName can be an exact match, or use the wildcard specifier '*' to match one or
            //# more labels."
            Self::DomainNames(patterns) => patterns.iter().any(named),
        }
    }
}

// === impl Protocol ===

impl Protocol {
    fn matches(&self, question: Question) -> bool {
        let number = i32::from(question.flow.port);
        let (protocol, port) = match self {
            Self::Tcp { destination_port: port } => ("TCP", port),
            Self::Udp { destination_port: port } => ("UDP", port),
            Self::Sctp { destination_port: port } => ("SCTP", port),
            //# "DestinationNamedPort selects a destination port on a pod based on the ContainerPort
            //# name."
            Self::DestinationNamedPort(called) => return has_named_port(called, question),
        };
        protocol == question.flow.protocol
            && match *port {
                None => true,
                Some(Port::Number(listed)) => listed == number,
                //# "PortRange defines an inclusive range of ports from the assigned Start value to
                //# End value."
                Some(Port::Range { start, end }) => (start..=end).contains(&number),
            }
    }
}
