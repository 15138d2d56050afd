//! What all controllers share: the cluster, caches, the recorder of events.

use crate::Options;
use crate::event::{Event, Recorder};
use crate::pod::Pod;
use moat_apiserver::{Gvr, Status};
use moat_informer::{Backoff, Cache, Cluster, Done, Item, Queue};
use moat_store::Path;
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use tokio::task::JoinSet;

pub(crate) static PODS: Gvr = Gvr::new("", "v1", "pods");
pub(crate) static NAMESPACES: Gvr = Gvr::new("", "v1", "namespaces");
pub(crate) static SERVICES: Gvr = Gvr::new("", "v1", "services");
pub(crate) static ENDPOINTS: Gvr = Gvr::new("", "v1", "endpoints");
pub(crate) static SLICES: Gvr = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
pub(crate) static REPLICA_SETS: Gvr = Gvr::new("apps", "v1", "replicasets");
pub(crate) static REPLICATION_CONTROLLERS: Gvr = Gvr::new("", "v1", "replicationcontrollers");
pub(crate) static DEPLOYMENTS: Gvr = Gvr::new("apps", "v1", "deployments");
pub(crate) static DAEMON_SETS: Gvr = Gvr::new("apps", "v1", "daemonsets");
pub(crate) static STATEFUL_SETS: Gvr = Gvr::new("apps", "v1", "statefulsets");
pub(crate) static CLAIMS: Gvr = Gvr::new("", "v1", "persistentvolumeclaims");
pub(crate) static VOLUMES: Gvr = Gvr::new("", "v1", "persistentvolumes");
pub(crate) static CLASSES: Gvr = Gvr::new("storage.k8s.io", "v1", "storageclasses");
pub(crate) static REVISIONS: Gvr = Gvr::new("apps", "v1", "controllerrevisions");
pub(crate) static NODES: Gvr = Gvr::new("", "v1", "nodes");
pub(crate) static BUDGETS: Gvr = Gvr::new("policy", "v1", "poddisruptionbudgets");
pub(crate) static QUOTAS: Gvr = Gvr::new("", "v1", "resourcequotas");
pub(crate) static CERTIFICATE_REQUESTS: Gvr =
    Gvr::new("certificates.k8s.io", "v1", "certificatesigningrequests");
pub(crate) static AUTOSCALERS: Gvr = Gvr::new("autoscaling", "v2", "horizontalpodautoscalers");
pub(crate) static CRON_JOBS: Gvr = Gvr::new("batch", "v1", "cronjobs");
pub(crate) static JOBS: Gvr = Gvr::new("batch", "v1", "jobs");

/// The index of what a controller manages, by its uid.
pub(crate) const OF: usize = 0;
/// The index of what nobody manages, by namespace.
pub(crate) const ORPHANS: usize = 1;
/// The index of pods that a Job's finalizer holds, by the path of the Job.
pub(crate) const TRACKED: usize = 2;
/// The index of pods by the node that they are on.
pub(crate) const BY_NODE: usize = 3;
/// The index of pods by the claims that they want.
pub(crate) const CLAIMED: usize = 4;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) options: Options,
    pub(crate) recorder: Recorder,
    pub(crate) namespaces: Cache<Value>,
    pub(crate) pods: Cache<Pod>,
    pub(crate) services: Cache<Value>,
    pub(crate) slices: Cache<Value>,
    pub(crate) endpoints: Cache<Value>,
    pub(crate) replica_sets: Cache<Value>,
    pub(crate) replication_controllers: Cache<Value>,
    pub(crate) deployments: Cache<Value>,
    pub(crate) jobs: Cache<Value>,
    pub(crate) cron_jobs: Cache<Value>,
    pub(crate) daemon_sets: Cache<Value>,
    pub(crate) stateful_sets: Cache<Value>,
    pub(crate) claims: Cache<Value>,
    pub(crate) volumes: Cache<Value>,
    pub(crate) classes: Cache<Value>,
    pub(crate) revisions: Cache<Value>,
    pub(crate) nodes: Cache<Value>,
    pub(crate) budgets: Cache<Value>,
    pub(crate) quotas: Cache<Value>,
    pub(crate) certificate_requests: Cache<Value>,
    pub(crate) autoscalers: Cache<Value>,
}

