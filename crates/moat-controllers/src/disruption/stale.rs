//! A pod of which it was said that it will go, and which did not: after a while it is no longer said.

use crate::context::{Context, PODS, reach, work};
use crate::json::{revision, seconds, time};
use crate::pod::PodItem;
use moat_apiserver::{PatchType, Status};
use moat_informer::{Done, Queue};
use moat_store::Path;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// What is said of a pod that goes because of others.
const CONDITION: &str = "DisruptionTarget";
/// A node's own reason: it takes as long as it takes.
const BY_NODE: &str = "TerminationByKubelet";

pub(super) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("stale_pod_disruption");
    let into = queue.clone();
    context.pods.on_change(move |delta| {
        if let Some(pod) = delta.new.as_ref().filter(|pod| since(pod).is_some()) {
            into.add(pod.path.clone());
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

/// Since when it is said of a pod that stays, in seconds.
pub(super) fn since(pod: &PodItem) -> Option<i64> {
    if pod.meta.is_deleting() || pod.value.is_over() {
        return None;
    }
    let said = pod.value.status.conditions.iter().find(|one| &*one.kind == CONDITION)?;
    if &*said.status != "True" || &*said.reason == BY_NODE {
        return None;
    }
    Some(said.last_transition_time.as_deref().and_then(seconds).unwrap_or(0))
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let Some(pod) = context.pods.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let Some(since) = since(&pod) else { return Ok(Done::Ok) };
    let now = jiff::Timestamp::now().as_second();
    let patience = i64::try_from(context.options.timing.stale_disruption.as_secs());
    let left = since.saturating_add(patience.unwrap_or(i64::MAX)).saturating_sub(now);
    if let Some(left) = u64::try_from(left).ok().filter(|left| 0 < *left) {
        return Ok(Done::After(Duration::from_secs(left)));
    }
    let condition = json!({
        "type": CONDITION, "status": "False", "lastTransitionTime": time(now), "reason": null, "message": null,
    });
    let patch = json!({
        "metadata": { "uid": pod.meta.uid, "resourceVersion": pod.meta.resource_version },
        "status": { "conditions": [condition] },
    });
    let at = PODS.at(namespace, path.name()).part("status");
    let written = context.cluster.patch(at, PatchType::Strategic, &patch).await?;
    reach(&context.pods, revision(&written)).await;
    Ok(Done::Ok)
}
