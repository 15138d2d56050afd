//! What a probe may come to, and which error of the kernel means which.

use nix::errno::Errno;
use std::io;

/// What became of a probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The far end answered as one that listens.
    Connected,
    /// The far end answered that nobody listens: the network let the probe pass.
    Refused,
    /// No answer in time.
    Dropped,
    /// Something on the way, or the route table of the host itself, said that there is no way.
    Unreachable(String),
    /// The probe could not be sent, for a reason of this machine: nothing is known about the network.
    Failed(String),
    /// The probe was not tried, because this kernel or this process cannot.
    NotExercised(&'static str),
}

impl Outcome {
    /// Whether the network let the probe pass, both ways.
    #[must_use]
    pub fn passed(&self) -> bool {
        matches!(self, Self::Connected | Self::Refused)
    }
}

/// What an error of a socket that was connecting, sending or receiving means.
///
/// The kernel turns ICMP into errors: `icmp_err_convert` in net/ipv4/icmp.c, `icmpv6_err_convert` in net/ipv6/icmp.c.
pub(super) fn of_error(doing: &str, error: &io::Error) -> Outcome {
    let unreachable = |why: &str| Outcome::Unreachable(why.to_owned());
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ECONNREFUSED) => Outcome::Refused,
        // `connect(2)`; the filter of the host itself dropped what it sends: netfilter returns EPERM to the sender.
        Some(Errno::ETIMEDOUT | Errno::EPERM) => Outcome::Dropped,
        Some(Errno::ENETUNREACH | Errno::ENETDOWN) => unreachable("no route to the network"),
        Some(Errno::EHOSTUNREACH) => unreachable("the host cannot be reached, or a filter says so"),
        Some(Errno::EHOSTDOWN | Errno::ENONET) => unreachable("the host is unknown or isolated"),
        Some(Errno::EACCES) => unreachable("administratively prohibited"),
        Some(Errno::ENOPROTOOPT | Errno::EPROTO) => {
            unreachable("the host does not know the protocol")
        }
        _ => Outcome::Failed(format!("{doing}: {error}")),
    }
}

/// The same for a step that touches no network: opening, binding.
pub(super) fn failed(doing: &str, error: &io::Error) -> Outcome {
    Outcome::Failed(format!("{doing}: {error}"))
}
