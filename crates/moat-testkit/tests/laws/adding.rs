//! What one more or one less rule, policy or pod may change.

use crate::edit::{LISTS, is_network_policy, isolates, other_policy, pick};
use crate::{Change, Relation};
use moat_testkit::point::End;
use moat_testkit::rng::Rng;
use moat_testkit::{Json, engine, wire};
use serde_json::json;

/// Adds a rule to a NetworkPolicy, in a direction in which it isolates already: with `policyTypes` left out, a first egress rule
/// would start isolation.
pub(crate) fn rule(objects: &[Json], rng: &mut Rng) -> Option<Change> {
    let (list, peers) = *rng.pick(&LISTS);
    let at = pick(objects, rng, |object| is_network_policy(object) && isolates(object, list))?;
    let mut rule = one_rule(rng, list, peers);
    if rng.one_in(4) {
        rule[peers] = json!([]);
    }
    let mut changed = objects.to_vec();
    let mut rules = wire::items(&changed[at]["spec"][list]).to_vec();
    rules.insert(rng.below(rules.len() + 1), rule);
    changed[at]["spec"][list] = json!(rules);
    Some(Change::new(changed, Relation::NotLess))
}

/// A rule of some other policy, turned to this direction when it has none.
fn one_rule(rng: &mut Rng, list: &str, peers: &str) -> Json {
    let policy = other_policy(rng);
    let (other_list, other_peers) = if list == "ingress" { LISTS[1] } else { LISTS[0] };
    for (list, key) in [(list, peers), (other_list, other_peers)] {
        if let [first, ..] = wire::items(&policy["spec"][list]) {
            let mut rule = json!({});
            first.get(key).into_iter().for_each(|found| rule[peers] = found.clone());
            first.get("ports").into_iter().for_each(|found| rule["ports"] = found.clone());
            return rule;
        }
    }
    json!({})
}

/// Leaves a rule of a NetworkPolicy out, so that it isolates as before.
pub(crate) fn rule_less(objects: &[Json], rng: &mut Rng) -> Option<Change> {
    let (list, _) = *rng.pick(&LISTS);
    let without = |object: &Json, idx: usize| {
        let mut fewer = object.clone();
        if let Some(rules) = fewer["spec"][list].as_array_mut() {
            rules.remove(idx);
        }
        fewer
    };
    let at = pick(objects, rng, |object| {
        is_network_policy(object)
            && isolates(object, list)
            && !wire::items(&object["spec"][list]).is_empty()
            && isolates(&without(object, 0), list)
    })?;
    let mut changed = objects.to_vec();
    let idx = rng.below(wire::items(&objects[at]["spec"][list]).len());
    changed[at] = without(&objects[at], idx);
    Some(Change::new(changed, Relation::NotMore))
}

/// Adds a policy that selects some of the pods another selects, in directions in which that one isolates.
pub(crate) fn policy_on_isolated(objects: &[Json], rng: &mut Rng) -> Option<Change> {
    let at = pick(objects, rng, |object| {
        is_network_policy(object) && LISTS.iter().any(|(list, _)| isolates(object, list))
    })?;
    let there = &objects[at];
    let mut policy = other_policy(rng);
    let mut types: Vec<&str> = Vec::new();
    for (list, name) in [("ingress", "Ingress"), ("egress", "Egress")] {
        if isolates(there, list) {
            types.push(name);
        }
    }
    if types.len() == 2 && rng.eighths(3) {
        types.remove(rng.below(2));
    }
    policy["metadata"] = json!({"name": "added", "namespace": wire::namespace(there)});
    policy["spec"]["policyTypes"] = json!(types);
    policy["spec"]["podSelector"] = there["spec"]["podSelector"].clone();
    if rng.eighths(2) {
        let narrower = json!({"key": "app", "operator": "NotIn", "values": ["c"]});
        let selector = &mut policy["spec"]["podSelector"];
        let mut list = wire::items(&selector["matchExpressions"]).to_vec();
        list.push(narrower);
        selector["matchExpressions"] = json!(list);
    }
    let mut changed = objects.to_vec();
    changed.push(policy);
    Some(Change::new(changed, Relation::NotLess))
}

/// Adds any policy; only the halves of pods it selects may change.
pub(crate) fn policy(objects: &[Json], rng: &mut Rng) -> Option<Change> {
    let at = pick(objects, rng, |object| wire::kind(object) == "Pod")?;
    let namespace = wire::namespace(&objects[at]).to_owned();
    let mut policy = other_policy(rng);
    policy["metadata"] = json!({"name": "added", "namespace": namespace});
    let mut changed = objects.to_vec();
    changed.push(policy);
    let lowered = engine::lower(&changed);
    let added = lowered.policies.iter().find(|policy| policy.id.name.as_ref() == "added")?;
    let selected = lowered.inventory.pods.iter().filter(|pod| {
        pod.namespace.as_ref() == namespace && added.subject.pods.matches(&pod.labels)
    });
    let ends = selected
        .map(|pod| End::Pod { namespace: namespace.clone(), name: pod.name.to_string() })
        .collect();
    Some(Change::new(changed, Relation::SameBut(ends)))
}

/// Adds a pod at an address no one asks about, in a namespace of its own or not.
pub(crate) fn pod(objects: &[Json], rng: &mut Rng) -> Option<Change> {
    let at = pick(objects, rng, |object| wire::kind(object) == "Pod")?;
    let mut changed = objects.to_vec();
    let mut pod = objects[at].clone();
    // A hostNetwork pod would say which node has its address.
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("hostNetwork");
    }
    let address = "10.77.66.55";
    pod["status"] = json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]});
    pod["metadata"]["name"] = json!("added");
    match rng.below(4) {
        0 => {
            pod["metadata"]["namespace"] = json!("extra");
            changed.push(json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "extra", "labels": {"team": "x"}},
            }));
        }
        1 => pod["metadata"]["namespace"] = json!("extra"),
        2 => pod["metadata"]["labels"] = json!({"app": "z", "tier": "f"}),
        _ => {}
    }
    changed.push(pod);
    rng.shuffle(&mut changed);
    Some(Change::new(changed, Relation::Same))
}
