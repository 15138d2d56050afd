//! The loop that schedules: news in, one decision after another, writes out, many of them under way at a time.

mod act;
mod hints;
mod inbox;
mod queue;

use crate::config::Config;
use crate::cycle::{Placement, Turn, place};
use crate::pod::Pod;
use crate::preempt::preempt;
use crate::profile::{Plugin, Profile};
use crate::refusal::Diagnosis;
use crate::snapshot::Snapshot;
use act::Writer;
use hints::Plugins;
pub use inbox::{CachedObject, CachedPod, Caches};
use inbox::{Inbox, Key, News};
use moat_apiserver::{Client, Status};
use moat_informer::Cluster;
use queue::Queue;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How long it decides before it lets others run.
const SLICE: Duration = Duration::from_millis(2);

/// A running scheduler. Dropping it stops it at once; [`Handle::shutdown`] lets what is under way finish.
#[derive(Debug)]
pub struct Handle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Decides no more, and waits until every write under way is done.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // A task that panicked has nothing under way.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to schedule the pods of the configuration's profiles.
pub fn start(client: Client, caches: Caches, config: Config) -> Handle {
    start_on(Arc::new(client), caches, config)
}

/// The same on any cluster.
pub fn start_on(cluster: Arc<dyn Cluster>, caches: Caches, config: Config) -> Handle {
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let mut stopping = stopped.clone();
        tokio::select! {
            () = caches.synced() => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let inbox = Arc::new(Inbox::default());
        inbox.subscribe(&caches);
        Driver::new(cluster, config).run(&inbox, stopped).await;
        drop(caches);
    });
    Handle { stop, task }
}

/// What a write under way came to.
#[derive(Debug)]
enum Done {
    /// A binding.
    Bound(Arc<Pod>, Result<(), Status>),
    /// Something that is only told: the event of a failure, by its name, text and number.
    Told(Arc<str>, Option<(String, String, i64)>),
    /// A preemption; the error leaves the nomination without victims gone.
    Evicted(Arc<str>, Result<(), Status>),
}

struct Driver {
    writer: Writer,
    profiles: FxHashMap<String, Arc<Profile>>,
    snapshot: Snapshot,
    queue: Queue,
    /// Pods whose binding is under way, or was done and is not in the news yet.
    assumed: FxHashMap<Arc<str>, Arc<Pod>>,
    turn: Turn,
    epoch: Instant,
    results: mpsc::UnboundedSender<Done>,
    done: mpsc::UnboundedReceiver<Done>,
    under_way: usize,
    parallelism: usize,
}

impl Driver {
    fn new(cluster: Arc<dyn Cluster>, config: Config) -> Self {
        let profiles = config.profiles.into_iter();
        // Never more results than writes under way.
        let (results, done) = mpsc::unbounded_channel();
        Self {
            writer: Writer::new(cluster),
            profiles: profiles.map(|one| (one.scheduler_name.clone(), Arc::new(one))).collect(),
            snapshot: Snapshot::default(),
            queue: Queue::new(config.backoff_first, config.backoff_max),
            assumed: FxHashMap::default(),
            turn: Turn::seeded(u64::from(std::process::id())),
            epoch: Instant::now(),
            results,
            done,
            under_way: 0,
            parallelism: config.parallelism.max(1),
        }
    }

