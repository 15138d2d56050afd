//! Who the peers of a program are, by address.

use super::host;
use crate::model::{Element, Value};
use moat_ir::{Bound, OutcomeCell};
use moat_sets::{AddrSet, Cidr, Family, IdSet};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The pods that packets can come from or go to by an address of their own, by where a peer set has them.
#[derive(Clone, Debug, Default)]
pub(super) struct PodTable {
    /// For each pod atom, its pods' addresses, each with the address atom that it lies in.
    by_atom: FxHashMap<u32, BTreeMap<IpAddr, u32>>,
    /// For each address atom, the pod atoms with pods in it, or that once had.
    within: BTreeMap<u32, IdSet>,
    /// The pod atom of each address.
    atoms: BTreeMap<IpAddr, u32>,
}

/// The pod atom and the address atom of a pod's address; `None` for an address that no pod has by itself.
pub(super) fn atoms(bound: &Bound, address: IpAddr) -> Option<(u32, u32)> {
    let pod = *bound.pod_by_address.get(&address)?;
    let info = bound.pod(pod);
    // Who shares its node's network is known by its node's address only.
    if info.host_network || info.finished {
        return None;
    }
    let atom = bound.class(info.class).atom(Family::of(address))?;
    Some((atom, bound.atoms.of_address(address)))
}

impl PodTable {
    pub(super) fn new(bound: &Bound) -> Self {
        let mut table = Self::default();
        for &address in bound.pod_by_address.keys() {
            table.set(bound, address);
        }
        table
    }

    /// Learns again whose an address is; gives the pod atom that it had.
    pub(super) fn set(&mut self, bound: &Bound, address: IpAddr) -> Option<u32> {
        let new = atoms(bound, address);
        let old = match new {
            Some((atom, _)) => self.atoms.insert(address, atom),
            None => self.atoms.remove(&address),
        };
        if let Some(own) = old.and_then(|old| self.by_atom.get_mut(&old)) {
            own.remove(&address);
        }
        if let Some((atom, around)) = new {
            self.by_atom.entry(atom).or_default().insert(address, around);
            self.within.entry(around).or_default().insert(atom);
        }
        old
    }
}

/// Which cell each address of a family belongs to.
pub(super) struct Peers<'a> {
    table: &'a PodTable,
    cells: &'a [OutcomeCell],
    family: Family,
    /// Ranges of addresses, where they differ from the rest.
    pub(super) ranges: BTreeMap<Element, usize>,
    /// The cell of everyone else: the one with most addresses.
    pub(super) rest: usize,
    /// Whether another has as many.
    pub(super) is_tied: bool,
    /// By address atom, the cell.
    of_address: Vec<usize>,
    /// Only pods of other cells than the rest, and pods that lie in addresses of other cells, can differ from what is around them.
    candidates: IdSet,
}

impl<'a> Peers<'a> {
    /// `cells` of which no two are to be told apart by their numbers: their order in `by` decides between equals.
    pub(super) fn new<K: Ord>(
        bound: &'a Bound,
        table: &'a PodTable,
        cells: &'a [OutcomeCell],
        family: Family,
        by: &[K],
    ) -> Self {
        let addresses: Vec<AddrSet> =
            cells.iter().map(|cell| bound.atoms.addresses(&cell.peers)).collect();
        let widths: Vec<u128> = addresses.iter().map(|set| width(set, family)).collect();
        let rest = (0..cells.len()).max_by_key(|&at| (widths.get(at), by.get(at))).unwrap_or(0);
        let is_tied = widths.iter().filter(|own| Some(*own) == widths.get(rest)).count() > 1;
        let mut ranges = BTreeMap::new();
        for (at, set) in addresses.iter().enumerate().filter(|(at, _)| *at != rest) {
            ranges.extend(self::ranges(set, family).map(|range| (range, at)));
        }
        let first = bound.atoms.first_pod();
        let n_atoms = bound.atoms.len();
        let mut of_address = vec![rest; first as usize];
        let mut candidates = IdSet::new();
        for (at, cell) in cells.iter().enumerate().filter(|(at, _)| *at != rest) {
            for atom in cell.peers.intersect(&IdSet::range(0, first)).iter() {
                if let Some(own) = of_address.get_mut(atom as usize) {
                    *own = at;
                }
                if let Some(inside) = table.within.get(&atom) {
                    candidates.union_with(inside);
                }
            }
            candidates.union_with(&cell.peers.intersect(&IdSet::range(first, n_atoms)));
        }
        Self { table, cells, family, ranges, rest, is_tied, of_address, candidates }
    }

