//! Jobs, and what makes them by the clock: defaults and rules.

use super::check;
use super::workload::{WORKLOAD, status, template, template_defaults, unselected};
use super::{Dependents, Strategy};
use crate::cron::{Schedule, time_zone};
use crate::names::{self, Rule};
use crate::object::{child_mut, default, list, map_mut, meta, meta_mut, number, text};
use crate::selector::matches_labels;
use crate::status::Cause;
use serde_json::{Map, Value, json};

pub(super) const JOB: Strategy = Strategy {
    default: |object| {
        job_defaults(child_mut(object, "spec"));
        status(object);
    },
    // Upstream's default for `batch/v1`, of which its API warns.
    dependents: Dependents::Stay { warning: Some(PODS_STAY) },
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
        // One that was given stays in it, and is refused.
        let labels = map_mut(map_mut(own, "selector"), "matchLabels");
        labels.insert("batch.kubernetes.io/controller-uid".to_owned(), uid);
        // A Job without labels of its own has those of its pods.
        let labels = own["template"]["metadata"]["labels"].clone();
        default(meta_mut(object), "labels", labels);
    },
    validate: job,
    validate_update: |new, old, causes| {
        check::fixed(new, old, &["spec.selector", "spec.completionMode"], causes);
        completions(&new["spec"], &old["spec"], causes);
        check::fixed(new, old, &["spec.template"], causes);
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
        let template = map_mut(own, "jobTemplate");
        map_mut(template, "metadata");
        template_defaults(map_mut(template, "spec"));
        status(object);
    },
    validate: cron_job,
    ..WORKLOAD
};

/// How many successes make a Job complete: fixed, but for one of indices that grows and shrinks with its parallelism.
fn completions(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let wanted = &new["completions"];
    if *wanted == old["completions"] {
        return;
    }
    let in_tandem = |spec: &Value| spec["completions"] == spec["parallelism"];
    let why = if new["completionMode"] != "Indexed" {
        check::IMMUTABLE
    } else if in_tandem(new) && in_tandem(old) {
        return;
    } else {
        "can only be modified in tandem with spec.parallelism"
    };
    causes.push(Cause::invalid("spec.completions", wanted, why));
}

fn job_defaults(own: &mut Map<String, Value>) {
    // A Job that counts failures for each index has no limit for all of them together.
    let limit = if own.contains_key("backoffLimitPerIndex") { i64::from(i32::MAX) } else { 6 };
    default(own, "backoffLimit", limit);
    default(own, "completionMode", "NonIndexed");
    default(own, "suspend", false);
    default(own, "manualSelector", false);
    // Why a pod failed is known when it has: who asks for that waits for it.
    let asks = own.get("podFailurePolicy").is_some_and(|policy| !policy.is_null());
    default(own, "podReplacementPolicy", if asks { "Failed" } else { "TerminatingOrFailed" });
    if own.get("completions").is_none_or(Value::is_null)
        && own.get("parallelism").is_none_or(Value::is_null)
    {
        default(own, "completions", 1);
    }
    default(own, "parallelism", 1);
    let rules = own.get_mut("podFailurePolicy").and_then(|policy| policy.get_mut("rules"));
    for rule in rules.and_then(Value::as_array_mut).into_iter().flatten() {
        let conditions = rule.get_mut("onPodConditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
            default(condition, "status", "True");
        }
    }
    template_defaults(own);
}

/// What whoever deletes a Job without saying more is told.
const PODS_STAY: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

fn job(object: &Value, causes: &mut Vec<Cause>) {
    let own = &object["spec"];
    if own["manualSelector"] != true {
        generated(object, causes);
    }
    job_spec(own, "spec", causes);
    let selector = &own["selector"];
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else {
        check::selector(selector, "spec.selector", causes);
    }
    let labels = &own["template"]["metadata"]["labels"];
    if selector.is_null() || !matches_labels(selector, labels) {
        unselected(labels, causes);
    }
    let completions = number(own, "/completions").unwrap_or(0);
    if own["completionMode"] == "Indexed" && 0 < completions {
        let name = meta(object, "name");
        let last = format!("{name}-{}", completions - 1);
        if !names::check(Rule::Label, &last, false).is_empty() {
            let why = format!("will not able to create pod with invalid DNS label: {last}");
            causes.push(Cause::invalid("metadata.name", &name.into(), &why));
        }
    }
}

