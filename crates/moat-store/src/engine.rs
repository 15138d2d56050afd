//! The engine: decides writes one after the other, makes them safe together, shows them, and answers. One thread at a time runs it, so there
//! is one order of writes, and nothing in it waits for another write's lock.

use crate::bugs::{Bug, planted};
use crate::disk::Disk;
use crate::event::EventKind;
use crate::hub::Hub;
use crate::key::Key;
use crate::log::Log;
use crate::options::Options;
use crate::pending::Reply;
use crate::shared::Shared;
use crate::snapshot::Job;
use crate::state::{Change, ChangeKind, State};
use crate::write::{Expect, Object, Outcome, TransactionError, Write, WriteError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A transaction that waits for its answer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) writes: Vec<Write>,
    pub(crate) bytes: usize,
    pub(crate) reply: Reply,
}

#[derive(Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    options: Options,
    durable: Option<Durable>,
}

#[derive(Debug)]
struct Durable {
    disk: Arc<dyn Disk>,
    log: Log,
    /// Bytes of log since the last snapshot was begun, in files before the one that is written.
    before: u64,
    snapshot_running: Arc<AtomicBool>,
}

impl Engine {
    pub(crate) fn in_memory(shared: &Arc<Shared>, options: Options) -> Self {
        Self { shared: Arc::clone(shared), options, durable: None }
    }

    pub(crate) fn durable(
        shared: &Arc<Shared>,
        options: Options,
        disk: &Arc<dyn Disk>,
        log: Log,
        log_bytes: u64,
    ) -> Self {
        let before = log_bytes.saturating_sub(log.len());
        let durable =
            Durable { disk: Arc::clone(disk), log, before, snapshot_running: Arc::default() };
        Self { shared: Arc::clone(shared), options, durable: Some(durable) }
    }

    /// Decides transactions in order, and answers each when all that happened is safe and visible.
    pub(crate) fn commit(&mut self, requests: Vec<Request>) {
        let mut staged = Staged::default();
        let mut answers = Vec::with_capacity(requests.len());
        {
            let shared = Arc::clone(&self.shared);
            let state = shared.read();
            staged.revision = state.revision;
            for request in requests {
                let outcome = staged.transaction(&state, request.writes, &self.options);
                answers.push((request.reply, outcome));
            }
        }
        if !staged.changes.is_empty() {
            if let Err(why) = self.make_safe(&staged.changes) {
                // Those that were refused may have been refused because of writes that did not happen after all.
                let error = TransactionError { at: 0, error: WriteError::Unavailable(why) };
                answers.iter_mut().for_each(|(_, outcome)| *outcome = Err(error.clone()));
                if planted(Bug::ShowsFailedWrites) {
                    self.show(staged.changes);
                }
            } else {
                self.show(staged.changes);
            }
        }
        for (reply, outcome) in answers {
            reply.send(outcome);
        }
    }

    fn make_safe(&mut self, changes: &[Change]) -> Result<(), Arc<str>> {
        let Some(durable) = &mut self.durable else { return Ok(()) };
        let done = durable.log.append(changes).map_err(|error| {
            let why = format!("cannot write `{}`: {error}", durable.log.describe());
            Arc::<str>::from(why)
        });
        self.shared.set_trouble(done.as_ref().err().cloned());
        self.shared.log_bytes.store(durable.before + durable.log.len(), Ordering::Relaxed);
        done
    }

    /// Lets readers see changes, all at once, and wakes watches.
    fn show(&self, changes: Vec<Change>) {
        let keys: Vec<Key> = changes.iter().map(|change| change.key.clone()).collect();
        let mut nudged = Vec::new();
        {
            let mut state = self.shared.write();
            for (change, key) in changes.into_iter().zip(&keys) {
                if state.apply(change) {
                    nudged.push(key.resource.clone());
                }
            }
        }
        let hub: &Hub = &self.shared.hub;
        hub.wake(keys.iter());
        nudged.iter().for_each(|resource| hub.wake_resource(resource));
    }

    /// A snapshot to be written, when the log is long enough and none is being written.
    pub(crate) fn snapshot_if_due(&mut self) -> Option<Job> {
        let durable = self.durable.as_mut()?;
        let half = self.shared.snapshot_bytes.load(Ordering::Acquire) / 2;
        let due = self.options.log_bytes_max.max(half) <= durable.before + durable.log.len();
        if !due || durable.snapshot_running.load(Ordering::Acquire) {
            return None;
        }
        let (revision, parts) = {
            let state = self.shared.read();
            (state.revision, state.freeze_all())
        };
        // A disk on which this fails is asked again after as much log; the log goes on where it was.
        durable.before = 0;
        if let Err(error) = durable.log.rotate(revision + 1) {
            self.shared
                .set_snapshot_trouble(Some(format!("cannot begin a new log: {error}").into()));
            return None;
        }
        let running = &durable.snapshot_running;
        let step_bytes = self.options.batch_bytes_max;
        Some(Job::new(&durable.disk, &self.shared, revision, parts, step_bytes, running))
    }

