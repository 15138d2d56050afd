//! Which packets may be in flight, and the grace after which none of them is.
//!
//! After each change a calm grace begins in the background, so that the next change, if it comes a while later, need not wait. One that
//! does have to wait takes a quick one.

use crate::grace;
use moat_nft::model::Element;
use moat_nft::way::Recent;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::select;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::spawn_blocking;

/// What packets in flight may have met, and the grace that is under way.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since the last grace that ended.
    recent: Recent,
    /// Since the beginning of the one under way.
    since: Recent,
    /// Says when it has passed.
    running: Option<oneshot::Receiver<()>>,
    /// For how long was waited since that was last asked.
    waited: Duration,
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
                grace::calm();
                let _nobody_waits = passed.send(());
            });
            self.running = Some(running);
        }
    }

    /// For how long was waited since this was last asked.
    pub(super) fn take_waited(&mut self) -> Duration {
        core::mem::take(&mut self.waited)
    }

    /// Waits until every packet has finished that was in flight at the last transaction. Can be given up and called again.
    pub(super) async fn settle(&mut self) {
        if self.is_quiet() {
            return;
        }
        let from = Instant::now();
        self.wait().await;
        self.waited += from.elapsed();
    }

    async fn wait(&mut self) {
        // Nothing can happen meanwhile: whoever makes a transaction needs this to note it.
        let mut quick = spawn_blocking(|| grace::quick().is_ok());
        let mut is_quick = true;
        loop {
            self.begin();
            let Some(running) = &mut self.running else { return };
            // On a machine that has too much to do, either may be the later one.
            select! {
                passed = &mut quick, if is_quick => {
                    if passed.unwrap_or(false) {
                        (self.recent, self.since) = (Recent::default(), Recent::default());
                        return;
                    }
                    is_quick = false;
                }
                passed = running => {
                    let passed = passed.is_ok();
                    self.end(passed);
                }
            }
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
