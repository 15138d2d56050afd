//! How many pods there are and must stay: autoscalers and budgets.

use super::{Generation, PLAIN, Strategy, check};
use crate::names::Rule;
use crate::object::{child_mut, default, list, map_mut, number, text};
use crate::status::Cause;
use serde_json::{Map, Value, json};

pub(super) const AUTOSCALER: Strategy =
    Strategy { default: autoscaler_defaults, validate: autoscaler, ..PLAIN };
pub(super) const BUDGET: Strategy = Strategy {
    // Upstream asks nothing of the names of budgets.
    names: Rule::Path,
    generation: Generation::Spec,
    default: |object| {
        let status = child_mut(object, "status");
        for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            default(status, field, 0);
        }
    },
    validate: budget,
    ..PLAIN
};

const SOURCES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];

fn autoscaler_defaults(object: &mut Value) {
    let spec = child_mut(object, "spec");
    default(spec, "minReplicas", 1);
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let cpu = json!([{
            "type": "Resource",
            "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } },
        }]);
        spec.insert("metrics".to_owned(), cpu);
    }
    if let Some(behavior) = spec.get_mut("behavior").and_then(Value::as_object_mut) {
        rules(map_mut(behavior, "scaleUp"), true);
        rules(map_mut(behavior, "scaleDown"), false);
    }
    let status = child_mut(object, "status");
    // Go writes both though there are none.
    status.entry("desiredReplicas").or_insert(0.into());
    status.entry("currentMetrics").or_insert(Value::Null);
}

/// How fast it goes up and down where nothing is said.
fn rules(own: &mut Map<String, Value>, up: bool) {
    if up {
        default(own, "stabilizationWindowSeconds", 0);
    }
    default(own, "selectPolicy", "Max");
    let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
    let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
    default(own, "policies", if up { json!([pods, percent]) } else { json!([percent]) });
}

fn autoscaler(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let least = number(spec, "/minReplicas");
    let most = number(spec, "/maxReplicas").unwrap_or(0);
    if let Some(least) = least.filter(|least| *least < 1) {
        let why = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.minReplicas", &least.into(), why));
    }
    if most == 0 {
        let why = "must be set and greater than 0";
        causes.push(Cause::required("spec.maxReplicas", why));
    } else if most < 0 {
        let why = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.maxReplicas", &most.into(), why));
    }
    if least.is_some_and(|least| most < least) {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &most.into(), why));
    }
    for field in ["kind", "name"] {
        check::required(&spec["scaleTargetRef"], field, "spec.scaleTargetRef", causes);
    }
    group(&spec["scaleTargetRef"], causes);
    for (n, metric) in list(spec, "/metrics").iter().enumerate() {
        source(metric, &format!("spec.metrics[{n}]"), causes);
    }
    for field in ["scaleUp", "scaleDown"] {
        let own = &spec["behavior"][field];
        if own.is_object() {
            behavior(own, &format!("spec.behavior.{field}"), causes);
        }
    }
}

/// The one thing in the core group that can be scaled may leave the group out.
fn group(target: &Value, causes: &mut Vec<Cause>) {
    let version = text(target, "/apiVersion");
    let why = match version.split('/').count() {
        1 if text(target, "/kind") != "ReplicationController" => {
            "apiVersion must specify API group".to_owned()
        }
        1 | 2 => return,
        _ => format!("unexpected GroupVersion string: {version}"),
    };
    causes.push(Cause::invalid("spec.scaleTargetRef.apiVersion", &version.into(), &why));
}

fn source(metric: &Value, path: &str, causes: &mut Vec<Cause>) {
    let kind = metric["type"].as_str().unwrap_or_default();
    let place = format!("{path}.type");
    if kind.is_empty() {
        causes.push(Cause::required(&place, "must specify a metric source type"));
    }
    let field = |kind: &str| {
        let mut field = kind.to_owned();
        if let Some(first) = field.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        field
    };
    if SOURCES.contains(&kind) {
        let own = field(kind);
        if metric[&own].is_object() {
            target(metric, &own, path, causes);
        } else {
            let why = "must populate information for the given metric source";
            causes.push(Cause::required(format!("{path}.{own}"), why));
        }
    } else {
        causes.push(Cause::not_supported(&place, &kind.into(), &SOURCES));
    }
    let others = SOURCES.iter().map(|kind| field(kind)).filter(|own| *own != field(kind));
    for other in others.filter(|other| metric[other].is_object()) {
        let why = "must populate the given metric source only";
        causes.push(Cause::forbidden(format!("{path}.{other}"), why));
    }
}

