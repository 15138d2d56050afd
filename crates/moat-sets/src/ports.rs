//! Sets of (protocol, port) points.

use crate::Intervals;
use core::fmt;

/// The protocols that `NetworkPolicyPort.protocol` can name, and everything else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// TCP, IP protocol 6.
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
    /// SCTP, IP protocol 132.
    Sctp,
    /// Any protocol that no rule can name by port: ICMP and the rest.
    Other,
}

impl Protocol {
    /// The protocols that have ports, in display order.
    pub const WITH_PORTS: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The name in upper case, as the API writes it; `ICMP` stands for [`Protocol::Other`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Other => "ICMP",
        }
    }

    /// What policies take an IP protocol number for (IANA).
    #[must_use]
    pub fn of_number(number: u8) -> Self {
        let named = Self::WITH_PORTS.into_iter().find(|protocol| protocol.number(false) == number);
        named.unwrap_or(Self::Other)
    }

    /// The IP protocol number (IANA); for [`Protocol::Other`] that of ICMP in the IP version at hand.
    #[must_use]
    pub fn number(self, is_v4: bool) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Other if is_v4 => 1,
            Self::Other => 58,
        }
    }

    /// Reads a protocol name, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp, Self::Other]
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One point of a port set: a protocol and, where the protocol has ports, a destination port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ServicePoint {
    /// The protocol.
    pub protocol: Protocol,
    /// The destination port; 0 for [`Protocol::Other`].
    pub port: u16,
}

impl ServicePoint {
    /// A point; the port of a protocol without ports is dropped.
    #[must_use]
    pub fn new(protocol: Protocol, port: u16) -> Self {
        Self { protocol, port: if protocol == Protocol::Other { 0 } else { port } }
    }

    fn code(self) -> u32 {
        base(self.protocol) + u32::from(self.port)
    }
}

impl fmt::Display for ServicePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Other => f.write_str("ICMP"),
            protocol => write!(f, "{}/{protocol}", self.port),
        }
    }
}

/// The three port spaces follow each other; the single last point stands for all other protocols.
const PORTS: u32 = 1 << 16;
const OTHER: u32 = 3 * PORTS;

fn base(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => PORTS,
        Protocol::Sctp => 2 * PORTS,
        Protocol::Other => OTHER,
    }
}

/// A set of (protocol, port) points, protocols without ports included as one point.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct PortSet(Intervals<u32>);

