//! Graces: waiting until every packet that is in flight has finished.

use moat_nft::model::Element;
use moat_nft::way::Recent;
use rustix::thread::{MembarrierCommand, membarrier};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::spawn_blocking;

/// For how long to wait where the kernel cannot say that packets have finished: a packet walks a ruleset in microseconds, and even one
/// whose processor is taken away for a scheduler's round has finished long before.
const FALLBACK: Duration = Duration::from_millis(200);

/// What packets in flight may have met, and the grace that is under way.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since the last grace that ended.
    recent: Recent,
    /// Since the beginning of the one under way.
    since: Recent,
    /// Says when it has passed.
    running: Option<oneshot::Receiver<()>>,
}

impl Pace {
    /// Whether a transaction may follow at once.
    pub(super) fn allows(&mut self, switches: bool, touched: &BTreeSet<Element>) -> bool {
        self.poll();
        self.recent.allows(switches, touched)
    }

    /// Whether every packet in flight began after the last transaction.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.poll();
        self.recent.is_quiet()
    }

    /// A transaction happened.
    pub(super) fn note(&mut self, switches: bool, touched: &BTreeSet<Element>) {
        self.recent.note(switches, touched);
        self.since.note(switches, touched);
    }

    /// Someone else made a transaction.
    pub(super) fn note_other(&mut self) {
        self.note(false, &BTreeSet::new());
    }

    /// Begins a grace for all that happened, unless one is under way; goes on in the background.
    pub(super) fn begin(&mut self) {
        self.poll();
        if self.running.is_none() && !self.recent.is_quiet() {
            self.since = Recent::default();
            let (passed, running) = oneshot::channel();
            spawn_blocking(move || {
                wait();
                let _nobody_waits = passed.send(());
            });
            self.running = Some(running);
        }
    }

    /// Waits until every packet has finished that was in flight at the last transaction. Can be given up and called again.
    pub(super) async fn settle(&mut self) {
        loop {
            self.begin();
            let Some(running) = &mut self.running else { return };
            let passed = running.await.is_ok();
            self.end(passed);
        }
    }

    fn poll(&mut self) {
        match self.running.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Ok(())) => self.end(true),
            Some(Err(TryRecvError::Closed)) => self.end(false),
            Some(Err(TryRecvError::Empty)) | None => {}
        }
    }

    fn end(&mut self, passed: bool) {
        self.running = None;
        if passed {
            self.recent = core::mem::take(&mut self.since);
        }
    }
}

/// `membarrier(MEMBARRIER_CMD_GLOBAL)` is a `synchronize_rcu()` in the kernel, and packets walk rulesets in RCU read sections: when it
/// returns, every packet that was in flight when it was called has finished. That takes 8 to 30 ms and no privilege. A kernel with
/// processors in `nohz_full` refuses it.
fn wait() {
    if membarrier(MembarrierCommand::Global).is_err() {
        std::thread::sleep(FALLBACK);
    }
}
