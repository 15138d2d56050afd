//! A cache: the objects of a kind as they are, and news of what changes.

use crate::cluster::Cluster;
use crate::index::{Found, Named};
use crate::meta::Meta;
use moat_apiserver::{ChangeKind, Gvr, Selection, Status, field};
use moat_store::{Object, Path};
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long a cache waits before it asks again after an error; doubled by each further one up to the second number.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));

/// An object of a cache.
#[derive(Debug, PartialEq)]
pub struct Item<T> {
    /// Namespace and name.
    pub path: Path,
    /// The write that made it so.
    pub revision: u64,
    /// Its metadata.
    pub meta: Meta,
    /// What the cache's user reads of it.
    pub value: T,
}

/// What became of an object; one side is missing when it came or went.
#[derive(Debug)]
pub struct Delta<T> {
    /// What it was.
    pub old: Option<Arc<Item<T>>>,
    /// What it is.
    pub new: Option<Arc<Item<T>>>,
}

impl<T> Delta<T> {
    /// The object as it was last.
    pub fn last(&self) -> Option<&Arc<Item<T>>> {
        self.new.as_ref().or(self.old.as_ref())
    }
}

/// Words by which objects are found: `index(item, &mut found)` pushes those of an item.
pub type Index<T> = fn(&Item<T>, &mut Vec<Box<str>>);

/// How what a cache's user reads is read of a stored object; nothing where it cannot be. What keeps the object itself shares its bytes with the
/// store, and costs nothing until it is parsed.
pub type Read<T> = fn(&Object) -> Option<T>;

type Listener<T> = Arc<dyn Fn(&Delta<T>) + Send + Sync>;

/// The objects of one kind. Copies are the same cache; it follows the cluster until the last one is dropped or [`Cache::stop`] is called.
pub struct Cache<T>(Arc<Shared<T>>);

struct Shared<T> {
    gvr: Gvr,
    read: Read<T>,
    state: RwLock<State<T>>,
    /// Held while changes are told, so that a listener that is added hears everything once and in order.
    listeners: Mutex<Vec<Listener<T>>>,
    revision: watch::Sender<u64>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct State<T> {
    /// By namespace, then by name.
    items: BTreeMap<Box<str>, BTreeMap<Named, Arc<Item<T>>>>,
    n_items: usize,
    indexes: Vec<(Index<T>, FxHashMap<Box<str>, Found<T>>)>,
    n_unreadable: u64,
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("gvr", &self.0.gvr).finish_non_exhaustive()
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Cache<T> {
    /// Follows a kind in all namespaces. Indexes are asked for by their place in the list.
    pub fn start(cluster: Arc<dyn Cluster>, gvr: Gvr, indexes: Vec<Index<T>>) -> Self {
        Self::reading(cluster, gvr, indexes, |object| serde_json::from_slice(&object.value).ok())
    }
}

impl<T: Send + Sync + 'static> Cache<T> {
    /// The same with a reader of its own.
    pub fn reading(
        cluster: Arc<dyn Cluster>,
        gvr: Gvr,
        indexes: Vec<Index<T>>,
        read: Read<T>,
    ) -> Self {
        let indexes = indexes.into_iter().map(|index| (index, FxHashMap::default())).collect();
        let state = State { items: BTreeMap::new(), n_items: 0, indexes, n_unreadable: 0 };
        let shared = Arc::new(Shared {
            gvr: gvr.clone(),
            read,
            state: RwLock::new(state),
            listeners: Mutex::default(),
            revision: watch::channel(0).0,
            task: Mutex::default(),
        });
        let cache = Self(Arc::clone(&shared));
        let weak = Arc::downgrade(&shared);
        let task = tokio::spawn(async move {
            let mut pause = PAUSE.0;
            loop {
                // Each round holds the cache only while it works, so that dropping the last copy ends the task.
                let round = follow(&*cluster, &gvr, || weak.upgrade().map(Cache), &mut pause).await;
                match round {
                    Round::Dropped => return,
                    Round::Failed => {
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                }
            }
        });
        *shared.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        cache
    }
}

enum Round {
    /// Nobody holds the cache any more.
    Dropped,
    /// The list has to be read anew.
    Failed,
}

/// Lists, and follows from there; a watch that breaks is taken up where it was, one that is too old begins with a list.
async fn follow<T: Send + Sync + 'static>(
    cluster: &dyn Cluster,
    gvr: &Gvr,
    cache: impl Fn() -> Option<Cache<T>>,
    pause: &mut Duration,
) -> Round {
    let everything = Selection::default();
    let at = gvr.at("", "");
    let Ok(listed) = cluster.list(at, &everything).await else { return Round::Failed };
    let mut revision = listed.revision;
    match cache() {
        Some(cache) => cache.replace(listed.objects, revision),
        None => return Round::Dropped,
    }
    loop {
        let Ok(mut events) = cluster.watch(at, &everything, revision).await else {
            return Round::Failed;
        };
        let status: Status = loop {
            match events.next().await {
                Ok(changes) => {
                    *pause = PAUSE.0;
                    revision = revision.max(events.revision());
                    match cache() {
                        Some(cache) => cache.apply(&changes, revision),
                        None => return Round::Dropped,
                    }
                }
                Err(status) => break status,
            }
        };
        if status.code == 410 {
            return Round::Failed;
        }
        sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSE.1);
    }
}

impl<T> Cache<T> {
    /// The kind changed to exactly these objects.
    fn replace(&self, objects: Vec<Object>, revision: u64) {
        let mut gone: BTreeSet<Path> =
            self.all().into_iter().map(|item| item.path.clone()).collect();
        let listeners = self.listeners();
        for object in objects {
            gone.remove(&object.path);
            if self
                .get(object.path.namespace().unwrap_or_default(), object.path.name())
                .is_some_and(|item| item.revision == object.revision)
            {
                continue;
            }
            self.put(&listeners, &object);
        }
        for path in gone {
            self.remove(&listeners, &path);
        }
        self.0.revision.send_replace(revision);
    }

