//! The few SCTP packets a probe needs, written and read by hand: many kernels are built without SCTP sockets.
//!
//! A probe is an INIT; who listens answers INIT ACK, who does not answers ABORT (RFC 9260, 5.1 and 8.4), and both say who they are
//! where the protocol has room for a text: the State Cookie, the cause of the abort.

/// What a packet says; the rest of SCTP is not for probes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Chunk {
    /// Asks for an association; the answer carries this tag.
    Init { tag: u32 },
    /// The association may begin; with what the far end says about itself.
    InitAck { says: Vec<u8> },
    /// There will be none; with what the far end says about itself, nothing if it is not one of ours.
    Abort { says: Vec<u8> },
}

/// A packet of one chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Packet {
    pub(super) from: u16,
    pub(super) to: u16,
    /// The verification tag: zero in an INIT, the tag of the INIT in an answer.
    pub(super) tag: u32,
    pub(super) chunk: Chunk,
}

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
/// Parameter type of the State Cookie (RFC 9260, 3.3.3).
const COOKIE: u16 = 7;
/// Cause code of a User-Initiated Abort (RFC 9260, 3.3.10.12).
const USER_ABORT: u16 = 12;
/// Ports, verification tag, checksum.
const HEADER: usize = 12;
/// Tag, window, streams out and in, first sequence number.
const INIT_FIXED: usize = 16;

impl Packet {
    /// The bytes, checksum included: conntrack throws away what has a wrong one (`nf_conntrack_checksum`).
    pub(super) fn write(&self) -> Vec<u8> {
        let (kind, body) = match &self.chunk {
            Chunk::Init { tag } => (INIT, init(*tag)),
            Chunk::InitAck { says } => {
                // The tag of this side is never asked for; it must not be zero.
                let mut body = init(self.tag | 1);
                body.extend(option(COOKIE, says));
                (INIT_ACK, body)
            }
            Chunk::Abort { says } if says.is_empty() => (ABORT, Vec::new()),
            Chunk::Abort { says } => (ABORT, option(USER_ABORT, says)),
        };
        let mut packet = Vec::with_capacity(HEADER + 4 + body.len() + 3);
        packet.extend(self.from.to_be_bytes());
        packet.extend(self.to.to_be_bytes());
        packet.extend(self.tag.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend([kind, 0]);
        packet.extend(length(4 + body.len()));
        packet.extend(&body);
        packet.resize(packet.len().next_multiple_of(4), 0);
        let sum = checksum(&packet);
        for (byte, sum) in packet.iter_mut().skip(8).zip(sum) {
            *byte = sum;
        }
        packet
    }

    /// Reads a packet; none if it is broken or of another kind.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(8..HEADER)? != checksum(bytes) {
            return None;
        }
        let body = body(bytes)?;
        let chunk = match *bytes.get(HEADER)? {
            INIT => Chunk::Init { tag: word(body, 0)? },
            INIT_ACK => {
                Chunk::InitAck { says: find(COOKIE, body.get(INIT_FIXED..)?).unwrap_or_default() }
            }
            ABORT => Chunk::Abort { says: find(USER_ABORT, body).unwrap_or_default() },
            _ => return None,
        };
        Some(Self { from: half(bytes, 0)?, to: half(bytes, 2)?, tag: word(bytes, 4)?, chunk })
    }
}

/// The tag of an INIT of which an ICMP error cites the beginning.
pub(super) fn cited_tag(bytes: &[u8]) -> Option<u32> {
    (bytes.get(HEADER)? == &INIT).then(|| word(bytes, HEADER + 4))?
}

fn init(tag: u32) -> Vec<u8> {
    let mut body = Vec::with_capacity(INIT_FIXED);
    body.extend(tag.to_be_bytes());
    // A window below 1500 would not be allowed (RFC 9260, 3.3.2).
    body.extend(65_536_u32.to_be_bytes());
    body.extend(1_u16.to_be_bytes());
    body.extend(1_u16.to_be_bytes());
    body.extend(tag.to_be_bytes());
    body
}

/// A parameter or a cause: both are type, length, value.
fn option(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend(length(4 + value.len()));
    bytes.extend(value);
    bytes
}

fn length(of: usize) -> [u8; 2] {
    u16::try_from(of).unwrap_or(u16::MAX).to_be_bytes()
}

/// What the first chunk holds.
fn body(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(half(bytes, HEADER + 2)?);
    bytes.get(HEADER + 4..HEADER.checked_add(length)?)
}

/// The value of the first option of a type.
fn find(kind: u16, mut options: &[u8]) -> Option<Vec<u8>> {
    loop {
        let length = usize::from(half(options, 2)?);
        let value = options.get(4..length)?;
        if half(options, 0)? == kind {
            return Some(value.to_vec());
        }
        options = options.get(length.next_multiple_of(4)..)?;
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The checksum of a packet, its own place taken as zero (RFC 9260, 6.8); its bytes go least significant first (appendix A).
fn checksum(packet: &[u8]) -> [u8; 4] {
    let (before, rest) = packet.split_at(packet.len().min(8));
    let after = rest.get(4..).unwrap_or_default();
    let sum = [before, &[0; 4], after].into_iter().fold(!0, crc32c);
    (!sum).to_le_bytes()
}

fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| {
        let [low, ..] = sum.to_le_bytes();
        TABLE[usize::from(low ^ byte)] ^ (sum >> 8)
    })
}

/// CRC32c of every byte: the polynomial 0x1EDC6F41, bits reversed (RFC 9260, appendix A).
static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        // The value fits: the loop ends at 256. `try_from` cannot be called here.
        #[allow(clippy::cast_possible_truncation, reason = "it is below 256")]
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0x82F6_3B78 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::{Chunk, Packet, cited_tag, crc32c};

    #[test]
    fn the_checksum_is_the_known_one() {
        // The check value of CRC-32/ISCSI, and the vectors of RFC 3720, B.4.
        assert_eq!(!crc32c(!0, b"123456789"), 0xE306_9283);
        assert_eq!(!crc32c(!0, &[0; 32]), 0x8A91_36AA);
        assert_eq!(!crc32c(!0, &[0xFF; 32]), 0x62A8_AB43);
    }

    fn packets() -> Vec<Packet> {
        let chunks = (0..9_usize).flat_map(|length| {
            let says = b"fd00::1 8\n"[..length].to_vec();
            [
                Chunk::Init { tag: 0x1234_5678 },
                Chunk::InitAck { says: says.clone() },
                Chunk::Abort { says },
            ]
        });
        chunks.map(|chunk| Packet { from: 40_000, to: 80, tag: 0xDEAD_BEEF, chunk }).collect()
    }

    #[test]
    fn what_is_written_reads_back() {
        for packet in packets() {
            let bytes = packet.write();
            assert_eq!(bytes.len() % 4, 0);
            assert_eq!(Packet::read(&bytes), Some(packet.clone()), "{packet:?}");
            let cited = matches!(packet.chunk, Chunk::Init { .. }).then_some(0x1234_5678);
            assert_eq!(cited_tag(&bytes[..bytes.len().min(20)]), cited);
        }
    }

    #[test]
    fn a_packet_with_any_bit_turned_or_its_end_cut_off_is_not_read() {
        for packet in packets() {
            let bytes = packet.write();
            for bit in 0..bytes.len() * 8 {
                let mut broken = bytes.clone();
                broken[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Packet::read(&broken), None, "{packet:?}, bit {bit}");
            }
            for end in 0..bytes.len() {
                assert_eq!(Packet::read(&bytes[..end]), None, "{packet:?}, {end} bytes");
            }
        }
    }
}
