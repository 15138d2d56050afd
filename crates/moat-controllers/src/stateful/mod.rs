//! StatefulSets: pods with names and claims of their own, made, updated and deleted in order.

mod act;
mod claims;
mod plan;
#[cfg(test)]
mod tests;

use crate::context::{Context, OF, STATEFUL_SETS, reach, work};
use crate::history;
use crate::json::{list, revision, set, text};
use crate::pods::{Maker, claim, follow, from_template};
use crate::selector::selects;
use moat_apiserver::Status;
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
use plan::{POD_NAME, REVISION, Snapshot, ordinal_of, plan};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The label of a revision that is the hash of its template; pods have the revision's whole name.
const HASH: &str = "controller.kubernetes.io/hash";
const INDEX: &str = "apps.kubernetes.io/pod-index";

static MAKER: Maker = Maker {
    kind: "StatefulSet",
    api_version: "apps/v1",
    component: "statefulset-controller",
    gvr: &STATEFUL_SETS,
    cache: |context| &context.stateful_sets,
    matches: |set, meta| {
        let parent = meta.name.rsplit_once('-').map(|(parent, _)| parent);
        parent == set["metadata"]["name"].as_str()
            && ordinal_of(&meta.name).is_some()
            && selects(&set["spec"]["selector"], &meta.labels)
    },
    finalizer: None,
};

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("statefulset");
    follow(context, &MAKER, &queue);
    let (into, sets) = (queue.clone(), context.stateful_sets.clone());
    context.claims.on_change(move |delta| {
        // A pod may wait for a claim that had to go first.
        let Some(claim) = delta.old.as_ref().filter(|_| delta.new.is_none()) else { return };
        for set in sets.in_namespace(&claim.meta.namespace) {
            let ordinal = ordinal_of(&claim.meta.name).unwrap_or(-1);
            let templates = list(&set.value, "/spec/volumeClaimTemplates").iter();
            let mut names = templates.map(|one| claims::name(one, &set.value, ordinal));
            if names.any(|name| *name == *claim.meta.name) {
                into.add(set.path.clone());
            }
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let Some(item) = context.stateful_sets.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let pods = claim(context, &MAKER, &item).await?;
    if item.meta.is_deleting() {
        return Ok(Done::Ok);
    }
    let (update, collisions) = history::newest(context, &MAKER, &item, HASH).await?;
    let revisions = context.revisions.by(OF, &item.meta.uid);
    let named = text(&item.value, "/status/currentRevision");
    let current = revisions.iter().find(|one| *one.meta.name == *named).unwrap_or(&update);
    let find = |name: &str| context.claims.get(namespace, name);
    let plan = plan(&Snapshot {
        item: &item,
        pods: &pods,
        current: &current.meta.name,
        update: &update.meta.name,
        collisions,
        claims: &find,
        now: jiff::Timestamp::now().as_second(),
    });
    let (status, again) = (plan.status.clone(), plan.again);
    let acted = act::carry_out(context, &item, plan, [current, &update]).await;
    if status != item.value["status"] {
        let mut changed = item.value.clone();
        set(&mut changed, &["status"], status);
        let at = STATEFUL_SETS.at(namespace, path.name()).part("status");
        let written = context.cluster.update(at, changed).await?;
        reach(&context.stateful_sets, revision(&written)).await;
    }
    acted?;
    let lives = |one: &Item<Value>| {
        let name = Some(&*one.meta.name);
        [current, &update].iter().any(|other| Some(&*other.meta.name) == name)
            || pods.iter().any(|pod| pod.meta.label(REVISION) == name)
    };
    history::forget(context, &item, lives).await?;
    Ok(match again {
        Some(seconds) => Done::After(Duration::from_secs(seconds.unsigned_abs().max(1))),
        None => Done::Ok,
    })
}

/// The pod of an ordinal and a revision.
fn pod(item: &Item<Value>, revision: &Item<Value>, ordinal: i64) -> Value {
    let mut pod = from_template(&MAKER, item, &history::template(revision));
    let name = format!("{}-{ordinal}", item.meta.name);
    set(&mut pod, &["metadata", "name"], name.as_str().into());
    set(&mut pod, &["metadata", "labels", POD_NAME], name.as_str().into());
    set(&mut pod, &["metadata", "labels", INDEX], ordinal.to_string().into());
    set(&mut pod, &["metadata", "labels", REVISION], (*revision.meta.name).into());
    set(&mut pod, &["spec", "hostname"], name.into());
    let service = text(&item.value, "/spec/serviceName");
    if !service.is_empty() {
        set(&mut pod, &["spec", "subdomain"], service.into());
    }
    let volumes = claims::volumes(&item.value, ordinal, list(&pod, "/spec/volumes"));
    if !volumes.is_empty() {
        set(&mut pod, &["spec", "volumes"], volumes.into());
    }
    pod
}
