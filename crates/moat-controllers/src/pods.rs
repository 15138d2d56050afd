//! Pods of a kind that makes pods: followed, taken in, made, deleted.

use crate::context::{Context, OF, ORPHANS, PODS, may_adopt, path, reach};
use crate::event::{Event, about};
use crate::json::{owners_but, revision, set};
use crate::pod::PodItem;
use moat_apiserver::{DeleteOptions, Gvr, PatchType, Status};
use moat_informer::{Cache, Item, Meta, Queue};
use moat_store::Path;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kind that makes pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maker {
    pub(crate) kind: &'static str,
    pub(crate) api_version: &'static str,
    pub(crate) component: &'static str,
    pub(crate) gvr: &'static Gvr,
    pub(crate) cache: fn(&Context) -> &Cache<Value>,
    pub(crate) matches: fn(&Value, &Meta) -> bool,
    /// What holds its pods until they were counted.
    pub(crate) finalizer: Option<&'static str>,
}

/// Has the queue know of each change of such objects and of their pods.
pub(crate) fn follow(context: &Context, maker: &'static Maker, queue: &Queue<Path>) {
    let into = queue.clone();
    (maker.cache)(context).on_change(move |delta| {
        into.add(
            delta
                .last()
                .map_or_else(|| unreachable!("a change of nothing"), |one| one.path.clone()),
        );
    });
    let (into, makers) = (queue.clone(), (maker.cache)(context).clone());
    context.pods.on_change(move |delta| {
        for pod in [&delta.old, &delta.new].into_iter().flatten() {
            match pod.meta.controller() {
                Some(owner) if &*owner.kind == maker.kind => {
                    if let Some(path) = path(&pod.meta.namespace, &owner.name) {
                        into.add(path);
                    }
                }
                Some(_) => {}
                None => {
                    for one in makers.in_namespace(&pod.meta.namespace) {
                        if (maker.matches)(&one.value, &pod.meta) {
                            into.add(one.path.clone());
                        }
                    }
                }
            }
        }
    });
}

/// A pod of an object's template, before its kind adds what it has to.
pub(crate) fn of_template(maker: &Maker, item: &Item<Value>) -> Value {
    let mut pod = from_template(maker, item, &item.value["spec"]["template"]);
    set(&mut pod, &["metadata", "generateName"], format!("{}-", item.meta.name).into());
    pod
}

/// A pod of any template, without a name.
pub(crate) fn from_template(maker: &Maker, item: &Item<Value>, template: &Value) -> Value {
    let mut pod = json!({
        "metadata": template.get("metadata").cloned().unwrap_or_else(|| json!({})),
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})),
    });
    set(&mut pod, &["metadata", "ownerReferences"], json!([reference(maker, &item.meta)]));
    pod
}

/// The pods that it manages, after it took in those that nobody manages and let go those that no longer match.
pub(crate) async fn claim(
    context: &Context,
    maker: &Maker,
    item: &Item<Value>,
) -> Result<Vec<PodItem>, Status> {
    let mut mine = context.pods.by(OF, &item.meta.uid);
    let mut written = 0;
    let mut at = 0;
    while at < mine.len() {
        if (maker.matches)(&item.value, &mine[at].meta) {
            at += 1;
            continue;
        }
        let pod = mine.remove(at);
        let owners = owners_but(&pod.meta, &item.meta.uid);
        written = written.max(own(context, maker, &pod, owners, false).await?);
    }
    if !item.meta.is_deleting() {
        let mut orphans = context.pods.by(ORPHANS, &item.meta.namespace);
        orphans.retain(|pod| {
            let free = !pod.meta.is_deleting() && !pod.value.is_over();
            free && (maker.matches)(&item.value, &pod.meta)
        });
        if !orphans.is_empty() && !may_adopt(context, maker.gvr, item).await? {
            orphans.clear();
        }
        for pod in orphans {
            let mut owners = owners_but(&pod.meta, &item.meta.uid);
            owners.push(reference(maker, &item.meta));
            written = written.max(own(context, maker, &pod, owners, true).await?);
            mine.push(pod);
        }
    }
    reach(&context.pods, written).await;
    Ok(mine)
}

/// Writes the owners of a pod, and with them whether the maker's finalizer holds it.
async fn own(
    context: &Context,
    maker: &Maker,
    pod: &PodItem,
    owners: Vec<Value>,
    held: bool,
) -> Result<u64, Status> {
    let mut patch = json!({ "metadata": {
        "uid": pod.meta.uid, "resourceVersion": pod.meta.resource_version, "ownerReferences": owners,
    } });
    if let Some(finalizer) = maker.finalizer
        && held != pod.meta.has_finalizer(finalizer)
    {
        set(&mut patch, &["metadata", "finalizers"], finalizers(pod, finalizer, held));
    }
    let at = PODS.at(&pod.meta.namespace, &pod.meta.name);
    context.cluster.patch(at, PatchType::Merge, &patch).await.map(|pod| revision(&pod))
}

fn finalizers(pod: &PodItem, one: &str, held: bool) -> Value {
    let others = pod.meta.finalizers.iter().map(|other| &**other).filter(|other| *other != one);
    others.chain(held.then_some(one)).collect::<Vec<_>>().into()
}