fn target(metric: &Value, kind: &str, path: &str, causes: &mut Vec<Cause>) {
    let (own, path) = (&metric[kind], format!("{path}.{kind}"));
    if matches!(kind, "resource" | "containerResource") {
        if own["name"].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("{path}.name"), "must specify a resource name"));
        }
        if kind == "containerResource" && own["container"].as_str().unwrap_or_default().is_empty() {
            let why = "must specify a container";
            causes.push(Cause::required(format!("{path}.container"), why));
        }
    } else if own["metric"]["name"].as_str().unwrap_or_default().is_empty() {
        let why = "must specify a metric name";
        causes.push(Cause::required(format!("{path}.metric.name"), why));
    }
    let (target, path) = (&own["target"], format!("{path}.target"));
    let known = ["AverageValue", "Utilization", "Value"];
    if target["type"].as_str().unwrap_or_default().is_empty() {
        let why = "must specify a metric target type";
        causes.push(Cause::required(format!("{path}.type"), why));
    } else {
        check::maybe_one_of(&target["type"], &format!("{path}.type"), &known, causes);
    }
    let share = &target["averageUtilization"];
    if share.as_i64().is_some_and(|share| share < 1) {
        let why = "must be greater than 0";
        causes.push(Cause::invalid(format!("{path}.averageUtilization"), share, why));
    }
}

fn behavior(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    if let Some(seconds) = number(own, "/stabilizationWindowSeconds") {
        let path = format!("{path}.stabilizationWindowSeconds");
        if seconds < 0 {
            let why = "must be greater than or equal to zero";
            causes.push(Cause::invalid(path, &seconds.into(), why));
        } else if 3600 < seconds {
            let why = "must be less than or equal to 3600";
            causes.push(Cause::invalid(path, &seconds.into(), why));
        }
    }
    let known = ["Disabled", "Max", "Min"];
    check::maybe_one_of(&own["selectPolicy"], &format!("{path}.selectPolicy"), &known, causes);
    let policies = list(own, "/policies");
    if policies.is_empty() {
        let why = "must specify at least one Policy";
        causes.push(Cause::required(format!("{path}.policies"), why));
    }
    for (n, policy) in policies.iter().enumerate() {
        let path = format!("{path}.policies[{n}]");
        let known = ["Percent", "Pods"];
        if !policy["type"].as_str().is_some_and(|kind| known.contains(&kind)) {
            causes.push(Cause::not_supported(format!("{path}.type"), &policy["type"], &known));
        }
        for field in ["value", "periodSeconds"] {
            let value = policy[field].as_i64().unwrap_or(0);
            if value <= 0 {
                let why = "must be greater than zero";
                causes.push(Cause::invalid(format!("{path}.{field}"), &value.into(), why));
            }
        }
        if number(policy, "/periodSeconds").is_some_and(|seconds| 1800 < seconds) {
            let why = "must be less than or equal to 1800";
            let path = format!("{path}.periodSeconds");
            causes.push(Cause::invalid(path, &policy["periodSeconds"], why));
        }
    }
}

fn budget(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let has = |field: &str| spec.get(field).is_some_and(|value| !value.is_null());
    if has("minAvailable") && has("maxUnavailable") {
        let shown = json!({
            "MinAvailable": spec["minAvailable"], "Selector": spec["selector"],
            "MaxUnavailable": spec["maxUnavailable"], "UnhealthyPodEvictionPolicy": spec["unhealthyPodEvictionPolicy"],
        });
        let why = "minAvailable and maxUnavailable cannot be both set";
        causes.push(Cause::invalid("spec", &shown, why));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        let path = format!("spec.{field}");
        check::amount(&spec[field], &path, causes);
        check::at_most_all(&spec[field], &path, causes);
    }
    check::selector(&spec["selector"], "spec.selector", causes);
    let known = ["AlwaysAllow", "IfHealthyBudget"];
    let path = "spec.unhealthyPodEvictionPolicy";
    check::maybe_one_of(&spec["unhealthyPodEvictionPolicy"], path, &known, causes);
}