fn managed<T>(item: &Item<T>, words: &mut Vec<Box<str>>) {
    words.extend(item.meta.controller().map(|owner| owner.uid.clone()));
}

fn unmanaged<T>(item: &Item<T>, words: &mut Vec<Box<str>>) {
    if item.meta.controller().is_none() {
        words.push(item.meta.namespace.clone());
    }
}

fn on_node(item: &Item<Pod>, words: &mut Vec<Box<str>>) {
    if !item.value.spec.node_name.is_empty() {
        words.push(item.value.spec.node_name.clone());
    }
}

fn service_name<T>(item: &Item<T>, words: &mut Vec<Box<str>>) {
    let name = item.meta.label("kubernetes.io/service-name");
    words.extend(name.map(|name| format!("{}/{name}", item.meta.namespace).into()));
}

impl Context {
    pub(crate) fn start(
        cluster: Arc<dyn Cluster>,
        options: Options,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (recorder, writing) = Recorder::start(Arc::clone(&cluster));
        tasks.spawn(writing);
        let of = || Arc::clone(&cluster);
        Self {
            recorder,
            namespaces: Cache::start(of(), NAMESPACES.clone(), vec![]),
            pods: Cache::reading(
                of(),
                PODS.clone(),
                vec![managed, unmanaged, crate::job::tracked, on_node, crate::volume::claimed],
                |object| Pod::read(&object.value),
            ),
            services: Cache::start(of(), SERVICES.clone(), vec![]),
            slices: Cache::start(of(), SLICES.clone(), vec![service_name]),
            endpoints: Cache::start(of(), ENDPOINTS.clone(), vec![]),
            replica_sets: Cache::start(of(), REPLICA_SETS.clone(), vec![managed, unmanaged]),
            replication_controllers: Cache::start(of(), REPLICATION_CONTROLLERS.clone(), vec![]),
            deployments: Cache::start(of(), DEPLOYMENTS.clone(), vec![]),
            jobs: Cache::start(of(), JOBS.clone(), vec![managed]),
            cron_jobs: Cache::start(of(), CRON_JOBS.clone(), vec![]),
            daemon_sets: Cache::start(of(), DAEMON_SETS.clone(), vec![]),
            stateful_sets: Cache::start(of(), STATEFUL_SETS.clone(), vec![]),
            claims: Cache::start(of(), CLAIMS.clone(), vec![]),
            volumes: Cache::start(of(), VOLUMES.clone(), vec![]),
            classes: Cache::start(of(), CLASSES.clone(), vec![]),
            revisions: Cache::start(of(), REVISIONS.clone(), vec![managed, unmanaged]),
            nodes: Cache::start(of(), NODES.clone(), vec![]),
            budgets: Cache::start(of(), BUDGETS.clone(), vec![]),
            quotas: Cache::start(of(), QUOTAS.clone(), vec![]),
            certificate_requests: Cache::start(of(), CERTIFICATE_REQUESTS.clone(), vec![]),
            autoscalers: Cache::start(of(), AUTOSCALERS.clone(), vec![]),
            cluster,
            options,
        }
    }

    pub(crate) async fn synced(&self) {
        self.pods.synced().await;
        for cache in [
            &self.namespaces,
            &self.services,
            &self.slices,
            &self.endpoints,
            &self.replica_sets,
            &self.replication_controllers,
            &self.deployments,
            &self.jobs,
            &self.cron_jobs,
            &self.daemon_sets,
            &self.stateful_sets,
            &self.claims,
            &self.volumes,
            &self.classes,
            &self.revisions,
            &self.nodes,
            &self.budgets,
            &self.quotas,
            &self.certificate_requests,
            &self.autoscalers,
        ] {
            cache.synced().await;
        }
    }

