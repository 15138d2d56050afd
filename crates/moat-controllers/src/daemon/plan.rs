//! What a DaemonSet needs: one pod for each node that is for it, of the newest template by and by.

use crate::json::{number, set, share, text};
use crate::pod::PodItem;
use moat_informer::Item;
use moat_scheduler::{Effect, Labels, Pod, Taint};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The label of a pod's template.
pub(super) const HASH: &str = "controller-revision-hash";

/// How long a pod that ended stays at least, so that one that ends at once is not made without pause.
const PAUSE: i64 = 10;
/// Pods that one plan makes or deletes; upstream's burst.
const BURST: usize = 250;

/// Everything that the decision is made by.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    pub(super) daemon: &'a Value,
    pub(super) is_deleting: bool,
    pub(super) nodes: &'a [Arc<Item<Value>>],
    /// Pods that it manages.
    pub(super) pods: &'a [PodItem],
    /// The newest template's label.
    pub(super) hash: &'a str,
    /// Seconds since 1970.
    pub(super) now: i64,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Names of nodes that get a pod.
    pub(super) create: Vec<String>,
    pub(super) delete: Vec<PodItem>,
    /// Which of those to delete ended by themselves, with their nodes.
    pub(super) ended: Vec<(PodItem, String)>,
    pub(super) status: Value,
    /// In how many seconds time alone changes something.
    pub(super) again: Option<i64>,
}

/// How a node is to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It gets a pod.
    Runs,
    /// It gets none, and one that is there stays.
    Keeps,
    /// It has none.
    Never,
}

/// Whether a node is for pods of a template, which has its additional tolerations already.
pub(super) fn fit(template: &Value, pod: &Pod, node: &Value) -> Fit {
    let name = text(node, "/metadata/name");
    let named = text(template, "/spec/nodeName");
    let labels = Labels::read(&node["metadata"]["labels"]);
    if !named.is_empty() && named != name || !pod.wants_node(name, &labels) {
        return Fit::Never;
    }
    let taints = Taint::read_all(&node["spec"]);
    let has = |effect: Effect| pod.minds(&taints).any(|taint| taint.effect == effect);
    if has(Effect::NoExecute) {
        Fit::Never
    } else if has(Effect::NoSchedule) {
        Fit::Keeps
    } else {
        Fit::Runs
    }
}

pub(super) fn plan(snapshot: &Snapshot<'_>) -> Plan {
    let mut plan = Plan::default();
    let template = super::template(snapshot.daemon);
    let pod = Pod::read(&template);
    let mut on: BTreeMap<&str, Vec<&PodItem>> = BTreeMap::new();
    for pod in snapshot.pods {
        on.entry(pod.value.target().unwrap_or_default()).or_default().push(pod);
    }
    for pods in on.values_mut() {
        pods.sort_by_key(|pod| (pod.meta.creation_timestamp.clone(), pod.meta.name.clone()));
    }
    let mut runs = Vec::new();
    let mut misplaced = 0;
    for node in snapshot.nodes {
        let pods = on.get(&*node.meta.name).map_or(&[][..], Vec::as_slice);
        match fit(&template, &pod, &node.value) {
            Fit::Runs => {
                runs.push(pods);
                manage(&mut plan, snapshot, &node.meta.name, pods);
            }
            Fit::Keeps => misplaced += i64::from(!pods.is_empty()),
            Fit::Never => {
                misplaced += i64::from(!pods.is_empty());
                plan.delete.extend(alive(pods).cloned());
            }
        }
    }
    let known: BTreeSet<&str> = snapshot.nodes.iter().map(|node| &*node.meta.name).collect();
    // Who waits for a node that is gone waits in vain; who ran on it is not this controller's.
    let lost = snapshot.pods.iter().filter(|pod| {
        let waits = pod.value.spec.node_name.is_empty() && !pod.meta.is_deleting();
        waits && pod.value.target().is_none_or(|node| !known.contains(node))
    });
    plan.delete.extend(lost.cloned());
    roll(&mut plan, snapshot, &runs);
    plan.status = status(&mut plan, snapshot, &runs, misplaced);
    if snapshot.is_deleting {
        (plan.create, plan.delete, plan.ended) = Default::default();
    }
    plan.create.truncate(BURST);
    plan.delete.truncate(BURST);
    plan
}

