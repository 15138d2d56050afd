//! The log records of a run of probes, by the packet that they are about.

use super::questions::Question;
use crate::logs::{Logged, Logs};
use crate::probe::Seen;
use moat_kernel::nflog::{LogRecord, Transport};
use moat_nft::reason::Mark;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::Receiver;
use tokio::time::{Instant, timeout_at};

/// Records by who sent the packet: its address, protocol number and source port (or the identifier of an echo request).
#[derive(Debug, Default)]
pub(super) struct Records {
    by_sender: BTreeMap<(u128, u8, u16), Vec<(IpAddr, u16, Mark)>>,
    /// All of them with their node, as they came.
    pub(super) all: Vec<(Arc<str>, LogRecord)>,
    /// How many the kernel says it lost.
    pub(super) n_lost: u64,
}

/// How long missing records are waited for after the last probe: the kernel sends what waits every 50 ms.
const PATIENCE: Duration = Duration::from_secs(2);

impl Records {
    /// Reads until there are as many as `stopped` says, or the rest does not come.
    pub(super) async fn read(logs: &mut Logs, mut stopped: Receiver<usize>) -> Self {
        let mut records = Self::default();
        let expected = loop {
            tokio::select! {
                expected = &mut stopped => break expected.unwrap_or(0),
                logged = logs.next() => match logged {
                    Some(logged) => records.add(logged),
                    None => break 0,
                },
            }
        };
        let end = Instant::now() + PATIENCE;
        while records.all.len() + usize::try_from(records.n_lost).unwrap_or(0) < expected {
            match timeout_at(end, logs.next()).await {
                Ok(Some(logged)) => records.add(logged),
                Ok(None) | Err(_) => break,
            }
        }
        // What arrives with the last expected one, a record too many, is in the same batch or the next.
        let last = Instant::now() + Duration::from_millis(100);
        while let Ok(Some(logged)) = timeout_at(last, logs.next()).await {
            records.add(logged);
        }
        records
    }

    fn add(&mut self, logged: Logged) {
        self.n_lost += logged.n_lost;
        for record in &logged.records {
            let Some(mark) = Mark::parse(&record.prefix) else { continue };
            let (sender, port) = match record.transport {
                Transport::Tcp { source, destination, .. }
                | Transport::Ports { source, destination } => (source, destination),
                Transport::Icmp { id, .. } => (id.unwrap_or(0), 0),
                Transport::Unknown => (0, 0),
            };
            let key = (bits(record.source), record.protocol, sender);
            self.by_sender.entry(key).or_default().push((record.destination, port, mark));
        }
        self.all.extend(logged.records.into_iter().map(|record| (logged.node.clone(), record)));
    }

    /// The records of a question's packets.
    pub(super) fn of(&self, question: &Question, seen: &Seen) -> Vec<(IpAddr, u16, Mark)> {
        let protocol = question.point.protocol.number(question.to.is_ipv4());
        let all = self.by_sender.get(&(bits(question.source), protocol, seen.source_port));
        let is_for = |address: IpAddr, port: u16| {
            question.targets.iter().any(|target| {
                target.address == address && (target.flow.point.port == port || port == 0)
            })
        };
        all.into_iter()
            .flatten()
            .copied()
            .filter(|(address, port, _)| is_for(*address, *port))
            .collect()
    }
}

/// One number for an address of either family; IPv4 ones are mapped (RFC 4291), so that no two are equal.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}
