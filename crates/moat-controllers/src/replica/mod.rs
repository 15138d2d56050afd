//! ReplicaSets and ReplicationControllers: as many pods of a template as are wanted.

mod plan;
#[cfg(test)]
mod tests;

use crate::context::{Context, REPLICA_SETS, REPLICATION_CONTROLLERS, reach, work};
use crate::json::{revision, set};
use crate::pods::{Maker, claim, create, delete, follow, of_template};
use crate::selector::{has_all, selects};
use moat_apiserver::Status;
use moat_informer::{Done, Queue};
use moat_store::Path;
use plan::{Snapshot, plan};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

static MAKERS: [Maker; 2] = [
    Maker {
        kind: "ReplicaSet",
        api_version: "apps/v1",
        component: "replicaset-controller",
        gvr: &REPLICA_SETS,
        cache: |context| &context.replica_sets,
        matches: |set, meta| selects(&set["spec"]["selector"], &meta.labels),
        finalizer: None,
    },
    Maker {
        kind: "ReplicationController",
        api_version: "v1",
        component: "replication-controller",
        gvr: &REPLICATION_CONTROLLERS,
        cache: |context| &context.replication_controllers,
        matches: |set, meta| has_all(&set["spec"]["selector"], &meta.labels),
        finalizer: None,
    },
];

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    for maker in &MAKERS {
        let name = if maker.kind == "ReplicaSet" { "replicaset" } else { "replicationmanager" };
        let queue: Queue<Path> = context.queue(name);
        follow(context, maker, &queue);
        work(context, tasks, &queue, move |context, path| async move {
            sync(&context, maker, &path).await
        });
    }
}

async fn sync(context: &Context, maker: &'static Maker, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let cache = (maker.cache)(context);
    let Some(item) = cache.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let pods = claim(context, maker, &item).await?;
    let now = jiff::Timestamp::now().as_second();
    let snapshot =
        Snapshot { set: &item.value, is_deleting: item.meta.is_deleting(), pods: &pods, now };
    let plan = plan(&snapshot);
    let acts = 0 < plan.create || !plan.delete.is_empty();
    let mut result = Ok(());
    if 0 < plan.create {
        let pods = vec![of_template(maker, &item); plan.create];
        result = create(context, maker, &item, pods).await;
    } else if !plan.delete.is_empty() {
        result = delete(context, maker, &item, plan.delete).await;
    }
    let old = &item.value["status"];
    let mut status = plan.status.unwrap_or_else(|| old.clone());
    fail(&mut status, result.as_ref().err(), now);
    // While pods come by the hundred only the last status counts; the pods' own changes lead here again.
    if status != *old && (!acts || result.is_err()) {
        let mut changed = item.value.clone();
        set(&mut changed, &["status"], status);
        let at = maker.gvr.at(namespace, path.name()).part("status");
        let written = context.cluster.update(at, changed).await?;
        reach(cache, revision(&written)).await;
    }
    result?;
    Ok(match plan.again {
        // Pods that were just made lead here by themselves; a burst that was cut short does not.
        Some(seconds) => Done::After(Duration::from_secs(seconds.unsigned_abs().max(1))),
        None => Done::Ok,
    })
}

/// Says in a status why pods could not be made, or nothing any more.
fn fail(status: &mut Value, failure: Option<&Status>, now: i64) {
    let Some(failure) = failure else {
        if let Some(map) = status.as_object_mut() {
            map.shift_remove("conditions");
        }
        return;
    };
    let said = crate::json::condition(status, "ReplicaFailure");
    if said.is_none_or(|said| said["message"] != failure.message) {
        let condition = json!({
            "type": "ReplicaFailure", "status": "True", "lastTransitionTime": crate::json::time(now),
            "reason": "FailedCreate", "message": failure.message,
        });
        set(status, &["conditions"], json!([condition]));
    }
}
