//! Strategic merge patches: which lists are merged, and by which key, is data of the types.
//!
//! Directives, as upstream documents them (`strategic-merge-patch.md`): `$patch: replace|delete|merge`, `$retainKeys`,
//! `$setElementOrder/field`, `$deleteFromPrimitiveList/field`.

use crate::schema::Schema;
use crate::status::Status;
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Lays a patch over an object.
pub(super) fn merge(
    object: &mut Value,
    patch: &Map<String, Value>,
    schema: Schema<'_>,
) -> Result<(), Status> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    if let Value::Object(map) = object {
        merge_map(map, patch, schema)?;
    }
    Ok(())
}

fn merge_map(
    old: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    schema: Schema<'_>,
) -> Result<(), Status> {
    match patch.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => {
            *old = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            old.clear();
            return Ok(());
        }
        Some(other) => {
            return Err(Status::bad_request(format!("Unknown patch type found: {other}")));
        }
    }
    if let Some(keys) = patch.get(RETAIN) {
        let keys =
            keys.as_array().ok_or_else(|| Status::bad_request("$retainKeys must be a list"))?;
        old.retain(|key, _| keys.iter().any(|kept| kept == key));
    }
    for (key, items) in patch {
        if let Some(field) = key.strip_prefix(DELETE)
            && let Some(list) = old.get_mut(field).and_then(Value::as_array_mut)
        {
            let gone = items.as_array().map(Vec::as_slice).unwrap_or_default();
            list.retain(|item| !gone.contains(item));
        }
    }
    let ordered = patch.iter().filter_map(|(key, order)| {
        let (field, order) = (key.strip_prefix(ORDER)?, order.as_array()?);
        let before = old.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        Some((field, order, before))
    });
    let ordered: Vec<_> = ordered.collect();
    for (key, value) in patch {
        if key.starts_with('$') {
            continue;
        }
        let below = schema.field(key);
        let merges = below.patch_strategy().split(',').any(|word| word == "merge");
        match value {
            Value::Null => {
                old.shift_remove(key);
            }
            Value::Object(patch) => {
                let slot = old.entry(key.clone()).or_insert(Value::Null);
                // A map that is replaced as a whole says so in the type.
                if below.patch_strategy() == "replace" {
                    *slot = Value::Object(without_directives(patch));
                } else {
                    merge(slot, patch, below)?;
                }
            }
            Value::Array(patch) if merges => {
                let slot = old.entry(key.clone()).or_insert(Value::Null);
                let items = slot.as_array().cloned().unwrap_or_default();
                *slot = Value::Array(merge_list(items, patch, below)?);
            }
            Value::Array(patch) => {
                let items = patch.iter().map(item_without_directives).collect();
                old.insert(key.clone(), Value::Array(items));
            }
            other => {
                old.insert(key.clone(), other.clone());
            }
        }
    }
    for (field, order, before) in ordered {
        if let Some(list) = old.get_mut(field).and_then(Value::as_array_mut) {
            arrange(list, order, &before, schema.field(field).merge_key());
        }
    }
    Ok(())
}

fn merge_list(
    mut old: Vec<Value>,
    patch: &[Value],
    schema: Schema<'_>,
) -> Result<Vec<Value>, Status> {
    let key = schema.merge_key();
    let before = old.clone();
    if key.is_empty() {
        // Plain values: a set.
        for item in patch {
            if !old.contains(item) {
                old.push(item.clone());
            }
        }
        arrange(&mut old, patch, &before, key);
        return Ok(old);
    }
    let is = |item: &Value, directive: &str| item[DIRECTIVE] == directive;
    if patch.iter().any(|item| is(item, "replace")) {
        let kept = patch.iter().filter(|item| {
            item.as_object().is_some_and(|map| map.keys().any(|key| key != DIRECTIVE))
        });
        return Ok(kept.map(item_without_directives).collect());
    }
    for item in patch {
        let Value::Object(map) = item else {
            return Err(Status::bad_request(format!(
                "map: {item} does not contain declared merge key: {key}"
            )));
        };
        let Some(value) = map.get(key) else {
            return Err(Status::bad_request(format!(
                "map: {item} does not contain declared merge key: {key}"
            )));
        };
        let found = old.iter().position(|own| own.get(key) == Some(value));
        match (is(item, "delete"), found) {
            (true, Some(_)) => old.retain(|own| own.get(key) != Some(value)),
            (true, None) => {}
            (false, Some(at)) => merge(&mut old[at], map, schema.items())?,
            (false, None) => {
                // Laid over nothing, so that directives inside it do their work too.
                let mut new = Value::Null;
                merge(&mut new, map, schema.items())?;
                old.push(new);
            }
        }
    }
    arrange(&mut old, patch, &before, key);
    Ok(old)
}

