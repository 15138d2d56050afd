//! What the kernel's log says of one packet, in plain types.

use core::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// One log record of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// When it was seen, in nanoseconds since 1970-01-01T00:00:00Z.
    pub time: u64,
    /// The node that saw it.
    pub node: Arc<str>,
    /// The prefix of the log statement.
    pub prefix: Arc<str>,
    /// Its source.
    pub source: IpAddr,
    /// Its destination, after destination translation.
    pub destination: IpAddr,
    /// The number of its transport protocol.
    pub protocol: u8,
    /// Its source port, where the protocol has ports and the log has that part of the packet.
    pub source_port: Option<u16>,
    /// Its destination port, likewise.
    pub destination_port: Option<u16>,
    /// What an ICMP packet is.
    pub icmp: Option<Icmp>,
    /// Its length in bytes, IP header included.
    pub length: u32,
    /// The flags of a TCP packet.
    pub tcp_flags: Option<TcpFlags>,
}

/// The head of an ICMP or ICMPv6 packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icmp {
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// Its identifier, where the type has one (echo).
    pub id: Option<u16>,
}

/// The flag byte of a TCP header (RFC 9293, 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TcpFlags(pub u8);

/// From the lowest bit.
const FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

impl fmt::Display for TcpFlags {
    /// `SYN,ACK`; empty when no flag is set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (bit, name) in FLAGS.iter().enumerate() {
            if self.0 & (1 << bit) != 0 {
                write!(f, "{comma}{name}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}

impl TcpFlags {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut flags = 0;
        for name in text.split(',').filter(|name| !name.is_empty()) {
            flags |= 1 << FLAGS.iter().position(|flag| *flag == name)?;
        }
        Some(Self(flags))
    }
}
