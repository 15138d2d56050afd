//! Making a failing world small: objects go first, then items of lists inside policies, then labels.

use crate::Json;
use crate::wire;

/// The smallest world found by leaving things out while `fails` stays true.
#[must_use]
pub fn smallest(mut objects: Vec<Json>, fails: &dyn Fn(&[Json]) -> bool) -> Vec<Json> {
    loop {
        let before = objects.clone();
        let mut at = 0;
        while at < objects.len() {
            let mut fewer = objects.clone();
            fewer.remove(at);
            if fails(&fewer) {
                objects = fewer;
            } else {
                at += 1;
            }
        }
        for at in 0..objects.len() {
            if wire::is_policy(&objects[at]) {
                while let Some(smaller) = smaller(&objects, at, fails) {
                    objects[at] = smaller;
                }
            }
        }
        if objects == before {
            return objects;
        }
    }
}

/// The policy at an index with one list item or selector entry less, if the world still fails with it.
fn smaller(objects: &[Json], at: usize, fails: &dyn Fn(&[Json]) -> bool) -> Option<Json> {
    let mut places = Vec::new();
    list_items(&objects[at], String::new(), &mut places);
    places.into_iter().find_map(|(list, item)| {
        let mut changed = objects.to_vec();
        match changed[at].pointer_mut(&list)? {
            Json::Array(items) => {
                items.remove(item);
                // An empty list can mean the opposite of a list with one item.
                if items.is_empty() {
                    return None;
                }
            }
            Json::Object(map) => {
                let key = map.keys().nth(item)?.clone();
                map.remove(&key);
            }
            _ => return None,
        }
        fails(&changed).then(|| changed.swap_remove(at))
    })
}

/// Every (list or label mapping, index) below a value.
fn list_items(json: &Json, path: String, out: &mut Vec<(String, usize)>) {
    match json {
        Json::Array(items) => {
            out.extend((0..items.len()).map(|idx| (path.clone(), idx)));
            items
                .iter()
                .enumerate()
                .for_each(|(idx, item)| list_items(item, format!("{path}/{idx}"), out));
        }
        Json::Object(map) => {
            if path.ends_with("/matchLabels") {
                out.extend((0..map.len()).map(|idx| (path.clone(), idx)));
            }
            map.iter().for_each(|(key, value)| {
                list_items(value, format!("{path}/{}", key.replace('/', "~1")), out)
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leaves_only_what_matters() {
        let policy =
            json!({"kind": "NetworkPolicy", "spec": {"ingress": [{"a": 1}, {"b": 2}, {"c": 3}]}});
        let objects = vec![json!({"kind": "Pod"}), policy, json!({"kind": "Node"})];
        let fails =
            |objects: &[Json]| objects.iter().any(|object| object.to_string().contains('b'));
        assert_eq!(
            smallest(objects, &fails),
            [json!({"kind": "NetworkPolicy", "spec": {"ingress": [{"b": 2}]}})]
        );
    }
}
