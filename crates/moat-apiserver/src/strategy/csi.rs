//! What drivers of volumes say of themselves and of the nodes they run on: rules (`pkg/apis/storage/validation`).

use super::{PLAIN, Strategy, check, storage};
use crate::names::Rule;
use crate::object::{child_mut, default, keep_said, list, text};
use crate::status::Cause;
use moat_model::Quantity;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) const DRIVER: Strategy = Strategy {
    returns_deleted: true,
    default: |object| {
        let spec = child_mut(object, "spec");
        default(spec, "attachRequired", true);
        default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        for field in ["podInfoOnMount", "requiresRepublish", "seLinuxMount", "storageCapacity"] {
            default(spec, field, false);
        }
        default(spec, "volumeLifecycleModes", json!(["Persistent"]));
    },
    validate: driver,
    // Upstream calls the first field so.
    validate_update: |new, old, causes| {
        for (field, path) in [
            ("attachRequired", "spec.attachedRequired"),
            ("volumeLifecycleModes", "spec.volumeLifecycleModes"),
        ] {
            let now = &new["spec"][field];
            if *now != old["spec"][field] {
                causes.push(Cause::invalid(path, now, check::IMMUTABLE));
            }
        }
    },
    ..PLAIN
};

pub(super) const NODE: Strategy =
    Strategy { returns_deleted: true, validate: node, validate_update: node_update, ..PLAIN };

pub(super) const ATTACHMENT: Strategy = Strategy {
    returns_deleted: true,
    update_status: keep_said,
    validate: attachment,
    validate_update: |new, old, causes| check::fixed(new, old, &["spec"], causes),
    ..PLAIN
};

pub(super) const CAPACITY: Strategy = Strategy {
    validate: capacity,
    validate_update: |new, old, causes| {
        check::fixed(new, old, &["nodeTopology", "storageClassName"], causes);
    },
    ..PLAIN
};

/// Bytes of the name of a driver, of what it calls a node, and of what it says of an attachment.
const NAME_MAX: usize = 63;
const NODE_ID_MAX: usize = 256;
const METADATA_MAX: usize = 256 * 1024;
const ERROR_MAX: usize = 1024;

fn name_of_driver(name: &str, path: &str, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        return causes.push(Cause::required(path, ""));
    }
    if NAME_MAX < name.len() {
        causes.push(Cause::too_long(path, NAME_MAX));
    }
    check::name(Rule::Subdomain, &name.to_lowercase(), path, causes);
}

fn driver(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    check::maybe_one_of(&spec["fsGroupPolicy"], "spec.fsGroupPolicy", &policies, causes);
    let mut audiences = BTreeSet::new();
    for (at, request) in list(spec, "/tokenRequests").iter().enumerate() {
        let path = format!("spec.tokenRequests[{at}]");
        let audience = text(request, "/audience");
        if !audiences.insert(audience) {
            causes.push(Cause::duplicate(format!("{path}.audience"), &audience.into()));
            continue;
        }
        let (seconds, path) = (&request["expirationSeconds"], format!("{path}.expirationSeconds"));
        match seconds.as_i64() {
            Some(short) if short < 600 => {
                let why = "may not specify a duration less than 10 minutes";
                causes.push(Cause::invalid(path, seconds, why));
            }
            Some(long) if 1 << 32 < long => {
                let why = "may not specify a duration larger than 2^32 seconds";
                causes.push(Cause::invalid(path, seconds, why));
            }
            _ => {}
        }
    }
    for mode in list(spec, "/volumeLifecycleModes") {
        if mode != "Persistent" && mode != "Ephemeral" {
            let known = ["Persistent", "Ephemeral"];
            causes.push(Cause::not_supported("spec.volumeLifecycleModes", mode, &known));
        }
    }
    let period = &spec["nodeAllocatableUpdatePeriodSeconds"];
    if period.as_i64().is_some_and(|seconds| seconds < 10) {
        let why = "must be greater than or equal to 10 seconds";
        causes.push(Cause::invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, why));
    }
    let in_secrets = &spec["serviceAccountTokenInSecrets"];
    if in_secrets.is_boolean() && audiences.is_empty() {
        let why = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        causes.push(Cause::invalid("spec.serviceAccountTokenInSecrets", in_secrets, why));
    }
}

