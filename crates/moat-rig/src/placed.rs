//! A world that is ready to be built: placed, compiled, bound, with a ruleset for each node.

use crate::place::place;
use crate::verify::questions::{Scope, chosen, outside};
use moat_compile::{Dialect, bind, compile, services};
use moat_ir::{Bound, PodIdx, ServiceInfo};
use moat_model::inventory::{Inventory, Pod, Service};
use moat_model::{Lowered, Policy};
use moat_nft::render::{Node, Ruleset, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A world that is ready to be built.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The inventory, with everything a network needs.
    pub inventory: Inventory,
    /// Policies over it.
    pub bound: Arc<Bound>,
    /// The same with staged policies in force, if there are any.
    pub staged: Option<Arc<Bound>>,
    /// Its Services.
    pub services: Vec<ServiceInfo>,
    /// What is not as the input says.
    pub notes: Vec<String>,
    /// The pods that take part, in rising order.
    pub pods: Vec<PodIdx>,
    /// The outside addresses that are served.
    pub outside: Vec<IpAddr>,
}

impl Placed {
    /// Places an inventory on nodes and binds policies to it.
    #[must_use]
    pub fn new(mut lowered: Lowered, sources: &[Arc<str>], n_nodes: usize, scope: &Scope) -> Self {
        let notes = place(&mut lowered.inventory, n_nodes).notes;
        let (bound, staged) = both(&lowered, &lowered.inventory, sources);
        let inventory = lowered.inventory;
        let services = services(&inventory, &bound);
        let pods = chosen(&bound, scope);
        let outside = outside(&bound, scope);
        Self { inventory, bound, staged, services, notes, pods, outside }
    }

    /// The same world under the policies of another input: the network stays, and so do the pods and addresses that take part.
    #[must_use]
    pub fn under(&self, lowered: &Lowered, sources: &[Arc<str>]) -> Self {
        let (bound, staged) = both(lowered, &self.inventory, sources);
        let services = services(&self.inventory, &bound);
        Self { bound, staged, services, ..self.clone() }
    }

    /// The same world after a change of the input. Nodes and addresses that were chosen stay where the input still says none, and pods that
    /// took part do so for as long as they are there.
    #[must_use]
    pub fn again(
        &self,
        mut lowered: Lowered,
        sources: &[Arc<str>],
        n_nodes: usize,
        scope: &Scope,
    ) -> Self {
        self.choose_again(&mut lowered.inventory);
        let mut fresh = Self::new(lowered, sources, n_nodes, scope);
        let took_part: BTreeSet<&str> =
            self.pods.iter().map(|&idx| &*self.bound.pod(idx).display).collect();
        let all = (0..).zip(&fresh.bound.pods);
        let still = all.filter(|(_, pod)| {
            took_part.contains(&*pod.display) && !pod.finished && !pod.addresses.is_empty()
        });
        fresh.pods.extend(still.map(|(idx, _)| idx));
        fresh.pods.sort_unstable();
        fresh.pods.dedup();
        fresh
    }

    /// Says in an inventory what was chosen before.
    fn choose_again(&self, inventory: &mut Inventory) {
        let pods: BTreeMap<String, &Pod> =
            self.inventory.pods.iter().map(|pod| (pod.to_string(), pod)).collect();
        for pod in &mut inventory.pods {
            let Some(before) = pods.get(&pod.to_string()) else { continue };
            pod.node = pod.node.take().or_else(|| before.node.clone());
            if pod.addresses.is_empty() && !pod.host_network && !before.host_network {
                pod.addresses.clone_from(&before.addresses);
            }
        }
        for node in &mut inventory.nodes {
            let before = self.inventory.nodes.iter().find(|own| own.name == node.name);
            if let (true, Some(before)) = (node.addresses.is_empty(), before) {
                node.addresses.clone_from(&before.addresses);
            }
        }
        for service in &mut inventory.services {
            let is = |own: &&Service| {
                (&own.namespace, &own.name) == (&service.namespace, &service.name) && !own.headless
            };
            let before = self.inventory.services.iter().find(is);
            let lacks = service.addresses.is_empty()
                && !service.headless
                && service.external_name.is_none();
            if let (true, Some(before)) = (lacks, before) {
                service.addresses.clone_from(&before.addresses);
            }
        }
    }

    /// Whether the nodes of another state are these, with these addresses.
    #[must_use]
    pub fn has_nodes_of(&self, other: &Self) -> bool {
        let nodes = |placed: &Self| {
            let nodes = placed.inventory.nodes.iter();
            nodes.map(|node| (node.name.clone(), node.addresses.clone())).collect::<Vec<_>>()
        };
        nodes(self) == nodes(other)
    }

    /// The ruleset of a node.
    #[must_use]
    pub fn ruleset(&self, node: &str, settings: &Settings) -> Ruleset {
        Ruleset::new(&self.bound, self.staged.as_deref(), &self.node(node), settings)
    }

    /// What a node's ruleset is made for.
    #[must_use]
    pub fn node(&self, name: &str) -> Node {
        Node::of(&self.bound, name, self.pods.iter().copied())
    }
}

/// Policies over an inventory: those in force, and those together with staged ones.
fn both(
    lowered: &Lowered,
    inventory: &Inventory,
    sources: &[Arc<str>],
) -> (Arc<Bound>, Option<Arc<Bound>>) {
    let bound = |policies: &[Policy]| {
        Arc::new(bind(Arc::new(compile(policies, sources)), inventory, Dialect::MOAT))
    };
    let staged = (!lowered.staged.is_empty()).then(|| {
        bound(&lowered.policies.iter().chain(&lowered.staged).cloned().collect::<Vec<Policy>>())
    });
    (bound(&lowered.policies), staged)
}
