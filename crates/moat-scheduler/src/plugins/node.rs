//! What a node says of itself: its name, its labels, its taints, its ports, and whether it takes pods at all.

use crate::node::Node;
use crate::pod::Pod;
use crate::profile::{Args, Plugin};
use crate::refusal::Refusal;
use crate::taint::{Effect, Taint, Toleration, untolerated};

/// Cordoned nodes take only pods that tolerate it.
pub(crate) fn unschedulable(pod: &Pod, node: &Node) -> Option<Refusal> {
    if !node.unschedulable {
        return None;
    }
    let taint = Taint::unschedulable();
    let tolerated = pod.tolerations.iter().any(|one| one.tolerates(&taint));
    (!tolerated)
        .then(|| Refusal::new(Plugin::NodeUnschedulable, false, "node(s) were unschedulable"))
}

/// A pod that names its node is there or nowhere.
pub(crate) fn name(pod: &Pod, node: &Node) -> Option<Refusal> {
    let ok = pod.node_name.is_empty() || *pod.node_name == *node.name;
    let reason = "node(s) didn't match the requested node name";
    (!ok).then(|| Refusal::new(Plugin::NodeName, false, reason))
}

/// Taints keep pods off that do not tolerate them.
pub(crate) fn taints(pod: &Pod, node: &Node) -> Option<Refusal> {
    let taint = untolerated(&node.taints, &pod.tolerations)?;
    let reason = format!("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value);
    Some(Refusal::new(Plugin::TaintToleration, false, reason))
}

/// How many taints there are that would rather not have the pod.
pub(crate) fn taints_score(tolerations: &[&Toleration], node: &Node) -> i64 {
    let wishes = node.taints.iter().filter(|taint| taint.effect == Effect::PreferNoSchedule);
    let minded = wishes.filter(|taint| !tolerations.iter().any(|one| one.tolerates(taint)));
    i64::try_from(minded.count()).unwrap_or(i64::MAX)
}

/// The pod's node selector and required node affinity, and what the profile adds.
pub(crate) fn affinity(pod: &Pod, node: &Node, args: &Args) -> Option<Refusal> {
    let refuse = |reason: &'static str| Some(Refusal::new(Plugin::NodeAffinity, false, reason));
    if args.added_required.as_ref().is_some_and(|added| !added.matches(&node.name, &node.labels)) {
        return refuse("node(s) didn't match scheduler-enforced node affinity");
    }
    if !pod.wants_node(&node.name, &node.labels) {
        return refuse("node(s) didn't match Pod's node affinity/selector");
    }
    None
}

/// The weights of the preferences that hold of a node.
pub(crate) fn affinity_score(pod: &Pod, node: &Node, args: &Args) -> i64 {
    let all = pod.node_preferred.iter().chain(&args.added_preferred);
    let held = all.filter(|(_, term)| term.matches(&node.name, &node.labels));
    held.map(|(weight, _)| i64::from(*weight)).sum()
}

/// Ports of the node are taken once.
pub(crate) fn ports(pod: &Pod, node: &Node) -> Option<Refusal> {
    let taken = pod.ports.iter().any(|port| node.ports.iter().any(|one| one.conflicts(port)));
    let reason = "node(s) didn't have free ports for the requested pod ports";
    taken.then(|| Refusal::new(Plugin::NodePorts, true, reason))
}
