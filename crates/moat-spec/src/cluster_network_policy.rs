//! policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy; quotes are of `apis/v1alpha2/clusternetworkpolicy_types.go`.

use crate::cluster::{Cluster, Party, has_named_port, name};
use crate::selector::selects;
use crate::{Direction, Half, Reason, Traffic, cidr};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};

#[derive(Deserialize)]
pub(crate) struct ClusterNetworkPolicy {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    tier: String,
    priority: i32,
    subject: Subject,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
struct Subject {
    namespaces: Option<LabelSelector>,
    pods: Option<NamespacedPod>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NamespacedPod {
    namespace_selector: LabelSelector,
    pod_selector: LabelSelector,
}

/// A rule. Peers and protocols are read later, because what is unknown in them has a meaning.
#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    action: String,
    from: Option<Vec<Value>>,
    to: Option<Vec<Value>>,
    protocols: Option<Vec<Value>>,
}

/// One peer; exactly one field is set.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    namespaces: Option<LabelSelector>,
    pods: Option<NamespacedPod>,
    nodes: Option<LabelSelector>,
    networks: Option<Vec<String>>,
    domain_names: Option<Vec<String>>,
}

/// One protocol; exactly one field is set.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protocol {
    tcp: Option<PortMatch>,
    udp: Option<PortMatch>,
    sctp: Option<PortMatch>,
    destination_named_port: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortMatch {
    destination_port: Option<Port>,
}

#[derive(Deserialize)]
struct Port {
    number: Option<i32>,
    range: Option<PortRange>,
}

#[derive(Deserialize)]
struct PortRange {
    start: i32,
    end: i32,
}

/// The decision of one tier; `None` if it makes none.
pub(crate) fn tier(
    called: &str,
    cluster: &Cluster,
    direction: Direction,
    subject: &Pod,
    peer: &Party,
    traffic: Traffic,
) -> Option<Half> {
    let all = cluster.cluster_network_policies.iter();
    let mut policies: Vec<_> = all
        .filter(|policy| policy.spec.tier == called && policy.applies_to(cluster, subject))
        .collect();
    //# "Policies with lower priority values have higher precedence, and are checked before policies with higher priority values in the
    //# same tier." "... the implementation can apply any of the matching policies ..." Moat: by name.
    policies.sort_by_key(|policy| (policy.spec.priority, name(&policy.metadata)));
    for policy in policies {
        //# "The relative precedence of ingress rules within a single CNP object (all of which share the priority) will be determined by
        //# the order in which the rule is written. Thus, a rule that appears at the top of the ingress rules would take the highest
        //# precedence." "CNPs with no ingress rules do not affect ingress traffic."
        let rules = match direction {
            Direction::Ingress => &policy.spec.ingress,
            Direction::Egress => &policy.spec.egress,
        };
        for (index, rule) in rules.iter().flatten().enumerate() {
            let reason = Reason::Rules(vec![(format!("cnp/{}", name(&policy.metadata)), index)]);
            let Some((peers, protocols)) = rule.read(direction) else {
                //# "For "Accept" rules, "fail closed" means: "treat the rule as matching no traffic". For "Deny" and "Pass" rules, "fail
                //# closed" means: "treat the rule as a 'Deny all' rule"."
                if rule.action == "Accept" {
                    continue;
                }
                return Some(Half::denied(reason));
            };
            //# "If any element matches the source of incoming traffic then the specified action is applied." "If unspecified,
            //# protocol-specific attributes will not be used to match traffic."
            let by_peer = peers.iter().any(|listed| listed.matches(cluster, peer));
            if !by_peer
                || !(protocols.is_empty() || protocols.iter().any(|listed| listed.matches(traffic)))
            {
                continue;
            }
            return match rule.action.as_str() {
                //# "Accept: ... No further ingress ClusterNetworkPolicy or NetworkPolicy rules will be processed."
                "Accept" => Some(Half::allowed(reason)),
                //# "Pass: Skips all further ClusterNetworkPolicy rules in the current tier for the selected traffic, and passes evaluation
                //# to the next tier."
                "Pass" => None,
                //# "Deny: Drops the selected traffic." The text says nothing of an unknown action; fail closed.
                _ => Some(Half::denied(reason)),
            };
        }
    }
    None
}

/// Whether these selectors select the pod by its namespace and itself.
fn selects_pod(
    cluster: &Cluster,
    namespaces: Option<&LabelSelector>,
    pods: Option<&NamespacedPod>,
    pod: &Pod,
) -> bool {
    match (namespaces, pods) {
        //# "Namespaces defines a way to select all pods within a set of Namespaces."
        (Some(selector), None) => selects(selector, &cluster.namespace_labels(pod)),
        //# "NamespaceSelector follows standard label selector semantics; if empty, it selects all Namespaces." "PodSelector is used to
        //# explicitly select pods within a namespace; if empty, it selects all Pods."
        (None, Some(both)) => {
            selects(&both.namespace_selector, &cluster.namespace_labels(pod))
                && selects(&both.pod_selector, &Cluster::pod_labels(pod))
        }
        //# "Exactly one field must be set."
        _ => false,
    }
}

