//! Evicts pods that do not tolerate what a node is tainted with.

use super::stay::{Stay, stay};
use crate::context::{BY_NODE, Context, PODS, work};
use crate::event::{Event, about};
use crate::json::{list, seconds, text};
use crate::pods::{Doom, doom};
use moat_apiserver::Status;
use moat_informer::{Done, Queue};
use moat_scheduler::{Effect, Taint};
use moat_store::Path;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// When taints that do not say it were seen first, by node.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<BTreeMap<Box<str>, BTreeMap<Taint, i64>>>>);

impl Seen {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, BTreeMap<Taint, i64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The taints of a node that evict, each with when it came.
    fn taints(&self, name: &str, node: &Value) -> Vec<(Taint, i64)> {
        let now = jiff::Timestamp::now().as_second();
        let added =
            list(node, "/spec/taints").iter().map(|taint| seconds(text(taint, "/timeAdded")));
        let all = Taint::read_all(&node["spec"]).into_iter().zip(added);
        let evicting: Vec<_> = all.filter(|(taint, _)| taint.effect == Effect::NoExecute).collect();
        let mut seen = self.lock();
        if evicting.is_empty() {
            seen.remove(name);
            return Vec::new();
        }
        let own = seen.entry(name.into()).or_default();
        own.retain(|taint, _| evicting.iter().any(|(other, _)| other == taint));
        evicting
            .into_iter()
            .map(|(taint, added)| {
                let first = *own.entry(taint.clone()).or_insert(now);
                (taint, added.unwrap_or(first))
            })
            .collect()
    }
}

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let (queue, seen): (Queue<Path>, Seen) = (context.queue("noexec_taint_pod"), Seen::default());
    let (into, nodes) = (queue.clone(), context.nodes.clone());
    context.pods.on_change(move |delta| {
        let Some(pod) = &delta.new else { return };
        let node = &*pod.value.spec.node_name;
        // Most nodes evict nobody.
        if !node.is_empty() && nodes.get("", node).is_none_or(|node| evicts(&node.value)) {
            into.add(pod.path.clone());
        }
    });
    let (into, pods, known) = (queue.clone(), context.pods.clone(), seen.clone());
    context.nodes.on_change(move |delta| {
        let Some(node) = &delta.new else {
            if let Some(old) = &delta.old {
                known.lock().remove(&old.meta.name);
            }
            return;
        };
        let taints = known.taints(&node.meta.name, &node.value);
        let had = delta.old.as_ref().is_some_and(|old| evicts(&old.value));
        if had || !taints.is_empty() {
            pods.by(BY_NODE, &node.meta.name).iter().for_each(|pod| into.add(pod.path.clone()));
        }
    });
    work(context, tasks, &queue, move |context, path| {
        let seen = seen.clone();
        async move { sync(&context, &seen, &path).await }
    });
}

fn evicts(node: &Value) -> bool {
    list(node, "/spec/taints").iter().any(|taint| taint["effect"] == "NoExecute")
}

async fn sync(context: &Context, seen: &Seen, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let Some(pod) = context.pods.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let Some(node) = context.nodes.get("", &pod.value.spec.node_name) else { return Ok(Done::Ok) };
    let taints = seen.taints(&node.meta.name, &node.value);
    if taints.is_empty() || pod.meta.is_deleting() {
        return Ok(Done::Ok);
    }
    let whole = match context.cluster.get(PODS.at(namespace, path.name())).await {
        Err(status) if status.code == 404 => return Ok(Done::Ok),
        other => other?,
    };
    if text(&whole, "/metadata/uid") != &*pod.meta.uid {
        return Ok(Done::Retry);
    }
    let now = jiff::Timestamp::now().as_second();
    match stay(&taints, &whole["spec"]) {
        Stay::Forever => return Ok(Done::Ok),
        Stay::Until(end) if now < end => {
            return Ok(Done::After(Duration::from_secs((end - now).unsigned_abs())));
        }
        Stay::Until(_) | Stay::Not => {}
    }
    let message = format!("Marking for deletion Pod {namespace}/{}", path.name());
    let about = about("v1", "Pod", &pod.meta);
    let component = "taint-eviction-controller";
    let event = Event { about, component, warning: false, reason: "TaintManagerEviction", message };
    context.tell(event);
    let told = ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint");
    doom(context, &pod, Doom { told: Some(told), fails: false, grace: None }).await?;
    Ok(Done::Ok)
}
