//! Links, addresses, routes and neighbours of one namespace.
//!
//! Pods are wired in the routed layout that CNI plugins without a bridge use: a pod has single addresses and a default route to a
//! gateway that no one owns ([`GATEWAY_V4`], [`GATEWAY_V6`]) through `eth0`; the node has a route to each address of the pod
//! through the other end. Permanent neighbour entries at both ends take the place of ARP and neighbour discovery, so that the
//! first packet is not the slow one.

use crate::error::{Attempt, Error, Result};
use crate::netns::Netns;
use core::fmt;
use nlink::netlink::addr::{Ipv4Address, Ipv6Address};
use nlink::netlink::link::LinkConfig;
use nlink::netlink::neigh::Neighbor;
use nlink::netlink::route::{Ipv4Route, Ipv6Route, ResolvedRouteInterfaces, RouteConfig};
use nlink::netlink::types::link::{IfInfoMsg, IflaAttr, IflaInfo};
use nlink::netlink::types::route::RouteScope;
use nlink::netlink::{Connection, InterfaceRef, MessageBuilder, Route};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

/// Where IPv4 packets of a pod go first.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Where IPv6 packets of a pod go first.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// The hardware address of every node end: the links do not see each other, so one serves all.
pub const NODE_MAC: Mac = [0xee; 6];

/// A hardware address.
pub type Mac = [u8; 6];

/// How many changes go to the kernel at once. Every one is answered before the first answer is read, and the answers to this many
/// fit a receive buffer of the default size.
const AT_ONCE: usize = 128;

/// The links of a namespace.
pub struct Links {
    conn: Connection<Route>,
}

/// A pair of links to make.
#[derive(Debug)]
pub struct Veth<'a> {
    /// The name of the near end; at most 15 bytes.
    pub name: String,
    /// Its hardware address.
    pub mac: Mac,
    /// The name of the far end.
    pub peer_name: String,
    /// Its hardware address.
    pub peer_mac: Mac,
    /// The namespace of the far end.
    pub peer: &'a Netns,
}

/// Something to add.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// An address of a link; usable at once, an IPv6 one without looking for duplicates.
    Address {
        /// The index of the link.
        link: u32,
        /// The address.
        address: IpAddr,
        /// The length of the prefix that is on the link.
        prefix: u8,
    },
    /// A route.
    Route {
        /// Where to.
        to: IpAddr,
        /// The length of its prefix; 0 for a default route.
        prefix: u8,
        /// The gateway, which is taken to be on the link; without one, the destination itself is.
        via: Option<IpAddr>,
        /// The index of the link.
        link: u32,
    },
    /// A neighbour that need not be asked for.
    Neighbour {
        /// The index of the link.
        link: u32,
        /// Its address.
        address: IpAddr,
        /// Its hardware address.
        mac: Mac,
    },
}

/// A pod to wire.
#[derive(Debug)]
pub struct PodWire<'a> {
    /// Its namespace, in which `eth0` is made.
    pub netns: &'a Netns,
    /// The name of the node end; at most 15 bytes.
    pub link: String,
    /// Its addresses, of either family.
    pub addresses: Vec<IpAddr>,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

impl Links {
    /// Opens the links of a namespace. Must be called inside a tokio runtime, as all that follows.
    pub fn open(netns: &Netns) -> Result<Self> {
        let conn =
            Connection::new_in(netns.as_fd()).to(|| "open the links of a namespace".to_owned())?;
        Ok(Self { conn })
    }

    /// The index of a link.
    pub async fn index(&self, name: &str) -> Result<u32> {
        let found =
            self.conn.get_link_by_name(name).await.to(|| format!("look for link {name}"))?;
        found.map(|link| link.ifindex()).ok_or_else(|| {
            Error::other(format!("look for link {name}"), "there is none of that name")
        })
    }

    /// Brings a link up.
    pub async fn up(&self, link: u32) -> Result<()> {
        self.conn
            .set_link_up_by_index(link)
            .await
            .to(|| format!("bring up the link of index {link}"))
    }

    /// Brings the loopback link up.
    pub async fn up_loopback(&self) -> Result<()> {
        // The index of `lo` is 1 in every namespace (LOOPBACK_IFINDEX in the kernel).
        self.up(1).await
    }

