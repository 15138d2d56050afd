//! Finding and changing parts of wire objects.

use moat_testkit::rng::Rng;
use moat_testkit::settings::Settings;
use moat_testkit::{Json, generate, wire};

/// The rule lists of a policy and what their peers are called.
pub(crate) const LISTS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

/// Whether the object is a NetworkPolicy.
pub(crate) fn is_network_policy(object: &Json) -> bool {
    wire::kind(object) == "NetworkPolicy"
}

/// Whether the object is a ClusterNetworkPolicy.
pub(crate) fn is_cluster_policy(object: &Json) -> bool {
    wire::kind(object) == "ClusterNetworkPolicy"
}

/// Whether a NetworkPolicy isolates in the direction of a rule list, as the API server fills in `policyTypes`.
pub(crate) fn isolates(policy: &Json, list: &str) -> bool {
    let spec = &policy["spec"];
    let types = wire::items(&spec["policyTypes"]);
    let wanted = if list == "ingress" { "Ingress" } else { "Egress" };
    match types {
        [] => list == "ingress" || !wire::items(&spec["egress"]).is_empty(),
        _ => types.iter().any(|found| found == wanted),
    }
}

/// The index of one object for which `wanted` holds.
pub(crate) fn pick(
    objects: &[Json],
    rng: &mut Rng,
    wanted: impl Fn(&Json) -> bool,
) -> Option<usize> {
    let found: Vec<usize> = (0..objects.len()).filter(|&idx| wanted(&objects[idx])).collect();
    (!found.is_empty()).then(|| *rng.pick(&found))
}

/// A NetworkPolicy of some other world; one in eight allows everything, so that laws about more and less have something to see.
pub(crate) fn other_policy(rng: &mut Rng) -> Json {
    if rng.one_in(8) {
        return serde_json::json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "other"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]},
        });
    }
    loop {
        let objects = generate::world(rng.next_u64(), &Settings::DEFAULT).objects;
        if let Some(idx) = pick(&objects, rng, is_network_policy) {
            return objects[idx].clone();
        }
    }
}

/// Replaces every rule of every policy by the rules made of it; `None` when that changes nothing.
pub(crate) fn each_rule(
    objects: &[Json],
    mut make: impl FnMut(&Json, &str, bool) -> Vec<Json>,
) -> Option<Vec<Json>> {
    let mut changed = objects.to_vec();
    for object in changed.iter_mut().filter(|object| wire::is_policy(object)) {
        let cluster = is_cluster_policy(object);
        for (list, peers) in LISTS {
            if let Some(rules) = object["spec"].get_mut(list).and_then(Json::as_array_mut) {
                *rules = rules.iter().flat_map(|rule| make(rule, peers, cluster)).collect();
            }
        }
    }
    (changed != objects).then_some(changed)
}
