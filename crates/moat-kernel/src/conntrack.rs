//! Connection tracking: the connections of a namespace, and marks on them.
//!
//! nlink lists connections too, but its update cannot say which bits of a mark count (`CTA_MARK_MASK`), so that the bits of others
//! would be lost. Here an update is the tuple, the mark and its mask, and nothing else: one that repeats all there is of a
//! connection is refused with `EOPNOTSUPP`.

use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::nft::wire::attributes as read;
use crate::talk::{Talk, attributes, bytes};
use nlink::netlink::MessageBuilder;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `NFNL_SUBSYS_CTNETLINK` and its messages, of linux/netfilter/nfnetlink_conntrack.h, as are all attributes here.
const SUBSYSTEM: u16 = 1 << 8;
const NEW: u16 = SUBSYSTEM;
const GET: u16 = SUBSYSTEM | 1;
const GET_STATS: u16 = SUBSYSTEM | 5;

/// `AF_INET` and `AF_INET6`
const V4: u8 = 2;
const V6: u8 = 10;

/// One direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tuple {
    /// From where.
    pub source: IpAddr,
    /// To where; of the same family.
    pub destination: IpAddr,
    /// The protocol number.
    pub protocol: u8,
    /// What tells connections between the two apart.
    pub detail: Detail,
}

/// What tells connections of one protocol between two addresses apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Detail {
    /// Ports: TCP, UDP, SCTP and others.
    Ports {
        /// From where.
        source: u16,
        /// To where.
        destination: u16,
    },
    /// ICMP and ICMPv6.
    Icmp {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// The identifier.
        id: u16,
    },
    /// Nothing: any other protocol.
    Nothing,
}

/// A connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// As the first packet had it.
    pub original: Tuple,
    /// As replies have it: after address translation.
    pub reply: Tuple,
    /// Its mark.
    pub mark: u32,
    /// Its zone; 0 unless rules say otherwise.
    pub zone: u16,
    /// Bits of `enum ip_conntrack_status`: 2 is "has seen a reply", 4 "assured".
    pub status: u32,
    /// The state of a TCP connection: `enum tcp_conntrack`, in which 3 is "established".
    pub tcp_state: Option<u8>,
    /// Seconds until it is forgotten.
    pub timeout: u32,
}

/// The connections of a namespace.
#[derive(Debug)]
pub struct Conntrack {
    talk: Talk,
}

impl Conntrack {
    /// Opens the connections of a namespace. Must be called inside a tokio runtime, as all that follows.
    pub fn open(netns: &Netns) -> Result<Self> {
        let talk = Talk::open(netns)?;
        Ok(Self { talk })
    }

    /// All connections, of both families.
    pub async fn dump(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.talk
            .dump(GET, 0, &[], |item| {
                match item {
                    // A connection of another family or form is none that a policy could be about.
                    Some((_, item)) => entries.extend(entry(item)),
                    None => entries.clear(),
                }
                Ok(())
            })
            .await?;
        Ok(entries)
    }