    /// Makes pairs of links, all down, and returns the indices of their near ends.
    pub async fn veths(&self, pairs: &[Veth<'_>]) -> Result<Vec<u32>> {
        let mut near = Vec::with_capacity(pairs.len());
        for some in pairs.chunks(AT_ONCE) {
            let mut batch = self.conn.batch();
            for pair in some {
                batch = batch.add_link(Pair(pair));
            }
            let what = |at: usize| some.get(at).map_or_else(String::new, |pair| pair.name.clone());
            run(batch, |at| format!("make the pair of links {}", what(at))).await?;
            for pair in some {
                near.push(self.index(&pair.name).await?);
            }
        }
        Ok(near)
    }

    /// Adds many things, in order. It is an error if one is there.
    pub async fn add(&self, changes: &[Change]) -> Result<()> {
        for some in changes.chunks(AT_ONCE) {
            let mut batch = self.conn.batch();
            for change in some {
                batch = match *change {
                    Change::Address { link, address: IpAddr::V4(address), prefix } => {
                        batch.add_address(Ipv4Address::with_index(link, address, prefix), link)
                    }
                    Change::Address { link, address: IpAddr::V6(address), prefix } => batch
                        .add_address(Ipv6Address::with_index(link, address, prefix).nodad(), link),
                    Change::Route { to: IpAddr::V4(to), prefix, via, link } => {
                        let route = Ipv4Route::from_addr(to, prefix);
                        let route = match via {
                            Some(IpAddr::V4(via)) => route.gateway(via).onlink(),
                            Some(IpAddr::V6(via)) => route.gateway_v6(via).onlink(),
                            None => route.scope(RouteScope::Link),
                        };
                        batch.add_route(Through { route, link })
                    }
                    Change::Route { to: IpAddr::V6(to), prefix, via, link } => {
                        let route = Ipv6Route::from_addr(to, prefix);
                        let route = match via {
                            Some(IpAddr::V6(via)) => route.gateway(via).onlink(),
                            Some(IpAddr::V4(via)) => {
                                return Err(Error::other(
                                    format!("add {change}"),
                                    format!("{via} cannot be the gateway of IPv6 packets"),
                                ));
                            }
                            None => route,
                        };
                        batch.add_route(Through { route, link })
                    }
                    Change::Neighbour { link, address, mac } => batch.add_neighbor(
                        Neighbor::with_index(link, address).lladdr(mac).permanent(),
                        link,
                    ),
                };
            }
            let what = |at: usize| some.get(at).map_or_else(String::new, Change::to_string);
            run(batch, |at| format!("add {}", what(at))).await?;
        }
        Ok(())
    }

    /// Takes the routes through gateways to some addresses away. It is an error if there is none to one of them.
    pub async fn remove_routes(&self, to: &[IpAddr]) -> Result<()> {
        for some in to.chunks(AT_ONCE) {
            let mut batch = self.conn.batch();
            for &to in some {
                batch = match to {
                    IpAddr::V4(own) => batch.del_route(Ipv4Route::from_addr(own, whole(to))),
                    IpAddr::V6(own) => batch.del_route(Ipv6Route::from_addr(own, whole(to))),
                };
            }
            let what = |at: usize| some.get(at).map_or_else(String::new, IpAddr::to_string);
            run(batch, |at| format!("remove the route to {}", what(at))).await?;
        }
        Ok(())
    }

    /// Removes a link, and with it its other end and all addresses, routes and neighbours of both.
    pub async fn remove(&self, link: u32) -> Result<()> {
        self.conn.del_link_by_index(link).await.to(|| format!("remove the link of index {link}"))
    }

    /// Makes the link `name` in a namespace and its peer in another, one pair alone; both are down. Returns the near index.
    pub async fn veth(&self, pair: Veth<'_>) -> Result<u32> {
        let near = self.veths(core::slice::from_ref(&pair)).await?;
        near.first()
            .copied()
            .ok_or_else(|| Error::other("make a pair of links", "nothing was made"))
    }

    /// Wires pods to the node that these are the links of, and returns the indices of the node ends.
    ///
    /// The node forwards only once its [`forwarding`] is on.
    pub async fn wire(&self, pods: &[PodWire<'_>]) -> Result<Vec<u32>> {
        let pairs: Vec<Veth<'_>> = pods
            .iter()
            .map(|pod| Veth {
                name: pod.link.clone(),
                mac: NODE_MAC,
                peer_name: "eth0".to_owned(),
                peer_mac: pod_mac(&pod.addresses),
                peer: pod.netns,
            })
            .collect();
        let near = self.veths(&pairs).await?;

        let mut changes = Vec::new();
        for (pod, &link) in pods.iter().zip(&near) {
            self.up(link).await?;
            if pod.addresses.iter().any(IpAddr::is_ipv6) {
                // Errors that the node sends into the pod need an address of the link to come from.
                changes.push(Change::Address { link, address: GATEWAY_V6.into(), prefix: 64 });
            }
            for &address in &pod.addresses {
                changes.push(Change::Neighbour { link, address, mac: pod_mac(&pod.addresses) });
                changes.push(Change::Route {
                    to: address,
                    prefix: whole(address),
                    via: None,
                    link,
                });
            }
            pod_side(pod).await?;
        }
        self.add(&changes).await?;
        Ok(near)
    }
}

/// A pair of links on the wire.
///
/// The `VethLink` of nlink closes its copy of the namespace's descriptor when it is put into a batch, so that the kernel finds
/// none; this one borrows the descriptor for as long as the batch lives.
struct Pair<'a>(&'a Veth<'a>);

impl LinkConfig for Pair<'_> {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn kind(&self) -> &'static str {
        "veth"
    }

    fn write_to(&self, message: &mut MessageBuilder, _parent: Option<u32>) {
        // VETH_INFO_PEER and IFLA_NET_NS_FD of linux/veth.h and linux/if_link.h.
        const PEER: u16 = 1;
        const NETNS_FD: u16 = 28;
        let Veth { name, mac, peer_name, peer_mac, peer } = self.0;
        message.append_attr_str(IflaAttr::Ifname as u16, name);
        message.append_attr(IflaAttr::Address as u16, mac);
        let info = message.nest_start(IflaAttr::Linkinfo as u16);
        message.append_attr_str(IflaInfo::Kind as u16, self.kind());
        let data = message.nest_start(IflaInfo::Data as u16);
        let far = message.nest_start(PEER);
        message.append(&IfInfoMsg::new());
        message.append_attr_str(IflaAttr::Ifname as u16, peer_name);
        message.append_attr(IflaAttr::Address as u16, peer_mac);
        message.append_attr(NETNS_FD, &peer.as_fd().as_raw_fd().to_ne_bytes());
        message.nest_end(far);
        message.nest_end(data);
        message.nest_end(info);
    }
}

/// A route with its link: a batch of nlink writes routes without the link they name, even one named by index.
struct Through<R> {
    route: R,
    link: u32,
}

impl<R: RouteConfig> RouteConfig for Through<R> {
    fn device_ref(&self) -> Option<&InterfaceRef> {
        None
    }

