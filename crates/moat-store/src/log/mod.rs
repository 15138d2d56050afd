//! The log: batches of changes, each safe before anybody is told.

pub(crate) mod frame;
pub(crate) mod reader;
pub(crate) mod record;

use crate::bugs::{Bug, planted};
use crate::disk::{Disk, DiskFile};
use crate::state::Change;
use frame::{FILE_HEADER, FRAME_HEADER, FileHeader};
use std::io;
use std::sync::Arc;

/// How a log file begins.
pub(crate) const LOG_MAGIC: [u8; 8] = *b"MoatLog1";
const PREFIX: &str = "log-";

/// The name of the log whose first write has this revision.
pub(crate) fn name(first_revision: u64) -> String {
    format!("{PREFIX}{first_revision:020}")
}

/// The revision in the name of a log.
pub(crate) fn first_revision(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// The log that is being written.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    name: String,
    salt: u64,
    /// Of the next frame.
    number: u64,
    /// Bytes of the file that are safe.
    len: u64,
    /// Whether there may be more bytes than that, from a write that failed.
    soiled: bool,
    frame: Vec<u8>,
}

impl Log {
    /// Begins a log.
    pub(crate) fn create(disk: &Arc<dyn Disk>, first_revision: u64) -> io::Result<Self> {
        let name = name(first_revision);
        let salt = disk.nonce();
        let made = begin(disk, &name, salt, first_revision);
        if made.is_err() {
            // Where this fails too, a file without frames stays behind, which a reader passes over.
            let _ = disk.remove(&name);
        }
        Ok(Self {
            disk: Arc::clone(disk),
            file: made?,
            name,
            salt,
            number: 0,
            len: FILE_HEADER as u64,
            soiled: false,
            frame: Vec::new(),
        })
    }

    /// Goes on with a log that was read up to a length and a number of frames.
    pub(crate) fn resume(
        disk: &Arc<dyn Disk>,
        file: Box<dyn DiskFile>,
        name: String,
        salt: u64,
        number: u64,
        len: u64,
    ) -> Self {
        let disk = Arc::clone(disk);
        Self { disk, file, name, salt, number, len, soiled: false, frame: Vec::new() }
    }

    /// Makes changes safe, all or none. After an error none is, as far as readers of this log will ever see once a later append or
    /// [`Log::repair`] has succeeded.
    pub(crate) fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        self.repair()?;
        let mut bytes = std::mem::take(&mut self.frame);
        bytes.clear();
        bytes.resize(FRAME_HEADER, 0);
        changes.iter().for_each(|change| record::encode(change, &mut bytes));
        frame::finish(&mut bytes, self.salt, self.number);
        let written = self.write(&bytes);
        let n_bytes = bytes.len() as u64;
        if bytes.capacity() <= 8 << 20 {
            self.frame = bytes;
        }
        if let Err(error) = written {
            self.soiled = true;
            if planted(Bug::LeavesFailedWrites) {
                self.soiled = false;
            }
            // As soon as possible, so that the write that its writer knows as failed is not found by the next process.
            let _ = self.repair();
            return Err(error);
        }
        self.len += n_bytes;
        self.number += 1;
        Ok(())
    }

    /// Cuts off what a failed write left. Appending while it is there would bury it.
    pub(crate) fn repair(&mut self) -> io::Result<()> {
        if self.soiled {
            self.file.truncate(self.len)?;
            self.file.sync()?;
            self.soiled = false;
        }
        Ok(())
    }

    /// Marks a regular end: an empty frame, behind which damage to the last write is told from an unfinished one.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.append(&[])
    }

    /// Goes on in a new log from this revision on, if this is not the one. After an error the old one goes on.
    pub(crate) fn rotate(&mut self, first_revision: u64) -> io::Result<()> {
        self.repair()?;
        // A log that nothing was written to since it began is already what is wanted; making it anew could lose it.
        if self.name == name(first_revision) {
            return Ok(());
        }
        *self = Self::create(&self.disk, first_revision)?;
        Ok(())
    }

    /// What messages call it.
    pub(crate) fn describe(&self) -> String {
        self.disk.describe(&self.name)
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(self.len, bytes)?;
        if planted(Bug::AcknowledgesBeforeSync) { Ok(()) } else { self.file.sync() }
    }
}

fn begin(
    disk: &Arc<dyn Disk>,
    name: &str,
    salt: u64,
    revision: u64,
) -> io::Result<Box<dyn DiskFile>> {
    let mut file = disk.create(name)?;
    file.write_at(0, &FileHeader { magic: LOG_MAGIC, salt, revision }.encode())?;
    file.sync()?;
    disk.sync_names()?;
    Ok(file)
}