fn node(object: &Value, causes: &mut Vec<Cause>) {
    let mut names = BTreeSet::new();
    for (at, driver) in list(object, "/spec/drivers").iter().enumerate() {
        let path = format!("spec.drivers[{at}]");
        let name = text(driver, "/name");
        name_of_driver(name, &format!("{path}.name"), causes);
        check::required(driver, "nodeID", &path, causes);
        if NODE_ID_MAX < text(driver, "/nodeID").len() {
            let why = format!("must be {NODE_ID_MAX} characters or less");
            causes.push(Cause::invalid(format!("{path}.nodeID"), &driver["nodeID"], &why));
        }
        let room = &driver["allocatable"];
        check::not_negative(room, &["count"], &format!("{path}.allocatable"), causes);
        if !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
        }
        let mut keys = BTreeSet::new();
        for key in list(driver, "/topologyKeys") {
            let own = key.as_str().unwrap_or_default();
            if own.is_empty() {
                causes.push(Cause::required(&path, ""));
            }
            if !keys.insert(own) {
                causes.push(Cause::duplicate(&path, key));
            }
            check::qualified(own, &path, causes);
        }
    }
}

/// What a driver said of a node stays, but for how many volumes there is room for.
fn node_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let settled = |driver: &Value| {
        let mut driver = driver.as_object().cloned().unwrap_or_default();
        driver.shift_remove("allocatable");
        driver
    };
    for had in list(old, "/spec/drivers") {
        for has in list(new, "/spec/drivers") {
            if text(had, "/name") == text(has, "/name") && settled(had) != settled(has) {
                causes.push(Cause::invalid("spec.drivers", has, check::IMMUTABLE));
            }
        }
    }
}

fn attachment(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    name_of_driver(text(spec, "/attacher"), "spec.attacher", causes);
    let (inline, named) =
        (&spec["source"]["inlineVolumeSpec"], &spec["source"]["persistentVolumeName"]);
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (inline.is_object(), named.as_str()) {
        (false, None) => causes.push(Cause::required("spec.source", one)),
        (true, Some(_)) => causes.push(Cause::forbidden("spec.source", one)),
        (false, Some("")) => {
            let why = "must specify non empty persistentVolumeName";
            causes.push(Cause::required("spec.source.persistentVolumeName", why));
        }
        (false, Some(_)) => {}
        (true, None) => storage::inline_volume(inline, "spec.source.inlineVolumeSpec", causes),
    }
    check::name(Rule::Subdomain, text(spec, "/nodeName"), "spec.nodeName", causes);
    let status = &object["status"];
    let said = status["attachmentMetadata"].as_object().into_iter().flatten();
    let size: usize = said.map(|(key, value)| key.len() + value.as_str().unwrap_or("").len()).sum();
    if METADATA_MAX < size {
        causes.push(Cause::too_long("status.attachmentMetadata", METADATA_MAX));
    }
    for field in ["attachError", "detachError"] {
        let (error, path) = (&status[field], format!("status.{field}"));
        if ERROR_MAX < text(error, "/message").len() {
            causes.push(Cause::too_long(format!("{path}.message"), METADATA_MAX));
        }
        if error["errorCode"].as_i64().is_some_and(|code| code < 0) {
            let why = "must be between 0 and 2147483647, inclusive";
            causes.push(Cause::invalid(format!("{path}.errorCode"), &error["errorCode"], why));
        }
    }
}

fn capacity(object: &Value, causes: &mut Vec<Cause>) {
    check::selector(&object["nodeTopology"], "nodeTopology", causes);
    check::name(Rule::Subdomain, text(object, "/storageClassName"), "storageClassName", causes);
    let amount = &object["capacity"];
    if Quantity::read(amount).is_some_and(|amount| amount < Quantity::whole(0)) {
        causes.push(Cause::invalid("capacity", amount, check::NEGATIVE));
    }
}
