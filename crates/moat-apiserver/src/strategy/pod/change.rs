//! What of a pod can be changed: images, a deadline that comes nearer, tolerations and gates one way each.

use crate::object::{list, number, text};
use crate::status::Cause;
use serde_json::{Map, Value};

const CHANGES: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn check(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for field in ["containers", "initContainers"] {
        if list(new, &format!("/spec/{field}")).len() != list(old, &format!("/spec/{field}")).len()
        {
            let why = "pod updates may not add or remove containers";
            return causes.push(Cause::forbidden(format!("spec.{field}"), why));
        }
        for (n, container) in list(new, &format!("/spec/{field}")).iter().enumerate() {
            if text(container, "/image").is_empty() {
                causes.push(Cause::required(format!("spec.{field}[{n}].image"), ""));
            }
        }
    }
    let deadline = |object: &Value| number(object, "/spec/activeDeadlineSeconds");
    match (deadline(new), deadline(old)) {
        (Some(now), Some(before)) if before < now => {
            let why = "must be less than or equal to previous value";
            return causes.push(Cause::invalid("spec.activeDeadlineSeconds", &now.into(), why));
        }
        (None, Some(_)) => {
            let why = "must not update from a positive integer to nil value";
            causes.push(Cause::invalid("spec.activeDeadlineSeconds", &Value::Null, why));
        }
        _ => {}
    }
    tolerations(new, old, causes);
    gates(new, old, causes);
    if settled(new, old) != settled(old, old) {
        causes.push(Cause::forbidden("spec", CHANGES));
    }
}

/// Tolerations come and do not go; only how long they hold may change.
fn tolerations(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let lasting = |one: &Value| {
        let mut one = one.as_object().cloned().unwrap_or_default();
        one.shift_remove("tolerationSeconds");
        one
    };
    let now: Vec<Map<String, Value>> = list(new, "/spec/tolerations").iter().map(lasting).collect();
    if !list(old, "/spec/tolerations").iter().all(|had| now.contains(&lasting(had))) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        causes.push(Cause::forbidden("spec.tolerations", why));
    }
}

/// Gates are opened and not built.
fn gates(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let had = list(old, "/spec/schedulingGates");
    for (n, gate) in list(new, "/spec/schedulingGates").iter().enumerate() {
        let name = text(gate, "/name");
        if !had.iter().any(|gate| text(gate, "/name") == name) {
            let why = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            causes.push(Cause::forbidden(format!("spec.schedulingGates[{n}].name"), &why));
        }
    }
}

/// The spec without what may change.
fn settled(object: &Value, old: &Value) -> Value {
    let mut spec = object["spec"].clone();
    let Some(map) = spec.as_object_mut() else { return spec };
    for field in ["containers", "initContainers"] {
        for container in super::items_mut(map, field) {
            container.shift_remove("image");
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        map.shift_remove(field);
    }
    // A pod that still waits at a gate may be told more narrowly where to go.
    if !list(old, "/spec/schedulingGates").is_empty() {
        narrowed(map, old);
    }
    let before = number(old, "/spec/terminationGracePeriodSeconds").unwrap_or(0);
    let now = map.get("terminationGracePeriodSeconds").and_then(Value::as_i64);
    if before < 0 && now.is_some_and(|now| now == 1 || now == before) {
        map.shift_remove("terminationGracePeriodSeconds");
    }
    spec
}

fn narrowed(spec: &mut Map<String, Value>, old: &Value) {
    let had = old["spec"]["nodeSelector"].as_object().cloned().unwrap_or_default();
    let now = spec.get("nodeSelector").and_then(Value::as_object);
    let keeps = |(key, value)| now.and_then(|now| now.get(key)) == Some(value);
    if had.iter().all(keeps) {
        spec.shift_remove("nodeSelector");
    }
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    if old.pointer(required).is_none()
        && let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut)
    {
        affinity.shift_remove("nodeAffinity");
        if affinity.is_empty() {
            spec.shift_remove("affinity");
        }
    }
}
