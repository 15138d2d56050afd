//! The OpenAPI v2 document in protobuf (gnostic's `openapi.v2.Document`), which kubectl asked for before there was v3.

use crate::status::Status;
use crate::wire::fields::{bytes, varint_field};
use serde_json::{Map, Value};

/// The type of the document in protobuf. Clients of before also ask by a name that is no right type, with an `@`.
pub(super) const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Whether a client wants protobuf: the first that it names of what there is.
pub(super) fn wants_protobuf(accept: &str) -> Result<bool, Status> {
    let mut types = accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    if accept.trim().is_empty() {
        return Ok(false);
    }
    types
        .find_map(|one| match one {
            "application/json" | "application/*" | "*/*" => Some(false),
            one if one.starts_with("application/com.github.proto-openapi.spec.v2") => Some(true),
            _ => None,
        })
        .ok_or_else(|| {
            let all = ["application/json", V2_PROTOBUF].map(str::to_owned);
            Status::not_acceptable(&all)
        })
}

/// Field numbers of a schema's words, by how they are written.
const TEXTS: &[(&str, u32)] = &[
    ("$ref", 1),
    ("format", 2),
    ("title", 3),
    ("description", 4),
    ("pattern", 13),
    ("discriminator", 26),
];
const NUMBERS: &[(&str, u32)] = &[("multipleOf", 6), ("maximum", 7), ("minimum", 9)];
const WHOLE: &[(&str, u32)] = &[
    ("maxLength", 11),
    ("minLength", 12),
    ("maxItems", 14),
    ("minItems", 15),
    ("maxProperties", 17),
    ("minProperties", 18),
];
const SWITCHES: &[(&str, u32)] =
    &[("exclusiveMaximum", 8), ("exclusiveMinimum", 10), ("uniqueItems", 16), ("readOnly", 27)];

/// A document that `document_v2` made.
pub(super) fn encoded(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, 1, &document["swagger"]);
    let mut info = Vec::new();
    text(&mut info, 1, &document["info"]["title"]);
    text(&mut info, 2, &document["info"]["version"]);
    bytes(2, &info, &mut out);
    let paths = named(&document["paths"], 2, path_item);
    bytes(8, &paths, &mut out);
    let definitions = named(&document["definitions"], 1, schema);
    bytes(9, &definitions, &mut out);
    out
}

fn text(out: &mut Vec<u8>, number: u32, value: &Value) {
    if let Some(text) = value.as_str() {
        bytes(number, text.as_bytes(), out);
    }
}

fn texts(out: &mut Vec<u8>, number: u32, values: &Value) {
    values.as_array().into_iter().flatten().for_each(|one| text(out, number, one));
}

/// Entries of a map, each a name and a message.
fn named(map: &Value, number: u32, message: fn(&Value) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in map.as_object().into_iter().flatten() {
        bytes(number, &pair(name, &message(value)), &mut out);
    }
    out
}

fn pair(name: &str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(1, name.as_bytes(), &mut out);
    bytes(2, message, &mut out);
    out
}

/// Any value: YAML, of which JSON is a form.
fn any(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(2, format!("{value}\n").as_bytes(), &mut out);
    out
}

fn extensions(out: &mut Vec<u8>, number: u32, map: &Map<String, Value>) {
    for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
        bytes(number, &pair(name, &any(value)), out);
    }
}

fn schema(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(map) = value.as_object() else { return out };
    for (word, number) in TEXTS {
        text(&mut out, *number, &value[*word]);
    }
    if let Some(default) = map.get("default") {
        bytes(5, &any(default), &mut out);
    }
    for (word, number) in NUMBERS {
        if let Some(value) = value[*word].as_f64() {
            // A field of eight bytes.
            crate::wire::fields::varint(u64::from(number << 3 | 1), &mut out);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
    for (word, number) in WHOLE {
        if let Some(value) = value[*word].as_u64() {
            varint_field(*number, value, &mut out);
        }
    }
    for (word, number) in SWITCHES {
        if value[*word] == true {
            varint_field(*number, 1, &mut out);
        }
    }
    texts(&mut out, 19, &value["required"]);
    for one in value["enum"].as_array().into_iter().flatten() {
        bytes(20, &any(one), &mut out);
    }
    match &value["additionalProperties"] {
        Value::Bool(is) => {
            let mut item = Vec::new();
            varint_field(2, u64::from(*is), &mut item);
            bytes(21, &item, &mut out);
        }
        Value::Object(_) => {
            bytes(21, &within(1, &schema(&value["additionalProperties"])), &mut out);
        }
        _ => {}
    }
    if let Some(kind) = value["type"].as_str() {
        bytes(22, &within(1, kind.as_bytes()), &mut out);
    }
    if value["items"].is_object() {
        bytes(23, &within(1, &schema(&value["items"])), &mut out);
    }
    for one in value["allOf"].as_array().into_iter().flatten() {
        bytes(24, &schema(one), &mut out);
    }
    if value["properties"].is_object() {
        bytes(25, &named(&value["properties"], 1, schema), &mut out);
    }
    extensions(&mut out, 31, map);
    out
}

fn within(number: u32, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(number, message, &mut out);
    out
}

fn path_item(item: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (method, number) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if item[method].is_object() {
            bytes(number, &operation(&item[method]), &mut out);
        }
    }
    for one in item["parameters"].as_array().into_iter().flatten() {
        bytes(9, &parameter(one), &mut out);
    }
    out
}

fn operation(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    texts(&mut out, 6, &value["produces"]);
    texts(&mut out, 7, &value["consumes"]);
    for one in value["parameters"].as_array().into_iter().flatten() {
        bytes(8, &parameter(one), &mut out);
    }
    let response = |value: &Value| {
        let mut out = Vec::new();
        text(&mut out, 1, &value["description"]);
        if value["schema"].is_object() {
            bytes(2, &within(1, &schema(&value["schema"])), &mut out);
        }
        within(1, &out)
    };
    let mut responses = Vec::new();
    for (code, value) in value["responses"].as_object().into_iter().flatten() {
        bytes(1, &pair(code, &response(value)), &mut responses);
    }
    bytes(9, &responses, &mut out);
    if let Some(map) = value.as_object() {
        extensions(&mut out, 13, map);
    }
    out
}

/// A parameter, in the three messages that are around each.
fn parameter(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let required = u64::from(value["required"] == true);
    if value["in"] == "body" {
        text(&mut out, 2, &value["name"]);
        text(&mut out, 3, &value["in"]);
        varint_field(4, required, &mut out);
        bytes(5, &schema(&value["schema"]), &mut out);
        return within(1, &within(1, &out));
    }
    // Numbers of `type` and `uniqueItems`: parameters of queries may be empty, so there is a field more.
    let (own, kind, unique) = if value["in"] == "path" { (4, 5, 19) } else { (3, 6, 20) };
    varint_field(1, required, &mut out);
    text(&mut out, 2, &value["in"]);
    text(&mut out, 4, &value["name"]);
    text(&mut out, kind, &value["type"]);
    varint_field(unique, u64::from(value["uniqueItems"] == true), &mut out);
    within(1, &within(2, &within(own, &out)))
}
