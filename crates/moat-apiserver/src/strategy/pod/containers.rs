//! Rules of containers: ordinary ones, those that run before, and those that are added to a running pod.

use super::spec::Stands;
use super::volumes::Volumes;
use super::{env, probes, resources, security};
use crate::names::Rule;
use crate::object::{list, number, text};
use crate::status::Cause;
use crate::strategy::check;
use serde_json::Value;

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const MESSAGES: [&str; 2] = ["File", "FallbackToLogsOnError"];
const RESTARTS: [&str; 3] = ["Always", "Never", "OnFailure"];
const BEFORE: &str = "may not be set for init containers without restartPolicy=Always";
const ADDED: &str = "cannot be set for an Ephemeral Container";
/// What a container may not have that is added to a running pod.
const NOT_ADDED: [&str; 8] = [
    "ports",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "restartPolicy",
    "restartPolicyRules",
];

pub(super) fn all(
    spec: &Value,
    path: &str,
    volumes: &Volumes<'_>,
    stands: Stands<'_>,
    causes: &mut Vec<Cause>,
) {
    ordinary(spec, &format!("{path}.containers"), volumes, causes);
    before(spec, &format!("{path}.initContainers"), volumes, causes);
    added(spec, &format!("{path}.ephemeralContainers"), volumes, causes);
    if stands != Stands::InTemplate {
        for field in ["containers", "initContainers", "ephemeralContainers"] {
            for (n, container) in list(spec, &format!("/{field}")).iter().enumerate() {
                trimmed(container, &format!("{path}.{field}[{n}]"), causes);
            }
        }
    }
}

fn trimmed(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let image = text(container, "/image");
    if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        causes.push(Cause::invalid(format!("{path}.image"), &image.into(), why));
    }
}

fn ordinary(spec: &Value, path: &str, volumes: &Volumes<'_>, causes: &mut Vec<Cause>) {
    let containers = list(spec, "/containers");
    if containers.is_empty() {
        return causes.push(Cause::required(path, ""));
    }
    let mut seen = Vec::new();
    for (n, container) in containers.iter().enumerate() {
        let path = format!("{path}[{n}]");
        common(container, spec, &path, volumes, causes);
        let name = text(container, "/name");
        causes.extend(check::distinct(&mut seen, name, &format!("{path}.name")));
        probes::all(container, spec, &path, causes);
        restarts(container, &path, causes);
    }
    host_ports(containers, path, causes);
}

fn before(spec: &Value, path: &str, volumes: &Volumes<'_>, causes: &mut Vec<Cause>) {
    let mut seen: Vec<&str> =
        list(spec, "/containers").iter().map(|container| text(container, "/name")).collect();
    for (n, container) in list(spec, "/initContainers").iter().enumerate() {
        let path = format!("{path}[{n}]");
        common(container, spec, &path, volumes, causes);
        restarts(container, &path, causes);
        let name = text(container, "/name");
        if seen.contains(&name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
        } else if !name.is_empty() {
            seen.push(name);
        }
        host_ports(std::slice::from_ref(container), &path, causes);
        if container["restartPolicy"] == "Always" {
            probes::all(container, spec, &path, causes);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container[field].is_object() {
                causes.push(Cause::forbidden(format!("{path}.{field}"), BEFORE));
            }
        }
    }
}

