//! What an autoscaler does: a pure function of the object, what it scales, what was measured, and what it did lately.

use super::calculate::{self, Proposal, Resource, Target, Tolerance};
use super::history::{History, Wish};
use super::metrics::{Reading, go};
use crate::event::Told;
use crate::json::{list, number, text, time};
use moat_apiserver::Quantity;
use serde_json::{Value, json};

/// `--horizontal-pod-autoscaler-tolerance`.
const TOLERANCE: f64 = 0.1;

/// What is scaled, as its `scale` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) spec: i32,
    pub(super) status: i32,
    pub(super) selector: String,
}

/// The pods that are scaled, and what was measured for each of the autoscaler's metrics.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    pub(super) pods: Vec<Value>,
    pub(super) readings: Vec<Reading>,
    /// Autoscalers that select some of the same pods, this one among them, as `namespace/name`.
    pub(super) rivals: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) status: Status,
    pub(super) events: Vec<Told>,
    /// The replicas to set, and why.
    pub(super) rescale: Option<(i32, String)>,
}

/// The status that is made; `desired` and the time of the last change are the old ones until something else is known.
#[derive(Clone, Debug)]
pub(super) struct Status {
    conditions: Vec<Value>,
    pub(super) current: i32,
    pub(super) desired: i64,
    metrics: Vec<Value>,
    pub(super) scaled: Value,
}

impl Status {
    pub(super) fn of(hpa: &Value) -> Self {
        let old = &hpa["status"];
        Self {
            conditions: list(old, "/conditions").to_vec(),
            current: whole(old, "/currentReplicas"),
            desired: number(old, "/desiredReplicas").unwrap_or(0),
            metrics: list(old, "/currentMetrics").to_vec(),
            scaled: old["lastScaleTime"].clone(),
        }
    }

    /// Says a condition; since when it is so stays where it was so before.
    pub(super) fn say(&mut self, kind: &str, holds: bool, reason: &str, message: &str, now: i64) {
        let status = if holds { "True" } else { "False" };
        let at = self.conditions.iter().position(|one| one["type"] == kind);
        let before = at.and_then(|at| self.conditions.get(at));
        let same = before.filter(|one| one["status"] == status);
        let since = same.map_or_else(|| time(now).into(), |one| one["lastTransitionTime"].clone());
        let condition = json!({
            "type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message,
        });
        match at.and_then(|at| self.conditions.get_mut(at)) {
            Some(own) => *own = condition,
            None => self.conditions.push(condition),
        }
    }

    pub(super) fn value(&self) -> Value {
        let mut status = json!({});
        if !self.scaled.is_null() {
            status["lastScaleTime"] = self.scaled.clone();
        }
        if self.current != 0 {
            status["currentReplicas"] = self.current.into();
        }
        status["desiredReplicas"] = self.desired.into();
        let none = self.metrics.is_empty();
        status["currentMetrics"] = if none { Value::Null } else { self.metrics.clone().into() };
        if !self.conditions.is_empty() {
            status["conditions"] = self.conditions.clone().into();
        }
        status
    }
}

/// Whether anything has to be measured: not where there is nothing to scale, nor where the bounds alone decide.
pub(super) fn needs_metrics(hpa: &Value, scale: &Scale) -> bool {
    let (min, max) = bounds(hpa);
    scale.spec != 0 && min <= scale.spec && scale.spec <= max
}

/// The plan for an autoscaler whose target cannot be scaled.
pub(super) fn unscalable(hpa: &Value, why: &str, now: i64) -> Plan {
    let mut status = Status::of(hpa);
    let message = format!("the HPA controller was unable to get the target's current scale: {why}");
    status.say("AbleToScale", false, "FailedGetScale", &message, now / 1000);
    Plan { status, events: vec![(true, "FailedGetScale", why.to_owned())], rescale: None }
}

