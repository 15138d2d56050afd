//! DaemonSets: one pod on each node that is for it.

mod plan;
#[cfg(test)]
mod tests;

use crate::context::{Context, DAEMON_SETS, reach, work};
use crate::event::{Event, about};
use crate::history;
use crate::json::{list, revision, set, text};
use crate::pods::{Maker, claim, create, delete, follow, of_template};
use crate::selector::selects;
use moat_apiserver::Status;
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
use plan::{HASH, Snapshot, plan};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

static MAKER: Maker = Maker {
    kind: "DaemonSet",
    api_version: "apps/v1",
    component: "daemonset-controller",
    gvr: &DAEMON_SETS,
    cache: |context| &context.daemon_sets,
    matches: |daemon, meta| selects(&daemon["spec"]["selector"], &meta.labels),
    finalizer: None,
};

/// What every pod of a DaemonSet tolerates: it is on the node as long as the node is.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("daemonset");
    follow(context, &MAKER, &queue);
    let (into, all) = (queue.clone(), context.daemon_sets.clone());
    context.nodes.on_change(move |delta| {
        let part = |item: &Item<Value>, path: &str| item.value.pointer(path).cloned();
        let same = |path| {
            delta.old.as_ref().map(|one| part(one, path))
                == delta.new.as_ref().map(|one| part(one, path))
        };
        // What nodes say all the time changes nothing here.
        if !["/metadata/labels", "/spec/taints"].iter().all(|path| same(path)) {
            for daemon in all.all() {
                into.add(daemon.path.clone());
            }
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let Some(item) = context.daemon_sets.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let pods = claim(context, &MAKER, &item).await?;
    let is_deleting = item.meta.is_deleting();
    let mut collisions = 0;
    let hash = if is_deleting {
        String::new()
    } else {
        if asks_for_surge(&item.value) {
            let message = "Old pods are not replaced: maxSurge is not supported".to_owned();
            tell(context, &item, "UnsupportedField", message);
        }
        let (newest, n) = history::newest(context, &MAKER, &item, HASH).await?;
        collisions = n;
        newest.meta.label(HASH).unwrap_or_default().to_owned()
    };
    let (nodes, now) = (context.nodes.all(), jiff::Timestamp::now().as_second());
    let (daemon, pods) = (&item.value, &pods);
    let mut plan = plan(&Snapshot { daemon, is_deleting, nodes: &nodes, pods, hash: &hash, now });
    if 0 < collisions {
        set(&mut plan.status, &["collisionCount"], collisions.into());
    }
    for (pod, node) in plan.ended {
        let how = if &*pod.value.status.phase == "Failed" { "failed" } else { "succeeded" };
        let name = &pod.meta.name;
        let message = format!(
            "Found {how} daemon pod {namespace}/{name} on node {node}, will try to delete it"
        );
        let reason = if how == "failed" { "FailedDaemonPod" } else { "SucceededDaemonPod" };
        tell(context, &item, reason, message);
    }
    let acts = !plan.create.is_empty() || !plan.delete.is_empty();
    let deleted = delete(context, &MAKER, &item, plan.delete).await;
    let made = plan.create.iter().map(|node| pod(&item, node, &hash)).collect();
    let created = create(context, &MAKER, &item, made).await;
    let failed = deleted.is_err() || created.is_err();
    // While pods come and go by the hundred only the last status counts; the pods' own changes lead here again.
    if plan.status != item.value["status"] && (!acts || failed) && !is_deleting {
        let mut changed = item.value.clone();
        set(&mut changed, &["status"], plan.status);
        let at = DAEMON_SETS.at(namespace, path.name()).part("status");
        let written = context.cluster.update(at, changed).await?;
        reach(&context.daemon_sets, revision(&written)).await;
    }
    deleted?;
    created?;
    if !acts && !is_deleting {
        let lives = |one: &Item<Value>| {
            let of = one.meta.label(HASH);
            of == Some(&hash) || pods.iter().any(|pod| pod.meta.label(HASH) == of)
        };
        history::forget(context, &item, lives).await?;
    }
    Ok(match plan.again {
        Some(seconds) => Done::After(Duration::from_secs(seconds.unsigned_abs().max(1))),
        None => Done::Ok,
    })
}

fn tell(context: &Context, item: &Item<Value>, reason: &'static str, message: String) {
    let about = about(MAKER.api_version, MAKER.kind, &item.meta);
    context.tell(Event { about, component: MAKER.component, warning: true, reason, message });
}

fn asks_for_surge(daemon: &Value) -> bool {
    let surge = daemon["spec"]["updateStrategy"]["rollingUpdate"].get("maxSurge");
    0 < crate::json::share(surge, 100, true)
}

/// A DaemonSet's template with what its pods tolerate.
fn template(daemon: &Value) -> Value {
    let mut pod = json!({ "spec": daemon["spec"]["template"]["spec"] });
    tolerate(&mut pod);
    pod
}

fn tolerate(pod: &mut Value) {
    let mut all = list(pod, "/spec/tolerations").to_vec();
    let network = ("node.kubernetes.io/network-unavailable", "NoSchedule");
    let network = (pod["spec"]["hostNetwork"] == true).then_some(network);
    for (key, effect) in TOLERATED.iter().copied().chain(network) {
        let one = json!({ "key": key, "operator": "Exists", "effect": effect });
        let same = |old: &Value| {
            ["key", "effect", "value"].iter().all(|field| {
                let field = format!("/{field}");
                text(old, &field) == text(&one, &field)
            }) && text(old, "/operator") == "Exists"
        };
        if !all.iter().any(same) {
            all.push(one);
        }
    }
    set(pod, &["spec", "tolerations"], all.into());
}

/// A pod for a node. The scheduler puts it there: affinity leaves it no other.
fn pod(item: &Item<Value>, node: &str, hash: &str) -> Value {
    let mut pod = of_template(&MAKER, item);
    tolerate(&mut pod);
    set(&mut pod, &["metadata", "labels", HASH], hash.into());
    let terms = json!({ "nodeSelectorTerms": [
        { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }] },
    ] });
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    set(&mut pod, &["spec", "affinity", "nodeAffinity", required], terms);
    pod
}
