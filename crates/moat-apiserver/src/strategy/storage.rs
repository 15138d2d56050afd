//! Volumes, claims to them, and their classes: defaults and rules.

use super::{PLAIN, Strategy, check};
use crate::names::Rule;
use crate::object::{at, child_mut, default, list, text};
use crate::stamp::now;
use crate::status::Cause;
use moat_model::Quantity;
use serde_json::Value;

pub(super) const VOLUME: Strategy = Strategy {
    returns_deleted: true,
    default: |object| {
        let spec = child_mut(object, "spec");
        default(spec, "persistentVolumeReclaimPolicy", "Retain");
        default(spec, "volumeMode", "Filesystem");
        super::pod::source_defaults(spec);
    },
    create: |object| {
        pending(object);
        child_mut(object, "status").insert("lastPhaseTransitionTime".to_owned(), now().into());
    },
    validate: volume,
    validate_update: volume_update,
    ..PLAIN
};
pub(super) const CLAIM: Strategy = Strategy {
    returns_deleted: true,
    default: |object| default(child_mut(object, "spec"), "volumeMode", "Filesystem"),
    create: pending,
    validate: |object, causes| claim_spec(&object["spec"], "spec", causes),
    validate_update: claim_update,
    ..PLAIN
};
pub(super) const CLASS: Strategy = Strategy {
    returns_deleted: true,
    default: |object| {
        if let Some(map) = object.as_object_mut() {
            default(map, "reclaimPolicy", "Delete");
            default(map, "volumeBindingMode", "Immediate");
        }
    },
    validate: class,
    validate_update: class_update,
    ..PLAIN
};

pub(super) const ATTRIBUTES_CLASS: Strategy = Strategy {
    returns_deleted: true,
    validate: |object, causes| {
        let driver = text(object, "/driverName");
        if driver.is_empty() {
            causes.push(Cause::required("driverName", ""));
        } else {
            check::qualified(&driver.to_lowercase(), "driverName", causes);
        }
        if object["parameters"].as_object().is_none_or(serde_json::Map::is_empty) {
            let why = "must contain at least one key/value pair";
            causes.push(Cause::required("parameters", why));
        }
    },
    validate_update: |new, old, causes| {
        for field in ["driverName", "parameters"] {
            if new[field] != old[field] {
                let why = format!("updates to {field} are forbidden.");
                causes.push(Cause::forbidden(field, &why));
            }
        }
    },
    ..PLAIN
};

const ACCESS: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const MODES: [&str; 2] = ["Block", "Filesystem"];
/// What stands in a volume's spec and is no source.
const NO_SOURCE: [&str; 3] = ["capacity", "claimRef", "nodeAffinity"];

fn pending(object: &mut Value) {
    child_mut(object, "status").insert("phase".to_owned(), "Pending".into());
}

fn access_modes(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let modes = list(spec, "/accessModes");
    let path = format!("{path}.accessModes");
    for mode in modes {
        check::maybe_one_of(mode, &path, &ACCESS, causes);
    }
    let alone = modes.iter().any(|mode| mode == "ReadWriteOncePod");
    if alone && modes.iter().any(|mode| mode != "ReadWriteOncePod") {
        let why = "may not use ReadWriteOncePod with other access modes";
        causes.push(Cause::forbidden(path, why));
    }
}

fn more_than_nothing(amount: &Value, path: &str, causes: &mut Vec<Cause>) {
    if Quantity::read(amount).is_some_and(|amount| amount <= Quantity::whole(0)) {
        causes.push(Cause::invalid(
            path,
            &check::shown(amount).into(),
            "must be greater than zero",
        ));
    }
}

fn class_name(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let name = text(spec, "/storageClassName");
    if !name.is_empty() {
        check::name(Rule::Subdomain, name, &format!("{path}.storageClassName"), causes);
    }
    let mode = format!("{path}.volumeMode");
    check::maybe_one_of(&spec["volumeMode"], &mode, &MODES, causes);
}

/// The spec of a claim, which stands in pods too.
pub(super) fn claim_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if list(spec, "/accessModes").is_empty() {
        let why = "at least 1 access mode is required";
        causes.push(Cause::required(format!("{path}.accessModes"), why));
    }
    check::selector(&spec["selector"], &format!("{path}.selector"), causes);
    access_modes(spec, path, causes);
    let field = format!("{path}.resources[storage]");
    match spec["resources"]["requests"].get("storage") {
        None => causes.push(Cause::required(field, "")),
        Some(amount) => more_than_nothing(amount, &field, causes),
    }
    class_name(spec, path, causes);
}

fn claim_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let bound = new["status"]["phase"] == "Bound";
    let settled = |object: &Value| {
        let mut spec = object["spec"].clone();
        let Some(map) = spec.as_object_mut() else { return spec };
        if text(old, "/spec/volumeName").is_empty() {
            map.shift_remove("volumeName");
        }
        if bound {
            map.shift_remove("volumeAttributesClassName");
            let requests = map.get_mut("resources").and_then(|own| own.get_mut("requests"));
            if let Some(requests) = requests.and_then(Value::as_object_mut) {
                requests.shift_remove("storage");
            }
        }
        // A class may be given to a claim that has none yet.
        if old["spec"]["storageClassName"].is_null() {
            map.shift_remove("storageClassName");
        }
        spec
    };
    if settled(new) != settled(old) {
        causes.push(Cause::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ));
    }
    let size = |object: &Value, pointer: &str| {
        at(object, pointer).and_then(Quantity::read).unwrap_or(Quantity::whole(0))
    };
    let wanted = "/spec/resources/requests/storage";
    let (now, before) = (size(new, wanted), size(old, wanted));
    if now < before && now <= size(old, "/status/capacity/storage") {
        let why = "field can not be less than status.capacity";
        causes.push(Cause::forbidden("spec.resources.requests.storage", why));
    }
    if new["spec"]["volumeMode"] != old["spec"]["volumeMode"] {
        causes.push(Cause::invalid("volumeMode", &new["spec"]["volumeMode"], check::IMMUTABLE));
    }
}

