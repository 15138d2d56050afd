//! The log of a world that runs: read while probes run and in between, and recorded all the time.

use super::environment;
use crate::args::Verify as Args;
use crate::cmd::recorded::Recorder;
use crate::exit::Failure;
use crate::out::{Progress, remark};
use moat_flow::Record;
use moat_rig::live::Live;
use moat_rig::logs::{Logged, Logs};
use moat_rig::probe::Settings;
use moat_rig::verify::questions::Question;
use moat_rig::verify::run::{Listening, Verified, verify_by};
use std::time::Duration;

pub(super) struct Watched {
    logs: Logs,
    recorder: Recorder,
}

impl Watched {
    pub(super) async fn open(live: &Live, args: &Args) -> Result<Self, Failure> {
        let mut recorder = Recorder::new(args.record.as_ref())?;
        recorder.follow(live);
        Ok(Self { logs: Logs::open(live).await.map_err(environment)?, recorder })
    }

    /// From here on records are of the present state of the world.
    pub(super) fn follow(&mut self, live: &Live) {
        self.recorder.follow(live);
    }

    /// Asks the network, with patience for what should get through.
    pub(super) async fn probed(
        &mut self,
        live: &Live,
        questions: Vec<Question>,
        args: &Args,
    ) -> Result<Verified, Failure> {
        self.rest()?;
        let progress = Progress::of("probing", questions.len());
        let settings = Settings {
            timeout: Duration::from_millis(args.timeout.into()),
            retry_dropped: Some(Duration::from_millis(u64::from(args.timeout) * 8)),
            ..Settings::default()
        };
        let at = |done| progress.at(done);
        let found =
            verify_by(live, &mut self.logs, questions, &settings, Listening::Declared, at).await;
        let found = found.map_err(environment)?;
        self.recorder.record(found.log.iter().map(|(node, record)| (node, record)))?;
        for node in live.full().await.map_err(environment)? {
            remark(&format!(
                "{node} has no room for another connection, and lets none through that is new"
            ));
        }
        Ok(found)
    }

    /// The flow records of a run of probes.
    pub(super) fn records(&self, found: &Verified) -> Vec<Record> {
        self.recorder.attribute(found.log.iter().map(|(node, record)| (node, record)))
    }

    /// What is logged next, while no probe runs.
    pub(super) async fn next(&mut self) -> Option<Logged> {
        self.logs.next().await
    }

    /// Records what was logged while no probe ran.
    pub(super) fn record(&mut self, logged: &Logged) -> Result<(), Failure> {
        if logged.n_lost > 0 {
            remark(&format!("{}: {} log records were lost", logged.node, logged.n_lost));
        }
        self.recorder.record(logged.records.iter().map(|record| (&logged.node, record)))
    }

    fn rest(&mut self) -> Result<(), Failure> {
        let waiting = self.logs.waiting();
        waiting.iter().try_for_each(|logged| self.record(logged))
    }
}
