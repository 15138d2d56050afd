//! An nftables table as data: the part of nftables that policies need, in types that cannot say anything else.
//!
//! Meaning follows the `nft(8)` manual; every form here is one that `nft list ruleset` of nftables 1.0.6 shows and reads back.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The name of a chain, set or map: at most 255 bytes of `[A-Za-z][A-Za-z0-9_]*`, and no word of the nft language.
pub type Name = Arc<str>;

/// One table of family `inet`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Its name.
    pub name: Name,
    /// Its sets and maps, by name.
    pub sets: BTreeMap<Name, Set>,
    /// Its chains, by name.
    pub chains: BTreeMap<Name, Chain>,
}

/// A chain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chain {
    /// Where packets enter it; `None` for a chain that is only jumped to.
    pub base: Option<Base>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// Where packets enter a base chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Base {
    /// What it may do.
    pub kind: BaseKind,
    /// The hook.
    pub hook: Hook,
    /// The order among chains of the hook; lower first. `filter` is 0, `dstnat` -100, `srcnat` 100.
    pub priority: i32,
    /// Whether a packet that reaches its end is accepted; dropped otherwise.
    pub accept: bool,
}

/// What a base chain may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BaseKind {
    /// Accept and drop.
    Filter,
    /// Translate addresses; sees only the first packet of a connection.
    Nat,
}

/// A netfilter hook of family `inet`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hook {
    /// Every packet that arrives.
    Prerouting,
    /// Packets for this host.
    Input,
    /// Packets routed through.
    Forward,
    /// Packets from this host.
    Output,
    /// Every packet that leaves.
    Postrouting,
}

/// A rule: its statements are walked in order until one does not match or gives a verdict.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Rule {
    /// Matches first, then what to do.
    pub statements: Vec<Statement>,
    /// For people who list the ruleset; at most 127 bytes.
    pub comment: Option<Arc<str>>,
}

/// A part of a rule.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Statement {
    /// Goes on if the field has (or, negated, has not) the value.
    Match {
        /// What is looked at.
        field: Field,
        /// Whether it must differ.
        negate: bool,
        /// The value; of the field's type.
        value: Value,
    },
    /// `ct mark & mask == value` (or `!=`, negated).
    CtMarkMasked {
        /// The bits that count.
        mask: u32,
        /// Their values.
        value: u32,
        /// Whether they must differ.
        negate: bool,
    },
    /// Goes on if the key is (or, negated, is not) in the set: `ip saddr . ip daddr @self4`.
    Lookup {
        /// The fields of the key, in order.
        key: Key,
        /// The set.
        set: Name,
        /// Whether it must be missing.
        negate: bool,
    },
    /// Does what the map says of the key; goes on if it says nothing: `ip saddr vmap @eg4`.
    Vmap {
        /// The fields of the key, in order.
        key: Key,
        /// The map.
        map: Name,
    },
    /// Goes on for one of `modulus` packets by chance: `numgen random mod N 0`.
    OneIn(u32),
    /// Counts packets and bytes; the counts are no part of the ruleset.
    Counter,
    /// Goes on while there is room in a token bucket (or, `over`, only once there is none):
    /// `limit rate [over] RATE/second burst BURST packets`.
    Limit {
        /// Whether it matches once the bucket is empty.
        over: bool,
        /// Packets a second.
        per_second: u64,
        /// The size of the bucket in packets.
        burst: u32,
    },
    /// Sends the packet's head to the log group, and goes on.
    Log(Log),
    /// Translates the destination: `dnat ip to ADDRESS:PORT`.
    Dnat {
        /// The new address.
        to: std::net::IpAddr,
        /// The new port, where it changes.
        port: Option<u16>,
    },
    /// `masquerade`.
    Masquerade,
    /// Ends the rule.
    Verdict(Verdict),
    /// Drops the packet and tells the sender: `reject`, which is ICMP port unreachable.
    Reject,
}

/// An NFLOG statement: `log prefix "..." group N snaplen N queue-threshold N`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Log {
    /// Goes with every record; at most 127 bytes, printable, without quotes.
    pub prefix: Arc<str>,
    /// The group to listen on.
    pub group: u16,
    /// Bytes of the packet that go along.
    pub snaplen: u32,
    /// Records that are sent at once.
    pub queue_threshold: u16,
}

/// What happens to a packet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// Leaves this base chain; chains of the same hook with higher priority still see it.
    Accept,
    /// Gone.
    Drop,
    /// Back to after the jump; at the end of a base chain, its policy.
    Return,
    /// Into a chain, and back.
    Jump(Name),
    /// Into a chain, and back to where this chain would have gone back to.
    Goto(Name),
}

/// Something of a packet.
///
/// A field of one IP family implies that the packet is of that family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Field {
    /// `ip saddr`
    SourceV4,
    /// `ip daddr`
    DestinationV4,
    /// `ip6 saddr`
    SourceV6,
    /// `ip6 daddr`
    DestinationV6,
    /// `meta l4proto`
    Protocol,
    /// `th dport`
    DestinationPort,
    /// `icmpv6 type`; implies `meta l4proto ipv6-icmp`.
    Icmpv6Type,
    /// `iifname`
    InputName,
    /// `ct state`; the value is the set of states that match.
    CtState,
}

/// Up to three fields that make one key.
pub type Key = Vec<Field>;