fn volume(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    check::required(spec, "accessModes", "spec", causes);
    access_modes(spec, "spec", causes);
    let empty = spec["capacity"].as_object().is_none_or(serde_json::Map::is_empty);
    if empty {
        causes.push(Cause::required("spec.capacity", ""));
    }
    let all = spec["capacity"].as_object();
    if all.is_none_or(|all| all.len() != 1 || !all.contains_key("storage")) {
        let shown = if empty { Value::Null } else { spec["capacity"].clone() };
        causes.push(Cause::not_supported("spec.capacity", &shown, &["storage"]));
    }
    for (resource, amount) in all.into_iter().flatten() {
        more_than_nothing(amount, &format!("spec.capacity[{resource}]"), causes);
    }
    let policies = ["Delete", "Recycle", "Retain"];
    let policy = "persistentVolumeReclaimPolicy";
    check::maybe_one_of(&spec[policy], &format!("spec.{policy}"), &policies, causes);
    if spec["nodeAffinity"]["required"].is_object() {
        let path = "spec.nodeAffinity.required";
        super::pod::node_selector(&spec["nodeAffinity"]["required"], path, causes);
    }
    source(spec, causes);
    class_name(spec, "spec", causes);
}

/// A volume that stands inside another object (`ValidatePersistentVolumeSpec` of an inline one).
pub(super) fn inline_volume(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let nowhere = "may not be specified in the context of inline volumes";
    if spec["claimRef"].is_object() {
        causes.push(Cause::forbidden(format!("{path}.claimRef"), nowhere));
    }
    if spec["capacity"].as_object().is_some_and(|all| !all.is_empty()) {
        causes.push(Cause::forbidden(format!("{path}.capacity"), nowhere));
    }
    if !spec["csi"].is_object() {
        let why = "has to be specified in the context of inline volumes";
        causes.push(Cause::required(format!("{path}.csi"), why));
    }
    check::required(spec, "accessModes", path, causes);
    access_modes(spec, path, causes);
    let policy = text(spec, "/persistentVolumeReclaimPolicy");
    if !matches!(policy, "" | "Retain") {
        let why = "may only be Retain in the context of inline volumes";
        causes.push(Cause::forbidden(format!("{path}.persistentVolumeReclaimPolicy"), why));
    }
    if spec["nodeAffinity"].is_object() {
        causes.push(Cause::forbidden(format!("{path}.nodeAffinity"), nowhere));
    }
}

fn source(spec: &Value, causes: &mut Vec<Cause>) {
    let mut count = 0;
    let fields = spec.as_object().into_iter().flatten();
    let sources = fields.filter(|(key, own)| own.is_object() && !NO_SOURCE.contains(&key.as_str()));
    for (kind, own) in sources {
        let path = format!("spec.{kind}");
        count += 1;
        if 1 < count {
            causes.push(Cause::forbidden(path, "may not specify more than 1 volume type"));
            continue;
        }
        match kind.as_str() {
            "hostPath" | "local" => {
                check::required(own, "path", &path, causes);
                check::no_backsteps(text(own, "/path"), &format!("{path}.path"), causes);
            }
            "nfs" => {
                check::required(own, "server", &path, causes);
                check::required(own, "path", &path, causes);
            }
            "csi" => {
                check::required(own, "driver", &path, causes);
                check::required(own, "volumeHandle", &path, causes);
            }
            _ => {}
        }
        if kind == "local" && !spec["nodeAffinity"]["required"].is_object() {
            let why = "Local volume requires node affinity";
            causes.push(Cause::required("spec.nodeAffinity", why));
        }
    }
    if count == 0 {
        causes.push(Cause::required("spec", "must specify a volume type"));
    }
}

/// Where a volume's bytes are does not change.
fn volume_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let sources = |object: &Value| {
        let mut spec = object["spec"].as_object().cloned().unwrap_or_default();
        spec.retain(|key, own| own.is_object() && !NO_SOURCE.contains(&key.as_str()));
        spec
    };
    if sources(new) != sources(old) {
        let why = "spec.persistentvolumesource is immutable after creation";
        causes.push(Cause::forbidden("spec.persistentvolumesource", why));
    }
    if new["spec"]["volumeMode"] != old["spec"]["volumeMode"] {
        causes.push(Cause::invalid("volumeMode", &new["spec"]["volumeMode"], check::IMMUTABLE));
    }
}

fn class(object: &Value, causes: &mut Vec<Cause>) {
    let provisioner = text(object, "/provisioner");
    if provisioner.is_empty() {
        causes.push(Cause::required("provisioner", ""));
    } else {
        check::qualified(&provisioner.to_lowercase(), "provisioner", causes);
    }
    let policies = ["Delete", "Retain"];
    check::maybe_one_of(&object["reclaimPolicy"], "reclaimPolicy", &policies, causes);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    check::maybe_one_of(&object["volumeBindingMode"], "volumeBindingMode", &modes, causes);
}

fn class_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for (field, why) in [
        ("parameters", "updates to parameters are forbidden."),
        ("provisioner", "updates to provisioner are forbidden."),
        ("reclaimPolicy", "updates to reclaimPolicy are forbidden."),
    ] {
        if new[field] != old[field] {
            causes.push(Cause::forbidden(field, why));
        }
    }
    check::fixed(new, old, &["volumeBindingMode"], causes);
}
