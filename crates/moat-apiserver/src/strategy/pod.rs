//! Pods, and templates of pods: defaults and the rules that people meet (upstream: `pkg/apis/core/v1/defaults.go`, `validation.go`).

use super::{PLAIN, Strategy};
use crate::names::{self, Rule};
use crate::object::{child_mut, default, list, map_mut, number, text};
use crate::status::Cause;
use serde_json::{Map, Value, json};

pub(super) const STRATEGY: Strategy = Strategy {
    generation: true,
    returns_deleted: true,
    default: |object| spec_defaults(child_mut(object, "spec")),
    create,
    validate,
    validate_update,
    grace,
    ..PLAIN
};

/// Defaults of a pod's spec, wherever it stands.
pub(super) fn spec_defaults(spec: &mut Map<String, Value>) {
    default(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "securityContext", json!({}));
    default(spec, "schedulerName", "default-scheduler");
    let account = spec.get("serviceAccountName").cloned();
    if let Some(account) =
        account.filter(|account| account.as_str().is_some_and(|name| !name.is_empty()))
    {
        default(spec, "serviceAccount", account);
    }
    let on_host = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items_mut(spec, field) {
            container_defaults(container, on_host);
        }
    }
    for volume in items_mut(spec, "volumes") {
        volume_defaults(volume);
    }
}

fn items_mut<'a>(
    map: &'a mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    map.get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

fn container_defaults(container: &mut Map<String, Value>, on_host: bool) {
    default(container, "resources", json!({}));
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    // Only a tag of its own is taken for something that does not change.
    let last = image.rsplit('/').next().unwrap_or_default();
    let fixed = last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest");
    let policy = if fixed { "IfNotPresent" } else { "Always" };
    if !image.is_empty() {
        default(container, "imagePullPolicy", policy);
    }
    for port in items_mut(container, "ports") {
        default(port, "protocol", "TCP");
        if let (true, Some(own)) = (on_host, port.get("containerPort").cloned()) {
            default(port, "hostPort", own);
        }
    }
    for env in items_mut(container, "env") {
        if let Some(reference) = env
            .get_mut("valueFrom")
            .and_then(|from| from.get_mut("fieldRef"))
            .and_then(Value::as_object_mut)
        {
            default(reference, "apiVersion", "v1");
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(name).and_then(Value::as_object_mut) else { continue };
        for (field, value) in [
            ("timeoutSeconds", 1),
            ("periodSeconds", 10),
            ("successThreshold", 1),
            ("failureThreshold", 3),
        ] {
            default(probe, field, value);
        }
        if let Some(http) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
            default(http, "path", "/");
            default(http, "scheme", "HTTP");
        }
    }
    limits_are_requests(container);
}

/// A limit without a request is a request too.
fn limits_are_requests(container: &mut Map<String, Value>) {
    let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else {
        return;
    };
    let limits = resources.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
    if !limits.is_empty() {
        let requests = map_mut(resources, "requests");
        for (name, limit) in limits {
            default(requests, &name, limit);
        }
    }
}

fn volume_defaults(volume: &mut Map<String, Value>) {
    let modes = ["secret", "configMap", "projected", "downwardAPI"];
    for kind in modes {
        if let Some(source) = volume.get_mut(kind).and_then(Value::as_object_mut) {
            default(source, "defaultMode", 420);
        }
    }
    if let Some(path) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        default(path, "type", "");
    }
    // A volume without a source is an empty directory.
    if volume.len() == 1 {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
}

/// What only a pod has, not a template, and the first status.
fn create(object: &mut Value) {
    default(child_mut(object, "spec"), "enableServiceLinks", true);
    begin(object);
}

/// The first status of a pod, which tells its quality: set again when admission has said what containers get that say nothing.
pub(crate) fn begin(object: &mut Value) {
    let class = quality(object);
    if let Some(map) = object.as_object_mut() {
        map.insert("status".to_owned(), json!({ "phase": "Pending", "qosClass": class }));
    }
}

