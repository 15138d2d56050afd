//! Rows of everything else that has columns of its own.

use super::cells::{or, plain, whole};
use super::{Column, Columns, age, count, shown, wide};
use crate::object::{list, meta, text};
use serde_json::Value;

pub(super) const DEFINITION: Columns = Columns {
    columns: &[shown("Name"), shown("Created At")],
    cells: |object| vec![meta(object, "name").into(), meta(object, "creationTimestamp").into()],
};
pub(super) const CONFIG_MAP: Columns = Columns {
    columns: &[shown("Name"), shown("Data"), shown("Age")],
    cells: |object| {
        let n_keys = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
        vec![
            meta(object, "name").into(),
            (n_keys("data") + n_keys("binaryData")).into(),
            age(object),
        ]
    },
};

pub(super) const SECRET: Columns = Columns {
    columns: &[shown("Name"), shown("Type"), shown("Data"), shown("Age")],
    cells: |object| {
        let n_keys = object["data"].as_object().map_or(0, serde_json::Map::len);
        vec![meta(object, "name").into(), text(object, "/type").into(), n_keys.into(), age(object)]
    },
};

pub(super) const RESOURCE_QUOTA: Columns = Columns {
    columns: &[shown("Name"), shown("Request"), shown("Limit"), shown("Age")],
    cells: |object| {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        let mut hard: Vec<(&String, &Value)> =
            object["status"]["hard"].as_object().into_iter().flatten().collect();
        hard.sort_by_key(|(name, _)| *name);
        for (name, hard) in hard {
            let used = plain(object["status"]["used"].get(name), "0");
            let to = if name.starts_with("limits.") { &mut limits } else { &mut requests };
            to.push(format!("{name}: {used}/{}", plain(Some(hard), "0")));
        }
        vec![
            meta(object, "name").into(),
            requests.join(", ").into(),
            limits.join(", ").into(),
            age(object),
        ]
    },
};

pub(super) const DISRUPTION_BUDGET: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Min Available"),
        shown("Max Unavailable"),
        count("Allowed Disruptions"),
        shown("Age"),
    ],
    cells: |object| {
        vec![
            meta(object, "name").into(),
            plain(object.pointer("/spec/minAvailable"), "N/A").into(),
            plain(object.pointer("/spec/maxUnavailable"), "N/A").into(),
            whole(object, "/status/disruptionsAllowed"),
            age(object),
        ]
    },
};

/// When a role was made is shown as it is written.
pub(super) const ROLE: Columns = Columns {
    columns: &[shown("Name"), Column("Created At", "date", false)],
    cells: |object| vec![meta(object, "name").into(), meta(object, "creationTimestamp").into()],
};

pub(super) const ROLE_BINDING: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Role"),
        shown("Age"),
        wide("Users"),
        wide("Groups"),
        wide("ServiceAccounts"),
    ],
    cells: |object| {
        let of = |kind: &str| {
            let all = list(object, "/subjects").iter().filter(|subject| subject["kind"] == kind);
            let names: Vec<String> = all
                .map(|subject| match text(subject, "/namespace") {
                    "" => text(subject, "/name").to_owned(),
                    namespace => format!("{namespace}/{}", text(subject, "/name")),
                })
                .collect();
            Value::from(names.join(", "))
        };
        let role = format!("{}/{}", text(object, "/roleRef/kind"), text(object, "/roleRef/name"));
        vec![
            meta(object, "name").into(),
            role.into(),
            age(object),
            of("User"),
            of("Group"),
            of("ServiceAccount"),
        ]
    },
};

pub(super) const PRIORITY_CLASS: Columns = Columns {
    columns: &[
        shown("Name"),
        count("Value"),
        Column("Global-Default", "boolean", false),
        shown("Age"),
        shown("PreemptionPolicy"),
    ],
    cells: |object| {
        vec![
            meta(object, "name").into(),
            whole(object, "/value"),
            (object["globalDefault"] == true).into(),
            age(object),
            or(object, "/preemptionPolicy", "PreemptLowerPriority"),
        ]
    },
};

pub(super) const STORAGE_CLASS: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Provisioner"),
        shown("ReclaimPolicy"),
        shown("VolumeBindingMode"),
        shown("AllowVolumeExpansion"),
        shown("Age"),
    ],
    cells: |object| {
        let chosen = object["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"]
            == "true";
        let name = meta(object, "name");
        vec![
            if chosen { format!("{name} (default)").into() } else { name.into() },
            text(object, "/provisioner").into(),
            or(object, "/reclaimPolicy", "Delete"),
            or(object, "/volumeBindingMode", "Immediate"),
            (object["allowVolumeExpansion"] == true).into(),
            age(object),
        ]
    },
};

pub(super) const LEASE: Columns = Columns {
    columns: &[shown("Name"), shown("Holder"), shown("Age")],
    cells: |object| {
        vec![meta(object, "name").into(), text(object, "/spec/holderIdentity").into(), age(object)]
    },
};

pub(super) const RUNTIME_CLASS: Columns = Columns {
    columns: &[shown("Name"), shown("Handler"), shown("Age")],
    cells: |object| vec![meta(object, "name").into(), text(object, "/handler").into(), age(object)],
};

pub(super) const AUTOSCALER: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Reference"),
        shown("Targets"),
        shown("MinPods"),
        shown("MaxPods"),
        shown("Replicas"),
        shown("Age"),
    ],
    cells: |object| {
        let target = &object["spec"]["scaleTargetRef"];
        vec![
            meta(object, "name").into(),
            format!("{}/{}", text(target, "/kind"), text(target, "/name")).into(),
            targets(object).into(),
            plain(object.pointer("/spec/minReplicas"), "<unset>").into(),
            whole(object, "/spec/maxReplicas"),
            whole(object, "/status/currentReplicas"),
            age(object),
        ]
    },
};

/// What an autoscaler aims at. Only shares of resources are written out; nothing measures yet.
fn targets(object: &Value) -> String {
    let all: Vec<String> = list(object, "/spec/metrics")
        .iter()
        .map(|metric| match metric.pointer("/resource/target/averageUtilization") {
            Some(share) => format!("{}: <unknown>/{share}%", text(metric, "/resource/name")),
            None => "<unknown>".to_owned(),
        })
        .collect();
    if all.is_empty() { "<none>".to_owned() } else { all.join(", ") }
}