    /// A queue of a controller, of which `/metrics` tells under upstream's name for it.
    pub(crate) fn queue<K: Ord + Clone + Send + 'static>(&self, name: &'static str) -> Queue<K> {
        Queue::metered(Backoff::default(), &self.options.meters, name)
    }

    pub(crate) fn tell(&self, event: Event) {
        self.recorder.record(event);
    }

    /// Calls `write` with each item, several at once, until one fails, and waits until the cache has all that was written: also where one
    /// failed, because the next look at the cache must not miss what the others did.
    pub(crate) async fn each<I, T, F, R>(
        &self,
        cache: &Cache<T>,
        items: Vec<I>,
        write: F,
    ) -> Result<(), Status>
    where
        I: Send + 'static,
        F: Fn(I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<u64, Status>> + Send,
    {
        let n_lanes = self.options.n_writes.clamp(1, items.len().max(1));
        let rest = Arc::new(std::sync::Mutex::new(items.into_iter()));
        let write = Arc::new(write);
        let mut lanes = JoinSet::new();
        for _ in 0..n_lanes {
            let (rest, write) = (Arc::clone(&rest), Arc::clone(&write));
            lanes.spawn(async move {
                let mut revision = 0;
                loop {
                    let next = match rest.lock() {
                        Ok(mut rest) => rest.next(),
                        Err(_) => None,
                    };
                    let Some(item) = next else { return (revision, None) };
                    match write(item).await {
                        Ok(written) => revision = written.max(revision),
                        Err(status) => {
                            // The others stop too: what one cannot do, they will not.
                            if let Ok(mut rest) = rest.lock() {
                                while rest.next().is_some() {}
                            }
                            return (revision, Some(status));
                        }
                    }
                }
            });
        }
        let (mut revision, mut failure) = (0, None);
        while let Some(lane) = lanes.join_next().await {
            match lane {
                Ok((written, failed)) => {
                    revision = written.max(revision);
                    failure = failed.or(failure);
                }
                Err(error) => failure = Some(Status::internal(&error.to_string())),
            }
        }
        reach(cache, revision).await;
        failure.map_or(Ok(()), Err)
    }
}

/// Waits until a cache has a write of this controller's own, however long that takes: who goes on by a cache that lags makes again what it has
/// made. Every write of a kind comes to its cache, so the wait ends when the cluster answers again, and before that there is nothing to do.
pub(crate) async fn reach<T>(cache: &Cache<T>, revision: u64) {
    cache.reached(revision).await;
}

/// Whether an object may take others in, as the server has it now. A cache may not know yet that it goes and lets go of what it has: whoever
/// takes that in again then loses it to the garbage collector.
pub(crate) async fn may_adopt(
    context: &Context,
    gvr: &Gvr,
    item: &Item<Value>,
) -> Result<bool, Status> {
    match context.cluster.get(gvr.at(&item.meta.namespace, &item.meta.name)).await {
        Ok(now) => {
            let meta = &now["metadata"];
            Ok(meta["uid"] == *item.meta.uid && meta.get("deletionTimestamp").is_none())
        }
        Err(status) if status.code == 404 => Ok(false),
        Err(status) => Err(status),
    }
}

/// What becomes of a key by how its work ended. Another writer's victory and an object that is gone are tried anew like everything else.
pub(crate) fn settle(result: Result<Done, Status>) -> Done {
    result.unwrap_or(Done::Retry)
}

/// Works on keys of a queue until the controllers stop.
pub(crate) fn work<F, R>(
    context: &Arc<Context>,
    tasks: &mut JoinSet<()>,
    queue: &Queue<Path>,
    sync: F,
) where
    F: Fn(Arc<Context>, Path) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Done, Status>> + Send,
{
    let (context, queue, sync) = (Arc::clone(context), queue.clone(), Arc::new(sync));
    let n_workers = context.options.n_workers;
    tasks.spawn(async move {
        // By half a cache a controller would make again what is there.
        context.synced().await;
        queue
            .work(n_workers, move |path| {
                let (context, sync) = (Arc::clone(&context), Arc::clone(&sync));
                async move { settle(sync(context, path).await) }
            })
            .await;
    });
}

/// The path of the object of a name in a namespace; nothing where no object can have it.
pub(crate) fn path(namespace: &str, name: &str) -> Option<Path> {
    Path::new((!namespace.is_empty()).then_some(namespace), name).ok()
}
