//! The addresses that Services are given.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A range of IPv4 addresses for Services, `10.96.0.0/16` unless a cluster is started with another. Its first address is the server's own
/// Service's, `kubernetes.default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    network: u32,
    length: u32,
}

/// The largest range (upstream's limit) and the smallest one that has an address for a Service besides the server's.
const LENGTHS: std::ops::RangeInclusive<u32> = 12..=30;

impl Default for ServiceRange {
    fn default() -> Self {
        Self { network: Ipv4Addr::new(10, 96, 0, 0).to_bits(), length: 16 }
    }
}

impl fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.network), self.length)
    }
}

impl FromStr for ServiceRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} is no range of Services: {why}");
        let (address, length) =
            text.split_once('/').ok_or_else(|| wrong("write it as 10.96.0.0/16"))?;
        let address: Ipv4Addr = address.parse().map_err(|_| {
            wrong("it begins with no IPv4 address, and Services have IPv4 addresses so far")
        })?;
        let length: u32 =
            length.parse().map_err(|_| wrong("its length is no number, as in 10.96.0.0/16"))?;
        if !LENGTHS.contains(&length) {
            return Err(wrong("its length has to be from 12 to 30"));
        }
        let network = address.to_bits() & !(u32::MAX >> length);
        if network != address.to_bits() {
            let first = Ipv4Addr::from_bits(network);
            return Err(wrong(&format!("the range of that address is {first}/{length}")));
        }
        Ok(Self { network, length })
    }
}

impl ServiceRange {
    /// The address of the server's own Service.
    pub fn first(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network + 1)
    }

    /// How many addresses it has, without the first and the last one.
    pub(crate) fn n_addresses(self) -> u32 {
        (u32::MAX >> self.length) - 1
    }

    /// An address by its number, from 0.
    pub(crate) fn address(self, idx: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network + 1 + idx % self.n_addresses())
    }

    /// Whether an address is of it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & !(u32::MAX >> self.length) == self.network
    }

    /// Whether some address of a range `ADDRESS/LENGTH` is of it.
    pub fn overlaps(self, address: Ipv4Addr, length: u32) -> bool {
        let mask = !u32::MAX.checked_shr(self.length.min(length)).unwrap_or(0);
        address.to_bits() & mask == self.network & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_have_their_addresses() {
        let range: ServiceRange = "10.0.8.0/30".parse().unwrap();
        assert_eq!((range.n_addresses(), range.first()), (2, Ipv4Addr::new(10, 0, 8, 1)));
        assert_eq!(range.address(1), Ipv4Addr::new(10, 0, 8, 2));
        assert_eq!(range.address(2), range.first());
        assert!(
            range.contains(Ipv4Addr::new(10, 0, 8, 3))
                && !range.contains(Ipv4Addr::new(10, 0, 8, 4))
        );
        assert!(
            range.overlaps(Ipv4Addr::new(10, 0, 0, 0), 16)
                && range.overlaps(Ipv4Addr::UNSPECIFIED, 0)
        );
        assert!(!range.overlaps(Ipv4Addr::new(10, 0, 9, 0), 24));
        assert_eq!(range.to_string(), "10.0.8.0/30");
        assert_eq!("10.96.0.0/16".parse(), Ok(ServiceRange::default()));
        let why = |text: &str| text.parse::<ServiceRange>().unwrap_err();
        assert_eq!(
            why("10.96.1.0/16"),
            "\"10.96.1.0/16\" is no range of Services: the range of that address is 10.96.0.0/16"
        );
        assert_eq!(
            why("10.0.0.0/8"),
            "\"10.0.0.0/8\" is no range of Services: its length has to be from 12 to 30"
        );
        for text in ["", "10.96.0.0", "fd00::/108", "10.96.0.0/x", "10.96.0.0/31"] {
            assert!(text.parse::<ServiceRange>().is_err(), "{text}");
        }
    }
}
