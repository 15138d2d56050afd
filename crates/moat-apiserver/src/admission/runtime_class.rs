//! A pod's runtime class must exist, and says what the runtime costs and where it is.

use super::Request;
use crate::object::{child_mut, list, map_mut, text};
use crate::status::Status;
use serde_json::Value;

pub(super) fn runtime_class(request: Request<'_>, pod: &mut Value) -> Result<(), Status> {
    let name = text(pod, "/spec/runtimeClassName").to_owned();
    let own = pod["spec"]
        .get("overhead")
        .filter(|own| own.as_object().is_some_and(|own| !own.is_empty()));
    if name.is_empty() {
        if own.is_some() {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return Err(request.forbidden(pod, why));
        }
        return Ok(());
    }
    let class = request.lookup.get("node.k8s.io/runtimeclasses", None, &name);
    let class = class.ok_or_else(|| {
        request.forbidden(pod, &format!("pod rejected: RuntimeClass {name:?} not found"))
    })?;
    match (class.pointer("/overhead/podFixed"), own) {
        (None, Some(_)) => {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return Err(request.forbidden(pod, why));
        }
        (Some(fixed), Some(own)) if fixed != own => {
            let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
            return Err(request.forbidden(pod, why));
        }
        (Some(fixed), None) => {
            child_mut(pod, "spec").insert("overhead".to_owned(), fixed.clone());
        }
        _ => {}
    }
    for (key, wanted) in
        class.pointer("/scheduling/nodeSelector").and_then(Value::as_object).into_iter().flatten()
    {
        let own = map_mut(child_mut(pod, "spec"), "nodeSelector");
        match own.get(key) {
            Some(other) if other != wanted => {
                let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let why = format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                    words(wanted),
                    words(other)
                );
                return Err(request.forbidden(pod, &why));
            }
            _ => own.insert(key.clone(), wanted.clone()),
        };
    }
    let more = list(&class, "/scheduling/tolerations");
    if !more.is_empty() {
        let mut all = list(pod, "/spec/tolerations").to_vec();
        for one in more {
            if !all.contains(one) {
                all.push(one.clone());
            }
        }
        child_mut(pod, "spec").insert("tolerations".to_owned(), all.into());
    }
    Ok(())
}
