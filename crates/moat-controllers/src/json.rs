//! Looking into objects and changing them.

use serde_json::{Map, Value};

/// A whole number by JSON pointer.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// A text by JSON pointer, or nothing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list by JSON pointer, or an empty one.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An annotation.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// The revision that a written object has, or 0.
pub(crate) fn revision(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().unwrap_or(0)
}

/// Sets a field below, making maps on the way.
pub(crate) fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *object = value;
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    if let Some(map) = object.as_object_mut() {
        set(map.entry((*first).to_owned()).or_insert(Value::Null), rest, value);
    }
}

/// A number or a share of a whole, as `25%`.
pub(crate) fn share(value: Option<&Value>, of: i64, up: bool) -> i64 {
    match value {
        Some(Value::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let whole = percent.saturating_mul(of);
            if up { (whole + 99).div_euclid(100) } else { whole.div_euclid(100) }
        }
        Some(value) => value.as_i64().unwrap_or(0),
        None => 0,
    }
}

/// Seconds since 1970 of a time in an object.
pub(crate) fn seconds(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// A time as objects have it.
pub(crate) fn time(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A condition of a status by its type.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status.get("conditions")?.as_array()?.iter().find(|one| one["type"] == kind)
}

/// The owners of an object as they are written, without one of them.
pub(crate) fn owners_but(meta: &moat_informer::Meta, uid: &str) -> Vec<Value> {
    let others = meta.owner_references.iter().filter(|owner| *owner.uid != *uid);
    others.map(owner).collect()
}

/// An owner as it is written.
pub(crate) fn owner(owner: &moat_informer::Owner) -> Value {
    serde_json::json!({
        "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid,
        "controller": owner.controller, "blockOwnerDeletion": owner.block_owner_deletion,
    })
}
