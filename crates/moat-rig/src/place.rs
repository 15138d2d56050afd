//! A world gets everything that a network needs and manifests leave out: nodes, and addresses for pods, nodes and Services.
//!
//! What the input says is kept, so that `ipBlock`s mean what they say. What it leaves out is chosen, the same way every time, away from
//! everything the input names. Policies are bound after this, so the engine decides about the very addresses that packets carry.

use moat_model::inventory::{Inventory, Node, Phase};
use moat_model::value::Span;
use moat_sets::{Family, Labels};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// What was chosen where the input was silent or impossible, in words.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choices {
    /// One sentence for each thing that is not as the input says.
    pub notes: Vec<String>,
}

/// First addresses of what is chosen: pods, nodes, Services; each node's pods get a /24 or /64 of their own.
const POD_V4: u32 = 0x0af4_0000; // 10.244.0.0
const POD_V6: u128 = 0xfd00_0010_0244_0000_0000_0000_0000_0000;
const NODE_V4: u32 = 0xac1f_ff00; // 172.31.255.0
const NODE_V6: u128 = 0xfd00_0172_0031_0000_0000_0000_0000_0000;
const SERVICE_V4: u32 = 0x0a60_0000; // 10.96.0.0
const SERVICE_V6: u128 = 0xfd00_0010_0096_0000_0000_0000_0000_0000;

/// Places an inventory on at least `n_nodes` nodes.
pub fn place(inventory: &mut Inventory, n_nodes: usize) -> Choices {
    let mut choices = Choices::default();
    nodes(inventory, n_nodes.max(1));
    let mut taken: BTreeSet<IpAddr> = BTreeSet::new();
    node_addresses(inventory, &mut taken, &mut choices);
    let names: Vec<Arc<str>> = inventory.nodes.iter().map(|node| node.name.clone()).collect();
    let by_name: BTreeMap<Arc<str>, usize> =
        names.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
    taken.extend(inventory.services.iter().flat_map(|service| service.addresses.iter().copied()));
    // Pods that say where they are come first, so that nobody takes their address.
    let mut next_node = 0;
    for pod in &mut inventory.pods {
        pod.replicas = pod.replicas.min(1);
        if pod.node.is_none() {
            pod.node = names.get(next_node % names.len()).cloned();
            next_node += 1;
        }
        let at = pod.node.as_ref().and_then(|name| by_name.get(name)).copied().unwrap_or(0);
        if pod.host_network {
            pod.addresses =
                inventory.nodes.get(at).map(|node| node.addresses.clone()).unwrap_or_default();
        } else if pod.phase != Phase::Finished {
            let display = pod.to_string();
            pod.addresses.retain(|address| {
                let free = usable(*address) && taken.insert(*address);
                if !free {
                    choices.notes.push(format!(
                        "{display} does not keep its address {address}: it is another's, or no host can have it"
                    ));
                }
                free
            });
        }
    }
    let mut counts = vec![0u32; names.len()];
    for pod in &mut inventory.pods {
        if pod.host_network || pod.phase == Phase::Finished || !pod.addresses.is_empty() {
            continue;
        }
        let at = pod.node.as_ref().and_then(|name| by_name.get(name)).copied().unwrap_or(0);
        let Some(count) = counts.get_mut(at) else { continue };
        pod.addresses = pod_addresses(at, count, &mut taken);
    }
    service_addresses(inventory, &mut taken);
    choices
}

/// Nodes that pods name and nobody describes, and as many more as were asked for.
fn nodes(inventory: &mut Inventory, n_nodes: usize) {
    let mut known: BTreeSet<Arc<str>> =
        inventory.nodes.iter().map(|node| node.name.clone()).collect();
    let mentioned: BTreeSet<Arc<str>> =
        inventory.pods.iter().filter_map(|pod| pod.node.clone()).collect();
    let spare = (1..).map(|at| Arc::<str>::from(format!("node-{at}")));
    let missing: Vec<Arc<str>> = mentioned.difference(&known).cloned().collect();
    for name in missing.into_iter().chain(spare) {
        if inventory.nodes.len() >= n_nodes && !mentioned.contains(&name) {
            break;
        }
        if known.insert(name.clone()) {
            let labels = Labels::from_iter([("kubernetes.io/hostname", name.as_ref())]);
            inventory.nodes.push(Node {
                name,
                span: Span::default(),
                labels,
                addresses: Vec::new(),
            });
        }
    }
    inventory.nodes.sort_by(|a, b| a.name.cmp(&b.name));
}

