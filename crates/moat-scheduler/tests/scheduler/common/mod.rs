//! Small worlds for tests.

pub(crate) mod naive;
pub(crate) mod worlds;

use moat_scheduler::{Pod, Profile, Snapshot, Turn, place, preempt};
use serde_json::{Value, json};
use std::sync::Arc;

/// A node with 4 processors, 32Gi and room for 110 pods, changed by a merge.
pub(crate) fn node(name: &str, change: Value) -> Value {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"}},
    });
    merge(&mut node, change);
    node
}

/// A pod of the default namespace that asks for nothing, changed by a merge.
pub(crate) fn pod(name: &str, change: Value) -> Value {
    let mut pod = json!({
        "metadata": {"namespace": "default", "name": name, "uid": format!("uid-{name}")},
        "spec": {"schedulerName": "default-scheduler", "containers": [{"name": "c", "image": "i"}]},
    });
    merge(&mut pod, change);
    pod
}

/// A pod that asks for this much.
pub(crate) fn asking(name: &str, cpu: &str, memory: &str) -> Value {
    let requests = json!({"cpu": cpu, "memory": memory});
    pod(name, json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}}))
}

/// Objects are merged, everything else is replaced.
pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

pub(crate) fn with(mut value: Value, change: Value) -> Value {
    merge(&mut value, change);
    value
}

/// A snapshot of nodes, and of pods on the nodes they name.
pub(crate) fn world(nodes: &[Value], pods: &[Value]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        snapshot.set_node(node);
    }
    pods.iter().for_each(|pod| snapshot.set_pod(Arc::new(Pod::read(pod))));
    snapshot
}

/// The node that is chosen, or the whole message.
pub(crate) fn outcome(snapshot: &Snapshot, profile: &Profile, pod: &Value) -> String {
    let pod = Pod::read(pod);
    match place(snapshot, profile, &pod, &mut Turn::default()) {
        Ok(placement) => placement.node.to_string(),
        Err(mut diagnosis) => {
            let found = preempt(snapshot, profile, &pod, &mut diagnosis, &mut Turn::default());
            match found {
                Some(found) => {
                    let victims: Vec<&str> = found.victims.iter().map(|pod| pod.name()).collect();
                    format!("preempt {victims:?} on {}: {}", found.node, diagnosis.message())
                }
                None => diagnosis.message(),
            }
        }
    }
}

pub(crate) fn default(snapshot: &Snapshot, pod: &Value) -> String {
    outcome(snapshot, &Profile::default(), pod)
}

pub(crate) fn on(node: &str) -> Value {
    json!({"spec": {"nodeName": node}})
}
