//! The store as its users see it.

use crate::body::Body;
use crate::disk::{Disk, RealDisk};
use crate::driver::{Driver, Queue};
use crate::engine::{Engine, Request};
use crate::error::{OpenError, Recovery};
use crate::key::{Key, Resource, Scope};
use crate::options::Options;
use crate::pending::{Pending, Reply, pending};
use crate::read::{self, List, Page, ReadError};
use crate::recover::recover;
use crate::shared::Shared;
use crate::watch::Watch;
use crate::write::{Expect, Object, TransactionError, Write, WriteError};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// What a transaction costs in the queue beside its objects' bytes.
const WRITE_BYTES: usize = 128;
/// A frame's length has 32 bits; this leaves room for names.
const QUEUE_BYTES_MAX: usize = 1 << 30;

/// The store. Copies are the same store; when the last one goes, the store is closed.
#[derive(Clone, Debug)]
pub struct Store(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    driver: Driver,
    queue_bytes_max: usize,
}

/// What the store holds and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Of the last write.
    pub revision: u64,
    /// Objects of all resources.
    pub n_objects: usize,
    /// Events that are kept.
    pub n_events: usize,
    /// Bytes that only history holds, as far as they are counted.
    pub history_bytes: usize,
    /// Bytes of log that opening would read after the snapshot.
    pub log_bytes: u64,
    /// The revision of the newest snapshot; 0 if there is none.
    pub snapshot_revision: u64,
    /// Why the last write was not stored, until one is.
    pub trouble: Option<Arc<str>>,
    /// Why the last snapshot was not made, until one is; meanwhile the log grows, and opening takes longer.
    pub snapshot_trouble: Option<Arc<str>>,
}

impl Store {
    /// A store that is gone with its process.
    pub fn in_memory(options: Options) -> Self {
        let shared = Shared::empty(options.history);
        let driver = Driver::Direct(Mutex::new(Engine::in_memory(&shared, options)));
        Self::with(shared, driver, options)
    }

