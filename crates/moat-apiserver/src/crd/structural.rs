//! Which schemas are taken: structural ones, so that it is clear at each place which fields there are (`apiextensions-apiserver/pkg/apiserver/schema`).

use super::value::pattern;
use crate::object::{list, text};
use crate::status::Cause;
use serde_json::{Value, json};

/// Levels of a schema.
const DEPTH_MAX: usize = 64;

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
/// Words of a schema that are about the shape of a value, which only its own place may say.
const SHAPE: &[(&str, &str)] = &[
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
];
/// Words of JSON schema that upstream does not take.
const NOT_TAKEN: &[&str] =
    &["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];

/// Checks the schema of a version.
pub(super) fn check(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let root = match schema["type"].as_str() {
        None | Some("") => {
            Some(Cause::required(format!("{path}.type"), "must not be empty at the root"))
        }
        Some("object") => None,
        Some(_) => Some(Cause::invalid(
            format!("{path}.type"),
            &schema["type"],
            "must be object at the root",
        )),
    };
    causes.extend(root);
    if schema["nullable"] == true {
        causes.push(Cause::forbidden(
            format!("{path}.nullable"),
            "nullable cannot be true at the root",
        ));
    }
    if !schema["additionalProperties"].is_null() {
        let place = format!("{path}.additionalProperties");
        causes.push(Cause::forbidden(place, "must not be used at the root"));
    }
    if let Some(metadata) = schema["properties"].get("metadata") {
        let fields = metadata["properties"].as_object();
        let only_names = fields.is_none_or(|all| {
            all.keys().all(|key| matches!(key.as_str(), "name" | "generateName"))
        });
        if !only_names {
            let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            causes.push(Cause::forbidden(format!("{path}.properties[metadata]"), why));
        }
    }
    let before = causes.len();
    place(schema, path, 0, causes);
    // Rules can be read only where the schema is clear.
    if before == causes.len() {
        super::rules::check(schema, path, causes);
    }
}

fn place(schema: &Value, path: &str, depth: usize, causes: &mut Vec<Cause>) {
    if DEPTH_MAX <= depth {
        causes.push(Cause::invalid(
            path,
            &json!(""),
            &format!("must not be nested deeper than {DEPTH_MAX} levels"),
        ));
        return;
    }
    let is = |word: &str| schema[word] == true;
    let kind = text(schema, "/type");
    let (any, keeps) =
        (is("x-kubernetes-int-or-string"), is("x-kubernetes-preserve-unknown-fields"));
    if kind.is_empty() && !any && !keeps && 0 < depth {
        let of_items = path.rsplit('.').next() == Some("items");
        let why = if of_items {
            "must not be empty for specified array items"
        } else {
            "must not be empty for specified object fields"
        };
        causes.push(Cause::required(format!("{path}.type"), why));
    }
    if !kind.is_empty() && !TYPES.contains(&kind) {
        causes.push(Cause::not_supported(format!("{path}.type"), &kind.into(), TYPES));
    }
    common(schema, path, causes);
    lists(schema, path, causes);
    if any {
        for word in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if is(word) {
                let why = "must be false if x-kubernetes-int-or-string is true";
                causes.push(Cause::invalid(format!("{path}.{word}"), &json!(true), why));
            }
        }
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let place = format!("{path}.x-kubernetes-preserve-unknown-fields");
        causes.push(Cause::invalid(place, &json!(false), "must be true or undefined"));
    }
    if is("x-kubernetes-embedded-resource") {
        if kind != "object" {
            let why = "must be object if x-kubernetes-embedded-resource is true";
            causes.push(Cause::invalid(format!("{path}.type"), &kind.into(), why));
        }
        if !keeps && schema["properties"].as_object().is_none_or(serde_json::Map::is_empty) {
            let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            causes.push(Cause::required(format!("{path}.properties"), why));
        }
    }
    if kind == "array" && !schema["items"].is_object() {
        causes.push(Cause::required(format!("{path}.items"), "must be specified"));
    }
    let fields = schema["properties"].as_object();
    if fields.is_some_and(|all| !all.is_empty()) && !schema["additionalProperties"].is_null() {
        let why = "additionalProperties and properties are mutual exclusive";
        causes.push(Cause::forbidden(format!("{path}.additionalProperties"), why));
    }
    if let Some(given) = schema.get("default") {
        default(schema, given, path, causes);
    }
    for (key, below) in fields.into_iter().flatten() {
        place(below, &format!("{path}.properties[{key}]"), depth + 1, causes);
    }
    if schema["items"].is_object() {
        place(&schema["items"], &format!("{path}.items"), depth + 1, causes);
    } else if schema["items"].is_array() {
        causes.push(Cause::forbidden(
            format!("{path}.items"),
            "items must be a schema object and not an array",
        ));
    }
    if schema["additionalProperties"].is_object() {
        place(
            &schema["additionalProperties"],
            &format!("{path}.additionalProperties"),
            depth + 1,
            causes,
        );
    }
    nested(schema, schema, path, depth, causes);
}

/// Rules for a schema wherever it stands.
fn common(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    for word in NOT_TAKEN {
        if !schema[*word].is_null() {
            causes.push(Cause::forbidden(
                format!("{path}.{word}"),
                &format!("{word} is not supported"),
            ));
        }
    }
    if schema["uniqueItems"] == true {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(format!("{path}.uniqueItems"), why));
    }
    if let Some(wanted) = schema["pattern"].as_str()
        && let Err(why) = pattern(wanted)
    {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        causes.push(Cause::invalid(format!("{path}.pattern"), &wanted.into(), &why));
    }
}

