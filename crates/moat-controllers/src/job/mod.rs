//! Jobs: pods until enough of them succeeded.

mod back_off;
mod indexes;
mod per_index;
mod plan;
mod policy;
mod status;
#[cfg(test)]
mod tests;

use crate::context::{Context, JOBS, TRACKED, path, reach, work};
use crate::event::{Event, about};
use crate::json::{list, revision, set, text};
use crate::pod::{Pod, PodItem};
use crate::pods::{Maker, claim, create, delete, follow, of_template, release};
use crate::selector::selects;
use moat_apiserver::{DeleteOptions, Propagation, Status};
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
use per_index::Failures;
use plan::{Plan, Snapshot, plan};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// What holds a Job's pods until they are counted.
const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

static MAKER: Maker = Maker {
    kind: "Job",
    api_version: "batch/v1",
    component: "job-controller",
    gvr: &JOBS,
    cache: |context| &context.jobs,
    matches: |job, meta| selects(&job["spec"]["selector"], &meta.labels),
    finalizer: Some(FINALIZER),
};

/// The Job that a pod with the finalizer is of, or was of.
pub(crate) fn tracked(item: &Item<Pod>, words: &mut Vec<Box<str>>) {
    words.extend(job_of(item).map(|name| format!("{}/{name}", item.meta.namespace).into()));
}

fn job_of(item: &Item<Pod>) -> Option<&str> {
    if !item.meta.has_finalizer(FINALIZER) {
        return None;
    }
    match item.meta.controller() {
        Some(owner) => (&*owner.kind == MAKER.kind).then_some(&*owner.name),
        None => item.meta.label("batch.kubernetes.io/job-name"),
    }
}

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("job");
    follow(context, &MAKER, &queue);
    let into = queue.clone();
    context.pods.on_change(move |delta| {
        // A pod that lost its Job has to lose the finalizer.
        if let Some(pod) = &delta.new
            && pod.meta.controller().is_none()
            && let Some(path) = job_of(pod).and_then(|name| path(&pod.meta.namespace, name))
        {
            into.add(path);
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let found = context.jobs.get(namespace, path.name());
    let pods = match &found {
        Some(item) if !is_ours(&item.value) => return Ok(Done::Ok),
        Some(item) => claim(context, &MAKER, item).await?,
        None => Vec::new(),
    };
    let uid = found.as_ref().map(|item| &*item.meta.uid);
    let lost = |pod: &PodItem| pod.meta.controller().is_none_or(|owner| Some(&*owner.uid) != uid);
    let mut tracked = context.pods.by(TRACKED, &format!("{namespace}/{}", path.name()));
    tracked.retain(|pod| lost(pod) && pods.iter().all(|mine| mine.meta.uid != pod.meta.uid));
    release(context, FINALIZER, tracked).await?;
    let Some(item) = found else { return Ok(Done::Ok) };
    let now = jiff::Timestamp::now().as_second();
    let is_deleting = item.meta.is_deleting();
    let plan = plan(&Snapshot { job: &item.value, is_deleting, pods: &pods, now });
    if plan.expired {
        let options = DeleteOptions {
            propagation: Some(Propagation::Foreground),
            uid: Some(item.meta.uid.to_string()),
            resource_version: Some(item.meta.resource_version.to_string()),
            ..DeleteOptions::default()
        };
        context.cluster.delete(JOBS.at(namespace, path.name()), &options).await?;
        return Ok(Done::Ok);
    }
    carry_out(context, &item, plan).await
}

/// Whether this controller runs a Job; somebody else may.
fn is_ours(job: &Value) -> bool {
    let by = job["spec"]["managedBy"].as_str();
    by.is_none_or(|by| by == "kubernetes.io/job-controller")
}

fn tell(context: &Context, item: &Item<Value>, what: (bool, &'static str, String)) {
    let (warning, reason, message) = what;
    let about = about(MAKER.api_version, MAKER.kind, &item.meta);
    context.tell(Event { about, component: MAKER.component, warning, reason, message });
}

async fn carry_out(context: &Context, item: &Item<Value>, plan: Plan) -> Result<Done, Status> {
    let status =
        serde_json::to_value(&plan.status).map_err(|error| Status::internal(&error.to_string()))?;
    let is_over = plan.status.finished().is_some() && plan.tell.is_none();
    if status != item.value["status"] && !is_over {
        let mut changed = item.value.clone();
        set(&mut changed, &["status"], status);
        let at = JOBS.at(&item.meta.namespace, &item.meta.name).part("status");
        let written = context.cluster.update(at, changed).await?;
        reach(&context.jobs, revision(&written)).await;
        if let Some(what) = plan.tell {
            tell(context, item, what);
        }
    }
    // Only now: what the status does not name yet would be lost.
    release(context, FINALIZER, plan.release).await?;
    delete(context, &MAKER, item, plan.delete).await?;
    let of = |index: &Option<i64>| index.and_then(|index| plan.failures.get(&index).copied());
    let pods = plan.create.iter().map(|index| pod(item, *index, of(index))).collect();
    create(context, &MAKER, item, pods).await?;
    Ok(match plan.again {
        Some(seconds) => Done::After(Duration::from_secs(seconds.unsigned_abs().max(1))),
        None => Done::Ok,
    })
}

/// A pod of a Job, with its index where it has one, and how often that failed where this is counted.
fn pod(item: &Item<Value>, index: Option<i64>, failures: Option<Failures>) -> Value {
    let mut pod = of_template(&MAKER, item);
    let mut finalizers = list(&pod, "/metadata/finalizers").to_vec();
    finalizers.push(FINALIZER.into());
    set(&mut pod, &["metadata", "finalizers"], finalizers.into());
    let Some(index) = index else { return pod };
    let name = &item.meta.name;
    set(&mut pod, &["metadata", "generateName"], format!("{name}-{index}-").into());
    set(&mut pod, &["metadata", "annotations", INDEX], index.to_string().into());
    set(&mut pod, &["metadata", "labels", INDEX], index.to_string().into());
    if let Some(Failures { counted, ignored }) = failures {
        set(&mut pod, &["metadata", "annotations", FAILURES], counted.to_string().into());
        if 0 < ignored {
            set(&mut pod, &["metadata", "annotations", IGNORED], ignored.to_string().into());
        }
    }
    set(&mut pod, &["spec", "hostname"], format!("{name}-{index}").into());
    let variable = json!({
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": { "fieldRef": { "fieldPath": format!("metadata.labels['{INDEX}']") } },
    });
    for kind in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(kind).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mut env = list(container, "/env").to_vec();
            if env.iter().all(|one| text(one, "/name") != "JOB_COMPLETION_INDEX") {
                env.push(variable.clone());
                set(container, &["env"], env.into());
            }
        }
    }
    pod
}
