//! A queue of keys that somebody has to look at: none twice, none in two hands, later ones when their time comes.

use crate::meter::{Meter, Meters, Now};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How long a key that failed waits: `first`, doubled each time, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// After many.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(5), max: Duration::from_secs(60) }
    }
}

/// What becomes of a key that was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is as it should be, until something happens.
    Ok,
    /// It has to be looked at again after a while.
    After(Duration),
    /// It failed, and is tried again, later each time.
    Retry,
}

/// The queue. Copies are the same queue.
pub struct Queue<K>(Arc<Shared<K>>);

struct Shared<K> {
    state: Mutex<State<K>>,
    backoff: Backoff,
    news: Notify,
    meter: Arc<Meter>,
}

struct State<K> {
    /// What can be taken, and since when.
    ready: VecDeque<(K, Instant)>,
    /// Keys in `ready`, and keys in hands that have to be looked at again.
    dirty: BTreeSet<K>,
    /// What was taken, and when.
    in_hands: BTreeMap<K, Instant>,
    /// When each waiting key comes, and the same by time.
    times: BTreeMap<K, Instant>,
    waiting: BTreeSet<(Instant, K)>,
    failures: BTreeMap<K, u32>,
    closed: bool,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for Queue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl<K> Shared<K> {
    fn now(&self) -> Now {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let times = || state.in_hands.values().map(Instant::elapsed);
        Now {
            depth: state.ready.len(),
            unfinished: times().sum(),
            longest: times().max().unwrap_or_default(),
        }
    }
}

impl<K: Ord + Clone + Send + 'static> Default for Queue<K> {
    fn default() -> Self {
        Self::new(Backoff::default())
    }
}

impl<K: Ord + Clone + Send + 'static> Queue<K> {
    /// An empty queue.
    pub fn new(backoff: Backoff) -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            in_hands: BTreeMap::new(),
            times: BTreeMap::new(),
            waiting: BTreeSet::new(),
            failures: BTreeMap::new(),
            closed: false,
        };
        let (news, meter) = (Notify::new(), Arc::default());
        Self(Arc::new(Shared { state: Mutex::new(state), backoff, news, meter }))
    }

    /// An empty queue that is told about under a name.
    pub fn metered(backoff: Backoff, meters: &Meters, name: &'static str) -> Self {
        let queue = Self::new(backoff);
        meters.follow(name, Arc::clone(&queue.0.meter), Arc::downgrade(&queue.0), Shared::now);
        queue
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a key in, unless it is there. A key in somebody's hands comes again when it is put back.
    pub fn add(&self, key: K) {
        if self.state().add(key, &self.0.meter) {
            self.0.news.notify_one();
        }
    }

    /// Puts a key in after a while; the earliest time counts.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.state().add_at(key, Instant::now() + delay);
        // Somebody may sleep until a later time.
        self.0.news.notify_one();
    }

    /// How many keys can be taken now.
    pub fn len(&self) -> usize {
        self.state().ready.len()
    }

    /// Whether no key can be taken now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing is ready, in hands or waiting for its time.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.ready.is_empty() && state.in_hands.is_empty() && state.waiting.is_empty()
    }

    /// Ends it: who waits gets nothing, and so does who asks later.
    pub fn close(&self) {
        self.state().closed = true;
        self.0.news.notify_waiters();
        self.0.news.notify_one();
    }

    /// Takes the next key, and waits for one; nothing when the queue is closed. Who takes one gives it back by [`Queue::done`].
    pub async fn take(&self) -> Option<K> {
        loop {
            let mut news = std::pin::pin!(self.0.news.notified());
            news.as_mut().enable();
            let next = {
                let mut state = self.state();
                if state.closed {
                    // A permit of `notify_one` wakes one; it is handed on.
                    self.0.news.notify_one();
                    return None;
                }
                let now = Instant::now();
                state.ripen(now, &self.0.meter);
                if let Some((key, since)) = state.take(now) {
                    self.0.meter.waited(now - since);
                    if !state.ready.is_empty() {
                        self.0.news.notify_one();
                    }
                    return Some(key);
                }
                state.waiting.first().map(|(time, _)| *time)
            };
            match next {
                None => news.await,
                Some(time) => tokio::select! {
                    () = news => {}
                    () = sleep_until(time) => {}
                },
            }
        }
    }

    /// Gives a key back that was taken.
    pub fn done(&self, key: &K, done: Done) {
        let mut state = self.state();
        if let Some(since) = state.in_hands.remove(key) {
            self.0.meter.worked(since.elapsed());
        }
        match done {
            Done::Ok => {
                state.failures.remove(key);
            }
            Done::After(delay) => {
                state.failures.remove(key);
                state.add_at(key.clone(), Instant::now() + delay);
            }
            Done::Retry => {
                self.0.meter.retried();
                let failures = state.failures.entry(key.clone()).or_default();
                let doubled = self.0.backoff.first.saturating_mul(1 << (*failures).min(20));
                *failures += 1;
                state.add_at(key.clone(), Instant::now() + doubled.min(self.0.backoff.max));
            }
        }
        // It became dirty meanwhile.
        if state.dirty.contains(key) {
            state.ready.push_back((key.clone(), Instant::now()));
        }
        drop(state);
        self.0.news.notify_one();
    }

    /// Works until the queue is closed, on `n_workers` keys at once.
    pub async fn work<F, R>(&self, n_workers: usize, work: F)
    where
        F: Fn(K) -> R + Send + Sync + 'static,
        R: Future<Output = Done> + Send,
        K: Sync,
    {
        let work = Arc::new(work);
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..n_workers.max(1) {
            let (queue, work) = (self.clone(), Arc::clone(&work));
            workers.spawn(async move {
                while let Some(key) = queue.take().await {
                    // A key whose work is cut off is put back, not lost.
                    let held = Held { queue: &queue, key: &key, done: Done::Retry };
                    let done = work(key.clone()).await;
                    held.release(done);
                }
            });
        }
        while workers.join_next().await.is_some() {}
    }
}

