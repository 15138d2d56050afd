//! The `eviction` of pods: a deletion that a `PodDisruptionBudget` may refuse.
//!
//! A pod that has ended, that has not begun or that goes anyway disrupts nothing. Any other spends one of the disruptions that the budget of its
//! labels allows; the disruption controller counts them anew when the pod is gone. (policy/v1 `Eviction`, `PodDisruptionBudget`.)

use super::adjust::{Place, adjust, set_condition};
use super::delete::{self, Deletion};
use super::options::WriteOptions;
use super::update::TRIES;
use super::{Call, admit, body, find_value};
use crate::admission;
use crate::api::{Api, Reply};
use crate::kinds::{Kind, Served};
use crate::object::{child_mut, is_deleting, list, map_mut, meta, number, text};
use crate::selector::matches_labels;
use crate::stamp::now;
use crate::status::{About, Cause, Status};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What errors about the request name.
const ABOUT: About<'static> = About { group: "policy", resource: "Eviction" };
const BUDGET: About<'static> = About { group: "policy", resource: "poddisruptionbudgets" };
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// How many evictions of one budget may wait for its controller (upstream's number).
const UNCONFIRMED_MAX: usize = 2000;
/// When it is worthwhile to ask again, in seconds, where the controller has not looked yet.
const AGAIN: u32 = 10;

pub(super) async fn create(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    let options = WriteOptions::of(call)?;
    let kind = Kind::of_body(ABOUT.group, "v1", ABOUT.resource);
    let served = Arc::new(Served::of_body(kind, &call.served));
    let asked = Call { served, subresource: None, ..call.clone() };
    let (mut eviction, warnings) = body::object(&asked, bytes, options.validation)?;
    admit::namespace(&asked, &mut eviction)?;
    if meta(&eviction, "name") != call.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut deletion = Deletion::of(&eviction["deleteOptions"])?;
    deletion.dry_run |= options.dry_run;
    evict(api, call, &deletion, &eviction).await?;
    let done = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(Reply::json(201, &done).warn(warnings))
}

async fn evict(
    api: &Api,
    call: &Call<'_>,
    deletion: &Deletion,
    eviction: &Value,
) -> Result<(), Status> {
    let mut tries = TRIES;
    loop {
        let (stored, pod) = find_value(api, call)?;
        admission::node_restriction(call.request(api), Some(&pod), Some(eviction))?;
        let phase = text(&pod, "/status/phase");
        let ends = matches!(phase, "Succeeded" | "Failed") || is_deleting(&pod);
        if ends {
            return remove(api, call, deletion, None).await;
        }
        let waits = phase == "Pending";
        let budget = if waits { None } else { budget(api, call, &pod)? };
        let counts = budget.as_ref().is_some_and(|budget| is_guarded(&pod, budget));
        if let Some(budget) = budget.as_ref().filter(|_| counts) {
            spend(api, call, budget, deletion.dry_run).await?;
            return remove(api, call, deletion, None).await;
        }
        // What was found of its state has to hold when it goes: it may become ready, and then the budget counts it.
        let at = (waits || budget.is_some()).then_some(stored.revision);
        let removed = remove(api, call, deletion, at).await;
        tries -= 1;
        match removed {
            Err(status) if status.code == 409 && at.is_some() && deletion.version.is_none() => {
                if let Some(budget) = &budget {
                    return Err(not_yet(meta(budget, "name")));
                }
                if tries == 0 {
                    return Err(status);
                }
            }
            other => return other,
        }
    }
}

/// The budget of a pod. Two are one too many: whose number would count?
fn budget(api: &Api, call: &Call<'_>, pod: &Value) -> Result<Option<Value>, Status> {
    let all = api.lookup.list("policy/poddisruptionbudgets", call.namespace.as_deref());
    let mut found = all.into_iter().filter(|budget| {
        let selector = &budget["spec"]["selector"];
        selector.is_object() && matches_labels(selector, &pod["metadata"]["labels"])
    });
    let first = found.next();
    if found.next().is_some() {
        return Err(Status::unknown(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ));
    }
    Ok(first)
}

/// Whether a budget guards a pod: one that is not ready only where the rest is too few, and never under `AlwaysAllow`.
fn is_guarded(pod: &Value, budget: &Value) -> bool {
    let ready = |one: &Value| text(one, "/type") == "Ready" && text(one, "/status") == "True";
    if list(pod, "/status/conditions").iter().any(ready) {
        return true;
    }
    if text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow" {
        return false;
    }
    let count = |field: &str| number(&budget["status"], field).unwrap_or(0);
    let (healthy, desired) = (count("/currentHealthy"), count("/desiredHealthy"));
    healthy < desired || desired <= 0
}

