//! Drives the pods that are placed on the cluster's nodes: asks what comes next, and writes it.

use super::layout::Pool;
use super::object::Sort;
use super::stage::{self, Place, Step};
use super::{Node, text};
use jiff::Timestamp;
use moat_apiserver::{At, Client, DeleteOptions, Gvr, Status, field};
use moat_informer::{Backoff, Cache, Done, Queue};
use moat_store::{Object, Path};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

static PODS: Gvr = Gvr::new("", "v1", "pods");
static EVENTS: Gvr = Gvr::new("", "v1", "events");
/// Pods that are worked on at once.
const N_WORKERS: usize = 16;
/// How long a pod that found no free address waits for one.
const NO_ADDRESS: Duration = Duration::from_secs(1);

/// What the engine knows.
struct Engine {
    client: Client,
    nodes: Arc<BTreeMap<String, Node>>,
    pods: Cache<Placed>,
    given: Mutex<Given>,
}

/// A pod as it is stored, parsed when there is something to do about it: there are many, and few change at a time.
#[derive(Debug)]
struct Placed {
    object: Object,
    /// The node it is on, or nothing.
    node: Box<str>,
}

impl Placed {
    fn read(object: &Object) -> Self {
        let node = field(&object.value, "spec").and_then(|spec| field(spec, "nodeName"));
        let node = node.and_then(|node| serde_json::from_slice(node).ok()).unwrap_or_default();
        Self { object: object.clone(), node }
    }

    fn parsed(&self) -> Value {
        serde_json::from_slice(&self.object.value).unwrap_or_default()
    }
}

/// Addresses that pods have, and pods that were told that nothing will happen to them. Both by uid, so that a pod of the same name that comes
/// after is another.
#[derive(Default)]
struct Given {
    pools: BTreeMap<String, Pool>,
    addresses: BTreeMap<String, (String, IpAddr)>,
    told: BTreeSet<String>,
}

/// Runs for ever.
pub(super) async fn run(client: Client, nodes: Arc<BTreeMap<String, Node>>) {
    let cluster = Arc::new(client.clone());
    let pods = Cache::reading(cluster, PODS.clone(), Vec::new(), |pod| Some(Placed::read(pod)));
    pods.synced().await;
    let mut given = Given::default();
    for (name, node) in nodes.iter() {
        given.pools.insert(name.clone(), Pool::new(node.pods));
    }
    // Addresses of pods from before a restart are theirs before any is given to others.
    for pod in pods.all() {
        given.keep(&pod.value.parsed());
    }
    let engine = Arc::new(Engine { client, nodes, pods, given: Mutex::new(given) });
    let queue: Queue<Path> =
        Queue::new(Backoff { first: Duration::from_millis(5), max: Duration::from_secs(10) });
    let (listening, hearing) = (queue.clone(), Arc::downgrade(&engine));
    engine.pods.on_change(move |delta| {
        let Some(engine) = hearing.upgrade() else { return };
        match (&delta.old, &delta.new) {
            (_, Some(new)) if engine.nodes.contains_key(&*new.value.node) => {
                listening.add(new.path.clone());
            }
            (Some(old), None) => engine.given().free(&old.meta.uid),
            _ => {}
        }
    });
    queue
        .work(N_WORKERS, move |path| {
            let engine = Arc::clone(&engine);
            async move { engine.step(&path).await }
        })
        .await;
}

impl Given {
    /// The address that a pod has, or one for it.
    fn address(&mut self, uid: &str, node: &str) -> Option<IpAddr> {
        if let Some((_, address)) = self.addresses.get(uid) {
            return Some(*address);
        }
        let address = self.pools.get_mut(node)?.take()?;
        self.addresses.insert(uid.to_owned(), (node.to_owned(), address));
        Some(address)
    }