    /// Opens the store of a directory, or makes one. Reads all of it; for some hundred thousand objects that takes a second or less.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovery), OpenError> {
        Self::open_disk(&(Arc::new(RealDisk::open(dir)?) as Arc<dyn Disk>), options)
    }

    /// Opens the store on a disk of any kind.
    pub fn open_disk(
        disk: &Arc<dyn Disk>,
        options: Options,
    ) -> Result<(Self, Recovery), OpenError> {
        let (shared, engine, recovery) = Self::recovered(disk, options)?;
        let driver = Driver::thread(engine, &shared, Self::queue(options)).map_err(|error| {
            OpenError::Io { what: "cannot start the thread that writes".to_owned(), error }
        })?;
        Ok((Self::with(shared, driver, options), recovery))
    }

    /// Opens a store in which nothing happens by itself: writes wait for [`Store::pump`], and snapshots for [`Store::pump_snapshot`]. With
    /// a simulated disk all that happens is then a function of its seed.
    pub fn open_stepped(
        disk: &Arc<dyn Disk>,
        options: Options,
    ) -> Result<(Self, Recovery), OpenError> {
        let (shared, engine, recovery) = Self::recovered(disk, options)?;
        let driver = Driver::Manual(Arc::new(Self::queue(options)), Mutex::new((engine, None)));
        Ok((Self::with(shared, driver, options), recovery))
    }

    fn recovered(
        disk: &Arc<dyn Disk>,
        options: Options,
    ) -> Result<(Arc<Shared>, Engine, Recovery), OpenError> {
        let found = recover(disk, options.history)?;
        let shared = Shared::new(found.state);
        shared.snapshot_revision.store(found.recovery.snapshot_revision, Ordering::Release);
        shared.snapshot_bytes.store(found.snapshot_bytes, Ordering::Release);
        shared.log_bytes.store(found.log_bytes, Ordering::Relaxed);
        let engine = Engine::durable(&shared, options, disk, found.log, found.log_bytes);
        Ok((shared, engine, found.recovery))
    }

    fn queue(options: Options) -> Queue {
        Queue::new(options.queue_bytes_max.min(QUEUE_BYTES_MAX), options.batch_bytes_max)
    }

    fn with(shared: Arc<Shared>, driver: Driver, options: Options) -> Self {
        let queue_bytes_max = options.queue_bytes_max.min(QUEUE_BYTES_MAX);
        Self(Arc::new(Handle { shared, driver, queue_bytes_max }))
    }

    /// The revision of the last write that readers see. It only grows, over restarts too.
    pub fn revision(&self) -> u64 {
        self.0.shared.read().revision
    }

    /// An object as it is.
    pub fn get(&self, key: &Key) -> Option<Object> {
        self.0.shared.read().get(key).cloned()
    }

    /// An object as it was, if history goes back so far.
    pub fn get_at(&self, key: &Key, revision: u64) -> Result<Option<Object>, ReadError> {
        let state = self.0.shared.read();
        let current = state.revision;
        if current < revision {
            return Err(ReadError::Future { current });
        }
        Ok(state.get_at(key, revision)?)
    }

    /// Objects of a resource at one revision, or a page of them. Costs writers microseconds, however many there are.
    pub fn list(&self, list: &List) -> Result<Page, ReadError> {
        read::list(&self.0.shared, list)
    }

    /// How many objects a resource has.
    pub fn count(&self, resource: &Resource) -> usize {
        self.0.shared.read().count(resource)
    }

    /// Watches what happens to objects of a scope after a revision.
    pub fn watch(&self, resource: &Resource, scope: Scope, after: u64) -> Result<Watch, ReadError> {
        Watch::new(&self.0.shared, resource, scope, after)
    }

    /// The oldest revision at which a resource can be read, and after which it can be watched.
    pub fn oldest(&self, resource: &Resource) -> u64 {
        self.0.shared.read().oldest(resource)
    }

    /// Forgets history up to a revision, for users who bound history by time. Watches that sleep are woken to move on first; what that
    /// keeps is forgotten by the next call.
    pub fn compact(&self, revision: u64) {
        let behind = self.0.shared.write().compact(revision);
        behind.iter().for_each(|resource| self.0.shared.hub.wake_resource(resource));
    }

    /// Creates an object. Dropping the future does not take the write back; so for all writes.
    pub async fn create(&self, key: Key, body: Body) -> Result<Object, WriteError> {
        self.one(Write::Create { key, body }).await
    }

    /// Replaces an object.
    pub async fn update(&self, key: Key, body: Body, expect: Expect) -> Result<Object, WriteError> {
        self.one(Write::Update { key, body, expect }).await
    }

    /// Deletes an object, and returns it as watchers see it last, with the revision of the deletion.
    pub async fn delete(
        &self,
        key: Key,
        last: Option<Body>,
        expect: Expect,
    ) -> Result<Object, WriteError> {
        self.one(Write::Delete { key, last, expect }).await
    }

    async fn one(&self, write: Write) -> Result<Object, WriteError> {
        let mut objects = self.submit(vec![write]).await.map_err(|refused| refused.error)?;
        objects.pop().flatten().ok_or(WriteError::Closed)
    }

    /// Hands in a transaction: all of its writes happen, each with a revision of its own and nothing between them, or none. When the answer
    /// is there, what happened is safe and every reader sees it.
    pub fn submit(&self, writes: Vec<Write>) -> Pending {
        let (reply, answer) = pending();
        let bytes: usize = writes.iter().map(|write| WRITE_BYTES + write.bytes()).sum();
        let max = self.0.queue_bytes_max;
        let refuse = |reply: Reply, error| reply.send(Err(TransactionError { at: 0, error }));
        if self.0.shared.is_closed() {
            refuse(reply, WriteError::Closed);
        } else if max < bytes {
            refuse(reply, WriteError::TooLarge { bytes, max });
        } else if let Err((request, error)) = self.0.driver.submit(Request { writes, bytes, reply })
        {
            refuse(request.reply, error);
        }
        answer
    }

    /// Commits what waits, in a store that was opened by [`Store::open_stepped`]; returns how many transactions.
    pub fn pump(&self) -> usize {
        let Driver::Manual(queue, own) = &self.0.driver else { return 0 };
        let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(batch) = queue.take_now() else { return 0 };
        let n_requests = batch.len();
        own.0.commit(batch);
        if let Some(job) = own.0.snapshot_if_due() {
            own.1 = Some(job);
        }
        n_requests
    }

    /// Writes the next part of a snapshot, in a store that was opened by [`Store::open_stepped`]; whether there was one to write.
    pub fn pump_snapshot(&self) -> bool {
        let Driver::Manual(_, own) = &self.0.driver else { return false };
        let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(job) = own.1.as_mut() else { return false };
        match job.step() {
            Ok(false) => {}
            Ok(true) => own.1 = None,
            Err(error) => {
                let trouble = format!("cannot write a snapshot: {error}");
                self.0.shared.set_snapshot_trouble(Some(trouble.into()));
                own.1 = None;
            }
        }
        true
    }

    /// What it holds and how it is.
    pub fn stats(&self) -> Stats {
        let shared = &self.0.shared;
        let (trouble, snapshot_trouble) = shared.troubles();
        let (revision, (n_objects, n_events, history_bytes)) = {
            let state = shared.read();
            (state.revision, state.sizes())
        };
        Stats {
            revision,
            n_objects,
            n_events,
            history_bytes,
            log_bytes: shared.log_bytes.load(Ordering::Relaxed),
            snapshot_revision: shared.snapshot_revision.load(Ordering::Acquire),
            trouble,
            snapshot_trouble,
        }
    }

    /// Ends the store: writes that wait are finished, later ones refused, watches end when they have returned what there is. Reads go on.
    /// Stops this thread until the disk is done; dropping the last copy of the store does the same.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Handle {
    fn close(&self) {
        self.driver.close();
        self.shared.close();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