fn node_addresses(inventory: &mut Inventory, taken: &mut BTreeSet<IpAddr>, choices: &mut Choices) {
    // A hostNetwork pod's address is its node's, where the node does not say.
    for pod in inventory.pods.iter().filter(|pod| pod.host_network) {
        let own = inventory.nodes.iter_mut().find(|node| Some(&node.name) == pod.node.as_ref());
        if let Some(node) = own.filter(|node| node.addresses.is_empty()) {
            node.addresses.clone_from(&pod.addresses);
        }
    }
    for node in &mut inventory.nodes {
        let name = &node.name;
        node.addresses.retain(|address| {
            let free = usable(*address) && taken.insert(*address);
            if !free {
                choices.notes.push(format!(
                    "node {name} does not keep its address {address}: it is another's, or no host can have it"
                ));
            }
            free
        });
        node.addresses.sort_unstable();
        let mut seen = BTreeSet::new();
        node.addresses.retain(|address| seen.insert(Family::of(*address)));
    }
    let mut next = 0;
    for node in &mut inventory.nodes {
        for family in Family::BOTH {
            if node.addresses.iter().any(|address| Family::of(*address) == family) {
                continue;
            }
            let address = loop {
                next += 1;
                let address = nth(family, NODE_V4, NODE_V6, next);
                if taken.insert(address) {
                    break address;
                }
            };
            node.addresses.push(address);
        }
    }
}

/// One address of each family from the node's own prefix.
fn pod_addresses(node: usize, count: &mut u32, taken: &mut BTreeSet<IpAddr>) -> Vec<IpAddr> {
    let node = u32::try_from(node).unwrap_or(0);
    loop {
        *count += 1;
        // The first address of each prefix is the node's, as network plug-ins have it.
        let v4 = IpAddr::V4(Ipv4Addr::from_bits(POD_V4 + (node << 8) + *count + 1));
        let host = (u128::from(node) << 64) + u128::from(*count) + 1;
        let v6 = IpAddr::V6(Ipv6Addr::from_bits(POD_V6 + host));
        if !taken.contains(&v4) && !taken.contains(&v6) {
            taken.extend([v4, v6]);
            return vec![v4, v6];
        }
    }
}

/// A Service without an address that is reached by address gets one.
fn service_addresses(inventory: &mut Inventory, taken: &mut BTreeSet<IpAddr>) {
    let mut next = 0;
    for service in &mut inventory.services {
        if service.headless || service.external_name.is_some() || !service.addresses.is_empty() {
            continue;
        }
        loop {
            next += 1;
            let both = Family::BOTH.map(|family| nth(family, SERVICE_V4, SERVICE_V6, next));
            if both.iter().all(|address| !taken.contains(address)) {
                taken.extend(both);
                service.addresses = both.to_vec();
                break;
            }
        }
    }
}

fn nth(family: Family, v4: u32, v6: u128, n: u32) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(v4 + n)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(v6 + u128::from(n))),
    }
}

/// Whether a host can have an address and be reached by it (RFC 6890).
#[must_use]
pub fn usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let first = address.octets()[0];
            !(address.is_loopback() || address.is_link_local() || first == 0 || first >= 224)
        }
        IpAddr::V6(address) => {
            let link_local = address.segments()[0] & 0xffc0 == 0xfe80;
            let mapped = address.to_ipv4_mapped().is_some() || address.to_bits() < 1 << 32;
            !(address.is_loopback() || address.is_multicast() || link_local || mapped)
        }
    }
}
