//! Prefixes inside prefixes: as few comparisons as there can be for ranges of addresses, where the first that holds decides.

use super::peers::{cidrs, family_of};
use crate::model::Element;
use moat_sets::{Cidr, Family};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The prefixes by which each address is told what it is, longest first; what is in none is of the rest.
///
/// A block without some of its parts is many prefixes beside each other and few inside each other. This is the way of Draves, King,
/// Venkatachary and Zill ("Constructing Optimal IP Routing Tables", 1999): from the leaves up, what each node may be said to be so that
/// least needs to be said below it; then from the root down, what has to be said.
pub(super) fn nested(ranges: &BTreeMap<Element, usize>, rest: usize) -> Nested {
    let mut found = Nested { said: Vec::new(), is_sole: true };
    let Some(family) = ranges.keys().next().and_then(family_of) else { return found };
    let mut root = Node::default();
    for (range, &is) in ranges {
        cidrs(range).iter().for_each(|prefix| root.put(prefix, is));
    }
    root.may_be(rest);
    let any = match family {
        Family::V4 => Cidr::new(IpAddr::from([0; 4]), 0),
        Family::V6 => Cidr::new(IpAddr::from([0; 16]), 0),
    };
    root.say(any, rest, rest, &mut found);
    found.said.sort_by_key(|(prefix, _)| (core::cmp::Reverse(prefix.length()), prefix.network()));
    found
}

/// What is said of prefixes.
pub(super) struct Nested {
    /// Longest first.
    pub(super) said: Vec<(Cidr, usize)>,
    /// Whether as little could be said in no other way, so that what things are called made no difference.
    pub(super) is_sole: bool,
}

/// The addresses of one prefix, all of which are the same unless there are halves.
#[derive(Default)]
struct Node {
    halves: [Option<Box<Node>>; 2],
    is: Option<usize>,
    may: BTreeSet<usize>,
}

impl Node {
    fn put(&mut self, prefix: &Cidr, is: usize) {
        let mut node = self;
        for at in 0..prefix.length() {
            let half = node.halves.get_mut(usize::from(bit(prefix.network(), at)));
            let Some(half) = half else { return };
            node = half.get_or_insert_default();
        }
        node.is = Some(is);
    }

    /// What can be said of it.
    fn may_be(&mut self, rest: usize) -> &BTreeSet<usize> {
        let [first, second] = &mut self.halves;
        self.may = match (self.is, first, second) {
            (Some(is), ..) => [is].into(),
            (None, None, None) => [rest].into(),
            (None, first, second) => {
                let other = BTreeSet::from([rest]);
                let first = first.as_mut().map_or(&other, |node| node.may_be(rest));
                let second = second.as_mut().map_or(&other, |node| node.may_be(rest));
                let both: BTreeSet<usize> = first.intersection(second).copied().collect();
                if both.is_empty() { first.union(second).copied().collect() } else { both }
            }
        };
        &self.may
    }

    /// Says what is not said by what it lies in.
    fn say(&self, own: Cidr, told: usize, rest: usize, found: &mut Nested) {
        let mut told = told;
        // Of all addresses the rule at the end says it.
        if own.length() > 0
            && !self.may.contains(&told)
            && let Some(&first) = self.may.first()
        {
            found.said.push((own, first));
            found.is_sole &= self.may.len() == 1;
            told = first;
        }
        if self.is.is_some() || self.halves.iter().all(Option::is_none) {
            return;
        }
        for (half, upper) in self.halves.iter().zip([false, true]) {
            let prefix = half_of(own, upper);
            match half {
                Some(node) => node.say(prefix, told, rest, found),
                None if told != rest => found.said.push((prefix, rest)),
                None => {}
            }
        }
    }
}

/// A bit of an address, the first being 0.
fn bit(address: IpAddr, at: u8) -> bool {
    match address {
        IpAddr::V4(own) => own.to_bits().checked_shl(at.into()).is_some_and(|own| own >> 31 == 1),
        IpAddr::V6(own) => own.to_bits().checked_shl(at.into()).is_some_and(|own| own >> 127 == 1),
    }
}

fn half_of(prefix: Cidr, upper: bool) -> Cidr {
    let shift = |bits: u32| bits.saturating_sub(u32::from(prefix.length()) + 1);
    let network = match prefix.network() {
        IpAddr::V4(own) => IpAddr::V4(
            (own.to_bits() | u32::from(upper).checked_shl(shift(32)).unwrap_or(0)).into(),
        ),
        IpAddr::V6(own) => {
            let half = u128::from(upper).checked_shl(shift(128)).unwrap_or(0);
            IpAddr::V6((own.to_bits() | half).into())
        }
    };
    Cidr::new(network, prefix.length() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn v4(low: [u8; 4], high: [u8; 4]) -> Element {
        Element::RangeV4(low.into(), high.into())
    }

    #[test]
    fn a_block_in_a_block_is_two_prefixes() {
        let ranges = [
            (v4([10, 0, 0, 0], [10, 6, 255, 255]), 1),
            (v4([10, 7, 0, 0], [10, 7, 255, 255]), 2),
            (v4([10, 8, 0, 0], [10, 255, 255, 255]), 1),
            (v4([169, 254, 169, 254], [169, 254, 169, 254]), 3),
        ];
        let said: Vec<String> = nested(&ranges.into(), 0)
            .said
            .iter()
            .map(|(prefix, is)| format!("{prefix} {is}"))
            .collect();
        assert_eq!(said, ["169.254.169.254/32 3", "10.7.0.0/16 2", "10.0.0.0/8 1"]);
    }

    proptest! {
        /// Disjoint ranges, cut anywhere among a few addresses of either family: every address is told what its range says.
        #[test]
        fn every_address_is_told_what_it_is(
            cuts in proptest::collection::btree_set(0_u8..=64, 0..12),
            is in proptest::collection::vec(0_usize..4, 13),
            v6: bool,
        ) {
            let cuts: Vec<u8> = cuts.into_iter().collect();
            let address = |n: u8| Ipv4Addr::new(10, 0, 0, n);
            let address6 = |n: u8| address(n).to_ipv6_mapped();
            let ranges: BTreeMap<Element, usize> = cuts
                .windows(2)
                .zip(&is)
                .filter(|(_, is)| **is != 0)
                .map(|(cut, is)| {
                    let (low, high) = (cut[0], cut[1] - 1);
                    let range = if v6 {
                        Element::RangeV6(address6(low), address6(high))
                    } else {
                        Element::RangeV4(address(low), address(high))
                    };
                    (range, *is)
                })
                .collect();
            let said = nested(&ranges, 0).said;
            let apart: usize = ranges.keys().map(|range| cidrs(range).len()).sum();
            prop_assert!(said.len() <= apart);
            for n in 0..=255 {
                let own: IpAddr = if v6 { address6(n).into() } else { address(n).into() };
                let at = cuts.windows(2).position(|cut| (cut[0]..cut[1]).contains(&n));
                let wanted = at.map_or(0, |at| is[at]);
                let told = said.iter().find(|(prefix, _)| prefix.contains(own));
                prop_assert_eq!(told.map_or(0, |(_, is)| *is), wanted, "{} of {:?}", n, said);
            }
        }
    }
}
