//! Workloads: kinds that make pods of a template.

use super::pod::{Stands, spec, spec_defaults};
use super::{Dependents, Generation, PLAIN, Strategy, check};
use crate::names::Rule;
use crate::object::{self, child_mut, default, map_mut, number};
use crate::selector::matches_labels;
use crate::status::Cause;
use serde_json::{Map, Value, json};

pub(super) const WORKLOAD: Strategy = Strategy { generation: Generation::Spec, ..PLAIN };

/// How often the template of a DaemonSet changed, for clients of before `apps/v1`.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

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
    // Its revision stands in an annotation.
    generation: Generation::SpecAndAnnotations,
    update_status: |new, old| object::keep_meta(new, old, "labels"),
    validate: deployment,
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
    validate: replica_set,
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
        // Who names the way and says nothing of how gets no numbers.
        let says_nothing = !strategy.contains_key("type");
        default(strategy, "type", "RollingUpdate");
        let tells_how = strategy.get("rollingUpdate").is_some_and(Value::is_object);
        if strategy["type"] == "RollingUpdate" && (says_nothing || tells_how) {
            default(map_mut(strategy, "rollingUpdate"), "partition", 0);
        }
        let retention = map_mut(own, "persistentVolumeClaimRetentionPolicy");
        default(retention, "whenDeleted", "Retain");
        default(retention, "whenScaled", "Retain");
        template_defaults(own);
        let status = child_mut(object, "status");
        default(status, "replicas", 0);
        default(status, "availableReplicas", 0);
        let own = child_mut(object, "spec");
        for claim in
            own.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten()
        {
            default(child_mut(claim, "spec"), "volumeMode", "Filesystem");
            default(child_mut(claim, "status"), "phase", "Pending");
            if let Some(claim) = claim.as_object_mut() {
                default(claim, "kind", "PersistentVolumeClaim");
                default(claim, "apiVersion", "v1");
            }
        }
    },
    create: |object| default(child_mut(object, "spec"), "serviceName", ""),
    validate: stateful_set,
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
        default(map_mut(object::meta_mut(object), "annotations"), TEMPLATE_GENERATION, "1");
    },
    update: |new, old| {
        let before = old["metadata"]["annotations"][TEMPLATE_GENERATION].as_str();
        let before = before.and_then(|text| text.parse::<i64>().ok()).unwrap_or(1);
        let changed = new["spec"]["template"] != old["spec"]["template"];
        let now = (before + i64::from(changed)).to_string();
        map_mut(object::meta_mut(new), "annotations")
            .insert(TEMPLATE_GENERATION.to_owned(), now.into());
    },
    validate: daemon_set,
    validate_update: fixed_selector,
    ..WORKLOAD
};

pub(super) const REPLICATION_CONTROLLER: Strategy = Strategy {
    dependents: Dependents::Stay { warning: None },
    default: |object| {
        let own = child_mut(object, "spec");
        default(own, "replicas", 1);
        let labels =
            own.get("template").and_then(|template| template.pointer("/metadata/labels")).cloned();
        if let Some(labels) = &labels {
            default(own, "selector", labels.clone());
        }
        // A template that is not there is missed by validation.
        if own.get("template").is_some_and(|template| !template.is_null()) {
            template_defaults(own);
        }
        if let Some(labels) = labels {
            default(object::meta_mut(object), "labels", labels);
        }
        default(child_mut(object, "status"), "replicas", 0);
    },
    validate: replication_controller,
    ..WORKLOAD
};

pub(super) fn status(object: &mut Value) {
    child_mut(object, "status");
}

pub(super) fn template_defaults(own: &mut Map<String, Value>) {
    let template = map_mut(own, "template");
    map_mut(template, "metadata");
    spec_defaults(map_mut(template, "spec"));
}

pub(super) const POD_TEMPLATE: Strategy = Strategy {
    generation: Generation::Spec,
    returns_deleted: true,
    default: |object| {
        if let Some(map) = object.as_object_mut() {
            template_defaults(map);
        }
    },
    validate: |object, causes| template(&object["template"], "template", causes),
    ..PLAIN
};

