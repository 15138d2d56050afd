//! What is said of a pod that others want to go, and what queues tell of themselves.

use super::{PODS, World, name};
use moat_apiserver::PatchType;
use serde_json::{Value, json};
use std::time::Duration;

fn said(pod: &Value) -> Option<&Value> {
    let all = pod["status"]["conditions"].as_array()?;
    all.iter().find(|one| one["type"] == "DisruptionTarget")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_did_not_go_is_no_longer_said_to_go() {
    let timing =
        moat_controllers::Timing { stale_disruption: Duration::from_secs(1), ..Default::default() };
    let meters = moat_controllers::Meters::default();
    let options =
        moat_controllers::Options { timing, meters: meters.clone(), ..Default::default() };
    let world = World::with(options).await;
    let pod = |name: &str| json!({ "metadata": { "name": name }, "spec": { "nodeName": "n", "containers": [{ "name": "c", "image": "i" }] } });
    for one in ["stays", "ends"] {
        world.client.create(PODS.at("default", ""), pod(one)).await.unwrap();
    }
    world
        .until(&PODS, "default", |all| all.iter().all(|one| one["status"]["phase"] == "Running"))
        .await;
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let ended = json!({ "status": { "phase": "Failed", "conditions": [condition] } });
    let at = |name: &'static str| PODS.at("default", name).part("status");
    world.client.patch(at("ends"), PatchType::Strategic, &ended).await.unwrap();
    let marked = json!({ "status": { "conditions": [condition] } });
    world.client.patch(at("stays"), PatchType::Strategic, &marked).await.unwrap();
    let of = |all: &[Value], wanted: &str| all.iter().find(|one| name(one) == wanted).cloned();
    let all = world
        .until(&PODS, "default", |all| {
            let stays = of(all, "stays").unwrap();
            said(&stays).is_some_and(|one| one["status"] == "False")
        })
        .await;
    let stays = of(&all, "stays").unwrap();
    let now = said(&stays).unwrap();
    assert_eq!((now.get("reason"), now.get("message")), (None, None), "{now}");
    assert_ne!(now["lastTransitionTime"], "2026-01-01T00:00:00Z");
    // Ready is not touched, and a pod that has ended keeps what was said of it.
    let ready = stays["status"]["conditions"].as_array().unwrap();
    assert!(ready.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"));
    let ends = of(&all, "ends").unwrap();
    assert_eq!(said(&ends).unwrap()["status"], "True");

    let mut told = String::new();
    meters.write(&mut told);
    let names: Vec<&str> = told
        .lines()
        .filter_map(|line| line.strip_prefix("workqueue_depth{name=\"")?.split('"').next())
        .collect();
    assert_eq!(
        names,
        [
            "bootstrap_signer_queue",
            "certificate",
            "claims",
            "cronjob",
            "daemonset",
            "deployment",
            "disruption",
            "endpoint_slice",
            "endpoint_slice_mirroring",
            "garbage_collector_attempt_to_delete",
            "horizontalpodautoscaler",
            "job",
            "namespace",
            "node_lifecycle_controller",
            "noexec_taint_pod",
            "replicaset",
            "replicationmanager",
            "resource_quota_controller_resource_changes",
            "serviceaccount",
            "stale_pod_disruption",
            "statefulset",
            "token_cleaner",
        ]
    );
    let worked = told.lines().find_map(|line| {
        line.strip_prefix("workqueue_work_duration_seconds_count{name=\"stale_pod_disruption\"} ")
    });
    assert!(worked.unwrap().parse::<u64>().unwrap() >= 1, "{told}");
    world.end().await;
}
