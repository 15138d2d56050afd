//! A disk in memory that fails as it is told and loses what was not synced: the same for the same seed.
//!
//! A file is what is safe on it, and the writes and cuts since, in order. When the machine stops, a prefix of those survives; of the last
//! write in it a part, from which sectors may be missing and read as zeros. Names are kept the same way.

use super::{Disk, DiskFile};
use crate::rng::Rng;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// How often what fails: once in so many calls, or never when 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Writes that leave a part behind and report an error.
    pub write_one_in: usize,
    /// Syncs that report an error; part of the data may survive all the same.
    pub sync_one_in: usize,
    /// Creating, renaming, removing, cutting and syncing names that report an error.
    pub other_one_in: usize,
    /// Bytes of all files together after which the disk is full; unlimited when 0.
    pub capacity: usize,
    /// Calls that change something after which all of them fail, the first of those in its middle: the moment at which a process is
    /// killed. Never when 0.
    pub calls_until_death: usize,
}

/// The disk. Copies are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk(Arc<Mutex<Inner>>);

type Node = Arc<Mutex<File>>;

#[derive(Debug)]
struct Inner {
    rng: Rng,
    faults: Faults,
    /// Calls since the faults were set.
    n_calls: usize,
    names: BTreeMap<String, Node>,
    synced_names: BTreeMap<String, Node>,
    /// Changes of names since.
    renames: Vec<Rename>,
}

#[derive(Clone, Debug)]
enum Rename {
    Create(String, Node),
    Move(String, String),
    Remove(String),
}

#[derive(Clone, Debug, Default)]
struct File {
    now: Vec<u8>,
    synced: Vec<u8>,
    since: Vec<Op>,
}

#[derive(Clone, Debug)]
enum Op {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Op {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                if let Some(slot) = to.get_mut(*at..end) {
                    slot.copy_from_slice(bytes);
                }
            }
            Self::Cut(len) => to.resize(*len, 0),
        }
    }
}

impl Rename {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Create(name, node) => {
                names.insert(name.clone(), Arc::clone(node));
            }
            Self::Move(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(what: &str) -> io::Error {
    io::Error::other(format!("simulated failure of {what}"))
}

impl SimulatedDisk {
    /// An empty disk that never fails until told to.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            rng: Rng::new(seed),
            faults: Faults::default(),
            n_calls: 0,
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            renames: Vec::new(),
        })))
    }

    /// From now on fails so often.
    pub fn set_faults(&self, faults: Faults) {
        let mut inner = lock(&self.0);
        inner.faults = faults;
        inner.n_calls = 0;
    }

    /// The machine stops and starts again: what was not synced is lost from somewhere on. Files that were open are no longer this disk's.
    pub fn lose_power(&self) {
        let mut inner = lock(&self.0);
        let Inner { rng, names, synced_names, renames, .. } = &mut *inner;
        let n_kept = rng.below(renames.len() + 1);
        renames.iter().take(n_kept).for_each(|rename| rename.apply(synced_names));
        renames.clear();
        // What was opened before writes into nodes that nobody finds any more.
        for node in synced_names.values_mut() {
            let survived = survivors(&lock(node), rng);
            let file = File { now: survived.clone(), synced: survived, since: Vec::new() };
            *node = Arc::new(Mutex::new(file));
        }
        names.clone_from(synced_names);
    }

    /// The bytes of a file, to be looked at or spoilt.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.0).names.get(name).map(|node| lock(node).now.clone())
    }

    /// Puts a file there, safely.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let file = File { now: bytes.clone(), synced: bytes, since: Vec::new() };
        let node = Arc::new(Mutex::new(file));
        let mut inner = lock(&self.0);
        inner.names.insert(name.to_owned(), Arc::clone(&node));
        inner.synced_names.insert(name.to_owned(), node);
    }

    fn fails(&self, chance: impl Fn(&Faults) -> usize) -> bool {
        let mut inner = lock(&self.0);
        inner.n_calls += 1;
        let dead =
            inner.faults.calls_until_death != 0 && inner.faults.calls_until_death <= inner.n_calls;
        let one_in = chance(&inner.faults);
        inner.rng.one_in(one_in) || dead
    }

    fn rename_or_fail(&self, rename: Rename, what: &str) -> io::Result<()> {
        if self.fails(|faults| faults.other_one_in) {
            return Err(refused(what));
        }
        let mut inner = lock(&self.0);
        rename.apply(&mut inner.names);
        inner.renames.push(rename);
        Ok(())
    }

    /// Whether the moment of death is past, so that not even a part of a write is made.
    fn is_dead(&self) -> bool {
        let inner = lock(&self.0);
        let last = inner.faults.calls_until_death;
        last != 0 && last <= inner.n_calls
    }

    fn is_full(&self, more: usize) -> bool {
        let inner = lock(&self.0);
        let used: usize = inner.names.values().map(|node| lock(node).now.len()).sum();
        inner.faults.capacity != 0 && inner.faults.capacity < used + more
    }
}