fn lists(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let keys = list(schema, "/x-kubernetes-list-map-keys");
    let place = format!("{path}.x-kubernetes-list-type");
    let kind = schema["x-kubernetes-list-type"].as_str();
    if let Some(map_type) = schema["x-kubernetes-map-type"].as_str()
        && !matches!(map_type, "atomic" | "granular")
    {
        let place = format!("{path}.x-kubernetes-map-type");
        causes.push(Cause::not_supported(place, &map_type.into(), &["atomic", "granular"]));
    }
    match kind {
        None if keys.is_empty() => return,
        None => {
            causes.push(Cause::required(
                place,
                "must be map if x-kubernetes-list-map-keys is non-empty",
            ));
            return;
        }
        Some("atomic" | "set" | "map") => {}
        Some(other) => {
            causes.push(Cause::not_supported(place, &other.into(), &["atomic", "set", "map"]));
            return;
        }
    }
    if schema["type"] != "array" {
        let why = "must be array if x-kubernetes-list-type is specified";
        causes.push(Cause::invalid(format!("{path}.type"), &schema["type"], why));
    }
    if kind != Some("map") {
        if !keys.is_empty() {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            causes.push(Cause::invalid(place, &schema["x-kubernetes-list-type"], why));
        }
        return;
    }
    let items = &schema["items"];
    if keys.is_empty() {
        let why = "must not be empty if x-kubernetes-list-type is map";
        causes.push(Cause::required(format!("{path}.x-kubernetes-list-map-keys"), why));
    }
    if items["type"] != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        causes.push(Cause::invalid(format!("{path}.items.type"), &items["type"], why));
    }
    for key in keys.iter().filter_map(Value::as_str) {
        let Some(field) = items["properties"].get(key) else {
            let why = "entries must all be names of item properties";
            causes.push(Cause::invalid(
                format!("{path}.x-kubernetes-list-map-keys"),
                &json!(keys),
                why,
            ));
            continue;
        };
        let needed = list(items, "/required").iter().any(|one| one == key);
        if !needed && field.get("default").is_none() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            causes.push(Cause::required(format!("{path}.items.properties[{key}].default"), why));
        }
    }
}

/// A default is what the schema itself takes, pruned.
fn default(schema: &Value, given: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut pruned = given.clone();
    let dropped =
        super::fill::fill(&json!({ "properties": { "x": schema } }), &mut json!({ "x": given }));
    super::fill::fill(schema, &mut pruned);
    if let Some(unknown) = dropped.first() {
        let why =
            format!("must not have unknown fields, found {}", unknown.trim_start_matches("x."));
        causes.push(Cause::invalid(format!("{path}.default"), given, &why));
    }
    super::value::check(schema, &pruned, &format!("{path}.default"), causes);
}

/// Alternatives narrow what a place takes; they do not make fields.
fn nested(root: &Value, schema: &Value, path: &str, depth: usize, causes: &mut Vec<Cause>) {
    let mut each = |inner: &Value, at: String| {
        // The two forms of x-kubernetes-int-or-string say types.
        shape(inner, &at, root["x-kubernetes-int-or-string"] == true, causes);
        common(inner, &at, causes);
        complete(root, inner, path, &at, causes);
        if depth < DEPTH_MAX {
            nested(root, inner, &at, depth + 1, causes);
        }
    };
    for word in ["allOf", "anyOf", "oneOf"] {
        for (at, inner) in list(schema, &format!("/{word}")).iter().enumerate() {
            each(inner, format!("{path}.{word}[{at}]"));
        }
    }
    if schema["not"].is_object() {
        each(&schema["not"], format!("{path}.not"));
    }
}

/// An alternative says nothing of the shape, neither here nor below.
fn shape(inner: &Value, at: &str, may_type: bool, causes: &mut Vec<Cause>) {
    for (word, why) in SHAPE {
        let own = &inner[*word];
        let empty =
            own.is_null() || own == false || own == "" || own.as_array().is_some_and(Vec::is_empty);
        if !(empty || may_type && *word == "type") {
            causes.push(Cause::forbidden(format!("{at}.{word}"), why));
        }
    }
    for (key, below) in inner["properties"].as_object().into_iter().flatten() {
        shape(below, &format!("{at}.properties[{key}]"), false, causes);
    }
    if inner["items"].is_object() {
        shape(&inner["items"], &format!("{at}.items"), false, causes);
    }
}

/// Fields that an alternative speaks of must be fields of the place.
fn complete(root: &Value, inner: &Value, path: &str, at: &str, causes: &mut Vec<Cause>) {
    for (key, below) in inner["properties"].as_object().into_iter().flatten() {
        let to = format!("{at}.properties[{key}]");
        match root["properties"].get(key) {
            Some(own) => complete(own, below, &format!("{path}.properties[{key}]"), &to, causes),
            None if root["additionalProperties"].is_object() => {}
            None => {
                let why = format!("because it is defined in {to}");
                causes.push(Cause::required(format!("{path}.properties[{key}]"), &why));
            }
        }
    }
    if inner["items"].is_object() {
        complete(
            &root["items"],
            &inner["items"],
            &format!("{path}.items"),
            &format!("{at}.items"),
            causes,
        );
    }
}