fn not_yet(name: &str) -> Status {
    let why = format!("The disruption budget {name} is still being processed by the server.");
    refusal(AGAIN, why)
}

fn refusal(seconds: u32, why: String) -> Status {
    let cause = Cause { reason: "DisruptionBudget", message: why, field: String::new() };
    Status::too_many_requests(REFUSED, seconds, &[cause])
}

/// Takes one of the disruptions that a budget allows, in the name of the pod.
async fn spend(api: &Api, call: &Call<'_>, budget: &Value, dry_run: bool) -> Result<(), Status> {
    let name = meta(budget, "name");
    let served = api.kinds.of("policy", "PodDisruptionBudget").ok_or_else(Status::no_such_path)?;
    let place = Place { served: &served, namespace: call.namespace.as_deref(), name };
    adjust(api, place, dry_run, |budget| take_one(budget, &call.name)).await.map(|_| ())
}

fn take_one(budget: &mut Value, pod: &str) -> Result<(), Status> {
    let name = meta(budget, "name").to_owned();
    let count = |field: &str| number(&budget["status"], field).unwrap_or(0);
    let generation = number(budget, "/metadata/generation").unwrap_or(0);
    if count("/observedGeneration") < generation {
        return Err(not_yet(&name));
    }
    let allowed = count("/disruptionsAllowed");
    if allowed < 0 {
        return Err(Status::forbidden(BUDGET, &name, "pdb disruptions allowed is negative"));
    }
    let waiting = budget["status"]["disruptedPods"].as_object().map_or(0, Map::len);
    if UNCONFIRMED_MAX < waiting {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden(BUDGET, &name, why));
    }
    if allowed == 0 {
        return Err(refusal(0, why_none(budget, &name)));
    }
    let status = child_mut(budget, "status");
    status.insert("disruptionsAllowed".to_owned(), (allowed - 1).into());
    map_mut(status, "disruptedPods").insert(pod.to_owned(), now().into());
    if allowed == 1 {
        let fields = [
            ("status", json!("False")),
            ("observedGeneration", generation.into()),
            ("reason", json!("InsufficientPods")),
            ("message", json!("")),
        ];
        let fields = fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        set_condition(budget, "DisruptionAllowed", fields);
    }
    Ok(())
}

/// Why a budget allows no disruption: what its controller found.
fn why_none(budget: &Value, name: &str) -> String {
    let conditions = list(budget, "/status/conditions");
    let says_no = |one: &&Value| {
        text(one, "/type") == "DisruptionAllowed"
            && text(one, "/status") == "False"
            && !text(one, "/message").is_empty()
    };
    let condition = conditions.iter().find(says_no);
    let (reason, message) =
        condition.map_or(("", ""), |one| (text(one, "/reason"), text(one, "/message")));
    let count = |field: &str| number(&budget["status"], field).unwrap_or(0);
    let (healthy, desired) = (count("/currentHealthy"), count("/desiredHealthy"));
    let not = "does not allow evicting pods currently";
    if reason == "SyncFailed" {
        format!("The disruption budget {name} {not} because it failed sync: {message}")
    } else if healthy <= desired {
        format!(
            "The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        )
    } else if condition.is_some() {
        format!("The disruption budget {name} {not} ({reason}): {message}")
    } else {
        format!("The disruption budget {name} {not}")
    }
}

/// Says on the pod why it goes, and deletes it; only at a revision, if there is one.
async fn remove(
    api: &Api,
    call: &Call<'_>,
    deletion: &Deletion,
    at: Option<u64>,
) -> Result<(), Status> {
    let mut deletion = deletion.clone();
    if deletion.version.is_none() {
        deletion.version = at.map(|at| at.to_string());
    }
    if !deletion.dry_run {
        let place =
            Place { served: &call.served, namespace: call.namespace.as_deref(), name: &call.name };
        let marked = adjust(api, place, false, |pod| {
            deletion.allow(call, &call.name, pod)?;
            let fields = [
                ("status", "True"),
                ("reason", "EvictionByEvictionAPI"),
                ("message", "Eviction API: evicting"),
            ];
            let fields =
                fields.map(|(key, value)| (key.to_owned(), value.into())).into_iter().collect();
            set_condition(pod, "DisruptionTarget", fields);
            Ok(())
        });
        let revision = marked.await?;
        // It is this server's own write that the condition has to hold after.
        if deletion.version.is_some() {
            deletion.version = Some(revision.to_string());
        }
    }
    let call = Call { verb: "delete", subresource: None, ..call.clone() };
    delete::remove(api, &call, &deletion).await
}
