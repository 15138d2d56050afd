//! What readers see: the objects as they are, and the recent events, from which they can be seen as they were.
//!
//! There are no versions of objects. An event holds what its object was before; so what an object was at a past revision is what the first
//! event after that revision says it was before, or what it is now. History is one thing, and forgetting it is dropping events.

use crate::event::{Event, EventKind};
use crate::key::{Key, Path, Resource, Scope};
use crate::read::Expired;
use crate::sorted::Sorted;
use crate::write::Object;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The revision of a store in which nothing was ever written. Lists of it name this one, because 0 means "any" to Kubernetes' clients.
pub const FIRST_REVISION: u64 = 1;

/// Events that one look under the lock takes along.
pub(crate) const EVENTS_A_LOOK: usize = 1024;

/// How much history is kept. When either is exceeded, the oldest event of all is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Events, all resources together.
    pub events_max: usize,
    /// Bytes that only history holds, all resources together.
    pub bytes_max: usize,
}

impl Default for History {
    /// A reader who looks away for seconds at thousands of writes a second must find its place again, and a store that is idle must not
    /// hold on to many times its size.
    fn default() -> Self {
        Self { events_max: 65_536, bytes_max: 64 << 20 }
    }
}

/// A write that is stored, for readers to see.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) revision: u64,
    pub(crate) kind: ChangeKind,
}

#[derive(Clone, Debug)]
pub(crate) enum ChangeKind {
    Put(Bytes),
    /// With the object as its watchers see it last.
    Delete(Option<Bytes>),
}

#[derive(Debug)]
pub(crate) struct State {
    /// Of the last write.
    pub(crate) revision: u64,
    collections: BTreeMap<Resource, Collection>,
    /// The resource and size of every event that is kept, oldest first.
    order: VecDeque<(Resource, usize)>,
    /// Sum of the sizes.
    bytes: usize,
    /// Nothing is known of any resource before this revision.
    floor: u64,
    limits: History,
}

#[derive(Clone, Debug, Default)]
struct Collection {
    objects: Sorted,
    events: VecDeque<Arc<Event>>,
    /// The newest event of this resource that was forgotten.
    forgotten: u64,
    /// When watches of this resource were last woken for the sake of their place, see [`Collection::is_time_to_nudge`].
    nudged: u64,
}

impl State {
    pub(crate) fn new(limits: History) -> Self {
        Self {
            revision: FIRST_REVISION,
            collections: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            floor: 0,
            limits,
        }
    }

    /// Puts an object where a snapshot had it, without an event.
    pub(crate) fn load(&mut self, resource: &Resource, object: Object) {
        self.collections.entry(resource.clone()).or_default().objects.insert(object);
    }

    /// Says that everything loaded is the state at this revision, of which no history is known.
    pub(crate) fn loaded(&mut self, revision: u64) {
        self.revision = revision;
        self.floor = revision;
    }

    /// Makes a change, which is the next. Returns whether all watches of the resource should look up.
    pub(crate) fn apply(&mut self, change: Change) -> bool {
        let Change { key, revision, kind } = change;
        self.revision = revision;
        let collection = self.collections.entry(key.resource.clone()).or_default();
        let Some(event) = collection.change(key, revision, kind) else { return false };
        let bytes = event.bytes();
        let resource = event.key.resource.clone();
        collection.events.push_back(Arc::new(event));
        let nudge = collection.is_time_to_nudge(revision);
        self.order.push_back((resource, bytes));
        self.bytes += bytes;
        while self.limits.events_max < self.order.len() || self.limits.bytes_max < self.bytes {
            self.forget_oldest();
        }
        nudge
    }

    /// Forgets what happened up to a revision, as far as watches were woken since. Returns resources whose watches are to be woken, so that
    /// the next call forgets the rest: a watch that sleeps because nothing of its scope happened must not be told that it lagged.
    pub(crate) fn compact(&mut self, revision: u64) -> Vec<Resource> {
        while let Some((resource, _)) = self.order.front() {
            let Some(collection) = self.collections.get(resource) else { break };
            let upto = revision.min(collection.nudged);
            if collection.events.front().is_some_and(|event| upto < event.revision()) {
                break;
            }
            self.forget_oldest();
        }
        let current = self.revision;
        let behind = self.collections.iter_mut().filter(|(_, own)| {
            own.events.front().is_some_and(|event| event.revision() <= revision)
        });
        behind
            .map(|(resource, own)| {
                own.nudged = current;
                resource.clone()
            })
            .collect()
    }

