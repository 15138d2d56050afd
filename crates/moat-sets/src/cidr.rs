//! Address prefixes and sets of addresses, IPv4 and IPv6 apart.

use crate::Intervals;
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A prefix: an address with host bits cleared, and a length in bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Cidr {
    network: IpAddr,
    length: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CidrError {
    /// There is no `/`.
    NoSlash,
    /// The part before `/` is no IP address.
    Address,
    /// The part after `/` is no number, or more than the family's bits.
    Length {
        /// The greatest length of the family: 32 or 128.
        most: u8,
    },
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str("no prefix length"),
            Self::Address => f.write_str("not an IP address"),
            Self::Length { most } => write!(f, "prefix length must be 0 to {most}"),
        }
    }
}

impl std::error::Error for CidrError {}

impl Cidr {
    /// Reads `ADDRESS/LENGTH`. Host bits are cleared, as Go's `net.ParseCIDR` does; leading zeros in an IPv4 part are refused.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let (address, length) = text.split_once('/').ok_or(CidrError::NoSlash)?;
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u8 = length.parse().map_err(|_| CidrError::Length { most })?;
        if !digits || length > most {
            return Err(CidrError::Length { most });
        }
        Ok(Self::new(address, length))
    }

    /// The prefix of `length` bits that `address` lies in; longer lengths are cut to the family's bits.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Self {
        match address {
            IpAddr::V4(address) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(u32::from(32 - length)).unwrap_or(0);
                Self { network: IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask)), length }
            }
            IpAddr::V6(address) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(u32::from(128 - length)).unwrap_or(0);
                Self { network: IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask)), length }
            }
        }
    }

    /// The prefix that contains just this address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self::new(address, 128)
    }

    /// The family.
    #[must_use]
    pub fn family(self) -> Family {
        Family::of(self.network)
    }

    /// The first address.
    #[must_use]
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// The length in bits.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether this prefix holds exactly one address.
    #[must_use]
    pub fn is_host(self) -> bool {
        self.length == if self.network.is_ipv4() { 32 } else { 128 }
    }

    /// Whether the address lies in the prefix; never across families.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        Self::of(address, self.length).network == self.network
            && Family::of(address) == self.family()
    }

    fn of(address: IpAddr, length: u8) -> Self {
        Self::new(address, length)
    }

    /// Whether every address of `other` lies in this prefix.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.length <= other.length && self.contains(other.network)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// A set of addresses of both families.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct AddrSet {
    v4: Intervals<u32>,
    v6: Intervals<u128>,
}

impl AddrSet {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every address of both families.
    #[must_use]
    pub fn all() -> Self {
        Self { v4: Intervals::full(), v6: Intervals::full() }
    }

    /// Every address of one family.
    #[must_use]
    pub fn family(family: Family) -> Self {
        match family {
            Family::V4 => Self { v4: Intervals::full(), v6: Intervals::empty() },
            Family::V6 => Self { v4: Intervals::empty(), v6: Intervals::full() },
        }
    }

    /// Addresses from `low` to `high`, both included; empty when the families differ or `low > high`.
    #[must_use]
    pub fn range(low: IpAddr, high: IpAddr) -> Self {
        match (low, high) {
            (IpAddr::V4(low), IpAddr::V4(high)) => {
                Self { v4: Intervals::range(low.to_bits(), high.to_bits()), v6: Intervals::empty() }
            }
            (IpAddr::V6(low), IpAddr::V6(high)) => {
                Self { v4: Intervals::empty(), v6: Intervals::range(low.to_bits(), high.to_bits()) }
            }
            _ => Self::empty(),
        }
    }

