//! Names mean nothing, except the order of cluster policies of equal priority and what a selector says of a namespace's name.

use crate::edit::{is_cluster_policy, is_network_policy, pick};
use crate::{Change, Relation};
use moat_testkit::point::End;
use moat_testkit::rng::Rng;
use moat_testkit::{Json, wire};
use serde_json::json;
use std::collections::BTreeMap;

/// Gives every policy another name. Cluster policies keep their order by name, which breaks ties of priority.
pub(crate) fn policies(objects: &[Json], rng: &mut Rng) -> Option<Change> {
    let mut changed = objects.to_vec();
    let mut cluster: Vec<&str> =
        objects.iter().filter(|object| is_cluster_policy(object)).map(wire::name).collect();
    cluster.sort_unstable();
    let mut fresh: Vec<usize> = (0..objects.len()).collect();
    rng.shuffle(&mut fresh);
    let mut old_names = BTreeMap::new();
    for (object, fresh) in changed.iter_mut().zip(fresh) {
        let name = wire::name(object).to_owned();
        let (new, ids) = if is_network_policy(object) {
            let new = format!("n{fresh}.x");
            let namespace = wire::namespace(object);
            let ids = (format!("np/{namespace}/{new}"), format!("np/{namespace}/{name}"));
            (new, ids)
        } else if let Ok(place) = cluster.binary_search(&name.as_str())
            && is_cluster_policy(object)
        {
            let new = format!("k{place}");
            let ids = (format!("cnp/{new}"), format!("cnp/{name}"));
            (new, ids)
        } else {
            continue;
        };
        object["metadata"]["name"] = json!(new);
        old_names.insert(ids.0, ids.1);
    }
    if old_names.is_empty() {
        return None;
    }
    let mut change = Change::new(changed, Relation::Same);
    change.policy = Box::new(move |name| old_names[name].clone());
    Some(change)
}

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Gives a namespace another name, wherever it is written.
pub(crate) fn namespace(objects: &[Json], rng: &mut Rng) -> Option<Change> {
    let at = pick(objects, rng, |object| !wire::namespace(object).is_empty())?;
    let old = wire::namespace(&objects[at]).to_owned();
    // Names before and after all others, so that sorting by name shows.
    let new = (*rng.pick(&["a0", "zz"])).to_owned();
    let mut changed = objects.to_vec();
    for object in &mut changed {
        if wire::kind(object) == "Namespace" && wire::name(object) == old {
            object["metadata"]["name"] = json!(new);
        }
        if wire::namespace(object) == old {
            object["metadata"]["namespace"] = json!(new);
        }
        wire::walk_mut(object, &mut |map| {
            if map.get("key").is_some_and(|key| key == NAME_LABEL)
                && let Some(values) = map.get_mut("values").and_then(Json::as_array_mut)
            {
                values
                    .iter_mut()
                    .filter(|value| **value == *old)
                    .for_each(|value| *value = json!(new));
            }
            if let Some(value) = map.get_mut(NAME_LABEL).filter(|value| **value == *old) {
                *value = json!(new);
            }
        });
    }
    let mut change = Change::new(changed, Relation::Same);
    let (prefix, old_prefix) = (format!("np/{new}/"), format!("np/{old}/"));
    change.policy = Box::new(move |name| match name.strip_prefix(&prefix) {
        Some(name) => format!("{old_prefix}{name}"),
        None => name.to_owned(),
    });
    change.end = Box::new(move |end| match end {
        End::Pod { namespace, name } if *namespace == old => {
            End::Pod { namespace: new.clone(), name: name.clone() }
        }
        other => other.clone(),
    });
    Some(change)
}
