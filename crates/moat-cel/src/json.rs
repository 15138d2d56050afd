//! Values out of JSON, one level at a time, and the types that schemas give them.

use crate::error::Stop;
use crate::types::{ListKind, Type};
use crate::value::{List, Map, Value};
use base64::Engine;
use serde_json::Value as Json;

static DYN: Type = Type::Dyn;

impl<'a> Value<'a> {
    /// A value of a type out of JSON. Errors: JSON that is not of the type.
    pub fn of_json(json: &'a Json, kind: &'a Type) -> Result<Self, Stop> {
        let wrong = |wanted: &str| {
            Stop::new(format!("invalid data, expected {wanted}, got {}", word(json)))
        };
        Ok(match (kind, json) {
            (_, Json::Null) => Self::Null,
            (_, Json::Bool(value)) => Self::Bool(*value),
            (_, Json::Array(all)) => Self::List(List::Json(all, kind)),
            (_, Json::Object(all)) => Self::Map(Map::Json(all, kind)),
            (Type::Double, Json::Number(number)) => {
                Self::Double(number.as_f64().ok_or_else(|| wrong("float"))?)
            }
            (_, Json::Number(number)) => {
                match (number.as_i64(), number.as_u64(), number.as_f64()) {
                    (Some(value), _, _) => Self::Int(value),
                    (_, Some(value), _) => Self::Uint(value),
                    #[allow(
                        clippy::cast_possible_truncation,
                        reason = "the number is whole and small"
                    )]
                    (_, _, Some(value))
                        if *kind == Type::Int && value.fract() == 0.0 && value.abs() < 9e15 =>
                    {
                        Self::Int(value as i64)
                    }
                    (_, _, Some(value)) => Self::Double(value),
                    _ => return Err(wrong("a number")),
                }
            }
            (Type::Bytes, Json::String(text)) => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text);
                Self::Bytes(
                    bytes
                        .map_err(|why| {
                            Stop::new(format!("Invalid byte formatted string {text}: {why}"))
                        })?
                        .into(),
                )
            }
            (Type::Timestamp, Json::String(text)) => crate::fns::time::timestamp(text)
                .map(Self::Timestamp)
                .ok_or_else(|| Stop::new(format!("Invalid date-time formatted string {text}")))?,
            (Type::Duration, Json::String(text)) => crate::fns::time::duration(text)
                .map(Self::Duration)
                .ok_or_else(|| Stop::new(format!("Invalid duration {text}")))?,
            (_, Json::String(text)) => text.as_str().into(),
        })
    }
}

fn word(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

impl<'a> List<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(all, _) => all.len(),
            Self::Made(all) => all.len(),
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<Result<Value<'a>, Stop>> {
        match self {
            Self::Json(all, kind) => all.get(at).map(|json| Value::of_json(json, element(kind))),
            Self::Made(all) => all.get(at).cloned().map(Ok),
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = Result<Value<'a>, Stop>> + '_ {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    pub(crate) fn all(&self) -> Result<Vec<Value<'a>>, Stop> {
        self.values().collect()
    }

    /// How its elements are told apart.
    pub(crate) fn kind(&self) -> &'a ListKind {
        match self {
            Self::Json(_, Type::List(list)) => &list.kind,
            _ => &ListKind::Atomic,
        }
    }
}

fn element(kind: &Type) -> &Type {
    match kind {
        Type::List(list) => &list.of,
        _ => &DYN,
    }
}

impl<'a> Map<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(all, Type::Object(_)) => all.values().filter(|json| !json.is_null()).count(),
            Self::Json(all, _) => all.len(),
            Self::Made(all) => all.len(),
        }
    }

    /// What is under a key. A field of an object that is null counts as absent.
    pub(crate) fn get(&self, key: &Value<'_>) -> Option<Result<Value<'a>, Stop>> {
        match self {
            Self::Json(all, kind) => {
                let name = key.as_text()?;
                match kind {
                    Type::Object(object) => {
                        let field = object.fields.get(name)?;
                        let json = all.get(&field.json).filter(|json| !json.is_null())?;
                        Some(Value::of_json(json, &field.kind))
                    }
                    Type::Map(map) => all.get(name).map(|json| Value::of_json(json, &map.1)),
                    _ => all.get(name).map(|json| Value::of_json(json, &DYN)),
                }
            }
            Self::Made(all) => all.get(&key.key()?).cloned().map(Ok),
        }
    }

    /// Keys and values. Fields that the type does not have come as they are.
    pub(crate) fn entries(&self) -> Result<Vec<(Value<'a>, Value<'a>)>, Stop> {
        match self {
            Self::Json(all, kind) => all
                .iter()
                .filter(|(_, json)| !(matches!(kind, Type::Object(_)) && json.is_null()))
                .map(|(name, json)| {
                    Ok((name.as_str().into(), Value::of_json(json, self.below(name))?))
                })
                .collect(),
            Self::Made(all) => {
                Ok(all.iter().map(|(key, value)| (key.value(), value.clone())).collect())
            }
        }
    }

    /// The type of what JSON has under a name.
    pub(crate) fn below(&self, name: &str) -> &'a Type {
        match self {
            Self::Json(_, Type::Object(object)) => {
                let field = object.fields.values().find(|field| field.json == name);
                field.map_or(&DYN, |field| &field.kind)
            }
            Self::Json(_, Type::Map(map)) => &map.1,
            _ => &DYN,
        }
    }
}