fn alive<'a>(pods: &'a [&'a PodItem]) -> impl Iterator<Item = &'a PodItem> {
    pods.iter().copied().filter(|pod| !pod.meta.is_deleting())
}

fn soon(plan: &mut Plan, seconds: i64) {
    plan.again = Some(plan.again.map_or(seconds, |again| again.min(seconds)));
}

/// A node that is for the set: one pod, which goes when it ended.
fn manage(plan: &mut Plan, snapshot: &Snapshot<'_>, node: &str, pods: &[&PodItem]) {
    if pods.is_empty() {
        plan.create.push(node.to_owned());
        return;
    }
    let mut first = true;
    for pod in alive(pods) {
        if pod.value.is_over() {
            let made = crate::json::seconds(&pod.meta.creation_timestamp).unwrap_or(0);
            let left = made + PAUSE - snapshot.now;
            if 0 < left {
                soon(plan, left);
                continue;
            }
            plan.ended.push((pod.clone(), node.to_owned()));
            plan.delete.push(pod.clone());
        } else if !std::mem::take(&mut first) {
            plan.delete.push(pod.clone());
        }
    }
}

/// When a pod that is ready counts, and whether it does now.
fn is_available(pod: &PodItem, snapshot: &Snapshot<'_>) -> (bool, Option<i64>) {
    let min_ready = number(snapshot.daemon, "/spec/minReadySeconds").unwrap_or(0);
    match pod.value.available_at(min_ready) {
        Some(then) if then <= snapshot.now => (true, None),
        Some(then) => (false, Some(then - snapshot.now)),
        None => (false, None),
    }
}

fn is_new(pod: &PodItem, hash: &str) -> bool {
    pod.meta.label(HASH) == Some(hash)
}

/// Deletes pods of old templates: those that are of no use at once, others as long as no more nodes are without than may be.
fn roll(plan: &mut Plan, snapshot: &Snapshot<'_>, runs: &[&[&PodItem]]) {
    let strategy = &snapshot.daemon["spec"]["updateStrategy"];
    if strategy["type"] != "RollingUpdate" || super::asks_for_surge(snapshot.daemon) {
        return;
    }
    let n_nodes = i64::try_from(runs.len()).unwrap_or(i64::MAX);
    let max = match strategy["rollingUpdate"].get("maxUnavailable") {
        None => 1,
        value => share(value, n_nodes, true),
    };
    let mut missing = 0;
    let mut candidates = Vec::new();
    for pods in runs {
        let mut all = alive(pods).filter(|pod| !pod.value.is_over());
        let (Some(pod), None) = (all.next(), all.next()) else {
            missing += 1;
            continue;
        };
        let available = is_available(pod, snapshot).0;
        missing += i64::from(!available);
        if is_new(pod, snapshot.hash) {
            continue;
        }
        if available {
            candidates.push(pod.clone());
        } else {
            plan.delete.push(pod.clone());
        }
    }
    let n = usize::try_from(max - missing).unwrap_or(0);
    plan.delete.extend(candidates.into_iter().take(n));
}

fn status(plan: &mut Plan, snapshot: &Snapshot<'_>, runs: &[&[&PodItem]], misplaced: i64) -> Value {
    let (mut current, mut ready, mut updated, mut available) = (0, 0, 0, 0);
    for pod in runs.iter().filter_map(|pods| pods.first()) {
        current += 1;
        ready += i64::from(pod.value.is_ready());
        updated += i64::from(is_new(pod, snapshot.hash));
        let (now, later) = is_available(pod, snapshot);
        available += i64::from(now);
        if let Some(seconds) = later {
            soon(plan, seconds);
        }
    }
    let desired = i64::try_from(runs.len()).unwrap_or(i64::MAX);
    let mut status = json!({
        "currentNumberScheduled": current, "numberMisscheduled": misplaced,
        "desiredNumberScheduled": desired, "numberReady": ready,
    });
    for (field, n) in [
        ("observedGeneration", number(snapshot.daemon, "/metadata/generation").unwrap_or(0)),
        ("updatedNumberScheduled", updated),
        ("numberAvailable", available),
        ("numberUnavailable", desired - available),
    ] {
        if 0 < n {
            set(&mut status, &[field], n.into());
        }
    }
    for kept in ["collisionCount", "conditions"] {
        if let Some(value) = snapshot.daemon["status"].get(kept) {
            set(&mut status, &[kept], value.clone());
        }
    }
    status
}
