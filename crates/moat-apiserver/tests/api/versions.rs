//! Kinds that are served in several versions: one object, whatever the path.

use crate::common::{client, get, post, send, server};
use serde_json::{Value, json};

const CORE: &str = "/api/v1/namespaces/default/events";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

#[tokio::test]
async fn an_event_has_two_forms() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "a", "namespace": "default"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "note": "it began", "reason": "Started", "action": "Start",
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "x/y", "reportingInstance": "i", "type": "Normal",
    });
    let made = post(&client, EVENTS, &event).await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert_eq!(made.json()["note"], "it began");
    let core = get(&client, &format!("{CORE}/a")).await.json();
    assert_eq!((&core["apiVersion"], &core["message"]), (&json!("v1"), &json!("it began")));
    assert_eq!(core["involvedObject"]["name"], "p");
    assert_eq!(core["reportingComponent"], "x/y");

    // Each form has its own names for what a selector asks.
    for (path, query, n) in [
        (CORE, "involvedObject.name=p", 1),
        (CORE, "involvedObject.name=q", 0),
        (EVENTS, "regarding.name=p", 1),
        (EVENTS, "regarding.name=q", 0),
        (EVENTS, "reportingController=x/y", 1),
    ] {
        let list = get(&client, &format!("{path}?fieldSelector={query}")).await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), n, "{path} {query}");
    }
    let refused = get(&client, &format!("{EVENTS}?fieldSelector=involvedObject.name=p")).await;
    assert_eq!(refused.code, 400);

    // A patch is about the form of its path.
    let patch = json!({"note": "it went on", "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}});
    let path = format!("{EVENTS}/a?fieldValidation=Strict");
    let changed =
        send(&client, "PATCH", &path, "application/merge-patch+json", patch.to_string()).await;
    assert_eq!(changed.code, 200, "{}", changed.text);
    assert_eq!(get(&client, &format!("{CORE}/a")).await.json()["message"], "it went on");
    let patch = json!({"message": "no such field here"}).to_string();
    let refused = send(&client, "PATCH", &path, "application/merge-patch+json", patch).await;
    let why = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(why.ends_with(r#"strict decoding error: unknown field "message""#), "{why}");
    assert_eq!(refused.code, 422);

    let list = get(&client, EVENTS).await.json();
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("EventList"), &json!("events.k8s.io/v1"))
    );
    assert_eq!(list["items"][0].get("apiVersion"), None);
    assert_eq!(list["items"][0]["note"], "it went on");
}

#[tokio::test]
async fn an_autoscaler_has_two_versions() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let path = |version: &str| {
        format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers")
    };
    let scaler = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70},
    });
    let made = post(&client, &path("v1"), &scaler).await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert_eq!(made.json()["spec"]["targetCPUUtilizationPercentage"], 70);
    let v2 = get(&client, &format!("{}/a", path("v2"))).await.json();
    assert_eq!(v2["apiVersion"], "autoscaling/v2");
    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]);
    assert_eq!(v2["spec"]["metrics"], cpu);
    let group = get(&client, "/apis/autoscaling").await.json();
    assert_eq!(group["preferredVersion"]["version"], "v2");
    assert_eq!(group["versions"].as_array().unwrap().len(), 2);
}

/// Whoever wrote owns fields as the version names them through which it wrote, and loses them whatever version another writes through.
#[tokio::test]
async fn owners_have_their_fields_in_the_version_of_their_write() {
    const V1: &str = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    const V2: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let one = json!({
        "metadata": {"name": "a"},
        "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}},
    });
    let made = post(&client, &format!("{V1}?fieldManager=first"), &one).await.json();
    let fields = |object: &Value| -> Vec<(String, String, String)> {
        let of = |entry: &Value| {
            let spec = entry["fieldsV1"]["f:spec"].to_string();
            (
                entry["manager"].as_str().unwrap().to_owned(),
                entry["apiVersion"].as_str().unwrap().to_owned(),
                spec,
            )
        };
        let mut all: Vec<_> =
            object["metadata"]["managedFields"].as_array().unwrap().iter().map(of).collect();
        all.sort();
        all
    };
    let entry = |manager: &str, version: &str, spec: &str| {
        (manager.to_owned(), version.to_owned(), spec.to_owned())
    };
    let first = r#"{"f:maxReplicas":{},"f:minReplicas":{},"f:scaleTargetRef":{},"f:targetCPUUtilizationPercentage":{}}"#;
    assert_eq!(fields(&made), [entry("first", "autoscaling/v1", first)]);
    let patch = json!({"spec": {"maxReplicas": 5, "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}]}});
    let path = format!("{V2}/a?fieldManager=second");
    let changed = send(&client, "PATCH", &path, "application/merge-patch+json", patch.to_string())
        .await
        .json();
    assert_eq!(
        fields(&changed),
        [
            entry("first", "autoscaling/v1", r#"{"f:minReplicas":{},"f:scaleTargetRef":{}}"#),
            entry("second", "autoscaling/v2", r#"{"f:maxReplicas":{},"f:metrics":{}}"#),
        ]
    );
}
