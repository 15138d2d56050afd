//! What the store, its watches and its threads share.

use crate::hub::Hub;
use crate::state::{History, State};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[derive(Debug)]
pub(crate) struct Shared {
    /// Held for microseconds: to make a change, to freeze objects, to take some events along.
    state: RwLock<State>,
    pub(crate) hub: Hub,
    closed: AtomicBool,
    /// What the disk last refused to writers, and to snapshots, until it works again.
    trouble: Mutex<Option<Arc<str>>>,
    snapshot_trouble: Mutex<Option<Arc<str>>>,
    /// Bytes of the log since the last snapshot, and that snapshot's revision.
    pub(crate) log_bytes: AtomicU64,
    pub(crate) snapshot_revision: AtomicU64,
    pub(crate) snapshot_bytes: AtomicU64,
}

impl Shared {
    pub(crate) fn new(state: State) -> Arc<Self> {
        Arc::new(Self {
            state: RwLock::new(state),
            hub: Hub::default(),
            closed: AtomicBool::new(false),
            trouble: Mutex::new(None),
            snapshot_trouble: Mutex::new(None),
            log_bytes: AtomicU64::new(0),
            snapshot_revision: AtomicU64::new(0),
            snapshot_bytes: AtomicU64::new(0),
        })
    }

    pub(crate) fn empty(history: History) -> Arc<Self> {
        Self::new(State::new(history))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Says that nothing more will be written, to sleeping watches too.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.hub.wake_all();
    }

    pub(crate) fn set_trouble(&self, trouble: Option<Arc<str>>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(crate) fn set_snapshot_trouble(&self, trouble: Option<Arc<str>>) {
        *self.snapshot_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Of writers, and of snapshots.
    pub(crate) fn troubles(&self) -> (Option<Arc<str>>, Option<Arc<str>>) {
        let of = |slot: &Mutex<Option<Arc<str>>>| {
            slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        (of(&self.trouble), of(&self.snapshot_trouble))
    }
}
