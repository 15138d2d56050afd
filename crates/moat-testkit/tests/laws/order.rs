//! The order of whatever the API treats as a set.

use crate::edit::{LISTS, is_network_policy};
use crate::{Change, Relation};
use moat_testkit::rng::Rng;
use moat_testkit::{Json, wire};

/// Lists whose order says nothing, in every kind of policy.
const SETS: [&str; 10] = [
    "from",
    "to",
    "ports",
    "protocols",
    "matchExpressions",
    "values",
    "except",
    "networks",
    "domainNames",
    "policyTypes",
];

/// Shuffles objects, the fields of every mapping, and within policies every list whose order says nothing. The rules of a cluster
/// policy stay in order, for there the first wins.
pub(crate) fn shuffled(objects: &[Json], rng: &mut Rng) -> Option<Change> {
    if objects.len() < 2 {
        return None;
    }
    let mut objects = objects.to_vec();
    rng.shuffle(&mut objects);
    for object in &mut objects {
        let policy = wire::is_policy(object);
        if is_network_policy(object) {
            for (list, _) in LISTS {
                if let Some(rules) = object["spec"].get_mut(list).and_then(Json::as_array_mut) {
                    rng.shuffle(rules);
                }
            }
        }
        wire::walk_mut(object, &mut |map| {
            let mut entries: Vec<_> = core::mem::take(map).into_iter().collect();
            rng.shuffle(&mut entries);
            for (key, value) in &mut entries {
                if let Some(items) = value.as_array_mut().filter(|_| policy)
                    && SETS.contains(&key.as_str())
                {
                    rng.shuffle(items);
                }
            }
            map.extend(entries);
        });
    }
    Some(Change::new(objects, Relation::SamePolicies))
}
