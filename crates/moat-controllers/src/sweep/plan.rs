//! Which pods nobody else will remove.

use crate::json::{list, text};
use crate::pod::PodItem;
use moat_informer::Item;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How many pods that have ended are kept (`--terminated-pod-gc-threshold`).
const ENDED_MAX: usize = 12_500;
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Why a pod is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There are too many that have ended, and it is among the oldest.
    Ended,
    /// Its node is gone.
    NodeGone,
    /// It was to go before any node had it.
    NeverPlaced,
    /// It was to go, and its node was said to be out of service.
    OutOfService,
}

/// Nodes that pods are on and that are not there, and when that was seen first, in time since some beginning.
pub(super) type Missing = BTreeMap<Box<str>, Duration>;

pub(super) struct Snapshot<'a> {
    pub(super) pods: &'a [PodItem],
    pub(super) nodes: &'a [Arc<Item<Value>>],
    pub(super) now: Duration,
    /// How long a node has to be away.
    pub(super) quarantine: Duration,
    pub(super) ended_max: usize,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(
        pods: &'a [PodItem],
        nodes: &'a [Arc<Item<Value>>],
        now: Duration,
        quarantine: Duration,
    ) -> Self {
        Self { pods, nodes, now, quarantine, ended_max: ENDED_MAX }
    }
}

/// Each pod that is to go; keeps account of nodes that are missing.
pub(super) fn plan(snapshot: &Snapshot<'_>, missing: &mut Missing) -> Vec<(PodItem, Why)> {
    let there: BTreeSet<&str> = snapshot.nodes.iter().map(|node| &*node.meta.name).collect();
    let out: BTreeSet<&str> = snapshot
        .nodes
        .iter()
        .filter(|node| is_out_of_service(&node.value))
        .map(|node| &*node.meta.name)
        .collect();
    let node_of = |pod: &PodItem| pod.value.spec.node_name.clone();
    let used: BTreeSet<Box<str>> =
        snapshot.pods.iter().map(node_of).filter(|name| !name.is_empty()).collect();
    missing.retain(|name, _| used.contains(name) && !there.contains(&**name));
    for name in used {
        if !there.contains(&*name) {
            missing.entry(name).or_insert(snapshot.now);
        }
    }
    let mut chosen = Vec::new();
    let mut ended = Vec::new();
    for pod in snapshot.pods {
        let node = &*pod.value.spec.node_name;
        let is_away = || {
            let since = missing.get(node);
            since.is_some_and(|since| *since + snapshot.quarantine <= snapshot.now)
        };
        if node.is_empty() && pod.meta.is_deleting() {
            chosen.push((Arc::clone(pod), Why::NeverPlaced));
        } else if is_away() {
            chosen.push((Arc::clone(pod), Why::NodeGone));
        } else if pod.meta.is_deleting() && out.contains(node) {
            chosen.push((Arc::clone(pod), Why::OutOfService));
        } else if pod.value.is_over() && !pod.meta.is_deleting() {
            ended.push(pod);
        }
    }
    if snapshot.ended_max < ended.len() {
        let n = ended.len() - snapshot.ended_max;
        ended
            .sort_by_cached_key(|pod| (pod.meta.creation_timestamp.clone(), pod.meta.name.clone()));
        chosen.extend(ended.into_iter().take(n).map(|pod| (Arc::clone(pod), Why::Ended)));
    }
    chosen
}

/// A node that is not ready and of which its owner says that it will not come back as it was.
fn is_out_of_service(node: &Value) -> bool {
    let said = list(node, "/spec/taints").iter().any(|taint| text(taint, "/key") == OUT_OF_SERVICE);
    let ready = crate::json::condition(&node["status"], "Ready");
    said && ready.is_none_or(|ready| ready["status"] != "True")
}
