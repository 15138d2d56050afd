//! Rules of a container's environment.

use crate::names::{self, Rule};
use crate::object::{list, text};
use crate::status::Cause;
use crate::strategy::check;
use serde_json::Value;

const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";

pub(super) fn vars(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (n, var) in list(container, "/env").iter().enumerate() {
        let path = format!("{path}[{n}]");
        if check::required(var, "name", &path, causes) {
            variable(text(var, "/name"), &format!("{path}.name"), causes);
        }
        if var["valueFrom"].is_object() {
            source(var, &format!("{path}.valueFrom"), causes);
        }
    }
}

fn variable(name: &str, path: &str, causes: &mut Vec<Cause>) {
    if !name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=') {
        causes.push(Cause::invalid(path, &name.into(), NAME));
    }
}

fn source(var: &Value, path: &str, causes: &mut Vec<Cause>) {
    let from = &var["valueFrom"];
    let has = |field: &str| from[field].is_object();
    if has("fieldRef") {
        field(&from["fieldRef"], &FIELDS, &format!("{path}.fieldRef"), causes);
    }
    if has("resourceFieldRef") {
        let path = format!("{path}.resourceFieldRef");
        resource(&from["resourceFieldRef"], false, &path, causes);
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        if has(kind) {
            let (own, path) = (&from[kind], format!("{path}.{kind}"));
            check::name(Rule::Subdomain, text(own, "/name"), &format!("{path}.name"), causes);
            if check::required(own, "key", &path, causes) {
                check::config_key(text(own, "/key"), &format!("{path}.key"), causes);
            }
        }
    }
    let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let count = kinds.iter().filter(|kind| has(kind)).count();
    let why = if count == 0 {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
    } else if !text(var, "/value").is_empty() {
        "may not be specified when `value` is not empty"
    } else if 1 < count {
        "may not have more than one field specified at a time"
    } else {
        return;
    };
    causes.push(Cause::invalid(path, &"".into(), why));
}

/// A field of the pod; `metadata.labels['key']` names one label.
pub(super) fn field(reference: &Value, known: &[&str], path: &str, causes: &mut Vec<Cause>) {
    if !check::required(reference, "fieldPath", path, causes) {
        return;
    }
    let own = text(reference, "/fieldPath");
    let subscript = own
        .strip_suffix("']")
        .and_then(|own| own.split_once("['"))
        .filter(|(_, key)| !key.is_empty());
    if let Some((base, key)) = subscript {
        let wrong = match base {
            "metadata.annotations" => names::qualified(&key.to_lowercase()),
            "metadata.labels" => names::qualified(key),
            _ => {
                let why = "error converting fieldPath: field label does not support subscript: ";
                let why = format!("{why}{own}");
                causes.push(Cause::invalid(format!("{path}.fieldPath"), &own.into(), &why));
                return;
            }
        };
        causes.extend(wrong.iter().map(|why| Cause::invalid(path, &key.into(), why)));
        return;
    }
    let anywhere = ["metadata.annotations", "metadata.labels", "spec.restartPolicy"];
    if known.contains(&own) {
        return;
    }
    let path = format!("{path}.fieldPath");
    if FIELDS.contains(&own) || anywhere.contains(&own) {
        causes.push(Cause::not_supported(path, &own.into(), known));
    } else {
        let why = format!("error converting fieldPath: field label not supported: {own}");
        causes.push(Cause::invalid(path, &own.into(), &why));
    }
}

/// A resource of a container; in a volume it has to say of which.
pub(super) fn resource(reference: &Value, volume: bool, path: &str, causes: &mut Vec<Cause>) {
    if volume && !check::required(reference, "containerName", path, causes) {
        return;
    }
    if !check::required(reference, "resource", path, causes) {
        return;
    }
    let own = text(reference, "/resource");
    let huge = own.starts_with("requests.hugepages-") || own.starts_with("limits.hugepages-");
    if !RESOURCES.contains(&own) && !huge {
        causes.push(Cause::not_supported(format!("{path}.resource"), &own.into(), &RESOURCES));
    }
}

pub(super) fn sources(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (n, from) in list(container, "/envFrom").iter().enumerate() {
        let own = format!("{path}[{n}]");
        let prefix = text(from, "/prefix");
        if !prefix.is_empty() {
            variable(prefix, &format!("{own}.prefix"), causes);
        }
        let mut count = 0;
        for kind in ["configMapRef", "secretRef"] {
            if from[kind].is_object() {
                count += 1;
                let own = format!("{own}.{kind}");
                if check::required(&from[kind], "name", &own, causes) {
                    let name = text(&from[kind], "/name");
                    check::name(Rule::Subdomain, name, &format!("{own}.name"), causes);
                }
            }
        }
        let why = match count {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        causes.push(Cause::invalid(path, &"".into(), why));
    }
}
