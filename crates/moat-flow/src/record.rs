//! One packet with who sent it to whom, what became of it, and why.

use crate::packet::{Icmp, TcpFlags};
use crate::time::Time;
use crate::why::Why;
use moat_ir::Direction;
use moat_sets::Protocol;
use std::net::IpAddr;
use std::sync::Arc;

/// A flow record: what one end's policies did with the first packet of a connection, or with a packet that they denied.
///
/// A connection between two pods has two records, one of each direction, unless egress denies it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// When the kernel saw the packet.
    pub time: Time,
    /// The node that saw it.
    pub node: Arc<str>,
    /// Which end decided; `None` when the log prefix does not say.
    pub direction: Option<Direction>,
    /// What was decided.
    pub verdict: Verdict,
    /// Whether a staged policy decided, so that the verdict changed nothing.
    pub staged: bool,
    /// Who sent it.
    pub source: End,
    /// To whom, after destination translation.
    pub destination: End,
    /// The number of its transport protocol.
    pub protocol_number: u8,
    /// What an ICMP packet is.
    pub icmp: Option<Icmp>,
    /// The flags of a TCP packet.
    pub tcp_flags: Option<TcpFlags>,
    /// Its length in bytes.
    pub length: u32,
    /// Why.
    pub why: Why,
    /// The number of the policies' state that gave the reason, or of the newest one; 0 when there was none.
    pub epoch: u64,
}

impl Record {
    /// Its protocol, as policies see it.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        Protocol::of_number(self.protocol_number)
    }
}

/// What was decided about a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// It passed.
    Allowed,
    /// It was dropped.
    Denied,
    /// The log prefix does not say.
    Unknown,
}

impl Verdict {
    pub(crate) const ALL: [Self; 3] = [Self::Allowed, Self::Denied, Self::Unknown];

    /// `allowed`, `denied` or `unknown`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }
}

/// One end of a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Its address.
    pub address: IpAddr,
    /// Its port, where there is one.
    pub port: Option<u16>,
    /// Who it is.
    pub name: Name,
}

/// Who an address belongs to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Name {
    /// A pod: `ns/pod`.
    Pod(Arc<str>),
    /// A node, or a pod that shares its network.
    Node(Arc<str>),
    /// No one that is known.
    Outside,
}

impl Name {
    /// `pod`, `node` or `outside`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pod(_) => "pod",
            Self::Node(_) => "node",
            Self::Outside => "outside",
        }
    }

    /// `ns/pod`, the node's name, or `outside`.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Pod(name) | Self::Node(name) => name,
            Self::Outside => "outside",
        }
    }
}
