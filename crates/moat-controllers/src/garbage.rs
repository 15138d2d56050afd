//! Garbage: objects whose owners are gone go too; owners wait for their dependents, or leave them behind, as who deletes them says.

use crate::context::Context;
use moat_apiserver::{DeleteOptions, Gvr, PatchType, Propagation, ServedKind, Status};
use moat_informer::{Cache, Cluster, Delta, Done, Item, Owner, Queue};
use moat_store::Path;
use serde::de::IgnoredAny;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::task::JoinSet;

/// How often kinds are looked for that came or went.
const KINDS_EVERY: Duration = Duration::from_secs(2);
/// Indexes: an object's own uid, and those of its owners.
const SELF: usize = 0;
const OWNED: usize = 1;
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

type Meta = Item<IgnoredAny>;
type Key = (Gvr, Path);

/// The metadata of everything, and who owns it.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    kinds: Arc<RwLock<BTreeMap<Gvr, (ServedKind, Cache<IgnoredAny>)>>>,
    queue: Queue<Key>,
}

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) -> Graph {
    let graph = Graph {
        kinds: Arc::default(),
        queue: context.queue("garbage_collector_attempt_to_delete"),
    };
    graph.look_for_kinds(&context.cluster);
    let (own, cluster) = (graph.clone(), Arc::clone(&context.cluster));
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(KINDS_EVERY).await;
            own.look_for_kinds(&cluster);
        }
    });
    let (own, cluster, n) =
        (graph.clone(), Arc::clone(&context.cluster), context.options.n_workers * 2);
    tasks.spawn(async move {
        let (queue, own) = (own.queue.clone(), Arc::new(own));
        // An owner whose dependents are not known yet would go too soon.
        let caches: Vec<_> = own.read().values().map(|(_, cache)| cache.clone()).collect();
        for cache in caches {
            cache.synced().await;
        }
        queue
            .work(n, move |key| {
                let (own, cluster) = (Arc::clone(&own), Arc::clone(&cluster));
                async move { crate::context::settle(own.sync(&*cluster, &key).await) }
            })
            .await;
    });
    graph
}

/// What an owner is to a dependent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is there, and stays or goes without waiting.
    Solid,
    /// It is gone.
    Absent,
    /// It goes, and waits for its dependents to go first.
    Waiting,
}

/// What is to be done about an object that has owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    /// Owners that are gone or wait are struck off; others keep it.
    Strike,
    Delete(Propagation),
}

/// The decision about an object, by its owners, its finalizers, and whether something blocks on it.
pub(crate) fn judge(
    standings: &[Standing],
    finalizers: &[Box<str>],
    has_dependents: bool,
) -> Verdict {
    let any = |wanted| standings.contains(&wanted);
    if standings.is_empty() || standings.iter().all(|one| *one == Standing::Solid) {
        return Verdict::Keep;
    }
    if any(Standing::Solid) {
        return Verdict::Strike;
    }
    if any(Standing::Waiting) && has_dependents {
        return Verdict::Delete(Propagation::Foreground);
    }
    let has = |name| finalizers.iter().any(|one| &**one == name);
    Verdict::Delete(if has(ORPHAN) {
        Propagation::Orphan
    } else if has(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    })
}

impl Graph {
    /// The metadata of a kind.
    pub(crate) fn cache(&self, gvr: &Gvr) -> Option<Cache<IgnoredAny>> {
        self.read().get(gvr).map(|(_, cache)| cache.clone())
    }

    fn read(
        &self,
    ) -> std::sync::RwLockReadGuard<'_, BTreeMap<Gvr, (ServedKind, Cache<IgnoredAny>)>> {
        self.kinds.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_for_kinds(&self, cluster: &Arc<dyn Cluster>) {
        let mut kinds = cluster.kinds();
        // Nobody owns by events, and there are many.
        kinds.retain(|kind| kind.kind != "Event");
        let mut new = Vec::new();
        {
            let mut known = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
            known.retain(|gvr, _| kinds.iter().any(|kind| kind.gvr == *gvr));
            for kind in kinds {
                if known.contains_key(&kind.gvr) {
                    continue;
                }
                let own: fn(&Meta, &mut Vec<Box<str>>) =
                    |item, words| words.push(item.meta.uid.clone());
                let owners: fn(&Meta, &mut Vec<Box<str>>) = |item, words| {
                    words.extend(item.meta.owner_references.iter().map(|owner| owner.uid.clone()));
                };
                let gvr = kind.gvr.clone();
                // Of all kinds there is, nothing but the metadata is read.
                let cache =
                    Cache::reading(Arc::clone(cluster), gvr.clone(), vec![own, owners], |_| {
                        Some(IgnoredAny)
                    });
                known.insert(gvr.clone(), (kind, cache.clone()));
                new.push((gvr, cache));
            }
        }
        for (gvr, cache) in new {
            let graph = Graph { kinds: Arc::clone(&self.kinds), queue: self.queue.clone() };
            // The listener lives in the cache, which lives in the graph: it must not keep the graph.
            let (kinds, queue) = (Arc::downgrade(&graph.kinds), graph.queue);
            cache.on_change(move |delta| {
                if let Some(kinds) = kinds.upgrade() {
                    Graph { kinds, queue: queue.clone() }.note(&gvr, delta);
                }
            });
        }
    }

