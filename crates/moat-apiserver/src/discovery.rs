//! Discovery: what this server serves, from the table of kinds, in the old form and the aggregated one.

use crate::authn::service_account::ISSUER;
use crate::kinds::{Kind, Snapshot, api_version};
use serde_json::{Value, json};

/// The Kubernetes version whose API this is; clients compare it with their own.
pub const GIT_VERSION: &str = concat!("v1.36.0+moat.", env!("CARGO_PKG_VERSION"));

/// `/version`.
pub(crate) fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `/api`.
pub(crate) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
    })
}

/// `/apis`.
pub(crate) fn group_list(kinds: &Snapshot) -> Value {
    let groups: Vec<Value> =
        kinds.groups().iter().filter(|(group, _)| !group.is_empty()).map(group_of).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/G`.
pub(crate) fn group(kinds: &Snapshot, name: &str) -> Option<Value> {
    let found =
        kinds.groups().into_iter().find(|(group, _)| !group.is_empty() && *group == name)?;
    let mut body = json!({ "kind": "APIGroup", "apiVersion": "v1" });
    if let (Some(to), Value::Object(from)) = (body.as_object_mut(), group_of(&found)) {
        to.extend(from);
    }
    Some(body)
}

fn group_of((group, versions): &(&str, Vec<&str>)) -> Value {
    let version =
        |version: &&str| json!({ "groupVersion": api_version(group, version), "version": version });
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({ "name": group, "versions": versions, "preferredVersion": versions.first() })
}

/// `/api/v1` and `/apis/G/V`.
pub(crate) fn resource_list(kinds: &Snapshot, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for kind in kinds.of_version(group, version) {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind, "verbs": kind.verbs.words(),
        });
        if let Some(map) = resource.as_object_mut() {
            if !kind.short.is_empty() {
                map.insert("shortNames".to_owned(), json!(kind.short));
            }
            if !kind.categories.is_empty() {
                map.insert("categories".to_owned(), json!(kind.categories));
            }
        }
        resources.push(resource);
        for sub in &kind.subresources {
            let name = format!("{}/{}", kind.plural, sub.name());
            resources.push(match sub.own_kind() {
                // The document is that of one group and version, so that they are said only where they differ.
                Some([own_group, _, own]) if own_group == kind.group => json!({
                    "name": name, "singularName": "", "namespaced": kind.namespaced, "kind": own, "verbs": sub.verbs(),
                }),
                Some([group, version, own]) => json!({
                    "name": name, "singularName": "", "namespaced": kind.namespaced, "group": group, "version": version,
                    "kind": own, "verbs": sub.verbs(),
                }),
                None => json!({
                    "name": name, "singularName": "", "namespaced": kind.namespaced, "kind": kind.kind, "verbs": sub.verbs(),
                }),
            });
        }
    }
    if resources.is_empty() {
        return None;
    }
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group, version), "resources": resources,
    }))
}

/// `/api` (`core`) and `/apis` in one document, for clients that ask for it.
pub(crate) fn aggregated(kinds: &Snapshot, core: bool) -> Value {
    let items: Vec<Value> = kinds
        .groups()
        .iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> =
                        kinds.of_version(group, version).map(aggregated_kind).collect();
                    json!({ "version": version, "resources": resources, "freshness": "Current" })
                })
                .collect();
            let metadata = if core { json!({}) } else { json!({ "name": group }) };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items })
}

fn aggregated_kind(kind: &Kind) -> Value {
    let response = |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
    let own = response(&kind.group, &kind.version, &kind.kind);
    let mut resource = json!({
        "resource": kind.plural, "responseKind": own, "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular, "verbs": kind.verbs.words(),
    });
    let Some(map) = resource.as_object_mut() else { return resource };
    if !kind.short.is_empty() {
        map.insert("shortNames".to_owned(), json!(kind.short));
    }
    if !kind.categories.is_empty() {
        map.insert("categories".to_owned(), json!(kind.categories));
    }
    if !kind.subresources.is_empty() {
        let subs: Vec<Value> = kind
            .subresources
            .iter()
            .map(|sub| {
                let kind = match sub.own_kind() {
                    Some([group, version, own]) => response(group, version, own),
                    None => own.clone(),
                };
                json!({ "subresource": sub.name(), "responseKind": kind, "verbs": sub.verbs() })
            })
            .collect();
        map.insert("subresources".to_owned(), subs.into());
    }
    resource
}

/// `/.well-known/openid-configuration`: by what others verify this cluster's tokens.
pub(crate) fn openid(address: &str) -> Value {
    json!({
        "issuer": ISSUER, "jwks_uri": format!("https://{address}/openid/v1/jwks"), "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
    })
}

/// `/`: the paths that there are.
pub(crate) fn paths(kinds: &Snapshot) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in kinds.groups().into_iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    let rest = [
        "/.well-known/openid-configuration",
        "/healthz",
        "/livez",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ];
    paths.extend(rest.map(str::to_owned));
    json!({ "paths": paths })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_discovery_tell_the_same() {
        let kinds = Snapshot::built_in().unwrap();
        let n_kinds = kinds.all().count();
        let n_aggregated: usize = [true, false]
            .into_iter()
            .flat_map(|core| aggregated(&kinds, core)["items"].as_array().unwrap().clone())
            .flat_map(|item| item["versions"].as_array().unwrap().clone())
            .map(|version| version["resources"].as_array().unwrap().len())
            .sum();
        assert_eq!(n_aggregated, n_kinds);
        let n_listed: usize = kinds
            .groups()
            .iter()
            .flat_map(|(group, versions)| versions.iter().map(move |version| (group, version)))
            .map(|(group, version)| {
                resource_list(&kinds, group, version).unwrap()["resources"]
                    .as_array()
                    .unwrap()
                    .len()
            })
            .sum();
        let n_subresources: usize = kinds.all().map(|served| served.kind.subresources.len()).sum();
        assert_eq!(n_listed, n_kinds + n_subresources);
        assert_eq!(resource_list(&kinds, "apps", "v2"), None);
    }
}