    /// Gives those bits of a connection's mark that are in `mask` the values in `value`. Says whether there is such a connection.
    pub async fn set_mark(
        &self,
        original: &Tuple,
        zone: u16,
        value: u32,
        mask: u32,
    ) -> Result<bool> {
        let mut to = attributes();
        write_tuple(&mut to, original)?;
        if zone != 0 {
            to.append_attr_u16_be(18, zone);
        }
        // CTA_MARK and CTA_MARK_MASK: the kernel clears what is in the mask, and then flips the bits of the mark.
        to.append_attr_u32_be(8, value & mask);
        to.append_attr_u32_be(21, mask);
        let family = if original.source.is_ipv4() { V4 } else { V6 };
        match self
            .talk
            .ask(NEW, (family, 0), bytes(&to), || format!("mark the connection {original:?}"))
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many connections there are in the namespace, and for how many it has room.
    pub async fn count(&self) -> Result<(u32, u32)> {
        let what = || "count connections".to_owned();
        let answer = self.talk.ask(GET_STATS, (0, 0), &[], what).await?.unwrap_or_default();
        let (mut n, mut most) = (None, None);
        for (kind, value) in read(&answer) {
            let number = value.try_into().map(u32::from_be_bytes).ok();
            match kind {
                1 => n = number,
                2 => most = number,
                _ => {}
            }
        }
        n.zip(most).ok_or_else(|| Error::other(what(), "the kernel does not say"))
    }
}

fn write_tuple(to: &mut MessageBuilder, tuple: &Tuple) -> Result<()> {
    // CTA_TUPLE_ORIG: CTA_TUPLE_IP, CTA_TUPLE_PROTO
    let nest = to.nest_start(1);
    let addresses = to.nest_start(1);
    match (tuple.source, tuple.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            to.append_attr(1, &source.octets());
            to.append_attr(2, &destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            to.append_attr(3, &source.octets());
            to.append_attr(4, &destination.octets());
        }
        _ => {
            return Err(Error::other(
                format!("mark the connection {tuple:?}"),
                "it is of two families",
            ));
        }
    }
    to.nest_end(addresses);
    let protocol = to.nest_start(2);
    to.append_attr_u8(1, tuple.protocol);
    match tuple.detail {
        Detail::Ports { source, destination } => {
            to.append_attr_u16_be(2, source);
            to.append_attr_u16_be(3, destination);
        }
        Detail::Icmp { kind, code, id } => {
            let first = if tuple.source.is_ipv4() { 4 } else { 7 };
            to.append_attr_u16_be(first, id);
            to.append_attr_u8(first + 1, kind);
            to.append_attr_u8(first + 2, code);
        }
        Detail::Nothing => {}
    }
    to.nest_end(protocol);
    to.nest_end(nest);
    Ok(())
}

fn entry(item: &[u8]) -> Option<Entry> {
    let (mut original, mut reply, mut tcp_state) = (None, None, None);
    let (mut mark, mut zone, mut status, mut timeout) = (0, 0, 0, 0);
    let number = |value: &[u8]| value.try_into().map_or(0, u32::from_be_bytes);
    for (kind, value) in read(item) {
        match kind {
            1 => original = tuple(value),
            2 => reply = tuple(value),
            3 => status = number(value),
            // CTA_PROTOINFO: CTA_PROTOINFO_TCP: CTA_PROTOINFO_TCP_STATE
            4 => {
                let tcp = read(value).find(|(kind, _)| *kind == 1).map(|(_, tcp)| tcp);
                let state = tcp.and_then(|tcp| read(tcp).find(|(kind, _)| *kind == 1));
                tcp_state = state.and_then(|(_, state)| state.first().copied());
            }
            7 => timeout = number(value),
            8 => mark = number(value),
            18 => zone = short(value)?,
            _ => {}
        }
    }
    Some(Entry { original: original?, reply: reply?, mark, zone, status, tcp_state, timeout })
}

fn tuple(item: &[u8]) -> Option<Tuple> {
    let (mut source, mut destination, mut protocol) = (None, None, None);
    let (mut ports, mut icmp) = ((None, None), (None, None, None));
    for (kind, nest) in read(item) {
        for (field, value) in read(nest) {
            match (kind, field) {
                (1, 1 | 3) => source = address(value),
                (1, 2 | 4) => destination = address(value),
                (2, 1) => protocol = value.first().copied(),
                (2, 2) => ports.0 = short(value),
                (2, 3) => ports.1 = short(value),
                (2, 4 | 7) => icmp.0 = short(value),
                (2, 5 | 8) => icmp.1 = value.first().copied(),
                (2, 6 | 9) => icmp.2 = value.first().copied(),
                _ => {}
            }
        }
    }
    let detail = match (ports, icmp) {
        ((Some(source), Some(destination)), _) => Detail::Ports { source, destination },
        (_, (Some(id), Some(kind), Some(code))) => Detail::Icmp { kind, code, id },
        _ => Detail::Nothing,
    };
    Some(Tuple { source: source?, destination: destination?, protocol: protocol?, detail })
}

fn short(value: &[u8]) -> Option<u16> {
    value.try_into().ok().map(u16::from_be_bytes)
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}