    fn note(&self, gvr: &Gvr, delta: &Delta<IgnoredAny>) {
        match (&delta.old, &delta.new) {
            (_, Some(new)) => {
                let waits = new.meta.is_deleting()
                    && (new.meta.has_finalizer(FOREGROUND) || new.meta.has_finalizer(ORPHAN));
                if waits || !new.meta.owner_references.is_empty() {
                    self.queue.add((gvr.clone(), new.path.clone()));
                }
            }
            (Some(old), None) => {
                for (gvr, dependent) in self.dependents(&old.meta.uid) {
                    self.queue.add((gvr, dependent.path.clone()));
                }
                for owner in &old.meta.owner_references {
                    // An owner that waits for this one may go now.
                    if let Some((gvr, owner)) = self.find(&owner.uid)
                        && owner.meta.is_deleting()
                    {
                        self.queue.add((gvr, owner.path.clone()));
                    }
                }
            }
            (None, None) => {}
        }
    }

    fn dependents(&self, uid: &str) -> Vec<(Gvr, Arc<Meta>)> {
        let kinds = self.read();
        let of = |(gvr, (_, cache)): (&Gvr, &(ServedKind, Cache<IgnoredAny>))| {
            cache.by(OWNED, uid).into_iter().map(|item| (gvr.clone(), item)).collect::<Vec<_>>()
        };
        kinds.iter().flat_map(of).collect()
    }

    fn find(&self, uid: &str) -> Option<(Gvr, Arc<Meta>)> {
        let kinds = self.read();
        kinds.iter().find_map(|(gvr, (_, cache))| Some((gvr.clone(), cache.by(SELF, uid).pop()?)))
    }

    async fn sync(&self, cluster: &dyn Cluster, (gvr, path): &Key) -> Result<Done, Status> {
        let Some(cache) = self.cache(gvr) else { return Ok(Done::Ok) };
        let namespace = path.namespace().unwrap_or_default();
        let Some(item) = cache.get(namespace, path.name()) else { return Ok(Done::Ok) };
        if item.meta.is_deleting() {
            if item.meta.has_finalizer(ORPHAN) {
                return self.orphan(cluster, gvr, &item).await;
            }
            if item.meta.has_finalizer(FOREGROUND) {
                return self.wait(cluster, gvr, &item).await;
            }
            return Ok(Done::Ok);
        }
        let mut standings = Vec::new();
        for owner in &item.meta.owner_references {
            standings.push(self.standing(cluster, &item, owner).await?);
        }
        let has_dependents = !self.dependents(&item.meta.uid).is_empty();
        let at = gvr.at(namespace, path.name());
        let gone = match judge(&standings, &item.meta.finalizers, has_dependents) {
            Verdict::Keep => return Ok(Done::Ok),
            Verdict::Strike => {
                let solid = item.meta.owner_references.iter().zip(&standings);
                let keep: Vec<&Owner> = solid
                    .filter(|(_, standing)| **standing == Standing::Solid)
                    .map(|(owner, _)| owner)
                    .collect();
                strike(cluster, gvr, &item, &keep).await
            }
            Verdict::Delete(propagation) => {
                let options = DeleteOptions {
                    propagation: Some(propagation),
                    uid: Some(item.meta.uid.to_string()),
                    ..DeleteOptions::default()
                };
                cluster.delete(at, &options).await
            }
        };
        ignore_gone(gone)
    }

