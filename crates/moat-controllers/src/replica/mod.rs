//! ReplicaSets and ReplicationControllers: as many pods of a template as are wanted.

mod plan;
#[cfg(test)]
mod tests;

use crate::context::{
    Context, OF, ORPHANS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, path, reach, work,
};
use crate::event::{Event, about};
use crate::json::{owners_but, revision, set};
use crate::pod::PodItem;
use crate::selector::{has_all, selects};
use moat_apiserver::{DeleteOptions, Gvr, PatchType, Status};
use moat_informer::{Cache, Done, Item, Meta, Queue};
use moat_store::Path;
use plan::{Snapshot, plan};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// What tells the two kinds apart.
#[derive(Clone, Copy, Debug)]
struct Flavour {
    kind: &'static str,
    api_version: &'static str,
    component: &'static str,
    gvr: &'static Gvr,
    cache: fn(&Context) -> &Cache<Value>,
    matches: fn(&Value, &Meta) -> bool,
}

static FLAVOURS: [Flavour; 2] = [
    Flavour {
        kind: "ReplicaSet",
        api_version: "apps/v1",
        component: "replicaset-controller",
        gvr: &REPLICA_SETS,
        cache: |context| &context.replica_sets,
        matches: |set, meta| selects(&set["spec"]["selector"], &meta.labels),
    },
    Flavour {
        kind: "ReplicationController",
        api_version: "v1",
        component: "replication-controller",
        gvr: &REPLICATION_CONTROLLERS,
        cache: |context| &context.replication_controllers,
        matches: |set, meta| has_all(&set["spec"]["selector"], &meta.labels),
    },
];

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    for flavour in &FLAVOURS {
        let queue: Queue<Path> = Queue::default();
        let into = queue.clone();
        (flavour.cache)(context).on_change(move |delta| {
            into.add(
                delta
                    .last()
                    .map_or_else(|| unreachable!("a change of nothing"), |one| one.path.clone()),
            );
        });
        let (into, sets) = (queue.clone(), (flavour.cache)(context).clone());
        context.pods.on_change(move |delta| {
            for pod in [&delta.old, &delta.new].into_iter().flatten() {
                match pod.meta.controller() {
                    Some(owner) if &*owner.kind == flavour.kind => {
                        if let Some(path) = path(&pod.meta.namespace, &owner.name) {
                            into.add(path);
                        }
                    }
                    Some(_) => {}
                    None => {
                        for set in sets.in_namespace(&pod.meta.namespace) {
                            if (flavour.matches)(&set.value, &pod.meta) {
                                into.add(set.path.clone());
                            }
                        }
                    }
                }
            }
        });
        work(context, tasks, &queue, move |context, path| async move {
            sync(&context, flavour, &path).await
        });
    }
}

