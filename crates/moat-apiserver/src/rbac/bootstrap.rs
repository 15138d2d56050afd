//! Puts the roles and bindings of every cluster into the store, and adds to them what later versions need, unless somebody forbade it.

use super::roles::{BINDINGS, CONTROLLERS, NODE, On, ROLES, Role};
use super::rule::{Rule, beyond};
use crate::api::Api;
use crate::handle::create_all_as_server;
use crate::lookup::Lookup;
use crate::object::{child_mut, list, meta, meta_mut};
use crate::status::Status;
use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";
/// Set to anything but `true`, it keeps an object as it is.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// Makes what is missing in one write, and completes what is there.
pub(crate) async fn bootstrap(api: &Api) -> Result<(), Status> {
    let lookup = Lookup::new(api.store.clone());
    let mut missing = Vec::new();
    for (kind, namespace, object) in objects() {
        let served = api.kinds.of(GROUP, kind).ok_or_else(|| Status::internal(kind))?;
        let namespace = (!namespace.is_empty()).then_some(namespace);
        let resource = format!("{GROUP}/{}", served.kind.plural);
        match lookup.get(&resource, namespace, meta(&object, "name")) {
            None => missing.push((served, namespace, object)),
            Some(mut stored) => {
                if !complete(&mut stored, &object) {
                    continue;
                }
                let key = served.key(namespace, meta(&object, "name"));
                let key = key.map_err(|error| Status::internal(&error.to_string()))?;
                let body = crate::object::encode(&served.stored, &stored);
                let revision = meta(&stored, "resourceVersion").parse().unwrap_or(0);
                let expect = moat_store::Expect::Revision(revision);
                let written = api.store.update(key, body, expect).await;
                written.map_err(|error| Status::unavailable(&error.to_string()))?;
            }
        }
    }
    create_all_as_server(api, missing).await?;
    super::gather::once(api).await
}

/// Adds to a stored object what the wanted one has more; whether there was anything.
fn complete(stored: &mut Value, wanted: &Value) -> bool {
    if stored["metadata"]["annotations"][AUTO_UPDATE].as_str() != Some("true") {
        return false;
    }
    let mut changed = false;
    for field in ["labels", "annotations"] {
        for (key, value) in wanted["metadata"][field].as_object().into_iter().flatten() {
            let own = crate::object::map_mut(meta_mut(stored), field);
            if !own.contains_key(key) {
                own.insert(key.clone(), value.clone());
                changed = true;
            }
        }
    }
    let gathers = wanted.get("aggregationRule").is_some();
    if gathers && stored.get("aggregationRule").is_none() {
        stored["aggregationRule"] = wanted["aggregationRule"].clone();
        changed = true;
    }
    for field in ["rules", "subjects"] {
        let mut all = list(stored, &format!("/{field}")).to_vec();
        let own: Vec<Rule> = Rule::all(stored);
        let before = all.len();
        for one in list(wanted, &format!("/{field}")) {
            let has = if field == "rules" {
                beyond(&own, &[Rule::of(one)]).is_empty()
            } else {
                all.contains(one)
            };
            if !has {
                all.push(one.clone());
            }
        }
        if before < all.len() {
            child_mut(stored, "metadata");
            stored[field] = all.into();
            changed = true;
        }
    }
    changed
}

/// What every node may, whatever its role says by now.
pub(crate) fn node_rules() -> Vec<Rule> {
    Rule::all(&object("ClusterRole", "system:node", NODE))
}

/// Everything, as kind, namespace (empty for the cluster) and object.
fn objects() -> Vec<(&'static str, &'static str, Value)> {
    let mut all = Vec::new();
    for role in ROLES {
        all.push((role_kind(role.namespace), role.namespace, role_object(role)));
    }
    for binding in BINDINGS {
        let kind = if binding.namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let subjects = binding.subjects.split_whitespace().map(subject).collect();
        let name = if binding.name.is_empty() { binding.role } else { binding.name };
        let object =
            binding_object(kind, name, binding.role, role_kind(binding.namespace), subjects);
        all.push((kind, binding.namespace, object));
    }
    for (name, rules) in CONTROLLERS {
        let full = format!("system:controller:{name}");
        let subjects = vec![subject(&format!("account:kube-system/{name}"))];
        let binding = binding_object("ClusterRoleBinding", &full, &full, "ClusterRole", subjects);
        let object = object("ClusterRole", &full, rules);
        all.push(("ClusterRole", "", object));
        all.push(("ClusterRoleBinding", "", binding));
    }
    all
}