/// How a kind of workload speaks of itself where its selector or a deadline is wrong.
#[derive(Clone, Copy)]
struct Words {
    empty: &'static str,
    unread: &'static str,
    deadline: &'static str,
}

const SET: Words = Words {
    empty: "empty selector is invalid for deployment",
    unread: "invalid label selector",
    deadline: "activeDeadlineSeconds in ReplicaSet is not Supported",
};
const STATEFUL: Words = Words {
    empty: "empty selector is invalid for statefulset",
    unread: "",
    deadline: "activeDeadlineSeconds in StatefulSet is not Supported",
};
const DAEMON: Words = Words {
    empty: "empty selector is invalid for daemonset",
    unread: "",
    deadline: "activeDeadlineSeconds in DaemonSet is not Supported",
};

/// A workload must select the pods that it makes.
fn selected(own: &Value, words: Words, causes: &mut Vec<Cause>) {
    let selector = &own["selector"];
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else {
        is_selector(selector, words, causes);
    }
    if is_read(selector) {
        matches_template(own, causes);
        pods(own, words, causes);
    } else {
        causes.push(Cause::invalid("spec.selector", selector, words.unread));
    }
}

fn is_selector(selector: &Value, words: Words, causes: &mut Vec<Cause>) {
    check::selector(selector, "spec.selector", causes);
    if is_empty(selector) {
        causes.push(Cause::invalid("spec.selector", selector, words.empty));
    }
}

