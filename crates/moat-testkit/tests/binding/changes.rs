//! Random changes of an inventory and of policies.

use moat_compile::{PodChange, PodName};
use moat_model::Lowered;
use moat_model::inventory::{Inventory, Phase, Pod};
use moat_model::policy::{PeerKind, Peers, Policy};
use moat_sets::{Cidr, Protocol};
use moat_testkit::rng::Rng;
use moat_testkit::settings::Settings;
use moat_testkit::{engine, generate, probe};
use std::net::IpAddr;

/// What changes are drawn from: some other worlds of the same names, labels and addresses.
pub(crate) struct Pool {
    pods: Vec<Pod>,
    policies: Vec<Policy>,
    addresses: Vec<IpAddr>,
    /// Protocols and ports at which some rule may begin or end to match.
    pub(crate) points: Vec<(Protocol, u16)>,
}

/// One step of a history.
#[derive(Debug)]
pub(crate) enum Step {
    Pods(&'static str, Vec<PodChange>),
    Policies,
    Replace(Inventory),
}

impl Pool {
    pub(crate) fn new(own: &Lowered, seed: u64) -> Self {
        let mut pods = own.inventory.pods.clone();
        let mut policies = own.policies.clone();
        let mut objects = generate::world(seed, &Settings::DEFAULT).objects;
        for other in 1..3_u64 {
            let more = generate::world(seed.wrapping_add(other << 32), &Settings::DEFAULT).objects;
            let lowered = engine::lower(&more);
            pods.extend(lowered.inventory.pods);
            policies.extend(lowered.policies);
            objects.extend(more);
        }
        let mut addresses: Vec<IpAddr> =
            pods.iter().flat_map(|pod| pod.addresses.iter().copied()).collect();
        addresses.extend(policies.iter().flat_map(edges));
        let points = probe::points(&objects);
        Self { pods, policies, addresses, points }
    }

    /// Says where pod addresses lie, or not.
    pub(crate) fn pod_cidrs(&self, inventory: &mut Inventory, rng: &mut Rng) {
        let cidr = |text| Cidr::parse(text).unwrap();
        match rng.below(5) {
            0 => inventory.pod_cidrs = vec![cidr("10.0.0.0/16")],
            1 => inventory.pod_cidrs = vec![cidr("10.0.0.0/16"), cidr("fd00::/64")],
            2 => {}
            _ => inventory.pod_cidrs.clear(),
        }
    }

    /// The next step; `policies` become other ones where it is about them.
    pub(crate) fn step(
        &self,
        rng: &mut Rng,
        inventory: &Inventory,
        policies: &mut Vec<Policy>,
    ) -> Step {
        match rng.below(16) {
            0..=2 => {
                self.edit(policies, rng);
                Step::Policies
            }
            3 if rng.one_in(3) => Step::Replace(self.other(inventory.clone(), rng)),
            3..=5 => {
                let mut own = inventory.clone();
                let n = rng.range((2, 6));
                let mut all = Vec::new();
                for _ in 0..n {
                    let (_, changes) = self.change(&own, rng);
                    changes.iter().for_each(|change| apply(&mut own, change));
                    all.extend(changes);
                }
                Step::Pods("several", all)
            }
            _ => {
                let (kind, changes) = self.change(inventory, rng);
                Step::Pods(kind, changes)
            }
        }
    }

    fn change(&self, inventory: &Inventory, rng: &mut Rng) -> (&'static str, Vec<PodChange>) {
        if inventory.pods.is_empty() || rng.one_in(7) {
            return ("add", vec![PodChange::Set(rng.pick(&self.pods).clone())]);
        }
        let mut pod = rng.pick(&inventory.pods).clone();
        let kind = match rng.below(10) {
            0 | 1 => {
                match rng.below(5) {
                    0 => pod.labels.unset("app"),
                    1 => pod.labels.unset("tier"),
                    2 => pod.labels.set("tier", *rng.pick(&["f", "", "new"])),
                    3 => pod.labels.set("unseen", *rng.pick(&["a", "b"])),
                    _ => pod.labels.set("app", *rng.pick(&["a", "b", "c", "new"])),
                }
                "relabel"
            }
            2 => {
                pod.addresses = self.addresses(rng);
                "address"
            }
            3 => {
                let mut other = rng.pick(&inventory.pods).clone();
                if other.namespace == pod.namespace && other.name == pod.name {
                    return ("same", vec![PodChange::Set(pod)]);
                }
                std::mem::swap(&mut other.addresses, &mut pod.addresses);
                return ("swap", vec![PodChange::Set(other), PodChange::Set(pod)]);
            }
            4 => {
                pod.addresses = rng.pick(&inventory.pods).addresses.clone();
                "double"
            }
            5 => {
                pod.phase =
                    if pod.phase == Phase::Active { Phase::Finished } else { Phase::Active };
                "phase"
            }
            6 => {
                let (namespace, kind, name) = (pod.namespace, pod.kind, pod.name);
                return ("remove", vec![PodChange::Remove(PodName { namespace, kind, name })]);
            }
            7 => {
                pod.ports = rng.pick(&self.pods).ports.clone();
                pod.owner = Some(("deployment".into(), "x".into()));
                "ports"
            }
            8 => {
                let node = inventory.nodes.get(rng.below(inventory.nodes.len() + 1));
                pod.node = node.map(|node| node.name.clone());
                "node"
            }
            _ => {
                pod.host_network = !pod.host_network;
                if let (true, Some(node)) = (pod.host_network, inventory.nodes.first()) {
                    pod.node = Some(node.name.clone());
                    pod.addresses.clone_from(&node.addresses);
                }
                "host"
            }
        };
        (kind, vec![PodChange::Set(pod)])
    }

