//! What the status of a disruption budget should be.
//!
//! policy/v1 `PodDisruptionBudget`: as many pods may go as are healthy beyond those that have to stay. A share is one of the pods that the
//! owners of the pods are to have, not of those that are there.

use crate::json::{condition, number, seconds, share, time};
use crate::pod::PodItem;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How long an eviction may wait until its pod goes; then it is taken for one that did not happen.
const EVICTION_SECONDS: i64 = 120;

/// How many pods there should be, by who owns them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) n: i64,
    /// Whether some pods have no owner, who could say how many there should be.
    pub(super) strays: bool,
}

pub(super) struct Snapshot<'a> {
    pub(super) budget: &'a Value,
    pub(super) pods: &'a [PodItem],
    /// What owners say, or why nobody knows. Only asked for where the budget names a share.
    pub(super) expected: Result<Expected, String>,
    pub(super) now: i64,
}

#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) status: Value,
    /// Pods whose eviction was promised and did not happen.
    pub(super) stayed: Vec<Box<str>>,
    /// Seconds after which it looks different by time alone.
    pub(super) again: Option<i64>,
}

/// Whether a budget's numbers depend on what owners say.
pub(super) fn is_share(budget: &Value) -> bool {
    let spec = &budget["spec"];
    !spec["maxUnavailable"].is_null() || spec["minAvailable"].is_string()
}

pub(super) fn plan(snapshot: &Snapshot<'_>) -> Plan {
    let Snapshot { budget, pods, expected, now } = snapshot;
    let (spec, old) = (&budget["spec"], &budget["status"]);
    let counted = match expected {
        Err(why) => Err(why.as_str()),
        Ok(expected) if !spec["maxUnavailable"].is_null() => {
            let may_go = share(spec.get("maxUnavailable"), expected.n, true);
            Ok((expected.n, (expected.n - may_go).max(0)))
        }
        Ok(expected) if spec["minAvailable"].is_string() => {
            Ok((expected.n, share(spec.get("minAvailable"), expected.n, true)))
        }
        Ok(_) => {
            let n = i64::try_from(pods.len()).unwrap_or(i64::MAX);
            Ok((n, spec["minAvailable"].as_i64().unwrap_or(0)))
        }
    };
    let promised = promised(old);
    let mut waiting = Map::new();
    let (mut stayed, mut again) = (Vec::new(), None::<i64>);
    for pod in pods.iter().filter(|pod| !pod.meta.is_deleting()) {
        let Some(since) = promised.get(&*pod.meta.name) else { continue };
        let left = since + EVICTION_SECONDS - now;
        if left < 0 {
            stayed.push(pod.meta.name.clone());
        } else {
            waiting.insert(pod.meta.name.to_string(), time(*since).into());
            again = Some(again.map_or(left, |other| other.min(left)) + 1);
        }
    }
    let generation = number(budget, "/metadata/generation").unwrap_or(0);
    let Ok((n_expected, desired)) = counted else {
        // What cannot be counted cannot be spent.
        let why = counted.err().unwrap_or_default();
        let mut status = old.clone();
        crate::json::set(&mut status, &["disruptionsAllowed"], 0.into());
        let conditions = conditions(old, generation, ("False", "SyncFailed", why), *now);
        crate::json::set(&mut status, &["conditions"], conditions);
        return Plan { status, stayed, again };
    };
    let is_healthy = |pod: &&PodItem| {
        !pod.meta.is_deleting() && !waiting.contains_key(&*pod.meta.name) && pod.value.is_ready()
    };
    let healthy = i64::try_from(pods.iter().filter(is_healthy).count()).unwrap_or(i64::MAX);
    let allowed = if n_expected <= 0 { 0 } else { (healthy - desired).max(0) };
    let says = if 0 < allowed {
        ("True", "SufficientPods", "")
    } else {
        ("False", "InsufficientPods", "")
    };
    let mut status = json!({
        "observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired,
        "expectedPods": n_expected, "conditions": conditions(old, generation, says, *now),
    });
    if !waiting.is_empty() {
        crate::json::set(&mut status, &["disruptedPods"], Value::Object(waiting));
    }
    Plan { status, stayed, again }
}

/// Evictions that were allowed, and when.
fn promised(status: &Value) -> BTreeMap<&str, i64> {
    let pods = status["disruptedPods"].as_object().into_iter().flatten();
    pods.map(|(name, time)| (name.as_str(), time.as_str().and_then(seconds).unwrap_or(0))).collect()
}

fn conditions(old: &Value, generation: i64, says: (&str, &str, &str), now: i64) -> Value {
    const KIND: &str = "DisruptionAllowed";
    let (status, reason, message) = says;
    let since = condition(old, KIND)
        .filter(|one| one["status"] == status)
        .and_then(|one| one.get("lastTransitionTime").cloned())
        .unwrap_or_else(|| time(now).into());
    let own = json!({
        "type": KIND, "status": status, "reason": reason, "message": message, "observedGeneration": generation, "lastTransitionTime": since,
    });
    let others = crate::json::list(old, "/conditions").iter().filter(|one| one["type"] != KIND);
    others.cloned().chain([own]).collect()
}
