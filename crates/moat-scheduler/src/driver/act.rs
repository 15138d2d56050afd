//! What the scheduler writes: bindings, conditions, nominations, evictions and events.

use super::inbox::PODS;
use crate::pod::Pod;
use moat_apiserver::{DeleteOptions, Gvr, PatchType, Status};
use moat_informer::Cluster;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

static EVENTS: Gvr = Gvr::new("", "v1", "events");
static CLAIMS: Gvr = Gvr::new("", "v1", "persistentvolumeclaims");

/// The longest text of an event.
const NOTE_MAX: usize = 1024;
/// What tells whoever makes volumes on which node a claim is wanted.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Writes on behalf of the scheduler.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) cluster: Arc<dyn Cluster>,
    names: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new(cluster: Arc<dyn Cluster>) -> Self {
        // Names of events must differ from those of earlier runs.
        let start = jiff::Timestamp::now().as_nanosecond();
        let start = u64::try_from(start).unwrap_or(0);
        Self { cluster, names: Arc::new(AtomicU64::new(start)) }
    }

    /// Binds a pod to a node. Claims that wait for a consumer are told the node first.
    pub(super) async fn bind(
        &self,
        pod: &Pod,
        node: &str,
        late: &[Box<str>],
    ) -> Result<(), Status> {
        for claim in late {
            let at = CLAIMS.at(pod.namespace(), claim);
            let patch = json!({"metadata": {"annotations": {SELECTED_NODE: node}}});
            self.cluster.patch(at, PatchType::Merge, &patch).await?;
        }
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid},
            "target": {"kind": "Node", "name": node},
        });
        self.cluster.create(PODS.at(pod.namespace(), pod.name()).part("binding"), binding).await?;
        Ok(())
    }

    /// Says in the pod's status why it has no node, and which one it waits for.
    pub(super) async fn condition(
        &self,
        pod: &Pod,
        reason: &str,
        message: &str,
        nominated: Option<&str>,
    ) -> Result<(), Status> {
        let mut status = json!({});
        if pod.unscheduled.as_deref() != Some(message) {
            let mut condition = json!({"type": "PodScheduled", "status": "False", "reason": reason, "message": message});
            if pod.unscheduled.is_none() {
                condition["lastTransitionTime"] = second().into();
            }
            status["conditions"] = json!([condition]);
        }
        if let Some(node) = nominated.filter(|node| **node != *pod.nominated) {
            status["nominatedNodeName"] = if node.is_empty() { Value::Null } else { node.into() };
        }
        if status == json!({}) {
            return Ok(());
        }
        self.patch_status(pod, &status).await
    }

    async fn patch_status(&self, pod: &Pod, status: &Value) -> Result<(), Status> {
        let patch = json!({"metadata": {"uid": pod.uid}, "status": status});
        let at = PODS.at(pod.namespace(), pod.name()).part("status");
        self.cluster.patch(at, PatchType::Strategic, &patch).await?;
        Ok(())
    }

    /// Makes room: says so in the victim's status, deletes it, and tells of it.
    pub(super) async fn evict(
        &self,
        victim: &Pod,
        preemptor: &Pod,
        node: &str,
    ) -> Result<(), Status> {
        let scheduler = &preemptor.scheduler_name;
        let message = format!("{scheduler}: preempting to accommodate a higher priority pod");
        let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": message, "lastTransitionTime": second()});
        self.patch_status(victim, &json!({"conditions": [condition]})).await?;
        let options =
            DeleteOptions { uid: Some(victim.uid.to_string()), ..DeleteOptions::default() };
        self.cluster.delete(PODS.at(victim.namespace(), victim.name()), &options).await?;
        let note = format!("Preempted by pod {} on node {node}", preemptor.uid);
        self.event(victim, scheduler, "Normal", "Preempted", "Preempting", &note).await.map(drop)
    }

    /// Writes an event about a pod. Returns its name.
    pub(super) async fn event(
        &self,
        pod: &Pod,
        scheduler: &str,
        kind: &str,
        reason: &str,
        action: &str,
        note: &str,
    ) -> Result<String, Status> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        // Longer names of pods than this leave no room for the number.
        let stem: String = pod.name().chars().take(230).collect();
        let name = format!("{stem}.{number:x}");
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"namespace": pod.namespace(), "name": name},
            "involvedObject": {"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid, "apiVersion": "v1"},
            "reason": reason, "message": cut(note), "type": kind, "action": action, "eventTime": micros(),
            "reportingComponent": scheduler, "reportingInstance": format!("{scheduler}-moat"),
        });
        self.cluster.create(EVENTS.at(pod.namespace(), ""), event).await?;
        Ok(name)
    }

    /// Counts one more of an event that was told before.
    pub(super) async fn again(&self, pod: &Pod, name: &str, count: i64) -> Result<(), Status> {
        let patch = json!({"series": {"count": count, "lastObservedTime": micros()}});
        self.cluster.patch(EVENTS.at(pod.namespace(), name), PatchType::Merge, &patch).await?;
        Ok(())
    }
}

fn second() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn micros() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A text that fits into an event.
fn cut(note: &str) -> String {
    const DOTS: &str = " ...";
    if note.len() <= NOTE_MAX {
        return note.to_owned();
    }
    let mut end = NOTE_MAX - DOTS.len();
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{DOTS}", &note[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_where_a_character_ends() {
        assert_eq!(cut("a"), "a");
        let long = cut(&"ä".repeat(2000));
        assert!(long.len() <= NOTE_MAX && long.ends_with("ä ..."));
    }
}
