//! Probes between network namespaces: one process, one tokio runtime, sockets that live in many namespaces.
//!
//! [`Prober::run`] asks whether a connection from one host to an address gets through, thousands at a time; [`Listeners`] answer, and
//! say in the answer who they are, so that what stands behind an address translation is known; [`Session`] keeps one connection open
//! and tells whether it still carries anything. A socket belongs to the namespace of the thread that called `socket(2)`
//! (`network_namespaces(7)`): sockets are opened in groups on a thread inside and used from the runtime's threads.

mod ask;
mod echo;
mod hub;
mod icmp;
mod listen;
mod open;
mod outcome;
mod ports;
mod run;
mod sctp;
mod session;

pub use listen::{ListenError, ListenHost, Listeners};
pub use outcome::Outcome;
pub(crate) use ports::Ports;
pub use run::{Probe, Prober, Seen, Settings};
pub use session::{Mode, Pulse, Session};

use std::net::{IpAddr, SocketAddr};

/// What a listener says about itself: its address and port, as it sees them.
fn line(at: SocketAddr) -> String {
    format!("{} {}\n", at.ip(), at.port())
}

/// Reads the first whole [`line()`].
fn parse_line(text: &[u8]) -> Option<(IpAddr, u16)> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let (address, port) = core::str::from_utf8(text.get(..end)?).ok()?.split_once(' ')?;
    Some((address.parse().ok()?, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::{line, parse_line};

    #[test]
    fn a_line_reads_back() {
        for at in ["10.0.0.1:80", "[fd00::1]:65535"] {
            let at = at.parse().unwrap();
            let text = line(at);
            assert_eq!(parse_line(text.as_bytes()), Some((at.ip(), at.port())));
            assert_eq!(parse_line(&text.as_bytes()[..text.len() - 1]), None, "half a line is none");
        }
        for bad in ["\n", "10.0.0.1\n", "10.0.0.1 x\n", "x 1\n", "10.0.0.1 65536\n"] {
            assert_eq!(parse_line(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
