//! Namespaces, Nodes, volumes.

use super::{PLAIN, Strategy, check, pod};
use crate::names::Rule;
use crate::object::{child_mut, default, list, map_mut, meta_mut, number, text};
use crate::status::Cause;
use serde_json::{Value, json};

pub(super) const NAMESPACE: Strategy = Strategy {
    names: Rule::Label,
    returns_deleted: true,
    default: namespace_label,
    create: namespace_create,
    update: namespace_update,
    validate: check_namespace,
    ..PLAIN
};
pub(super) const NODE: Strategy = Strategy {
    status_at_create: true,
    default: node,
    validate: check_node,
    validate_update: node_update,
    ..PLAIN
};
/// Policies select namespaces by this label.
//= k8s well-known label kubernetes.io/metadata.name
//# The Kubernetes API server (part of the control plane) sets this label on all namespaces.
fn namespace_label(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    map_mut(meta_mut(object), "labels").insert("kubernetes.io/metadata.name".to_owned(), name);
}

fn namespace_create(object: &mut Value) {
    let spec = child_mut(object, "spec");
    let mut all = spec.get("finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    if !all.contains(&json!("kubernetes")) {
        all.push("kubernetes".into());
    }
    spec.insert("finalizers".to_owned(), all.into());
    child_mut(object, "status").insert("phase".to_owned(), "Active".into());
}

/// Finalizers are changed by `finalize` alone.
fn namespace_update(new: &mut Value, old: &Value) {
    let spec = child_mut(new, "spec");
    match old["spec"].get("finalizers") {
        Some(kept) => spec.insert("finalizers".to_owned(), kept.clone()),
        None => spec.shift_remove("finalizers"),
    };
}

fn node(object: &mut Value) {
    // One range stands in both fields; where they differ, the single one is meant.
    let spec = child_mut(object, "spec");
    let first = spec.get("podCIDRs").and_then(|all| all.get(0)).cloned();
    match spec.get("podCIDR").filter(|own| own.as_str().is_some_and(|own| !own.is_empty())) {
        Some(own) if first.as_ref() != Some(own) => {
            let all = json!([own]);
            spec.insert("podCIDRs".to_owned(), all);
        }
        None if first.is_some() => default(spec, "podCIDR", first.unwrap_or_default()),
        _ => {}
    }
    let status = child_mut(object, "status");
    if let Some(capacity) = status.get("capacity").cloned() {
        default(status, "allocatable", capacity);
    }
}

fn check_namespace(object: &Value, causes: &mut Vec<Cause>) {
    for one in list(object, "/spec/finalizers") {
        let name = one.as_str().unwrap_or_default();
        check::qualified(name, "spec.finalizers", causes);
        if !name.contains('/') && name != "kubernetes" {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid("spec.finalizers", one, why));
        }
    }
}

fn check_node(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    // Upstream calls the place so.
    pod::taints(spec, "metadata.taints", causes);
    let own = text(spec, "/podCIDR");
    let all = list(spec, "/podCIDRs");
    for (n, range) in all.iter().enumerate() {
        check::cidr(range.as_str().unwrap_or_default(), &format!("spec.podCIDRs[{n}]"), causes);
    }
    if all.is_empty() && !own.is_empty() {
        check::cidr(own, "spec.podCIDRs[0]", causes);
    }
}

/// The addresses of a node's pods, and where it comes from, are said once.
fn node_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let had = text(old, "/spec/podCIDR");
    if !had.is_empty() && text(new, "/spec/podCIDR") != had {
        let why = "node updates may not change podCIDR except from \"\" to valid";
        causes.push(Cause::forbidden("spec.podCIDRs", why));
    }
    let from = text(old, "/spec/providerID");
    if !from.is_empty() && text(new, "/spec/providerID") != from {
        let why = "node updates may not change providerID except from \"\" to valid";
        causes.push(Cause::forbidden("spec.providerID", why));
    }
}

pub(super) const LEASE: Strategy = Strategy {
    default: |object| {
        child_mut(object, "spec");
    },
    validate: |object, causes| {
        let spec = &object["spec"];
        if let Some(seconds) = number(spec, "/leaseDurationSeconds").filter(|n| *n <= 0) {
            let why = "must be greater than 0";
            causes.push(Cause::invalid("spec.leaseDurationSeconds", &seconds.into(), why));
        }
        check::not_negative(spec, &["leaseTransitions"], "spec", causes);
    },
    ..PLAIN
};

pub(super) const RUNTIME_CLASS: Strategy = Strategy {
    validate: |object, causes| {
        let handler = text(object, "/handler");
        if handler.is_empty() {
            causes.push(Cause::required("handler", ""));
        } else {
            check::name(Rule::Label, handler, "handler", causes);
        }
    },
    validate_update: |new, old, causes| check::fixed(new, old, &["handler"], causes),
    ..PLAIN
};

pub(super) const REVISION: Strategy = Strategy {
    validate: |object, causes| {
        check::not_negative(object, &["revision"], "", causes);
        match object.get("data") {
            None | Some(Value::Null) => causes.push(Cause::required("data", "data is mandatory")),
            Some(Value::Object(_)) => {}
            Some(_) => causes.push(Cause::required("data", "data must be a valid JSON object")),
        }
    },
    validate_update: |new, old, causes| check::fixed(new, old, &["data"], causes),
    create: |object| {
        if let Some(map) = object.as_object_mut() {
            default(map, "revision", 0);
        }
    },
    ..PLAIN
};
