use super::plan::{Missing, Snapshot, Why, plan};
use crate::pod::PodItem;
use crate::testing::item;
use moat_informer::Item;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn pod(name: &str, node: &str, phase: &str, deleting: bool) -> PodItem {
    let mut metadata = json!({ "name": name, "namespace": "default", "creationTimestamp": format!("2026-01-01T00:00:0{}Z", name.len()) });
    if deleting {
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    item(
        &json!({ "metadata": metadata, "spec": { "nodeName": node }, "status": { "phase": phase } }),
    )
}

fn node(name: &str, ready: &str, taint: Option<&str>) -> Arc<Item<Value>> {
    let taints: Vec<Value> =
        taint.iter().map(|key| json!({ "key": key, "effect": "NoExecute" })).collect();
    item(
        &json!({ "metadata": { "name": name }, "spec": { "taints": taints }, "status": { "conditions": [{ "type": "Ready", "status": ready }] } }),
    )
}

fn names(chosen: &[(PodItem, Why)]) -> Vec<(&str, Why)> {
    chosen.iter().map(|(pod, why)| (&*pod.meta.name, *why)).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn pods_of_a_node_that_is_gone_go_after_a_while() {
    let pods = [pod("a", "here", "Running", false), pod("b", "gone", "Running", false)];
    let nodes = [node("here", "True", None)];
    let mut missing = Missing::new();
    let mut at = |seconds: u32, nodes: &[Arc<Item<Value>>]| {
        let snapshot = Snapshot::new(&pods, nodes, SECOND * seconds, SECOND * 40);
        plan(&snapshot, &mut missing)
    };
    assert_eq!(names(&at(0, &nodes)), []);
    assert_eq!(names(&at(39, &nodes)), []);
    // It was back for a moment: the time begins anew.
    assert_eq!(names(&at(39, &[node("here", "True", None), node("gone", "True", None)])), []);
    assert_eq!(names(&at(40, &nodes)), []);
    assert_eq!(names(&at(80, &nodes)), [("b", Why::NodeGone)]);
}

#[test]
fn what_waits_for_nobody_goes_at_once() {
    let pods = [
        pod("never", "", "Pending", true),
        pod("waiting", "", "Pending", false),
        pod("going", "lost", "Running", true),
        pod("staying", "lost", "Running", false),
        pod("silent", "mute", "Running", true),
    ];
    let nodes = [
        node("lost", "Unknown", Some("node.kubernetes.io/out-of-service")),
        node("mute", "Unknown", None),
    ];
    let snapshot = Snapshot::new(&pods, &nodes, SECOND, SECOND);
    let chosen = plan(&snapshot, &mut Missing::new());
    assert_eq!(names(&chosen), [("never", Why::NeverPlaced), ("going", Why::OutOfService)]);
    // A node that is ready again is asked itself.
    let nodes = [
        node("lost", "True", Some("node.kubernetes.io/out-of-service")),
        node("mute", "True", None),
    ];
    let chosen = plan(&Snapshot::new(&pods, &nodes, SECOND, SECOND), &mut Missing::new());
    assert_eq!(names(&chosen), [("never", Why::NeverPlaced)]);
}

#[test]
fn of_too_many_that_ended_the_oldest_go() {
    let pods = [
        pod("aaaa", "n", "Failed", false),
        pod("b", "n", "Succeeded", false),
        pod("cc", "n", "Failed", false),
        pod("d", "n", "Running", false),
    ];
    let nodes = [node("n", "True", None)];
    let snapshot = Snapshot { ended_max: 1, ..Snapshot::new(&pods, &nodes, SECOND, SECOND) };
    let chosen = plan(&snapshot, &mut Missing::new());
    assert_eq!(names(&chosen), [("b", Why::Ended), ("cc", Why::Ended)]);
}
