//! Workloads: kinds that make pods of a template.

use super::pod::{spec, spec_defaults};
use super::{PLAIN, Strategy};
use crate::cron::{Schedule, time_zone};
use crate::names;
use crate::object::{child_mut, default, map_mut, number};
use crate::selector::matches_labels;
use crate::status::Cause;
use serde_json::{Map, Value, json};

const WORKLOAD: Strategy = Strategy { generation: true, ..PLAIN };

pub(super) const DEPLOYMENT: Strategy = Strategy {
    default: |object| {
        let own = child_mut(object, "spec");
        default(own, "replicas", 1);
        default(own, "revisionHistoryLimit", 10);
        default(own, "progressDeadlineSeconds", 600);
        let strategy = map_mut(own, "strategy");
        default(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            let rolling = map_mut(strategy, "rollingUpdate");
            default(rolling, "maxSurge", "25%");
            default(rolling, "maxUnavailable", "25%");
        }
        template_defaults(own);
        status(object);
    },
    validate: |object, causes| {
        selected(object, causes);
        let strategy = &object["spec"]["strategy"];
        if strategy["type"] == "Recreate" && strategy.get("rollingUpdate").is_some() {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            causes.push(Cause::forbidden("spec.strategy.rollingUpdate", why));
        }
    },
    validate_update: fixed_selector,
    ..WORKLOAD
};

pub(super) const REPLICA_SET: Strategy = Strategy {
    default: |object| {
        let own = child_mut(object, "spec");
        default(own, "replicas", 1);
        template_defaults(own);
        default(child_mut(object, "status"), "replicas", 0);
    },
    validate: selected,
    validate_update: fixed_selector,
    ..WORKLOAD
};

pub(super) const STATEFUL_SET: Strategy = Strategy {
    default: |object| {
        let own = child_mut(object, "spec");
        default(own, "replicas", 1);
        default(own, "revisionHistoryLimit", 10);
        default(own, "podManagementPolicy", "OrderedReady");
        let strategy = map_mut(own, "updateStrategy");
        default(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            default(map_mut(strategy, "rollingUpdate"), "partition", 0);
        }
        let retention = map_mut(own, "persistentVolumeClaimRetentionPolicy");
        default(retention, "whenDeleted", "Retain");
        default(retention, "whenScaled", "Retain");
        template_defaults(own);
        let status = child_mut(object, "status");
        default(status, "replicas", 0);
        default(status, "availableReplicas", 0);
    },
    validate: selected,
    validate_update: |new, old, causes| {
        let free = [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ];
        let rest = |object: &Value| {
            let mut own = object["spec"].clone();
            if let Some(map) = own.as_object_mut() {
                map.retain(|key, _| !free.contains(&key.as_str()));
            }
            own
        };
        if rest(new) != rest(old) {
            causes.push(Cause::forbidden(
                "spec",
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
            ));
        }
    },
    ..WORKLOAD
};

pub(super) const DAEMON_SET: Strategy = Strategy {
    default: |object| {
        let own = child_mut(object, "spec");
        default(own, "revisionHistoryLimit", 10);
        let strategy = map_mut(own, "updateStrategy");
        default(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            let rolling = map_mut(strategy, "rollingUpdate");
            default(rolling, "maxSurge", 0);
            default(rolling, "maxUnavailable", 1);
        }
        template_defaults(own);
        let status = child_mut(object, "status");
        for field in [
            "currentNumberScheduled",
            "desiredNumberScheduled",
            "numberMisscheduled",
            "numberReady",
        ] {
            default(status, field, 0);
        }
    },
    validate: selected,
    validate_update: fixed_selector,
    ..WORKLOAD
};

pub(super) const REPLICATION_CONTROLLER: Strategy = Strategy {
    default: |object| {
        let own = child_mut(object, "spec");
        default(own, "replicas", 1);
        let labels =
            own.get("template").and_then(|template| template.pointer("/metadata/labels")).cloned();
        if let Some(labels) = labels {
            default(own, "selector", labels);
        }
        template_defaults(own);
        default(child_mut(object, "status"), "replicas", 0);
    },
    validate: |object, causes| {
        spec(&object["spec"]["template"]["spec"], "spec.template.spec", causes);
    },
    ..WORKLOAD
};

pub(super) const JOB: Strategy = Strategy {
    default: |object| {
        job_defaults(child_mut(object, "spec"));
        status(object);
    },
    create: |object| {
        if object["spec"]["manualSelector"] == true {
            return;
        }
        // A Job's pods are told apart by its uid (`generateSelector`).
        let (uid, name) = (object["metadata"]["uid"].clone(), object["metadata"]["name"].clone());
        let own = child_mut(object, "spec");
        let labels = map_mut(map_mut(map_mut(own, "template"), "metadata"), "labels");
        for (key, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("job-name", &name),
        ] {
            labels.insert(key.to_owned(), value.clone());
        }
        own.insert(
            "selector".to_owned(),
            json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } }),
        );
    },
    validate: |object, causes| job(&object["spec"], "spec", causes),
    validate_update: |new, old, causes| {
        for field in ["selector", "completionMode"] {
            if new["spec"][field] != old["spec"][field] {
                causes.push(Cause::invalid(
                    format!("spec.{field}"),
                    &new["spec"][field],
                    "field is immutable",
                ));
            }
        }
        if new["spec"]["template"] != old["spec"]["template"] {
            causes.push(Cause::invalid(
                "spec.template",
                &new["spec"]["template"],
                "field is immutable",
            ));
        }
    },
    ..WORKLOAD
};