fn is_empty(selector: &Value) -> bool {
    let none = |field: &str| match &selector[field] {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    none("matchLabels") && none("matchExpressions")
}

/// Whether a selector can be evaluated.
fn is_read(selector: &Value) -> bool {
    let mut wrong = Vec::new();
    check::selector(selector, "", &mut wrong);
    wrong.is_empty()
}

fn matches_template(own: &Value, causes: &mut Vec<Cause>) {
    let labels = &own["template"]["metadata"]["labels"];
    let selector = &own["selector"];
    // No selector selects nothing, an empty one everything.
    if selector.is_null() || !is_empty(selector) && !matches_labels(selector, labels) {
        unselected(labels, causes);
    }
}

/// A workload would not know its own pods.
pub(super) fn unselected(labels: &Value, causes: &mut Vec<Cause>) {
    let why = "`selector` does not match template `labels`";
    causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
}

/// The template of pods that run for ever.
fn pods(own: &Value, words: Words, causes: &mut Vec<Cause>) {
    template(&own["template"], "spec.template", causes);
    let policy = &own["template"]["spec"]["restartPolicy"];
    if policy != "Always" {
        causes.push(Cause::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
    if own["template"]["spec"]["activeDeadlineSeconds"].is_number() {
        let path = "spec.template.spec.activeDeadlineSeconds";
        causes.push(Cause::forbidden(path, words.deadline));
    }
}

/// A template of pods at a path.
pub(super) fn template(template: &Value, path: &str, causes: &mut Vec<Cause>) {
    check::labels(&template["metadata"]["labels"], &format!("{path}.labels"), causes);
    let annotations = template["metadata"]["annotations"].as_object();
    for key in annotations.into_iter().flatten().map(|(key, _)| key) {
        check::qualified(&key.to_lowercase(), &format!("{path}.annotations"), causes);
    }
    spec(&template["spec"], &format!("{path}.spec"), Stands::InTemplate, causes);
    if !object::list(template, "/spec/ephemeralContainers").is_empty() {
        let why = "ephemeral containers not allowed in pod template";
        causes.push(Cause::forbidden(format!("{path}.spec.ephemeralContainers"), why));
    }
}

fn fixed_selector(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    check::fixed(new, old, &["spec.selector"], causes);
}

fn deployment(object: &Value, causes: &mut Vec<Cause>) {
    let own = &object["spec"];
    check::not_negative(own, &["replicas"], "spec", causes);
    selected(own, SET, causes);
    let strategy = &own["strategy"];
    let rolling = &strategy["rollingUpdate"];
    match strategy["type"].as_str().unwrap_or_default() {
        "Recreate" if rolling.is_object() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            causes.push(Cause::forbidden("spec.strategy.rollingUpdate", why));
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let path = |field: &str| format!("spec.strategy.rollingUpdate.{field}");
            check::amount(&rolling["maxUnavailable"], &path("maxUnavailable"), causes);
            check::amount(&rolling["maxSurge"], &path("maxSurge"), causes);
            if is_nothing(&rolling["maxUnavailable"]) && is_nothing(&rolling["maxSurge"]) {
                let why = "may not be 0 when `maxSurge` is 0";
                let path = path("maxUnavailable");
                causes.push(Cause::invalid(path, &rolling["maxUnavailable"], why));
            }
            check::at_most_all(&rolling["maxUnavailable"], &path("maxUnavailable"), causes);
        }
        _ => {
            let known = ["Recreate", "RollingUpdate"];
            causes.push(Cause::not_supported("spec.strategy", &as_go(strategy), &known));
        }
    }
    let fields = ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"];
    check::not_negative(own, &fields, "spec", causes);
    let seconds = |field: &str| number(own, &format!("/{field}")).unwrap_or(0);
    if own["progressDeadlineSeconds"].is_number()
        && seconds("progressDeadlineSeconds") <= seconds("minReadySeconds")
    {
        let why = "must be greater than minReadySeconds";
        let path = "spec.progressDeadlineSeconds";
        causes.push(Cause::invalid(path, &own["progressDeadlineSeconds"], why));
    }
}

/// A strategy as upstream shows it: a structure of Go's.
fn as_go(strategy: &Value) -> Value {
    json!({ "Type": strategy["type"], "RollingUpdate": strategy["rollingUpdate"] })
}

/// Whether an amount or a share is none; one that cannot be read counts as none too.
fn is_nothing(amount: &Value) -> bool {
    check::percent(amount).or(amount.as_u64()).unwrap_or(0) == 0
}

fn replica_set(object: &Value, causes: &mut Vec<Cause>) {
    check::not_negative(&object["spec"], &["replicas", "minReadySeconds"], "spec", causes);
    selected(&object["spec"], SET, causes);
}

fn stateful_set(object: &Value, causes: &mut Vec<Cause>) {
    let own = &object["spec"];
    let mut must = |field: &str, value: &Value, known: [&str; 2]| {
        if !value.as_str().is_some_and(|value| known.contains(&value)) {
            let why = format!("must be '{}' or '{}'", known[0], known[1]);
            let shown = if field == "updateStrategy" { as_go(&own[field]) } else { value.clone() };
            causes.push(Cause::invalid(format!("spec.{field}"), &shown, &why));
        }
    };
    must("podManagementPolicy", &own["podManagementPolicy"], ["OrderedReady", "Parallel"]);
    let strategy = &own["updateStrategy"];
    must("updateStrategy", &strategy["type"], ["RollingUpdate", "OnDelete"]);
    let rolling = &strategy["rollingUpdate"];
    let path = "spec.updateStrategy.rollingUpdate";
    if strategy["type"] == "OnDelete" && rolling.is_object() {
        let why = "only allowed for updateStrategy 'RollingUpdate'";
        causes.push(Cause::invalid(path, rolling, why));
    } else {
        check::not_negative(rolling, &["partition"], path, causes);
        let most = &rolling["maxUnavailable"];
        if !most.is_null() {
            let path = format!("{path}.maxUnavailable");
            check::amount(most, &path, causes);
            if is_nothing(most) {
                causes.push(Cause::invalid(&path, most, "cannot be 0"));
            }
            check::at_most_all(most, &path, causes);
        }
    }
    for field in ["whenDeleted", "whenScaled"] {
        let value = &own["persistentVolumeClaimRetentionPolicy"][field];
        let path = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
        check::maybe_one_of(value, &path, &["Retain", "Delete"], causes);
    }
    for (n, claim) in object::list(own, "/volumeClaimTemplates").iter().enumerate() {
        let path = format!("spec.volumeClaimTemplates[{n}].spec");
        super::storage::claim_spec(&claim["spec"], &path, causes);
    }
    check::not_negative(own, &["replicas", "minReadySeconds"], "spec", causes);
    check::not_negative(&own["ordinals"], &["start"], "spec.ordinals", causes);
    let service = own["serviceName"].as_str().unwrap_or_default();
    if !service.is_empty() {
        check::name(Rule::Label, service, "spec.serviceName", causes);
    }
    selected(&with_claims(own), STATEFUL, causes);
}

/// The spec with a volume for each of its claims, which its pods will have.
fn with_claims(own: &Value) -> Value {
    let mut own = own.clone();
    let names: Vec<String> = object::list(&own, "/volumeClaimTemplates")
        .iter()
        .map(|claim| object::meta(claim, "name").to_owned())
        .collect();
    if let Some(spec) = own.pointer_mut("/template/spec").and_then(Value::as_object_mut) {
        spec.shift_remove("subdomain");
        spec.shift_remove("hostname");
        if !names.is_empty() {
            let made = names.iter().map(
                |name| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } }),
            );
            let had = spec.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
            let had = had
                .into_iter()
                .filter(|volume| !names.iter().any(|name| volume["name"].as_str() == Some(name)));
            let all: Vec<Value> = made.chain(had).collect();
            spec.insert("volumes".to_owned(), all.into());
        }
    }
    own
}

