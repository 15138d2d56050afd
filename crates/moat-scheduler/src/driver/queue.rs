//! Pods that wait: those to be tried now, those that wait a while after a failure, and those that wait for the cluster to change.

use super::hints::Plugins;
use crate::pod::Pod;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a pod waits for a change before it is tried without one (upstream's number): a hint may have been wrong.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Order of the queue: priority, then who came first.
type Rank = (Reverse<i32>, u64, Arc<str>);

/// A pod that waits, and what became of it so far.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pod: Arc<Pod>,
    /// Attempts that failed.
    pub(super) attempts: u32,
    /// When it came, counted.
    turn: u64,
    place: Place,
    /// The event that tells of its failures: its name, its text, and how often it happened.
    pub(super) told: Option<(String, String, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// To be tried now.
    Active,
    /// To be tried at a time.
    Backoff(Duration),
    /// Waits for what these plug-ins look at; failed at a time.
    Waiting(Plugins, Duration),
    /// Its gates are closed.
    Gated,
    /// It is in somebody's hand.
    Held,
}

/// The queue. Times are since an epoch of the caller's.
#[derive(Debug)]
pub(super) struct Queue {
    entries: FxHashMap<Arc<str>, Entry>,
    active: BTreeSet<Rank>,
    backoff: BTreeSet<(Duration, Arc<str>)>,
    waiting: BTreeMap<Plugins, BTreeSet<Arc<str>>>,
    /// Those that wait by the time of their failure.
    patience: BTreeSet<(Duration, Arc<str>)>,
    turn: u64,
    first: Duration,
    most: Duration,
}

impl Queue {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self {
            entries: FxHashMap::default(),
            active: BTreeSet::new(),
            backoff: BTreeSet::new(),
            waiting: BTreeMap::new(),
            patience: BTreeSet::new(),
            turn: 0,
            first,
            most,
        }
    }

    /// A pod came or changed. One that changed is tried anew, unless only its status did.
    pub(super) fn set(&mut self, pod: Arc<Pod>, gated: bool) {
        let key = Arc::clone(&pod.key);
        let known = self.entries.get_mut(&key).filter(|entry| entry.pod.uid == pod.uid);
        if let Some(entry) = known {
            let same = entry.pod.same_wishes(&pod);
            // In somebody's hand it stays there; what becomes of it there decides.
            if same || entry.place == Place::Held {
                entry.pod = pod;
                return;
            }
            self.unlink(&key);
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.pod = pod;
            }
        } else {
            self.remove(&key);
            self.turn += 1;
            let entry =
                Entry { pod, attempts: 0, turn: self.turn, place: Place::Gated, told: None };
            self.entries.insert(Arc::clone(&key), entry);
        }
        if !gated {
            self.link(&key, Place::Active);
        }
    }

    /// A pod needs no node any more.
    pub(super) fn remove(&mut self, key: &str) -> Option<Entry> {
        self.unlink(key);
        self.entries.remove(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// The next pod; it is held until it is removed or failed.
    pub(super) fn pop(&mut self) -> Option<Arc<Pod>> {
        let (_, _, key) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&key)?;
        entry.place = Place::Held;
        Some(Arc::clone(&entry.pod))
    }

    /// The attempt failed, and the pod waits for a change; or only for a while if `plugins` is nothing.
    pub(super) fn failed(&mut self, key: &str, plugins: Option<Plugins>, now: Duration) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.attempts = entry.attempts.saturating_add(1);
        let key = Arc::clone(&entry.pod.key);
        let until = now + backoff(entry.attempts, self.first, self.most);
        self.unlink(&key);
        match plugins {
            Some(plugins) => self.link(&key, Place::Waiting(plugins, now)),
            None => self.link(&key, Place::Backoff(until)),
        }
    }

    /// Something changed that these plug-ins look at.
    pub(super) fn changed(&mut self, plugins: Plugins, now: Duration) {
        if plugins.is_empty() {
            return;
        }
        // Whom no plug-in refused is tried after any change.
        let met = |one: &&Plugins| one.is_empty() || one.meets(plugins);
        let groups: Vec<Plugins> = self.waiting.keys().filter(met).copied().collect();
        for group in groups {
            for key in self.waiting.get(&group).cloned().unwrap_or_default() {
                self.wake(&key, now);
            }
        }
    }

    /// Takes a waiting pod out, into its pause if that is not over.
    fn wake(&mut self, key: &Arc<str>, now: Duration) {
        let Some(entry) = self.entries.get(key) else { return };
        let Place::Waiting(_, since) = entry.place else { return };
        let until = since + backoff(entry.attempts, self.first, self.most);
        self.unlink(key);
        self.link(key, if now < until { Place::Backoff(until) } else { Place::Active });
    }

    /// Lets go whose pause or patience is over. Returns when the next one's will be.
    pub(super) fn tick(&mut self, now: Duration) -> Option<Duration> {
        while let Some((until, key)) =
            self.backoff.first().cloned().filter(|(until, _)| *until <= now)
        {
            self.backoff.remove(&(until, Arc::clone(&key)));
            self.link(&key, Place::Active);
        }
        while let Some((_, key)) =
            self.patience.first().cloned().filter(|(since, _)| *since + PATIENCE <= now)
        {
            self.wake(&key, now);
        }
        let pause = self.backoff.first().map(|(until, _)| *until);
        let patience = self.patience.first().map(|(since, _)| *since + PATIENCE);
        pause.into_iter().chain(patience).min()
    }

    pub(super) fn has_active(&self) -> bool {
        !self.active.is_empty()
    }

    fn link(&mut self, key: &Arc<str>, place: Place) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        match &place {
            Place::Active => {
                self.active.insert((Reverse(entry.pod.priority), entry.turn, Arc::clone(key)));
            }
            Place::Backoff(until) => {
                self.backoff.insert((*until, Arc::clone(key)));
            }
            Place::Waiting(plugins, since) => {
                self.waiting.entry(*plugins).or_default().insert(Arc::clone(key));
                self.patience.insert((*since, Arc::clone(key)));
            }
            Place::Gated | Place::Held => {}
        }
        entry.place = place;
    }

    fn unlink(&mut self, key: &str) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let key = Arc::clone(&entry.pod.key);
        match std::mem::replace(&mut entry.place, Place::Gated) {
            Place::Active => {
                self.active.remove(&(Reverse(entry.pod.priority), entry.turn, key));
            }
            Place::Backoff(until) => {
                self.backoff.remove(&(until, key));
            }
            Place::Waiting(plugins, since) => {
                if let Some(group) = self.waiting.get_mut(&plugins) {
                    group.remove(&key);
                    if group.is_empty() {
                        self.waiting.remove(&plugins);
                    }
                }
                self.patience.remove(&(since, key));
            }
            Place::Gated | Place::Held => {}
        }
    }
}

