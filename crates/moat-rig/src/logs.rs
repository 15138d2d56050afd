//! The packet logs of all nodes of a running world.

use crate::live::Live;
use moat_kernel::nflog::{LogOptions, LogReader, LogRecord};
use moat_nft::render::Settings;
use std::sync::Arc;
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
}

fn groups(settings: &Settings) -> Vec<u16> {
    let mut groups: Vec<u16> =
        settings.log.allowed.into_iter().chain(settings.log.denied).collect();
    groups.dedup();
    groups
}
