//! How many replicas a metric asks for. Values are thousandths, as upstream reads every quantity.

use crate::json::{condition, list, seconds, text};
use moat_apiserver::Quantity;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How long after its start a pod's use of the processor says nothing while it is not ready (`--horizontal-pod-autoscaler-cpu-initialization-period`).
const CPU_INITIALIZATION: i64 = 300;
/// How long a pod may take until it is ready for the first time (`--horizontal-pod-autoscaler-initial-readiness-delay`).
const INITIAL_READINESS: i64 = 30;

/// How far use may be from the target without anything being done about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tolerance {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Tolerance {
    fn holds(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// What was measured of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) value: i64,
    pub(super) time: i64,
    pub(super) window: i64,
}

/// What was measured, by the names of the pods.
pub(super) type Samples = BTreeMap<String, Sample>;

/// A number of replicas, and what it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) replicas: i32,
    /// The share of what was requested, in percent, where the target is one.
    pub(super) share: Option<i64>,
    /// The average, in thousandths.
    pub(super) average: i64,
}

/// What is asked for of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Percent of what the pods request.
    Share(i64),
    /// Thousandths for each pod.
    Average(i64),
}

/// Which resource of which part of the pods is meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource<'a> {
    pub(super) name: &'a str,
    /// A container's name; empty for all.
    pub(super) container: &'a str,
}

/// The replicas that the use of a resource asks for.
///
/// Errors: nothing can be said, and why, in upstream's words.
pub(super) fn resource(
    resource: Resource<'_>,
    target: Target,
    current: i32,
    tolerance: Tolerance,
    pods: &[Value],
    mut samples: Samples,
    now: i64,
) -> Result<Proposal, String> {
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = Groups::of(pods, &samples, resource.name == "cpu", now);
    samples.retain(|name, _| !groups.ignored.contains(name) && !groups.unready.contains(name));
    if samples.is_empty() {
        let why = "did not receive metrics for targeted pods (pods might be unready)";
        return Err(why.to_owned());
    }
    let requests = match target {
        Target::Share(_) => requests(pods, resource)?,
        Target::Average(_) => BTreeMap::new(),
    };
    let used = use_of(target, &samples, &requests)?;
    let replicas = replicas(target, current, tolerance, &groups, &requests, samples, used.ratio)?;
    Ok(Proposal { replicas, share: used.share, average: used.average })
}

/// The replicas, once it is known who is ready and how much is used.
fn replicas(
    target: Target,
    current: i32,
    tolerance: Tolerance,
    groups: &Groups,
    requests: &BTreeMap<String, i64>,
    mut samples: Samples,
    ratio: f64,
) -> Result<i32, String> {
    let up_with_unready = !groups.unready.is_empty() && 1.0 < ratio;
    if !up_with_unready && groups.missing.is_empty() {
        let keep = tolerance.holds(ratio);
        return Ok(if keep { current } else { ceil(ratio * float(groups.n_ready)) });
    }
    // Pods of which nothing is known count against the change: as busy on the way down, as idle on the way up.
    let assumed = |name: &String| match target {
        _ if 1.0 < ratio => 0,
        Target::Share(share) => {
            requests.get(name).map_or(0, |own| own.saturating_mul(share.max(100)) / 100)
        }
        Target::Average(value) => value,
    };
    if (1.0 - ratio).abs() > 0.0 {
        for name in &groups.missing {
            let sample = Sample { value: assumed(name), time: 0, window: 0 };
            samples.insert(name.clone(), sample);
        }
    }
    if up_with_unready {
        for name in &groups.unready {
            samples.insert(name.clone(), Sample { value: 0, time: 0, window: 0 });
        }
    }
    let anew = use_of(target, &samples, requests)?.ratio;
    let turns = (ratio < 1.0 && 1.0 < anew) || (1.0 < ratio && anew < 1.0);
    if tolerance.holds(anew) || turns {
        return Ok(current);
    }
    let wanted = ceil(anew * float(samples.len()));
    let against = (anew < 1.0 && current < wanted) || (1.0 < anew && wanted < current);
    Ok(if against { current } else { wanted })
}

struct Use {
    ratio: f64,
    share: Option<i64>,
    average: i64,
}

fn use_of(
    target: Target,
    samples: &Samples,
    requests: &BTreeMap<String, i64>,
) -> Result<Use, String> {
    let sum = |values: &mut dyn Iterator<Item = i64>| values.fold(0_i64, i64::saturating_add);
    match target {
        Target::Average(wanted) => {
            let total = sum(&mut samples.values().map(|one| one.value));
            let average = total / count(samples.len());
            Ok(Use { ratio: quotient(average, wanted), share: None, average })
        }
        Target::Share(wanted) => {
            let known: Vec<(i64, i64)> = samples
                .iter()
                .filter_map(|(name, one)| Some((one.value, *requests.get(name)?)))
                .collect();
            let total = sum(&mut known.iter().map(|one| one.0));
            let requested = sum(&mut known.iter().map(|one| one.1));
            if requested == 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let share = i128::from(total) * 100 / i128::from(requested);
            let share = i64::try_from(share).unwrap_or(i64::MAX).min(i64::from(i32::MAX));
            let average = total / count(known.len());
            Ok(Use { ratio: quotient(share, wanted), share: Some(share), average })
        }
    }
}

