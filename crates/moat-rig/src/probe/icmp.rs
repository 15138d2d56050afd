//! Echo requests, their answers, and the errors that cite what a probe sent.

use super::outcome::Outcome;
use super::sctp;
use std::net::IpAddr;

/// Which probe a packet is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum About {
    /// The echo request of this identifier and sequence number.
    Echo(u16, u16),
    /// The INIT of this tag.
    Init(u32),
}

/// What arrived on a raw ICMP socket and is about a probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct News {
    pub(super) about: About,
    pub(super) outcome: Outcome,
}

const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;
const V6_ECHO: u8 = 128;
const V6_ECHO_REPLY: u8 = 129;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_SCTP: u8 = 132;
const PROTOCOL_ICMPV6: u8 = 58;

/// An echo request to an address.
pub(super) fn echo(to: IpAddr, id: u16, sequence: u16) -> Vec<u8> {
    let kind = if to.is_ipv4() { ECHO } else { V6_ECHO };
    let mut packet = vec![kind, 0, 0, 0];
    packet.extend(id.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(b"moat");
    if to.is_ipv4() {
        // The kernel writes the checksum of ICMPv6 alone, which covers addresses (RFC 3542, 3.1).
        let sum = checksum(&packet);
        for (byte, sum) in packet.iter_mut().skip(2).zip(sum) {
            *byte = sum;
        }
    }
    packet
}

/// Reads what a raw ICMP socket received: with IPv4 the packet with its header, with IPv6 without (`raw(7)`, RFC 3542).
pub(super) fn read(v4: bool, bytes: &[u8]) -> Option<News> {
    if v4 { read_v4(bytes) } else { read_v6(bytes) }
}

/// What an IPv4 packet carries.
pub(super) fn payload_v4(packet: &[u8]) -> Option<&[u8]> {
    packet.get(usize::from(packet.first()? & 0x0F) * 4..)
}

fn read_v4(packet: &[u8]) -> Option<News> {
    let icmp = payload_v4(packet)?;
    let (kind, code) = (*icmp.first()?, *icmp.get(1)?);
    if kind == ECHO_REPLY {
        return Some(News { about: identity(icmp)?, outcome: Outcome::Connected });
    }
    // RFC 792; codes from RFC 1812, 5.2.7.1.
    let unreachable = |why: &str| Outcome::Unreachable(why.to_owned());
    let outcome = match (kind, code) {
        // The host itself answers so: the network let it pass.
        (3, 2 | 3) => Outcome::Refused,
        (3, 9 | 10 | 13) => unreachable("administratively prohibited"),
        (3, 0 | 6 | 11) => unreachable("no route to the network"),
        (3, 1 | 5 | 7 | 8 | 12) => unreachable("the host cannot be reached, or a filter says so"),
        (3, _) => Outcome::Unreachable(format!("ICMP destination unreachable, code {code}")),
        (11, _) => unreachable("the time to live ran out on the way"),
        _ => return None,
    };
    let cited = icmp.get(8..)?;
    let about = about(*cited.get(9)?, payload_v4(cited)?)?;
    Some(News { about, outcome })
}

fn read_v6(icmp: &[u8]) -> Option<News> {
    let (kind, code) = (*icmp.first()?, *icmp.get(1)?);
    if kind == V6_ECHO_REPLY {
        return Some(News { about: identity(icmp)?, outcome: Outcome::Connected });
    }
    // RFC 4443, 3.
    let unreachable = |why: &str| Outcome::Unreachable(why.to_owned());
    let outcome = match (kind, code) {
        // Port unreachable and unrecognized next header: the host itself answers so.
        (1, 4) | (4, 1) => Outcome::Refused,
        (1, 1 | 5 | 6) => unreachable("administratively prohibited"),
        (1, 0) => unreachable("no route to the network"),
        (1, _) => unreachable("the host cannot be reached, or a filter says so"),
        (3, _) => unreachable("the hop limit ran out on the way"),
        _ => return None,
    };
    let cited = icmp.get(8..)?;
    // A probe sends no extension headers.
    let about = about(*cited.get(6)?, cited.get(40..)?)?;
    Some(News { about, outcome })
}

/// Whose packet an error cites.
fn about(protocol: u8, cited: &[u8]) -> Option<About> {
    match (protocol, cited.first()?) {
        (PROTOCOL_ICMP, &ECHO) | (PROTOCOL_ICMPV6, &V6_ECHO) => identity(cited),
        (PROTOCOL_SCTP, _) => sctp::cited_tag(cited).map(About::Init),
        _ => None,
    }
}

fn identity(icmp: &[u8]) -> Option<About> {
    let half = |at: usize| Some(u16::from_be_bytes(icmp.get(at..at + 2)?.try_into().ok()?));
    Some(About::Echo(half(4)?, half(6)?))
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut sum: u32 = pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    let [_, _, high, low] = (!sum).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::{About, News, Outcome, checksum, echo, read};

    fn in_v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[9] = protocol;
        packet.extend(payload);
        packet
    }

    fn in_v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[6] = protocol;
        packet.extend(payload);
        packet
    }

    #[test]
    fn a_request_sums_to_zero_and_its_reply_is_known() {
        let request = echo("10.0.0.1".parse().unwrap(), 40_000, 7);
        assert_eq!(checksum(&request), [0, 0]);
        assert_eq!(read(true, &in_v4(1, &request)), None, "a request is no news");
        let mut reply = request;
        reply[0] = 0;
        let news = News { about: About::Echo(40_000, 7), outcome: Outcome::Connected };
        assert_eq!(read(true, &in_v4(1, &reply)), Some(news.clone()));
        let mut reply = echo("fd00::1".parse().unwrap(), 40_000, 7);
        assert_eq!(read(false, &reply), None);
        reply[0] = 129;
        assert_eq!(read(false, &reply), Some(news));
    }

    #[test]
    fn errors_are_told_apart_by_what_they_cite() {
        let request = echo("10.0.0.1".parse().unwrap(), 5, 6);
        for (code, refused) in [(0, false), (1, false), (2, true), (3, true), (13, false)] {
            let mut error = vec![3, code, 0, 0, 0, 0, 0, 0];
            error.extend(in_v4(1, &request));
            let news = read(true, &in_v4(1, &error)).unwrap();
            assert_eq!(news.about, About::Echo(5, 6));
            assert_eq!(news.outcome == Outcome::Refused, refused, "code {code}");
        }
        let request = echo("fd00::1".parse().unwrap(), 5, 6);
        for (kind, code, refused) in [(1, 0, false), (1, 1, false), (1, 4, true), (4, 1, true)] {
            let mut error = vec![kind, code, 0, 0, 0, 0, 0, 0];
            error.extend(in_v6(58, &request));
            let news = read(false, &error).unwrap();
            assert_eq!(news.about, About::Echo(5, 6));
            assert_eq!(news.outcome == Outcome::Refused, refused, "type {kind}, code {code}");
        }
    }

    #[test]
    fn no_bytes_are_too_few_to_read() {
        let mut error = vec![3, 1, 0, 0, 0, 0, 0, 0];
        error.extend(in_v4(132, &[0; 20]));
        let whole = in_v4(1, &error);
        for end in 0..=whole.len() {
            assert_eq!(read(true, &whole[..end]), None, "an error about no probe, {end} bytes");
            assert_eq!(read(false, &whole[..end]), None);
        }
    }
}