/// Who does not choose the selector gets the server's.
fn generated(object: &Value, causes: &mut Vec<Cause>) {
    let selector = &object["spec"]["selector"];
    let (uid, name) = (meta(object, "uid"), meta(object, "name"));
    let labels = json!({
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name,
        "controller-uid": uid, "job-name": name,
    });
    if !selector.is_null() && !matches_labels(selector, &labels) {
        let why = "`selector` not auto-generated";
        causes.push(Cause::invalid("spec.selector", selector, why));
    }
}

fn job_spec(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    let at = |field: &str| format!("{path}.{field}");
    let fields = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    check::not_negative(own, &fields, path, causes);
    let has = |field: &str| own.get(field).is_some_and(|value| !value.is_null());
    if has("maxFailedIndexes") && !has("backoffLimitPerIndex") {
        let why = "when maxFailedIndexes is specified";
        causes.push(Cause::required(at("backoffLimitPerIndex"), why));
    }
    let mode = &own["completionMode"];
    check::maybe_one_of(mode, &at("completionMode"), &["NonIndexed", "Indexed"], causes);
    if mode == "Indexed" {
        indexed(own, path, causes);
    } else if mode == "NonIndexed" || mode.is_null() {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if has(field) {
                let why = "requires indexed completion mode";
                causes.push(Cause::invalid(at(field), &own[field], why));
            }
        }
    }
    if own["podFailurePolicy"].is_object() {
        failure_policy(own, &at("podFailurePolicy"), causes);
    }
    if own["successPolicy"].is_object() && mode != "Indexed" {
        let why = "requires indexed completion mode";
        causes.push(Cause::invalid(at("successPolicy"), &own["successPolicy"], why));
    } else if own["successPolicy"].is_object() {
        success_policy(own, &at("successPolicy.rules"), causes);
    }
    let known: &[&str] =
        if has("podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    let path = at("podReplacementPolicy");
    check::maybe_one_of(&own["podReplacementPolicy"], &path, known, causes);
    template(&own["template"], &at("template"), causes);
    let policy = &own["template"]["spec"]["restartPolicy"];
    let path = at("template.spec.restartPolicy");
    match policy.as_str().unwrap_or_default() {
        "Always" | "" => {
            let why = "valid values: \"OnFailure\", \"Never\"";
            causes.push(Cause::required(path, why));
        }
        "OnFailure" if has("podFailurePolicy") => {
            let why = "only \"Never\" is supported when podFailurePolicy is specified";
            causes.push(Cause::invalid(path, policy, why));
        }
        "OnFailure" | "Never" => {}
        _ => causes.push(Cause::not_supported(path, policy, &["OnFailure", "Never"])),
    }
}

fn indexed(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    let field = |field: &str| number(own, &format!("/{field}"));
    let at = |field: &str| format!("{path}.{field}");
    let completions = field("completions");
    if completions.is_none() {
        causes.push(Cause::required(at("completions"), "when completion mode is Indexed"));
    }
    if let Some(many) = field("parallelism").filter(|many| 100_000 < *many) {
        let why = "must be less than or equal to 100000 when completion mode is Indexed";
        causes.push(Cause::invalid(at("parallelism"), &many.into(), why));
    }
    if let (Some(failed), Some(completions)) = (field("maxFailedIndexes"), completions)
        && completions < failed
    {
        let why = "must be less than or equal to completions";
        causes.push(Cause::invalid(at("maxFailedIndexes"), &failed.into(), why));
    }
}

