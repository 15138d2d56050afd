//! Patches: three ways to say what changes. Server-side apply, the fourth, is another way: see `managed`.

mod strategic;

use crate::api::BODY_BYTES_MAX;
use crate::negotiate::{PATCHES, PATCHES_UNTYPED};
use crate::schema::Schema;
use crate::status::{About, Cause, Status};
use json_patch::{AddOperation, PatchOperation};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Operations of one JSON patch (upstream's bound).
const OPERATIONS_MAX: usize = 10_000;

/// Levels of an object that is stored; bodies have fewer than 128 because the parser goes no deeper.
const DEPTH_MAX: usize = 120;

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// RFC 6902: a list of operations.
    Json,
    /// RFC 7386: an object that is laid over.
    Merge,
    /// Kubernetes' own: like a merge, but lists whose items have keys are merged by them.
    Strategic,
}

impl PatchKind {
    pub(crate) fn of(content_type: &str) -> Result<Self, Status> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            _ => Err(Status::unsupported_media_type(PATCHES)),
        }
    }
}

/// A patch that was read.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Map<String, Value>),
}

impl Patch {
    pub(crate) fn new(kind: PatchKind, patch: Value) -> Result<Self, Status> {
        match (kind, patch) {
            (PatchKind::Json, Value::Array(operations)) if OPERATIONS_MAX < operations.len() => {
                Err(Status::bad_request(format!(
                    "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                    operations.len()
                )))
            }
            (PatchKind::Json, patch) => serde_json::from_value(patch)
                .map(Self::Json)
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}"))),
            (PatchKind::Merge, patch @ Value::Object(_)) => Ok(Self::Merge(patch)),
            (PatchKind::Strategic, Value::Object(patch)) => Ok(Self::Strategic(patch)),
            (_, patch) => {
                Err(Status::bad_request(format!("error decoding patch: {patch} is no object")))
            }
        }
    }

    /// The object after the patch. Errors: the patch does not fit the object.
    pub(crate) fn apply(&self, schema: Schema<'_>, object: &Value) -> Result<Value, Status> {
        let mut new = object.clone();
        match self {
            // Upstream's words for a patch that was read and does not fit.
            Self::Json(patch) => operate(&mut new, patch)?,
            Self::Merge(patch) => json_patch::merge(&mut new, patch),
            Self::Strategic(patch) => {
                if schema.is_known() {
                    strategic::merge(&mut new, patch, schema)?;
                } else {
                    // As upstream for kinds without types of its own.
                    return Err(Status::unsupported_media_type(PATCHES_UNTYPED));
                }
            }
        }
        Ok(new)
    }
}

impl Patch {
    /// The refusal of what a patch made of an object: upstream shows the whole of it, or the patch itself where that is a structure of its own.
    pub(crate) fn refused(&self, new: &Value, why: &str) -> Status {
        let shown = match self {
            Self::Strategic(patch) => go_map(patch),
            Self::Json(_) | Self::Merge(_) => {
                let mut new = new.clone();
                if let Some(map) = new.as_object_mut() {
                    map.sort_keys();
                }
                new.to_string()
            }
        };
        let cause = Cause::invalid("patch", &shown.into(), why);
        Status::invalid(About { group: "", resource: "" }, "", &[cause])
    }
}

/// A map as Go prints one: `map[a:1 b:map[c:d]]`.
fn go_map(map: &Map<String, Value>) -> String {
    fn one(value: &Value) -> String {
        match value {
            Value::Object(map) => go_map(map),
            Value::Array(items) => {
                let all: Vec<String> = items.iter().map(one).collect();
                format!("[{}]", all.join(" "))
            }
            Value::String(text) => text.clone(),
            Value::Null => "<nil>".to_owned(),
            other => other.to_string(),
        }
    }
    let mut fields: Vec<(&String, &Value)> = map.iter().collect();
    fields.sort_by_key(|(key, _)| *key);
    let all: Vec<String> =
        fields.into_iter().map(|(key, value)| format!("{key}:{}", one(value))).collect();
    format!("map[{}]", all.join(" "))
}

/// Applies operations, within bounds: ten that copy a list into itself would fill the memory, some thousand that move an object into another
/// one would nest it deeper than any stack.
fn operate(object: &mut Value, patch: &[PatchOperation]) -> Result<(), Status> {
    let mut copied = 0;
    for (at, operation) in patch.iter().enumerate() {
        if let PatchOperation::Copy(copy) = operation {
            copied += object.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
            if BODY_BYTES_MAX < copied {
                return Err(Status::bad_request(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit {BODY_BYTES_MAX}"
                )));
            }
        }
        let operation = lenient(object, operation);
        json_patch::patch(object, std::slice::from_ref(&*operation)).map_err(|_| does_not_fit())?;
        let last = at + 1 == patch.len();
        if (last || at % 64 == 63) && is_deeper(object, DEPTH_MAX) {
            return Err(Status::bad_request(format!(
                "the patched object is nested deeper than {DEPTH_MAX}"
            )));
        }
    }
    Ok(())
}

