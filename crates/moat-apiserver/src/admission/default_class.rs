//! An Ingress or a claim that names no class gets the one that is marked as default, the newest if there are several.

use super::Request;
use crate::object::{child_mut, meta};
use serde_json::Value;
use std::cmp::Reverse;

pub(super) fn of_ingress(request: Request<'_>, ingress: &mut Value) {
    let annotated = ingress["metadata"]["annotations"].get("kubernetes.io/ingress.class").is_some();
    if !annotated {
        let marks = ["ingressclass.kubernetes.io/is-default-class"];
        set(request, ingress, "ingressClassName", "networking.k8s.io/ingressclasses", &marks);
    }
}

pub(super) fn of_claim(request: Request<'_>, claim: &mut Value) {
    let old = "volume.beta.kubernetes.io/storage-class";
    if claim["metadata"]["annotations"].get(old).is_none() {
        let marks = [
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ];
        set(request, claim, "storageClassName", "storage.k8s.io/storageclasses", &marks);
    }
}

fn set(request: Request<'_>, object: &mut Value, field: &str, classes: &str, marks: &[&str]) {
    if object["spec"].get(field).is_some() {
        return;
    }
    let is_default = |class: &Value| {
        marks.iter().any(|mark| class["metadata"]["annotations"][*mark].as_str() == Some("true"))
    };
    let all = request.lookup.list(classes, None);
    let newest = all.iter().filter(|class| is_default(class)).min_by_key(|class| {
        (Reverse(meta(class, "creationTimestamp").to_owned()), meta(class, "name").to_owned())
    });
    if let Some(class) = newest {
        child_mut(object, "spec").insert(field.to_owned(), meta(class, "name").into());
    }
}