/// The plan for an autoscaler; `now` in milliseconds.
pub(super) fn plan(
    hpa: &Value,
    scale: &Scale,
    measured: &Measured,
    history: &mut History,
    now: i64,
) -> Plan {
    let mut status = Status::of(hpa);
    let seconds = now / 1000;
    let got = "the HPA controller was able to get the target's current scale";
    status.say("AbleToScale", true, "SucceededGetScale", got, seconds);
    history.begin(scale.spec, now);
    let (min, max) = bounds(hpa);
    let current = scale.spec;
    status.current = current;
    status.metrics = Vec::new();
    let mut plan = Plan { status, events: Vec::new(), rescale: None };
    if current == 0 {
        let why = "scaling is disabled since the replica count of the target is zero";
        plan.status.say("ScalingActive", false, "ScalingDisabled", why, seconds);
        plan.status.desired = 0;
        return plan;
    }
    for (out, bound, why) in [
        (max < current, max, "Current number of replicas above Spec.MaxReplicas"),
        (current < min, min, "Current number of replicas below Spec.MinReplicas"),
    ] {
        if out {
            plan.status.desired = bound.into();
            plan.rescale = Some((bound, why.to_owned()));
            return plan;
        }
    }
    let Some((wanted, metric)) = wanted(hpa, scale, measured, &mut plan, now) else { return plan };
    let reason = if current < wanted {
        format!("{metric} above target")
    } else {
        "All metrics below target".to_owned()
    };
    let wish = Wish { current, desired: wanted, min, max };
    let settled = history.settle(wish, &hpa["spec"]["behavior"], now);
    plan.status.say("AbleToScale", true, settled.able.0, settled.able.1, seconds);
    let (limited, why, message) = settled.limited;
    plan.status.say("ScalingLimited", limited, why, message, seconds);
    plan.status.desired = settled.replicas.into();
    if settled.replicas != current {
        // Where stabilisation alone moves it, no metric is to blame.
        let reason = if wanted == current { String::new() } else { reason };
        plan.rescale = Some((settled.replicas, reason));
    }
    plan
}

/// The most replicas that a metric asks for, and which. Nothing if that cannot be said; the plan then says why.
fn wanted(
    hpa: &Value,
    scale: &Scale,
    measured: &Measured,
    plan: &mut Plan,
    now: i64,
) -> Option<(i32, String)> {
    let seconds = now / 1000;
    let refused = |plan: &mut Plan, reason: &'static str, message: &str, event: Option<Told>| {
        plan.events.extend(event);
        plan.status.say("ScalingActive", false, reason, message, seconds);
    };
    if scale.selector.is_empty() {
        let why = "selector is required".to_owned();
        let message = "the HPA target's scale is missing a selector";
        refused(plan, "InvalidSelector", message, Some((true, "SelectorRequired", why.clone())));
        plan.events.push((true, "FailedComputeMetricsReplicas", why));
        return None;
    }
    if 1 < measured.rivals.len() {
        let why = format!(
            "pods by selector {} are controlled by multiple HPAs: [{}]",
            scale.selector,
            measured.rivals.join(" ")
        );
        refused(plan, "AmbiguousSelector", &why, Some((true, "AmbiguousSelector", why.clone())));
        plan.events.push((true, "FailedComputeMetricsReplicas", why));
        return None;
    }
    let metrics = list(hpa, "/spec/metrics");
    let (mut best, mut failures): (Option<(i32, String)>, Vec<Failure>) = (None, Vec::new());
    for (metric, reading) in metrics.iter().zip(&measured.readings) {
        match one(hpa, metric, reading, scale, measured, seconds) {
            Ok((replicas, name, status)) => {
                plan.status.metrics.push(status);
                if best.as_ref().is_none_or(|(most, _)| *most == 0 || *most < replicas) {
                    best = Some((replicas, name));
                }
            }
            Err(failure) => {
                // Upstream leaves an empty place for what it could not measure.
                plan.status.metrics.push(json!({ "type": "" }));
                plan.events.push((true, failure.reason, failure.why.clone()));
                failures.push(failure);
            }
        }
    }
    let (n_bad, n_all) = (failures.len(), metrics.len());
    let replicas = best.as_ref().map_or(0, |(replicas, _)| *replicas);
    if let Some(first) = failures.first()
        && (n_all <= n_bad || replicas < scale.spec)
    {
        let message = format!("the HPA was unable to compute the replica count: {}", first.why);
        refused(plan, first.reason, &message, None);
        let why = format!(
            "invalid metrics ({n_bad} invalid out of {n_all}), first error is: {}",
            first.whole
        );
        plan.events.push((true, "FailedComputeMetricsReplicas", why));
        return None;
    }
    let (replicas, name) = best?;
    let message = format!("the HPA was able to successfully calculate a replica count from {name}");
    plan.status.say("ScalingActive", true, "ValidMetricFound", &message, seconds);
    Some((replicas, name))
}

