//! networking.k8s.io/v1 NetworkPolicy.

use crate::cluster::{has_named_port, name, namespace};
use crate::selector::{Selector, selects};
use crate::{Direction, Half, Question, Reason, Verdict, cidr};
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::api::networking::v1::{NetworkPolicyIngressRule as Rule, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::net::IpAddr;

/// The decision of all NetworkPolicies that select the pod for this direction; `None` if none does.
pub(crate) fn tier(question: Question) -> Option<Half> {
    let pod = question.subject.pod?;
    let (mut isolating, mut matching) = (Vec::new(), Vec::new());
    for policy in &question.cluster.network_policies {
        let own = namespace(&policy.metadata);
        let spec = policy.spec.clone().unwrap_or_default();
        //# "An empty selector matches all pods in the policy's namespace."
        //# "This field is optional. If it is not specified, it defaults to an empty selector."
        let selector = spec.pod_selector.clone().unwrap_or_default();
        let selected = selects(&selector, pod.metadata.labels.as_ref());
        if own != namespace(&pod.metadata) || !selected || !affects(&spec, question.direction) {
            continue;
        }
        let id = format!("np/{own}/{}", name(&policy.metadata));
        for (index, rule) in rules(spec, question.direction).into_iter().enumerate() {
            let peers = rule.from.unwrap_or_default();
            let ports = rule.ports.unwrap_or_default();
            //# "Items in this list are combined using a logical OR operation. If this field is empty
            //# or missing, this rule matches all sources (traffic not restricted by source)."
            let by_peer =
                peers.is_empty() || peers.iter().any(|it| matches_peer(it, own, question));
            //# "Each item in this list is combined using a logical OR. If this field is empty or
            //# missing, this rule matches all ports (traffic not restricted by port)."
            let by_port = ports.is_empty() || ports.iter().any(|it| matches_port(it, question));
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
    //# "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod (and cluster
    //# policy otherwise allows the traffic), OR if the traffic source is the pod's local node, OR if
    //# the traffic matches at least one ingress rule across all of the NetworkPolicy objects whose
    //# podSelector matches the pod."
    let half = |verdict, reason| Some(Half { verdict, reason });
    match (isolating.is_empty(), matching.is_empty()) {
        (true, _) => None,
        (false, false) => half(Verdict::Allowed, Reason::Rules(matching)),
        (false, true) => half(Verdict::Denied, Reason::Isolated(isolating)),
    }
}

fn affects(spec: &NetworkPolicySpec, direction: Direction) -> bool {
    match (spec.policy_types.as_deref().unwrap_or_default(), direction) {
        //# "If this field is not specified, it will default based on the existence of ingress or egress
        //# rules; policies that contain an egress section are assumed to affect egress, and all policies
        //# (whether or not they contain an ingress section) are assumed to affect ingress."
        ([], Direction::Ingress) => true,
        // pkg/apis/networking/v1/defaults.go reads this as `len(obj.Spec.Egress) != 0`.
        ([], Direction::Egress) => spec.egress.iter().flatten().next().is_some(),
        //# "Valid options are ["Ingress"], ["Egress"], or ["Ingress", "Egress"]."
        (types, _) => types.iter().any(|listed| *listed == format!("{direction:?}")),
    }
}

/// The rules of one direction; `to` is as `from`.
fn rules(spec: NetworkPolicySpec, direction: Direction) -> Vec<Rule> {
    //# "If this field is empty then this NetworkPolicy does not allow any traffic (and serves solely
    //# to ensure that the pods it selects are isolated by default)"
    let egress = spec.egress.into_iter().flatten().map(|it| Rule { from: it.to, ports: it.ports });
    let is_ingress = direction == Direction::Ingress;
    if is_ingress { spec.ingress.unwrap_or_default() } else { egress.collect() }
}

/// Whether an entry of `from` or `to`, in a policy of namespace `own`, is the peer.
fn matches_peer(listed: &NetworkPolicyPeer, own: &str, question: Question) -> bool {
    let Question { cluster, peer, .. } = question;
    let all = Selector::default();
    let is_own = peer.pod.is_some_and(|pod| namespace(&pod.metadata) == own);
    match (&listed.ip_block, &listed.namespace_selector, &listed.pod_selector) {
        (Some(block), None, None) => peer.address.is_some_and(|address| in_block(block, address)),
        //# "If podSelector is also set, then the NetworkPolicyPeer as a whole selects the pods
        //# matching podSelector in the namespaces selected by namespaceSelector."
        (None, Some(namespaces), Some(pods)) => cluster.is_pod(peer, namespaces, pods),
        //# "Otherwise it selects all pods in the namespaces selected by namespaceSelector."
        (None, Some(namespaces), None) => cluster.is_pod(peer, namespaces, &all),
        //# "Otherwise it selects the pods matching podSelector in the policy's own namespace."
        (None, None, Some(pods)) => is_own && cluster.is_pod(peer, &all, pods),
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

fn matches_port(listed: &NetworkPolicyPort, question: Question) -> bool {
    let number = i32::from(question.flow.port);
    //# "protocol represents the protocol (TCP, UDP, or SCTP) which traffic must match. If not
    //# specified, this field defaults to TCP."
    let protocol = listed.protocol.as_deref().unwrap_or("TCP");
    protocol == question.flow.protocol
        && protocol != "ICMP"
        && match (&listed.port, listed.end_port) {
            //# "If this field is not provided, this matches all port names and numbers."
            (None, None) => true,
            (Some(IntOrString::Int(port)), None) => *port == number,
            //# "endPort indicates that the range of ports from port to endPort if set, inclusive,
            //# should be allowed by the policy."
            (Some(IntOrString::Int(port)), Some(end)) => (*port..=end).contains(&number),
            //# "This can either be a numerical or named port on a pod."
            (Some(IntOrString::String(called)), None) => has_named_port(called, question),
            //# "This field cannot be defined if the port field is not defined or if the port field
            //# is defined as a named (string) port."
            (None | Some(IntOrString::String(_)), Some(_)) => false,
        }
}
