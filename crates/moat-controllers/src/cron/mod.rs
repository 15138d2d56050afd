//! CronJobs: a Job whenever its time has come.

mod plan;
#[cfg(test)]
mod tests;

use crate::context::{CRON_JOBS, Context, JOBS, OF, path, reach, work};
use crate::event::{Event, Told, about};
use crate::json::{list, revision, set, time};
use moat_apiserver::{DeleteOptions, Propagation, Status};
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
use plan::{JobItem, Plan, Snapshot, plan};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const KIND: &str = "CronJob";
/// So much after its time a Job is made: a clock may be a little behind.
const LATER: Duration = Duration::from_millis(100);

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("cronjob");
    let into = queue.clone();
    context.cron_jobs.on_change(move |delta| {
        if let Some(one) = &delta.new {
            into.add(one.path.clone());
        }
    });
    let into = queue.clone();
    context.jobs.on_change(move |delta| {
        for job in [&delta.old, &delta.new].into_iter().flatten() {
            if let Some(owner) = job.meta.controller().filter(|owner| &*owner.kind == KIND)
                && let Some(path) = path(&job.meta.namespace, &owner.name)
            {
                into.add(path);
            }
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let Some(item) = context.cron_jobs.get(namespace, path.name()) else { return Ok(Done::Ok) };
    let now = context.options.clock.now();
    let jobs = context.jobs.by(OF, &item.meta.uid);
    let exists = |name: &str| context.jobs.get(namespace, name).is_some();
    let plan = plan(&Snapshot { item: &item, jobs: &jobs, exists: &exists, now: now.as_second() });
    let next = plan.next;
    let mut status = plan.status.clone();
    let acted = carry_out(context, &item, plan, &mut status).await;
    if status != item.value["status"] {
        let mut changed = item.value.clone();
        set(&mut changed, &["status"], status);
        let at = CRON_JOBS.at(namespace, path.name()).part("status");
        let written = context.cluster.update(at, changed).await?;
        reach(&context.cron_jobs, revision(&written)).await;
    }
    acted?;
    Ok(match next {
        Some(next) => {
            let left = next.saturating_mul(1000).saturating_sub(now.as_millisecond());
            Done::After(LATER + Duration::from_millis(u64::try_from(left).unwrap_or(0)))
        }
        None => Done::Ok,
    })
}

fn tell(context: &Context, item: &Item<Value>, (warning, reason, message): Told) {
    let about = about("batch/v1", KIND, &item.meta);
    let component = "cronjob-controller";
    context.tell(Event { about, component, warning, reason, message });
}

async fn carry_out(
    context: &Context,
    item: &Item<Value>,
    plan: Plan,
    status: &mut Value,
) -> Result<(), Status> {
    for told in plan.told {
        tell(context, item, told);
    }
    for job in plan.forget {
        // What cannot be deleted now is tried with the next change.
        let _ = delete(context, item, &job, status).await;
    }
    for job in plan.replace {
        delete(context, item, &job, status).await?;
    }
    let Some(when) = plan.start else { return Ok(()) };
    let namespace = &item.meta.namespace;
    let job = match context.cluster.create(JOBS.at(namespace, ""), plan::job(item, when)).await {
        Ok(job) => {
            reach(&context.jobs, revision(&job)).await;
            let name = crate::json::text(&job, "/metadata/name");
            tell(context, item, (false, "SuccessfulCreate", format!("Created job {name}")));
            job
        }
        Err(error) if error.reason == "AlreadyExists" => {
            let at = plan::name(item, when);
            let job = context.cluster.get(JOBS.at(namespace, &at)).await?;
            let owners = list(&job, "/metadata/ownerReferences");
            let mine = |one: &Value| one["controller"] == true && one["uid"] == *item.meta.uid;
            if !owners.iter().any(mine) {
                return Ok(());
            }
            job
        }
        Err(error) => {
            let message = format!("Error creating job: {}", error.message);
            tell(context, item, (true, "FailedCreate", message));
            return Err(error);
        }
    };
    let mut active = list(status, "/active").to_vec();
    active.push(plan::reference(&job));
    set(status, &["active"], active.into());
    set(status, &["lastScheduleTime"], time(when).into());
    Ok(())
}

/// Deletes a Job, and takes it out of the status.
async fn delete(
    context: &Context,
    item: &Item<Value>,
    job: &JobItem,
    status: &mut Value,
) -> Result<(), Status> {
    let options = DeleteOptions {
        propagation: Some(Propagation::Background),
        uid: Some(job.meta.uid.to_string()),
        ..DeleteOptions::default()
    };
    let name = &job.meta.name;
    match context.cluster.delete(JOBS.at(&job.meta.namespace, name), &options).await {
        Ok(gone) => reach(&context.jobs, revision(&gone)).await,
        Err(error) if error.code == 404 => {}
        Err(error) => {
            let message = format!("Deleted job: {}", error.message);
            tell(context, item, (true, "FailedDelete", message));
            return Err(error);
        }
    }
    let mut active = list(status, "/active").to_vec();
    active.retain(|one| one["uid"] != *job.meta.uid);
    if let Some(map) = status.as_object_mut() {
        map.shift_remove("active");
    }
    if !active.is_empty() {
        set(status, &["active"], active.into());
    }
    tell(context, item, (false, "SuccessfulDelete", format!("Deleted job {name}")));
    Ok(())
}