/// A value of a [`Field`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Value {
    /// For addresses of IPv4.
    V4(Ipv4Addr),
    /// For prefixes of IPv4: address and prefix length.
    PrefixV4(Ipv4Addr, u8),
    /// For addresses of IPv6.
    V6(Ipv6Addr),
    /// For prefixes of IPv6: address and prefix length.
    PrefixV6(Ipv6Addr, u8),
    /// For [`Field::Protocol`]: an IP protocol number.
    Protocol(u8),
    /// For [`Field::DestinationPort`].
    Port(u16),
    /// For [`Field::DestinationPort`]: several ports, both ends included.
    Ports(u16, u16),
    /// For [`Field::Icmpv6Type`]: a range of types, both ends included.
    Icmpv6Types(u8, u8),
    /// For [`Field::InputName`].
    Interface(Arc<str>),
    /// For [`Field::CtState`]: which states match.
    States(States),
}

/// States of connection tracking.
#[allow(
    clippy::struct_excessive_bools,
    reason = "a set of four named bits, any of which may be set"
)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct States {
    /// No connection, and none could begin with this packet.
    pub invalid: bool,
    /// Of a connection that has seen a reply.
    pub established: bool,
    /// About a connection, as ICMP errors are.
    pub related: bool,
    /// The first packets of a connection.
    pub new: bool,
}

/// A set or a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set {
    /// The types of its key.
    pub key: SetKey,
    /// Whether elements are ranges; they must not overlap.
    pub interval: bool,
    /// Whether each element has a verdict: a map for [`Statement::Vmap`].
    pub map: bool,
    /// The most elements it can have, where that is fixed: the kernel then uses a hash table of that size, which is faster to look into.
    pub size: Option<u32>,
    /// Its elements; in a map each with its verdict, in a set all with `None`.
    pub elements: BTreeMap<Element, Option<Verdict>>,
}

/// The key types that sets have here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SetKey {
    /// `ipv4_addr`
    V4,
    /// `ipv6_addr`
    V6,
    /// `inet_service`
    Port,
    /// `inet_proto . inet_service`
    ProtocolPort,
    /// `ipv4_addr . ipv4_addr`
    PairV4,
    /// `ipv6_addr . ipv6_addr`
    PairV6,
    /// `ipv4_addr . inet_proto . inet_service`
    ServiceV4,
    /// `ipv6_addr . inet_proto . inet_service`
    ServiceV6,
}

/// An element's key. Ranges include both ends and occur only in interval sets; a range of one is written as such a range too.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Element {
    /// Of [`SetKey::V4`].
    V4(Ipv4Addr),
    /// Of [`SetKey::V4`] with intervals.
    RangeV4(Ipv4Addr, Ipv4Addr),
    /// Of [`SetKey::V6`].
    V6(Ipv6Addr),
    /// Of [`SetKey::V6`] with intervals.
    RangeV6(Ipv6Addr, Ipv6Addr),
    /// Of [`SetKey::Port`].
    Port(u16),
    /// Of [`SetKey::Port`] with intervals.
    PortRange(u16, u16),
    /// Of [`SetKey::ProtocolPort`].
    ProtocolPort(u8, u16),
    /// Of [`SetKey::PairV4`].
    PairV4(Ipv4Addr, Ipv4Addr),
    /// Of [`SetKey::PairV6`].
    PairV6(Ipv6Addr, Ipv6Addr),
    /// Of [`SetKey::ServiceV4`].
    ServiceV4(Ipv4Addr, u8, u16),
    /// Of [`SetKey::ServiceV6`].
    ServiceV6(Ipv6Addr, u8, u16),
}

/// One step of a transaction. A transaction is a list of them; it happens as a whole or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Makes the table.
    AddTable,
    /// Makes an empty set or map.
    AddSet(Name, SetShape),
    /// Makes an empty chain.
    AddChain(Name, Option<Base>),
    /// Removes all rules of a chain.
    FlushChain(Name),
    /// Adds a rule at the end of a chain.
    AddRule(Name, Rule),
    /// Adds elements; it is an error if one is there.
    AddElements(Name, Vec<(Element, Option<Verdict>)>),
    /// Removes elements; it is an error if one is missing.
    DelElements(Name, Vec<(Element, Option<Verdict>)>),
    /// Removes a chain, which must be empty and nowhere referred to.
    DelChain(Name),
    /// Removes a set or map, which must be nowhere referred to.
    DelSet(Name),
    /// Removes the table with all that is in it.
    DelTable,
}

/// A [`Set`] without its elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetShape {
    /// The types of its key.
    pub key: SetKey,
    /// Whether elements are ranges.
    pub interval: bool,
    /// Whether each element has a verdict.
    pub map: bool,
    /// The most elements, where that is fixed.
    pub size: Option<u32>,
}

impl Table {
    /// A table with nothing in it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), sets: BTreeMap::new(), chains: BTreeMap::new() }
    }
}

impl SetKey {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::V4,
        Self::V6,
        Self::Port,
        Self::ProtocolPort,
        Self::PairV4,
        Self::PairV6,
        Self::ServiceV4,
        Self::ServiceV6,
    ];
}

impl Set {
    /// An empty set or map.
    #[must_use]
    pub fn new(shape: SetShape) -> Self {
        let SetShape { key, interval, map, size } = shape;
        Self { key, interval, map, size, elements: BTreeMap::new() }
    }

    /// It without its elements.
    #[must_use]
    pub fn shape(&self) -> SetShape {
        SetShape { key: self.key, interval: self.interval, map: self.map, size: self.size }
    }
}

impl Rule {
    /// A rule without comment.
    #[must_use]
    pub fn new(statements: Vec<Statement>) -> Self {
        Self { statements, comment: None }
    }
}