fn failure_policy(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    let rules = list(own, "/podFailurePolicy/rules");
    if 20 < rules.len() {
        let why = format!("Too many: {}: must have at most 20 items", rules.len());
        causes.push(Cause::field("FieldValueTooMany", format!("{path}.rules"), why));
    }
    for (n, rule) in rules.iter().enumerate() {
        let path = format!("{path}.rules[{n}]");
        let action = format!("{path}.action");
        match text(rule, "/action") {
            "" => {
                let why = format!("valid values: {ACTIONS:?}").replace(", ", " ");
                causes.push(Cause::required(action, &why));
            }
            "FailIndex" if own["backoffLimitPerIndex"].is_null() => {
                let why = "requires the backoffLimitPerIndex to be set";
                causes.push(Cause::invalid(action, &rule["action"], why));
            }
            word if ACTIONS.contains(&word) => {}
            _ => causes.push(Cause::not_supported(action, &rule["action"], &ACTIONS)),
        }
        let codes = &rule["onExitCodes"];
        if codes.is_object() {
            exit_codes(own, codes, &format!("{path}.onExitCodes"), causes);
        }
        let conditions = list(rule, "/onPodConditions");
        for (m, pattern) in conditions.iter().enumerate() {
            let path = format!("{path}.onPodConditions[{m}]");
            check::qualified(text(pattern, "/type"), &format!("{path}.type"), causes);
            let known = ["False", "True", "Unknown"];
            check::maybe_one_of(&pattern["status"], &format!("{path}.status"), &known, causes);
        }
        let why = match (codes.is_object(), conditions.is_empty()) {
            (true, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (false, true) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        causes.push(Cause::field("FieldValueInvalid", path, format!("Invalid value: {why}")));
    }
}

fn exit_codes(own: &Value, codes: &Value, path: &str, causes: &mut Vec<Cause>) {
    let operator = &codes["operator"];
    check::one_of(operator, &format!("{path}.operator"), &["In", "NotIn"], causes);
    let name = text(codes, "/containerName");
    let pods = &own["template"]["spec"];
    let mut all = list(pods, "/containers").iter().chain(list(pods, "/initContainers"));
    if !name.is_empty() && !all.any(|container| text(container, "/name") == name) {
        let why = "must be one of the container or initContainer names in the pod template";
        causes.push(Cause::invalid(format!("{path}.containerName"), &name.into(), why));
    }
    let values: Vec<i64> = list(codes, "/values").iter().filter_map(Value::as_i64).collect();
    let path = format!("{path}.values");
    if values.is_empty() {
        causes.push(Cause::invalid(&path, &codes["values"], "at least one value is required"));
    }
    for (n, value) in values.iter().enumerate() {
        let place = format!("{path}[{n}]");
        if operator == "In" && *value == 0 {
            causes.push(Cause::invalid(&place, &0.into(), "must not be 0 for the In operator"));
        }
        if values.iter().take(n).any(|other| other == value) {
            causes.push(Cause::duplicate(place, &(*value).into()));
        }
    }
    if !values.is_sorted() {
        causes.push(Cause::invalid(path, &codes["values"], "must be ordered"));
    }
}

fn success_policy(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    let rules = list(own, "/successPolicy/rules");
    if rules.is_empty() {
        let why = "at least one rules must be specified when the successPolicy is specified";
        causes.push(Cause::required(path, why));
    }
    let completions = number(own, "/completions").unwrap_or(0);
    for (n, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{n}]");
        let count = number(rule, "/succeededCount");
        if count.is_none() && rule["succeededIndexes"].is_null() {
            let why = "at least one of succeededCount or succeededIndexes must be specified";
            causes.push(Cause::required(&path, why));
        }
        if let Some(count) = count.filter(|count| completions < *count) {
            let why = format!(
                "must be less than or equal to {completions} (the number of specified completions)"
            );
            causes.push(Cause::invalid(format!("{path}.succeededCount"), &count.into(), &why));
        }
    }
}

fn cron_job(object: &Value, causes: &mut Vec<Cause>) {
    cron(&object["spec"], causes);
    job_spec(&object["spec"]["jobTemplate"]["spec"], "spec.jobTemplate.spec", causes);
    if 52 < meta(object, "name").len() {
        let why = "must be no more than 52 characters";
        causes.push(Cause::invalid("metadata.name", &object["metadata"]["name"], why));
    }
}

fn cron(own: &Value, causes: &mut Vec<Cause>) {
    let schedule = text(own, "/schedule");
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
    let policies = ["Allow", "Forbid", "Replace"];
    check::one_of(&own["concurrencyPolicy"], "spec.concurrencyPolicy", &policies, causes);
    let fields =
        ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
    check::not_negative(own, &fields, "spec", causes);
}