impl PortSet {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self(Intervals::empty())
    }

    /// Every protocol and port, ICMP included: a rule without `ports`.
    #[must_use]
    pub fn all() -> Self {
        Self(Intervals::range(0, OTHER))
    }

    /// Every port of one protocol: a rule port without `port`.
    #[must_use]
    pub fn protocol(protocol: Protocol) -> Self {
        Self::range(protocol, 0, u16::MAX)
    }

    /// Ports `low` to `high` of one protocol, both included.
    #[must_use]
    pub fn range(protocol: Protocol, low: u16, high: u16) -> Self {
        match protocol {
            Protocol::Other => Self(Intervals::range(OTHER, OTHER)),
            _ => Self(Intervals::range(
                base(protocol) + u32::from(low),
                base(protocol) + u32::from(high),
            )),
        }
    }

    /// One point.
    #[must_use]
    pub fn point(point: ServicePoint) -> Self {
        Self(Intervals::range(point.code(), point.code()))
    }

    /// The ports of one protocol in this set, as closed ranges; for [`Protocol::Other`] one range `0..=0` or none.
    #[must_use]
    pub fn of(&self, protocol: Protocol) -> Vec<(u16, u16)> {
        let start = base(protocol);
        let end = if protocol == Protocol::Other { OTHER } else { start + PORTS - 1 };
        let port = |code: u32| u16::try_from(code - start).unwrap_or(u16::MAX);
        self.0
            .intersect(&Intervals::range(start, end))
            .ranges()
            .iter()
            .map(|&(low, high)| (port(low), port(high)))
            .collect()
    }

    /// Whether the point is in the set.
    #[must_use]
    pub fn contains(&self, point: ServicePoint) -> bool {
        self.0.contains(point.code())
    }

    /// Whether there is no point in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every protocol and port is in the set.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.ranges() == [(0, OTHER)]
    }

    /// Points in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }

    /// Points in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        if self.is_all() {
            return other.clone();
        }
        if other.is_all() {
            return self.clone();
        }
        Self(self.0.intersect(&other.0))
    }

    /// Points of this set that are not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        if other.is_all() {
            return Self::empty();
        }
        Self(self.0.minus(&other.0))
    }

    /// Whether no point is in both sets.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// Whether every point of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        other.is_all() || self.0.is_subset(&other.0)
    }

    /// One representative point of each maximal run, for exhaustive checks over atoms: the run's first and last point.
    pub fn edges(&self) -> impl Iterator<Item = ServicePoint> + '_ {
        Protocol::WITH_PORTS.into_iter().chain([Protocol::Other]).flat_map(move |protocol| {
            self.of(protocol).into_iter().flat_map(move |(low, high)| {
                [ServicePoint::new(protocol, low), ServicePoint::new(protocol, high)]
            })
        })
    }

    /// The ports of one protocol as text: `*`, or `80,443,8000-9000`; empty when the protocol has none.
    #[must_use]
    pub fn text(&self, protocol: Protocol) -> String {
        use fmt::Write as _;
        let mut text = String::new();
        for (low, high) in self.of(protocol) {
            // Port 0 is reserved (RFC 6335), so a run that starts there starts at the first usable port.
            let low = low.max(1);
            if (low, high) == (1, u16::MAX) || protocol == Protocol::Other {
                return "*".to_owned();
            }
            if !text.is_empty() {
                text.push(',');
            }
            let _ = if low == high { write!(text, "{low}") } else { write!(text, "{low}-{high}") };
        }
        text
    }
}

impl fmt::Display for PortSet {
    /// `all`, `none`, or protocols with ports such as `TCP 80,443; UDP 53`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all ports");
        }
        if self.is_empty() {
            return f.write_str("no port");
        }
        let mut first = true;
        for protocol in Protocol::WITH_PORTS.into_iter().chain([Protocol::Other]) {
            let text = self.text(protocol);
            if text.is_empty() {
                continue;
            }
            if !first {
                f.write_str("; ")?;
            }
            first = false;
            match (protocol, text.as_str()) {
                (Protocol::Other, _) => f.write_str("ICMP")?,
                (_, "*") => write!(f, "{protocol} any")?,
                _ => write!(f, "{protocol} {text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_covers_every_protocol_and_icmp() {
        let all = PortSet::all();
        for protocol in Protocol::WITH_PORTS {
            assert!(all.contains(ServicePoint::new(protocol, 1)));
            assert_eq!(all.text(protocol), "*");
        }
        assert!(all.contains(ServicePoint::new(Protocol::Other, 0)));
        let by_parts = Protocol::WITH_PORTS
            .into_iter()
            .chain([Protocol::Other])
            .fold(PortSet::empty(), |set, protocol| set.union(&PortSet::protocol(protocol)));
        assert_eq!(by_parts, all);
    }

    #[test]
    fn adjacent_protocols_do_not_leak() {
        let tcp = PortSet::protocol(Protocol::Tcp);
        assert!(!tcp.contains(ServicePoint::new(Protocol::Udp, 0)));
        assert_eq!(tcp.of(Protocol::Udp), []);
        assert_eq!(tcp.of(Protocol::Tcp), [(0, u16::MAX)]);
    }

    #[test]
    fn text_is_what_people_write() {
        let set = PortSet::range(Protocol::Tcp, 80, 80)
            .union(&PortSet::range(Protocol::Tcp, 8000, 9000))
            .union(&PortSet::range(Protocol::Udp, 53, 53));
        assert_eq!(set.text(Protocol::Tcp), "80,8000-9000");
        assert_eq!(set.to_string(), "TCP 80,8000-9000; UDP 53");
    }
}
