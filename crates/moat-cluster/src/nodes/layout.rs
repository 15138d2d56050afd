//! Which addresses each node and its pods have.

use moat_sets::Cidr;
use std::net::{IpAddr, Ipv4Addr};

/// Nodes get addresses from here on, one each: 172.31.255.0 upwards is where `moat verify` has its nodes, so these lie apart from them.
const NODE_FIRST: u32 = 0xac1e_0001; // 172.30.0.1
/// The most nodes: what lies between the first address and those of `moat verify`.
pub const NODES_MAX: usize = 100_000;
/// Addresses of a node's pods: a /24 as Kubernetes' node IPAM gives by default, smaller where the nodes would not fit.
const LENGTHS: std::ops::RangeInclusive<u8> = 24..=28;

/// Cuts the pods' range into one range a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    first: u32,
    length: u8,
}

impl Layout {
    /// Room for `n_nodes` nodes with `n_pods` pods each in the pods' range.
    ///
    /// Errors: the range is not IPv4, or too small.
    pub fn new(pods: Cidr, n_nodes: usize, n_pods: u32) -> Result<Self, String> {
        let IpAddr::V4(first) = pods.network() else {
            return Err(format!("{pods} is no IPv4 range: pods have IPv4 addresses so far"));
        };
        if n_nodes > NODES_MAX {
            return Err(format!("{n_nodes} nodes are more than {NODES_MAX}"));
        }
        let fits = |length: &u8| {
            let n_ranges =
                length.checked_sub(pods.length()).map_or(0, |bits| 1_usize << bits.min(24));
            // The first address names the range and the last is its broadcast address.
            let n_addresses = (1_u32 << (32 - length)) - 2;
            n_ranges >= n_nodes.max(1) && n_addresses >= n_pods
        };
        let length = LENGTHS.into_iter().find(fits).ok_or_else(|| {
            format!(
                "{n_nodes} nodes with {n_pods} pods each do not fit into {pods}: give a larger range, such as 10.128.0.0/9, or fewer pods a node"
            )
        })?;
        Ok(Self { first: first.to_bits(), length })
    }

    /// The range of a node's pods, by the node's index.
    pub fn pods(self, idx: usize) -> Cidr {
        let below =
            u32::try_from(idx).unwrap_or(u32::MAX).wrapping_shl(u32::from(32 - self.length));
        Cidr::new(Ipv4Addr::from_bits(self.first.wrapping_add(below)).into(), self.length)
    }

    /// A node's address.
    pub fn node(self, idx: usize) -> IpAddr {
        Ipv4Addr::from_bits(NODE_FIRST.wrapping_add(u32::try_from(idx).unwrap_or(u32::MAX))).into()
    }
}

/// The addresses of one node's pods that are in use.
#[derive(Clone, Debug)]
pub struct Pool {
    range: Cidr,
    used: std::collections::BTreeSet<u32>,
    next: u32,
}

impl Pool {
    /// All of a range but its first and last address.
    pub fn new(range: Cidr) -> Self {
        Self { range, used: std::collections::BTreeSet::new(), next: 1 }
    }

    /// An address that is free, the one least lately given first; nothing when all are in use.
    pub fn take(&mut self) -> Option<IpAddr> {
        let last = (1_u32 << (32 - u32::from(self.range.length()))) - 2;
        for _ in 0..last {
            let offset = self.next;
            self.next = if self.next >= last { 1 } else { self.next + 1 };
            if self.used.insert(offset) {
                return self.address(offset);
            }
        }
        None
    }

    /// Marks an address as used, such as that of a pod from before a restart.
    pub fn mark(&mut self, address: IpAddr) {
        if let Some(offset) = self.offset(address) {
            self.used.insert(offset);
        }
    }

    /// Gives an address back.
    pub fn free(&mut self, address: IpAddr) {
        if let Some(offset) = self.offset(address) {
            self.used.remove(&offset);
        }
    }

    fn first(&self) -> Option<u32> {
        match self.range.network() {
            IpAddr::V4(first) => Some(first.to_bits()),
            IpAddr::V6(_) => None,
        }
    }

    fn address(&self, offset: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(self.first()?.wrapping_add(offset)).into())
    }

    fn offset(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) if self.range.contains(address.into()) => {
                address.to_bits().checked_sub(self.first()?)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap()
    }

    #[test]
    fn ranges_shrink_before_nodes_do_not_fit() {
        let text = |layout: Layout, idx| layout.pods(idx).to_string();
        let few = Layout::new(cidr("10.244.0.0/16"), 256, 110).unwrap();
        assert_eq!(
            (text(few, 0), text(few, 255)),
            ("10.244.0.0/24".into(), "10.244.255.0/24".into())
        );
        let many = Layout::new(cidr("10.244.0.0/16"), 257, 110).unwrap();
        assert_eq!(text(many, 1), "10.244.0.128/25");
        assert_eq!(many.node(0).to_string(), "172.30.0.1");
        assert!(Layout::new(cidr("10.244.0.0/16"), 1000, 110).is_err());
        assert!(Layout::new(cidr("10.128.0.0/9"), 1000, 110).is_ok());
        assert!(Layout::new(cidr("10.0.0.0/30"), 1, 1).is_err());
        assert!(Layout::new(cidr("fd00::/64"), 1, 110).is_err());
    }

    #[test]
    fn addresses_are_given_once_and_come_back() {
        let mut pool = Pool::new(cidr("10.0.0.0/29"));
        pool.mark("10.0.0.2".parse().unwrap());
        let taken: Vec<String> =
            std::iter::from_fn(|| pool.take()).map(|ip| ip.to_string()).collect();
        assert_eq!(taken, ["10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        pool.free("10.0.0.4".parse().unwrap());
        pool.free("10.9.9.9".parse().unwrap());
        assert_eq!(pool.take(), Some("10.0.0.4".parse().unwrap()));
        assert_eq!(pool.take(), None);
    }
}