/// Upstream's library replaces a field of a map that is not there by adding it, other than RFC 6902, section 4.3, has it.
fn lenient<'a>(object: &Value, operation: &'a PatchOperation) -> Cow<'a, PatchOperation> {
    if let PatchOperation::Replace(replace) = operation
        && object.pointer(replace.path.as_str()).is_none()
        && let Some((map, _)) = replace.path.as_str().rsplit_once('/')
        && object.pointer(map).is_some_and(Value::is_object)
    {
        let (path, value) = (replace.path.clone(), replace.value.clone());
        return Cow::Owned(PatchOperation::Add(AddOperation { path, value }));
    }
    Cow::Borrowed(operation)
}

/// Upstream's words for a patch that was read and does not fit the object.
fn does_not_fit() -> Status {
    let mut status = Status::invalid(About { group: "", resource: "" }, "", &[]);
    "the server rejected our request due to an error in our request"
        .clone_into(&mut status.message);
    status.details = Some(Map::new());
    status
}

/// Whether a value has more levels than `most`; looks no deeper than that.
fn is_deeper(value: &Value, most: usize) -> bool {
    match value {
        Value::Object(_) | Value::Array(_) if most == 0 => true,
        Value::Object(map) => map.values().any(|inner| is_deeper(inner, most - 1)),
        Value::Array(items) => items.iter().any(|inner| is_deeper(inner, most - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apply(operations: Value) -> Result<Value, Status> {
        let patch = Patch::new(PatchKind::Json, operations).unwrap();
        patch.apply(Schema::of_kind("", "v1", "ConfigMap"), &json!({"data": {"a": ["x"]}}))
    }

    #[test]
    fn what_a_patch_made_is_shown_where_it_is_refused() {
        let new = json!({"metadata": {"name": "a"}, "apiVersion": "v1", "foo": 1});
        let told = |patch| Patch::refused(&patch, &new, "no").message;
        assert_eq!(
            told(Patch::Merge(json!({"foo": 1}))),
            r#" "" is invalid: patch: Invalid value: "{\"apiVersion\":\"v1\",\"foo\":1,\"metadata\":{\"name\":\"a\"}}": no"#
        );
        let Value::Object(patch) = json!({"foo": 1, "a": {"c": ["x", null, {"d": true}]}}) else {
            panic!()
        };
        assert_eq!(
            told(Patch::Strategic(patch)),
            r#" "" is invalid: patch: Invalid value: "map[a:map[c:[x <nil> map[d:true]]] foo:1]": no"#
        );
    }

    #[test]
    fn operations_are_applied_and_bounded() {
        let fine = apply(
            json!([{"op": "copy", "from": "/data/a", "path": "/data/b"}, {"op": "remove", "path": "/data/a"}]),
        );
        assert_eq!(fine.unwrap(), json!({"data": {"b": ["x"]}}));
        assert_eq!(apply(json!([{"op": "remove", "path": "/none"}])).unwrap_err().code, 422);
        let new = apply(json!([{"op": "replace", "path": "/data/b", "value": 1}]));
        assert_eq!(new.unwrap(), json!({"data": {"a": ["x"], "b": 1}}));
        for path in ["/data/a/1", "/none/b"] {
            let wrong = json!([{"op": "replace", "path": path, "value": 1}]);
            assert_eq!(apply(wrong).unwrap_err().code, 422, "{path}");
        }
        let copies: Vec<Value> = (0..100)
            .map(|_| json!({"op": "copy", "from": "/data/a", "path": "/data/a/-"}))
            .collect();
        assert!(
            apply(copies.into()).unwrap_err().message.starts_with("Unable to complete the copy")
        );
        let nested: Vec<Value> = (0..3000)
            .flat_map(|_| {
                [
                    json!({"op": "add", "path": "/x", "value": {}}),
                    json!({"op": "move", "from": "/data", "path": "/x/data"}),
                    json!({"op": "move", "from": "/x", "path": "/data"}),
                ]
            })
            .collect();
        assert!(
            apply(nested.into()).unwrap_err().message.starts_with("the patched object is nested")
        );
    }
}