    /// What the cache knows is believed where it says that an owner is there; that one is not, only the server may say.
    async fn standing(
        &self,
        cluster: &dyn Cluster,
        item: &Meta,
        owner: &Owner,
    ) -> Result<Standing, Status> {
        if let Some((_, found)) = self.find(&owner.uid) {
            let foreign =
                !found.meta.namespace.is_empty() && found.meta.namespace != item.meta.namespace;
            return Ok(if foreign {
                // An owner in another namespace is none.
                Standing::Absent
            } else if found.meta.is_deleting() && found.meta.has_finalizer(FOREGROUND) {
                Standing::Waiting
            } else {
                Standing::Solid
            });
        }
        let Some(kind) = cluster.kind(&owner.api_version, &owner.kind) else {
            // Of a kind that nobody serves nothing is known.
            return Ok(Standing::Solid);
        };
        let namespace = if kind.namespaced { &*item.meta.namespace } else { "" };
        if kind.namespaced && namespace.is_empty() {
            return Ok(Standing::Absent);
        }
        match cluster.get(kind.gvr.at(namespace, &owner.name)).await {
            Ok(found) if found["metadata"]["uid"] == *owner.uid => Ok(Standing::Solid),
            Ok(_) => Ok(Standing::Absent),
            Err(status) if status.code == 404 => Ok(Standing::Absent),
            Err(status) => Err(status),
        }
    }

    /// Lets dependents go on without this owner, then lets it go.
    async fn orphan(&self, cluster: &dyn Cluster, gvr: &Gvr, item: &Meta) -> Result<Done, Status> {
        for (kind, dependent) in self.dependents(&item.meta.uid) {
            let others = dependent.meta.owner_references.iter();
            let keep: Vec<&Owner> = others.filter(|owner| owner.uid != item.meta.uid).collect();
            ignore_gone(strike(cluster, &kind, &dependent, &keep).await)?;
        }
        release(cluster, gvr, item, ORPHAN).await
    }

    /// Sends dependents away, and lets the owner go when none is left that blocks.
    async fn wait(&self, cluster: &dyn Cluster, gvr: &Gvr, item: &Meta) -> Result<Done, Status> {
        let dependents = self.dependents(&item.meta.uid);
        let blocks = |dependent: &Meta| {
            let mut owners = dependent.meta.owner_references.iter();
            owners.any(|owner| owner.uid == item.meta.uid && owner.block_owner_deletion)
        };
        if !dependents.iter().any(|(_, dependent)| blocks(dependent)) {
            return release(cluster, gvr, item, FOREGROUND).await;
        }
        for (kind, dependent) in dependents {
            if !dependent.meta.is_deleting() {
                self.queue.add((kind, dependent.path.clone()));
            }
        }
        Ok(Done::Ok)
    }
}

/// Leaves only some owners.
async fn strike(
    cluster: &dyn Cluster,
    gvr: &Gvr,
    item: &Meta,
    keep: &[&Owner],
) -> Result<serde_json::Value, Status> {
    let owners: Vec<_> = keep.iter().map(|owner| crate::json::owner(owner)).collect();
    // The version makes it fail if the owners were written meanwhile.
    let patch = json!({ "metadata": {
        "uid": item.meta.uid, "resourceVersion": item.meta.resource_version, "ownerReferences": owners,
    } });
    cluster.patch(gvr.at(&item.meta.namespace, &item.meta.name), PatchType::Merge, &patch).await
}

async fn release(
    cluster: &dyn Cluster,
    gvr: &Gvr,
    item: &Meta,
    finalizer: &str,
) -> Result<Done, Status> {
    let rest: Vec<&Box<str>> =
        item.meta.finalizers.iter().filter(|one| &***one != finalizer).collect();
    let patch = json!({ "metadata": {
        "uid": item.meta.uid, "resourceVersion": item.meta.resource_version, "finalizers": rest,
    } });
    let at = gvr.at(&item.meta.namespace, &item.meta.name);
    ignore_gone(cluster.patch(at, PatchType::Merge, &patch).await)
}

/// What is gone, or is another object by now, needs nothing. A conflict of versions is tried anew.
fn ignore_gone<T>(result: Result<T, Status>) -> Result<Done, Status> {
    match result {
        Ok(_) => Ok(Done::Ok),
        Err(status) if status.code == 404 => Ok(Done::Ok),
        Err(status) => Err(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_stays_while_one_owner_does() {
        use Standing::{Absent, Solid, Waiting};
        let background = Verdict::Delete(Propagation::Background);
        let orphan: Box<str> = ORPHAN.into();
        for (standings, finalizers, dependents, want) in [
            (vec![], vec![], false, Verdict::Keep),
            (vec![Solid], vec![], true, Verdict::Keep),
            (vec![Solid, Absent], vec![], false, Verdict::Strike),
            (vec![Solid, Waiting], vec![], true, Verdict::Strike),
            (vec![Absent], vec![], true, background),
            (vec![Absent, Absent], vec![orphan], false, Verdict::Delete(Propagation::Orphan)),
            (vec![Waiting], vec![], false, background),
            (vec![Waiting, Absent], vec![], true, Verdict::Delete(Propagation::Foreground)),
        ] {
            assert_eq!(judge(&standings, &finalizers, dependents), want, "{standings:?}");
        }
    }
}
