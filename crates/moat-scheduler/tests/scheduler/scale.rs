//! How long decisions take. Run with `--release --nocapture` for numbers that mean something.

use crate::common::{node, pod, with};
use moat_scheduler::{Pod, Profile, Snapshot, Turn, place};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Places pods of ten workloads over nodes of three zones. Returns how long the decisions took.
fn run(nodes: usize, pods: usize, change: &dyn Fn(usize) -> Value) -> Duration {
    let mut snapshot = Snapshot::default();
    for at in 0..nodes {
        let zone = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": format!("z{}", at % 3)}}});
        snapshot.set_node(&node(&format!("n{at}"), zone));
    }
    for at in 0..10 {
        let labels = json!({"app": format!("a{at}")});
        snapshot.surroundings.set(
            "ReplicaSet",
            &json!({"metadata": {"namespace": "default", "name": format!("r{at}")}, "spec": {"selector": {"matchLabels": labels}}}),
        );
    }
    let pods: Vec<Pod> = (0..pods)
        .map(|at| {
            let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("r{}", at % 10), "controller": true}]);
            let meta = json!({"metadata": {"labels": {"app": format!("a{}", at % 10)}, "ownerReferences": owner}});
            let requests = json!({"spec": {"containers": [{"image": "i", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}]}});
            Pod::read(&with(with(pod(&format!("p{at}"), meta), requests), change(at)))
        })
        .collect();
    let mut turn = Turn::default();
    let start = Instant::now();
    for pod in &pods {
        let placement = place(&snapshot, &Profile::default(), pod, &mut turn).unwrap();
        snapshot.set_pod(Arc::new(pod.on(&placement.node)));
    }
    start.elapsed()
}

#[test]
fn decisions_are_quick() {
    let small = run(20, 500, &|_| json!({}));
    println!("500 pods over 20 nodes: {small:?}");
    let large = run(1000, 2000, &|_| json!({}));
    println!("2000 pods over 1000 nodes: {large:?}");
    let apart = run(1000, 1000, &|at| {
        json!({"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": format!("a{}", at % 10)}}}]}},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": format!("a{}", at % 10)}}}]}})
    });
    println!("1000 pods over 1000 nodes with anti-affinity and spread: {apart:?}");
    // Bounds for a debug build on a machine that does other things as well.
    assert!(
        small < Duration::from_secs(5)
            && large < Duration::from_secs(60)
            && apart < Duration::from_secs(60)
    );
}
