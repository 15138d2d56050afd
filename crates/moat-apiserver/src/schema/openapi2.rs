//! The OpenAPI v2 document: all kinds in one, as JSON, and in protobuf for clients of before v3.
//!
//! It says what the documents of v3 say. What v2 has no words for (alternatives, null) is left out of the kinds that clients define, as upstream does:
//! a client that checked by it would refuse what the server takes.

use super::definitions as published;
use super::gnostic::{V2_PROTOBUF, encoded, wants_protobuf};
use super::openapi::{describe, hash, schema_name};
use crate::api::Reply;
use crate::kinds::Snapshot;
use crate::status::Status;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Words of v3 that v2 does not have.
const LEFT_OUT: &[&str] = &["oneOf", "anyOf", "allOf", "not", "nullable"];

/// Answers with the document, or that the client has it.
pub(crate) fn reply_v2(kinds: &Snapshot, accept: &str, known: &str) -> Result<Reply, Status> {
    let protobuf = wants_protobuf(accept)?;
    let kind = if protobuf { V2_PROTOBUF } else { "application/json" };
    let hash = hash("v2", kinds.all().map(|served| &*served.kind));
    let etag = format!("\"{hash}{}\"", if protobuf { "-pb" } else { "" });
    let mut reply = match (known == etag, protobuf) {
        (true, _) => Reply::bytes(304, kind, Vec::new()),
        (false, true) => Reply::bytes(200, kind, encoded(&document_v2(kinds))),
        (false, false) => Reply::json(200, &document_v2(kinds)),
    };
    reply.etag = Some(etag);
    Ok(reply)
}

/// The document.
fn document_v2(kinds: &Snapshot) -> Value {
    let published = published();
    let (mut paths, mut definitions, mut wanted) = (Map::new(), Map::new(), BTreeSet::new());
    for served in kinds.all() {
        let kind = &served.kind;
        let name = schema_name(&published, kind);
        match (&kind.custom, &name) {
            (Some(custom), Some(name)) => {
                let own = plain(&Value::from(custom.typed().clone()), true, &mut wanted);
                definitions.insert(name.clone(), own);
            }
            _ => wanted.extend(name.clone()),
        }
        let mut own = Map::new();
        describe(kind, name.as_deref(), &mut own);
        paths.extend(own.into_iter().map(|(path, item)| (path.clone(), path_item(&path, &item))));
    }
    for name in ["DeleteOptions", "Status"] {
        wanted.insert(format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"));
    }
    while let Some(name) = wanted.pop_first() {
        let Some(definition) = published.get(&name) else { continue };
        let mut below = BTreeSet::new();
        definitions.insert(name, plain(definition, false, &mut below));
        wanted.extend(below.into_iter().filter(|name| !definitions.contains_key(name)));
    }
    json!({
        "swagger": "2.0", "info": { "title": "Kubernetes", "version": crate::discovery::GIT_VERSION },
        "paths": paths, "definitions": definitions,
    })
}

/// A schema in the words of v2.
fn plain(value: &Value, custom: bool, refs: &mut BTreeSet<String>) -> Value {
    let map = match value {
        Value::Object(map) => map,
        Value::Array(items) => return items.iter().map(|item| plain(item, custom, refs)).collect(),
        other => return other.clone(),
    };
    let is = |word: &str| map.get(word) == Some(&Value::Bool(true));
    // What may be null, or anything, has no type that a client could check.
    let open = custom && (is("nullable") || is("x-kubernetes-preserve-unknown-fields"));
    let untyped = custom && (is("nullable") || is("x-kubernetes-int-or-string"));
    let mut out = Map::new();
    for (key, inner) in map {
        match key.as_str() {
            "$ref" => {
                let name = inner.as_str().unwrap_or_default();
                refs.insert(name.to_owned());
                out.insert(key.clone(), format!("#/definitions/{name}").into());
            }
            word if custom && LEFT_OUT.contains(&word) => {}
            "items" | "properties" | "additionalProperties" if open => {}
            "type" if untyped => {}
            // Names of fields are no words.
            "properties" => {
                let fields = inner.as_object().into_iter().flatten();
                let fields: Map<String, Value> = fields
                    .map(|(name, field)| (name.clone(), plain(field, custom, refs)))
                    .collect();
                out.insert(key.clone(), fields.into());
            }
            "default" | "enum" | "example" | "x-kubernetes-validations" => {
                out.insert(key.clone(), inner.clone());
            }
            _ => {
                out.insert(key.clone(), plain(inner, custom, refs));
            }
        }
    }
    Value::Object(out)
}

/// The operations of a path, out of those of v3.
fn path_item(path: &str, item: &Value) -> Value {
    let mut out = Map::new();
    for (method, operation) in item.as_object().into_iter().flatten() {
        out.insert(method.clone(), of_v3(operation));
    }
    let parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "type": "string", "uniqueItems": true }))
        .collect();
    if !parameters.is_empty() {
        out.insert("parameters".to_owned(), parameters.into());
    }
    Value::Object(out)
}

fn of_v3(operation: &Value) -> Value {
    let mut parameters = Vec::new();
    let mut consumes = vec![Value::from("*/*")];
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        let schema = content.values().next().map_or(Value::Null, |one| reference(&one["schema"]));
        parameters
            .push(json!({ "name": "body", "in": "body", "required": true, "schema": schema }));
        if 1 < content.len() {
            consumes = content.keys().map(|kind| kind.as_str().into()).collect();
        }
    }
    for one in operation["parameters"].as_array().into_iter().flatten() {
        let kind = &one["schema"]["type"];
        parameters
            .push(json!({ "name": one["name"], "in": "query", "type": kind, "uniqueItems": true }));
    }
    let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    json!({
        "consumes": consumes,
        "produces": ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"],
        "parameters": parameters,
        "responses": { "200": { "description": "OK", "schema": reference(schema) }, "401": { "description": "Unauthorized" } },
        "x-kubernetes-action": operation["x-kubernetes-action"],
        "x-kubernetes-group-version-kind": operation["x-kubernetes-group-version-kind"],
    })
}

/// A reference of v3 as v2 has it; other schemas are the same.
fn reference(schema: &Value) -> Value {
    match schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/schemas/")) {
        Some(name) => json!({ "$ref": format!("#/definitions/{name}") }),
        None => schema.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_refers_to_nothing_outside() {
        let kinds = Snapshot::built_in().unwrap();
        let document = document_v2(&kinds);
        let text = document.to_string();
        for reference in text.split("#/definitions/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["definitions"].get(name).is_some(), "{name}");
        }
        assert!(!text.contains("#/components"));
        let patch =
            &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        let names: Vec<&Value> =
            patch["parameters"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["body", "dryRun", "fieldManager", "fieldValidation", "force"]);
        assert_eq!(patch["consumes"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn words_that_v2_does_not_have_are_left_out_of_custom_kinds() {
        let schema = json!({"type": "object", "properties": {
            "oneOf": {"type": "string", "oneOf": [{"pattern": "a"}]}, "n": {"type": "string", "nullable": true},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
            "port": {"x-kubernetes-int-or-string": true, "type": "integer"},
        }});
        let expected = json!({"type": "object", "properties": {
            "oneOf": {"type": "string"}, "n": {},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "port": {"x-kubernetes-int-or-string": true},
        }});
        assert_eq!(plain(&schema, true, &mut BTreeSet::new()), expected);
    }
}