/// Takes a finalizer off pods; pods that are gone are done with.
pub(crate) async fn release(
    context: &Context,
    finalizer: &'static str,
    pods: Vec<PodItem>,
) -> Result<(), Status> {
    let cluster = Arc::clone(&context.cluster);
    let released = context.each(&context.pods, pods, move |pod| {
        let cluster = Arc::clone(&cluster);
        async move {
            let patch = json!({ "metadata": {
                "uid": pod.meta.uid, "resourceVersion": pod.meta.resource_version,
                "finalizers": finalizers(&pod, finalizer, false),
            } });
            let at = PODS.at(&pod.meta.namespace, &pod.meta.name);
            match cluster.patch(at, PatchType::Merge, &patch).await {
                Ok(pod) => Ok(revision(&pod)),
                Err(status) if status.code == 404 => Ok(0),
                Err(status) => Err(status),
            }
        }
    });
    released.await
}

pub(crate) fn reference(maker: &Maker, meta: &Meta) -> Value {
    json!({
        "apiVersion": maker.api_version, "kind": maker.kind, "name": meta.name, "uid": meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Makes pods. When it returns, the cache has those that were made.
pub(crate) async fn create(
    context: &Context,
    maker: &'static Maker,
    item: &Item<Value>,
    pods: Vec<Value>,
) -> Result<(), Status> {
    let about = about(maker.api_version, maker.kind, &item.meta);
    // The first one alone: where it is refused, hundreds would be.
    let mut first = pods;
    let rest = first.split_off(first.len().min(1));
    for pods in [first, rest] {
        let (cluster, recorder) = (Arc::clone(&context.cluster), context.recorder.clone());
        let (namespace, about) = (item.meta.namespace.clone(), about.clone());
        let made = context.each(&context.pods, pods, move |pod| {
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
                    component: maker.component,
                    warning,
                    reason,
                    message,
                });
                result.map(|pod| revision(&pod))
            }
        });
        made.await?;
    }
    Ok(())
}

/// Deletes pods; those that are gone are done with.
pub(crate) async fn delete(
    context: &Context,
    maker: &'static Maker,
    item: &Item<Value>,
    pods: Vec<PodItem>,
) -> Result<(), Status> {
    let about = about(maker.api_version, maker.kind, &item.meta);
    let (cluster, recorder) = (Arc::clone(&context.cluster), context.recorder.clone());
    let deleted = context.each(&context.pods, pods, move |pod| {
        let (cluster, recorder, about) = (Arc::clone(&cluster), recorder.clone(), about.clone());
        async move {
            let options =
                DeleteOptions { uid: Some(pod.meta.uid.to_string()), ..DeleteOptions::default() };
            let at = PODS.at(&pod.meta.namespace, &pod.meta.name);
            match cluster.delete(at, &options).await {
                Ok(gone) => {
                    recorder.record(Event {
                        about,
                        component: maker.component,
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

/// Pods in the order in which they go: what helps least first (upstream's `ActivePodsWithRanks`).
pub(crate) fn rank<'a>(active: &[&'a PodItem]) -> Vec<&'a PodItem> {
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in active {
        *on_node.entry(&pod.value.spec.node_name).or_default() += 1;
    }
    let key = |pod: &PodItem| {
        let value = &pod.value;
        let node = &*value.spec.node_name;
        let phase = match &*value.status.phase {
            "Pending" | "" => 0,
            "Unknown" => 1,
            _ => 2,
        };
        let cost = value.metadata.annotations.deletion_cost.as_deref();
        let cost: i32 = cost.and_then(|cost| cost.parse().ok()).unwrap_or(0);
        let n_neighbours =
            if node.is_empty() { 0 } else { on_node.get(node).copied().unwrap_or(0) };
        (
            !node.is_empty(),
            phase,
            value.is_ready(),
            cost,
            Reverse(n_neighbours),
            Reverse(value.ready_since().unwrap_or(i64::MAX)),
            Reverse(pod.meta.creation_timestamp.clone()),
        )
    };
    let mut ranked: Vec<&PodItem> = active.to_vec();
    ranked.sort_by_cached_key(|pod| key(pod));
    ranked
}

/// How a pod is ended by who looks after nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doom {
    /// Reason and message of its `DisruptionTarget` condition, where somebody should know that it was disrupted.
    pub(crate) told: Option<(&'static str, &'static str)>,
    /// Whether it counts as failed, unless it has ended: nobody is there who could say how it ended.
    pub(crate) fails: bool,
    /// Seconds that it gets, where it is not for the pod to say.
    pub(crate) grace: Option<i64>,
}

/// Says why a pod goes, and deletes it. One that is gone is done with.
pub(crate) async fn doom(context: &Context, pod: &PodItem, how: Doom) -> Result<(), Status> {
    let at = PODS.at(&pod.meta.namespace, &pod.meta.name);
    let mut status = serde_json::Map::new();
    if let Some((reason, message)) = how.told {
        let since = crate::json::time(jiff::Timestamp::now().as_second());
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message, "lastTransitionTime": since,
        });
        status.insert("conditions".to_owned(), json!([condition]));
    }
    if how.fails && !pod.value.is_over() {
        status.insert("phase".to_owned(), "Failed".into());
    }
    let done = async {
        if !status.is_empty() {
            let patch = json!({ "metadata": { "uid": pod.meta.uid }, "status": status });
            context.cluster.patch(at.part("status"), PatchType::Strategic, &patch).await?;
        }
        let options = DeleteOptions {
            uid: Some(pod.meta.uid.to_string()),
            grace_seconds: how.grace,
            ..DeleteOptions::default()
        };
        context.cluster.delete(at, &options).await
    };
    match done.await {
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}
