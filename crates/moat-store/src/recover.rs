//! Opening: the newest snapshot, the log after it, and the judgement of what is wrong with either.
//!
//! What is unfinished was never acknowledged and is cut off, with a note. What was once safe and is now unreadable is an error; nothing is
//! ever passed over to reach what lies behind it.

use crate::bugs::{Bug, planted};
use crate::disk::Disk;
use crate::error::{OpenError, Recovery, Torn};
use crate::log::frame::FILE_HEADER;
use crate::log::reader::{Next, Reader};
use crate::log::record::Decoder;
use crate::log::{self, LOG_MAGIC, Log};
use crate::snapshot::{self, SNAPSHOT_MAGIC, UNFINISHED};
use crate::state::{Change, ChangeKind, FIRST_REVISION, History, State};
use crate::write::Object;
use std::sync::Arc;

/// A store that was read.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) log: Log,
    pub(crate) recovery: Recovery,
    /// Bytes of the snapshot, and of the log after it.
    pub(crate) snapshot_bytes: u64,
    pub(crate) log_bytes: u64,
}

/// Reads a directory, and leaves it as a log to go on with.
pub(crate) fn recover(disk: &Arc<dyn Disk>, history: History) -> Result<Recovered, OpenError> {
    let io = |what: &str| {
        let what = format!("{what} in `{}`", disk.describe(""));
        move |error| OpenError::Io { what, error }
    };
    // What is seen now must still be there later: a killed process may have left names that are not safe yet.
    disk.sync_names().map_err(io("cannot sync names"))?;
    let names = disk.list().map_err(io("cannot list files"))?;
    let mut state = State::new(history);
    let mut recovery = Recovery::default();
    let mut snapshot_bytes = 0;
    if let Some(revision) = names.iter().filter_map(|name| snapshot::revision(name)).max() {
        snapshot_bytes = read_snapshot(disk, revision, &mut state)?;
        recovery.snapshot_revision = revision;
    }
    let first = state.revision + 1;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| log::first_revision(name)).collect();
    firsts.retain(|log| first <= *log);
    firsts.sort_unstable();
    let mut readers = Vec::new();
    for log in &firsts {
        readers.push((*log, Reader::open(disk, &log::name(*log))?));
    }
    let starts_well = firsts.first() == Some(&first);
    let fresh = recovery.snapshot_revision == 0
        && readers.iter().all(|(_, reader)| reader.len() <= FILE_HEADER as u64);
    if !starts_well && !fresh {
        return Err(OpenError::Corrupt {
            file: disk.describe(&log::name(first)),
            offset: 0,
            why: "the file is missing, and with it all writes from this revision on".to_owned(),
        });
    }
    // A log without frames is what a change of logs that did not come to its end left behind; the log before it is the one to go on with.
    if !starts_well {
        readers.clear();
    }
    let (mut kept, mut empty) = (Vec::new(), Vec::new());
    for (first, reader) in readers {
        let has_frames = (FILE_HEADER as u64) < reader.len();
        if kept.is_empty() || has_frames { &mut kept } else { &mut empty }.push((first, reader));
    }
    for (_, reader) in empty {
        // It is empty because something was cut off; that must not come back, for it would then be in the middle.
        reader.into_file().sync().map_err(io("cannot sync an empty log"))?;
    }
    let readers = kept;
    let last = readers.len().saturating_sub(1);
    let mut log = None;
    let mut log_bytes = 0;
    for (idx, (first, reader)) in readers.into_iter().enumerate() {
        let name = log::name(first);
        log_bytes += reader.len();
        log = replay(disk, name, reader, idx == last, fresh, &mut state, &mut recovery)?;
    }
    let log = match log {
        Some(log) => log,
        None => Log::create(disk, FIRST_REVISION + 1).map_err(io("cannot begin a log"))?,
    };
    // None of these matters any more; a disk that will not remove them does not keep a store closed.
    if names.iter().any(|name| name == UNFINISHED) {
        let _ = disk.remove(UNFINISHED);
    }
    let _ = snapshot::clear_before(&**disk, recovery.snapshot_revision);
    recovery.revision = state.revision;
    recovery.n_objects = state.sizes().0;
    Ok(Recovered { state, log, recovery, snapshot_bytes, log_bytes })
}