/// Why a metric says nothing.
struct Failure {
    reason: &'static str,
    why: String,
    /// The same with which metric it was.
    whole: String,
}

type One = (i32, String, Value);

/// What one metric asks for: replicas, its name in words, its status.
fn one(
    hpa: &Value,
    metric: &Value,
    reading: &Reading,
    scale: &Scale,
    measured: &Measured,
    now: i64,
) -> Result<One, Failure> {
    let tolerance = tolerance(hpa);
    let own = |field: &str| &metric[field];
    match text(metric, "/type") {
        "Resource" => {
            let name = text(own("resource"), "/name");
            let resource = Resource { name, container: "" };
            of_resource(own("resource"), resource, reading, scale, measured, tolerance, now)
                .map(|(replicas, words, current)| {
                    let status = json!({ "type": "Resource", "resource": { "name": name, "current": current } });
                    (replicas, words, status)
                })
                .map_err(|why| Failure {
                    reason: "FailedGetResourceMetric",
                    whole: format!("failed to get {name} resource metric value: {why}"),
                    why,
                })
        }
        "ContainerResource" => {
            let source = own("containerResource");
            let (name, container) = (text(source, "/name"), text(source, "/container"));
            let resource = Resource { name, container };
            of_resource(source, resource, reading, scale, measured, tolerance, now)
                .map(|(replicas, words, current)| {
                    let status = json!({ "type": "ContainerResource", "containerResource": { "name": name, "container": container, "current": current } });
                    (replicas, words, status)
                })
                .map_err(|why| Failure {
                    reason: "FailedGetContainerResourceMetric",
                    whole: format!("failed to get {container} container metric value: {why}"),
                    why,
                })
        }
        "External" => external(own("external"), hpa, reading, scale, measured, tolerance),
        kind => {
            let field = if kind == "Pods" { "pods" } else { "object" };
            let name = text(own(field), "/metric/name");
            let none = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered";
            let why = if kind == "Pods" {
                format!("unable to get metric {name}: {none}")
            } else {
                let about = &metric["object"]["describedObject"];
                let (kind, object) = (text(about, "/kind"), text(about, "/name"));
                let namespace = text(hpa, "/metadata/namespace");
                format!("unable to get metric {name}: {none} on {kind} {namespace}/{object}")
            };
            let (reason, what) = if kind == "Pods" {
                ("FailedGetPodsMetric", "pods")
            } else {
                ("FailedGetObjectMetric", "object")
            };
            Err(Failure { reason, whole: format!("failed to get {what} metric value: {why}"), why })
        }
    }
}

