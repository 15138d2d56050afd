//! networking.k8s.io/v1 NetworkPolicy.

use crate::cluster::{Cluster, Party, has_named_port, name, namespace};
use crate::selector::selects;
use crate::{Direction, Half, Reason, Traffic, cidr};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::net::IpAddr;

type Peers = Vec<NetworkPolicyPeer>;
type Ports = Vec<NetworkPolicyPort>;

/// The decision of all NetworkPolicies that select the pod for this direction; `None` if none does.
pub(crate) fn tier(
    cluster: &Cluster,
    direction: Direction,
    subject: &Party,
    peer: &Party,
    traffic: Traffic,
) -> Option<Half> {
    let pod = subject.pod?;
    let mut isolating = Vec::new();
    let mut matching = Vec::new();
    for policy in &cluster.network_policies {
        let own = namespace(&policy.metadata);
        let spec = policy.spec.clone().unwrap_or_default();
        //# "An empty selector matches all pods in the policy's namespace."
        //# "This field is optional. If it is not specified, it defaults to an empty selector."
        let selector = spec.pod_selector.clone().unwrap_or_default();
        let selected = selects(&selector, &Cluster::pod_labels(pod));
        if own != namespace(&pod.metadata) || !selected || !affects(&spec, direction) {
            continue;
        }
        let id = format!("np/{own}/{}", name(&policy.metadata));
        for (index, (peers, ports)) in rules(&spec, direction).into_iter().enumerate() {
            //# "Items in this list are combined using a logical OR operation. If this field is empty
            //# or missing, this rule matches all sources (traffic not restricted by source)."
            let by_peer =
                peers.is_empty() || peers.iter().any(|it| matches_peer(cluster, own, it, peer));
            //# "Each item in this list is combined using a logical OR. If this field is empty or
            //# missing, this rule matches all ports (traffic not restricted by port)."
            let by_port = ports.is_empty() || ports.iter().any(|it| matches_port(it, traffic));
            //# "The traffic must match both ports and from."
            if by_peer && by_port {
                matching.push((id.clone(), index));
            }
        }
        isolating.push(id);
    }
    isolating.sort();
    matching.sort();
    //# "Multiple network policies can select the same set of pods. In this case, the ingress rules for
    //# each are combined additively."
    //# "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod (and cluster policy otherwise allows the traffic),
    //# OR if the traffic source is the pod's local node, OR if the traffic matches at least one ingress rule across all of the
    //# NetworkPolicy objects whose podSelector matches the pod."
    match (isolating.is_empty(), matching.is_empty()) {
        (true, _) => None,
        (false, false) => Some(Half::allowed(Reason::Rules(matching))),
        (false, true) => Some(Half::denied(Reason::Isolated(isolating))),
    }
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

/// The peers and ports of each rule; an absent list is an empty one.
fn rules(spec: &NetworkPolicySpec, direction: Direction) -> Vec<(Peers, Ports)> {
    //# "If this field is empty then this NetworkPolicy does not allow any traffic (and serves solely
    //# to ensure that the pods it selects are isolated by default)"
    let (ingress, egress) = (spec.ingress.clone(), spec.egress.clone());
    let ingress = ingress.into_iter().flatten().map(|rule| (rule.from, rule.ports));
    let egress = egress.into_iter().flatten().map(|rule| (rule.to, rule.ports));
    let lists: Vec<_> = match direction {
        Direction::Ingress => ingress.collect(),
        Direction::Egress => egress.collect(),
    };
    let given = |(peers, ports): (Option<_>, Option<_>)| {
        (peers.unwrap_or_default(), ports.unwrap_or_default())
    };
    lists.into_iter().map(given).collect()
}

/// Whether an entry of `from` or `to`, in a policy of namespace `own`, is this peer.
fn matches_peer(cluster: &Cluster, own: &str, listed: &NetworkPolicyPeer, peer: &Party) -> bool {
    let by_pod =
        |selector| peer.pod.is_some_and(|pod| selects(selector, &Cluster::pod_labels(pod)));
    let by_namespace =
        |selector| peer.pod.is_some_and(|pod| selects(selector, &cluster.namespace_labels(pod)));
    match (&listed.ip_block, &listed.namespace_selector, &listed.pod_selector) {
        (Some(block), None, None) => peer.address.is_some_and(|address| in_block(block, address)),
        //# "If podSelector is also set, then the NetworkPolicyPeer as a whole selects the pods
        //# matching podSelector in the namespaces selected by namespaceSelector."
        (None, Some(namespaces), Some(pods)) => by_namespace(namespaces) && by_pod(pods),
        //# "Otherwise it selects all pods in the namespaces selected by namespaceSelector."
        (None, Some(namespaces), None) => by_namespace(namespaces),
        //# "Otherwise it selects the pods matching podSelector in the policy's own namespace."
        (None, None, Some(pods)) => {
            peer.pod.is_some_and(|pod| namespace(&pod.metadata) == own) && by_pod(pods)
        }
        // Validation: "must specify a peer".
        (None, None, None) => false,
        //# "If this field is set then neither of the other fields can be."
        (Some(_), _, _) => false,
    }
}

fn in_block(block: &IPBlock, address: IpAddr) -> bool {
    //# "The except entry describes CIDRs that should not be included within this rule."
    let excepted = |except: &String| cidr::holds(except, address) != Some(false);
    cidr::holds(&block.cidr, address) == Some(true) && !block.except.iter().flatten().any(excepted)
}

fn matches_port(listed: &NetworkPolicyPort, traffic: Traffic) -> bool {
    //# "protocol represents the protocol (TCP, UDP, or SCTP) which traffic must match. If not specified, this field defaults to TCP."
    if traffic.protocol != listed.protocol.as_deref().unwrap_or("TCP") || traffic.protocol == "ICMP"
    {
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
        (Some(IntOrString::String(called)), None) => has_named_port(called, traffic),
        //# "This field cannot be defined if the port field is not defined or if the port field is defined as a named (string) port."
        (None | Some(IntOrString::String(_)), Some(_)) => false,
    }
}
