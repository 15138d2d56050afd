//! Namespaces, Nodes, volumes.

use super::{PLAIN, Strategy};
use crate::names::Rule;
use crate::object::{child_mut, default, map_mut, meta_mut};
use crate::status::Cause;
use serde_json::{Value, json};

pub(super) const NAMESPACE: Strategy = Strategy {
    names: Rule::Label,
    returns_deleted: true,
    default: namespace_label,
    create: namespace_create,
    update: namespace_update,
    ..PLAIN
};
pub(super) const NODE: Strategy = Strategy { status_at_create: true, default: node, ..PLAIN };
pub(super) const VOLUME: Strategy = Strategy {
    returns_deleted: true,
    default: |object| {
        let spec = child_mut(object, "spec");
        default(spec, "persistentVolumeReclaimPolicy", "Retain");
        default(spec, "volumeMode", "Filesystem");
    },
    create: pending,
    ..PLAIN
};
pub(super) const CLAIM: Strategy = Strategy {
    returns_deleted: true,
    default: |object| default(child_mut(object, "spec"), "volumeMode", "Filesystem"),
    create: pending,
    validate: claim,
    ..PLAIN
};

fn pending(object: &mut Value) {
    child_mut(object, "status").insert("phase".to_owned(), "Pending".into());
}

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
    child_mut(object, "spec");
    let status = child_mut(object, "status");
    if let Some(capacity) = status.get("capacity").cloned() {
        default(status, "allocatable", capacity);
    }
}

fn claim(object: &Value, causes: &mut Vec<Cause>) {
    if crate::object::list(object, "/spec/accessModes").is_empty() {
        causes.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    if object["spec"]["resources"]["requests"].get("storage").is_none() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
}
