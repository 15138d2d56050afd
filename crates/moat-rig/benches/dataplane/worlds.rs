//! Clusters that are bound, with one node to look at.

use moat_bench::World;
use moat_ir::{Bound, End, Flow, PodIdx, Verdict};
use moat_model::Lowered;
use moat_nft::render::{Node, Rendered, Settings};
use moat_rig::placed::Placed;
use moat_rig::verify::questions::Scope;
use moat_sets::{Family, Protocol, ServicePoint};
use std::net::IpAddr;
use std::sync::Arc;

/// Settings without logs.
pub(crate) fn quiet() -> Settings {
    let mut settings = Settings::default();
    settings.log.allowed = None;
    settings.log.denied = None;
    settings
}

/// A cluster, and the node whose ruleset is looked at.
pub(crate) struct Cluster {
    pub(crate) lowered: Lowered,
    pub(crate) placed: Placed,
    pub(crate) node: &'static str,
}

/// The node of the first pods.
const NODE: &str = "node-00000";

impl Cluster {
    /// `n_policies` policies, two in each namespace as `moat_bench` spreads them; every node has pods of all namespaces.
    pub(crate) fn spread(n_pods: usize, n_policies: usize, per_node: usize) -> Self {
        let World { mut lowered, .. } = World::text(n_pods, n_policies);
        let n_nodes = n_pods.div_ceil(per_node);
        for (at, pod) in lowered.inventory.pods.iter_mut().enumerate() {
            pod.node = Some(node(at % n_nodes));
        }
        Self::new(lowered, n_nodes)
    }

    /// `n_policies` policies, twelve in each of the first namespaces; the node's pods are all of these.
    pub(crate) fn dense(n_pods: usize, n_policies: usize, per_node: usize) -> Self {
        let n_namespaces = moat_bench::namespaces(n_pods);
        let World { mut lowered, .. } = World::text(n_pods, n_namespaces * 12);
        let mut namespaces: Vec<_> =
            lowered.inventory.pods.iter().map(|pod| pod.namespace.clone()).collect();
        namespaces.dedup();
        namespaces.truncate(n_policies.div_ceil(12));
        lowered.policies.retain(|policy| namespaces.contains(&policy.id.namespace));
        lowered.policies.truncate(n_policies);
        for (at, pod) in lowered.inventory.pods.iter_mut().enumerate() {
            pod.node = Some(node(at / per_node));
        }
        Self::new(lowered, n_pods.div_ceil(per_node))
    }

    fn new(lowered: Lowered, n_nodes: usize) -> Self {
        let scope = Scope { pods_per_class: usize::MAX, outside: 0, ..Scope::default() };
        let placed = Placed::new(lowered.clone(), &[], n_nodes, &scope);
        Self { lowered, placed, node: NODE }
    }

    pub(crate) fn bound(&self) -> &Bound {
        &self.placed.bound
    }

    pub(crate) fn node(&self) -> Node {
        self.placed.node(self.node)
    }

    pub(crate) fn render(&self, settings: &Settings) -> Rendered {
        self.placed.ruleset(self.node, settings).into_rendered()
    }

    /// Two pods of the node between which a port is open to all of these protocols, of different namespaces if there are such.
    pub(crate) fn pair(&self, protocols: &[Protocol], port: u16) -> (PodIdx, PodIdx) {
        let bound = self.bound();
        let pods = self.node().pods;
        let mut found = None;
        for &from in &pods {
            for &to in pods.iter().filter(|to| **to != from) {
                let open = |&protocol: &Protocol| {
                    self.decided(from, to, protocol, port) == Verdict::Allowed
                };
                if !protocols.iter().all(open) {
                    continue;
                }
                if bound.pod(from).namespace != bound.pod(to).namespace {
                    return (from, to);
                }
                found = found.or(Some((from, to)));
            }
        }
        found.expect("some pods talk")
    }

    pub(crate) fn decided(
        &self,
        from: PodIdx,
        to: PodIdx,
        protocol: Protocol,
        port: u16,
    ) -> Verdict {
        let (from, to) = (End::Pod(from), End::Pod(to));
        let point = ServicePoint::new(protocol, port);
        self.bound().decide(&Flow { from, to, point, family: Family::V4 }).verdict
    }

    pub(crate) fn address(&self, pod: PodIdx) -> IpAddr {
        let addresses = &self.bound().pod(pod).addresses;
        *addresses.iter().find(|address| address.is_ipv4()).expect("placed pods have addresses")
    }
}

/// How much there is in a table: chains, elements.
pub(crate) fn size(table: &moat_nft::model::Table) -> (usize, usize) {
    (table.chains.len(), table.sets.values().map(|set| set.elements.len()).sum())
}

fn node(at: usize) -> Arc<str> {
    format!("node-{at:05}").into()
}
