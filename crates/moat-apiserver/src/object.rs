//! Objects as the server holds them: JSON values whose metadata it reads and writes, and the bytes that are stored and sent.

use crate::kinds::Kind;
use moat_store::{Body, Object};
use serde::Serialize;
use serde_json::{Map, Value};

/// A text inside an object by JSON pointer, or nothing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number inside an object.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    at(object, pointer).and_then(Value::as_i64)
}

/// A list inside an object, or an empty one.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The value at a JSON pointer. `Value::pointer` makes two texts of every step, to take escapes out; where there is none, nothing has to be made.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return object.pointer(pointer);
    }
    let mut steps = pointer.split('/');
    if steps.next() != Some("") {
        return None;
    }
    steps.try_fold(object, |value, step| match value {
        Value::Object(map) => map.get(step),
        // An index has no sign and no zeros before it.
        Value::Array(items) => match step.as_bytes() {
            [b'0'] | [b'1'..=b'9', ..] => items.get(step.parse::<usize>().ok()?),
            _ => None,
        },
        _ => None,
    })
}

/// A field of the metadata.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// The map at a field of a map, made if it is missing, null or something else.
pub(crate) fn map_mut<'a>(
    map: &'a mut Map<String, Value>,
    field: &str,
) -> &'a mut Map<String, Value> {
    let slot = map.entry(field).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(inner) => inner,
        _ => unreachable!("it was made an object above"),
    }
}

/// The metadata, made if it is missing.
pub(crate) fn meta_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(object, "metadata")
}

/// Gives `new` what `old` says in a field of its metadata, or takes it away.
pub(crate) fn keep_meta(new: &mut Value, old: &Value, field: &str) {
    let kept = old["metadata"].get(field).cloned();
    let metadata = meta_mut(new);
    match kept {
        Some(value) => metadata.insert(field.to_owned(), value),
        None => metadata.shift_remove(field),
    };
}

/// What a client says of an object in its metadata is as it was (upstream's `ResetObjectMetaForStatus`).
pub(crate) fn keep_said(new: &mut Value, old: &Value) {
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        keep_meta(new, old, field);
    }
}

/// A map inside an object, made if it is missing.
pub(crate) fn child_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    match object {
        Value::Object(map) => map_mut(map, field),
        _ => unreachable!("it was made an object above"),
    }
}

/// Sets a field if it is missing or null: what a default is.
pub(crate) fn default(map: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    let slot = map.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = value.into();
    }
}

/// The finalizers.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    list(object, "/metadata/finalizers").iter().filter_map(Value::as_str).collect()
}

/// Whether somebody asked for its deletion.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether two objects differ in nothing but what every write changes.
pub(crate) fn same(old: &Value, new: &Value) -> bool {
    same_but(old, new, "metadata")
        && same_but(&old["metadata"], &new["metadata"], "resourceVersion")
}

/// Whether two maps are the same but for one field.
pub(crate) fn same_but(left: &Value, right: &Value, field: &str) -> bool {
    let (Some(left), Some(right)) = (left.as_object(), right.as_object()) else {
        return left == right;
    };
    let rest = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key(field));
    rest(left) == rest(right)
        && left.iter().all(|(key, value)| key == field || right.get(key) == Some(value))
}

/// Takes out nulls, which Go's types cannot hold and so never store. Maps inside lists are meant too; a null item of a list stays.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Drops what Go does not write when it is empty.
pub(crate) fn drop_empty_metadata(object: &mut Value) {
    let empty = |value: &Value| {
        value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
    };
    meta_mut(object).retain(|key, value| {
        !(matches!(key.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences")
            && empty(value))
    });
}

/// The bytes that are stored: with kind and metadata first, and a gap into which the store puts the revision.
pub(crate) fn encode(kind: &Kind, object: &Value) -> Body {
    // Most objects fit, so that writing them is one allocation.
    let mut bytes = Vec::with_capacity(4096);
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{{\"resourceVersion\":\"",
        kind.kind,
        kind.api_version()
    );
    bytes.extend_from_slice(head.as_bytes());
    let gap = bytes.len();
    bytes.push(b'"');
    for (key, value) in object["metadata"].as_object().into_iter().flatten() {
        if key != "resourceVersion" {
            field(&mut bytes, key, value);
        }
    }
    bytes.push(b'}');
    for (key, value) in object.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
            field(&mut bytes, key, value);
        }
    }
    bytes.push(b'}');
    Body::stamped(bytes, gap)
}

fn field(bytes: &mut Vec<u8>, key: &str, value: &Value) {
    bytes.push(b',');
    put(key, bytes);
    bytes.push(b':');
    put(value, bytes);
}

/// Appends a value as JSON.
pub(crate) fn put<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing values and texts to memory does not fail.
    let _ = serde_json::to_writer(out, value);
}

/// A stored object as a value. What is stored was encoded here, so it can be read; a store that was spoilt gives null.
pub(crate) fn decode(object: &Object) -> Value {
    serde_json::from_slice(&object.value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_at_a_pointer_is_what_serde_json_finds_there() {
        let value = json!({"a": [{"b": 1}, 2], "": {"": 3}, "c/d": {"e~f": 4}, "0": 5});
        for pointer in [
            "",
            "/",
            "//",
            "/a",
            "a",
            "/a/0",
            "/a/0/b",
            "/a/00",
            "/a/01",
            "/a/+1",
            "/a/1",
            "/a/2",
            "/a/-",
            "/a/",
            "/a/1/x",
            "/0",
            "/c~1d",
            "/c~1d/e~0f",
            "/c/d",
            "/a/99999999999999999999",
            "/missing/b",
        ] {
            assert_eq!(at(&value, pointer), value.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn stored_bytes_carry_the_revision_of_their_write() {
        let kinds = crate::kinds::built_in();
        let kind = kinds.iter().find(|kind| kind.kind == "ConfigMap").unwrap();
        let store = moat_store::Store::in_memory(moat_store::Options::default());
        let key =
            moat_store::Key::new(&moat_store::Resource::new("c").unwrap(), None, "a").unwrap();
        let object =
            json!({"data": {"k\"": "v"}, "metadata": {"resourceVersion": "7", "name": "a"}});
        let write = moat_store::Write::Create { key, body: encode(kind, &object) };
        let stored = store.submit(vec![write]).wait().unwrap().remove(0).unwrap();
        let want = format!(
            r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"resourceVersion":"{}","name":"a"}},"data":{{"k\"":"v"}}}}"#,
            stored.revision
        );
        assert_eq!(stored.value, want);
    }
}
