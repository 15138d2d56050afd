//! Whose pods are whose: a workload that has pods of its own is told by them.

use crate::inventory::{Node, Phase, Pod, PodKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Fills in node addresses, follows owners, and drops workloads whose real pods are here.
pub(super) fn settle_pods(
    pods: BTreeMap<(Arc<str>, PodKind, Arc<str>), Pod>,
    nodes: &[Node],
) -> Vec<Pod> {
    let owner_of: BTreeMap<(Arc<str>, Arc<str>, Arc<str>), (Arc<str>, Arc<str>)> = pods
        .values()
        .filter_map(|pod| match (&pod.kind, &pod.owner) {
            (PodKind::Workload(kind), Some(owner)) => {
                Some(((pod.namespace.clone(), kind.clone(), pod.name.clone()), owner.clone()))
            }
            _ => None,
        })
        .collect();
    let top = |pod: &Pod| -> Option<(Arc<str>, Arc<str>)> {
        let mut owner = pod.owner.clone()?;
        // Two steps are the longest chain of the built-in kinds; the bound ends cycles.
        for _ in 0..8 {
            match owner_of.get(&(pod.namespace.clone(), owner.0.clone(), owner.1.clone())) {
                Some(next) => owner = next.clone(),
                None => break,
            }
        }
        // A ReplicaSet that is not here is named after its Deployment and the template's hash.
        if owner.0.as_ref() == "replicaset"
            && let Some(hash) = pod.labels.get("pod-template-hash")
            && let Some(name) = owner.1.strip_suffix(hash).and_then(|name| name.strip_suffix('-'))
        {
            owner = ("deployment".into(), name.into());
        }
        Some(owner)
    };
    let mut with_pods: BTreeSet<(Arc<str>, Arc<str>, Arc<str>)> = BTreeSet::new();
    let mut settled: Vec<Pod> = pods
        .values()
        .map(|pod| {
            let mut pod = pod.clone();
            pod.owner = top(&pod);
            if let Some((kind, name)) = &pod.owner
                && pod.kind == PodKind::Pod
                && pod.phase == Phase::Active
            {
                with_pods.insert((pod.namespace.clone(), kind.clone(), name.clone()));
            }
            if pod.host_network
                && pod.addresses.is_empty()
                && let Some(node) = nodes.iter().find(|node| Some(&node.name) == pod.node.as_ref())
            {
                pod.addresses.clone_from(&node.addresses);
            }
            pod
        })
        .collect();
    settled.retain(|pod| match &pod.kind {
        PodKind::Pod => true,
        PodKind::Workload(kind) => {
            let owned_here = pod.owner.as_ref().is_some_and(|(kind, name)| {
                pods.contains_key(&(
                    pod.namespace.clone(),
                    PodKind::Workload(kind.clone()),
                    name.clone(),
                ))
            });
            !owned_here
                && !with_pods.contains(&(pod.namespace.clone(), kind.clone(), pod.name.clone()))
        }
    });
    settled
}
