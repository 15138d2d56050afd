//! Rows of everything else that has columns of its own.

use super::cells::{or, plain, whole};
use super::{Column, Columns, age, count, shown, wide};
use crate::object::{list, meta, text};
use crate::part::Keep;
use serde_json::Value;

pub(super) const DEFINITION: Columns = Columns {
    columns: &[shown("Name"), Column("Created At", "date", false)],
    reads: Keep::All,
    cells: |object| vec![meta(object, "name").into(), meta(object, "creationTimestamp").into()],
};
pub(super) const CONFIG_MAP: Columns = Columns {
    columns: &[shown("Name"), shown("Data"), shown("Age")],
    reads: Keep::All,
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
    reads: Keep::All,
    cells: |object| {
        let n_keys = object["data"].as_object().map_or(0, serde_json::Map::len);
        vec![meta(object, "name").into(), text(object, "/type").into(), n_keys.into(), age(object)]
    },
};

pub(super) const RESOURCE_QUOTA: Columns = Columns {
    columns: &[shown("Name"), shown("Request"), shown("Limit"), shown("Age")],
    reads: Keep::All,
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
    reads: Keep::All,
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

/// When a role, or another kind without a printer upstream, was made is shown as it is written.
pub(super) const ROLE: Columns = Columns {
    columns: &[shown("Name"), Column("Created At", "date", false)],
    reads: Keep::All,
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
    reads: Keep::All,
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
    reads: Keep::All,
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
    reads: Keep::All,
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
    reads: Keep::All,
    cells: |object| {
        vec![meta(object, "name").into(), text(object, "/spec/holderIdentity").into(), age(object)]
    },
};

pub(super) const RUNTIME_CLASS: Columns = Columns {
    columns: &[shown("Name"), shown("Handler"), shown("Age")],
    reads: Keep::All,
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
    reads: Keep::All,
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

/// Metrics of which the table tells; of more it tells how many.
const METRICS_MAX: usize = 2;

/// What an autoscaler measured last, and what it aims at.
fn targets(object: &Value) -> String {
    let specs = list(object, "/spec/metrics");
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let measured = list(object, "/status/currentMetrics");
    let all: Vec<String> = (specs.iter().enumerate())
        .map(|(at, spec)| target(spec, measured.get(at).unwrap_or(&Value::Null)))
        .collect();
    let shown = all.iter().take(METRICS_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(METRICS_MAX) {
        Some(more) if 0 < more => format!("{shown} + {more} more..."),
        _ => shown,
    }
}

fn target(spec: &Value, measured: &Value) -> String {
    let kind = text(spec, "/type");
    let field = match kind {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let (aim, now) = (&spec[field]["target"], &measured[field]["current"]);
    let word = |value: &Value, sign: &str| match value {
        Value::Null => None,
        Value::String(text) => Some(format!("{text}{sign}")),
        other => Some(format!("{other}{sign}")),
    };
    let pair = |name: &str, sign: &str, none: &str| {
        let now = word(&now[name], sign).unwrap_or_else(|| "<unknown>".to_owned());
        format!("{now}/{}", word(&aim[name], sign).unwrap_or_else(|| none.to_owned()))
    };
    let by_average = !aim["averageValue"].is_null();
    match field {
        "pods" => pair("averageValue", "", "<nil>"),
        "external" | "object" if by_average => format!("{} (avg)", pair("averageValue", "", "")),
        "external" | "object" => pair("value", "", "<nil>"),
        _ => {
            let name = text(&spec[field], "/name");
            let pair = if by_average {
                pair("averageValue", "", "")
            } else {
                pair("averageUtilization", "%", "<auto>")
            };
            format!("{name}: {pair}")
        }
    }
}

pub(super) const ADMISSION_POLICY: Columns = Columns {
    columns: &[shown("Name"), count("Validations"), shown("ParamKind"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        let kind = &object["spec"]["paramKind"];
        let kind = match text(kind, "/kind") {
            "" => "<unset>".to_owned(),
            own => format!("{}/{own}", text(kind, "/apiVersion")),
        };
        let n = list(object, "/spec/validations").len();
        vec![meta(object, "name").into(), n.into(), kind.into(), age(object)]
    },
};

pub(super) const ADMISSION_POLICY_BINDING: Columns = Columns {
    columns: &[shown("Name"), shown("PolicyName"), shown("ParamRef"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        let param = or(object, "/spec/paramRef/name", "<unset>");
        vec![
            meta(object, "name").into(),
            text(object, "/spec/policyName").into(),
            param,
            age(object),
        ]
    },
};

pub(super) const API_SERVICE: Columns = Columns {
    columns: &[shown("Name"), shown("Service"), shown("Available"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        let service = match text(object, "/spec/service/name") {
            "" => "Local".to_owned(),
            name => format!("{}/{name}", text(object, "/spec/service/namespace")),
        };
        let conditions = list(object, "/status/conditions");
        let available = conditions.iter().find(|one| text(one, "/type") == "Available");
        let available = match available {
            Some(one) if text(one, "/status") == "True" => "True".to_owned(),
            Some(one) => format!("{} ({})", text(one, "/status"), text(one, "/reason")),
            None => "Unknown".to_owned(),
        };
        vec![meta(object, "name").into(), service.into(), available.into(), age(object)]
    },
};

pub(super) const FLOW_SCHEMA: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("PriorityLevel"),
        shown("MatchingPrecedence"),
        shown("DistinguisherMethod"),
        shown("Age"),
        shown("MissingPL"),
    ],
    reads: Keep::All,
    cells: |object| {
        let conditions = list(object, "/status/conditions");
        let dangling = conditions.iter().find(|one| text(one, "/type") == "Dangling");
        let dangling = dangling.map_or("?", |one| text(one, "/status")).to_owned();
        vec![
            meta(object, "name").into(),
            or(object, "/spec/priorityLevelConfiguration/name", "<none>"),
            plain(object.pointer("/spec/matchingPrecedence"), "<none>").into(),
            or(object, "/spec/distinguisherMethod/type", "<none>"),
            age(object),
            dangling.into(),
        ]
    },
};

pub(super) const PRIORITY_LEVEL: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Type"),
        shown("NominalConcurrencyShares"),
        shown("Queues"),
        shown("HandSize"),
        shown("QueueLengthLimit"),
        shown("Age"),
    ],
    reads: Keep::All,
    cells: |object| {
        let limited = &object["spec"]["limited"];
        let queuing = &limited["limitResponse"]["queuing"];
        let number = |value: &Value| plain(Some(value), "<none>").into();
        vec![
            meta(object, "name").into(),
            text(object, "/spec/type").into(),
            number(&limited["nominalConcurrencyShares"]),
            number(&queuing["queues"]),
            number(&queuing["handSize"]),
            number(&queuing["queueLengthLimit"]),
            age(object),
        ]
    },
};

pub(super) const COMPONENT: Columns = Columns {
    columns: &[shown("Name"), shown("Status"), shown("Message"), shown("Error")],
    reads: Keep::All,
    cells: |object| {
        let healthy = list(object, "/conditions").iter().find(|one| one["type"] == "Healthy");
        let of = |pointer: &str| healthy.map_or("", |one| text(one, pointer));
        let status = match of("/status") {
            "True" => "Healthy",
            "False" => "Unhealthy",
            _ => "Unknown",
        };
        vec![meta(object, "name").into(), status.into(), of("/message").into(), of("/error").into()]
    },
};

pub(super) const ATTRIBUTES_CLASS: Columns = Columns {
    columns: &[shown("Name"), shown("DriverName"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        vec![meta(object, "name").into(), text(object, "/driverName").into(), age(object)]
    },
};