fn role_kind(namespace: &str) -> &'static str {
    if namespace.is_empty() { "ClusterRole" } else { "Role" }
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name, "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" }, "annotations": { AUTO_UPDATE: "true" },
    })
}

fn object(kind: &str, name: &str, rules: &[On]) -> Value {
    let rules: Vec<Value> = rules.iter().map(|on| rule(on).to_json()).collect();
    json!({
        "kind": kind, "apiVersion": format!("{GROUP}/v1"), "metadata": metadata(name), "rules": rules,
    })
}

fn role_object(role: &Role) -> Value {
    let mut object = object(role_kind(role.namespace), role.name, role.rules);
    let label = |to: &str| format!("rbac.authorization.k8s.io/aggregate-to-{to}");
    if !role.part_of.is_empty() {
        object["metadata"]["labels"][label(role.part_of)] = "true".into();
    }
    if role.gathers {
        let selector = json!({ "matchLabels": { label(role.name): "true" } });
        object["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
    }
    object
}

fn rule(on: &On) -> Rule {
    let words = |text: &str| {
        let mut words: Vec<String> = text
            .split_whitespace()
            .map(|word| if word == "core" { String::new() } else { word.to_owned() })
            .collect();
        words.sort();
        words
    };
    Rule {
        verbs: words(on.verbs),
        groups: words(on.groups),
        resources: words(on.resources),
        names: words(on.names),
        urls: words(on.urls),
    }
}

fn binding_object(
    kind: &str,
    name: &str,
    role: &str,
    role_kind: &str,
    subjects: Vec<Value>,
) -> Value {
    let mut object = json!({
        "kind": kind, "apiVersion": format!("{GROUP}/v1"), "metadata": metadata(name),
        "roleRef": { "apiGroup": GROUP, "kind": role_kind, "name": role },
    });
    if !subjects.is_empty() {
        object["subjects"] = subjects.into();
    }
    object
}

/// `group:NAME`, `user:NAME` or `account:NAMESPACE/NAME`.
fn subject(word: &str) -> Value {
    if let Some(name) = word.strip_prefix("group:") {
        return json!({ "kind": "Group", "apiGroup": GROUP, "name": name });
    }
    if let Some((namespace, name)) =
        word.strip_prefix("account:").and_then(|word| word.split_once('/'))
    {
        return json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace });
    }
    let name = word.strip_prefix("user:").unwrap_or(word);
    json!({ "kind": "User", "apiGroup": GROUP, "name": name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_completed_keeps_what_it_has() {
        let wanted = object(
            "ClusterRole",
            "a",
            &[super::super::roles::on("get list", "core", "pods nodes")],
        );
        let mut stored = wanted.clone();
        assert!(!complete(&mut stored, &wanted));
        stored["rules"] = json!([{ "verbs": ["*"], "apiGroups": [""], "resources": ["pods"] }]);
        stored["metadata"]["labels"] = json!({ "own": "1" });
        assert!(complete(&mut stored, &wanted));
        assert_eq!(list(&stored, "/rules").len(), 2);
        assert_eq!(stored["metadata"]["labels"].as_object().map(serde_json::Map::len), Some(2));
        assert!(!complete(&mut stored, &wanted));
        stored["rules"] = json!([]);
        stored["metadata"]["annotations"][AUTO_UPDATE] = "false".into();
        assert!(!complete(&mut stored, &wanted));
    }

    #[test]
    fn the_table_names_what_exists() {
        let all = objects();
        let names: Vec<(&str, &str, &str)> =
            all.iter().map(|(kind, home, object)| (*kind, *home, meta(object, "name"))).collect();
        for (at, one) in names.iter().enumerate() {
            assert!(!names[..at].contains(one), "{one:?} twice");
        }
        for (kind, home, object) in all.iter().filter(|(kind, ..)| kind.ends_with("Binding")) {
            let role = (
                object["roleRef"]["kind"].as_str().unwrap(),
                *home,
                object["roleRef"]["name"].as_str().unwrap(),
            );
            assert!(names.contains(&role), "{kind} {} of no role", meta(object, "name"));
        }
    }
}
