//! Types out of OpenAPI schemas (`apiserver/pkg/cel/common`).

use crate::types::{Field, ListKind, ListType, ObjectType, Type};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name by which an expression calls a field, or `None` where it cannot.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let mut out = String::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let (said, length) = match c {
            '_' if rest.starts_with("__") => ("__underscores__", 2),
            '.' => ("__dot__", 1),
            '-' => ("__dash__", 1),
            '/' => ("__slash__", 1),
            c if c.is_ascii_alphanumeric() || c == '_' => {
                out.push(c);
                ("", 1)
            }
            _ => return None,
        };
        out.push_str(said);
        rest = &rest[length..];
    }
    Some(out)
}

impl Type {
    /// The type of what a schema describes; `None` where expressions cannot see it. The root of an object has its names whatever the schema says.
    pub fn of_schema(schema: &Value, is_root: bool) -> Option<Self> {
        if schema["x-kubernetes-int-or-string"] == true {
            return Some(Self::Dyn);
        }
        let is_root = is_root || schema["x-kubernetes-embedded-resource"] == true;
        let format = schema["format"].as_str().unwrap_or_default();
        Some(match schema["type"].as_str()? {
            "array" => {
                let items = schema.get("items").filter(|items| items.is_object())?;
                let of = Self::of_schema(items, false)?;
                Self::List(Arc::new(ListType { of, kind: list_kind(schema) }))
            }
            "object" => {
                let any = schema.get("additionalProperties").filter(|any| any.is_object());
                if let Some(any) = any.filter(|_| !is_root) {
                    return Some(Self::map(Self::Text, Self::of_schema(any, false)?));
                }
                Self::Object(Arc::new(object(schema["properties"].as_object(), is_root)))
            }
            "string" => match format {
                "byte" => Self::Bytes,
                "duration" => Self::Duration,
                "date" | "date-time" => Self::Timestamp,
                _ => Self::Text,
            },
            "boolean" => Self::Bool,
            "number" => Self::Double,
            "integer" => Self::Int,
            _ => return None,
        })
    }
}

fn list_kind(schema: &Value) -> ListKind {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            let keys = keys.into_iter().flatten().filter_map(Value::as_str);
            ListKind::Map(keys.map(str::to_owned).collect())
        }
        _ => ListKind::Atomic,
    }
}

fn object(properties: Option<&Map<String, Value>>, is_root: bool) -> ObjectType {
    let mut fields = BTreeMap::new();
    for (json, schema) in properties.into_iter().flatten() {
        let kind = Type::of_schema(schema, false);
        if let (Some(name), Some(kind)) = (escape(json), kind) {
            fields.insert(name, Field { json: json.clone(), kind });
        }
    }
    if is_root {
        let names = Type::object(vec![("name", Type::Text), ("generateName", Type::Text)]);
        for (name, kind) in [("apiVersion", Type::Text), ("kind", Type::Text), ("metadata", names)]
        {
            fields.insert(name.to_owned(), Field { json: name.to_owned(), kind });
        }
    }
    ObjectType { fields }
}
