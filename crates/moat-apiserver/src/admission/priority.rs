//! A pod's priority is its class's number, which it cannot choose by itself.

use super::Request;
use crate::object::{child_mut, meta, number, text};
use crate::part::Keep;
use crate::status::Status;
use serde_json::Value;
use std::sync::Arc;

const CLASSES: &str = "scheduling.k8s.io/priorityclasses";

/// Resolves the class of a new pod; a changed one keeps what it has.
pub(super) fn of_pod(
    request: Request<'_>,
    old: Option<&Value>,
    pod: &mut Value,
) -> Result<(), Status> {
    if let Some(old) = old {
        let spec = child_mut(pod, "spec");
        for field in ["priority", "preemptionPolicy"] {
            if let (None, Some(own)) = (spec.get(field), old["spec"].get(field)) {
                spec.insert(field.to_owned(), own.clone());
            }
        }
        return Ok(());
    }
    let name = text(pod, "/spec/priorityClassName").to_owned();
    let class = if name.is_empty() {
        default_class(request)
    } else {
        let found = request.lookup.get(CLASSES, None, &name);
        let why = || format!("no PriorityClass with name {name} was found");
        Some(Arc::new(found.ok_or_else(|| request.forbidden(pod, &why()))?))
    };
    let priority = class.as_deref().and_then(|class| number(class, "/value")).unwrap_or(0);
    if let Some(own) = number(pod, "/spec/priority").filter(|own| *own != priority) {
        let why = format!(
            "the integer value of priority ({own}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        );
        return Err(request.forbidden(pod, &why));
    }
    let policy = match &class {
        Some(class) => text(class, "/preemptionPolicy"),
        None => "PreemptLowerPriority",
    };
    let own = text(pod, "/spec/preemptionPolicy");
    if !own.is_empty() && !policy.is_empty() && own != policy {
        let why = format!(
            "the string value of PreemptionPolicy ({own}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(request.forbidden(pod, &why));
    }
    let spec = child_mut(pod, "spec");
    if let Some(class) = &class {
        spec.insert("priorityClassName".to_owned(), meta(class, "name").into());
    }
    spec.insert("priority".to_owned(), priority.into());
    if !policy.is_empty() {
        spec.insert("preemptionPolicy".to_owned(), policy.into());
    }
    Ok(())
}

/// The class of pods that name none; of several the lowest.
fn default_class(request: Request<'_>) -> Option<Arc<Value>> {
    static KEEP: Keep = Keep::Fields(&[
        ("metadata", Keep::Fields(&[("name", Keep::All)])),
        ("globalDefault", Keep::All),
        ("value", Keep::All),
        ("preemptionPolicy", Keep::All),
    ]);
    let all = request.lookup.all_parts(CLASSES, None, &KEEP);
    let defaults = all.into_iter().filter(|class| class["globalDefault"] == true);
    defaults.min_by_key(|class| number(class, "/value").unwrap_or(0))
}

/// There is one default at most.
pub(super) fn of_class(
    request: Request<'_>,
    old: Option<&Value>,
    class: &Value,
) -> Result<(), Status> {
    if class["globalDefault"] != true {
        return Ok(());
    }
    match default_class(request) {
        Some(other) if old.is_none() || meta(&other, "name") != meta(class, "name") => {
            let why = format!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                meta(&other, "name")
            );
            Err(request.forbidden(class, &why))
        }
        _ => Ok(()),
    }
}
