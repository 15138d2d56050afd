//! What may be written in one piece or in several.

use crate::edit::{LISTS, each_rule, is_cluster_policy};
use crate::{Change, Relation};
use moat_sets::Cidr;
use moat_testkit::rng::Rng;
use moat_testkit::{Json, wire};
use serde_json::json;

/// Two policies for every policy with both directions. Rules keep their places.
pub(crate) fn directions(objects: &[Json], _: &mut Rng) -> Option<Change> {
    let mut changed = Vec::new();
    for object in objects {
        if !wire::is_policy(object) {
            changed.push(object.clone());
            continue;
        }
        for ((list, _), (other, _), name) in
            [(LISTS[0], LISTS[1], "Ingress"), (LISTS[1], LISTS[0], "Egress")]
        {
            if !is_cluster_policy(object) && !crate::edit::isolates(object, list) {
                continue;
            }
            let mut half = object.clone();
            if let Some(spec) = half["spec"].as_object_mut() {
                spec.remove(other);
            }
            if !is_cluster_policy(object) {
                half["spec"]["policyTypes"] = json!([name]);
            }
            half["metadata"]["name"] = json!(format!("{}.{list}", wire::name(object)));
            changed.push(half);
        }
    }
    if changed.len() == objects.len() {
        return None;
    }
    let mut change = Change::new(changed, Relation::Same);
    change.policy = Box::new(|name| {
        let name = name.strip_suffix(".ingress").or_else(|| name.strip_suffix(".egress"));
        name.expect("every policy was split").to_owned()
    });
    Some(change)
}

/// One rule for every peer and port of a rule. In a cluster policy they follow each other, so nothing comes between.
pub(crate) fn rules(objects: &[Json], _: &mut Rng) -> Option<Change> {
    let changed = each_rule(objects, |rule, peers, cluster| {
        let ports = if cluster { "protocols" } else { "ports" };
        let mut split = vec![rule.clone()];
        for key in [peers, ports] {
            split = split.iter().flat_map(|rule| one_each(rule, key)).collect();
        }
        split
    })?;
    Some(Change::new(changed, Relation::SamePolicies))
}

/// A rule for each item of a list; a list that is missing or empty means everything and stays.
fn one_each(rule: &Json, key: &str) -> Vec<Json> {
    let items = wire::items(&rule[key]);
    if items.is_empty() {
        return vec![rule.clone()];
    }
    let with = |item: &Json| {
        let mut one = rule.clone();
        one[key] = json!([item]);
        one
    };
    items.iter().map(with).collect()
}

/// Ranges longer than this stay: the list of their ports would only take time.
const LONGEST: u64 = 16;

/// Every port of every short range by itself.
pub(crate) fn ranges(objects: &[Json], _: &mut Rng) -> Option<Change> {
    let changed = each_rule(objects, |rule, _, cluster| {
        let key = if cluster { "protocols" } else { "ports" };
        let mut rule = rule.clone();
        if let Some(ports) = rule.get_mut(key).and_then(Json::as_array_mut) {
            *ports = ports.iter().flat_map(if cluster { cluster_range } else { range }).collect();
        }
        vec![rule]
    })?;
    Some(Change::new(changed, Relation::Same))
}

fn range(port: &Json) -> Vec<Json> {
    let (Some(low), Some(high)) = (port["port"].as_u64(), port["endPort"].as_u64()) else {
        return vec![port.clone()];
    };
    if high - low > LONGEST {
        return vec![port.clone()];
    }
    let one = |number: u64| {
        let mut one = port.clone();
        one["port"] = json!(number);
        one.as_object_mut().unwrap().remove("endPort");
        one
    };
    (low..=high).map(one).collect()
}

fn cluster_range(port: &Json) -> Vec<Json> {
    for protocol in ["tcp", "udp", "sctp"] {
        let range = &port[protocol]["destinationPort"]["range"];
        if let (Some(low), Some(high)) = (range["start"].as_u64(), range["end"].as_u64())
            && high - low <= LONGEST
        {
            let one = |number: u64| json!({protocol: {"destinationPort": {"number": number}}});
            return (low..=high).map(one).collect();
        }
    }
    vec![port.clone()]
}

/// Every `ipBlock` and every entry of `networks` as its two halves.
pub(crate) fn prefixes(objects: &[Json], _: &mut Rng) -> Option<Change> {
    let changed = each_rule(objects, |rule, key, cluster| {
        let mut rule = rule.clone();
        if let Some(peers) = rule.get_mut(key).and_then(Json::as_array_mut) {
            if cluster {
                peers.iter_mut().for_each(halve_networks);
            } else {
                *peers = peers.iter().flat_map(halve_block).collect();
            }
        }
        vec![rule]
    })?;
    Some(Change::new(changed, Relation::Same))
}

fn halve_networks(peer: &mut Json) {
    if let Some(networks) = peer.get_mut("networks").and_then(Json::as_array_mut) {
        *networks = networks
            .iter()
            .flat_map(|text| match halves(text.as_str().unwrap()) {
                Some(halves) => halves.map(|half| json!(half.to_string())).to_vec(),
                None => vec![text.clone()],
            })
            .collect();
    }
}

fn halve_block(peer: &Json) -> Vec<Json> {
    let block = &peer["ipBlock"];
    let Some(halves) = block["cidr"].as_str().and_then(halves) else { return vec![peer.clone()] };
    let holes: Vec<Cidr> = wire::items(&block["except"])
        .iter()
        .map(|hole| Cidr::parse(hole.as_str().unwrap()).unwrap())
        .collect();
    // A half that is a hole as a whole cannot be written; when nothing is left, the block has to stay as it is.
    let left = halves.into_iter().filter(|half| !holes.contains(half));
    let blocks: Vec<Json> = left
        .map(|half| {
            let inside = holes.iter().filter(|hole| half.covers(**hole));
            let except: Vec<String> = inside.map(ToString::to_string).collect();
            json!({"ipBlock": {"cidr": half.to_string(), "except": except}})
        })
        .collect();
    if blocks.is_empty() { vec![peer.clone()] } else { blocks }
}

/// The two halves of a prefix that has any.
fn halves(text: &str) -> Option<[Cidr; 2]> {
    let cidr = Cidr::parse(text).unwrap();
    if cidr.is_host() {
        return None;
    }
    let low = Cidr::new(cidr.network(), cidr.length() + 1);
    let high = match cidr.network() {
        std::net::IpAddr::V4(at) => {
            std::net::IpAddr::V4((at.to_bits() | 1 << (31 - cidr.length())).into())
        }
        std::net::IpAddr::V6(at) => {
            std::net::IpAddr::V6((at.to_bits() | 1 << (127 - cidr.length())).into())
        }
    };
    Some([low, Cidr::new(high, cidr.length() + 1)])
}
