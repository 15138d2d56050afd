//! Nodes: taints that keep new pods off a node as long as a condition of it, or its owner, says so.

use crate::context::{Context, NODES, reach, work};
use crate::json::{list, revision, text};
use moat_apiserver::{PatchType, Status};
use moat_informer::{Done, Queue};
use moat_store::Path;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::JoinSet;

pub(super) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Conditions that keep pods off where they are true.
const PRESSURES: &[(&str, &str)] = &[
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("node_lifecycle_controller");
    let into = queue.clone();
    context.nodes.on_change(move |delta| {
        if let Some(node) = &delta.new {
            into.add(node.path.clone());
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let Some(item) = context.nodes.get("", path.name()) else { return Ok(Done::Ok) };
    let Some(taints) = taints(&item.value) else { return Ok(Done::Ok) };
    let patch = json!({
        "metadata": { "uid": item.meta.uid, "resourceVersion": item.meta.resource_version },
        "spec": { "taints": taints },
    });
    let written =
        context.cluster.patch(NODES.at("", path.name()), PatchType::Merge, &patch).await?;
    reach(&context.nodes, revision(&written)).await;
    Ok(Done::Ok)
}

/// The taints that a node should have, if it has others. A node that never said it is ready is not.
pub(super) fn taints(node: &Value) -> Option<Vec<Value>> {
    let condition = |kind: &str| {
        let found = crate::json::condition(&node["status"], kind);
        found.map_or("", |one| text(one, "/status"))
    };
    let ready = condition("Ready");
    let mut wanted: Vec<&str> = Vec::new();
    match ready {
        "True" => {}
        "Unknown" => wanted.push(UNREACHABLE),
        _ => wanted.push(NOT_READY),
    }
    let pressures = PRESSURES.iter().filter(|(kind, _)| condition(kind) == "True");
    wanted.extend(pressures.map(|(_, key)| *key));
    if node["spec"]["unschedulable"] == true {
        wanted.push(UNSCHEDULABLE);
    }
    let is_ours = |taint: &&Value| {
        let key = text(taint, "/key");
        let known = [NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&key)
            || PRESSURES.iter().any(|(_, own)| *own == key);
        known && text(taint, "/effect") == "NoSchedule"
    };
    let all = list(node, "/spec/taints");
    let had: Vec<&str> = all.iter().filter(is_ours).map(|taint| text(taint, "/key")).collect();
    if had.len() == wanted.len() && wanted.iter().all(|key| had.contains(key)) {
        return None;
    }
    let others = all.iter().filter(|taint| !is_ours(taint)).cloned();
    let own = wanted.iter().map(|key| json!({ "key": key, "effect": "NoSchedule" }));
    Some(others.chain(own).collect())
}
