//! Rows of namespaces, nodes, events, volumes.

use super::cells::{or, plain};
use super::{Column, Columns, age, ago, shown, wide};
use crate::object::{is_deleting, list, meta, number, text};
use crate::part::Keep;
use serde_json::Value;

pub(super) const NAMESPACE: Columns = Columns {
    columns: &[shown("Name"), shown("Status"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        vec![meta(object, "name").into(), text(object, "/status/phase").into(), age(object)]
    },
};

pub(super) const NODE: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Status"),
        shown("Roles"),
        shown("Age"),
        shown("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ],
    reads: Keep::All,
    cells: |object| {
        let ready = list(object, "/status/conditions").iter().find(|one| one["type"] == "Ready");
        let mut status = match ready {
            Some(one) if one["status"] == "True" => "Ready".to_owned(),
            Some(_) => "NotReady".to_owned(),
            None => "Unknown".to_owned(),
        };
        if object["spec"]["unschedulable"] == true {
            status += ",SchedulingDisabled";
        }
        let address = |kind: &str| {
            let found = list(object, "/status/addresses").iter().find(|one| one["type"] == kind);
            found.map_or("<none>".into(), |one| one["address"].clone())
        };
        let info = |field: &str, none: &str| or(object, &format!("/status/nodeInfo/{field}"), none);
        let mut kernel = text(object, "/status/nodeInfo/kernelVersion").to_owned();
        if kernel.is_empty() {
            "<unknown>".clone_into(&mut kernel);
        }
        let architecture = text(object, "/status/nodeInfo/architecture");
        if !architecture.is_empty() {
            kernel += &format!(" ({architecture})");
        }
        vec![
            meta(object, "name").into(),
            status.into(),
            roles(object).into(),
            age(object),
            info("kubeletVersion", ""),
            address("InternalIP"),
            address("ExternalIP"),
            info("osImage", "<unknown>"),
            kernel.into(),
            info("containerRuntimeVersion", "<unknown>"),
        ]
    },
};

/// Roles are labels: `node-role.kubernetes.io/ROLE`, or `kubernetes.io/role: ROLE`.
fn roles(object: &Value) -> String {
    let mut roles: Vec<&str> = Vec::new();
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        if let Some(role) =
            key.strip_prefix("node-role.kubernetes.io/").filter(|role| !role.is_empty())
        {
            roles.push(role);
        } else if key == "kubernetes.io/role" {
            roles.extend(value.as_str().filter(|role| !role.is_empty()));
        }
    }
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

pub(super) const EVENT: Columns = Columns {
    columns: &[
        shown("Last Seen"),
        shown("Type"),
        shown("Reason"),
        shown("Object"),
        wide("Subobject"),
        wide("Source"),
        shown("Message"),
        wide("First Seen"),
        wide("Count"),
        Column("Name", "string", true),
    ],
    reads: Keep::All,
    cells: |object| {
        let of = |pointer: &str| text(object, pointer);
        let first_time =
            if of("/firstTimestamp").is_empty() { of("/eventTime") } else { of("/firstTimestamp") };
        let series = of("/series/lastObservedTime");
        let last_time = match (series.is_empty(), of("/lastTimestamp").is_empty()) {
            (false, _) => series,
            (true, false) => of("/lastTimestamp"),
            (true, true) => first_time,
        };
        let seen = number(object, "/series/count")
            .or_else(|| number(object, "/count"))
            .filter(|n| *n != 0)
            .unwrap_or(1);
        let (kind, name) = (of("/involvedObject/kind").to_lowercase(), of("/involvedObject/name"));
        let first_of = |one: &str, two: &str| {
            if of(one).is_empty() { of(two).to_owned() } else { of(one).to_owned() }
        };
        let (component, host) = (
            first_of("/source/component", "/reportingComponent"),
            first_of("/source/host", "/reportingInstance"),
        );
        vec![
            ago(last_time).into(),
            of("/type").into(),
            of("/reason").into(),
            if name.is_empty() { kind.into() } else { format!("{kind}/{name}").into() },
            of("/involvedObject/fieldPath").into(),
            if host.is_empty() { component.into() } else { format!("{component}, {host}").into() },
            of("/message").trim().into(),
            ago(first_time).into(),
            seen.into(),
            meta(object, "name").into(),
        ]
    },
};

/// Access modes in short: `RWO,ROX`.
fn modes(object: &Value, pointer: &str) -> Value {
    let has = |mode: &str| list(object, pointer).iter().any(|one| one == mode);
    let all = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let short: Vec<&str> =
        all.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    short.join(",").into()
}

fn phase(object: &Value) -> Value {
    if is_deleting(object) { "Terminating".into() } else { text(object, "/status/phase").into() }
}

pub(super) const VOLUME: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Capacity"),
        shown("Access Modes"),
        shown("Reclaim Policy"),
        shown("Status"),
        shown("Claim"),
        shown("StorageClass"),
        shown("VolumeAttributesClass"),
        shown("Reason"),
        shown("Age"),
        wide("VolumeMode"),
    ],
    reads: Keep::All,
    cells: |object| {
        let claim = &object["spec"]["claimRef"];
        let claim = if claim.is_object() {
            format!("{}/{}", text(claim, "/namespace"), text(claim, "/name"))
        } else {
            String::new()
        };
        vec![
            meta(object, "name").into(),
            plain(object.pointer("/spec/capacity/storage"), "0").into(),
            modes(object, "/spec/accessModes"),
            text(object, "/spec/persistentVolumeReclaimPolicy").into(),
            phase(object),
            claim.into(),
            text(object, "/spec/storageClassName").into(),
            or(object, "/spec/volumeAttributesClassName", "<unset>"),
            text(object, "/status/reason").into(),
            age(object),
            or(object, "/spec/volumeMode", "<unset>"),
        ]
    },
};

pub(super) const CLAIM: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Status"),
        shown("Volume"),
        shown("Capacity"),
        shown("Access Modes"),
        shown("StorageClass"),
        shown("VolumeAttributesClass"),
        shown("Age"),
        wide("VolumeMode"),
    ],
    reads: Keep::All,
    cells: |object| {
        let bound = !text(object, "/spec/volumeName").is_empty();
        vec![
            meta(object, "name").into(),
            phase(object),
            text(object, "/spec/volumeName").into(),
            if bound {
                plain(object.pointer("/status/capacity/storage"), "0").into()
            } else {
                "".into()
            },
            if bound { modes(object, "/status/accessModes") } else { "".into() },
            text(object, "/spec/storageClassName").into(),
            or(object, "/spec/volumeAttributesClassName", "<unset>"),
            age(object),
            or(object, "/spec/volumeMode", "<unset>"),
        ]
    },
};
