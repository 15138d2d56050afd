//! LimitRanges and PriorityClasses: what follows from what they say, and which names and numbers are the system's.

use super::{PLAIN, Strategy};
use crate::object::{default, map_mut, meta, number};
use crate::status::Cause;
use serde_json::{Map, Value};

pub(super) const LIMIT_RANGE: Strategy = Strategy { default: limit_range, ..PLAIN };
pub(super) const PRIORITY_CLASS: Strategy = Strategy {
    default: priority_class,
    validate: check_priority_class,
    validate_update: keeps_priority,
    ..PLAIN
};

/// The classes that every cluster has, with their numbers.
pub(crate) const SYSTEM_CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];
/// The highest number that is not the system's.
const USER_MAX: i64 = 1_000_000_000;

/// A bound is a default where none is named: the highest limit for limits, the limit or the lowest request for requests.
fn limit_range(range: &mut Value) {
    let items = range.pointer_mut("/spec/limits").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
        if item.get("type").and_then(Value::as_str) != Some("Container") {
            continue;
        }
        for (from, to) in
            [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")]
        {
            let source: Map<String, Value> =
                item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
            for (resource, amount) in source {
                default(map_mut(item, to), &resource, amount);
            }
        }
    }
}

fn priority_class(class: &mut Value) {
    if let Some(map) = class.as_object_mut() {
        default(map, "preemptionPolicy", "PreemptLowerPriority");
    }
}

fn check_priority_class(class: &Value, causes: &mut Vec<Cause>) {
    let (name, value) = (meta(class, "name"), number(class, "/value").unwrap_or(0));
    if name.starts_with("system-") {
        let known = SYSTEM_CLASSES.iter().find(|(own, ..)| *own == name);
        let wrong = match known {
            None => format!("{name} is not a known system priority class"),
            Some((_, own, _)) if *own != value => {
                format!("value of {name} PriorityClass must be {own}")
            }
            Some(_) if class["globalDefault"] == true => {
                format!("globalDefault of {name} PriorityClass must be false")
            }
            Some(_) => return,
        };
        let why = format!(
            "priority class names with 'system-' prefix are reserved for system use only. error: {wrong}"
        );
        causes.push(Cause::forbidden("metadata.name", &why));
    } else if USER_MAX < value {
        let why = format!("maximum allowed value of a user defined priority is {USER_MAX}");
        causes.push(Cause::forbidden("value", &why));
    }
}

fn keeps_priority(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if number(new, "/value").unwrap_or(0) != number(old, "/value").unwrap_or(0) {
        causes.push(Cause::forbidden("value", "may not be changed in an update."));
    }
    if new["preemptionPolicy"] != old["preemptionPolicy"] {
        let why = "field is immutable";
        causes.push(Cause::invalid("preemptionPolicy", &new["preemptionPolicy"], why));
    }
}
