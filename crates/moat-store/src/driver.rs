//! Who runs the engine: the writer itself when nothing waits for a disk, a thread when something does, or a test, step by step.

use crate::engine::{Engine, Request};
use crate::shared::Shared;
use crate::snapshot::Job;
use crate::write::WriteError;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

#[derive(Debug)]
pub(crate) enum Driver {
    /// In memory: a write takes microseconds, less than to wake a thread for it.
    Direct(Mutex<Engine>),
    /// On a disk: what arrives while the thread waits for one sync goes into the next.
    Thread(Arc<Queue>, Mutex<Option<JoinHandle<()>>>),
    /// Nothing happens by itself.
    Manual(Arc<Queue>, Mutex<(Engine, Option<Job>)>),
}

impl Driver {
    /// Starts a thread for an engine.
    pub(crate) fn thread(engine: Engine, shared: &Arc<Shared>, queue: Queue) -> io::Result<Self> {
        let queue = Arc::new(queue);
        let (shared, requests) = (Arc::clone(shared), Arc::clone(&queue));
        let thread = std::thread::Builder::new()
            .name("moat-store".to_owned())
            .spawn(move || run(engine, &requests, &shared))?;
        Ok(Self::Thread(queue, Mutex::new(Some(thread))))
    }

    /// Hands a transaction over.
    pub(crate) fn submit(&self, request: Request) -> Result<(), (Request, WriteError)> {
        match self {
            Self::Direct(engine) => {
                lock(engine).commit(vec![request]);
                Ok(())
            }
            Self::Thread(queue, _) | Self::Manual(queue, _) => queue.push(request),
        }
    }

    /// Takes no more writes, finishes those that wait, and returns when the files are no longer touched.
    pub(crate) fn close(&self) {
        match self {
            Self::Direct(_) => {}
            Self::Thread(queue, thread) => {
                queue.close();
                if let Some(thread) = lock(thread).take() {
                    // A thread that panicked has nothing to add here; its writers know that they have no answer.
                    let _ = thread.join();
                }
            }
            Self::Manual(queue, engine) => {
                queue.close();
                let mut own = lock(engine);
                own.1 = None;
                while let Some(batch) = queue.take_now() {
                    own.0.commit(batch);
                }
                own.0.seal();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(mut engine: Engine, queue: &Queue, shared: &Arc<Shared>) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut snapshot: Option<JoinHandle<()>> = None;
    while let Some(batch) = queue.take() {
        engine.commit(batch);
        if let Some(job) = engine.snapshot_if_due() {
            // The one before has ended, or this one would not be due.
            snapshot = start(job, shared, &stop);
        }
    }
    stop.store(true, Ordering::Release);
    if let Some(thread) = snapshot {
        let _ = thread.join();
    }
    engine.seal();
    shared.close();
}

fn start(mut job: Job, shared: &Arc<Shared>, stop: &Arc<AtomicBool>) -> Option<JoinHandle<()>> {
    let (shared, stop) = (Arc::clone(shared), Arc::clone(stop));
    let write = move || {
        while !stop.load(Ordering::Acquire) {
            match job.step() {
                Ok(false) => {}
                Ok(true) => return,
                Err(error) => {
                    return shared.set_snapshot_trouble(Some(
                        format!("cannot write a snapshot: {error}").into(),
                    ));
                }
            }
        }
    };
    // Without a thread there is no snapshot this time; the log is whole all the same.
    std::thread::Builder::new().name("moat-snapshot".to_owned()).spawn(write).ok()
}

/// Transactions that wait for the disk.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    bytes_max: usize,
    batch_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize, batch_bytes_max: usize) -> Self {
        Self { waiting: Mutex::default(), arrived: Condvar::new(), bytes_max, batch_bytes_max }
    }

    fn push(&self, request: Request) -> Result<(), (Request, WriteError)> {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err((request, WriteError::Closed));
        }
        if self.bytes_max < waiting.bytes + request.bytes {
            return Err((request, WriteError::Busy));
        }
        waiting.bytes += request.bytes;
        waiting.requests.push_back(request);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next batch; waits for one. `None` when the queue is closed and empty.
    fn take(&self) -> Option<Vec<Request>> {
        let mut waiting = lock(&self.waiting);
        while waiting.requests.is_empty() && !waiting.closed {
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        self.batch(&mut waiting)
    }

    /// The next batch if there is one.
    pub(crate) fn take_now(&self) -> Option<Vec<Request>> {
        self.batch(&mut lock(&self.waiting))
    }

    fn batch(&self, waiting: &mut Waiting) -> Option<Vec<Request>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(request) = waiting.requests.front() {
            if !batch.is_empty() && self.batch_bytes_max < bytes + request.bytes {
                break;
            }
            bytes += request.bytes;
            batch.extend(waiting.requests.pop_front());
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        (!batch.is_empty()).then_some(batch)
    }

    fn close(&self) {
        lock(&self.waiting).closed = true;
        self.arrived.notify_all();
    }
}
