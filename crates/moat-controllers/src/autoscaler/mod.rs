//! Autoscalers: as many pods as what was measured asks for.

mod calculate;
mod history;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use crate::context::{AUTOSCALERS, Context, PODS, reach, work};
use crate::event::{Event, Told, about};
use crate::json::{revision, set, text, time};
use history::History;
use moat_apiserver::{Gvr, Selection, Status};
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
use plan::{Measured, Plan, Scale, whole};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// How often a change of replicas is tried anew when others write the same object.
const TRIES: usize = 5;

/// What is remembered of an autoscaler from one look to the next.
#[derive(Debug, Default)]
struct Memory {
    history: History,
    /// The pods that it selected last.
    pods: BTreeSet<String>,
}

type Memories = Arc<Mutex<BTreeMap<Path, Memory>>>;

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("horizontalpodautoscaler");
    let into = queue.clone();
    context.autoscalers.on_change(move |delta| {
        // What is written here is no news.
        let spec =
            |item: &Option<Arc<Item<Value>>>| item.as_ref().map(|item| item.value["spec"].clone());
        if let Some(one) = delta.last().filter(|_| spec(&delta.old) != spec(&delta.new)) {
            into.add(one.path.clone());
        }
    });
    let memories = Memories::default();
    work(context, tasks, &queue, move |context, path| {
        let memories = Arc::clone(&memories);
        async move { sync(&context, &memories, &path).await }
    });
}

async fn sync(context: &Context, memories: &Memories, path: &Path) -> Result<Done, Status> {
    let namespace = path.namespace().unwrap_or_default();
    let locked = || memories.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(item) = context.autoscalers.get(namespace, path.name()) else {
        locked().remove(path);
        return Ok(Done::Ok);
    };
    let hpa = &item.value;
    let now = || jiff::Timestamp::now().as_millisecond();
    let mut plan = match scale(context, namespace, hpa).await {
        Err(why) => plan::unscalable(hpa, &why, now()),
        Ok((gvr, scale, object)) => {
            let measured = if plan::needs_metrics(hpa, &scale) {
                measure(context, memories, path, hpa, &scale).await?
            } else {
                Measured::default()
            };
            let mut history =
                std::mem::take(&mut locked().entry(path.clone()).or_default().history);
            let mut plan = plan::plan(hpa, &scale, &measured, &mut history, now());
            if let Some((replicas, reason)) = plan.rescale.take() {
                let done = rescale(context, &gvr, namespace, hpa, object, replicas).await;
                let behavior = &hpa["spec"]["behavior"];
                if done.is_ok() {
                    history.changed(behavior, scale.spec, replicas, now());
                }
                told(&mut plan, hpa, replicas, &reason, done, now() / 1000);
            }
            locked().entry(path.clone()).or_default().history = history;
            plan
        }
    };
    for (warning, reason, message) in plan.events.drain(..) {
        let about = about("autoscaling/v2", "HorizontalPodAutoscaler", &item.meta);
        let component = "horizontal-pod-autoscaler";
        context.tell(Event { about, component, warning, reason, message });
    }
    let status = plan.status.value();
    if status != hpa["status"] {
        let mut changed = hpa.clone();
        set(&mut changed, &["status"], status);
        let at = AUTOSCALERS.at(namespace, path.name()).part("status");
        match context.cluster.update(at, changed).await {
            Ok(written) => reach(&context.autoscalers, revision(&written)).await,
            // Somebody else was faster; the next look is by what they wrote.
            Err(status) if matches!(status.code, 404 | 409) => {}
            Err(status) => return Err(status),
        }
    }
    Ok(Done::After(context.options.timing.autoscaler_sync))
}

