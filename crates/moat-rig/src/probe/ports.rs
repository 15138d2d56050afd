//! Source ports, each used once per destination, so that what the kernel logged can be matched to the probe that caused it.

use moat_sets::Protocol;
use rustc_hash::FxHashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// The default of `net.ipv4.ip_local_port_range`: above what Services take for node ports.
const FIRST: u16 = 32_768;
const LAST: u16 = 60_999;
/// How many there are.
pub(super) const COUNT: usize = (LAST - FIRST) as usize + 1;

/// Where a probe goes, for the question whether a port was used towards it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Towards {
    pub(super) host: usize,
    pub(super) protocol: Protocol,
    pub(super) to: IpAddr,
    pub(super) port: u16,
}

/// The ports of every host; counting goes on from run to run.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where hosts begin that were not asked from yet.
    first: u16,
    next: Vec<u16>,
    used: FxHashSet<(Towards, u16)>,
}

impl Default for State {
    fn default() -> Self {
        Self { first: FIRST, next: Vec::new(), used: FxHashSet::default() }
    }
}

impl Ports {
    /// Forgets what was used, not where the count stands.
    pub(super) fn forget(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).used.clear();
    }

    /// Goes on for every host where the foremost stands: from here on hosts are others.
    pub(crate) fn level(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let foremost = state.next.iter().max().copied().unwrap_or(FIRST);
        state.first = foremost;
        state.next.clear();
    }

    /// The next port of a host that was not used towards there; none when all were.
    pub(super) fn take(&self, towards: Towards) -> Option<u16> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { first, next, used } = &mut *state;
        if next.len() <= towards.host {
            next.resize(towards.host + 1, *first);
        }
        let next = next.get_mut(towards.host)?;
        for _ in 0..COUNT {
            let port = *next;
            *next = if port == LAST { FIRST } else { port + 1 };
            // A TCP socket that asks its own address and port connects to itself (RFC 9293, simultaneous open).
            if port != towards.port && used.insert((towards, port)) {
                return Some(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::{COUNT, FIRST, LAST, Ports, Towards};
    use moat_sets::Protocol;
    use std::collections::BTreeSet;

    #[test]
    fn every_port_once_towards_one_place_then_none() {
        let ports = Ports::default();
        let there = Towards {
            host: 3,
            protocol: Protocol::Tcp,
            to: "10.0.0.1".parse().unwrap(),
            port: 40_000,
        };
        let taken: BTreeSet<u16> = core::iter::from_fn(|| ports.take(there)).collect();
        assert_eq!(taken.len(), COUNT - 1, "all but the port that is asked");
        assert!(!taken.contains(&40_000));
        assert_eq!((*taken.first().unwrap(), *taken.last().unwrap()), (FIRST, LAST));
        let elsewhere = Towards { port: 80, ..there };
        assert!(ports.take(elsewhere).is_some());
        ports.forget();
        assert!(ports.take(there).is_some());
    }

    #[test]
    fn hosts_that_are_others_begin_beyond_all() {
        let ports = Ports::default();
        let there = |host| Towards {
            host,
            protocol: Protocol::Udp,
            to: "10.0.0.1".parse().unwrap(),
            port: 53,
        };
        let last = (0..5).map(|_| ports.take(there(2)).unwrap()).max().unwrap();
        assert_eq!(ports.take(there(0)), Some(FIRST));
        ports.level();
        assert_eq!(ports.take(there(0)), Some(last + 1));
    }
}