    fn apply(&self, changes: &[moat_apiserver::Change], revision: u64) {
        let listeners = self.listeners();
        for change in changes {
            match change.kind {
                ChangeKind::Deleted => self.remove(&listeners, &change.event.object.path),
                ChangeKind::Added | ChangeKind::Modified => {
                    self.put(&listeners, &change.event.object);
                }
            }
        }
        self.0.revision.send_replace(revision);
    }

    fn put(&self, listeners: &[Listener<T>], object: &Object) {
        match read(self.0.read, object) {
            Some(item) => {
                let new = Arc::new(item);
                let old = self.write().put(&new);
                tell(listeners, &Delta { old, new: Some(new) });
            }
            None => {
                // What cannot be read is as if it were not there; what it was before would be a lie.
                self.write().n_unreadable += 1;
                self.remove(listeners, &object.path);
            }
        }
    }
}

impl<T> Cache<T> {
    fn remove(&self, listeners: &[Listener<T>], path: &Path) {
        let old = self.write().remove(path);
        if old.is_some() {
            tell(listeners, &Delta { old, new: None });
        }
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Vec<Listener<T>>> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kind it holds.
    pub fn gvr(&self) -> &Gvr {
        &self.0.gvr
    }

    /// Calls `listener` with each change from now on, after the cache has it, and first with everything that is there. It must be quick, as
    /// putting a key into a [`crate::Queue`] is, and must not add listeners itself.
    pub fn on_change(&self, listener: impl Fn(&Delta<T>) + Send + Sync + 'static) {
        let mut listeners = self.listeners();
        for item in self.all() {
            listener(&Delta { old: None, new: Some(item) });
        }
        listeners.push(Arc::new(listener));
    }

    /// Waits until the first list is there.
    pub async fn synced(&self) {
        self.reached(1).await;
    }

    /// Waits until a write of this kind is in the cache.
    pub async fn reached(&self, revision: u64) {
        let mut seen = self.0.revision.subscribe();
        let _ = seen.wait_for(|seen| revision <= *seen).await;
    }

    /// The revision that it has reached; 0 before the first list.
    pub fn revision(&self) -> u64 {
        *self.0.revision.borrow()
    }

    /// Ends it; what it holds stays.
    pub fn stop(&self) {
        if let Some(task) = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// An object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Item<T>>> {
        self.read().items.get(namespace)?.get(name).cloned()
    }

    /// The objects of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<Item<T>>> {
        let state = self.read();
        state.items.get(namespace).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// All objects, by namespace and name.
    pub fn all(&self) -> Vec<Arc<Item<T>>> {
        self.read().items.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The objects with a word in an index, by namespace and name.
    pub fn by(&self, index: usize, word: &str) -> Vec<Arc<Item<T>>> {
        let state = self.read();
        let found = state.indexes.get(index).and_then(|(_, index)| index.get(word));
        found.map(Found::all).unwrap_or_default()
    }

    /// Whether some object has a word in an index.
    pub fn has(&self, index: usize, word: &str) -> bool {
        self.read().indexes.get(index).is_some_and(|(_, index)| index.contains_key(word))
    }

    /// How many objects.
    pub fn len(&self) -> usize {
        self.read().n_items
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many objects could not be read as `T`, and are left out.
    pub fn n_unreadable(&self) -> u64 {
        self.read().n_unreadable
    }
}

fn tell<T>(listeners: &[Listener<T>], delta: &Delta<T>) {
    listeners.iter().for_each(|listener| listener(delta));
}

fn read<T>(read: Read<T>, object: &Object) -> Option<Item<T>> {
    Some(Item {
        path: object.path.clone(),
        revision: object.revision,
        meta: Meta::read(field(&object.value, "metadata")?)?,
        value: read(object)?,
    })
}

impl<T> State<T> {
    fn put(&mut self, new: &Arc<Item<T>>) -> Option<Arc<Item<T>>> {
        let namespace = new.path.namespace().unwrap_or_default();
        let names = match self.items.get_mut(namespace) {
            Some(names) => names,
            None => self.items.entry(namespace.into()).or_default(),
        };
        let old = names.insert(Named(new.path.clone()), Arc::clone(new));
        if let Some(old) = &old {
            self.unindex(old);
        } else {
            self.n_items += 1;
        }
        let mut words = Vec::new();
        for (index, found) in &mut self.indexes {
            index(new, &mut words);
            for word in words.drain(..) {
                match found.entry(word) {
                    Entry::Vacant(slot) => {
                        slot.insert(Found::One(Arc::clone(new)));
                    }
                    Entry::Occupied(mut slot) => slot.get_mut().insert(Arc::clone(new)),
                }
            }
        }
        old
    }

    fn remove(&mut self, path: &Path) -> Option<Arc<Item<T>>> {
        let namespace = path.namespace().unwrap_or_default();
        let names = self.items.get_mut(namespace)?;
        let old = names.remove(path.name())?;
        if names.is_empty() {
            self.items.remove(namespace);
        }
        self.n_items -= 1;
        self.unindex(&old);
        Some(old)
    }

    fn unindex(&mut self, old: &Arc<Item<T>>) {
        let mut words = Vec::new();
        for (index, found) in &mut self.indexes {
            index(old, &mut words);
            for word in words.drain(..) {
                if let Entry::Occupied(mut slot) = found.entry(word)
                    && slot.get_mut().remove(&old.path)
                {
                    slot.remove();
                }
            }
        }
    }
}
