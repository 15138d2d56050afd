//! A node writes its own objects and those of its pods, and nothing that would bring other pods or their secrets to it.

use super::Request;
use crate::kinds::Subresource;
use crate::object::{list, meta, text};
use crate::status::Status;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const MIRROR: &str = "kubernetes.io/config.mirror";
/// Labels that tell of the node itself, which it may set.
const OWN_LABELS: [&str; 10] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "node.kubernetes.io/windows-build",
];
const ZONES: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];
const OWN_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Checks what a node writes; who is no node is not meant. `old` is what was there, for changes and deletions; `new` for all but those.
pub(crate) fn node_restriction(
    request: Request<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<(), Status> {
    if !request.user.groups.iter().any(|group| group == "system:nodes") {
        return Ok(());
    }
    let refuse = |why: &str| {
        let name = new.or(old).map_or("", |object| meta(object, "name"));
        let name = if name.is_empty() { request.name } else { name };
        Err(Status::forbidden(request.kind.about(), name, why))
    };
    let node = match request.user.name.strip_prefix("system:node:") {
        Some(node) if !node.is_empty() => node,
        _ => return refuse(&format!("could not determine node from user {:?}", request.user.name)),
    };
    let why =
        match (request.kind.group.as_str(), request.kind.kind.as_str()) {
            ("", "Pod") => pod(request, node, old, new),
            ("", "Node") => own_node(node, request.name, old, new),
            ("", "PersistentVolumeClaim") if request.subresource != Some(Subresource::Status) => {
                Err("may only update PVC status".to_owned())
            }
            ("coordination.k8s.io", "Lease") => lease(request, node, old, new),
            ("storage.k8s.io", "CSINode") => {
                match new.or(old).map_or("", |object| meta(object, "name")) {
                    name if name == node => Ok(()),
                    _ => Err("can only access CSINode with the same name as the requesting node"
                        .to_owned()),
                }
            }
            _ => Ok(()),
        };
    why.or_else(|why| refuse(&why))
}

fn pod(
    request: Request<'_>,
    node: &str,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<(), String> {
    let elsewhere = |pod: &Value| text(pod, "/spec/nodeName") != node;
    match (request.subresource, old, new) {
        (Some(Subresource::Status), Some(old), Some(new)) => {
            if elsewhere(old) {
                Err(format!(
                    "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
                ))
            } else if old["metadata"]["labels"] != new["metadata"]["labels"] {
                Err(format!("node {node:?} cannot update labels through pod status"))
            } else {
                Ok(())
            }
        }
        (Some(sub), ..) if sub.name() == "eviction" => match old {
            Some(old) if elsewhere(old) => {
                Err(format!("node {node} can only evict pods with spec.nodeName set to itself"))
            }
            _ => Ok(()),
        },
        (Some(sub), ..) => Err(format!(
            "unexpected pod subresource {:?}, only 'status' and 'eviction' are allowed",
            sub.name()
        )),
        (None, Some(old), None) if elsewhere(old) => {
            Err(format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
        }
        (None, Some(_), None) => Ok(()),
        (None, None, Some(new)) => mirror(request, node, new),
        (None, ..) => Err(format!(
            "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
        )),
    }
}

/// A node makes only pods that stand for its own files.
fn mirror(request: Request<'_>, node: &str, pod: &Value) -> Result<(), String> {
    if pod["metadata"]["annotations"].get(MIRROR).is_none() {
        return Err(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if text(pod, "/spec/nodeName") != node {
        return Err(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owner = match list(pod, "/metadata/ownerReferences") {
        [owner] => owner,
        owners => {
            let article = if owners.is_empty() { "an" } else { "a single" };
            return Err(format!(
                "node {node:?} can only create pods with {article} owner reference set to itself"
            ));
        }
    };
    let of = |field: &str| owner[field].as_str().unwrap_or_default();
    if (of("apiVersion"), of("kind"), of("name")) != ("v1", "Node", node) {
        return Err(format!(
            "node {node:?} can only create pods with an owner reference set to itself"
        ));
    }
    if owner["controller"] != true {
        return Err(format!(
            "node {node:?} can only create pods with a controller owner reference set to itself"
        ));
    }
    if owner["blockOwnerDeletion"] == true {
        return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let known = request.lookup.get("nodes", None, node);
    let uid = known.as_ref().map_or("", |known| meta(known, "uid"));
    if of("uid") != uid {
        return Err(format!("node {node} UID mismatch: expected {} got {uid}", of("uid")));
    }
    Ok(())
}

fn own_node(
    node: &str,
    path_name: &str,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<(), String> {
    let name = match new.or(old).map_or("", |object| meta(object, "name")) {
        "" => path_name,
        name => name,
    };
    if name != node {
        return Err(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    let Some(new) = new else { return Ok(()) };
    let none = Value::Null;
    let had = old.unwrap_or(&none);
    let forbidden = labels(&had["metadata"]["labels"], &new["metadata"]["labels"]);
    if old.is_none() {
        if !forbidden.is_empty() {
            return Err(format!(
                "node {node:?} is not allowed to set the following labels: {}",
                forbidden.join(", ")
            ));
        }
        return Ok(());
    }
    if list(new, "/spec/taints") != list(had, "/spec/taints") {
        return Err(format!("node {node:?} is not allowed to modify taints"));
    }
    if list(new, "/metadata/ownerReferences") != list(had, "/metadata/ownerReferences") {
        return Err(format!("node {node:?} is not allowed to modify ownerReferences"));
    }
    if forbidden.is_empty() {
        Ok(())
    } else {
        Err(format!("is not allowed to modify labels: {}", forbidden.join(", ")))
    }
}

/// Labels that a node changed and may not: they say which pods it gets.
fn labels(old: &Value, new: &Value) -> Vec<String> {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let changed: BTreeSet<&String> =
        old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)).collect();
    let below = |prefix: &str, domain: &str| {
        prefix == domain || prefix.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    let forbidden = |key: &&&String| {
        let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
        let own = OWN_LABELS.contains(&key.as_str())
            || ZONES.contains(&key.as_str())
            || OWN_PREFIXES.iter().any(|domain| below(prefix, domain));
        below(prefix, "node-restriction.kubernetes.io")
            || (below(prefix, "kubernetes.io") || below(prefix, "k8s.io")) && !own
    };
    changed.iter().filter(forbidden).map(|key| (**key).clone()).collect()
}

fn lease(
    request: Request<'_>,
    node: &str,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<(), String> {
    if request.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".to_owned());
    }
    let name = new.or(old).map_or("", |object| meta(object, "name"));
    if name == node || name.is_empty() && request.name == node {
        Ok(())
    } else {
        Err("can only access node lease with the same name as the requesting node".to_owned())
    }
}

/// A node asks only for tokens that are bound to a pod of its own.
pub(crate) fn token(request: Request<'_>, asked: &Value) -> Result<(), Status> {
    let Some(node) = request.user.name.strip_prefix("system:node:") else { return Ok(()) };
    let of = |field: &str| asked["spec"]["boundObjectRef"][field].as_str().unwrap_or_default();
    let why = if of("apiVersion") != "v1" || of("kind") != "Pod" || of("name").is_empty() {
        "node requested token not bound to a pod"
    } else if of("uid").is_empty() {
        "node requested token with a pod binding without a uid"
    } else {
        let pod = request.lookup.get("pods", Some(request.namespace), of("name"));
        match pod {
            Some(pod) if text(&pod, "/spec/nodeName") == node => return Ok(()),
            _ => "node requested token bound to a pod scheduled on a different node",
        }
    };
    Err(Status::forbidden(request.kind.about(), request.name, why))
}
