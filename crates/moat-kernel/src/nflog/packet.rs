//! The head of an IP packet, of which the end may be missing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a protocol adds to the addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TCP, with its flags: FIN is bit 0, SYN 1, RST 2, PSH 3, ACK 4.
    Tcp {
        /// From where.
        source: u16,
        /// To where.
        destination: u16,
        /// Its flags.
        flags: u8,
    },
    /// Another protocol with ports: UDP, UDP-Lite, DCCP, SCTP.
    Ports {
        /// From where.
        source: u16,
        /// To where.
        destination: u16,
    },
    /// ICMP or ICMPv6.
    Icmp {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// What tells one ping from another; only in an echo and its reply.
        id: Option<u16>,
    },
    /// Nothing that is known: another protocol, a later fragment, or too little of the packet.
    Unknown,
}

/// The head of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packet {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) transport: Transport,
    pub(super) length: u32,
}

/// Reads the head of a packet; `None` unless it holds a whole IP header.
pub(super) fn parse(packet: &[u8]) -> Option<Packet> {
    match packet.first()? >> 4 {
        4 => v4(packet),
        6 => v6(packet),
        _ => None,
    }
}

fn short(packet: &[u8], at: usize) -> Option<u16> {
    packet.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// RFC 791, section 3.1.
fn v4(packet: &[u8]) -> Option<Packet> {
    let address =
        |at: usize| packet.get(at..)?.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes));
    let header_len = usize::from(packet.first()? & 15) * 4;
    let protocol = *packet.get(9)?;
    let offset = short(packet, 6)? & 0x1fff;
    let first = offset == 0;
    let payload = packet.get(header_len..).filter(|_| first).unwrap_or(&[]);
    Some(Packet {
        source: address(12)?.into(),
        destination: address(16)?.into(),
        protocol,
        transport: transport(protocol, payload),
        length: short(packet, 2)?.into(),
    })
}

/// RFC 8200, sections 3 and 4.
fn v6(packet: &[u8]) -> Option<Packet> {
    let address =
        |at: usize| packet.get(at..)?.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes));
    let mut protocol = *packet.get(6)?;
    let mut payload = packet.get(40..)?;
    let mut first = true;
    // Each header is at least 8 bytes long, so this ends.
    while let (len, true) = (extension_len(protocol, payload), first) {
        let Some(len) = len else { break };
        if protocol == 44 {
            first = short(payload, 2).is_some_and(|offset| offset & 0xfff8 == 0);
        }
        protocol = payload.first().copied().unwrap_or(protocol);
        payload = payload.get(len..).unwrap_or(&[]);
    }
    Some(Packet {
        source: address(8)?.into(),
        destination: address(24)?.into(),
        protocol,
        transport: transport(protocol, if first { payload } else { &[] }),
        length: u32::from(short(packet, 4)?) + 40,
    })
}

/// The length of an extension header; `None` if it is none or there is nothing of it.
fn extension_len(protocol: u8, payload: &[u8]) -> Option<usize> {
    let units = usize::from(*payload.get(1)?);
    match protocol {
        // Hop-by-hop options, routing, destination options.
        0 | 43 | 60 => Some((units + 1) * 8),
        // Fragment.
        44 => Some(8),
        // Authentication (RFC 4302, section 2.2).
        51 => Some((units + 2) * 4),
        _ => None,
    }
}

fn transport(protocol: u8, payload: &[u8]) -> Transport {
    let ports = || Some((short(payload, 0)?, short(payload, 2)?));
    let icmp = |echo: [u8; 2]| {
        let &[kind, code, ..] = payload else { return None };
        let id = if echo.contains(&kind) { short(payload, 4) } else { None };
        Some(Transport::Icmp { kind, code, id })
    };
    let known =
        match protocol {
            1 => icmp([8, 0]),
            58 => icmp([128, 129]),
            6 => ports().zip(payload.get(13)).map(|((source, destination), &flags)| {
                Transport::Tcp { source, destination, flags }
            }),
            17 | 33 | 132 | 136 => {
                ports().map(|(source, destination)| Transport::Ports { source, destination })
            }
            _ => None,
        };
    known.unwrap_or(Transport::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv6(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, u8::try_from(rest.len()).unwrap(), next, 64];
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend(Ipv6Addr::UNSPECIFIED.octets());
        packet.extend(rest);
        packet
    }

    #[test]
    fn extension_headers_are_walked() {
        let mut rest = vec![60, 0, 0, 0, 0, 0, 0, 0];
        rest.extend([44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        rest.extend([17, 0, 0, 1, 0, 0, 0, 9]);
        rest.extend([0, 53, 1, 0, 0, 8, 0, 0]);
        let packet = parse(&ipv6(0, &rest)).unwrap();
        assert_eq!(packet.protocol, 17);
        assert_eq!(packet.transport, Transport::Ports { source: 53, destination: 256 });
        assert_eq!(packet.length, 80);
        // A later fragment has no header of its protocol.
        rest[27] = 9;
        assert_eq!(parse(&ipv6(0, &rest)).unwrap().transport, Transport::Unknown);
    }

    #[test]
    fn what_is_cut_short_is_unknown_and_never_a_panic() {
        let mut v4 = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        v4.extend([0, 80, 1, 187, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12, 0, 0, 0, 0, 0, 0]);
        let v6 = ipv6(58, &[128, 0, 0, 0, 1, 2, 0, 0]);
        let whole = parse(&v4).unwrap();
        assert_eq!(whole.transport, Transport::Tcp { source: 80, destination: 443, flags: 0x12 });
        let ping = parse(&v6).unwrap().transport;
        assert_eq!(ping, Transport::Icmp { kind: 128, code: 0, id: Some(0x0102) });
        for (packet, header) in [(&v4, 20), (&v6, 40)] {
            for len in 0..packet.len() {
                assert_eq!(parse(&packet[..len]).is_some(), len >= header, "{len}");
            }
        }
        for byte in 0..=255 {
            for at in 0..v6.len() {
                let mut changed = v6.clone();
                changed[at] = byte;
                let _ = parse(&changed);
            }
        }
    }
}