async fn sync(context: &Context, flavour: &'static Flavour, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let cache = (flavour.cache)(context);
    let Some(item) = cache.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let pods = claim(context, flavour, &item).await?;
    let now = jiff::Timestamp::now().as_second();
    let snapshot =
        Snapshot { set: &item.value, is_deleting: item.meta.is_deleting(), pods: &pods, now };
    let plan = plan(&snapshot);
    let acts = 0 < plan.create || !plan.delete.is_empty();
    let mut result = Ok(0);
    if 0 < plan.create {
        result = create(context, flavour, &item, plan.create).await;
    } else if !plan.delete.is_empty() {
        result = delete(context, flavour, &item, plan.delete).await;
    }
    let old = &item.value["status"];
    let mut status = plan.status.unwrap_or_else(|| old.clone());
    fail(&mut status, result.as_ref().err(), now);
    // While pods come by the hundred only the last status counts; the pods' own changes lead here again.
    if status != *old && (!acts || result.is_err()) {
        let mut changed = item.value.clone();
        set(&mut changed, &["status"], status);
        let at = flavour.gvr.at(namespace, path.name()).part("status");
        let written = context.cluster.update(at, changed).await?;
        reach(cache, revision(&written)).await;
    }
    reach(&context.pods, result?).await;
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

/// The pods that it manages, after it took in those that nobody manages and let go those that no longer match.
async fn claim(
    context: &Context,
    flavour: &Flavour,
    item: &Item<Value>,
) -> Result<Vec<PodItem>, Status> {
    let mut mine = context.pods.by(OF, &item.meta.uid);
    let mut written = 0;
    let mut at = 0;
    while at < mine.len() {
        if (flavour.matches)(&item.value, &mine[at].meta) {
            at += 1;
            continue;
        }
        let pod = mine.remove(at);
        let owners = owners_but(&pod.meta, &item.meta.uid);
        written = written.max(own(context, &pod, owners).await?);
    }
    if !item.meta.is_deleting() {
        for pod in context.pods.by(ORPHANS, &item.meta.namespace) {
            let free = !pod.meta.is_deleting() && !pod.value.is_over();
            if !free || !(flavour.matches)(&item.value, &pod.meta) {
                continue;
            }
            let mut owners = owners_but(&pod.meta, &item.meta.uid);
            owners.push(reference(flavour, &item.meta));
            written = written.max(own(context, &pod, owners).await?);
            mine.push(pod);
        }
    }
    reach(&context.pods, written).await;
    Ok(mine)
}

async fn own(context: &Context, pod: &PodItem, owners: Vec<Value>) -> Result<u64, Status> {
    let patch = json!({ "metadata": {
        "uid": pod.meta.uid, "resourceVersion": pod.meta.resource_version, "ownerReferences": owners,
    } });
    let at = PODS.at(&pod.meta.namespace, &pod.meta.name);
    context.cluster.patch(at, PatchType::Merge, &patch).await.map(|pod| revision(&pod))
}

fn reference(flavour: &Flavour, meta: &Meta) -> Value {
    json!({
        "apiVersion": flavour.api_version, "kind": flavour.kind, "name": meta.name, "uid": meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

async fn create(
    context: &Context,
    flavour: &'static Flavour,
    item: &Item<Value>,
    n: usize,
) -> Result<u64, Status> {
    let template = &item.value["spec"]["template"];
    let mut pod = json!({
        "metadata": template.get("metadata").cloned().unwrap_or_else(|| json!({})),
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})),
    });
    set(&mut pod, &["metadata", "generateName"], format!("{}-", item.meta.name).into());
    set(&mut pod, &["metadata", "ownerReferences"], json!([reference(flavour, &item.meta)]));
    let about = about(flavour.api_version, flavour.kind, &item.meta);
    // The first one alone: where it is refused, hundreds would be.
    let mut written = 0;
    for n in [1, n - 1] {
        let (cluster, recorder) = (Arc::clone(&context.cluster), context.recorder.clone());
        let (namespace, about) = (item.meta.namespace.clone(), about.clone());
        let pods = vec![pod.clone(); n];
        let made = context.each(pods, move |pod| {
            let (cluster, recorder) = (Arc::clone(&cluster), recorder.clone());
            let (namespace, about) = (namespace.clone(), about.clone());
            async move {
                let result = cluster.create(PODS.at(&namespace, ""), pod).await;
                let (warning, reason, message) = match &result {
                    Ok(pod) => {
                        let name = crate::json::text(pod, "/metadata/name");
                        (false, "SuccessfulCreate", format!("Created pod: {name}"))
                    }
                    Err(status) => {
                        (true, "FailedCreate", format!("Error creating: {}", status.message))
                    }
                };
                recorder.record(Event {
                    about,
                    component: flavour.component,
                    warning,
                    reason,
                    message,
                });
                result.map(|pod| revision(&pod))
            }
        });
        written = written.max(made.await?);
    }
    Ok(written)
}

async fn delete(
    context: &Context,
    flavour: &'static Flavour,
    item: &Item<Value>,
    pods: Vec<PodItem>,
) -> Result<u64, Status> {
    let about = about(flavour.api_version, flavour.kind, &item.meta);
    let (cluster, recorder) = (Arc::clone(&context.cluster), context.recorder.clone());
    let deleted = context.each(pods, move |pod| {
        let (cluster, recorder, about) = (Arc::clone(&cluster), recorder.clone(), about.clone());
        async move {
            let options =
                DeleteOptions { uid: Some(pod.meta.uid.to_string()), ..DeleteOptions::default() };
            let at = PODS.at(&pod.meta.namespace, &pod.meta.name);
            match cluster.delete(at, &options).await {
                Ok(gone) => {
                    recorder.record(Event {
                        about,
                        component: flavour.component,
                        warning: false,
                        reason: "SuccessfulDelete",
                        message: format!("Deleted pod: {}", pod.meta.name),
                    });
                    Ok(revision(&gone))
                }
                Err(status) if status.code == 404 => Ok(0),
                Err(status) => Err(status),
            }
        }
    });
    deleted.await
}
