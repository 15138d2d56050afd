//! Pods, and templates of pods: defaults (upstream: `pkg/apis/core/v1/defaults.go`). Rules are in the files beside.

mod change;
mod containers;
mod env;
mod part;
mod placement;
mod probes;
mod resources;
mod security;
mod sources;
mod spec;
mod volumes;

pub(super) use placement::{node_selector, taints};
pub(super) use sources::anywhere as source_defaults;
pub(super) use spec::{Stands, spec};

use super::{Generation, PLAIN, Strategy};
use crate::object::{child_mut, default, list, map_mut, meta, number, text};
use crate::stamp::now;
use crate::status::Cause;
use serde_json::{Map, Value, json};

pub(super) const STRATEGY: Strategy = Strategy {
    generation: Generation::Spec,
    returns_deleted: true,
    default: |object| {
        let spec = child_mut(object, "spec");
        spec_defaults(spec);
        // What only a pod has, not a template.
        default(spec, "enableServiceLinks", true);
        for field in ["initContainers", "containers"] {
            items_mut(spec, field).for_each(limits_are_requests);
        }
    },
    create: begin,
    validate,
    validate_new: part::check_new,
    validate_update: change::check,
    update_part: part::keep,
    validate_part: part::check,
    grace: Some(grace),
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
        sources::volume(volume);
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
    let policy = pull_policy(image);
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
        http_defaults(probe);
        if let Some(grpc) = probe.get_mut("grpc").and_then(Value::as_object_mut) {
            default(grpc, "service", "");
        }
    }
    for hook in ["postStart", "preStop"] {
        let handler = container.get_mut("lifecycle").and_then(|own| own.get_mut(hook));
        if let Some(handler) = handler.and_then(Value::as_object_mut) {
            http_defaults(handler);
        }
    }
}

/// When an image is fetched: only a tag of its own is taken for something that does not change.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    let fixed = last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest");
    if fixed { "IfNotPresent" } else { "Always" }
}

fn http_defaults(handler: &mut Map<String, Value>) {
    if let Some(http) = handler.get_mut("httpGet").and_then(Value::as_object_mut) {
        default(http, "path", "/");
        default(http, "scheme", "HTTP");
    }
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

/// The first status of a pod, which tells its quality: set again when admission has said what containers get that say nothing.
pub(crate) fn begin(object: &mut Value) {
    let class = quality(object);
    if let Some(map) = object.as_object_mut() {
        map.insert("status".to_owned(), json!({ "phase": "Pending", "qosClass": class }));
    }
    if !list(object, "/spec/schedulingGates").is_empty() {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "lastProbeTime": null, "lastTransitionTime": now(),
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        });
        child_mut(object, "status").insert("conditions".to_owned(), json!([condition]));
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

/// A pod that runs nowhere goes at once (`podStrategy.CheckGracefulDelete`).
fn grace(object: &Value, wanted: Option<i64>) -> i64 {
    let seconds =
        wanted.or_else(|| number(object, "/spec/terminationGracePeriodSeconds")).unwrap_or(0);
    let nowhere = text(object, "/spec/nodeName").is_empty();
    let ended = matches!(text(object, "/status/phase"), "Failed" | "Succeeded");
    if nowhere || ended { 0 } else { seconds.max(0) }
}

fn validate(object: &Value, causes: &mut Vec<Cause>) {
    spec(&object["spec"], "spec", Stands::InPod(meta(object, "name")), causes);
    if !text(object, "/spec/nodeName").is_empty()
        && !list(object, "/spec/schedulingGates").is_empty()
    {
        let why = "cannot be set until all schedulingGates have been cleared";
        causes.push(Cause::forbidden("spec.nodeName", why));
    }
}
