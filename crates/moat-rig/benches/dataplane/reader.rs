//! A thread that reads a node's packet log and counts.

use crate::clock;
use moat_kernel::netns::Netns;
use moat_kernel::nflog::{LogOptions, LogReader};
use moat_nft::reason::{Mark, ReasonId, Reasons};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::timeout;

/// What was read.
#[derive(Default)]
struct Counts {
    records: AtomicU64,
    lost: AtomicU64,
    /// Records whose prefix names no known reason.
    unknown: AtomicU64,
    cpu: AtomicU64,
    ready: AtomicBool,
    stop: AtomicBool,
}

/// What was read so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) records: u64,
    pub(crate) lost: u64,
    pub(crate) unknown: u64,
    pub(crate) cpu: Duration,
}

pub(crate) struct Reader {
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Reads until it is dropped.
    pub(crate) fn start(node: &Arc<Netns>, groups: &[u16], reasons: &Reasons) -> Self {
        let counts = Arc::new(Counts::default());
        let ids: Vec<ReasonId> = reasons.keys().copied().collect();
        let (own, node, groups) = (counts.clone(), node.clone(), groups.to_vec());
        let thread = std::thread::Builder::new().name("reader".into());
        let thread = thread.spawn(move || read(&own, &node, &groups, &ids)).unwrap();
        while !counts.ready.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        Self { counts, thread: Some(thread) }
    }

    pub(crate) fn seen(&self) -> Seen {
        let Counts { records, lost, unknown, cpu, .. } = &*self.counts;
        Seen {
            records: records.load(Ordering::Acquire),
            lost: lost.load(Ordering::Acquire),
            unknown: unknown.load(Ordering::Acquire),
            cpu: Duration::from_nanos(cpu.load(Ordering::Acquire)),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(counts: &Counts, node: &Netns, groups: &[u16], reasons: &[ReasonId]) {
    clock::unpin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut reader = LogReader::open_with(node, groups, LogOptions::default()).await.unwrap();
        counts.ready.store(true, Ordering::Release);
        while !counts.stop.load(Ordering::Acquire) {
            let Ok(batch) = timeout(Duration::from_millis(500), reader.next()).await else {
                continue;
            };
            let batch = batch.unwrap();
            let known = |prefix: &str| match Mark::parse(prefix) {
                Some(Mark::Decided { reason, .. }) => reasons.binary_search(&reason).is_ok(),
                _ => false,
            };
            let n_unknown = batch.records.iter().filter(|record| !known(&record.prefix)).count();
            counts.unknown.fetch_add(n_unknown as u64, Ordering::AcqRel);
            counts.lost.fetch_add(batch.n_lost, Ordering::AcqRel);
            counts.cpu.store((clock::thread() * 1e9) as u64, Ordering::Release);
            counts.records.fetch_add(batch.records.len() as u64, Ordering::AcqRel);
        }
    });
}