fn added(spec: &Value, path: &str, volumes: &Volumes<'_>, causes: &mut Vec<Cause>) {
    let others = || {
        ["/containers", "/initContainers"]
            .into_iter()
            .flat_map(|field| list(spec, field))
            .map(|container| text(container, "/name"))
    };
    let mut seen: Vec<&str> = others().collect();
    for (n, container) in list(spec, "/ephemeralContainers").iter().enumerate() {
        let path = format!("{path}[{n}]");
        common(container, spec, &path, volumes, causes);
        let name = text(container, "/name");
        causes.extend(check::distinct(&mut seen, name, &format!("{path}.name")));
        let target = text(container, "/targetContainerName");
        if !target.is_empty() && !others().any(|name| name == target) {
            let path = format!("{path}.targetContainerName");
            causes.push(Cause::not_found(path, &target.into()));
        }
        for field in NOT_ADDED {
            let value = &container[field];
            let empty = value.is_null()
                || value.as_object().is_some_and(serde_json::Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty);
            if !empty {
                causes.push(Cause::forbidden(format!("{path}.{field}"), ADDED));
            }
        }
        for (m, mount) in list(container, "/volumeMounts").iter().enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !text(mount, &format!("/{field}")).is_empty() {
                    let path = format!("{path}.volumeMounts[{m}].{field}");
                    causes.push(Cause::forbidden(path, ADDED));
                }
            }
        }
    }
}

/// What holds for every container.
fn common(
    container: &Value,
    spec: &Value,
    path: &str,
    volumes: &Volumes<'_>,
    causes: &mut Vec<Cause>,
) {
    let at = |field: &str| format!("{path}.{field}");
    if check::required(container, "name", path, causes) {
        check::name(Rule::Label, text(container, "/name"), &at("name"), causes);
    }
    check::required(container, "image", path, causes);
    let message = &container["terminationMessagePolicy"];
    check::one_of(message, &at("terminationMessagePolicy"), &MESSAGES, causes);
    ports(container, &at("ports"), causes);
    env::vars(container, &at("env"), causes);
    env::sources(container, &at("envFrom"), causes);
    volumes.mounts(container, &at("volumeMounts"), causes);
    volumes.devices(container, &at("volumeDevices"), causes);
    // Without an image there is no policy either, and one error says it.
    if !text(container, "/image").is_empty() || container["imagePullPolicy"].is_string() {
        let policy = &container["imagePullPolicy"];
        check::one_of(policy, &at("imagePullPolicy"), &PULL_POLICIES, causes);
    }
    resources::of_container(&container["resources"], &at("resources"), causes);
    security::of_container(container, spec, &at("securityContext"), causes);
}

fn ports(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut seen = Vec::new();
    for (n, port) in list(container, "/ports").iter().enumerate() {
        let path = format!("{path}[{n}]");
        let (name, field) = (text(port, "/name"), format!("{path}.name"));
        if !name.is_empty() {
            let before = causes.len();
            check::port_name(name, &field, causes);
            if before == causes.len() {
                causes.extend(check::distinct(&mut seen, name, &field));
            }
        }
        match number(port, "/containerPort").unwrap_or(0) {
            0 => causes.push(Cause::required(format!("{path}.containerPort"), "")),
            own => check::port_number(own, &format!("{path}.containerPort"), causes),
        }
        if let Some(host) = number(port, "/hostPort").filter(|host| *host != 0) {
            check::port_number(host, &format!("{path}.hostPort"), causes);
        }
        check::protocol(port, &path, causes);
    }
}

/// A port of the host is given once.
fn host_ports(containers: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let mut seen = Vec::new();
    for (n, container) in containers.iter().enumerate() {
        for (m, port) in list(container, "/ports").iter().enumerate() {
            let Some(host) = number(port, "/hostPort").filter(|host| *host != 0) else { continue };
            let own = format!("{}/{}/{host}", text(port, "/protocol"), text(port, "/hostIP"));
            if seen.contains(&own) {
                let path = format!("{path}[{n}].ports[{m}].hostPort");
                causes.push(Cause::duplicate(path, &own.as_str().into()));
            }
            seen.push(own);
        }
    }
}

fn restarts(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let policy = &container["restartPolicy"];
    check::maybe_one_of(policy, &format!("{path}.restartPolicy"), &RESTARTS, causes);
    let rules = list(container, "/restartPolicyRules");
    if !policy.is_string() && !rules.is_empty() {
        let why = "must specify restartPolicy when restart rules are used";
        causes.push(Cause::required(format!("{path}.restartPolicy"), why));
    }
}