fn daemon_set(object: &Value, causes: &mut Vec<Cause>) {
    let own = &object["spec"];
    check::selector(&own["selector"], "spec.selector", causes);
    if is_read(&own["selector"]) {
        matches_template(own, causes);
    }
    if own["selector"].is_object() && is_empty(&own["selector"]) {
        causes.push(Cause::invalid("spec.selector", &own["selector"], DAEMON.empty));
    }
    pods(own, DAEMON, causes);
    check::not_negative(own, &["minReadySeconds"], "spec", causes);
    let strategy = &own["updateStrategy"];
    let rolling = &strategy["rollingUpdate"];
    match strategy["type"].as_str().unwrap_or_default() {
        "OnDelete" => {}
        "RollingUpdate" => {
            let path = |field: &str| format!("spec.updateStrategy.rollingUpdate.{field}");
            for field in ["maxUnavailable", "maxSurge"] {
                check::amount(&rolling[field], &path(field), causes);
            }
            for field in ["maxUnavailable", "maxSurge"] {
                check::at_most_all(&rolling[field], &path(field), causes);
            }
            match (is_nothing(&rolling["maxUnavailable"]), is_nothing(&rolling["maxSurge"])) {
                (false, false) => {
                    let why = "may not be set when maxUnavailable is non-zero";
                    causes.push(Cause::invalid(path("maxSurge"), &rolling["maxSurge"], why));
                }
                (true, true) => {
                    let why = "cannot be 0 when maxSurge is 0";
                    causes.push(Cause::required(path("maxUnavailable"), why));
                }
                _ => {}
            }
        }
        _ => {
            let known = ["RollingUpdate", "OnDelete"];
            causes.push(Cause::not_supported("spec.updateStrategy", &as_go(strategy), &known));
        }
    }
    check::not_negative(own, &["revisionHistoryLimit"], "spec", causes);
}

fn replication_controller(object: &Value, causes: &mut Vec<Cause>) {
    let own = &object["spec"];
    check::not_negative(own, &["minReadySeconds"], "spec", causes);
    let selector = own["selector"].as_object();
    if selector.is_none_or(Map::is_empty) {
        causes.push(Cause::required("spec.selector", ""));
    }
    if own.get("replicas").is_none_or(Value::is_null) {
        causes.push(Cause::required("spec.replicas", ""));
    }
    check::not_negative(own, &["replicas"], "spec", causes);
    if own["template"].is_null() {
        causes.push(Cause::required("spec.template", ""));
        return;
    }
    let labels = &own["template"]["metadata"]["labels"];
    if selector.into_iter().flatten().any(|(key, value)| labels.get(key) != Some(value)) {
        unselected(labels, causes);
    }
    let words = Words {
        deadline: "activeDeadlineSeconds in ReplicationController is not Supported",
        ..SET
    };
    pods(own, words, causes);
}
