//! How a value is owned and merged: as a whole, by its fields, or by its items. The types say so.

use super::set::Set;
use crate::schema::Schema;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What a value is to its owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One thing: a scalar, or a map or list that has one owner.
    Leaf,
    /// Every field has its owners.
    Fields,
    /// Every item has its owners, and is known by its keys or its value.
    Items,
}

/// The shape of a value of a type. A null is what its type says; without a type maps have fields, and all else is one thing.
pub(super) fn shape(schema: Schema<'_>, value: &Value) -> Shape {
    match value {
        Value::Object(_) => fields(schema),
        Value::Array(_) => items(schema),
        Value::Null if schema.is("array") => items(schema),
        Value::Null if schema.is("object") || !schema.is_known() => fields(schema),
        _ => Shape::Leaf,
    }
}

fn fields(schema: Schema<'_>) -> Shape {
    if schema.is_atomic_map() { Shape::Leaf } else { Shape::Fields }
}

fn items(schema: Schema<'_>) -> Shape {
    if matches!(schema.list_type(), "map" | "set") { Shape::Items } else { Shape::Leaf }
}

/// A map, if there is one.
pub(super) fn map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// A list's items, if there are any.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether there is nothing in a map or list.
pub(super) fn is_hollow(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

/// How an item of a list is known.
pub(super) fn element(schema: Schema<'_>, item: &Value) -> Result<String, String> {
    if schema.list_type() == "set" {
        return match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => {
                Err("not supported: associative list with lists as elements".to_owned())
            }
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null"
                    .to_owned())
            }
            scalar => Ok(format!("v:{scalar}")),
        };
    }
    let Some(map) = item.as_object() else {
        let what = if item.is_null() { "a null element" } else { "non-map elements" };
        return Err(format!("associative list with keys may not have {what}"));
    };
    let mut keys = schema.list_keys();
    keys.sort_unstable();
    let mut own = Map::new();
    for key in &keys {
        match map.get(*key) {
            Some(value) => own.insert((*key).to_owned(), value.clone()),
            // The one key with a default: a port without protocol is of TCP.
            None if *key == "protocol" => own.insert((*key).to_owned(), "TCP".into()),
            None => None,
        };
    }
    if own.is_empty() {
        let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            keys.join(" ")
        ));
    }
    Ok(format!("k:{}", Value::Object(own)))
}

/// The type below a path element.
pub(super) fn below<'a>(schema: Schema<'a>, element: &str) -> Schema<'a> {
    match element.strip_prefix("f:") {
        Some(name) => schema.field(name),
        None => schema.items(),
    }
}

/// All fields of an object that was applied: what its manager will own. Errors name the place.
pub(super) fn fields_of(schema: Schema<'_>, value: &Value) -> Result<Set, String> {
    let mut set = Set::default();
    match shape(schema, value) {
        Shape::Leaf => set.member = true,
        Shape::Fields => {
            for (key, value) in map(Some(value)).into_iter().flatten() {
                let mut under = fields_of(schema.field(key), value).map_err(|why| at(key, &why))?;
                let hollow = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                under.member |= hollow || !schema.names(key);
                set.put(format!("f:{key}"), under);
            }
        }
        Shape::Items => {
            for (index, item) in list(Some(value)).iter().enumerate() {
                let element =
                    element(schema, item).map_err(|why| format!(": element {index}: {why}"))?;
                let mut under = fields_of(schema.items(), item)?;
                under.member = true;
                if set.children.contains_key(&element) {
                    return Err(format!(
                        ": duplicate entries for key {}",
                        super::set::shown(&[&element])
                    ));
                }
                set.put(element, under);
            }
        }
    }
    Ok(set)
}

/// The same of what is stored, where an item may occur twice or lack its keys.
pub(super) fn fields_of_any(schema: Schema<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    match shape(schema, value) {
        Shape::Leaf => set.member = true,
        Shape::Fields => {
            for (key, value) in map(Some(value)).into_iter().flatten() {
                let mut under = fields_of_any(schema.field(key), value);
                let hollow = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                under.member |= hollow || !schema.names(key);
                set.put(format!("f:{key}"), under);
            }
        }
        Shape::Items => {
            let mut twice = BTreeSet::new();
            for item in list(Some(value)) {
                let Ok(element) = element(schema, item) else { continue };
                let mut under = Set { member: true, ..Set::default() };
                // What occurs twice is one thing to its owners.
                if set.children.contains_key(&element) {
                    twice.insert(element.clone());
                }
                if !twice.contains(&element) {
                    under = fields_of_any(schema.items(), item);
                    under.member = true;
                }
                set.put(element, under);
            }
        }
    }
    set
}

/// A reason with a field before it.
fn at(key: &str, why: &str) -> String {
    format!(".{key}{why}")
}

/// The same set, with named fields that have members below them.
pub(super) fn with_named(schema: Schema<'_>, set: &Set) -> Set {
    let mut out = Set { member: set.member, ..Set::default() };
    for (element, under) in set.children.iter() {
        let mut own = with_named(below(schema, element), under);
        let named = element.strip_prefix("f:").is_some_and(|name| schema.names(name));
        own.member |= named && !under.children.is_empty();
        out.children.insert(element.clone(), own);
    }
    out
}