    /// The addresses of pods of a cell that lie among addresses of others. Follows from the peers of the cell alone, whatever the other
    /// cells are.
    pub(super) fn exact(&self, at: usize) -> Vec<IpAddr> {
        let Some(cell) = self.cells.get(at) else { return Vec::new() };
        let mut found = Vec::new();
        for atom in cell.peers.intersect(&self.candidates).iter() {
            let pods = self.table.by_atom.get(&atom).into_iter().flatten();
            let own = pods.filter(|(address, around)| {
                Family::of(**address) == self.family
                    && self.of_address.get(**around as usize) != Some(&at)
            });
            found.extend(own.map(|(address, _)| *address));
        }
        found
    }
}

/// How many addresses a set has in a family; all of IPv6 counts as one less.
fn width(set: &AddrSet, family: Family) -> u128 {
    match family {
        Family::V4 => set.v4().ranges().iter().map(|(low, high)| u128::from(high - low) + 1).sum(),
        Family::V6 => {
            set.v6().ranges().iter().fold(0, |sum: u128, (low, high)| {
                sum.saturating_add((high - low).saturating_add(1))
            })
        }
    }
}

/// The ranges of a set in a family.
pub(super) fn ranges(set: &AddrSet, family: Family) -> impl Iterator<Item = Element> {
    let v4 = if family == Family::V4 { set.v4().ranges() } else { &[] };
    let v6 = if family == Family::V6 { set.v6().ranges() } else { &[] };
    let v4 = v4
        .iter()
        .map(|&(low, high)| Element::RangeV4(Ipv4Addr::from_bits(low), Ipv4Addr::from_bits(high)));
    let v6 = v6
        .iter()
        .map(|&(low, high)| Element::RangeV6(Ipv6Addr::from_bits(low), Ipv6Addr::from_bits(high)));
    v4.chain(v6).collect::<Vec<_>>().into_iter()
}

/// The prefixes that a range is made of.
pub(super) fn cidrs(range: &Element) -> Vec<Cidr> {
    let set = match *range {
        Element::RangeV4(low, high) => AddrSet::from_ranges([(low.into(), high.into())]),
        Element::RangeV6(low, high) => AddrSet::from_ranges([(low.into(), high.into())]),
        _ => return Vec::new(),
    };
    set.cidrs()
}

/// The family of a range.
pub(super) fn family_of(range: &Element) -> Option<Family> {
    match range {
        Element::RangeV4(..) => Some(Family::V4),
        Element::RangeV6(..) => Some(Family::V6),
        _ => None,
    }
}

/// A prefix as a value to compare with.
pub(super) fn prefix(cidr: &Cidr) -> Value {
    match cidr.network() {
        IpAddr::V4(own) if cidr.is_host() => Value::V4(own),
        IpAddr::V4(own) => Value::PrefixV4(own, cidr.length()),
        IpAddr::V6(own) if cidr.is_host() => Value::V6(own),
        IpAddr::V6(own) => Value::PrefixV6(own, cidr.length()),
    }
}

/// The elements of addresses.
pub(super) fn hosts(addresses: &[IpAddr]) -> impl Iterator<Item = Element> {
    addresses.iter().map(|&address| host(address))
}
