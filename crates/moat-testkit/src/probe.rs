//! The flows worth asking about a world: every ordered pair of ends, every family both have, every boundary port.

use crate::Json;
use crate::point::{End, Flow};
use crate::rng::Rng;
use crate::wire;
use moat_sets::{Cidr, Family, Protocol};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Where flows of a world can start and end, and on which ports it pays to ask.
#[derive(Clone, Debug)]
pub struct Probes {
    /// Pairs of ends with the families that connect them. At least one end is a pod.
    pub pairs: Vec<(End, End, Family)>,
    /// Protocols and ports at which some rule may begin or end to match.
    pub points: Vec<(Protocol, u16)>,
}

/// Addresses asked about in every world.
const ALWAYS: [&str; 2] = ["203.0.113.7", "2001:db8::7"];

impl Probes {
    /// The probes of a world, with at most `outside` addresses beside those of nodes.
    #[must_use]
    pub fn new(objects: &[Json], outside: usize, rng: &mut Rng) -> Self {
        let pods = wire::pods(objects);
        let taken: BTreeSet<IpAddr> =
            pods.iter().flat_map(|pod| pod.addresses.iter().copied()).collect();
        let nodes: BTreeSet<IpAddr> = wire::node_addresses(objects).into_iter().collect();
        let mut edges: Vec<IpAddr> = wire::prefixes(objects)
            .into_iter()
            .flat_map(edges)
            .filter(|at| !taken.contains(at) && !nodes.contains(at))
            .collect();
        edges.sort_unstable();
        edges.dedup();
        rng.shuffle(&mut edges);
        edges.truncate(outside.saturating_sub(ALWAYS.len()));
        let mut addresses: BTreeSet<IpAddr> = edges.into_iter().chain(nodes).collect();
        addresses.extend(ALWAYS.iter().map(|text| text.parse::<IpAddr>().unwrap()));
        let mut pairs = Vec::new();
        let end = |pod: &wire::PodFacts| End::Pod {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
        };
        for pod in &pods {
            for other in &pods {
                for family in pod.families() {
                    if other.families().contains(&family) {
                        pairs.push((end(pod), end(other), family));
                    }
                }
            }
            for &address in &addresses {
                let family = Family::of(address);
                if pod.families().contains(&family) {
                    pairs.push((end(pod), End::Address(address), family));
                    pairs.push((End::Address(address), end(pod), family));
                }
            }
            let patterns = wire::domains(objects);
            if !patterns.is_empty() {
                let mut names: BTreeSet<String> =
                    patterns.iter().map(|pattern| pattern.replace('*', "x.y")).collect();
                names.extend(["example.com", "other.test"].map(str::to_owned));
                for name in names {
                    pairs.extend(
                        pod.families()
                            .into_iter()
                            .map(|family| (end(pod), End::Domain(name.clone()), family)),
                    );
                }
            }
        }
        Self { pairs, points: points(objects) }
    }

    /// Every flow.
    pub fn all(&self) -> impl Iterator<Item = Flow> + '_ {
        self.pairs
            .iter()
            .flat_map(move |pair| self.points.iter().map(move |&point| flow(pair, point)))
    }

    /// For every pair `n` flows, drawn from the points.
    #[must_use]
    pub fn some(&self, n: usize, rng: &mut Rng) -> Vec<Flow> {
        self.pairs
            .iter()
            .flat_map(|pair| {
                (0..n).map(|_| flow(pair, *rng.pick(&self.points))).collect::<Vec<_>>()
            })
            .collect()
    }
}

fn flow((from, to, family): &(End, End, Family), (protocol, port): (Protocol, u16)) -> Flow {
    Flow { from: from.clone(), to: to.clone(), protocol, port, family: *family }
}

/// Each port named and its neighbours, for each protocol, and ICMP.
#[must_use]
pub fn points(objects: &[Json]) -> Vec<(Protocol, u16)> {
    let mut numbers = wire::port_numbers(objects);
    numbers.insert(80);
    let around =
        |&number: &u16| [number.saturating_sub(1).max(1), number, number.saturating_add(1)];
    let numbers: BTreeSet<u16> = numbers.iter().flat_map(around).collect();
    let mut points: Vec<(Protocol, u16)> = Protocol::WITH_PORTS
        .into_iter()
        .flat_map(|protocol| numbers.iter().map(move |&number| (protocol, number)))
        .collect();
    points.push((Protocol::Other, 0));
    points
}

/// The first and last address of a prefix and those beside it.
fn edges(cidr: Cidr) -> Vec<IpAddr> {
    let low = cidr.network();
    match low {
        IpAddr::V4(address) => {
            let low = address.to_bits();
            let high = low | u32::MAX.checked_shr(u32::from(cidr.length())).unwrap_or(0);
            let all = [Some(low), Some(high), low.checked_sub(1), high.checked_add(1)];
            all.into_iter().flatten().map(|bits| IpAddr::V4(bits.into())).collect()
        }
        IpAddr::V6(address) => {
            let low = address.to_bits();
            let high = low | u128::MAX.checked_shr(u32::from(cidr.length())).unwrap_or(0);
            let all = [Some(low), Some(high), low.checked_sub(1), high.checked_add(1)];
            all.into_iter().flatten().map(|bits| IpAddr::V6(bits.into())).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_a_prefix() {
        let texts = |text: &str| {
            edges(Cidr::parse(text).unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(texts("10.0.0.0/31"), ["10.0.0.0", "10.0.0.1", "9.255.255.255", "10.0.0.2"]);
        assert_eq!(texts("0.0.0.0/0"), ["0.0.0.0", "255.255.255.255"]);
        assert_eq!(texts("::1/128"), ["::1", "::1", "::", "::2"]);
    }
}
