//! Disruption budgets: how many of their pods may be evicted now.

mod plan;
mod stale;
#[cfg(test)]
mod tests;

use crate::context::{BUDGETS, Context, reach, work};
use crate::event::{Event, about};
use crate::json::{number, revision, set, text};
use crate::pod::{Pod, PodItem};
use crate::selector::selects;
use moat_apiserver::Status;
use moat_informer::{Done, Item, Owner, Queue};
use moat_store::Path;
use plan::{Expected, Snapshot, is_share, plan};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const COMPONENT: &str = "controllermanager";

fn is_about(budget: &Value, pod: &Item<Pod>) -> bool {
    let selector = &budget["spec"]["selector"];
    selector.is_object() && selects(selector, &pod.meta.labels)
}

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("disruption");
    let into = queue.clone();
    context.budgets.on_change(move |delta| {
        if let Some(budget) = &delta.new {
            into.add(budget.path.clone());
        }
    });
    let (into, budgets) = (queue.clone(), context.budgets.clone());
    context.pods.on_change(move |delta| {
        for pod in [&delta.old, &delta.new].into_iter().flatten() {
            for budget in budgets.in_namespace(&pod.meta.namespace) {
                if is_about(&budget.value, pod) {
                    into.add(budget.path.clone());
                }
            }
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
    stale::start(context, tasks);
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let Some(item) = context.budgets.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let mut pods = context.pods.in_namespace(namespace);
    pods.retain(|pod| is_about(&item.value, pod));
    let expected = if is_share(&item.value) {
        expected(context, namespace, &pods).await?
    } else {
        Ok(Expected::default())
    };
    let (failure, strays) = match &expected {
        Err(why) => (Some(why.clone()), false),
        Ok(expected) => (None, expected.strays),
    };
    let now = jiff::Timestamp::now().as_second();
    let plan = plan(&Snapshot { budget: &item.value, pods: &pods, expected, now });
    for name in &plan.stayed {
        if let Some(pod) = pods.iter().find(|pod| pod.meta.name == *name) {
            let message = format!(
                "Pod was expected by PDB {namespace}/{} to be deleted but it wasn't",
                item.meta.name
            );
            let about = about("v1", "Pod", &pod.meta);
            let event =
                Event { about, component: COMPONENT, warning: true, reason: "NotDeleted", message };
            context.tell(event);
        }
    }
    if plan.status != item.value["status"] {
        let mut changed = item.value.clone();
        set(&mut changed, &["status"], plan.status);
        let at = BUDGETS.at(namespace, path.name()).part("status");
        let written = context.cluster.update(at, changed).await?;
        reach(&context.budgets, revision(&written)).await;
        tell(context, &item, pods.is_empty(), strays, failure);
    }
    Ok(match plan.again {
        Some(seconds) => Done::After(Duration::from_secs(seconds.unsigned_abs())),
        None => Done::Ok,
    })
}

/// What somebody who looks at the budget should know. Told when it changes, not each time that it is looked at.
fn tell(context: &Context, item: &Item<Value>, empty: bool, strays: bool, failure: Option<String>) {
    let tell = |warning, reason, message| {
        let about = about("policy/v1", "PodDisruptionBudget", &item.meta);
        context.tell(Event { about, component: COMPONENT, warning, reason, message });
    };
    if empty {
        tell(false, "NoPods", "No matching pods found".to_owned());
    }
    if strays {
        let selector = &item.value["spec"]["selector"];
        tell(
            true,
            "UnmanagedPods",
            format!(
                "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
            ),
        );
    }
    if let Some(why) = failure {
        let message = format!("Failed to calculate the number of expected pods: {why}");
        tell(true, "CalculateExpectedPodCountFailed", message);
    }
}

/// How many pods the owners of some pods are to have together; the inner error is one that asking again does not mend.
async fn expected(
    context: &Context,
    namespace: &str,
    pods: &[PodItem],
) -> Result<Result<Expected, String>, Status> {
    let mut known: BTreeMap<Box<str>, i64> = BTreeMap::new();
    let mut owners: BTreeSet<Box<str>> = BTreeSet::new();
    let mut strays = false;
    for pod in pods {
        let Some(owner) = pod.meta.controller() else {
            strays = true;
            continue;
        };
        if !owners.insert(owner.uid.clone()) {
            continue;
        }
        match wanted(context, namespace, owner).await? {
            Some((uid, n)) => {
                known.insert(uid, n);
            }
            None => return Ok(Err(format!("found no controllers for pod {:?}", pod.meta.name))),
        }
    }
    Ok(Ok(Expected { n: known.values().sum(), strays }))
}

/// How many pods an owner is to have, and who says so: a Deployment for its ReplicaSets, else the owner's own `scale`.
async fn wanted(
    context: &Context,
    namespace: &str,
    owner: &Owner,
) -> Result<Option<(Box<str>, i64)>, Status> {
    let replicas = |item: &Item<Value>| {
        (item.meta.uid.clone(), number(&item.value, "/spec/replicas").unwrap_or(1))
    };
    if &*owner.kind == "ReplicaSet" {
        let set = context.replica_sets.get(namespace, &owner.name);
        let Some(set) = set.filter(|set| set.meta.uid == owner.uid) else { return Ok(None) };
        let above = set.meta.controller().filter(|above| &*above.kind == "Deployment");
        let above = above.and_then(|above| {
            let found = context.deployments.get(namespace, &above.name);
            found.filter(|found| found.meta.uid == above.uid)
        });
        return Ok(Some(replicas(above.as_deref().unwrap_or(&set))));
    }
    let Some(kind) = context.cluster.kind(&owner.api_version, &owner.kind) else { return Ok(None) };
    match context.cluster.get(kind.gvr.at(namespace, &owner.name).part("scale")).await {
        Ok(scale) if text(&scale, "/metadata/uid") == &*owner.uid => {
            Ok(Some((owner.uid.clone(), number(&scale, "/spec/replicas").unwrap_or(0))))
        }
        Ok(_) => Ok(None),
        Err(status) if matches!(status.code, 404 | 405) => Ok(None),
        Err(status) => Err(status),
    }
}
