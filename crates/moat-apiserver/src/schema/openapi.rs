//! OpenAPI v3 documents, one for each group and version.
//!
//! kubectl reads them for three things: whether the server checks fields itself (a `fieldValidation` parameter on PATCH), how to merge a patch
//! (merge keys), and what to say in `explain`. Paths, parameters and schemas here say what this server does, and no more.

use super::types::kinds_of;
use super::{PACKED, definitions};
use crate::kinds::{Kind, Snapshot};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The path of a group and version below `/openapi/v3/`.
fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// A word that changes when a document does: it comes from the definitions of this build and from the kinds in it.
pub(super) fn hash<'a>(path: &str, kinds: impl Iterator<Item = &'a Kind>) -> String {
    let mut hasher = DefaultHasher::new();
    (PACKED, path, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    kinds.for_each(|kind| {
        let schema =
            kind.custom.as_ref().map(|custom| Value::from(custom.typed().clone()).to_string());
        (&kind.kind, &kind.plural, schema).hash(&mut hasher);
    });
    format!("{:016X}", hasher.finish())
}

/// `/openapi/v3`: where the documents are.
pub(crate) fn index(kinds: &Snapshot) -> Value {
    let mut paths = Map::new();
    for (group, versions) in kinds.groups() {
        for version in versions {
            let path = path_of(group, version);
            let hash = hash(&path, kinds.of_version(group, version));
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({ "serverRelativeURL": url }));
        }
    }
    json!({ "paths": paths })
}

/// A document and its hash, by its path below `/openapi/v3/`.
pub(crate) fn document(kinds: &Snapshot, path: &str) -> Option<(Value, String)> {
    let (group, version) = kinds.groups().into_iter().find_map(|(group, versions)| {
        let version = versions.into_iter().find(|version| path_of(group, version) == path)?;
        Some((group, version))
    })?;
    let definitions = definitions();
    let mut paths = Map::new();
    let mut wanted = BTreeSet::new();
    let mut customs = Map::new();
    for kind in kinds.of_version(group, version) {
        let schema = schema_name(&definitions, kind);
        match (&kind.custom, &schema) {
            (Some(custom), Some(name)) => {
                let own = rewritten(&custom.typed().clone().into(), &mut wanted);
                customs.insert(name.clone(), own);
            }
            _ => wanted.extend(schema.clone()),
        }
        describe(kind, schema.as_deref(), &mut paths);
    }
    wanted.insert("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions".to_owned());
    wanted.insert("io.k8s.apimachinery.pkg.apis.meta.v1.Status".to_owned());
    let mut schemas = schemas(&definitions, wanted);
    schemas.extend(customs);
    let body = json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": crate::discovery::GIT_VERSION },
        "paths": paths,
        "components": { "schemas": schemas },
    });
    Some((body, hash(path, kinds.of_version(group, version))))
}

pub(super) fn schema_name(definitions: &Map<String, Value>, kind: &Kind) -> Option<String> {
    if kind.custom.is_some() {
        // `com.example.v1.Widget`, as upstream names them.
        let group: Vec<&str> = kind.group.split('.').rev().collect();
        return Some(format!("{}.{}.{}", group.join("."), kind.version, kind.kind));
    }
    let gvk = (kind.group.as_str(), kind.version.as_str(), kind.kind.as_str());
    let found = definitions.iter().find(|(name, definition)| {
        name.ends_with(&kind.kind) && kinds_of(definition).any(|own| own == gvk)
    });
    found.map(|(name, _)| name.clone())
}

/// The paths of a kind.
pub(super) fn describe(kind: &Kind, schema: Option<&str>, paths: &mut Map<String, Value>) {
    let api = if kind.group.is_empty() { "/api" } else { "/apis" };
    let base = format!("{api}/{}", kind.api_version());
    let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    let list = format!("{base}{scope}/{}", kind.plural);
    let verbs = kind.verbs.words();
    let has = |verb: &str| verbs.contains(&verb);
    let mut collection = Map::new();
    let put = |to: &mut Map<String, Value>, method: &str, verb: &str, action: &str| {
        if has(verb) {
            to.insert(method.to_owned(), operation(kind, schema, method, action));
        }
    };
    put(&mut collection, "get", "list", "list");
    put(&mut collection, "post", "create", "post");
    put(&mut collection, "delete", "deletecollection", "deletecollection");
    paths.insert(list.clone(), Value::Object(collection));
    let mut item = Map::new();
    for (method, verb) in
        [("get", "get"), ("put", "update"), ("patch", "patch"), ("delete", "delete")]
    {
        put(&mut item, method, verb, method);
    }
    if item.is_empty() {
        return;
    }
    paths.insert(format!("{list}/{{name}}"), Value::Object(item));
    for sub in &kind.subresources {
        // What is of another kind is described by that kind's document, if at all.
        let other = sub.own_kind().is_some();
        let mut item = Map::new();
        for (method, verb) in [("get", "get"), ("put", "update"), ("patch", "patch")] {
            if sub.verbs().contains(&verb) && !other {
                item.insert(method.to_owned(), operation(kind, schema, method, method));
            }
        }
        if !item.is_empty() {
            paths.insert(format!("{list}/{{name}}/{}", sub.name()), Value::Object(item));
        }
    }
}

