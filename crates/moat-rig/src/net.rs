//! The network of a placed world: a namespace for each node, each pod, and the world outside, with a router between the nodes.
//!
//! Pods have single addresses and one link to their node, so that packets between pods of one node are routed as well and pass the same
//! hooks as all others. Everything goes when the process goes: nothing of it has a name that outlives it.

use core::fmt;
use moat_ir::{Bound, PodIdx};
use moat_kernel::error::Error;
use moat_kernel::link::{Change, Links, PodWire, forwarding, sysctls};
use moat_kernel::netns::Netns;
use moat_model::inventory::Inventory;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The network of a world.
#[derive(Debug)]
pub struct Net {
    /// Its nodes, in the inventory's order.
    pub nodes: Vec<NodeNet>,
    /// The namespace of each pod that has one; pods that share their node's network have their node's.
    pub pods: BTreeMap<PodIdx, Arc<Netns>>,
    /// The host that has every outside address.
    pub outside: Arc<Netns>,
    /// Its addresses.
    pub outside_addresses: Vec<IpAddr>,
    /// The router between nodes and the outside.
    fabric: Netns,
}

/// A node.
#[derive(Debug)]
pub struct NodeNet {
    /// Its name.
    pub name: Arc<str>,
    /// Its namespace.
    pub netns: Arc<Netns>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The pods on it that have a network of their own.
    pub pods: Vec<PodIdx>,
}

/// Why a network could not be built.
#[derive(Debug)]
pub struct NetError {
    what: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl std::error::Error for NetError {}

impl From<Error> for NetError {
    fn from(error: Error) -> Self {
        Self { what: "cannot build the network".to_owned(), source: Box::new(error) }
    }
}

impl From<std::io::Error> for NetError {
    fn from(error: std::io::Error) -> Self {
        let what = if error.raw_os_error() == Some(nix::libc::EMFILE) {
            "cannot open so many namespaces; raise the limit of open files (`ulimit -Hn`) or use `--pods-per-class 1`"
        } else {
            "cannot make a network namespace"
        };
        Self { what: what.to_owned(), source: Box::new(error) }
    }
}

impl Net {
    /// Builds the network of a placed inventory. `pods` says which of its pods get a namespace, `outside` which outside addresses are
    /// served; `progress` hears how many pods are wired.
    pub async fn build(
        inventory: &Inventory,
        bound: &Bound,
        pods: &[PodIdx],
        outside: Vec<IpAddr>,
        progress: impl Fn(usize),
    ) -> Result<Self, NetError> {
        let fabric = Netns::new()?;
        let routes = Links::open(&fabric)?;
        routes.up_loopback().await?;
        forwarding(&fabric)?;
        let mut net = Self {
            nodes: Vec::with_capacity(inventory.nodes.len()),
            pods: BTreeMap::new(),
            outside: Arc::new(Netns::new()?),
            outside_addresses: outside,
            fabric,
        };
        let mut done = 0;
        for (at, node) in inventory.nodes.iter().enumerate() {
            let own: Vec<PodIdx> = pods
                .iter()
                .copied()
                .filter(|&idx| bound.pod(idx).node.as_ref() == Some(&node.name))
                .collect();
            let built = net
                .node(at, node.name.clone(), node.addresses.clone(), &own, bound, &routes)
                .await?;
            done += own.len();
            net.nodes.push(built);
            progress(done);
        }
        let outside = PodWire {
            netns: &net.outside,
            link: "outside".to_owned(),
            addresses: net.outside_addresses.clone(),
        };
        routes.wire(&[outside]).await?;
        Ok(net)
    }

    async fn node(
        &mut self,
        at: usize,
        name: Arc<str>,
        addresses: Vec<IpAddr>,
        pods: &[PodIdx],
        bound: &Bound,
        routes: &Links,
    ) -> Result<NodeNet, NetError> {
        let netns = Arc::new(Netns::new()?);
        let wire =
            PodWire { netns: &netns, link: format!("node{at}"), addresses: addresses.clone() };
        let uplink = routes.wire(&[wire]).await?;
        forwarding(&netns)?;
        // A packet that finds its way back by another link is still wanted; policies decide, not the reverse path.
        sysctls(&netns, &[("net.ipv4.conf.all.rp_filter", "0")])?;
        let own: Vec<PodIdx> =
            pods.iter().copied().filter(|&idx| !bound.pod(idx).host_network).collect();
        for &idx in pods {
            let pod = if own.contains(&idx) { Arc::new(Netns::new()?) } else { netns.clone() };
            self.pods.insert(idx, pod);
        }
        let wires: Vec<PodWire<'_>> = own
            .iter()
            .filter_map(|idx| {
                let netns = self.pods.get(idx)?;
                let addresses = bound.pod(*idx).addresses.clone();
                Some(PodWire { netns, link: format!("pod{idx}"), addresses })
            })
            .collect();
        Links::open(&netns)?.wire(&wires).await?;
        let mut changes = Vec::new();
        for (&link, wire) in uplink.iter().cycle().zip(&wires) {
            for &to in &wire.addresses {
                let via = addresses.iter().copied().find(|own| own.is_ipv4() == to.is_ipv4());
                let prefix = if to.is_ipv4() { 32 } else { 128 };
                changes.push(Change::Route { to, prefix, via, link });
            }
        }
        routes.add(&changes).await?;
        Ok(NodeNet { name, netns, addresses, pods: own })
    }

    /// The router, which knows the way to every address.
    #[must_use]
    pub fn fabric(&self) -> &Netns {
        &self.fabric
    }

    /// The node of a name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<&NodeNet> {
        self.nodes.iter().find(|node| node.name.as_ref() == name)
    }
}