struct Held<'a, K: Ord + Clone + Send + 'static> {
    queue: &'a Queue<K>,
    key: &'a K,
    done: Done,
}

impl<K: Ord + Clone + Send + 'static> Held<'_, K> {
    fn release(mut self, done: Done) {
        self.done = done;
    }
}

impl<K: Ord + Clone + Send + 'static> Drop for Held<'_, K> {
    fn drop(&mut self) {
        self.queue.done(self.key, self.done);
    }
}

impl<K: Ord + Clone> State<K> {
    /// Whether a taker should be woken.
    fn add(&mut self, key: K, meter: &Meter) -> bool {
        if self.closed || !self.dirty.insert(key.clone()) {
            return false;
        }
        meter.added();
        if self.in_hands.contains_key(&key) {
            return false;
        }
        self.ready.push_back((key, Instant::now()));
        true
    }

    fn add_at(&mut self, key: K, time: Instant) {
        if self.closed {
            return;
        }
        if let Some(earlier) = self.times.get(&key).copied() {
            if earlier <= time {
                return;
            }
            self.waiting.remove(&(earlier, key.clone()));
        }
        self.times.insert(key.clone(), time);
        self.waiting.insert((time, key));
    }

    /// Moves keys whose time has come.
    fn ripen(&mut self, now: Instant, meter: &Meter) {
        while let Some((time, _)) = self.waiting.first()
            && *time <= now
            && let Some((_, key)) = self.waiting.pop_first()
        {
            self.times.remove(&key);
            self.add(key, meter);
        }
    }

    /// The next key, and since when it waited.
    fn take(&mut self, now: Instant) -> Option<(K, Instant)> {
        let (key, since) = self.ready.pop_front()?;
        self.dirty.remove(&key);
        self.in_hands.insert(key.clone(), now);
        Some((key, since))
    }
}

#[cfg(test)]
mod tests;