/// Doubled by each attempt, up to a bound.
fn backoff(attempts: u32, first: Duration, most: Duration) -> Duration {
    let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    first.checked_mul(factor).unwrap_or(most).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Plugin;
    use serde_json::json;

    const FIT: Plugins = Plugins::of(&[Plugin::NodeResourcesFit]);
    const PORTS: Plugins = Plugins::of(&[Plugin::NodePorts]);

    fn pod(name: &str, priority: i32) -> Arc<Pod> {
        Arc::new(Pod::read(&json!({"metadata": {"namespace": "d", "name": name, "uid": name},
            "spec": {"priority": priority}})))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn queue() -> Queue {
        Queue::new(at(1), at(10))
    }

    fn names(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|pod| pod.name().to_owned()).collect()
    }

    #[test]
    fn the_important_go_first_and_then_who_came_first() {
        let mut queue = queue();
        for (name, priority) in [("c", 0), ("a", 0), ("b", 9)] {
            queue.set(pod(name, priority), false);
        }
        queue.set(pod("gated", 99), true);
        assert_eq!(names(&mut queue), ["b", "c", "a"]);
    }

    #[test]
    fn a_failed_pod_waits_for_what_its_plugins_look_at_and_not_less_than_its_pause() {
        let mut queue = queue();
        queue.set(pod("a", 0), false);
        queue.pop();
        queue.failed("d/a", Some(FIT), at(0));
        queue.changed(PORTS, at(5));
        assert!(!queue.has_active());
        queue.changed(FIT, at(5));
        assert_eq!(names(&mut queue), ["a"]);
        queue.failed("d/a", Some(FIT), at(5));
        queue.changed(FIT, at(6));
        assert!(!queue.has_active(), "the second pause is two seconds");
        assert_eq!(queue.tick(at(6)), Some(at(7)));
        queue.tick(at(7));
        assert_eq!(names(&mut queue), ["a"]);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_patience_ends() {
        let pauses: Vec<u64> =
            (1..8).map(|attempt| backoff(attempt, at(1), at(10)).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10, 10]);
        assert_eq!(backoff(u32::MAX, at(1), at(10)), at(10));
        let mut queue = queue();
        queue.set(pod("a", 0), false);
        queue.pop();
        queue.failed("d/a", Some(FIT), at(0));
        assert_eq!(queue.tick(at(1)), Some(PATIENCE));
        queue.tick(PATIENCE);
        assert!(queue.has_active());
    }

    #[test]
    fn an_error_is_tried_again_after_a_pause_and_a_changed_pod_at_once() {
        let mut queue = queue();
        queue.set(pod("a", 0), false);
        queue.pop();
        queue.failed("d/a", None, at(0));
        assert_eq!(queue.tick(at(0)), Some(at(1)));
        queue.set(pod("a", 0), false);
        assert!(!queue.has_active(), "the same again is no change");
        queue.set(pod("a", 5), false);
        assert!(queue.has_active());
        assert_eq!(queue.tick(at(2)), None, "it is in one place only");
        assert_eq!(names(&mut queue), ["a"]);
        queue.remove("d/a");
        queue.failed("d/a", None, at(3));
        assert_eq!(queue.tick(at(9)), None);
    }
}