fn of_resource(
    source: &Value,
    resource: Resource<'_>,
    reading: &Reading,
    scale: &Scale,
    measured: &Measured,
    tolerance: Tolerance,
    now: i64,
) -> Result<(i32, String, Value), String> {
    let name = resource.name;
    let of = |field: &str| &source["target"][field];
    let target = match Quantity::read(of("averageValue")) {
        Some(average) => Target::Average(average.milli()),
        None => Target::Share(of("averageUtilization").as_i64().ok_or(
            "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set",
        )?),
    };
    let what = if matches!(target, Target::Average(_)) { "usage" } else { "utilization" };
    let failed = |why: String| format!("failed to get {name} {what}: {why}");
    let samples = match reading {
        Reading::Pods(Ok(samples)) => samples.clone(),
        Reading::Pods(Err(why)) => {
            let why = match why.strip_prefix("no metrics returned") {
                Some(_) => why.clone(),
                None => format!("unable to fetch metrics from resource metrics API: {why}"),
            };
            return Err(failed(format!("unable to get metrics for resource {name}: {why}")));
        }
        Reading::Values(_) | Reading::Custom => {
            return Err(failed("nothing was measured".to_owned()));
        }
    };
    let Proposal { replicas, share, average } =
        calculate::resource(resource, target, scale.spec, tolerance, &measured.pods, samples, now)
            .map_err(failed)?;
    let words = match (share, resource.container) {
        (None, _) => format!("{name} resource"),
        (Some(_), "") => format!("{name} resource utilization (percentage of request)"),
        (Some(_), _) => format!("{name} container resource utilization (percentage of request)"),
    };
    let average = Quantity::thousandths(average).show(name == "memory");
    let mut current = json!({ "averageValue": average });
    if let Some(share) = share {
        current["averageUtilization"] = share.into();
    }
    Ok((replicas, words, current))
}

fn external(
    source: &Value,
    hpa: &Value,
    reading: &Reading,
    scale: &Scale,
    measured: &Measured,
    tolerance: Tolerance,
) -> Result<One, Failure> {
    let name = text(source, "/metric/name");
    let selector = go(&source["metric"]["selector"]);
    let target = |field: &str| Quantity::read(&source["target"][field]).map(Quantity::milli);
    let per_pod = target("averageValue");
    let failed = |why: String| {
        let inner = if per_pod.is_some() {
            format!("failed to get {name} external metric: {why}")
        } else {
            format!("failed to get external metric {name}: {why}")
        };
        let whole = format!("failed to get {name} external metric value: {inner}");
        Failure { reason: "FailedGetExternalMetric", why, whole }
    };
    let values = match reading {
        Reading::Values(Ok(values)) => values,
        Reading::Values(Err(why)) => {
            let namespace = text(hpa, "/metadata/namespace");
            let why = format!("unable to get external metric {namespace}/{name}/{selector}: {why}");
            return Err(failed(why));
        }
        Reading::Pods(_) | Reading::Custom => {
            return Err(failed("nothing was measured".to_owned()));
        }
    };
    let used = values.iter().fold(0_i64, |sum, one| sum.saturating_add(*one));
    let (replicas, current) = if let Some(average) = per_pod {
        let (replicas, share) = calculate::per_pod(used, average, scale.status, tolerance);
        (replicas, json!({ "averageValue": Quantity::thousandths(share).show(false) }))
    } else if let Some(value) = target("value") {
        let replicas = calculate::total(used, value, scale.spec, tolerance, &measured.pods);
        let shown = json!({ "value": Quantity::thousandths(used).show(false) });
        (replicas.map_err(failed)?, shown)
    } else {
        let why = "invalid external metric source: neither a value target nor an average value target was set";
        return Err(failed(why.to_owned()));
    };
    let mut named = json!({ "name": name });
    if !source["metric"]["selector"].is_null() {
        named["selector"] = source["metric"]["selector"].clone();
    }
    let status = json!({ "type": "External", "external": { "metric": named, "current": current } });
    Ok((replicas, format!("external metric {name}({selector})"), status))
}

/// The autoscaler's least and most replicas.
fn bounds(hpa: &Value) -> (i32, i32) {
    let min =
        if hpa["spec"]["minReplicas"].is_null() { 1 } else { whole(hpa, "/spec/minReplicas") };
    (min, whole(hpa, "/spec/maxReplicas"))
}

fn tolerance(hpa: &Value) -> Tolerance {
    let of = |side: &str| {
        let own = Quantity::read(&hpa["spec"]["behavior"][side]["tolerance"]);
        own.map_or(TOLERANCE, |own| own.ratio(Quantity::whole(1)))
    };
    Tolerance { down: of("scaleDown"), up: of("scaleUp") }
}

pub(super) fn whole(object: &Value, pointer: &str) -> i32 {
    i32::try_from(number(object, pointer).unwrap_or(0)).unwrap_or(i32::MAX)
}