    /// None, one or two addresses.
    fn addresses(&self, rng: &mut Rng) -> Vec<IpAddr> {
        let mut own = Vec::new();
        for is_v4 in [true, false] {
            let all: Vec<IpAddr> =
                self.addresses.iter().copied().filter(|at| at.is_ipv4() == is_v4).collect();
            if !all.is_empty() && rng.eighths(4) {
                own.push(*rng.pick(&all));
            }
        }
        if rng.one_in(4) {
            own.reverse();
        }
        own
    }

    fn edit(&self, policies: &mut Vec<Policy>, rng: &mut Rng) {
        match rng.below(7) {
            0 if !policies.is_empty() => {
                policies.remove(rng.below(policies.len()));
            }
            1 if !policies.is_empty() => {
                let at = rng.below(policies.len());
                policies[at].isolates_egress = !policies[at].isolates_egress;
            }
            2 if !policies.is_empty() => {
                let at = rng.below(policies.len());
                policies[at].rules.pop();
            }
            3 => {}
            // Other peers in the same place, so that only what the rule says differs and not where it stands.
            4 | 5 => {
                let peers: Vec<Peers> = policies
                    .iter()
                    .flat_map(|own| &own.rules)
                    .map(|rule| rule.peers.clone())
                    .collect();
                let rules: Vec<_> = policies.iter_mut().flat_map(|own| &mut own.rules).collect();
                if !rules.is_empty() {
                    let at = rng.below(rules.len());
                    if let Some(rule) = rules.into_iter().nth(at) {
                        rule.peers = rng.pick(&peers).clone();
                    }
                }
            }
            _ if self.policies.is_empty() => {}
            _ => {
                let new = rng.pick(&self.policies).clone();
                policies.retain(|own| own.id != new.id);
                policies.push(new);
            }
        }
    }

    /// Another inventory: other labels of namespaces, nodes that went, other prefixes.
    fn other(&self, mut inventory: Inventory, rng: &mut Rng) -> Inventory {
        for namespace in &mut inventory.namespaces {
            namespace.labels.set("team", *rng.pick(&["x", "y"]));
        }
        inventory.nodes.pop();
        inventory.pods.push(rng.pick(&self.pods).clone());
        self.pod_cidrs(&mut inventory, rng);
        inventory
    }
}

/// The inventory after a change, as plainly as can be.
fn apply(inventory: &mut Inventory, change: &PodChange) {
    match change {
        PodChange::Set(pod) => {
            inventory.pods.retain(|own| own.to_string() != pod.to_string());
            inventory.pods.push(pod.clone());
        }
        PodChange::Remove(PodName { namespace, kind, name }) => inventory
            .pods
            .retain(|own| (&own.namespace, &own.kind, &own.name) != (namespace, kind, name)),
    }
}

/// The first and last addresses of a policy's ranges, and those before.
fn edges(policy: &Policy) -> Vec<IpAddr> {
    let mut out = Vec::new();
    for rule in &policy.rules {
        let Peers::List(peers) = &rule.peers else { continue };
        for peer in peers {
            let PeerKind::Addresses(set) = &peer.kind else { continue };
            for &(low, high) in set.v4().ranges() {
                out.extend([low, high, low.saturating_sub(1)].map(|at| IpAddr::V4(at.into())));
            }
            for &(low, high) in set.v6().ranges() {
                out.extend([low, high, low.saturating_sub(1)].map(|at| IpAddr::V6(at.into())));
            }
        }
    }
    out
}
