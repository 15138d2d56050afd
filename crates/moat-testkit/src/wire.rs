//! Looking into wire objects: who they are, which ports and prefixes they name, what pods they hold.

use crate::Json;
use moat_sets::{Cidr, Family};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// `kind`.
#[must_use]
pub fn kind(object: &Json) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// `metadata.name`.
#[must_use]
pub fn name(object: &Json) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// `metadata.namespace` of a namespaced object, `default` when it says nothing; empty for cluster-scoped kinds.
#[must_use]
pub fn namespace(object: &Json) -> &str {
    if is_cluster_scoped(kind(object)) {
        ""
    } else {
        object["metadata"]["namespace"]
            .as_str()
            .filter(|text| !text.is_empty())
            .unwrap_or("default")
    }
}

/// Whether objects of a kind live in no namespace.
#[must_use]
pub fn is_cluster_scoped(kind: &str) -> bool {
    matches!(
        kind,
        "Namespace"
            | "Node"
            | "ClusterNetworkPolicy"
            | "AdminNetworkPolicy"
            | "BaselineAdminNetworkPolicy"
    )
}

/// Whether the object is a policy of any kind.
#[must_use]
pub fn is_policy(object: &Json) -> bool {
    kind(object).ends_with("NetworkPolicy")
}

/// The objects of a kind.
pub fn of_kind<'o>(objects: &'o [Json], wanted: &'o str) -> impl Iterator<Item = &'o Json> {
    objects.iter().filter(move |object| kind(object) == wanted)
}

/// The items of a list; none when there is no list.
#[must_use]
pub fn items(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

/// A pod as its object says it is.
#[derive(Clone, Debug)]
pub struct PodFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its addresses, at most one per family: its node's when it uses the host network.
    pub addresses: Vec<IpAddr>,
    /// Whether it uses the host network.
    pub host_network: bool,
    /// Its node.
    pub node: Option<String>,
}

impl PodFacts {
    /// The families it has an address in.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        self.addresses.iter().map(|&address| Family::of(address)).collect()
    }
}

/// The Pods of a world.
#[must_use]
pub fn pods(objects: &[Json]) -> Vec<PodFacts> {
    of_kind(objects, "Pod")
        .map(|pod| {
            let status = &pod["status"];
            let host_network = pod["spec"]["hostNetwork"].as_bool().unwrap_or(false);
            let listed = |list: &str, single: &str| {
                let texts =
                    items(&status[list]).iter().map(|item| &item["ip"]).chain([&status[single]]);
                texts.filter_map(|text| text.as_str()?.parse::<IpAddr>().ok()).collect::<Vec<_>>()
            };
            let mut addresses: Vec<IpAddr> = Vec::new();
            let found = if host_network { listed("hostIPs", "hostIP") } else { Vec::new() };
            for address in found.into_iter().chain(listed("podIPs", "podIP")) {
                if addresses.iter().all(|have| Family::of(*have) != Family::of(address)) {
                    addresses.push(address);
                }
            }
            PodFacts {
                namespace: namespace(pod).to_owned(),
                name: name(pod).to_owned(),
                addresses,
                host_network,
                node: pod["spec"]["nodeName"].as_str().map(str::to_owned),
            }
        })
        .collect()
}

/// Calls `visit` with every (key, value) of every mapping.
pub fn walk<'j>(json: &'j Json, visit: &mut dyn FnMut(&'j str, &'j Json)) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                visit(key, value);
                walk(value, visit);
            }
        }
        Json::Array(list) => list.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

/// Calls `edit` with every mapping, inner ones first.
pub fn walk_mut(json: &mut Json, edit: &mut dyn FnMut(&mut serde_json::Map<String, Json>)) {
    match json {
        Json::Object(map) => {
            map.values_mut().for_each(|value| walk_mut(value, edit));
            edit(map);
        }
        Json::Array(list) => list.iter_mut().for_each(|item| walk_mut(item, edit)),
        _ => {}
    }
}

/// Every port number that some object names.
#[must_use]
pub fn port_numbers(objects: &[Json]) -> BTreeSet<u16> {
    let mut found = BTreeSet::new();
    for object in objects {
        walk(object, &mut |key, value| {
            if matches!(
                key,
                "port" | "endPort" | "containerPort" | "number" | "start" | "end" | "targetPort"
            ) && let Some(number) = value.as_u64().and_then(|number| u16::try_from(number).ok())
            {
                found.insert(number);
            }
        });
    }
    found
}

/// Every prefix that some policy names.
#[must_use]
pub fn prefixes(objects: &[Json]) -> BTreeSet<Cidr> {
    let mut found = BTreeSet::new();
    let mut add =
        |value: &Json| found.extend(value.as_str().and_then(|text| Cidr::parse(text).ok()));
    for object in objects {
        walk(object, &mut |key, value| match key {
            "cidr" => add(value),
            "except" | "networks" => items(value).iter().for_each(&mut add),
            _ => {}
        });
    }
    found
}

/// Every domain name pattern that some policy names.
#[must_use]
pub fn domains(objects: &[Json]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for object in objects {
        walk(object, &mut |key, value| {
            if key == "domainNames" {
                found.extend(items(value).iter().filter_map(Json::as_str).map(str::to_owned));
            }
        });
    }
    found
}

/// Every address of a Node object.
#[must_use]
pub fn node_addresses(objects: &[Json]) -> Vec<IpAddr> {
    let nodes = of_kind(objects, "Node").flat_map(|node| items(&node["status"]["addresses"]));
    nodes.filter_map(|item| item["address"].as_str()?.parse().ok()).collect()
}
