//! LimitRanges and PriorityClasses: what follows from what they say, and which names and numbers are the system's.

use super::check::{self, shown};
use super::{Generation, PLAIN, Strategy};
use crate::object::{default, list, map_mut, meta, number, text};
use crate::status::Cause;
use moat_model::Quantity;
use serde_json::{Map, Value};

pub(super) const LIMIT_RANGE: Strategy =
    Strategy { default: limit_range, validate: check_limit_range, ..PLAIN };
pub(super) const QUOTA: Strategy = Strategy {
    returns_deleted: true,
    default: super::workload::status,
    validate: check_quota,
    ..PLAIN
};
pub(super) const PRIORITY_CLASS: Strategy = Strategy {
    generation: Generation::Spec,
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
    let policies = ["PreemptLowerPriority", "Never"];
    check::maybe_one_of(&class["preemptionPolicy"], "preemptionPolicy", &policies, causes);
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
    check::fixed(new, old, &["preemptionPolicy"], causes);
}

const LIMITED: [&str; 3] = ["Container", "PersistentVolumeClaim", "Pod"];
/// How two bounds of a resource are compared: the lower one's field, the higher one's, whose place the error is at, and what it says.
const BOUNDS: [(&str, &str, &str, &str); 6] = [
    ("min", "max", "min", "min value {} is greater than max value {}"),
    (
        "min",
        "defaultRequest",
        "defaultRequest",
        "min value {} is greater than default request value {}",
    ),
    (
        "defaultRequest",
        "max",
        "defaultRequest",
        "default request value {} is greater than max value {}",
    ),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "default request value {} is greater than default limit value {}",
    ),
    ("min", "default", "default", "min value {} is greater than default value {}"),
    ("default", "max", "default", "default value {} is greater than max value {}"),
];

fn check_limit_range(range: &Value, causes: &mut Vec<Cause>) {
    let mut seen = Vec::new();
    for (n, item) in list(range, "/spec/limits").iter().enumerate() {
        let path = format!("spec.limits[{n}]");
        let (kind, field) = (text(item, "/type"), format!("{path}.type"));
        let before = causes.len();
        check::qualified(kind, &field, causes);
        if before == causes.len() && !kind.contains('/') && !LIMITED.contains(&kind) {
            let why = "must be a standard limit type or fully qualified";
            causes.push(Cause::invalid(&field, &kind.into(), why));
        }
        causes.extend(check::distinct(&mut seen, kind, &field));
        if kind == "Pod" {
            for field in ["default", "defaultRequest"] {
                if item[field].as_object().is_some_and(|map| !map.is_empty()) {
                    let why = "may not be specified when `type` is 'Pod'";
                    causes.push(Cause::forbidden(format!("{path}.{field}"), why));
                }
            }
        }
        if kind == "PersistentVolumeClaim"
            && item["min"].get("storage").is_none()
            && item["max"].get("storage").is_none()
        {
            let why =
                "either minimum or maximum storage value is required, but neither was provided";
            causes.push(Cause::required(format!("{path}.limits"), why));
        }
        bounds(item, &path, causes);
    }
}

fn bounds(item: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (low, high, at, why) in BOUNDS {
        for (resource, least) in item[low].as_object().into_iter().flatten() {
            let Some(most) = item[high].get(resource) else { continue };
            let (Some(lower), Some(higher)) = (Quantity::read(least), Quantity::read(most)) else {
                continue;
            };
            if higher < lower {
                let why = why.replacen("{}", &shown(least), 1).replacen("{}", &shown(most), 1);
                // Upstream shows the bound that is broken where a default limit is wrong.
                let value = match (at, low) {
                    ("default", "min") | ("min", _) => least,
                    ("default", _) => most,
                    _ => &item[at][resource.as_str()],
                };
                let path = format!("{path}.{at}[{resource}]");
                causes.push(Cause::invalid(path, &shown(value).into(), &why));
            }
        }
    }
}

/// What a quota can count by a name without a domain.
const COUNTED: [&str; 21] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "storage",
    "hugepages-",
];
const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

fn check_quota(quota: &Value, causes: &mut Vec<Cause>) {
    let spec = &quota["spec"];
    for (resource, amount) in spec["hard"].as_object().into_iter().flatten() {
        counted(resource, amount, causes);
    }
    let scopes: Vec<&str> = list(spec, "/scopes").iter().filter_map(Value::as_str).collect();
    let mut wrong = |why: &str| causes.push(Cause::invalid("spec.scopes", &spec["scopes"], why));
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            wrong("unsupported scope");
        }
        for (resource, _) in spec["hard"].as_object().into_iter().flatten() {
            let pods = resource == "pods";
            let amounts = ["cpu", "memory", "ephemeral-storage"]
                .iter()
                .any(|word| resource == word || resource.ends_with(&format!(".{word}")));
            let fits = match *scope {
                "BestEffort" => pods,
                "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" => {
                    pods || amounts
                }
                _ => true,
            };
            if !fits && COUNTED.contains(&resource.as_str()) {
                wrong("unsupported scope applied to resource");
            }
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            wrong("conflicting scopes");
        }
    }
}

fn counted(resource: &str, amount: &Value, causes: &mut Vec<Cause>) {
    let path = format!("spec.hard[{resource}]");
    let before = causes.len();
    check::qualified(resource, &path, causes);
    let known = COUNTED.contains(&resource)
        || resource.contains('/')
        || resource.starts_with("hugepages-")
        || resource.starts_with("requests.hugepages-");
    if !known {
        if before == causes.len() {
            let why = "must be a standard resource type or fully qualified";
            causes.push(Cause::invalid(&path, &resource.into(), why));
        }
        let why = "must be a standard resource for quota";
        causes.push(Cause::invalid(&path, &resource.into(), why));
    }
    let Some(quantity) = Quantity::read(amount) else { return };
    let shown = shown(amount);
    if quantity < Quantity::whole(0) {
        causes.push(Cause::invalid(&path, &shown.as_str().into(), check::NEGATIVE));
    }
    let counts = [
        "pods",
        "services",
        "secrets",
        "configmaps",
        "resourcequotas",
        "replicationcontrollers",
        "persistentvolumeclaims",
    ];
    let whole = counts.contains(&resource) || resource.starts_with("services.");
    if whole && quantity.milli() % 1000 != 0 {
        let canonical = quantity.show(Quantity::counts_by_twos(&shown));
        causes.push(Cause::invalid(&path, &canonical.into(), "must be an integer"));
    }
}
