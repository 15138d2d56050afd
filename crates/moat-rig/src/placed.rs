//! A world that is ready to be built: placed, compiled, bound, with a ruleset for each node.

use crate::place::place;
use crate::verify::questions::{Scope, chosen, outside};
use moat_compile::{Dialect, bind, compile, services};
use moat_ir::{Bound, PodIdx, ServiceInfo};
use moat_model::inventory::Inventory;
use moat_model::{Lowered, Policy};
use moat_nft::render::{Node, Ruleset, Settings};
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

    /// The same world after a change of the input, labels included: `None` when pods, nodes or addresses came or went, which needs
    /// another network.
    #[must_use]
    pub fn again(&self, lowered: Lowered, sources: &[Arc<str>], n_nodes: usize) -> Option<Self> {
        let fresh = Self::new(lowered, sources, n_nodes, &Scope::default());
        let wires = |placed: &Self| {
            let pods = placed.bound.pods.iter();
            let pods =
                pods.map(|pod| (pod.display.clone(), pod.node.clone(), pod.addresses.clone()));
            let nodes = placed.inventory.nodes.iter();
            let nodes = nodes.map(|node| (node.name.clone(), None, node.addresses.clone()));
            pods.chain(nodes).collect::<Vec<_>>()
        };
        (wires(self) == wires(&fresh)).then(|| Self {
            pods: self.pods.clone(),
            outside: self.outside.clone(),
            ..fresh
        })
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