fn operation(kind: &Kind, schema: Option<&str>, method: &str, action: &str) -> Value {
    let mut parameters = Vec::new();
    let mut parameter = |name: &str, kind: &str| {
        parameters.push(
            json!({ "name": name, "in": "query", "schema": { "type": kind, "uniqueItems": true } }),
        );
    };
    if method != "get" {
        parameter("dryRun", "string");
    }
    if matches!(method, "post" | "put" | "patch") {
        parameter("fieldManager", "string");
        parameter("fieldValidation", "string");
    }
    if method == "patch" {
        parameter("force", "boolean");
    }
    let reference = schema.map(|name| json!({ "$ref": format!("#/components/schemas/{name}") }));
    let object = reference.clone().unwrap_or_else(|| json!({ "type": "object" }));
    let patch = json!({ "schema": { "type": "object" } });
    let body = match method {
        "post" | "put" => Some(json!({ "application/json": { "schema": object } })),
        "patch" if reference.is_some() && kind.custom.is_none() => Some(json!({
            "application/json-patch+json": patch, "application/merge-patch+json": patch,
            "application/strategic-merge-patch+json": patch, "application/apply-patch+yaml": patch,
        })),
        "patch" => Some(json!({
            "application/json-patch+json": patch, "application/merge-patch+json": patch, "application/apply-patch+yaml": patch,
        })),
        _ => None,
    };
    let mut operation = json!({
        "parameters": parameters,
        "responses": { "200": { "description": "OK", "content": { "application/json": { "schema": object } } } },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": { "group": kind.group, "version": kind.version, "kind": kind.kind },
    });
    if let (Some(content), Some(map)) = (body, operation.as_object_mut()) {
        map.insert("requestBody".to_owned(), json!({ "content": content, "required": true }));
    }
    operation
}

/// Definitions with all that they refer to, as OpenAPI v3 writes them.
fn schemas(definitions: &Map<String, Value>, mut wanted: BTreeSet<String>) -> Map<String, Value> {
    let mut schemas = Map::new();
    while let Some(name) = wanted.pop_first() {
        let Some(definition) = definitions.get(&name) else { continue };
        let mut below = BTreeSet::new();
        schemas.insert(name, rewritten(definition, &mut below));
        wanted.extend(below.into_iter().filter(|name| !schemas.contains_key(name)));
    }
    schemas
}

/// A reference beside other words is only valid inside `allOf`.
fn rewritten(value: &Value, refs: &mut BTreeSet<String>) -> Value {
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            let target = map.get("$ref").and_then(Value::as_str);
            for (key, inner) in map {
                match (key.as_str(), target) {
                    ("$ref", Some(name)) => {
                        refs.insert(name.to_owned());
                        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
                        if map.len() == 1 {
                            return reference;
                        }
                        out.insert("allOf".to_owned(), json!([reference]));
                    }
                    _ => {
                        out.insert(key.clone(), rewritten(inner, refs));
                    }
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(|item| rewritten(item, refs)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_of_the_index_exists_and_refers_to_nothing_outside() {
        let kinds = Snapshot::built_in().unwrap();
        for (path, place) in index(&kinds)["paths"].as_object().unwrap() {
            let (body, hash) = document(&kinds, path).unwrap();
            assert!(place["serverRelativeURL"].as_str().unwrap().ends_with(&hash));
            let text = body.to_string();
            for reference in text.split("#/components/schemas/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(body["components"]["schemas"].get(name).is_some(), "{path}: {name}");
            }
        }
        assert!(document(&kinds, "apis/apps/v2").is_none());
    }
}