/// What became of a change of replicas.
fn told(
    plan: &mut Plan,
    hpa: &Value,
    replicas: i32,
    reason: &str,
    done: Result<(), String>,
    now: i64,
) {
    let event: Told = match done {
        Ok(()) => {
            plan.status.scaled = time(now).into();
            let message =
                format!("the HPA controller was able to update the target scale to {replicas}");
            plan.status.say("AbleToScale", true, "SucceededRescale", &message, now);
            (false, "SuccessfulRescale", format!("New size: {replicas}; reason: {reason}"))
        }
        Err(why) => {
            plan.status.desired = i64::from(whole(hpa, "/status/desiredReplicas"));
            let message =
                format!("the HPA controller was unable to update the target scale: {why}");
            plan.status.say("AbleToScale", false, "FailedUpdateScale", &message, now);
            let message = format!("New size: {replicas}; reason: {reason}; error: {why}");
            (true, "FailedRescale", message)
        }
    };
    plan.events.push(event);
}

/// The kind, the scale and its object, of what an autoscaler scales.
///
/// Errors: there is no such kind, no such object, or it has no scale; in upstream's words.
async fn scale(
    context: &Context,
    namespace: &str,
    hpa: &Value,
) -> Result<(Gvr, Scale, Value), String> {
    let target = &hpa["spec"]["scaleTargetRef"];
    let (version, kind) = (text(target, "/apiVersion"), text(target, "/kind"));
    if version.matches('/').count() > 1 {
        return Err(format!("unexpected GroupVersion string: {version}"));
    }
    let served = context.cluster.kind(version, kind).ok_or_else(|| {
        let group = version.split_once('/').map_or("", |(group, _)| group);
        format!("no matches for kind {kind:?} in group {group:?}")
    })?;
    let at = served.gvr.at(namespace, text(target, "/name")).part("scale");
    let object = context.cluster.get(at).await.map_err(|status| status.message)?;
    let scale = Scale {
        spec: whole(&object, "/spec/replicas"),
        status: whole(&object, "/status/replicas"),
        selector: text(&object, "/status/selector").to_owned(),
    };
    Ok((served.gvr, scale, object))
}

/// Sets the replicas; where somebody else wrote the object meanwhile, again on what they wrote.
async fn rescale(
    context: &Context,
    gvr: &Gvr,
    namespace: &str,
    hpa: &Value,
    mut object: Value,
    replicas: i32,
) -> Result<(), String> {
    let at = gvr.at(namespace, text(hpa, "/spec/scaleTargetRef/name")).part("scale");
    let mut tries = TRIES;
    loop {
        set(&mut object, &["spec", "replicas"], replicas.into());
        tries -= 1;
        match context.cluster.update(at, object).await {
            Ok(_) => return Ok(()),
            Err(status) if status.code == 409 && 0 < tries => {
                object = context.cluster.get(at).await.map_err(|status| status.message)?;
            }
            Err(status) => return Err(status.message),
        }
    }
}

/// The pods that a selector selects, what was measured, and who else scales some of these pods.
async fn measure(
    context: &Context,
    memories: &Memories,
    path: &Path,
    hpa: &Value,
    scale: &Scale,
) -> Result<Measured, Status> {
    let namespace = path.namespace().unwrap_or_default();
    if scale.selector.is_empty() {
        return Ok(Measured::default());
    }
    let selection = Selection { labels: scale.selector.clone(), ..Selection::default() };
    let listed = context.cluster.list(PODS.at(namespace, ""), &selection).await?;
    let pods = listed.objects.iter().filter_map(|one| serde_json::from_slice(&one.value).ok());
    let pods: Vec<Value> = pods.collect();
    let names: BTreeSet<String> =
        pods.iter().map(|pod| text(pod, "/metadata/name").to_owned()).collect();
    let rivals = {
        let mut memories = memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.entry(path.clone()).or_default().pods.clone_from(&names);
        let same = |(other, memory): (&Path, &Memory)| {
            let is = other.namespace() == path.namespace() && !memory.pods.is_disjoint(&names);
            is.then(|| format!("{{{} {}}}", other.name(), other.namespace().unwrap_or_default()))
        };
        memories.iter().filter_map(same).collect()
    };
    let mut readings = Vec::new();
    for metric in crate::json::list(hpa, "/spec/metrics") {
        readings.push(metrics::read(context, namespace, metric, &scale.selector).await);
    }
    Ok(Measured { pods, readings, rivals })
}
