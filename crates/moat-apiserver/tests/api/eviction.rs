//! Evictions of pods, and the budgets that refuse them.

use crate::common::{Answer, client, get, post, send, server};
use expect_test::{Expect, expect};
use kube::Client;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

async fn put_status(client: &Client, path: &str, status: &Value) {
    let patch = json!({ "status": status }).to_string();
    let path = format!("{path}/status");
    let answer = send(client, "PATCH", &path, "application/merge-patch+json", patch).await;
    assert_eq!(answer.code, 200, "{}", answer.text);
}

/// A pod of a phase on a node, so that its deletion takes time.
async fn pod(client: &Client, name: &str, phase: &str, ready: bool) {
    let pod = json!({
        "metadata": { "name": name, "labels": { "app": "web" } },
        "spec": { "nodeName": "n", "containers": [{ "name": "c", "image": "c" }] },
    });
    let made = post(client, PODS, &pod).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let ready = if ready { "True" } else { "False" };
    let status = json!({ "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] });
    put_status(client, &format!("{PODS}/{name}"), &status).await;
}

async fn budget(client: &Client, name: &str, spec: Value, status: &Value) {
    let mut spec = spec;
    spec["selector"] = json!({ "matchLabels": { "app": "web" } });
    let made = post(client, BUDGETS, &json!({ "metadata": { "name": name }, "spec": spec })).await;
    assert_eq!(made.code, 201, "{}", made.text);
    put_status(client, &format!("{BUDGETS}/{name}"), status).await;
}

fn allowing(n: i64) -> Value {
    json!({ "observedGeneration": 1, "disruptionsAllowed": n, "currentHealthy": 2, "desiredHealthy": 2 - n, "expectedPods": 2 })
}

async fn evict(client: &Client, name: &str, options: Value) -> Answer {
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name, "namespace": "default" }, "deleteOptions": options,
    });
    post(client, &format!("{PODS}/{name}/eviction"), &body).await
}

fn shows(answer: &Answer, expected: &Expect) {
    expected.assert_eq(&answer.text);
}

#[tokio::test]
async fn a_budget_is_spent_and_then_refuses() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    for name in ["a", "b"] {
        pod(&client, name, "Running", true).await;
    }
    budget(&client, "web", json!({ "minAvailable": 1 }), &allowing(1)).await;
    let dry = evict(&client, "a", json!({ "dryRun": ["All"] })).await;
    assert_eq!(dry.code, 201, "{}", dry.text);
    assert!(
        get(&client, &format!("{PODS}/a")).await.json()["metadata"]["deletionTimestamp"].is_null()
    );

    let done = evict(&client, "a", Value::Null).await;
    shows(
        &done,
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}"#
        ]],
    );
    let gone = get(&client, &format!("{PODS}/a")).await.json();
    assert!(gone["metadata"]["deletionTimestamp"].is_string());
    let told = gone["status"]["conditions"].as_array().unwrap().iter();
    let told = told.clone().find(|one| one["type"] == "DisruptionTarget").unwrap();
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("True"), &json!("EvictionByEvictionAPI"))
    );
    let spent = get(&client, &format!("{BUDGETS}/web")).await.json()["status"].clone();
    assert_eq!(spent["disruptionsAllowed"], 0);
    assert!(spent["disruptedPods"]["a"].is_string());
    assert_eq!(spent["conditions"][0]["reason"], "InsufficientPods");

    let refused = evict(&client, "b", Value::Null).await;
    assert_eq!(refused.code, 429);
    assert!(refused.headers.get("retry-after").is_none());
    shows(
        &refused,
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Cannot evict pod as it would violate the pod's disruption budget.","reason":"TooManyRequests","details":{"causes":[{"reason":"DisruptionBudget","message":"The disruption budget web does not allow evicting pods currently"}]},"code":429}"#
        ]],
    );
    // A pod that goes anyway needs no budget, as often as somebody asks.
    assert_eq!(evict(&client, "a", Value::Null).await.code, 201);
}

#[tokio::test]
async fn a_budget_that_nobody_counted_yet_says_when_to_ask_again() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    pod(&client, "a", "Running", true).await;
    budget(&client, "web", json!({ "maxUnavailable": 1 }), &json!({ "observedGeneration": 0, "disruptionsAllowed": 1, "currentHealthy": 1, "desiredHealthy": 0, "expectedPods": 1 })).await;
    let refused = evict(&client, "a", Value::Null).await;
    assert_eq!(refused.headers["retry-after"], "10");
    shows(
        &refused,
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Cannot evict pod as it would violate the pod's disruption budget.","reason":"TooManyRequests","details":{"retryAfterSeconds":10,"causes":[{"reason":"DisruptionBudget","message":"The disruption budget web is still being processed by the server."}]},"code":429}"#
        ]],
    );
}

#[tokio::test]
async fn what_disrupts_nothing_goes_whatever_the_budget() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    budget(&client, "web", json!({ "minAvailable": 2 }), &allowing(0)).await;
    for (name, phase) in [("done", "Succeeded"), ("failed", "Failed"), ("waiting", "Pending")] {
        pod(&client, name, phase, false).await;
        let answer = evict(&client, name, Value::Null).await;
        assert_eq!(answer.code, 201, "{name}: {}", answer.text);
    }
    // One that runs and is not ready goes where the others are enough, and stays where they are not.
    pod(&client, "sick", "Running", false).await;
    let answer = evict(&client, "sick", Value::Null).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    pod(&client, "sicker", "Running", false).await;
    let few = json!({ "observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 2, "expectedPods": 2 });
    put_status(&client, &format!("{BUDGETS}/web"), &few).await;
    let answer = evict(&client, "sicker", Value::Null).await;
    let why = answer.json()["details"]["causes"][0]["message"].clone();
    assert_eq!(why, "The disruption budget web needs 2 healthy pods and has 1 currently");
    let always = json!({ "spec": { "unhealthyPodEvictionPolicy": "AlwaysAllow" } }).to_string();
    send(&client, "PATCH", &format!("{BUDGETS}/web"), "application/merge-patch+json", always).await;
    let answer = evict(&client, "sicker", Value::Null).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
}

#[tokio::test]
async fn requests_that_cannot_be_meant_are_refused() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let missing = evict(&client, "nobody", Value::Null).await;
    assert_eq!(missing.json()["message"], "pods \"nobody\" not found");
    pod(&client, "a", "Running", true).await;
    let body = json!({ "metadata": { "name": "b" } });
    let other = post(&client, &format!("{PODS}/a/eviction"), &body).await;
    assert_eq!(other.json()["message"], "name in URL does not match name in Eviction object");
    let old = evict(&client, "a", json!({ "preconditions": { "uid": "x" } })).await;
    assert_eq!(old.code, 409, "{}", old.text);
    for name in ["one", "two"] {
        budget(&client, name, json!({ "maxUnavailable": 1 }), &allowing(1)).await;
    }
    let twice = evict(&client, "a", Value::Null).await;
    shows(
        &twice,
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.","code":500}"#
        ]],
    );
    let found = get(&client, "/api/v1").await.json();
    let found = found["resources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "pods/eviction")
        .cloned();
    assert_eq!(
        found,
        Some(
            json!({ "name": "pods/eviction", "singularName": "", "namespaced": true, "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"] })
        )
    );
}