/// Whether the pattern names the domain. Names are compared without case and without the final dot.
fn matches_domain(pattern: &str, domain: &str) -> bool {
    let plain = |text: &str| text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let (pattern, domain) = (plain(pattern), plain(domain));
    match pattern.strip_prefix('*') {
        //# "'*', the wildcard specifier, matches one or more entire labels. It does not support partial matches."
        Some(suffix) => domain.len() > suffix.len() && domain.ends_with(suffix),
        //# "`kubernetes.io` matches only `kubernetes.io`."
        None => domain == pattern,
    }
}

// === impl ClusterNetworkPolicy ===

impl ClusterNetworkPolicy {
    /// The caller asks only for pods that do not use the host's network.
    fn applies_to(&self, cluster: &Cluster, pod: &Pod) -> bool {
        //# "Note that host-networked pods are not included in subject selection."
        selects_pod(
            cluster,
            self.spec.subject.namespaces.as_ref(),
            self.spec.subject.pods.as_ref(),
            pod,
        )
    }
}

// === impl Rule ===

impl Rule {
    /// The peers and protocols; `None` if any cannot be understood.
    fn read(&self, direction: Direction) -> Option<(Vec<Peer>, Vec<Protocol>)> {
        //# "This field must be defined and contain at least one item."
        let peers = match direction {
            Direction::Ingress => self.from.as_ref()?,
            Direction::Egress => self.to.as_ref()?,
        };
        let read = |listed| {
            Peer::deserialize(listed).ok().filter(|peer| peer.is_known(direction, &self.action))
        };
        let peers: Vec<Peer> = peers.iter().map(read).collect::<Option<_>>()?;
        let read = |listed| Protocol::deserialize(listed).ok().filter(Protocol::is_known);
        let protocols = self.protocols.iter().flatten().map(read).collect::<Option<_>>()?;
        if peers.is_empty() { None } else { Some((peers, protocols)) }
    }
}

// === impl Peer ===

impl Peer {
    fn is_known(&self, direction: Direction, action: &str) -> bool {
        //# "Exactly one of the fields must be set for a given peer ... If an implementation sees no fields are set then it can infer that
        //# the deployed CRD is of an incompatible version with an unknown field. In that case it should fail closed."
        let of_pods = [self.namespaces.is_some(), self.pods.is_some()];
        let set = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let of_egress = [self.nodes.is_some(), set(&self.networks), set(&self.domain_names)];
        let one = of_pods.iter().chain(&of_egress).filter(|set| **set).count() == 1;
        let known_here = direction == Direction::Egress || of_egress == [false; 3];
        let is_cidr =
            |text: &String| cidr::holds(text, IpAddr::V4(Ipv4Addr::UNSPECIFIED)).is_some();
        //# "DomainNames is only supported for Accept rules."
        let supported = self.domain_names.is_none() || action == "Accept";
        one && known_here && supported && self.networks.iter().flatten().all(is_cidr)
    }

    fn matches(&self, cluster: &Cluster, peer: &Party) -> bool {
        //# "Note that host-networked pods are not included in this type of peer."
        if peer.pod.is_some_and(|pod| {
            selects_pod(cluster, self.namespaces.as_ref(), self.pods.as_ref(), pod)
        }) {
            return true;
        }
        //# "Nodes defines a way to select a set of nodes in the cluster (based on the node's labels)."
        let by_node =
            self.nodes.as_ref().is_some_and(|selector| cluster.is_selected_node(peer, selector));
        //# "... note that cluster-internal traffic will be checked against the rule as well."
        let in_network = |network: &String| {
            peer.address.is_some_and(|address| cidr::holds(network, address) == Some(true))
        };
        let is_named =
            |pattern: &String| peer.domain.is_some_and(|domain| matches_domain(pattern, domain));
        by_node
            || self.networks.iter().flatten().any(in_network)
            || self.domain_names.iter().flatten().any(is_named)
    }
}

// === impl Protocol ===

impl Protocol {
    /// The text says nothing of an unknown protocol; it is taken like an unknown peer.
    fn is_known(&self) -> bool {
        //# "Exactly one field must be set." "You must specify either Port or Range."
        let numbered = [&self.tcp, &self.udp, &self.sctp];
        let n_set = numbered.iter().filter(|field| field.is_some()).count()
            + usize::from(self.destination_named_port.is_some());
        let mut ports =
            numbered.into_iter().flatten().filter_map(|field| field.destination_port.as_ref());
        n_set == 1 && ports.all(|port| port.number.is_some() != port.range.is_some())
    }

    fn matches(&self, traffic: Traffic) -> bool {
        //# "DestinationNamedPort selects a destination port on a pod based on the ContainerPort name."
        if let Some(called) = &self.destination_named_port {
            let has_port = |pod| has_named_port(pod, called, traffic.protocol, traffic.port);
            return traffic.to.pod.is_some_and(has_port);
        }
        let attributes = match traffic.protocol {
            "TCP" => &self.tcp,
            "UDP" => &self.udp,
            "SCTP" => &self.sctp,
            _ => &None,
        };
        let number = i32::from(traffic.port);
        attributes.as_ref().is_some_and(|attributes| match &attributes.destination_port {
            None => true,
            //# "PortRange defines an inclusive range of ports from the assigned Start value to End value."
            Some(Port { range: Some(range), .. }) => (range.start..=range.end).contains(&number),
            Some(port) => port.number == Some(number),
        })
    }
}