    async fn run(&mut self, inbox: &Inbox, mut stopped: watch::Receiver<bool>) {
        loop {
            for (key, news) in inbox.take() {
                self.apply(key, news);
            }
            while let Ok(done) = self.done.try_recv() {
                self.finish(done);
            }
            let next = self.queue.tick(self.now());
            let slice = Instant::now();
            while self.under_way < self.parallelism && slice.elapsed() < SLICE && self.schedule() {}
            if *stopped.borrow() {
                break;
            }
            if self.queue.has_active() && self.under_way < self.parallelism {
                tokio::task::yield_now().await;
                continue;
            }
            let wait = next.map_or(Duration::from_secs(60), |next| next.saturating_sub(self.now()));
            tokio::select! {
                () = inbox.wake.notified() => {}
                Some(done) = self.done.recv() => self.finish(done),
                () = tokio::time::sleep(wait) => {}
                _ = stopped.wait_for(|stop| *stop) => break,
            }
        }
        while 0 < self.under_way {
            match self.done.recv().await {
                Some(done) => self.finish(done),
                None => break,
            }
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn changed(&mut self, plugins: Plugins) {
        let now = self.now();
        self.queue.changed(plugins, now);
    }

    fn apply(&mut self, key: Key, news: News) {
        let (kind, path) = key;
        match news {
            News::Pod(None) => self.pod_gone(&path),
            News::Pod(Some(pod)) => {
                let waits_for = pod.value.waits_for();
                if waits_for.is_some_and(|name| !self.profiles.contains_key(&name)) {
                    self.pod_gone(&path);
                } else {
                    self.pod(Arc::new(pod.value.read()));
                }
            }
            News::Node(Some(node)) => {
                let change = self.snapshot.set_node(&node.value.0);
                self.changed(hints::of_node(change));
            }
            News::Node(None) => {
                self.snapshot.remove_node(path.trim_start_matches('/'));
                self.changed(hints::NODE_GONE);
            }
            News::Other(kind, Some(object)) => {
                self.snapshot.surroundings.set(kind, &object.value.0);
                self.changed(hints::of_kind(kind));
            }
            News::Other(_, None) => {
                let (namespace, name) = path.split_once('/').unwrap_or(("", &path));
                self.snapshot.surroundings.remove(kind, namespace, name);
                self.changed(hints::of_kind(kind));
            }
        }
    }

    fn pod_gone(&mut self, key: &str) {
        self.queue.remove(key);
        self.assumed.remove(key);
        let waited = self.snapshot.nomination(key).is_some();
        self.snapshot.withdraw(key);
        if self.snapshot.pod(key).is_some() || waited {
            self.snapshot.remove_pod(key);
            self.changed(hints::POD_GONE);
        }
    }

    fn pod(&mut self, pod: Arc<Pod>) {
        let key = Arc::clone(&pod.key);
        if pod.ended {
            return self.pod_gone(&key);
        }
        if !pod.node_name.is_empty() {
            self.queue.remove(&key);
            self.assumed.remove(&key);
            self.snapshot.withdraw(&key);
            let before = self.snapshot.pod(&key).cloned();
            let change = match &before {
                None => hints::POD_CAME,
                Some(before) if before.node_name != pod.node_name => {
                    hints::POD_GONE.and(hints::POD_CAME)
                }
                Some(before) => {
                    let shrank = before.requests != pod.requests;
                    let counts =
                        (&before.labels, before.terminating) != (&pod.labels, pod.terminating);
                    let when = |yes: bool, plugins| if yes { plugins } else { Plugins::NONE };
                    when(shrank, hints::POD_SHRANK).and(when(counts, hints::POD_CAME))
                }
            };
            self.snapshot.set_pod(pod);
            return self.changed(change);
        }
        let profile = self.profiles.get(&*pod.scheduler_name).filter(|_| !pod.terminating);
        let Some(profile) = profile else { return self.pod_gone(&key) };
        let gated = profile.gates && !pod.gates.is_empty();
        let assumed = self.assumed.get(&key).is_some_and(|assumed| assumed.uid == pod.uid);
        if assumed {
            // Its binding is under way or done; what the news say was true before it.
            if let Some(entry) = self.queue.get_mut(&key) {
                entry.pod = pod;
            }
            return;
        }
        if self.snapshot.pod(&key).is_some() {
            // Another of the same name was there.
            self.assumed.remove(&key);
            self.snapshot.remove_pod(&key);
            self.changed(hints::POD_GONE);
        }
        if !pod.nominated.is_empty() {
            self.snapshot.nominate(Arc::clone(&pod), &pod.nominated);
        }
        self.queue.set(pod, gated);
    }

    /// Decides about the next pod. Nothing if there is none.
    fn schedule(&mut self) -> bool {
        let Some(pod) = self.queue.pop() else { return false };
        let Some(profile) = self.profiles.get(&*pod.scheduler_name).cloned() else { return true };
        match place(&self.snapshot, &profile, &pod, &mut self.turn) {
            Ok(placement) => self.bind(&pod, placement),
            Err(diagnosis) => self.refused(&pod, &profile, *diagnosis),
        }
        true
    }

    fn bind(&mut self, pod: &Arc<Pod>, placement: Placement) {
        let there = Arc::new(pod.on(&placement.node));
        self.snapshot.withdraw(&pod.key);
        self.snapshot.set_pod(Arc::clone(&there));
        self.assumed.insert(Arc::clone(&pod.key), Arc::clone(&there));
        let surroundings = &self.snapshot.surroundings;
        let waits = |name: &str| {
            surroundings.claim(pod.namespace(), name).is_some_and(|claim| !claim.bound)
        };
        let late: Vec<Box<str>> = pod.claims.iter().filter(|name| waits(name)).cloned().collect();
        let writer = self.writer.clone();
        self.spawn(async move {
            let node = &placement.node;
            let bound = writer.bind(&there, node, &late).await;
            if bound.is_ok() {
                let note = format!("Successfully assigned {} to {node}", there.key);
                let scheduler = &there.scheduler_name;
                // The pod is bound whether or not anybody is told.
                let _ =
                    writer.event(&there, scheduler, "Normal", "Scheduled", "Binding", &note).await;
            }
            Done::Bound(there, bound)
        });
    }

    fn refused(&mut self, pod: &Arc<Pod>, profile: &Profile, mut diagnosis: Diagnosis) {
        let mut plugins = diagnosis.plugins();
        let mut nominated = None;
        if profile.preemption && diagnosis.nodes_len > 0 {
            let found = preempt(&self.snapshot, profile, pod, &mut diagnosis, &mut self.turn);
            if let Some(found) = found {
                plugins.insert(Plugin::DefaultPreemption);
                nominated = Some(found.node.to_string());
                self.evict(pod, found);
            } else if !pod.nominated.is_empty() && !diagnosis.preemption.contains("terminating pod")
            {
                // No room can be made there any more.
                nominated = Some(String::new());
                self.snapshot.withdraw(&pod.key);
            }
        }
        let waits = if pod.problems.is_empty() {
            Plugins::of_set(&plugins)
        } else {
            // Nothing but a change of the pod itself helps; no news are of this plug-in.
            Plugins::of_set(&BTreeSet::from([Plugin::PrioritySort]))
        };
        let now = self.now();
        self.queue.failed(&pod.key, Some(waits), now);
        self.tell(pod, "Unschedulable", diagnosis.message(), nominated);
    }

    fn evict(&mut self, pod: &Arc<Pod>, found: crate::preempt::Preemption) {
        // Less important pods that waited for this node must look for another.
        let lesser: Vec<Arc<Pod>> = (self.snapshot.nominated_to(&found.node).iter())
            .filter(|other| other.priority < pod.priority)
            .cloned()
            .collect();
        for other in &lesser {
            self.snapshot.withdraw(&other.key);
        }
        self.snapshot.nominate(Arc::clone(pod), &found.node);
        let (writer, pod) = (self.writer.clone(), Arc::clone(pod));
        self.spawn(async move {
            let mut result = Ok(());
            for other in lesser {
                // Whether or not that is written, the other looks for a node again.
                let message = other.unscheduled.clone().unwrap_or_default();
                let _ = writer.condition(&other, "Unschedulable", &message, Some("")).await;
            }
            for victim in found.victims.iter().filter(|victim| !victim.terminating) {
                match writer.evict(victim, &pod, &found.node).await {
                    // Gone already is as good.
                    Err(status) if status.code != 404 => result = Err(status),
                    _ => {}
                }
            }
            Done::Evicted(Arc::clone(&pod.key), result)
        });
    }

    /// Writes the condition, and an event, or counts the one that was written for the same reason.
    fn tell(
        &mut self,
        pod: &Arc<Pod>,
        reason: &'static str,
        message: String,
        nominated: Option<String>,
    ) {
        let told = self.queue.get_mut(&pod.key).and_then(|entry| entry.told.take());
        let (writer, pod) = (self.writer.clone(), Arc::clone(pod));
        self.spawn(async move {
            // Both only inform: the pod is tried again whether or not they are written.
            let _ = writer.condition(&pod, reason, &message, nominated.as_deref()).await;
            let told = match told.filter(|(_, text, _)| *text == message) {
                Some((name, text, count)) => {
                    let count = count + 1;
                    writer.again(&pod, &name, count).await.is_ok().then_some((name, text, count))
                }
                None => None,
            };
            let told = match told {
                Some(told) => Some(told),
                None => {
                    let scheduler = &pod.scheduler_name;
                    let event = writer
                        .event(
                            &pod,
                            scheduler,
                            "Warning",
                            "FailedScheduling",
                            "Scheduling",
                            &message,
                        )
                        .await;
                    event.ok().map(|name| (name, message, 1))
                }
            };
            Done::Told(Arc::clone(&pod.key), told)
        });
    }

    fn spawn(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.under_way += 1;
        let results = self.results.clone();
        tokio::spawn(async move {
            // The receiver lives as long as the driver.
            let _ = results.send(work.await);
        });
    }

    fn finish(&mut self, done: Done) {
        self.under_way -= 1;
        match done {
            Done::Told(key, told) => {
                if let Some(entry) = self.queue.get_mut(&key) {
                    entry.told = told;
                }
            }
            Done::Bound(pod, Ok(())) => {
                let same = |entry: &mut queue::Entry| entry.pod.uid == pod.uid;
                if self.queue.get_mut(&pod.key).is_some_and(same) {
                    self.queue.remove(&pod.key);
                }
            }
            Done::Bound(pod, Err(status)) => {
                let assumed = self.assumed.get(&pod.key).is_some_and(|one| one.uid == pod.uid);
                if assumed {
                    self.assumed.remove(&pod.key);
                    self.snapshot.remove_pod(&pod.key);
                    self.changed(hints::POD_GONE);
                    let now = self.now();
                    self.queue.failed(&pod.key, None, now);
                    if status.code != 404 {
                        let free = Arc::new(pod.on(""));
                        let message = format!("binding rejected: {}", status.message);
                        self.tell(&free, "SchedulerError", message, None);
                    }
                }
            }
            Done::Evicted(key, Ok(())) => drop(key),
            Done::Evicted(key, Err(_)) => {
                // Somebody is still there: the pod gives up the node and is tried again.
                self.snapshot.withdraw(&key);
                self.changed(Plugins::of(&[Plugin::DefaultPreemption]));
            }
        }
    }
}
