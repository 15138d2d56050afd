//! Random changes of an inventory and of policies.

use crate::rng::Rng;
use crate::settings::Settings;
use crate::{engine, generate, probe};
use moat_compile::{PodChange, PodName, PolicyChange};
use moat_model::Lowered;
use moat_model::inventory::{Inventory, Phase, Pod};
use moat_model::policy::{PeerKind, Peers, Policy, Rule};
use moat_sets::{Cidr, Protocol};
use std::net::IpAddr;

/// What changes are drawn from: some other worlds of the same names, labels and addresses.
#[derive(Debug)]
pub struct Pool {
    pods: Vec<Pod>,
    policies: Vec<Policy>,
    addresses: Vec<IpAddr>,
    /// Protocols and ports at which some rule may begin or end to match.
    pub points: Vec<(Protocol, u16)>,
}

/// One step of a history.
#[derive(Debug)]
pub enum Step {
    /// Pods, and what kind of change it is.
    Pods(&'static str, Vec<PodChange>),
    /// Policies, which are changed already.
    Policies,
    /// Anything but policies.
    Replace(Inventory),
}

impl Pool {
    /// What a world may become; the same for the same seed.
    #[must_use]
    pub fn new(own: &Lowered, seed: u64) -> Self {
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

    /// The next step; `policies` become other ones where it is about them.
    pub fn step(&self, rng: &mut Rng, inventory: &Inventory, policies: &mut Vec<Policy>) -> Step {
        match rng.below(16) {
            0 | 1 => {
                self.edit(policies, rng);
                Step::Policies
            }
            2 if rng.one_in(3) => Step::Replace(self.other(inventory.clone(), rng)),
            2..=4 => {
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
                pod.addresses.clone_from(&rng.pick(&inventory.pods).addresses);
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
                pod.ports.clone_from(&rng.pick(&self.pods).ports);
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

    /// One policy more or less, or one that is different.
    fn edit(&self, policies: &mut Vec<Policy>, rng: &mut Rng) {
        let at = rng.below(policies.len().max(1));
        match policies.get_mut(at) {
            Some(policy) => match rng.below(9) {
                0 => {
                    policies.remove(at);
                }
                1 => policy.isolates_egress = !policy.isolates_egress,
                2 => {
                    policy.rules.pop();
                }
                3 | 4 => self.add_rule(policy, rng),
                5 | 6 => self.swap_peers(policy, rng),
                7 => {}
                _ => self.add_policy(policies, rng),
            },
            None => self.add_policy(policies, rng),
        }
    }

    fn add_policy(&self, policies: &mut Vec<Policy>, rng: &mut Rng) {
        if self.policies.is_empty() {
            return;
        }
        let new = rng.pick(&self.policies).clone();
        policies.retain(|own| own.id != new.id);
        policies.push(new);
    }

    /// Gives a policy a rule of another one of its kind.
    fn add_rule(&self, policy: &mut Policy, rng: &mut Rng) {
        let rules: Vec<&Rule> = self
            .policies
            .iter()
            .filter(|other| other.id.kind == policy.id.kind)
            .flat_map(|other| &other.rules)
            .collect();
        if rules.is_empty() {
            return;
        }
        let mut rule = (*rng.pick(&rules)).clone();
        rule.index = u32::try_from(policy.rules(rule.direction).count()).unwrap();
        policy.rules.push(rule);
    }

    /// Gives a rule the peers of another one, so that only what it says differs and not where it stands.
    fn swap_peers(&self, policy: &mut Policy, rng: &mut Rng) {
        let others: Vec<&Rule> = self
            .policies
            .iter()
            .filter(|other| other.id.kind == policy.id.kind)
            .flat_map(|other| &other.rules)
            .collect();
        let at = rng.below(policy.rules.len().max(1));
        if let (Some(rule), false) = (policy.rules.get_mut(at), others.is_empty()) {
            rule.peers = rng.pick(&others).peers.clone();
        }
    }

    /// Another inventory: other labels of namespaces, nodes that went, other prefixes.
    fn other(&self, mut inventory: Inventory, rng: &mut Rng) -> Inventory {
        for namespace in &mut inventory.namespaces {
            namespace.labels.set("team", *rng.pick(&["x", "y"]));
        }
        inventory.nodes.pop();
        inventory.pods.push(rng.pick(&self.pods).clone());
        pod_cidrs(&mut inventory, rng);
        inventory
    }
}

/// The change that makes one list of policies another, if it is a single one of a single policy.
#[must_use]
pub fn only(before: &[Policy], after: &[Policy]) -> Option<PolicyChange> {
    let missing = |these: &[Policy], those: &[Policy]| -> Vec<Policy> {
        these.iter().filter(|policy| !those.contains(policy)).cloned().collect()
    };
    let (mut gone, mut new) = (missing(before, after), missing(after, before));
    let id = new.iter().chain(&gone).next()?.id.clone();
    let times = |all: &[Policy]| all.iter().filter(|policy| policy.id == id).count();
    if gone.len() > 1 || new.len() > 1 || times(before) > 1 || times(after) > 1 {
        return None;
    }
    match (gone.pop(), new.pop()) {
        (Some(old), Some(new)) => (old.id == new.id).then_some(PolicyChange::Set(new)),
        (Some(old), None) => Some(PolicyChange::Remove(old.id)),
        (None, new) => new.map(PolicyChange::Set),
    }
}

/// Says where pod addresses lie, or not.
pub fn pod_cidrs(inventory: &mut Inventory, rng: &mut Rng) {
    let cidr = |text| Cidr::parse(text).unwrap();
    match rng.below(5) {
        0 => inventory.pod_cidrs = vec![cidr("10.0.0.0/16")],
        1 => inventory.pod_cidrs = vec![cidr("10.0.0.0/16"), cidr("fd00::/64")],
        2 => {}
        _ => inventory.pod_cidrs.clear(),
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
