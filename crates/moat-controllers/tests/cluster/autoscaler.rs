//! Autoscalers on a real server, without metrics and with some that are stored.

use super::{DEPLOYMENTS, EVENTS, PODS, World, deployment, is_done, name};
use moat_apiserver::{Gvr, PatchType};
use serde_json::{Value, json};
use std::time::Duration;

static AUTOSCALERS: Gvr = Gvr::new("autoscaling", "v2", "horizontalpodautoscalers");
static DEFINITIONS: Gvr = Gvr::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
static METRICS: Gvr = Gvr::new("metrics.k8s.io", "v1beta1", "pods");

fn condition(hpa: &Value, kind: &str) -> [String; 3] {
    let all = hpa["status"]["conditions"].as_array().into_iter().flatten();
    let found = all.into_iter().find(|one| one["type"] == kind);
    ["status", "reason", "message"]
        .map(|field| found.and_then(|one| one[field].as_str()).unwrap_or_default().to_owned())
}

fn replicas(wanted: i64) -> impl Fn(&[Value]) -> bool {
    move |all| all[0]["spec"]["replicas"] == wanted
}

/// What a metrics server would serve, stored: a kind of the metrics API that a definition defines.
fn stored_metrics() -> Value {
    json!({
        "metadata": { "name": "pods.metrics.k8s.io", "annotations": { "api-approved.kubernetes.io": "unapproved, for a test" } },
        "spec": {
            "group": "metrics.k8s.io", "scope": "Namespaced", "names": { "plural": "pods", "singular": "pod", "kind": "PodMetrics", "listKind": "PodMetricsList" },
            "versions": [{ "name": "v1beta1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            } } }],
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_autoscaler_follows_what_was_measured_and_its_bounds() {
    let timing = moat_controllers::Timing {
        autoscaler_sync: Duration::from_millis(50),
        ..Default::default()
    };
    let world = World::start_with(timing).await;
    let client = &world.client;
    client.create(DEPLOYMENTS.at("default", ""), deployment("web", 2, "one:1")).await.unwrap();
    world.until(&DEPLOYMENTS, "default", |all| is_done(&all[0])).await;
    let hpa = json!({
        "metadata": { "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" }, "minReplicas": 1, "maxReplicas": 6,
            "metrics": [{ "type": "Resource", "resource": { "name": "memory", "target": { "type": "AverageValue", "averageValue": "100Mi" } } }],
        },
    });
    client.create(AUTOSCALERS.at("default", ""), hpa).await.unwrap();

    // Nobody measures: nothing is scaled, and everybody is told.
    let all = world
        .until(&AUTOSCALERS, "default", |all| !condition(&all[0], "ScalingActive")[0].is_empty())
        .await;
    let why = "failed to get memory usage: unable to get metrics for resource memory: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)";
    assert_eq!(
        condition(&all[0], "ScalingActive"),
        [
            "False",
            "FailedGetResourceMetric",
            &format!("the HPA was unable to compute the replica count: {why}")
        ]
    );
    assert_eq!(condition(&all[0], "AbleToScale")[1], "SucceededGetScale");
    assert_eq!(all[0]["status"]["currentReplicas"], 2);
    let told =
        |reason: &'static str| move |all: &[Value]| all.iter().any(|one| one["reason"] == reason);
    let events = world.until(&EVENTS, "default", told("FailedComputeMetricsReplicas")).await;
    let event = events.iter().find(|one| one["reason"] == "FailedComputeMetricsReplicas").unwrap();
    assert_eq!(
        event["message"],
        format!(
            "invalid metrics (1 invalid out of 1), first error is: failed to get memory resource metric value: {why}"
        )
    );
    assert_eq!(event["source"]["component"], "horizontal-pod-autoscaler");
    assert_eq!(world.list(&DEPLOYMENTS, "default")[0]["spec"]["replicas"], 2);

    // Measured, twice what it should be: twice the pods.
    client.create(DEFINITIONS.at("", ""), stored_metrics()).await.unwrap();
    for pod in world.list(&PODS, "default") {
        let metrics = json!({
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
            "metadata": { "name": name(&pod), "labels": pod["metadata"]["labels"] },
            "timestamp": "2026-01-01T00:00:00Z", "window": "30s",
            "containers": [{ "name": "c", "usage": { "memory": "200Mi", "cpu": "1" } }],
        });
        client.create(METRICS.at("default", ""), metrics).await.unwrap();
    }
    world.until(&DEPLOYMENTS, "default", replicas(4)).await;
    let events = world.until(&EVENTS, "default", told("SuccessfulRescale")).await;
    let event = events.iter().find(|one| one["reason"] == "SuccessfulRescale").unwrap();
    assert_eq!(event["message"], "New size: 4; reason: memory resource above target");
    // Two that were not measured count as if they used what they should: now it is half as much too much, and nothing turns back.
    let all =
        world.until(&AUTOSCALERS, "default", |all| all[0]["status"]["currentReplicas"] == 4).await;
    let current = &all[0]["status"]["currentMetrics"][0]["resource"]["current"];
    assert_eq!(*current, json!({ "averageValue": "200Mi" }));
    assert!(all[0]["status"]["lastScaleTime"].is_string());

    // Bounds hold at once.
    let bound = |most: i64| json!({ "spec": { "maxReplicas": most } });
    let at = AUTOSCALERS.at("default", "web");
    client.patch(at, PatchType::Merge, &bound(3)).await.unwrap();
    world.until(&DEPLOYMENTS, "default", replicas(3)).await;
    world
        .until(&EVENTS, "default", |all| {
            all.iter().any(|one| {
                one["message"]
                    == "New size: 3; reason: Current number of replicas above Spec.MaxReplicas"
            })
        })
        .await;
    // One that is turned off stays off.
    client
        .patch(
            DEPLOYMENTS.at("default", "web"),
            PatchType::Merge,
            &json!({ "spec": { "replicas": 0 } }),
        )
        .await
        .unwrap();
    let all = world
        .until(&AUTOSCALERS, "default", |all| {
            condition(&all[0], "ScalingActive")[1] == "ScalingDisabled"
        })
        .await;
    assert_eq!(all[0]["status"]["desiredReplicas"], 0);

    // What cannot be scaled is said.
    let other = json!({ "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "none" } } });
    client.patch(at, PatchType::Merge, &other).await.unwrap();
    let all = world
        .until(&AUTOSCALERS, "default", |all| condition(&all[0], "AbleToScale")[0] == "False")
        .await;
    let why = "the HPA controller was unable to get the target's current scale: deployments.apps \"none\" not found";
    assert_eq!(condition(&all[0], "AbleToScale"), ["False", "FailedGetScale", why]);
    let kind =
        json!({ "spec": { "scaleTargetRef": { "apiVersion": "x.io/v1", "kind": "Thing" } } });
    client.patch(at, PatchType::Merge, &kind).await.unwrap();
    let why = "the HPA controller was unable to get the target's current scale: no matches for kind \"Thing\" in group \"x.io\"";
    world.until(&AUTOSCALERS, "default", |all| condition(&all[0], "AbleToScale")[2] == why).await;
    world.end().await;
}
