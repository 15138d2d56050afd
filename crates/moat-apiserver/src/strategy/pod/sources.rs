//! Defaults of what volumes are made of, in pods and in volumes of their own.

use super::{items_mut, pull_policy};
use crate::object::{child_mut, default};
use serde_json::{Map, Value, json};

fn at<'a>(map: &'a mut Map<String, Value>, field: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(field).and_then(Value::as_object_mut)
}

/// Defaults of a volume of a pod.
pub(super) fn volume(volume: &mut Map<String, Value>) {
    for kind in ["secret", "configMap", "projected", "downwardAPI"] {
        if let Some(source) = at(volume, kind) {
            default(source, "defaultMode", 420);
        }
    }
    if let Some(source) = at(volume, "downwardAPI") {
        files(source);
    }
    if let Some(projected) = at(volume, "projected") {
        for source in items_mut(projected, "sources") {
            if let Some(files_of) = at(source, "downwardAPI") {
                files(files_of);
            }
            if let Some(token) = at(source, "serviceAccountToken") {
                default(token, "expirationSeconds", 3600);
            }
        }
    }
    if let Some(template) =
        at(volume, "ephemeral").and_then(|own| own.get_mut("volumeClaimTemplate"))
        && template.is_object()
    {
        default(child_mut(template, "spec"), "volumeMode", "Filesystem");
    }
    if let Some(image) = at(volume, "image") {
        let policy = image.get("reference").and_then(Value::as_str).map(pull_policy);
        if let Some(policy) = policy {
            default(image, "pullPolicy", policy);
        }
    }
    anywhere(volume);
    // A volume without a source is an empty directory.
    if volume.len() == 1 {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
}

/// Files that are made of fields of the pod.
fn files(source: &mut Map<String, Value>) {
    for item in items_mut(source, "items") {
        if let Some(field) = at(item, "fieldRef") {
            default(field, "apiVersion", "v1");
        }
    }
}

/// Defaults of sources that pods and volumes of their own have in common.
pub(in crate::strategy) fn anywhere(map: &mut Map<String, Value>) {
    let fields: [(&str, &[(&str, Value)]); 5] = [
        ("hostPath", &[("type", json!(""))]),
        ("iscsi", &[("iscsiInterface", json!("default"))]),
        (
            "rbd",
            &[
                ("pool", json!("rbd")),
                ("user", json!("admin")),
                ("keyring", json!("/etc/ceph/keyring")),
            ],
        ),
        (
            "azureDisk",
            &[
                ("cachingMode", json!("ReadWrite")),
                ("kind", json!("Shared")),
                ("fsType", json!("ext4")),
                ("readOnly", json!(false)),
            ],
        ),
        ("scaleIO", &[("storageMode", json!("ThinProvisioned")), ("fsType", json!("xfs"))]),
    ];
    for (kind, own) in fields {
        let Some(source) = at(map, kind) else { continue };
        for (field, value) in own {
            default(source, field, value.clone());
        }
    }
}
