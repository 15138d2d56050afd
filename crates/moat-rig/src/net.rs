//! The network of a placed world: a namespace for each node, each pod, and the world outside, with a router between the nodes.
//!
//! Pods have single addresses and one link to their node, so that packets between pods of one node are routed as well and pass the same
//! hooks as all others. Everything goes when the process goes: nothing of it has a name that outlives it.

use crate::placed::Placed;
use core::fmt;
use moat_ir::{Bound, PodIdx};
use moat_kernel::error::Error;
use moat_kernel::link::{Change, Links, PodWire, forwarding, sysctls};
use moat_kernel::netns::Netns;
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
    /// The fabric's links to nodes and to the outside.
    uplinks: Vec<u32>,
    to_outside: u32,
    /// The node's link to each pod that has a network of its own.
    links: BTreeMap<PodIdx, u32>,
    /// How many pods were wired so far; no two links have the same name.
    n_wired: usize,
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
    /// Builds the network of a placed world. `progress` hears how many pods are wired.
    pub async fn build(placed: &Placed, progress: impl Fn(usize)) -> Result<Self, NetError> {
        let fabric = Netns::new()?;
        let routes = Links::open(&fabric)?;
        routes.up_loopback().await?;
        forwarding(&fabric)?;
        let mut net = Self {
            nodes: Vec::with_capacity(placed.inventory.nodes.len()),
            pods: BTreeMap::new(),
            outside: Arc::new(Netns::new()?),
            outside_addresses: Vec::new(),
            fabric,
            uplinks: Vec::new(),
            to_outside: 0,
            links: BTreeMap::new(),
            n_wired: 0,
        };
        for (at, node) in placed.inventory.nodes.iter().enumerate() {
            let netns = Arc::new(Netns::new()?);
            let addresses = node.addresses.clone();
            let wire =
                PodWire { netns: &netns, link: format!("node{at}"), addresses: addresses.clone() };
            net.uplinks.extend(routes.wire(&[wire]).await?);
            forwarding(&netns)?;
            // A packet that finds its way back by another link is still wanted; policies decide, not the reverse path.
            sysctls(&netns, &[("net.ipv4.conf.all.rp_filter", "0")])?;
            net.nodes.push(NodeNet { name: node.name.clone(), netns, addresses });
        }
        net.come(&placed.bound, &placed.pods, progress).await?;
        net.be_outside(&placed.outside).await?;
        Ok(net)
    }

    /// Wires pods to their nodes, and lets the fabric know where they are.
    pub async fn come(
        &mut self,
        bound: &Bound,
        pods: &[PodIdx],
        progress: impl Fn(usize),
    ) -> Result<(), NetError> {
        let mut done = 0;
        for (node, &uplink) in self.nodes.iter().zip(&self.uplinks) {
            let here = |idx: &&PodIdx| bound.pod(**idx).node.as_ref() == Some(&node.name);
            let (shared, own): (Vec<PodIdx>, Vec<PodIdx>) =
                pods.iter().filter(here).partition(|idx| bound.pod(**idx).host_network);
            done += shared.len() + own.len();
            self.pods.extend(shared.into_iter().map(|idx| (idx, node.netns.clone())));
            let mut made = Vec::with_capacity(own.len());
            for &idx in &own {
                made.push((idx, Arc::new(Netns::new()?)));
            }
            let mut wires = Vec::with_capacity(made.len());
            for (idx, netns) in &made {
                let addresses = bound.pod(*idx).addresses.clone();
                wires.push(PodWire { netns, link: format!("pod{}", self.n_wired), addresses });
                self.n_wired += 1;
            }
            let links = Links::open(&node.netns)?.wire(&wires).await?;
            let mut changes = Vec::new();
            for &to in wires.iter().flat_map(|wire| &wire.addresses) {
                let via = node.addresses.iter().copied().find(|own| own.is_ipv4() == to.is_ipv4());
                let prefix = if to.is_ipv4() { 32 } else { 128 };
                changes.push(Change::Route { to, prefix, via, link: uplink });
            }
            Links::open(&self.fabric)?.add(&changes).await?;
            self.links.extend(own.into_iter().zip(links));
            self.pods.extend(made);
            progress(done);
        }
        Ok(())
    }

    /// Follows pods to their places in another bound form, and takes down those that are not there or not as they were. Gives those that
    /// are yet to come.
    pub async fn go(
        &mut self,
        old: &Bound,
        new: &Bound,
        pods: &[PodIdx],
    ) -> Result<Vec<PodIdx>, NetError> {
        let wired = |bound: &Bound, idx: PodIdx| {
            let pod = bound.pod(idx);
            (pod.display.clone(), pod.node.clone(), pod.addresses.clone(), pod.host_network)
        };
        let stay: BTreeMap<_, PodIdx> = pods.iter().map(|&idx| (wired(new, idx), idx)).collect();
        let (were, links) = (core::mem::take(&mut self.pods), core::mem::take(&mut self.links));
        for (was, netns) in were {
            let link = links.get(&was).copied();
            if let Some(&idx) = stay.get(&wired(old, was)) {
                self.pods.insert(idx, netns);
                self.links.extend(link.map(|link| (idx, link)));
            } else if let Some(link) = link {
                let node = old.pod(was).node.as_deref().and_then(|name| self.node_named(name));
                if let Some(node) = node {
                    Links::open(&node.netns)?.remove(link).await?;
                }
                Links::open(&self.fabric)?.remove_routes(&old.pod(was).addresses).await?;
            }
        }
        Ok(pods.iter().copied().filter(|idx| !self.pods.contains_key(idx)).collect())
    }

    /// Gives the host outside these addresses and no others.
    pub async fn be_outside(&mut self, addresses: &[IpAddr]) -> Result<(), NetError> {
        if self.outside_addresses == addresses {
            return Ok(());
        }
        let routes = Links::open(&self.fabric)?;
        if self.to_outside > 0 {
            routes.remove(self.to_outside).await?;
            self.outside = Arc::new(Netns::new()?);
        }
        let wire = PodWire {
            netns: &self.outside,
            link: "outside".to_owned(),
            addresses: addresses.to_vec(),
        };
        self.to_outside = routes.wire(&[wire]).await?.first().copied().unwrap_or_default();
        self.outside_addresses = addresses.to_vec();
        Ok(())
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