    fn keep(&mut self, pod: &Value) {
        let (uid, node) = (text(pod, "/metadata/uid"), text(pod, "/spec/nodeName"));
        let Ok(address) = text(pod, "/status/podIP").parse() else { return };
        if pod["spec"]["hostNetwork"] == true {
            return;
        }
        if let Some(pool) = self.pools.get_mut(node) {
            pool.mark(address);
            self.addresses.insert(uid.to_owned(), (node.to_owned(), address));
        }
    }

    fn free(&mut self, uid: &str) {
        self.told.remove(uid);
        let Some((node, address)) = self.addresses.remove(uid) else { return };
        if let Some(pool) = self.pools.get_mut(&node) {
            pool.free(address);
        }
    }
}

impl Engine {
    fn given(&self) -> std::sync::MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn step(&self, path: &Path) -> Done {
        let (namespace, name) = (path.namespace().unwrap_or_default(), path.name());
        let Some(item) = self.pods.get(namespace, name) else { return Done::Ok };
        let on = &*item.value.node;
        let Some(node) = self.nodes.get(on) else { return Done::Ok };
        let pod = &item.value.parsed();
        let at = PODS.at(namespace, name);
        if node.sort == Sort::Agentless {
            return self.wait_for_agent(at, pod, on).await;
        }
        let address = if pod["spec"]["hostNetwork"] == true {
            Some(node.address)
        } else {
            self.given().address(&item.meta.uid, on)
        };
        let Some(address) = address else { return Done::After(NO_ADDRESS) };
        let now = Timestamp::now();
        let done = match stage::next(pod, Place { host: node.address, pod: address }, now) {
            Step::Rest => return Done::Ok,
            Step::Wait(until) => {
                let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                return Done::After(left);
            }
            Step::Status(status) => {
                let mut changed = pod.clone();
                changed["status"] = status;
                self.client.update(At { subresource: "status", ..at }, changed).await
            }
            Step::Remove => self.client.delete(at, &at_once(&item.meta.uid)).await,
        };
        settled(done)
    }

    /// A pod on a node without an agent is told once that it waits; one that is deleted goes, since nothing of it runs.
    async fn wait_for_agent(&self, at: At<'_>, pod: &Value, node: &str) -> Done {
        let uid = text(pod, "/metadata/uid");
        if pod["metadata"]["deletionTimestamp"].is_string() {
            return settled(self.client.delete(at, &at_once(uid)).await);
        }
        if text(pod, "/status/phase") != "Pending" || !self.given().told.insert(uid.to_owned()) {
            return Done::Ok;
        }
        let event = event(pod, node, Timestamp::now());
        let made = self.client.create(EVENTS.at(at.namespace, ""), event).await;
        if made.as_ref().is_err_and(|status| status.code >= 500) {
            self.given().told.remove(uid);
        }
        settled(made)
    }
}

fn at_once(uid: &str) -> DeleteOptions {
    DeleteOptions { grace_seconds: Some(0), uid: Some(uid.to_owned()), ..DeleteOptions::default() }
}

/// Who was faster makes the pod change, and so it comes again; what is gone or not wanted is settled.
fn settled(done: Result<Value, Status>) -> Done {
    match done {
        Err(status) if status.code >= 500 || status.code == 429 => Done::Retry,
        _ => Done::Ok,
    }
}

fn event(pod: &Value, node: &str, now: Timestamp) -> Value {
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "kind": "Event", "apiVersion": "v1",
        "metadata": { "generateName": format!("{name}."), "namespace": namespace },
        "involvedObject": {
            "kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": name, "uid": text(pod, "/metadata/uid"),
            "resourceVersion": text(pod, "/metadata/resourceVersion"),
        },
        "reason": "NoNodeAgent", "type": "Warning", "count": 1, "firstTimestamp": stamp, "lastTimestamp": stamp,
        "source": { "component": "moat", "host": node }, "reportingComponent": "moat", "reportingInstance": node,
        "message": format!(
            "the pod stays Pending: {node} has no node agent that would start it, because this version of moat has none yet. Pods on fake nodes get a status without running (moat up --fake-nodes 3)"
        ),
    })
}
