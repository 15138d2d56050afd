//! What a set of replicas needs: pods more or fewer, and a true status.

use crate::json::{number, set};
use crate::pod::PodItem;
use crate::pods::rank;
use serde_json::{Value, json};

/// Everything that the decision is made by.
#[derive(Debug)]
pub(crate) struct Snapshot<'a> {
    /// The ReplicaSet or ReplicationController.
    pub(crate) set: &'a Value,
    pub(crate) is_deleting: bool,
    /// Pods that it manages and that match its selector.
    pub(crate) pods: &'a [PodItem],
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) create: usize,
    pub(crate) delete: Vec<PodItem>,
    /// The status, if it has to change.
    pub(crate) status: Option<Value>,
    /// In how many seconds a pod becomes available by time alone.
    pub(crate) again: Option<i64>,
}

/// Pods that one plan makes or deletes; upstream's burst.
const BURST: usize = 500;

pub(crate) fn plan(snapshot: &Snapshot<'_>) -> Plan {
    let mut plan = Plan::default();
    let wanted = number(snapshot.set, "/spec/replicas").unwrap_or(1).max(0);
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let min_ready = number(snapshot.set, "/spec/minReadySeconds").unwrap_or(0);
    let active: Vec<&PodItem> = snapshot
        .pods
        .iter()
        .filter(|pod| !pod.meta.is_deleting() && !pod.value.is_over())
        .collect();
    if !snapshot.is_deleting {
        plan.create = wanted.saturating_sub(active.len()).min(BURST);
        let surplus = active.len().saturating_sub(wanted).min(BURST);
        if 0 < surplus {
            plan.delete = rank(&active).into_iter().take(surplus).cloned().collect();
        }
    }
    let (mut ready, mut available, mut labeled) = (0, 0, 0);
    let template =
        snapshot.set["spec"]["template"]["metadata"].get("labels").unwrap_or(&Value::Null);
    for pod in &active {
        labeled += i64::from(crate::selector::has_all(template, &pod.meta.labels));
        ready += i64::from(pod.value.is_ready());
        match pod.value.available_at(min_ready) {
            Some(then) if then <= snapshot.now => available += 1,
            Some(then) => {
                let left = then - snapshot.now;
                plan.again = Some(plan.again.map_or(left, |again| again.min(left)));
            }
            None => {}
        }
    }
    let n_active = i64::try_from(active.len()).unwrap_or(i64::MAX);
    plan.status = status(snapshot.set, [n_active, labeled, ready, available]);
    plan
}

/// The status with its conditions, if it is not what it was.
fn status(set_: &Value, [replicas, labeled, ready, available]: [i64; 4]) -> Option<Value> {
    let old = &set_["status"];
    let mut new = json!({ "replicas": replicas });
    for (field, n) in [
        ("fullyLabeledReplicas", labeled),
        ("readyReplicas", ready),
        ("availableReplicas", available),
    ] {
        if 0 < n {
            set(&mut new, &[field], n.into());
        }
    }
    if let Some(generation) = number(set_, "/metadata/generation") {
        set(&mut new, &["observedGeneration"], generation.into());
    }
    if let Some(conditions) = old.get("conditions") {
        set(&mut new, &["conditions"], conditions.clone());
    }
    (new != *old).then_some(new)
}