/// What a stop of the machine leaves of a file.
fn survivors(file: &File, rng: &mut Rng) -> Vec<u8> {
    let mut left = file.synced.clone();
    let n_kept = rng.below(file.since.len() + 1);
    for (idx, op) in file.since.iter().take(n_kept).enumerate() {
        match op {
            Op::Write(at, bytes) if idx + 1 == n_kept => torn(*at, bytes, rng).apply(&mut left),
            whole => whole.apply(&mut left),
        }
    }
    left
}

/// A write of which a part is there, with holes.
fn torn(at: usize, bytes: &[u8], rng: &mut Rng) -> Op {
    let n_kept = if rng.one_in(2) { bytes.len() } else { rng.below(bytes.len() + 1) };
    let mut part = bytes.get(..n_kept).unwrap_or_default().to_vec();
    if rng.one_in(3) {
        for sector in part.chunks_mut(SECTOR) {
            if rng.one_in(3) {
                sector.fill(0);
            }
        }
    }
    Op::Write(at, part)
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(lock(&self.0).names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let node = Node::default();
        self.rename_or_fail(Rename::Create(name.to_owned(), Arc::clone(&node)), "creating")?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), node }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let node = lock(&self.0).names.get(name).cloned();
        let node = node.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), node }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.rename_or_fail(Rename::Move(from.to_owned(), to.to_owned()), "renaming")
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.rename_or_fail(Rename::Remove(name.to_owned()), "removing")
    }

    fn sync_names(&self) -> io::Result<()> {
        if self.fails(|faults| faults.other_one_in) {
            return Err(refused("syncing names"));
        }
        let mut inner = lock(&self.0);
        let Inner { names, synced_names, .. } = &mut *inner;
        synced_names.clone_from(names);
        inner.renames.clear();
        Ok(())
    }

    fn describe(&self, name: &str) -> String {
        format!("simulated/{name}")
    }

    fn nonce(&self) -> u64 {
        lock(&self.0).rng.next_u64()
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    node: Node,
}

impl SimulatedFile {
    fn note(&self, op: Op) {
        let mut file = lock(&self.node);
        op.apply(&mut file.now);
        file.since.push(op);
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.node).now.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let file = lock(&self.node);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = file.now.get(from..).unwrap_or_default();
        let n_read = rest.len().min(into.len());
        if let (Some(to), Some(bytes)) = (into.get_mut(..n_read), rest.get(..n_read)) {
            to.copy_from_slice(bytes);
        }
        Ok(n_read)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(|_| refused("writing so far out"))?;
        let full = self.disk.is_full(bytes.len());
        if self.disk.is_dead() {
            return Err(refused("everything"));
        }
        if full || self.disk.fails(|faults| faults.write_one_in) {
            let n_kept = lock(&self.disk.0).rng.below(bytes.len() + 1);
            self.note(Op::Write(at, bytes.get(..n_kept).unwrap_or_default().to_vec()));
            let kind = if full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
            return Err(io::Error::new(kind, "simulated failure of writing"));
        }
        self.note(Op::Write(at, bytes.to_vec()));
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if self.disk.fails(|faults| faults.other_one_in) {
            return Err(refused("cutting"));
        }
        let len = usize::try_from(len).map_err(|_| refused("cutting so far out"))?;
        self.note(Op::Cut(len));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.disk.fails(|faults| faults.sync_one_in) {
            return Err(refused("syncing"));
        }
        let mut file = lock(&self.node);
        let File { now, synced, .. } = &mut *file;
        synced.clone_from(now);
        file.since.clear();
        Ok(())
    }
}