/// Puts items into the order that a client has them in, among those that only the server has.
///
/// The latter keep the order of `before`. One of them goes first where both it and the client's next item were there before, and it was
/// in front; so what the client adds comes before the server's rest (upstream's `normalizeElementOrder`).
fn arrange(list: &mut Vec<Value>, order: &[Value], before: &[Value], key: &str) {
    let same = |a: &Value, b: &Value| {
        if key.is_empty() { a == b } else { a.get(key).is_some() && a.get(key) == b.get(key) }
    };
    let place = |item: &Value, among: &[Value]| among.iter().position(|other| same(other, item));
    let (mut clients, mut servers): (Vec<Value>, Vec<Value>) =
        list.drain(..).partition(|item| place(item, order).is_some());
    clients.sort_by_key(|item| place(item, order));
    servers.sort_by_key(|item| place(item, before).unwrap_or(usize::MAX));
    let mut clients = clients.into_iter().peekable();
    for item in servers {
        let own = place(&item, before);
        let follows = |next: &Value| !matches!((own, place(next, before)), (Some(own), Some(next)) if own < next);
        while let Some(first) = clients.next_if(follows) {
            list.push(first);
        }
        list.push(item);
    }
    list.extend(clients);
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    patch
        .iter()
        .filter(|(key, value)| !key.starts_with('$') && !value.is_null())
        .map(|(key, value)| (key.clone(), item_without_directives(value)))
        .collect()
}

fn item_without_directives(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(without_directives(map)),
        Value::Array(items) => items.iter().map(item_without_directives).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(kind: (&str, &str, &str), mut object: Value, patch: &Value, want: &Value) {
        let schema = Schema::of_kind(kind.0, kind.1, kind.2);
        merge(&mut object, patch.as_object().unwrap(), schema).unwrap();
        assert_eq!(object, *want, "{patch}");
    }

    const POD: (&str, &str, &str) = ("", "v1", "Pod");

    #[test]
    fn items_are_merged_by_the_key_of_their_type() {
        let object = json!({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}], "tolerations": [{"key": "k"}]}});
        check(
            POD,
            object.clone(),
            &json!({"spec": {"containers": [{"name": "b", "image": "z"}, {"name": "c", "image": "w"}], "tolerations": []}}),
            &json!({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "z"}, {"name": "c", "image": "w"}], "tolerations": []}}),
        );
        check(
            POD,
            object.clone(),
            &json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}], "tolerations": null}}),
            &json!({"spec": {"containers": [{"name": "b", "image": "y"}]}}),
        );
        check(
            POD,
            object,
            &json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "n"}]}}),
            &json!({"spec": {"containers": [{"name": "n"}], "tolerations": [{"key": "k"}]}}),
        );
    }

    #[test]
    fn order_and_sets_follow_the_directives() {
        check(
            POD,
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
            &json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}], "containers": [{"name": "c"}]}}),
            &json!({"spec": {"containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}]}}),
        );
        check(
            POD,
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}),
            &json!({"metadata": {"finalizers": ["c", "b"]}}),
        );
    }

    /// What kube-apiserver 1.36 answered.
    #[test]
    fn what_a_patch_adds_comes_before_what_it_does_not_name() {
        check(
            POD,
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
            &json!({"spec": {"containers": [{"name": "c"}]}}),
            &json!({"spec": {"containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}]}}),
        );
        check(
            POD,
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}}),
            &json!({"spec": {"containers": [{"name": "b"}, {"name": "d"}]}}),
            &json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "d"}, {"name": "c"}]}}),
        );
        check(
            POD,
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}}),
            &json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}}),
            &json!({"spec": {"containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}]}}),
        );
    }

    #[test]
    fn keys_are_retained_and_maps_replaced_where_it_is_said() {
        check(
            ("apps", "v1", "Deployment"),
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
            &json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
            &json!({"spec": {"strategy": {"type": "Recreate"}}}),
        );
        check(
            POD,
            json!({"metadata": {"labels": {"a": "b", "c": "d"}}}),
            &json!({"metadata": {"labels": {"$patch": "replace", "e": "f"}}}),
            &json!({"metadata": {"labels": {"e": "f"}}}),
        );
        let schema = Schema::of_kind("", "v1", "Pod");
        let bad = json!({"spec": {"containers": [{"image": "x"}]}});
        assert_eq!(merge(&mut json!({}), bad.as_object().unwrap(), schema).unwrap_err().code, 400);
    }
}
