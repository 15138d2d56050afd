//! Lays what was applied over what there is, and takes out what is applied no more.

use super::set::Set;
use super::shape::{Shape, element, is_hollow, list, map, shape};
use crate::schema::Schema;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The live value with the applied one laid over it.
pub(super) fn merge(
    schema: Schema<'_>,
    live: Option<&Value>,
    applied: Option<&Value>,
) -> Result<Option<Value>, String> {
    let (Some(under), Some(over)) = (live, applied) else {
        return Ok(applied.or(live).cloned());
    };
    let (below, above) = (shape(schema, under), shape(schema, over));
    // A null is of whatever shape the other side is.
    let same = if over.is_null() {
        below
    } else if under.is_null() || below == above {
        above
    } else {
        Shape::Leaf
    };
    if same == Shape::Leaf || is_hollow(live) && is_hollow(applied) {
        return Ok(Some(over.clone()));
    }
    if same == Shape::Items {
        return items(schema, list(live), list(applied)).map(Some);
    }
    let mut out = Map::new();
    let applied = map(applied);
    for (key, value) in map(live).into_iter().flatten() {
        let over = applied.and_then(|applied| applied.get(key));
        if let Some(merged) = merge(schema.field(key), Some(value), over)? {
            out.insert(key.clone(), merged);
        }
    }
    for (key, value) in applied.into_iter().flatten() {
        if !out.contains_key(key) {
            out.insert(key.clone(), value.clone());
        }
    }
    Ok(Some(Value::Object(out)))
}

/// Items known by their keys. Those that were applied come in the order in which they were applied; the others stay behind the neighbour
/// that they had.
fn items(schema: Schema<'_>, live: &[Value], applied: &[Value]) -> Result<Value, String> {
    let known = |items: &[Value]| -> Result<Vec<String>, String> {
        items.iter().map(|item| element(schema, item)).collect()
    };
    let (left, right) = (known(live)?, known(applied)?);
    let mut over: BTreeMap<&str, &Value> = BTreeMap::new();
    for (element, item) in right.iter().zip(applied) {
        if over.insert(element, item).is_some() {
            return Err(format!("duplicate entries for key {}", super::set::shown(&[element])));
        }
    }
    let mut under: BTreeMap<&str, Option<&Value>> = BTreeMap::new();
    for (element, item) in left.iter().zip(live) {
        // Items that occur twice are not merged with the new one.
        under.entry(element).and_modify(|slot| *slot = None).or_insert(Some(item));
    }
    let mut shared = right.iter().filter(|element| under.contains_key(element.as_str())).peekable();
    let (mut out, mut done) = (Vec::new(), BTreeSet::new());
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if let (Some(own), Some(next)) = (left.get(l), right.get(r)) {
            if own == next {
                done.insert(own.as_str());
                out.extend(merged(schema, &under, &over, own)?);
                (l, r) = (l + 1, r + 1);
                shared.next();
                continue;
            }
            // A shared item, but not the one whose turn it is.
            if over.contains_key(own.as_str()) && shared.peek().is_some_and(|next| *next != own) {
                l += 1;
                continue;
            }
        }
        if let Some(own) = left.get(l) {
            if !over.contains_key(own.as_str()) {
                out.extend(live.get(l).cloned());
                l += 1;
                continue;
            }
            if done.contains(own.as_str()) {
                l += 1;
            }
        }
        if let Some(next) = right.get(r) {
            done.insert(next.as_str());
            out.extend(merged(schema, &under, &over, next)?);
            r += 1;
            if shared.peek() == Some(&next) {
                shared.next();
            }
        }
    }
    Ok(Value::Array(out))
}

fn merged(
    schema: Schema<'_>,
    under: &BTreeMap<&str, Option<&Value>>,
    over: &BTreeMap<&str, &Value>,
    element: &str,
) -> Result<Option<Value>, String> {
    let live = under.get(element).copied().flatten();
    merge(schema.items(), live, over.get(element).copied())
}

/// The value without the fields of a set. What was emptied stays, empty.
pub(super) fn without(schema: Schema<'_>, value: &Value, gone: &Set) -> Value {
    match (shape(schema, value), value) {
        (Shape::Fields, Value::Object(map)) => {
            let mut out = Map::new();
            for (key, value) in map {
                match gone.children.get(&format!("f:{key}")) {
                    Some(set) if set.member => {}
                    Some(set) => {
                        out.insert(key.clone(), without(schema.field(key), value, set));
                    }
                    None => {
                        out.insert(key.clone(), value.clone());
                    }
                }
            }
            Value::Object(out)
        }
        (Shape::Items, Value::Array(items)) => {
            let mut out = Vec::new();
            for item in items {
                let set = element(schema, item).ok().and_then(|own| gone.children.get(&own));
                match set {
                    Some(set) if set.member => {}
                    Some(set) => out.push(without(schema.items(), item, set)),
                    None => out.push(item.clone()),
                }
            }
            Value::Array(out)
        }
        _ => value.clone(),
    }
}
