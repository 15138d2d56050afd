//! Deployments: a ReplicaSet for each template, and pods that move from the old ones to the new one.

mod plan;
mod sets;
mod status;
#[cfg(test)]
mod tests;

use crate::context::{Context, DEPLOYMENTS, OF, path, reach, work};
use crate::json::{annotation, number, revision, set, text};
use moat_apiserver::{DeleteOptions, Status};
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
pub(crate) use plan::hash;
use plan::{SetItem, Size, Wanted};
use serde_json::Value;
use status::Sums;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("deployment");
    let into = queue.clone();
    context.deployments.on_change(move |delta| {
        into.add(
            delta
                .last()
                .map_or_else(|| unreachable!("a change of nothing"), |one| one.path.clone()),
        );
    });
    let into = queue.clone();
    context.replica_sets.on_change(move |delta| {
        for set in [&delta.old, &delta.new].into_iter().flatten() {
            if let Some(owner) = set.meta.controller().filter(|owner| &*owner.kind == "Deployment")
                && let Some(path) = path(&set.meta.namespace, &owner.name)
            {
                into.add(path);
            }
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let Some(item) = context.deployments.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let deployment = &item.value;
    let mut sets = sets::claim(context, &item).await?;
    sets.sort_by_key(|set| plan::number_of(&set.value));
    let now = jiff::Timestamp::now().as_second();
    if item.meta.is_deleting() {
        return report(context, &item, &sets, false, None, now).await;
    }
    let wanted = Wanted::of(deployment);
    let paused = deployment["spec"]["paused"] == true;
    if paused || plan::is_scaled(&sets, wanted.replicas) {
        if sets::resize(context, &item, &sets, wanted).await? {
            return Ok(Done::After(Duration::ZERO));
        }
        return report(context, &item, &sets, false, None, now).await;
    }
    let recreate = text(deployment, "/spec/strategy/type") == "Recreate";
    let found = plan::find_new(&sets, deployment).cloned();
    let old: Vec<&SetItem> = sets
        .iter()
        .filter(|set| found.as_ref().is_none_or(|new| new.meta.uid != set.meta.uid))
        .collect();
    if recreate {
        let active: Vec<&SetItem> =
            old.iter().copied().filter(|set| Size::of(&set.value).replicas != 0).collect();
        for set in &active {
            sets::size(context, &item, set, 0, wanted).await?;
        }
        if !active.is_empty()
            || old.iter().any(|set| plan::is_running(&set.value))
            || terminating(context, &old)
        {
            // Old pods that still end are told of by their sets' changes, and by the clock where only pods change.
            report(context, &item, &sets, false, None, now).await?;
            return Ok(Done::After(Duration::from_millis(200)));
        }
    }
    let Some(new) = found else {
        return match sets::make(context, &item, &sets, wanted, recreate).await? {
            sets::Made::Set => {
                let mut sets = sets::claim(context, &item).await?;
                sets.sort_by_key(|set| plan::number_of(&set.value));
                report(context, &item, &sets, true, None, now).await
            }
            sets::Made::Collision(n) => report(context, &item, &sets, false, Some(n), now).await,
        };
    };
    if sets::renumber(context, &item, &new, &old).await? {
        return Ok(Done::After(Duration::ZERO));
    }
    let sizes: Vec<Size> = old.iter().map(|set| Size::of(&set.value)).collect();
    let (next, others) = if recreate {
        (wanted.replicas, sizes.iter().map(|one| one.replicas).collect())
    } else {
        plan::roll(wanted, Size::of(&new.value), &sizes)
    };
    let mut changed = sets::size(context, &item, &new, next, wanted).await?;
    for (set, size) in old.iter().zip(others) {
        changed |= sets::size(context, &item, set, size, wanted).await?;
    }
    if !changed && status::is_complete(deployment, &deployment["status"]) {
        let limit = number(deployment, "/spec/revisionHistoryLimit").unwrap_or(10);
        for set in plan::forgotten(&old, limit) {
            let options =
                DeleteOptions { uid: Some(set.meta.uid.to_string()), ..DeleteOptions::default() };
            let at = crate::context::REPLICA_SETS.at(namespace, &set.meta.name);
            match context.cluster.delete(at, &options).await {
                Ok(_) => {}
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
    }
    report(context, &item, &sets, false, None, now).await
}

/// Whether pods of old sets are there that end, which a set's status does not count.
fn terminating(context: &Context, old: &[&SetItem]) -> bool {
    old.iter().any(|set| context.pods.by(OF, &set.meta.uid).iter().any(|pod| !pod.value.is_over()))
}

/// Writes the status if it changed, and the Deployment's own revision.
async fn report(
    context: &Context,
    item: &Item<Value>,
    sets: &[SetItem],
    made: bool,
    collisions: Option<i64>,
    now: i64,
) -> Result<Done, Status> {
    let new = plan::find_new(sets, &item.value);
    let at = DEPLOYMENTS.at(&item.meta.namespace, &item.meta.name);
    let mut changed = item.value.clone();
    // With the status, as upstream does: a write of the object itself would count as a new generation of it.
    if let Some(revision) = new.and_then(|set| annotation(&set.value, plan::REVISION)) {
        set(&mut changed, &["metadata", "annotations", plan::REVISION], revision.into());
    }
    let collisions = collisions.or_else(|| number(&changed, "/status/collisionCount"));
    let sums = Sums { deployment: &changed, all: sets, new, made, collisions, now };
    let (status, again) = status::status(&sums);
    set(&mut changed, &["status"], status);
    if changed != item.value {
        let written = context.cluster.update(at.part("status"), changed).await?;
        reach(&context.deployments, revision(&written)).await;
    }
    Ok(match again {
        Some(seconds) => Done::After(Duration::from_secs(seconds.unsigned_abs().max(1))),
        None => Done::Ok,
    })
}
