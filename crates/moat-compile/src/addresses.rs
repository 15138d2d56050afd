//! Addresses cut into atoms, so that every address set is exactly a set of atoms.

use crate::dialect::Matching;
use moat_ir::{AtomTable, PeerSet};
use moat_sets::{AddrSet, Cidr, Family, IdSet};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Adds the cuts of a set of addresses to an atom table under construction.
pub(crate) fn cut(table: &mut AtomTable, set: &AddrSet) {
    for &(low, high) in set.v4().ranges() {
        table.v4.push(low);
        table.v4.extend(high.checked_add(1));
    }
    for &(low, high) in set.v6().ranges() {
        table.v6.push(low);
        table.v6.extend(high.checked_add(1));
    }
}

/// Ends the cutting: sorts, and makes the first atoms start at the first address.
pub(crate) fn finish(table: &mut AtomTable) {
    table.v4.push(0);
    table.v4.sort_unstable();
    table.v4.dedup();
    table.v6.push(0);
    table.v6.sort_unstable();
    table.v6.dedup();
}

/// The atoms of a set whose cuts are all in the table.
pub(crate) fn atoms(table: &AtomTable, set: &AddrSet) -> IdSet {
    let mut out = IdSet::new();
    let ranges4 = set
        .v4()
        .ranges()
        .iter()
        .map(|&(low, high)| (IpAddr::V4(low.into()), IpAddr::V4(high.into())));
    let ranges6 = set
        .v6()
        .ranges()
        .iter()
        .map(|&(low, high)| (IpAddr::V6(low.into()), IpAddr::V6(high.into())));
    for (low, high) in ranges4.chain(ranges6) {
        out.union_with(&IdSet::range(table.of_address(low), table.of_address(high) + 1));
    }
    out
}

/// What is known of a pod's address in one family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Known {
    /// It has none.
    Absent,
    /// It lies in this atom.
    Atom(u32),
    /// It has one, which is not known.
    Unknown,
}

/// Where addresses that are not known may lie: the pod prefixes of the family, or anywhere.
pub(crate) fn candidates(pod_cidrs: &[Cidr], family: Family) -> AddrSet {
    let own = pod_cidrs.iter().filter(|cidr| cidr.family() == family);
    let known = own.fold(AddrSet::empty(), |sum, &cidr| sum.union(&AddrSet::cidr(cidr)));
    if known.is_empty() { AddrSet::family(family) } else { known }
}

/// Pod atoms by what is known of their pods' addresses, so that an address set is compared with each kind of address once.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    /// Pod atoms by the address atom they lie in.
    at: BTreeMap<u32, IdSet>,
    /// Pod atoms whose addresses are not known, per family.
    unknown: [IdSet; 2],
}

impl Holders {
    /// Whether nothing is noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.at.is_empty() && self.unknown.iter().all(IdSet::is_empty)
    }

    /// Notes that of the address behind `atom`, of the family at `family` in [`Family::BOTH`], this is known.
    pub(crate) fn note(&mut self, atom: u32, family: usize, known: Known) {
        match known {
            Known::Absent => {}
            Known::Atom(at) => {
                self.at.entry(at).or_default().insert(atom);
            }
            Known::Unknown => {
                self.unknown[family].insert(atom);
            }
        }
    }

    /// Adds the pod atoms that `addresses`, which is made of `atoms`, contains, as the dialect says.
    pub(crate) fn add(
        &self,
        set: &mut PeerSet,
        addresses: &AddrSet,
        atoms: &IdSet,
        candidates: &[AddrSet; 2],
        matching: Matching,
    ) {
        let n_at = self.at.len() as u64;
        if n_at < atoms.len() {
            let contained = self.at.iter().filter(|(at, _)| atoms.contains(**at));
            contained.for_each(|(_, own)| add(set, own, Some(true), matching));
        } else if n_at > 0 {
            let contained = atoms.iter().filter_map(|at| self.at.get(&at));
            contained.for_each(|own| add(set, own, Some(true), matching));
        }
        for (own, candidates) in self.unknown.iter().zip(candidates) {
            if !own.is_empty() {
                add(set, own, contains_unknown(addresses, candidates), matching);
            }
        }
    }
}

/// Whether `set` contains an address of which only the candidates are known; `None` when it does not.
fn contains_unknown(set: &AddrSet, candidates: &AddrSet) -> Option<bool> {
    if candidates.is_subset(set) {
        return Some(true);
    }
    (!candidates.intersect(set).is_empty()).then_some(false)
}

/// Adds pod atoms to a peer set, as the dialect says.
fn add(set: &mut PeerSet, atoms: &IdSet, contained: Option<bool>, matching: Matching) {
    match (matching, contained) {
        (_, None) | (Matching::Never, _) => {}
        (Matching::ByAddress, Some(true)) => set.must.union_with(atoms),
        (Matching::ByAddress, Some(false)) | (Matching::Undefined, Some(_)) => {
            set.may.union_with(atoms);
        }
    }
}

/// The families that addresses not known may be of.
pub(crate) fn families(pod_cidrs: &[Cidr], known: impl Iterator<Item = IpAddr>) -> Vec<Family> {
    let mut found: Vec<Family> = pod_cidrs.iter().map(|cidr| cidr.family()).collect();
    if found.is_empty() {
        found = known.map(Family::of).collect();
    }
    found.sort_unstable();
    found.dedup();
    // Single-stack IPv4 is what clusters are unless something says otherwise.
    if found.is_empty() { vec![Family::V4] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> AddrSet {
        text.split(' ').fold(AddrSet::empty(), |sum, cidr| {
            sum.union(&AddrSet::cidr(Cidr::parse(cidr).unwrap()))
        })
    }

    #[test]
    fn atoms_of_a_set_are_exactly_its_addresses() {
        let sets = [
            set("10.0.0.0/8 2001:db8::/32"),
            set("10.1.0.0/16"),
            set("0.0.0.0/0"),
            set("255.255.255.255/32 ::/0"),
        ];
        let mut table = AtomTable::default();
        sets.iter().for_each(|set| cut(&mut table, set));
        finish(&mut table);
        for set in &sets {
            assert_eq!(table.addresses(&atoms(&table, set)), *set);
        }
        assert_eq!(table.addresses(&IdSet::range(0, table.n_addresses())), AddrSet::all());
    }

    #[test]
    fn an_unknown_address_is_in_a_set_that_covers_all_candidates() {
        let anywhere = candidates(&[], Family::V4);
        let (all, some) = (set("0.0.0.0/0"), set("10.0.0.0/8"));
        assert_eq!(contains_unknown(&all, &anywhere), Some(true));
        assert_eq!(contains_unknown(&some, &anywhere), Some(false));
        assert_eq!(contains_unknown(&set("::/0"), &anywhere), None);
        let pods = candidates(&[Cidr::parse("10.16.0.0/14").unwrap()], Family::V4);
        assert_eq!(contains_unknown(&some, &pods), Some(true));
        assert_eq!(contains_unknown(&set("192.168.0.0/16"), &pods), None);
    }
}