pub(super) const CRON_JOB: Strategy = Strategy {
    default: |object| {
        let own = child_mut(object, "spec");
        default(own, "concurrencyPolicy", "Allow");
        default(own, "suspend", false);
        default(own, "successfulJobsHistoryLimit", 3);
        default(own, "failedJobsHistoryLimit", 1);
        if let Some(job) = own
            .get_mut("jobTemplate")
            .and_then(|template| template.get_mut("spec"))
            .and_then(Value::as_object_mut)
        {
            template_defaults(job);
        }
        status(object);
    },
    validate: |object, causes| {
        cron(&object["spec"], causes);
        job(&object["spec"]["jobTemplate"]["spec"], "spec.jobTemplate.spec", causes);
    },
    ..WORKLOAD
};

fn cron(own: &Value, causes: &mut Vec<Cause>) {
    let schedule = own["schedule"].as_str().unwrap_or_default();
    if schedule.is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    } else if schedule.contains("TZ") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        causes.push(Cause::invalid("spec.schedule", &schedule.into(), why));
    } else if let Err(why) = Schedule::parse(schedule) {
        causes.push(Cause::invalid("spec.schedule", &schedule.into(), &why));
    }
    match own["timeZone"].as_str() {
        None => {}
        Some("") => {
            let why = "timeZone must be nil or non-empty string";
            causes.push(Cause::invalid("spec.timeZone", &own["timeZone"], why));
        }
        Some(name) if name.eq_ignore_ascii_case("Local") => {
            let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
            causes.push(Cause::invalid("spec.timeZone", &own["timeZone"], why));
        }
        Some(name) if time_zone(name).is_none() => {
            let why = format!("unknown time zone {name}");
            causes.push(Cause::invalid("spec.timeZone", &own["timeZone"], &why));
        }
        Some(_) => {}
    }
    let policy = &own["concurrencyPolicy"];
    let known = ["Allow", "Forbid", "Replace"];
    if policy.as_str().is_some_and(|policy| !known.contains(&policy)) {
        causes.push(Cause::not_supported("spec.concurrencyPolicy", policy, &known));
    }
    for field in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"]
    {
        if own[field].as_i64().is_some_and(|n| n < 0) {
            let why = "must be greater than or equal to 0";
            causes.push(Cause::invalid(format!("spec.{field}"), &own[field], why));
        }
    }
}

fn job_defaults(own: &mut Map<String, Value>) {
    // A Job that counts failures for each index has no limit for all of them together.
    let limit = if own.contains_key("backoffLimitPerIndex") { i64::from(i32::MAX) } else { 6 };
    default(own, "backoffLimit", limit);
    default(own, "completionMode", "NonIndexed");
    default(own, "suspend", false);
    // Why a pod failed is known when it has: who asks for that waits for it.
    let asks = own.get("podFailurePolicy").is_some_and(|policy| !policy.is_null());
    default(own, "podReplacementPolicy", if asks { "Failed" } else { "TerminatingOrFailed" });
    if own.get("completions").is_none_or(Value::is_null)
        && own.get("parallelism").is_none_or(Value::is_null)
    {
        default(own, "completions", 1);
    }
    default(own, "parallelism", 1);
    template_defaults(own);
}

fn job(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    spec(&own["template"]["spec"], &format!("{path}.template.spec"), causes);
    let policy = &own["template"]["spec"]["restartPolicy"];
    if !matches!(policy.as_str(), Some("OnFailure" | "Never")) {
        let field = format!("{path}.template.spec.restartPolicy");
        causes.push(Cause::not_supported(field, policy, &["OnFailure", "Never"]));
    }
}

fn status(object: &mut Value) {
    child_mut(object, "status");
}

fn template_defaults(own: &mut Map<String, Value>) {
    let template = map_mut(own, "template");
    map_mut(template, "metadata");
    spec_defaults(map_mut(template, "spec"));
}

/// A workload must select the pods that it makes.
fn selected(object: &Value, causes: &mut Vec<Cause>) {
    let own = &object["spec"];
    if number(object, "/spec/replicas").is_some_and(|replicas| replicas < 0) {
        causes.push(Cause::invalid(
            "spec.replicas",
            &own["replicas"],
            "must be greater than or equal to 0",
        ));
    }
    let labels = &own["template"]["metadata"]["labels"];
    match own.get("selector") {
        None => causes.push(Cause::required("spec.selector", "")),
        Some(selector) if selector.as_object().is_some_and(Map::is_empty) => {
            causes.push(Cause::invalid(
                "spec.selector",
                selector,
                "empty selector is invalid for deployment",
            ));
        }
        Some(selector) if !matches_labels(selector, labels) => {
            let shown = labels
                .as_object()
                .map_or_else(|| Value::Object(Map::new()), |map| Value::Object(map.clone()));
            causes.push(Cause::invalid(
                "spec.template.metadata.labels",
                &shown,
                "`selector` does not match template `labels`",
            ));
        }
        Some(_) => {}
    }
    let mut inner = Vec::new();
    names::check_maps(&own["template"]["metadata"], &mut inner);
    for cause in inner {
        causes.push(Cause { field: format!("spec.template.{}", cause.field), ..cause });
    }
    spec(&own["template"]["spec"], "spec.template.spec", causes);
    let policy = &own["template"]["spec"]["restartPolicy"];
    if policy != "Always" {
        causes.push(Cause::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
}

fn fixed_selector(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if new["spec"]["selector"] != old["spec"]["selector"] {
        causes.push(Cause::invalid(
            "spec.selector",
            &new["spec"]["selector"],
            "field is immutable",
        ));
    }
}
