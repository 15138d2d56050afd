//! A Deployment's status: sums of its ReplicaSets, and how its rollout goes.

use super::plan::{SetItem, Wanted, conditions};
use crate::json::{condition, number, seconds, set, time};
use serde_json::{Value, json};

/// What the status is computed from.
#[derive(Debug)]
pub(crate) struct Sums<'a> {
    pub(crate) deployment: &'a Value,
    pub(crate) all: &'a [SetItem],
    pub(crate) new: Option<&'a SetItem>,
    /// The new set was made by this very sync.
    pub(crate) made: bool,
    pub(crate) collisions: Option<i64>,
    pub(crate) now: i64,
}

fn sum(sets: &[SetItem], pointer: &str) -> i64 {
    sets.iter().map(|set| number(&set.value, pointer).unwrap_or(0)).sum()
}

/// The status, and in how many seconds the rollout may run out of time.
pub(crate) fn status(sums: &Sums<'_>) -> (Value, Option<i64>) {
    let deployment = sums.deployment;
    let old = &deployment["status"];
    let wanted = Wanted::of(deployment);
    let total = sum(sums.all, "/status/replicas");
    let available = sum(sums.all, "/status/availableReplicas");
    let ready = sum(sums.all, "/status/readyReplicas");
    let updated = sums.new.map_or(0, |set| number(&set.value, "/status/replicas").unwrap_or(0));
    let specified = sum(sums.all, "/spec/replicas");
    let mut new = json!({});
    let generation = number(deployment, "/metadata/generation").unwrap_or(0);
    set(&mut new, &["observedGeneration"], generation.into());
    for (field, n) in [
        ("replicas", total),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", (specified - available).max(0)),
    ] {
        if n != 0 {
            set(&mut new, &[field], n.into());
        }
    }
    if let Some(n) = sums.collisions {
        set(&mut new, &["collisionCount"], n.into());
    }
    let mut all = conditions(old);
    let enough = wanted.replicas - wanted.max_unavailable <= available;
    put(
        &mut all,
        sums.now,
        "Available",
        enough,
        if enough {
            ("MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned())
        } else {
            (
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.".to_owned(),
            )
        },
    );
    let again = progress(sums, &mut all, [total, updated, available, ready]);
    set(&mut new, &["conditions"], all.into());
    (new, again)
}

/// Whether everything is of the new template and available.
pub(crate) fn is_complete(deployment: &Value, status: &Value) -> bool {
    let wanted = Wanted::of(deployment).replicas;
    let has = |field: &str| number(status, field).unwrap_or(0);
    has("/updatedReplicas") == wanted
        && has("/replicas") == wanted
        && has("/availableReplicas") == wanted
        && number(deployment, "/metadata/generation").unwrap_or(0) <= has("/observedGeneration")
}

fn progress(
    sums: &Sums<'_>,
    all: &mut Vec<Value>,
    [total, updated, available, ready]: [i64; 4],
) -> Option<i64> {
    let deployment = sums.deployment;
    let old = &deployment["status"];
    let deadline = number(deployment, "/spec/progressDeadlineSeconds");
    let limited = deadline.filter(|deadline| *deadline != i64::from(i32::MAX));
    let name = sums.new.map(|set| &*set.meta.name);
    let subject = name.map_or_else(
        || format!("Deployment {:?}", crate::json::text(deployment, "/metadata/name")),
        |name| format!("ReplicaSet {name:?}"),
    );
    let said = condition(old, "Progressing").cloned();
    let reason = said.as_ref().map_or("", |one| one["reason"].as_str().unwrap_or_default());
    let limit = limited?;
    if deployment["spec"]["paused"] == true {
        if reason != "DeploymentPaused" {
            put(
                all,
                sums.now,
                "Progressing",
                None,
                ("DeploymentPaused", "Deployment is paused".to_owned()),
            );
        }
        return None;
    }
    if reason == "DeploymentPaused" {
        put(
            all,
            sums.now,
            "Progressing",
            None,
            ("DeploymentResumed", "Deployment is resumed".to_owned()),
        );
        return Some(limit);
    }
    let wanted = Wanted::of(deployment).replicas;
    let complete = updated == wanted && total == wanted && available == wanted;
    if complete && sums.new.is_some() {
        let message = format!("{subject} has successfully progressed.");
        put(all, sums.now, "Progressing", true, ("NewReplicaSetAvailable", message));
        return None;
    }
    if sums.made {
        let message = format!("Created new replica set {:?}", name.unwrap_or_default());
        put(all, sums.now, "Progressing", true, ("NewReplicaSetCreated", message));
        return Some(limit);
    }
    let had = |field: &str| number(old, field).unwrap_or(0);
    let moved = had("/updatedReplicas") < updated
        || total - updated < had("/replicas") - had("/updatedReplicas")
        || had("/readyReplicas") < ready
        || had("/availableReplicas") < available;
    // A rollout that was complete and is not any more: pods were lost, which is no rollout.
    let settled = reason == "NewReplicaSetAvailable" && total == updated;
    if moved && !settled || said.is_none() && sums.new.is_some() {
        let message = format!("{subject} is progressing.");
        touch(all, sums.now, ("ReplicaSetUpdated", message));
        return Some(limit);
    }
    if settled || reason == "ProgressDeadlineExceeded" {
        return None;
    }
    let since =
        said.as_ref().and_then(|one| seconds(one["lastUpdateTime"].as_str()?)).unwrap_or(sums.now);
    let left = since + limit - sums.now;
    if left <= 0 {
        let message = format!("{subject} has timed out progressing.");
        put(all, sums.now, "Progressing", false, ("ProgressDeadlineExceeded", message));
        return None;
    }
    Some(left)
}

/// Says that it goes on, also when the words are the same: the deadline counts from here.
fn touch(all: &mut Vec<Value>, now: i64, said: (&str, String)) {
    put(all, now, "Progressing", true, said);
    for one in all.iter_mut().filter(|one| one["type"] == "Progressing") {
        set(one, &["lastUpdateTime"], time(now).into());
    }
}

/// Sets a condition. Its times change with what it says.
fn put(
    all: &mut Vec<Value>,
    now: i64,
    kind: &str,
    is: impl Into<Option<bool>>,
    (reason, message): (&str, String),
) {
    let status = match is.into() {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let old = all.iter().position(|one| one["type"] == kind);
    let mut since = time(now);
    if let Some(old) = old.map(|at| all.remove(at)) {
        if old["status"] == status && old["reason"] == reason && old["message"] == message {
            all.push(old);
            return;
        }
        if old["status"] == status {
            since = old["lastTransitionTime"].as_str().unwrap_or(&since).to_owned();
        }
    }
    all.push(json!({
        "type": kind, "status": status, "lastUpdateTime": time(now), "lastTransitionTime": since, "reason": reason, "message": message,
    }));
}