    /// Closed ranges in any order, overlapping or not; a range whose ends are of two families is left out.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = (IpAddr, IpAddr)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in ranges {
            match range {
                (IpAddr::V4(low), IpAddr::V4(high)) => v4.push((low.to_bits(), high.to_bits())),
                (IpAddr::V6(low), IpAddr::V6(high)) => v6.push((low.to_bits(), high.to_bits())),
                _ => {}
            }
        }
        Self { v4: Intervals::from_ranges(v4), v6: Intervals::from_ranges(v6) }
    }

    /// One address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self::range(address, address)
    }

    /// The addresses of a prefix.
    #[must_use]
    pub fn cidr(cidr: Cidr) -> Self {
        match cidr.network {
            IpAddr::V4(low) => {
                let size = u32::MAX.checked_shr(u32::from(cidr.length)).unwrap_or(0);
                Self {
                    v4: Intervals::range(low.to_bits(), low.to_bits() | size),
                    v6: Intervals::empty(),
                }
            }
            IpAddr::V6(low) => {
                let size = u128::MAX.checked_shr(u32::from(cidr.length)).unwrap_or(0);
                Self {
                    v4: Intervals::empty(),
                    v6: Intervals::range(low.to_bits(), low.to_bits() | size),
                }
            }
        }
    }

    /// `cidr` without the prefixes in `except`: an `ipBlock`.
    #[must_use]
    pub fn block(cidr: Cidr, except: &[Cidr]) -> Self {
        except.iter().fold(Self::cidr(cidr), |set, &hole| set.minus(&Self::cidr(hole)))
    }

    /// The IPv4 part.
    #[must_use]
    pub fn v4(&self) -> &Intervals<u32> {
        &self.v4
    }

    /// The IPv6 part.
    #[must_use]
    pub fn v6(&self) -> &Intervals<u128> {
        &self.v6
    }

    /// Whether the address is in the set.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// Whether there is no address in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Addresses in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// Addresses in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self { v4: self.v4.intersect(&other.v4), v6: self.v6.intersect(&other.v6) }
    }

    /// Addresses of this set that are not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self { v4: self.v4.minus(&other.v4), v6: self.v6.minus(&other.v6) }
    }

    /// Whether every address of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.v4.is_subset(&other.v4) && self.v6.is_subset(&other.v6)
    }

    /// The fewest prefixes that cover exactly this set, IPv4 first, in rising order.
    #[must_use]
    pub fn cidrs(&self) -> Vec<Cidr> {
        let mut out = Vec::new();
        for &(low, high) in self.v4.ranges() {
            split(u128::from(low), u128::from(high), 32, |start, length| {
                let start = u32::try_from(start).unwrap_or(u32::MAX);
                out.push(Cidr::new(IpAddr::V4(Ipv4Addr::from_bits(start)), length));
            });
        }
        for &(low, high) in self.v6.ranges() {
            split(low, high, 128, |start, length| {
                out.push(Cidr::new(IpAddr::V6(Ipv6Addr::from_bits(start)), length));
            });
        }
        out
    }
}

impl fmt::Display for AddrSet {
    /// The fewest prefixes, parted by blanks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, cidr) in self.cidrs().into_iter().enumerate() {
            if idx > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{cidr}")?;
        }
        Ok(())
    }
}

/// Cuts `low..=high` into the fewest aligned power-of-two blocks of a space of `bits` bits.
fn split(low: u128, high: u128, bits: u8, mut emit: impl FnMut(u128, u8)) {
    let mut start = low;
    loop {
        let aligned =
            if start == 0 { u32::from(bits) } else { start.trailing_zeros().min(u32::from(bits)) };
        // The largest block that starts here and does not pass `high`.
        let mut size = aligned;
        while size > 0 && block_end(start, size) > high {
            size -= 1;
        }
        emit(start, bits - u8::try_from(size).unwrap_or(bits));
        match block_end(start, size).checked_add(1) {
            Some(next) if next <= high => start = next,
            _ => return,
        }
    }
}

fn block_end(start: u128, size: u32) -> u128 {
    start | 1u128.checked_shl(size).map_or(u128::MAX, |one| one - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap()
    }

    #[test]
    fn parses_like_go() {
        assert_eq!(cidr("10.100.0.1/16").to_string(), "10.100.0.0/16");
        assert_eq!(cidr("2001:db8::1/32").to_string(), "2001:db8::/32");
        assert_eq!(Cidr::parse("10.0.0.0"), Err(CidrError::NoSlash));
        assert_eq!(Cidr::parse("10.0.0.0/33"), Err(CidrError::Length { most: 32 }));
        assert_eq!(Cidr::parse("10.0.0.0/+8"), Err(CidrError::Length { most: 32 }));
        assert_eq!(Cidr::parse("10.0.0/8"), Err(CidrError::Address));
        assert_eq!(Cidr::parse("010.0.0.0/8"), Err(CidrError::Address));
    }

    #[test]
    fn families_never_mix() {
        assert!(!cidr("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(!cidr("::/0").contains("1.2.3.4".parse().unwrap()));
        assert!(AddrSet::cidr(cidr("::/0")).v4().is_empty());
        assert!(cidr("::/0").covers(cidr("2001:db8::/32")));
        assert!(!cidr("::/0").covers(cidr("10.0.0.0/8")));
    }

    #[test]
    fn whole_spaces_are_one_prefix() {
        assert_eq!(AddrSet::all().to_string(), "0.0.0.0/0 ::/0");
        assert_eq!(
            AddrSet::block(cidr("10.0.0.0/30"), &[cidr("10.0.0.1/32")]).to_string(),
            "10.0.0.0/32 10.0.0.2/31"
        );
    }

    proptest! {
        #[test]
        fn prefixes_cover_exactly_the_set(ranges: Vec<(u32, u32)>) {
            let set = ranges.iter().fold(AddrSet::empty(), |set, &(a, b)| {
                set.union(&AddrSet::range(IpAddr::V4(a.min(b).into()), IpAddr::V4(a.max(b).into())))
            });
            let back = set.cidrs().into_iter().fold(AddrSet::empty(), |sum, cidr| sum.union(&AddrSet::cidr(cidr)));
            prop_assert_eq!(&back, &set);
            // Fewest: no two prefixes of the list form one larger prefix.
            for pair in set.cidrs().windows(2) {
                let parent = Cidr::new(pair[0].network(), pair[0].length().saturating_sub(1));
                prop_assert!(pair[0].length() != pair[1].length() || pair[0].length() == 0 || !parent.covers(pair[1]));
            }
        }
    }
}
