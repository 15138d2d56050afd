//! Prunes and defaults objects by a schema, as upstream does on every write and every read.

use crate::json::join;
use crate::schema::{Schema, check};
use serde_json::{Map, Value};

/// How many dropped fields are told.
const TOLD_MAX: usize = 64;

/// Drops what the schema does not have, fills in defaults; returns the paths of what was dropped.
pub(super) fn fill(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    prune(schema, object, "", true, &mut dropped);
    default(schema, object);
    dropped
}

fn keeps_unknown(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

/// The schema of what no property names; `None` where there is none.
fn any_of(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|any| any.is_object() || **any == true)
}

fn is_own(key: &str) -> bool {
    matches!(key, "apiVersion" | "kind" | "metadata")
}

fn prune(
    schema: &Value,
    value: &mut Value,
    path: &str,
    is_object: bool,
    dropped: &mut Vec<String>,
) {
    match value {
        Value::Object(map) => {
            let fields = schema["properties"].as_object();
            let (any, keeps) = (any_of(schema), keeps_unknown(schema));
            map.retain(|key, inner| {
                let below = join(path, key);
                if is_object && is_own(key) {
                    if key == "metadata" {
                        metadata(inner, &below, dropped);
                    }
                    return true;
                }
                let Some(schema) = fields.and_then(|fields| fields.get(key)).or(any) else {
                    if !keeps && dropped.len() < TOLD_MAX {
                        dropped.push(below);
                    }
                    return keeps;
                };
                if schema.is_object() {
                    let embedded = schema["x-kubernetes-embedded-resource"] == true;
                    prune(schema, inner, &below, embedded, dropped);
                }
                true
            });
        }
        Value::Array(items) => {
            let schema = &schema["items"];
            if !schema.is_object() {
                return;
            }
            let embedded = schema["x-kubernetes-embedded-resource"] == true;
            for (at, item) in items.iter_mut().enumerate() {
                prune(schema, item, &format!("{path}[{at}]"), embedded, dropped);
            }
        }
        _ => {}
    }
}

/// Metadata has a type of its own, whatever the schema says.
fn metadata(value: &mut Value, path: &str, dropped: &mut Vec<String>) {
    let schema = Schema::of_kind("", "v1", "ConfigMap").field("metadata");
    crate::object::drop_nulls(value);
    for unknown in check(schema, value).unknown {
        let field = unknown.trim_start_matches("unknown field ").trim_matches('"').to_owned();
        if dropped.len() < TOLD_MAX {
            dropped.push(join(path, &field));
        }
    }
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, _| schema.field(key).is_known());
    }
}

/// Fills in defaults from the top: a default of an object is filled further by the defaults inside.
fn default(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, below) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(given) = below.get("default") {
                    // A null that the schema does not allow means: the default.
                    let missing = map
                        .get(key)
                        .is_none_or(|value| value.is_null() && below["nullable"] != true);
                    if missing {
                        map.insert(key.clone(), given.clone());
                    }
                }
                if let Some(inner) = map.get_mut(key) {
                    default(below, inner);
                }
            }
            if let Some(any) = any_of(schema).filter(|any| any.is_object()) {
                let fields = schema["properties"].as_object();
                others(map, fields).for_each(|inner| default(any, inner));
            }
        }
        Value::Array(items) if schema["items"].is_object() => {
            items.iter_mut().for_each(|item| default(&schema["items"], item));
        }
        _ => {}
    }
}

/// Values whose keys are no properties.
fn others<'a>(
    map: &'a mut Map<String, Value>,
    fields: Option<&'a Map<String, Value>>,
) -> impl Iterator<Item = &'a mut Value> {
    map.iter_mut()
        .filter(move |(key, _)| fields.is_none_or(|fields| !fields.contains_key(*key)))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_schema_does_not_have_goes_and_what_it_gives_comes() {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "a": {"type": "string", "default": "x"},
                "o": {"type": "object", "default": {}, "properties": {"n": {"type": "integer", "default": 1}}},
                "keep": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": {"type": "object"}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"d": {"type": "integer", "default": 2}}}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"d": {"type": "integer", "default": 3}}}},
                "null": {"type": "string", "default": "y", "nullable": true},
                "raw": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
            }},
        }});
        let mut object = json!({
            "apiVersion": "g/v1", "kind": "K", "metadata": {"name": "a", "nome": "b"}, "extra": 1,
            "spec": {
                "a": null, "no": 1, "keep": {"any": 1, "known": {"no": 2}}, "map": {"k": {"no": 3}}, "list": [{"no": 4}, {"d": 9}], "null": null,
                "raw": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "no": 5, "spec": {"no": 6}},
            },
        });
        let dropped = fill(&schema, &mut object);
        assert_eq!(
            dropped,
            [
                "metadata.nome",
                "extra",
                "spec.no",
                "spec.keep.known.no",
                "spec.map.k.no",
                "spec.list[0].no",
                "spec.raw.no",
                "spec.raw.spec.no"
            ]
        );
        let spec = json!({
            "a": "x", "keep": {"any": 1, "known": {}}, "map": {"k": {"d": 2}}, "list": [{"d": 3}, {"d": 9}], "null": null,
            "raw": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}, "o": {"n": 1},
        });
        assert_eq!(object["spec"], spec);
        let before = object.clone();
        assert!(fill(&schema, &mut object).is_empty());
        assert_eq!(object, before);
    }
}