/// The replicas that a number asks for which is not of single pods. With no replicas there is nothing that it could be measured against.
pub(super) fn total(
    used: i64,
    target: i64,
    current: i32,
    tolerance: Tolerance,
    pods: &[Value],
) -> Result<i32, String> {
    let ratio = quotient(used, target);
    if current == 0 {
        return Ok(ceil(ratio));
    }
    if tolerance.holds(ratio) {
        return Ok(current);
    }
    if pods.is_empty() {
        let why = "no pods returned by selector while calculating replica count";
        return Err(format!("unable to calculate ready pods: {why}"));
    }
    let ready = pods.iter().filter(|pod| text(pod, "/status/phase") == "Running" && is_ready(pod));
    Ok(ceil(ratio * float(ready.count())))
}

/// The replicas that a number asks for of which each pod is to have so much; and how much each has now.
pub(super) fn per_pod(used: i64, target: i64, has: i32, tolerance: Tolerance) -> (i32, i64) {
    // With no pods this is endless, or no number at all: in both cases beyond any tolerance.
    let ratio = quotient(used, target) / f64::from(has);
    let replicas = if tolerance.holds(ratio) { has } else { ceil(quotient(used, target)) };
    let has = i64::from(has);
    let share = if has == 0 {
        i64::MAX
    } else {
        used.div_euclid(has) + i64::from(used.rem_euclid(has) > 0)
    };
    (replicas, share)
}

/// Pods by what can be said of them.
struct Groups {
    n_ready: usize,
    unready: BTreeSet<String>,
    missing: BTreeSet<String>,
    ignored: BTreeSet<String>,
}

impl Groups {
    fn of(pods: &[Value], samples: &Samples, is_cpu: bool, now: i64) -> Self {
        let mut groups = Self {
            n_ready: 0,
            unready: BTreeSet::new(),
            missing: BTreeSet::new(),
            ignored: BTreeSet::new(),
        };
        for pod in pods {
            let name = text(pod, "/metadata/name").to_owned();
            let phase = text(pod, "/status/phase");
            if pod["metadata"].get("deletionTimestamp").is_some() || phase == "Failed" {
                groups.ignored.insert(name);
            } else if phase == "Pending" {
                groups.unready.insert(name);
            } else if let Some(sample) = samples.get(&name) {
                if is_cpu && is_warming(pod, *sample, now) {
                    groups.unready.insert(name);
                } else {
                    groups.n_ready += 1;
                }
            } else {
                groups.missing.insert(name);
            }
        }
        groups
    }
}

/// Whether what a pod uses is not yet what it will use: it starts, or what was measured is older than its being ready.
fn is_warming(pod: &Value, sample: Sample, now: i64) -> bool {
    let ready = condition(&pod["status"], "Ready");
    let (Some(ready), Some(start)) = (ready, seconds(text(pod, "/status/startTime"))) else {
        return true;
    };
    let is_not = ready["status"] == "False";
    let since = seconds(text(ready, "/lastTransitionTime")).unwrap_or(0);
    if now < start + CPU_INITIALIZATION {
        is_not || sample.time < since + sample.window
    } else {
        is_not && since < start + INITIAL_READINESS
    }
}

fn is_ready(pod: &Value) -> bool {
    condition(&pod["status"], "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// What each pod requests of a resource.
fn requests(pods: &[Value], resource: Resource<'_>) -> Result<BTreeMap<String, i64>, String> {
    let of = |pod: &Value| Ok((text(pod, "/metadata/name").to_owned(), request(pod, resource)?));
    pods.iter().map(of).collect()
}

fn request(pod: &Value, Resource { name, container }: Resource<'_>) -> Result<i64, String> {
    let pod_name = text(pod, "/metadata/name");
    let own = |resources: &Value| Quantity::read(&resources["requests"][name]).map(Quantity::milli);
    let whole = &pod["spec"]["resources"];
    if container.is_empty() && whole["requests"].is_object() {
        let missing = || format!("missing pod-level request for {name} in Pod {pod_name}");
        return own(whole).ok_or_else(missing);
    }
    let sidecars = list(pod, "/spec/initContainers").iter();
    let sidecars = sidecars.filter(|one| one["restartPolicy"] == "Always");
    let mut total = 0_i64;
    for one in list(pod, "/spec/containers").iter().chain(sidecars) {
        let called = text(one, "/name");
        if !container.is_empty() && container != called {
            continue;
        }
        let missing =
            || format!("missing request for {name} in container {called} of Pod {pod_name}");
        total = total.saturating_add(own(&one["resources"]).ok_or_else(missing)?);
        if container == called {
            return Ok(total);
        }
    }
    if container.is_empty() {
        Ok(total)
    } else {
        Err(format!("container {container} not found in Pod {pod_name}"))
    }
}

/// The least whole number of replicas that is enough.
#[expect(clippy::cast_possible_truncation, reason = "what is too much becomes the most there is")]
fn ceil(replicas: f64) -> i32 {
    replicas.ceil() as i32
}

#[expect(clippy::cast_precision_loss, reason = "a ratio needs few digits")]
fn quotient(one: i64, other: i64) -> f64 {
    one as f64 / other as f64
}

#[expect(clippy::cast_precision_loss, reason = "pods are few")]
fn float(n: usize) -> f64 {
    n as f64
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX).max(1)
}
