//! Roles and bindings: what a rule must say, whom a binding may name, and that it keeps its role.

use super::{PLAIN, Strategy};
use crate::names::{self, Rule};
use crate::object::{child_mut, default, list, text};
use crate::status::Cause;
use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";

const NAMED: Strategy = Strategy { names: Rule::Path, ..PLAIN };
pub(super) const ROLE: Strategy = Strategy { validate: role, ..NAMED };
pub(super) const CLUSTER_ROLE: Strategy =
    Strategy { default: cluster_role_defaults, validate: cluster_role, ..NAMED };
pub(super) const ROLE_BINDING: Strategy = Strategy {
    default: binding_defaults,
    validate: role_binding,
    validate_update: keeps_role,
    ..NAMED
};
pub(super) const CLUSTER_ROLE_BINDING: Strategy =
    Strategy { validate: cluster_role_binding, ..ROLE_BINDING };

/// Go writes the rules of a ClusterRole though there are none.
fn cluster_role_defaults(role: &mut Value) {
    if let Some(map) = role.as_object_mut() {
        map.entry("rules").or_insert(Value::Null);
    }
}

fn binding_defaults(binding: &mut Value) {
    default(child_mut(binding, "roleRef"), "apiGroup", GROUP);
    let subjects = binding.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten().filter_map(Value::as_object_mut) {
        if matches!(subject.get("kind").and_then(Value::as_str), Some("User" | "Group")) {
            default(subject, "apiGroup", GROUP);
        }
    }
}

fn role(role: &Value, causes: &mut Vec<Cause>) {
    rules(role, true, causes);
}

fn cluster_role(role: &Value, causes: &mut Vec<Cause>) {
    rules(role, false, causes);
    let Some(gathers) = role.get("aggregationRule").filter(|rule| !rule.is_null()) else { return };
    if list(gathers, "/clusterRoleSelectors").is_empty() {
        causes.push(Cause::required(
            "aggregationRule.clusterRoleSelectors",
            "at least one clusterRoleSelector required if aggregationRule is non-nil",
        ));
    }
}

fn rules(role: &Value, namespaced: bool, causes: &mut Vec<Cause>) {
    for (at, rule) in list(role, "/rules").iter().enumerate() {
        let has = |field: &str| rule[field].as_array().is_some_and(|all| !all.is_empty());
        let path = |field: &str| format!("rules[{at}].{field}");
        if !has("verbs") {
            causes.push(Cause::required(path("verbs"), "verbs must contain at least one value"));
        }
        if has("nonResourceURLs") {
            let urls = &rule["nonResourceURLs"];
            let mut bad = |why| causes.push(Cause::invalid(path("nonResourceURLs"), urls, why));
            if namespaced {
                bad("namespaced rules cannot apply to non-resource URLs");
            }
            if has("apiGroups") || has("resources") || has("resourceNames") {
                bad("rules cannot apply to both regular resources and non-resource URLs");
            }
            continue;
        }
        if !has("apiGroups") {
            let why = "resource rules must supply at least one api group";
            causes.push(Cause::required(path("apiGroups"), why));
        }
        if !has("resources") {
            let why = "resource rules must supply at least one resource";
            causes.push(Cause::required(path("resources"), why));
        }
    }
}

fn role_binding(object: &Value, causes: &mut Vec<Cause>) {
    binding(object, &["Role", "ClusterRole"], causes);
}

fn cluster_role_binding(object: &Value, causes: &mut Vec<Cause>) {
    binding(object, &["ClusterRole"], causes);
}

fn binding(object: &Value, kinds: &[&str], causes: &mut Vec<Cause>) {
    let of = |field: &str| object["roleRef"][field].as_str().unwrap_or_default();
    if of("apiGroup") != GROUP {
        causes.push(Cause::not_supported("roleRef.apiGroup", &of("apiGroup").into(), &[GROUP]));
    }
    if !kinds.contains(&of("kind")) {
        causes.push(Cause::not_supported("roleRef.kind", &of("kind").into(), kinds));
    }
    if of("name").is_empty() {
        causes.push(Cause::required("roleRef.name", ""));
    } else {
        for why in names::check(Rule::Path, of("name"), false) {
            causes.push(Cause::invalid("roleRef.name", &of("name").into(), &why));
        }
    }
    for (at, one) in list(object, "/subjects").iter().enumerate() {
        subject(at, one, kinds.len() == 1, causes);
    }
}

fn subject(at: usize, subject: &Value, of_cluster: bool, causes: &mut Vec<Cause>) {
    let path = |field: &str| format!("subjects[{at}].{field}");
    let (kind, name, group) =
        (text(subject, "/kind"), text(subject, "/name"), text(subject, "/apiGroup"));
    if name.is_empty() {
        causes.push(Cause::required(path("name"), ""));
    }
    let groups: &[&str] = match kind {
        "ServiceAccount" => &[""],
        "User" | "Group" => &[GROUP],
        _ => {
            let known = ["ServiceAccount", "User", "Group"];
            causes.push(Cause::not_supported(path("kind"), &kind.into(), &known));
            return;
        }
    };
    if kind == "ServiceAccount" && !name.is_empty() {
        for why in names::check(Rule::Subdomain, name, false) {
            causes.push(Cause::invalid(path("name"), &name.into(), &why));
        }
    }
    if !groups.contains(&group) {
        causes.push(Cause::not_supported(path("apiGroup"), &group.into(), groups));
    }
    if kind == "ServiceAccount" && of_cluster && text(subject, "/namespace").is_empty() {
        causes.push(Cause::required(path("namespace"), ""));
    }
}

fn keeps_role(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if new["roleRef"] != old["roleRef"] {
        let of = |field: &str| new["roleRef"][field].clone();
        let value = json!({ "apiGroup": of("apiGroup"), "kind": of("kind"), "name": of("name") });
        causes.push(Cause::invalid("roleRef", &value, "cannot change roleRef"));
    }
}