/// Loads a snapshot, which is complete or damaged. Returns its length.
fn read_snapshot(disk: &Arc<dyn Disk>, revision: u64, state: &mut State) -> Result<u64, OpenError> {
    let mut reader = Reader::open(disk, &snapshot::name(revision))?;
    match reader.header(SNAPSHOT_MAGIC)? {
        Some(header) if header.revision == revision => {}
        _ => return Err(reader.corrupt(0, "not the header of this snapshot")),
    }
    let mut decoder = Decoder::default();
    loop {
        let at = reader.offset();
        let mut loaded = Ok(());
        match reader.next()? {
            Next::Frame([]) => break,
            Next::Frame(mut payload) => {
                while !payload.is_empty() && loaded.is_ok() {
                    loaded = decoder.take(&mut payload).and_then(|change| load(state, change));
                }
            }
            Next::End => return Err(reader.corrupt(at, "the snapshot's end is missing")),
            Next::Broken => return Err(reader.corrupt(at, "the checksum does not match")),
        }
        loaded.map_err(|why| reader.corrupt(at, why))?;
    }
    if reader.offset() != reader.len() {
        return Err(reader.corrupt(reader.offset(), "there is something behind the snapshot's end"));
    }
    state.loaded(revision);
    Ok(reader.len())
}

fn load(state: &mut State, change: Change) -> Result<(), String> {
    let ChangeKind::Put(value) = change.kind else {
        return Err("a deletion in a snapshot".to_owned());
    };
    let object = Object { path: change.key.path, revision: change.revision, value };
    state.load(&change.key.resource, object);
    Ok(())
}

/// Makes a log's changes. Returns the log if it is the one to go on with.
fn replay(
    disk: &Arc<dyn Disk>,
    name: String,
    mut reader: Reader,
    is_last: bool,
    fresh: bool,
    state: &mut State,
    recovery: &mut Recovery,
) -> Result<Option<Log>, OpenError> {
    if reader.header(LOG_MAGIC)?.is_none() {
        // Frames are written only behind a header that is safe.
        return if fresh && reader.len() <= FILE_HEADER as u64 {
            Ok(None)
        } else {
            Err(reader.corrupt(0, "not the header of a log"))
        };
    }
    let mut decoder = Decoder::default();
    loop {
        let at = reader.offset();
        let mut made = Ok(());
        match reader.next()? {
            Next::Frame(mut payload) => {
                while !payload.is_empty() && made.is_ok() {
                    made = decoder.take(&mut payload).and_then(|change| make(state, change));
                    recovery.n_replayed += 1;
                }
            }
            Next::End => break,
            Next::Broken => {
                if !is_last || reader.is_damage()? {
                    return Err(reader.corrupt(at, "the checksum does not match"));
                }
                recovery.torn = Some(Torn {
                    file: reader.path().to_owned(),
                    offset: at,
                    bytes: reader.len() - at,
                });
                break;
            }
        }
        made.map_err(|why| reader.corrupt(at, why))?;
    }
    if !is_last {
        return Ok(None);
    }
    let (salt, number, end, len) = (reader.salt(), reader.number(), reader.offset(), reader.len());
    let what = format!("cannot sync `{}`", reader.path());
    let mut file = reader.into_file();
    let end = if planted(Bug::KeepsTornEnd) { len } else { end };
    // What a killed process had written but not synced is shown to readers from now on, so it must be safe.
    let safe = if end < len { file.truncate(end) } else { Ok(()) }.and_then(|()| file.sync());
    safe.map_err(|error| OpenError::Io { what, error })?;
    Ok(Some(Log::resume(disk, file, name, salt, number, end)))
}

fn make(state: &mut State, change: Change) -> Result<(), String> {
    let expected = state.revision + 1;
    if change.revision != expected {
        return Err(format!("revision {} where {expected} must be", change.revision));
    }
    if matches!(change.kind, ChangeKind::Delete(_)) && state.get(&change.key).is_none() {
        return Err(format!("{} is deleted and was not there", change.key));
    }
    state.apply(change);
    Ok(())
}