    fn forget_oldest(&mut self) {
        let Some((resource, bytes)) = self.order.pop_front() else { return };
        self.bytes -= bytes;
        if crate::bugs::planted(crate::bugs::Bug::ForgetsSilently) {
            self.collections.entry(resource).or_default().events.pop_front();
            return;
        }
        if let Some(collection) = self.collections.get_mut(&resource)
            && let Some(event) = collection.events.pop_front()
        {
            collection.forgotten = event.revision();
        }
    }

    /// The oldest revision at which a resource can be read, and after which it can be watched.
    pub(crate) fn oldest(&self, resource: &Resource) -> u64 {
        self.collections.get(resource).map_or(0, |own| own.forgotten).max(self.floor)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Object> {
        self.collections.get(&key.resource)?.objects.get(&key.path)
    }

    /// The objects of a resource as they are, frozen.
    pub(crate) fn freeze(&self, resource: &Resource) -> Sorted {
        self.collections.get(resource).map(|own| own.objects.clone()).unwrap_or_default()
    }

    /// All objects, frozen.
    pub(crate) fn freeze_all(&self) -> Vec<(Resource, Sorted)> {
        self.collections.iter().map(|(name, own)| (name.clone(), own.objects.clone())).collect()
    }

    /// The next events of a resource after a revision that are in a scope, and the revision up to which that is all of them.
    pub(crate) fn events_after(
        &self,
        resource: &Resource,
        scope: &Scope,
        revision: u64,
    ) -> Result<(Vec<Arc<Event>>, u64), Expired> {
        let oldest = self.oldest(resource);
        if revision < oldest {
            return Err(Expired { oldest });
        }
        let Some(collection) = self.collections.get(resource) else {
            return Ok((Vec::new(), self.revision));
        };
        let first = if crate::bugs::planted(crate::bugs::Bug::CursorInclusive) {
            collection.events.partition_point(|event| event.revision() < revision)
        } else {
            collection.events.partition_point(|event| event.revision() <= revision)
        };
        let events = collection.events.range(first..);
        let all_of_them = events.len() <= EVENTS_A_LOOK;
        let mut upto = revision;
        let mut found = Vec::new();
        for event in events.take(EVENTS_A_LOOK) {
            upto = event.revision();
            if scope.contains(&event.key.path) {
                found.push(Arc::clone(event));
            }
        }
        Ok((found, if all_of_them { self.revision } else { upto }))
    }

    /// What an object was at a revision whose history is kept.
    pub(crate) fn get_at(&self, key: &Key, revision: u64) -> Result<Option<Object>, Expired> {
        let oldest = self.oldest(&key.resource);
        if revision < oldest {
            return Err(Expired { oldest });
        }
        let Some(collection) = self.collections.get(&key.resource) else { return Ok(None) };
        let first = collection.events.partition_point(|event| event.revision() <= revision);
        let changed = collection.events.range(first..).find(|event| event.key.path == key.path);
        Ok(match changed {
            Some(event) => event.previous.clone(),
            None => collection.objects.get(&key.path).cloned(),
        })
    }

    /// Objects and events that are held, and the bytes of history.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        let objects = self.collections.values().map(|own| own.objects.len()).sum();
        (objects, self.order.len(), self.bytes)
    }

    /// How many objects a resource has.
    pub(crate) fn count(&self, resource: &Resource) -> usize {
        self.collections.get(resource).map_or(0, |own| own.objects.len())
    }
}

impl Collection {
    /// Changes the objects. Deleting what is not there is nothing: the engine has refused it before.
    fn change(&mut self, key: Key, revision: u64, kind: ChangeKind) -> Option<Event> {
        match kind {
            ChangeKind::Put(value) => {
                let object = Object { path: key.path.clone(), revision, value };
                let previous = self.objects.insert(object.clone());
                let kind = if previous.is_some() { EventKind::Modified } else { EventKind::Added };
                Some(Event { kind, key, object, previous })
            }
            ChangeKind::Delete(last) => {
                let previous = self.objects.remove(&key.path)?;
                let value = last.unwrap_or_else(|| previous.value.clone());
                let object = Object { path: key.path.clone(), revision, value };
                Some(Event { kind: EventKind::Deleted, key, object, previous: Some(previous) })
            }
        }
    }

    /// A watch of one namespace sleeps while others are written, and history would run away from under it. So all watches of a resource are
    /// woken when half of its history is newer than when they were last, and move on.
    fn is_time_to_nudge(&mut self, revision: u64) -> bool {
        let middle: Option<u64> = self.events.get(self.events.len() / 2).map(|e| e.revision());
        let due = middle.is_some_and(|middle| self.nudged < middle);
        if due {
            self.nudged = revision;
        }
        due
    }
}

/// Whether a path may be in the range that begins with a prefix.
pub(crate) fn within(path: &Path, prefix: &str, scope: &Scope) -> bool {
    path.as_str().starts_with(prefix) && scope.contains(path)
}
