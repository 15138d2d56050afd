//! The packet logs of all nodes of a running world.

use crate::live::Live;
use moat_flow::{Icmp, Packet, TcpFlags};
use moat_kernel::nflog::{LogOptions, LogReader, LogRecord, Transport};
use moat_nft::render::Settings;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;

/// The packet logs of all nodes; reading ends when it is dropped.
#[derive(Debug)]
pub struct Logs {
    records: Receiver<Logged>,
    _readers: JoinSet<()>,
}

/// What a node's log said at once.
#[derive(Debug)]
pub struct Logged {
    /// The node.
    pub node: Arc<str>,
    /// Its records.
    pub records: Vec<LogRecord>,
    /// Records that the kernel lost before these.
    pub n_lost: u64,
}

/// Batches that wait to be looked at, of all nodes together; a reader that is ahead waits, and the kernel counts what it then loses.
const WAITING: usize = 1024;

impl Logs {
    /// Listens to the log groups of every node.
    pub async fn open(live: &Live) -> Result<Self, moat_kernel::error::Error> {
        let (sender, records) = channel(WAITING);
        let mut readers = JoinSet::new();
        for node in &live.net.nodes {
            let groups = groups(live.settings());
            let mut reader =
                LogReader::open_with(&node.netns, &groups, LogOptions::default()).await?;
            let (sender, name) = (sender.clone(), node.name.clone());
            readers.spawn(async move {
                // A log that ends is one that nobody can read any more; what it said is not lost.
                while let Ok(batch) = reader.next().await {
                    let logged =
                        Logged { node: name.clone(), records: batch.records, n_lost: batch.n_lost };
                    if sender.send(logged).await.is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { records, _readers: readers })
    }

    /// What comes next; `None` when no log can be read any more.
    pub async fn next(&mut self) -> Option<Logged> {
        self.records.recv().await
    }

    /// What came and was not read yet.
    pub fn waiting(&mut self) -> Vec<Logged> {
        core::iter::from_fn(|| self.records.try_recv().ok()).collect()
    }
}

fn groups(settings: &Settings) -> Vec<u16> {
    let mut groups: Vec<u16> =
        settings.log.allowed.into_iter().chain(settings.log.denied).collect();
    groups.dedup();
    groups
}

/// A record as flow records are made from; `read` is the time since 1970 at which it was read, for packets that the kernel did not
/// stamp.
#[must_use]
pub fn packet(node: &Arc<str>, record: &LogRecord, read: Duration) -> Packet {
    let (mut ports, mut icmp, mut tcp_flags) = ((None, None), None, None);
    match record.transport {
        Transport::Tcp { source, destination, flags } => {
            ports = (Some(source), Some(destination));
            tcp_flags = Some(TcpFlags(flags));
        }
        Transport::Ports { source, destination } => ports = (Some(source), Some(destination)),
        Transport::Icmp { kind, code, id } => icmp = Some(Icmp { kind, code, id }),
        Transport::Unknown => {}
    }
    Packet {
        time: u64::try_from(record.timestamp.unwrap_or(read).as_nanos()).unwrap_or(u64::MAX),
        node: node.clone(),
        prefix: record.prefix.as_str().into(),
        source: record.source,
        destination: record.destination,
        protocol: record.protocol,
        source_port: ports.0,
        destination_port: ports.1,
        icmp,
        length: record.length,
        tcp_flags,
    }
}
