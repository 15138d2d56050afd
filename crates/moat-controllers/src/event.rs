//! Events: what controllers did, for `kubectl describe`. The same thing again is counted, and an object that has much to say is cut short.

use crate::json::time;
use jiff::Timestamp;
use moat_apiserver::{Gvr, PatchType};
use moat_informer::Cluster;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

static EVENTS: Gvr = Gvr::new("", "v1", "events");

/// Events of one object that are written at once; then one each five minutes, as upstream has it.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;
/// Objects and events that are remembered.
const MEMORY: usize = 4096;
/// Events that wait to be written; more are dropped, as upstream's broadcaster does.
const WAITING: usize = 1024;

/// Something that happened to an object.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) about: Value,
    pub(crate) component: &'static str,
    pub(crate) warning: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// What is told of an object: whether it is a warning, the reason, the message.
pub(crate) type Told = (bool, &'static str, String);

/// Where events are handed in.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(mpsc::Sender<Event>);

impl Recorder {
    pub(crate) fn start(cluster: Arc<dyn Cluster>) -> (Self, impl Future<Output = ()>) {
        let (to, mut events) = mpsc::channel(WAITING);
        let writing = async move {
            let mut memory = Memory::default();
            while let Some(event) = events.recv().await {
                memory.write(&*cluster, event).await;
            }
        };
        (Self(to), writing)
    }

    pub(crate) fn record(&self, event: Event) {
        // A full channel drops the event: nobody waits for what is only told.
        let _ = self.0.try_send(event);
    }
}

/// What an event is about, of an object's kind and metadata.
pub(crate) fn about(api_version: &str, kind: &str, meta: &moat_informer::Meta) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": meta.name, "namespace": meta.namespace, "uid": meta.uid,
        "resourceVersion": meta.resource_version,
    })
}

#[derive(Default)]
struct Memory {
    budgets: BTreeMap<String, (f64, i64)>,
    written: BTreeMap<String, (String, String, u64)>,
}

impl Memory {
    fn may(&mut self, object: &str, now: i64) -> bool {
        if MEMORY <= self.budgets.len() {
            self.budgets.clear();
        }
        let (left, then) = self.budgets.entry(object.to_owned()).or_insert((BURST, now));
        #[expect(clippy::cast_precision_loss, reason = "seconds since the last event are few")]
        let gained = (now - *then) as f64 / REFILL_SECONDS;
        *left = (*left + gained).min(BURST);
        *then = now;
        let may = 1.0 <= *left;
        if may {
            *left -= 1.0;
        }
        may
    }

    /// What cannot be written is lost; events are hints.
    async fn write(&mut self, cluster: &dyn Cluster, event: Event) {
        let now = Timestamp::now();
        let uid = event.about["uid"].as_str().unwrap_or_default().to_owned();
        if !self.may(&format!("{uid}/{}", event.component), now.as_second()) {
            return;
        }
        let namespace = match event.about["namespace"].as_str() {
            None | Some("") => "default".to_owned(),
            Some(namespace) => namespace.to_owned(),
        };
        let same = format!("{uid}/{}/{}/{}", event.component, event.reason, event.message);
        let when = time(now.as_second());
        if let Some((namespace, name, count)) = self.written.get_mut(&same) {
            *count += 1;
            let patch = json!({ "count": count, "lastTimestamp": when });
            let at = EVENTS.at(namespace, name);
            if cluster.patch(at, PatchType::Merge, &patch).await.is_ok() {
                return;
            }
        }
        let name = format!(
            "{}.{:x}",
            event.about["name"].as_str().unwrap_or_default(),
            now.as_nanosecond()
        );
        let object = json!({
            "metadata": { "name": name, "namespace": namespace }, "involvedObject": event.about,
            "reason": event.reason, "message": event.message, "type": if event.warning { "Warning" } else { "Normal" },
            "source": { "component": event.component }, "reportingComponent": event.component, "reportingInstance": "",
            "firstTimestamp": when, "lastTimestamp": when, "count": 1,
        });
        if MEMORY <= self.written.len() {
            self.written.clear();
        }
        if cluster.create(EVENTS.at(&namespace, ""), object).await.is_ok() {
            self.written.insert(same, (namespace, name, 1));
        }
    }
}