    fn multipath_device_refs(&self) -> Vec<Option<&InterfaceRef>> {
        Vec::new()
    }

    fn family(&self) -> u8 {
        self.route.family()
    }

    fn write_add(&self, message: &mut MessageBuilder, _links: &ResolvedRouteInterfaces) {
        let links = ResolvedRouteInterfaces { oif: Some(self.link), multipath: Vec::new() };
        self.route.write_add(message, &links);
    }

    fn write_delete(&self, message: &mut MessageBuilder) {
        self.route.write_delete(message);
    }
}

/// What a pod knows: itself, and that everything else is through its gateway.
async fn pod_side(pod: &PodWire<'_>) -> Result<()> {
    let links = Links::open(pod.netns)?;
    let link = links.index("eth0").await?;
    links.up_loopback().await?;
    links.up(link).await?;
    let mut changes = Vec::new();
    for &address in &pod.addresses {
        changes.push(Change::Address { link, address, prefix: whole(address) });
    }
    let gateways = [
        (IpAddr::from(GATEWAY_V4), IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        (IpAddr::from(GATEWAY_V6), IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    ];
    for (gateway, all) in gateways {
        if pod.addresses.iter().any(|address| address.is_ipv4() == gateway.is_ipv4()) {
            changes.push(Change::Neighbour { link, address: gateway, mac: NODE_MAC });
            changes.push(Change::Route { to: all, prefix: 0, via: Some(gateway), link });
        }
    }
    links.add(&changes).await
}

/// `0a:58` and the low 32 bits of the first address, as CNI plugins do it: locally administered, and told apart in a trace.
fn pod_mac(addresses: &[IpAddr]) -> Mac {
    let low = match addresses.first() {
        Some(IpAddr::V4(address)) => address.octets(),
        Some(IpAddr::V6(address)) => {
            let [.., a, b, c, d] = address.octets();
            [a, b, c, d]
        }
        None => [0; 4],
    };
    let [a, b, c, d] = low;
    [0x0a, 0x58, a, b, c, d]
}

/// The length of the prefix that is one address.
fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

async fn run(batch: nlink::netlink::Batch<'_>, what: impl Fn(usize) -> String) -> Result<()> {
    let results = batch.execute().await.to(|| what(0))?;
    if let Some((at, source)) = results.errors().next() {
        let why = std::io::Error::from_raw_os_error(source.errno().unwrap_or(0));
        // The batch only lends its errors; the number and the words are what matters of one.
        return match source.errno() {
            Some(_) => Err(why).to(|| what(at)),
            None => Err(Error::other(what(at), source.to_string())),
        };
    }
    Ok(())
}

/// Sets sysctls of a namespace: names as below `/proc/sys`, with dots or slashes, and values.
pub fn sysctls(netns: &Netns, settings: &[(&str, &str)]) -> Result<()> {
    let inside = netns.run(|| {
        for &(name, value) in settings {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            fs::write(&path, value).to(|| format!("set {path} to {value}"))?;
        }
        Ok(())
    });
    inside.to(|| "enter a namespace".to_owned())?
}

/// Makes a namespace forward packets of both families.
pub fn forwarding(netns: &Netns) -> Result<()> {
    sysctls(netns, &[("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")])
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { link, address, prefix } => {
                write!(f, "address {address}/{prefix} to the link of index {link}")
            }
            Self::Route { to, prefix, via: None, link } => {
                write!(f, "route {to}/{prefix} through the link of index {link}")
            }
            Self::Route { to, prefix, via: Some(via), link } => {
                write!(f, "route {to}/{prefix} via {via} through the link of index {link}")
            }
            Self::Neighbour { link, address, .. } => {
                write!(f, "neighbour {address} on the link of index {link}")
            }
        }
    }
}
