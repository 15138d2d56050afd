//! News of the caches, until the scheduler reads them. Of each object only the latest is kept, so that there is never more than
//! one piece of news per object.

use crate::pod::Pod;
use bytes::Bytes;
use moat_apiserver::{Gvr, Keep, field, pick};
use moat_informer::{Cache, Cluster, Delta, Item};
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

pub(super) static PODS: Gvr = Gvr::new("", "v1", "pods");
static NODES: Gvr = Gvr::new("", "v1", "nodes");

/// Kinds beside pods and nodes that have a say.
static OTHERS: [(&str, Gvr); 9] = [
    ("Namespace", Gvr::new("", "v1", "namespaces")),
    ("Service", Gvr::new("", "v1", "services")),
    ("ReplicationController", Gvr::new("", "v1", "replicationcontrollers")),
    ("ReplicaSet", Gvr::new("apps", "v1", "replicasets")),
    ("StatefulSet", Gvr::new("apps", "v1", "statefulsets")),
    ("PodDisruptionBudget", Gvr::new("policy", "v1", "poddisruptionbudgets")),
    ("PersistentVolumeClaim", Gvr::new("", "v1", "persistentvolumeclaims")),
    ("PersistentVolume", Gvr::new("", "v1", "persistentvolumes")),
    ("StorageClass", Gvr::new("storage.k8s.io", "v1", "storageclasses")),
];

/// A pod as caches hold it: as it is stored. It is parsed when the scheduler looks at it, which of several writes only sees the last, and has
/// nothing to do with most pods of other schedulers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedPod(Bytes);

/// What the scheduler never looks at of a pod.
const CONTAINER: Keep = Keep::But(&[
    ("args", Keep::Nothing),
    ("command", Keep::Nothing),
    ("env", Keep::Nothing),
    ("envFrom", Keep::Nothing),
    ("lifecycle", Keep::Nothing),
    ("livenessProbe", Keep::Nothing),
    ("readinessProbe", Keep::Nothing),
    ("securityContext", Keep::Nothing),
    ("startupProbe", Keep::Nothing),
    ("volumeMounts", Keep::Nothing),
]);
const METADATA: Keep =
    Keep::But(&[("managedFields", Keep::Nothing), ("annotations", Keep::Nothing)]);
const POD: Keep = Keep::But(&[
    ("metadata", METADATA),
    ("spec", Keep::But(&[("containers", CONTAINER), ("initContainers", CONTAINER)])),
]);

impl CachedPod {
    /// The pod.
    pub(super) fn read(&self) -> Pod {
        Pod::read(&pick(&self.0, &POD))
    }

    /// The scheduler that it waits for; nothing if it has a node, or does not say.
    pub(super) fn waits_for(&self) -> Option<String> {
        let spec = field(&self.0, "spec")?;
        if field(spec, "nodeName").is_some() {
            return None;
        }
        serde_json::from_slice(field(spec, "schedulerName")?).ok()
    }
}

/// Another object as caches hold it: without what the scheduler never looks at and what can be large.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedObject(pub(super) Value);

fn read_other(bytes: &[u8]) -> CachedObject {
    const KEEP: Keep = Keep::But(&[
        ("metadata", Keep::But(&[("managedFields", Keep::Nothing)])),
        ("spec", Keep::But(&[("template", Keep::Nothing)])),
    ]);
    CachedObject(pick(bytes, &KEEP))
}

/// What the scheduler follows. Whoever needs the same may share the caches.
#[derive(Clone, Debug)]
pub struct Caches {
    /// All pods.
    pub pods: Cache<CachedPod>,
    /// All nodes.
    pub nodes: Cache<CachedObject>,
    /// The other kinds, by kind.
    pub others: Vec<(&'static str, Cache<CachedObject>)>,
}

impl Caches {
    /// Begins to follow a cluster.
    pub fn start(cluster: &Arc<dyn Cluster>) -> Self {
        let follow = |gvr: &Gvr| {
            Cache::reading(Arc::clone(cluster), gvr.clone(), vec![], |object| {
                Some(read_other(&object.value))
            })
        };
        Self {
            pods: Cache::reading(Arc::clone(cluster), PODS.clone(), vec![], |object| {
                Some(CachedPod(object.value.clone()))
            }),
            nodes: follow(&NODES),
            others: OTHERS.iter().map(|(kind, gvr)| (*kind, follow(gvr))).collect(),
        }
    }

    /// Waits until everything was listed once.
    pub async fn synced(&self) {
        self.pods.synced().await;
        self.nodes.synced().await;
        for (_, cache) in &self.others {
            cache.synced().await;
        }
    }
}

/// What became of an object.
#[derive(Debug)]
pub(super) enum News {
    Pod(Option<Arc<Item<CachedPod>>>),
    Node(Option<Arc<Item<CachedObject>>>),
    Other(&'static str, Option<Arc<Item<CachedObject>>>),
}

/// A kind and `namespace/name`.
pub(super) type Key = (&'static str, Arc<str>);

/// News that nobody has read.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    unread: Mutex<Unread>,
    pub(super) wake: Notify,
}

#[derive(Debug, Default)]
struct Unread {
    news: Vec<(Key, News)>,
    at: FxHashMap<Key, usize>,
}

impl Inbox {
    /// Puts the news of caches into it, beginning with what is there.
    pub(super) fn subscribe(self: &Arc<Self>, caches: &Caches) {
        // Others before nodes before pods: what is there at the start is known before the first decision anyway.
        for &(kind, ref cache) in &caches.others {
            self.listen(cache, kind, move |item| News::Other(kind, item));
        }
        self.listen(&caches.nodes, "Node", News::Node);
        self.listen(&caches.pods, "Pod", News::Pod);
    }

    fn listen<T: Send + Sync + 'static>(
        self: &Arc<Self>,
        cache: &Cache<T>,
        kind: &'static str,
        news: impl Fn(Option<Arc<Item<T>>>) -> News + Send + Sync + 'static,
    ) {
        let inbox = Arc::clone(self);
        cache.on_change(move |delta: &Delta<T>| {
            let Some(last) = delta.last() else { return };
            let namespace = last.path.namespace().unwrap_or_default();
            let key = (kind, Arc::from(format!("{namespace}/{}", last.path.name())));
            inbox.put(key, news(delta.new.clone()));
        });
    }

    fn put(&self, key: Key, news: News) {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        match unread.at.get(&key).copied() {
            Some(at) => unread.news[at].1 = news,
            None => {
                let at = unread.news.len();
                unread.at.insert(key.clone(), at);
                unread.news.push((key, news));
            }
        }
        drop(unread);
        self.wake.notify_one();
    }

    /// Everything that is unread, the oldest first.
    pub(super) fn take(&self) -> Vec<(Key, News)> {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.at.clear();
        std::mem::take(&mut unread.news)
    }
}
