//! networking.k8s.io/v1 NetworkPolicy.

use crate::cluster::{Cluster, Party, has_named_port, name, namespace};
use crate::selector::selects;
use crate::{Direction, Half, Reason, Traffic, cidr};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::net::IpAddr;

/// The decision of all NetworkPolicies that select the pod for this direction; `None` if none does.
pub(crate) fn tier(
    cluster: &Cluster,
    direction: Direction,
    subject: &Pod,
    peer: &Party,
    traffic: Traffic,
) -> Option<Half> {
    let mut isolating = Vec::new();
    let mut matching = Vec::new();
    for policy in &cluster.network_policies {
        let id = format!("np/{}/{}", namespace(&policy.metadata), name(&policy.metadata));
        let spec = policy.spec.clone().unwrap_or_default();
        if !applies_to(policy, &spec, subject) || !affects(&spec, direction) {
            continue;
        }
        //# "Multiple network policies can select the same set of pods. In this case, the ingress rules for each are combined
        //# additively."
        for (index, (peers, ports)) in rules(&spec, direction).into_iter().enumerate() {
            //# "The traffic must match both ports and from."
            if matches_peers(cluster, policy, peers, peer) && matches_ports(ports, traffic) {
                matching.push((id.clone(), index));
            }
        }
        isolating.push(id);
    }
    isolating.sort();
    matching.sort();
    //# "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod (and cluster policy otherwise allows the traffic),
    //# OR if the traffic source is the pod's local node, OR if the traffic matches at least one ingress rule across all of the
    //# NetworkPolicy objects whose podSelector matches the pod."
    match (isolating.is_empty(), matching.is_empty()) {
        (true, _) => None,
        (false, false) => Some(Half::allowed(Reason::Rules(matching))),
        (false, true) => Some(Half::denied(Reason::Isolated(isolating))),
    }
}

fn applies_to(policy: &NetworkPolicy, spec: &NetworkPolicySpec, pod: &Pod) -> bool {
    //# "An empty selector matches all pods in the policy's namespace. ... This field is optional. If it is not specified, it defaults
    //# to an empty selector."
    let selector = spec.pod_selector.clone().unwrap_or_default();
    namespace(&policy.metadata) == namespace(&pod.metadata)
        && selects(&selector, &Cluster::pod_labels(pod))
}

fn affects(spec: &NetworkPolicySpec, direction: Direction) -> bool {
    let types = spec.policy_types.clone().unwrap_or_default();
    if !types.is_empty() {
        //# "Valid options are ["Ingress"], ["Egress"], or ["Ingress", "Egress"]."
        return types.iter().any(|listed| *listed == format!("{direction:?}"));
    }
    //# "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that contain an
    //# egress section are assumed to affect egress, and all policies (whether or not they contain an ingress section) are assumed to
    //# affect ingress."
    match direction {
        Direction::Ingress => true,
        // pkg/apis/networking/v1/defaults.go takes "contain an egress section" as `len(obj.Spec.Egress) != 0`.
        Direction::Egress => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
    }
}

/// Peers and ports of each rule; an absent list is an empty one.
fn rules(
    spec: &NetworkPolicySpec,
    direction: Direction,
) -> Vec<(&[NetworkPolicyPeer], &[NetworkPolicyPort])> {
    //# "If this field is empty then this NetworkPolicy does not allow any traffic (and serves solely to ensure that the pods it selects
    //# are isolated by default)"
    match direction {
        Direction::Ingress => spec
            .ingress
            .iter()
            .flatten()
            .map(|rule| {
                (
                    rule.from.as_deref().unwrap_or_default(),
                    rule.ports.as_deref().unwrap_or_default(),
                )
            })
            .collect(),
        Direction::Egress => spec
            .egress
            .iter()
            .flatten()
            .map(|rule| {
                (rule.to.as_deref().unwrap_or_default(), rule.ports.as_deref().unwrap_or_default())
            })
            .collect(),
    }
}

fn matches_peers(
    cluster: &Cluster,
    policy: &NetworkPolicy,
    peers: &[NetworkPolicyPeer],
    peer: &Party,
) -> bool {
    //# "Items in this list are combined using a logical OR operation. If this field is empty or missing, this rule matches all sources
    //# (traffic not restricted by source)."
    peers.is_empty() || peers.iter().any(|listed| matches_peer(cluster, policy, listed, peer))
}

fn matches_peer(
    cluster: &Cluster,
    policy: &NetworkPolicy,
    listed: &NetworkPolicyPeer,
    peer: &Party,
) -> bool {
    match (&listed.ip_block, &listed.namespace_selector, &listed.pod_selector) {
        (Some(block), None, None) => peer.address.is_some_and(|address| in_block(block, address)),
        //# "If this field is set then neither of the other fields can be."
        (Some(_), _, _) => false,
        // Validation: "must specify a peer".
        (None, None, None) => false,
        (None, namespaces, pods) => peer.pod.is_some_and(|pod| {
            let by_namespace = match namespaces {
                //# "If podSelector is also set, then the NetworkPolicyPeer as a whole selects the pods matching podSelector in the
                //# namespaces selected by namespaceSelector. Otherwise it selects all pods in the namespaces selected by
                //# namespaceSelector."
                Some(selector) => selects(selector, &cluster.namespace_labels(pod)),
                //# "Otherwise it selects the pods matching podSelector in the policy's own namespace."
                None => namespace(&pod.metadata) == namespace(&policy.metadata),
            };
            by_namespace
                && pods.as_ref().is_none_or(|selector| selects(selector, &Cluster::pod_labels(pod)))
        }),
    }
}

fn in_block(block: &IPBlock, address: IpAddr) -> bool {
    //# "The except entry describes CIDRs that should not be included within this rule."
    let excepted = |except: &String| cidr::holds(except, address) != Some(false);
    cidr::holds(&block.cidr, address) == Some(true) && !block.except.iter().flatten().any(excepted)
}

fn matches_ports(ports: &[NetworkPolicyPort], traffic: Traffic) -> bool {
    //# "Each item in this list is combined using a logical OR. If this field is empty or missing, this rule matches all ports (traffic
    //# not restricted by port)."
    ports.is_empty() || ports.iter().any(|listed| matches_port(listed, traffic))
}

fn matches_port(listed: &NetworkPolicyPort, traffic: Traffic) -> bool {
    //# "protocol represents the protocol (TCP, UDP, or SCTP) which traffic must match. If not specified, this field defaults to TCP."
    let protocol = listed.protocol.as_deref().unwrap_or("TCP");
    if traffic.protocol != protocol || traffic.protocol == "ICMP" {
        return false;
    }
    match (&listed.port, listed.end_port) {
        //# "If this field is not provided, this matches all port names and numbers."
        (None, None) => true,
        (Some(IntOrString::Int(port)), None) => i32::from(traffic.port) == *port,
        //# "endPort indicates that the range of ports from port to endPort if set, inclusive, should be allowed by the policy."
        (Some(IntOrString::Int(port)), Some(end)) => {
            (*port..=end).contains(&i32::from(traffic.port))
        }
        //# "This can either be a numerical or named port on a pod."
        (Some(IntOrString::String(called)), None) => {
            traffic.to.pod.is_some_and(|pod| has_named_port(pod, called, protocol, traffic.port))
        }
        //# "This field cannot be defined if the port field is not defined or if the port field is defined as a named (string) port."
        (None | Some(IntOrString::String(_)), Some(_)) => false,
    }
}
