//! Snapshots: all objects in one file, so that the log before it can go.
//!
//! A snapshot is of frozen objects and is written in steps beside the writers, each step synced, so that no sync of the log finds a mountain
//! of its data before it. It has its name only when it is complete and safe; only then the log that it replaces is removed.

use crate::bugs::{Bug, planted};
use crate::disk::{Disk, DiskFile};
use crate::key::Resource;
use crate::log::frame::{self, FILE_HEADER, FRAME_HEADER, FileHeader};
use crate::log::{self, record};
use crate::shared::Shared;
use crate::sorted::{Sorted, Start};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a snapshot begins.
pub(crate) const SNAPSHOT_MAGIC: [u8; 8] = *b"MoatSnp1";
/// The name of one that is not complete.
pub(crate) const UNFINISHED: &str = "snapshot.tmp";
const PREFIX: &str = "snapshot-";
/// Bytes that a step writes at most, or one object.
const STEP_BYTES_MAX: usize = 1 << 20;

/// The name of the snapshot of a revision.
pub(crate) fn name(revision: u64) -> String {
    format!("{PREFIX}{revision:020}")
}

/// The revision in the name of a snapshot.
pub(crate) fn revision(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// A snapshot that is being written.
#[derive(Debug)]
pub(crate) struct Job {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    revision: u64,
    parts: VecDeque<(Resource, Sorted)>,
    /// In the first part.
    start: Start,
    file: Option<Box<dyn DiskFile>>,
    salt: u64,
    len: u64,
    number: u64,
    step_bytes: usize,
    running: Arc<AtomicBool>,
    done: bool,
}

impl Job {
    /// A snapshot of frozen objects, some bytes at a time. `running` is true as long as it lives.
    pub(crate) fn new(
        disk: &Arc<dyn Disk>,
        shared: &Arc<Shared>,
        revision: u64,
        parts: Vec<(Resource, Sorted)>,
        step_bytes: usize,
        running: &Arc<AtomicBool>,
    ) -> Self {
        running.store(true, Ordering::Release);
        Self {
            disk: Arc::clone(disk),
            shared: Arc::clone(shared),
            revision,
            parts: parts.into(),
            start: Start::At(String::new()),
            file: None,
            salt: disk.nonce(),
            len: 0,
            number: 0,
            step_bytes: step_bytes.min(STEP_BYTES_MAX) + FRAME_HEADER,
            running: Arc::clone(running),
            done: false,
        }
    }

    /// Does a part of the work. True when all is done. After an error the snapshot is to be dropped; the log is whole as before.
    pub(crate) fn step(&mut self) -> io::Result<bool> {
        if self.file.is_none() {
            if planted(Bug::DeletesLogFirst) {
                clear_before(&*self.disk, self.revision)?;
            }
            let mut file = self.disk.create(UNFINISHED)?;
            let (salt, revision) = (self.salt, self.revision);
            let header = FileHeader { magic: SNAPSHOT_MAGIC, salt, revision };
            file.write_at(0, &header.encode())?;
            self.file = Some(file);
            self.len = FILE_HEADER as u64;
            return Ok(false);
        }
        let mut bytes = vec![0; FRAME_HEADER];
        while bytes.len() < self.step_bytes {
            let Some((resource, objects)) = self.parts.front() else { break };
            let mut last = None;
            for object in objects.from(&self.start) {
                record::encode_object(resource, object, &mut bytes);
                if self.step_bytes <= bytes.len() {
                    last = Some(object.path.as_str().to_owned());
                    break;
                }
            }
            if let Some(path) = last {
                self.start = Start::After(path);
            } else {
                self.parts.pop_front();
                self.start = Start::At(String::new());
            }
        }
        let is_last = bytes.len() == FRAME_HEADER;
        frame::finish(&mut bytes, self.salt, self.number);
        let Some(file) = &mut self.file else { return Ok(false) };
        file.write_at(self.len, &bytes)?;
        file.sync()?;
        self.len += bytes.len() as u64;
        self.number += 1;
        // An empty frame is the end.
        if is_last {
            self.finish()?;
        }
        Ok(is_last)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.disk.rename(UNFINISHED, &name(self.revision))?;
        self.disk.sync_names()?;
        self.done = true;
        self.shared.snapshot_revision.store(self.revision, Ordering::Release);
        self.shared.snapshot_bytes.store(self.len, Ordering::Release);
        self.shared.set_snapshot_trouble(None);
        clear_before(&*self.disk, self.revision)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.done && self.file.is_some() {
            // What stays is removed by the next one, or when the store is opened.
            let _ = self.disk.remove(UNFINISHED);
        }
        self.running.store(false, Ordering::Release);
    }
}

/// Removes what a snapshot replaces.
pub(crate) fn clear_before(disk: &dyn Disk, snapshot: u64) -> io::Result<()> {
    for name in disk.list()? {
        let old = log::first_revision(&name).is_some_and(|first| first <= snapshot)
            || revision(&name).is_some_and(|other| other < snapshot);
        if old {
            disk.remove(&name)?;
        }
    }
    Ok(())
}