    /// The end of writing. An end without its mark is no loss.
    pub(crate) fn seal(&mut self) {
        if let Some(durable) = &mut self.durable {
            let _ = durable.log.seal();
        }
    }
}

/// Transactions that are decided and not yet safe.
#[derive(Debug, Default)]
struct Staged {
    /// Of the last change.
    revision: u64,
    changes: Vec<Change>,
    /// What the changes leave of each object.
    after: BTreeMap<Key, Option<Object>>,
}

impl Staged {
    /// Decides a transaction: all of it, or nothing.
    fn transaction(&mut self, state: &State, writes: Vec<Write>, options: &Options) -> Outcome {
        let (revision, n_changes) = (self.revision, self.changes.len());
        let mut undo: Vec<(Key, Option<Option<Object>>)> = Vec::new();
        let mut results = Vec::with_capacity(writes.len());
        for (at, write) in writes.into_iter().enumerate() {
            let key = write.key().clone();
            match self.decide(state, write, options) {
                Ok(Decided::Checked) => results.push(None),
                Ok(Decided::Changed(kind, change)) => {
                    let (object, left) = outcome(kind, &key, &change, self.current(state, &key));
                    undo.push((key.clone(), self.after.insert(key, left)));
                    self.changes.push(change);
                    self.revision += 1;
                    results.push(Some(object));
                }
                Err(error) => {
                    self.revision = revision;
                    self.changes.truncate(n_changes);
                    for (key, before) in undo.into_iter().rev() {
                        match before {
                            Some(before) => self.after.insert(key, before),
                            None => self.after.remove(&key),
                        };
                    }
                    return Err(TransactionError { at, error });
                }
            }
        }
        Ok(results)
    }

    fn current(&self, state: &State, key: &Key) -> Option<Object> {
        if planted(Bug::IgnoresBatch) {
            return state.get(key).cloned();
        }
        match self.after.get(key) {
            Some(staged) => staged.clone(),
            None => state.get(key).cloned(),
        }
    }

    fn decide(
        &self,
        state: &State,
        write: Write,
        options: &Options,
    ) -> Result<Decided, WriteError> {
        let bytes = write.bytes();
        let max = options.object_bytes_max;
        if max < bytes {
            return Err(WriteError::TooLarge { bytes, max });
        }
        let current = self.current(state, write.key());
        let revision = self.revision + 1;
        let (key, kind, what) = match write {
            Write::Create { key, body } => {
                if let Some(object) = current {
                    return Err(WriteError::Exists { current: object.revision });
                }
                (key, ChangeKind::Put(body.stamp(revision)), EventKind::Added)
            }
            Write::Update { key, body, expect } => {
                expected(current.as_ref(), expect)?;
                (key, ChangeKind::Put(body.stamp(revision)), EventKind::Modified)
            }
            Write::Delete { key, last, expect } => {
                expected(current.as_ref(), expect)?;
                let last = last.map(|body| body.stamp(revision));
                (key, ChangeKind::Delete(last), EventKind::Deleted)
            }
            Write::Check { expect, .. } => {
                expected(current.as_ref(), expect)?;
                return Ok(Decided::Checked);
            }
        };
        Ok(Decided::Changed(what, Change { key, revision, kind }))
    }
}

enum Decided {
    Checked,
    Changed(EventKind, Change),
}

fn expected(current: Option<&Object>, expect: Expect) -> Result<(), WriteError> {
    let current = current.ok_or(WriteError::NotFound)?.revision;
    match expect {
        Expect::Exists => Ok(()),
        Expect::Revision(revision) if revision == current => Ok(()),
        Expect::Revision(_) => Err(WriteError::Conflict { current }),
    }
}

/// What the writer is told, and what is left of the object.
fn outcome(
    what: EventKind,
    key: &Key,
    change: &Change,
    current: Option<Object>,
) -> (Object, Option<Object>) {
    let value = match &change.kind {
        ChangeKind::Put(value) | ChangeKind::Delete(Some(value)) => value.clone(),
        ChangeKind::Delete(None) => current.map(|object| object.value).unwrap_or_default(),
    };
    let object = Object { path: key.path.clone(), revision: change.revision, value };
    let left = (what != EventKind::Deleted).then(|| object.clone());
    (object, left)
}