/// The quality of service class (`qos.ComputePodQOS`): guaranteed where cpu and memory of every container are limited to what is requested.
fn quality(object: &Value) -> &'static str {
    let containers = || {
        ["/spec/initContainers", "/spec/containers"]
            .into_iter()
            .flat_map(|field| list(object, field))
    };
    let of = |one: &Value, kind: &str, name: &str| one["resources"][kind].get(name).cloned();
    let any = containers().any(|one| {
        ["cpu", "memory"]
            .iter()
            .any(|name| of(one, "requests", name).is_some() || of(one, "limits", name).is_some())
    });
    let all = containers().all(|one| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = of(one, "limits", name);
            limit.is_some()
                && of(one, "requests", name).is_none_or(|request| Some(request) == limit)
        })
    });
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn validate(object: &Value, causes: &mut Vec<Cause>) {
    spec(&object["spec"], "spec", causes);
    let policy = &object["spec"]["restartPolicy"];
    if !matches!(policy.as_str(), Some("Always" | "OnFailure" | "Never")) {
        causes.push(Cause::not_supported(
            "spec.restartPolicy",
            policy,
            &["Always", "Never", "OnFailure"],
        ));
    }
}

/// Rules of a pod's spec at a path.
pub(super) fn spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if list(spec, "/containers").is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut seen = Vec::new();
    for field in ["containers", "initContainers"] {
        for (at, container) in list(spec, &format!("/{field}")).iter().enumerate() {
            let path = format!("{path}.{field}[{at}]");
            let name = text(container, "/name");
            if name.is_empty() {
                causes.push(Cause::required(format!("{path}.name"), ""));
            } else if seen.contains(&name) {
                causes.push(Cause::field(
                    "FieldValueDuplicate",
                    format!("{path}.name"),
                    format!("Duplicate value: {name:?}"),
                ));
            } else {
                for why in names::check(Rule::Label, name, false) {
                    causes.push(Cause::invalid(format!("{path}.name"), &name.into(), &why));
                }
            }
            seen.push(name);
            let image = text(container, "/image");
            if image.is_empty() {
                causes.push(Cause::required(format!("{path}.image"), ""));
            } else if image.trim() != image {
                causes.push(Cause::invalid(
                    format!("{path}.image"),
                    &image.into(),
                    "must not have leading or trailing whitespace",
                ));
            }
            ports(container, &path, causes);
        }
    }
}

fn ports(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (at, port) in list(container, "/ports").iter().enumerate() {
        let path = format!("{path}.ports[{at}]");
        match number(port, "/containerPort") {
            None => causes.push(Cause::required(format!("{path}.containerPort"), "")),
            Some(own) => in_range(own, &format!("{path}.containerPort"), causes),
        }
        has_protocol(port, &path, causes);
    }
}

/// A port's protocol.
pub(super) fn has_protocol(port: &Value, path: &str, causes: &mut Vec<Cause>) {
    let protocol = &port["protocol"];
    if !matches!(protocol.as_str(), Some("TCP" | "UDP" | "SCTP")) {
        let path = format!("{path}.protocol");
        causes.push(Cause::not_supported(path, protocol, &["SCTP", "TCP", "UDP"]));
    }
}

/// A port's number.
pub(super) fn in_range(port: i64, path: &str, causes: &mut Vec<Cause>) {
    if !(1..=65_535).contains(&port) {
        causes.push(Cause::invalid(path, &port.into(), "must be between 1 and 65535, inclusive"));
    }
}

/// Little of a pod can be changed once it runs somewhere.
fn validate_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let settled = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(map) = spec.as_object_mut() {
            for field in ["containers", "initContainers"] {
                for container in items_mut(map, field) {
                    container.shift_remove("image");
                }
            }
            for field in [
                "activeDeadlineSeconds",
                "tolerations",
                "schedulingGates",
                "nodeName",
                "ephemeralContainers",
                "terminationGracePeriodSeconds",
            ] {
                map.shift_remove(field);
            }
        }
        spec
    };
    if settled(new) != settled(old) {
        causes.push(Cause::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}

/// A pod that runs nowhere goes at once (`podStrategy.CheckGracefulDelete`).
fn grace(object: &Value, wanted: Option<i64>) -> i64 {
    let seconds =
        wanted.or_else(|| number(object, "/spec/terminationGracePeriodSeconds")).unwrap_or(0);
    let nowhere = text(object, "/spec/nodeName").is_empty();
    let ended = matches!(text(object, "/status/phase"), "Failed" | "Succeeded");
    if nowhere || ended { 0 } else { seconds.max(0) }
}
