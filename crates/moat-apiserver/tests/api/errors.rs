//! Errors word for word: bodies that were captured from Kubernetes 1.36, or written by its source.

use crate::common::{Answer, CONFIG_MAPS, client, get, post, send, server};
use expect_test::{Expect, expect};
use kube::Client;
use serde_json::json;

/// Objects of a kind that has no form in protobuf.
const CLUSTER_POLICIES: &str = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies";

fn check(answer: &Answer, want: Expect) {
    want.assert_eq(&format!("{} {}", answer.code, answer.text));
}

async fn world() -> (moat_apiserver::Running, Client) {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    (server, client)
}

#[tokio::test]
async fn what_is_not_there_and_what_is_there_already() {
    let (_server, client) = world().await;
    check(
        &get(&client, &format!("{CONFIG_MAPS}/nope")).await,
        expect![[
            r#"404 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps \"nope\" not found","reason":"NotFound","details":{"name":"nope","kind":"configmaps"},"code":404}"#
        ]],
    );
    check(
        &get(&client, "/apis/apps/v1/namespaces/default/deployments/x").await,
        expect![[
            r#"404 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"x\" not found","reason":"NotFound","details":{"name":"x","group":"apps","kind":"deployments"},"code":404}"#
        ]],
    );
    let object = json!({"metadata": {"name": "a"}});
    assert_eq!(post(&client, CONFIG_MAPS, &object).await.code, 201);
    check(
        &post(&client, CONFIG_MAPS, &object).await,
        expect![[
            r#"409 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps \"a\" already exists","reason":"AlreadyExists","details":{"name":"a","kind":"configmaps"},"code":409}"#
        ]],
    );
    let nowhere = post(&client, "/api/v1/namespaces/none/configmaps", &object).await;
    check(
        &nowhere,
        expect![[
            r#"404 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"namespaces \"none\" not found","reason":"NotFound","details":{"name":"none","kind":"namespaces"},"code":404}"#
        ]],
    );
}

#[tokio::test]
async fn writes_that_were_overtaken() {
    let (_server, client) = world().await;
    let made = post(&client, CONFIG_MAPS, &json!({"metadata": {"name": "a"}})).await.json();
    let mut changed = made.clone();
    changed["data"] = json!({"k": "v"});
    let path = format!("{CONFIG_MAPS}/a");
    assert_eq!(
        send(&client, "PUT", &path, "application/json", changed.to_string()).await.code,
        200
    );
    changed["data"] = json!({"k": "w"});
    let stale = send(&client, "PUT", &path, "application/json", changed.to_string()).await;
    check(
        &stale,
        expect![[
            r#"409 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again","reason":"Conflict","details":{"name":"a","kind":"configmaps"},"code":409}"#
        ]],
    );
    let patch = json!({"metadata": {"resourceVersion": "1"}, "data": {"k": "x"}}).to_string();
    assert_eq!(
        send(&client, "PATCH", &path, "application/merge-patch+json", patch).await.code,
        409
    );
    let options = json!({"preconditions": {"uid": "u"}}).to_string();
    let wrong = send(&client, "DELETE", &path, "application/json", options).await.json();
    assert!(wrong["message"].as_str().unwrap().starts_with("Operation cannot be fulfilled on configmaps \"a\": the UID in the precondition (u) does not match the UID in record ("));
}

#[tokio::test]
async fn objects_that_break_rules() {
    let (_server, client) = world().await;
    let deployment = json!({"metadata": {"name": "A"}, "spec": {"replicas": -1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "c"}}, "spec": {"containers": [{"name": "x"}]}}}});
    let answer = post(&client, "/apis/apps/v1/namespaces/default/deployments", &deployment).await;
    assert_eq!(answer.code, 422);
    let body = answer.json();
    expect![[r#"Deployment.apps "A" is invalid: [metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`, spec.template.spec.containers[0].image: Required value]"#]].assert_eq(body["message"].as_str().unwrap());
    assert_eq!(body["reason"], "Invalid");
    assert_eq!(
        body["details"]["causes"][3],
        json!({"reason": "FieldValueRequired", "message": "Required value", "field": "spec.template.spec.containers[0].image"})
    );
}

#[tokio::test]
async fn policies_that_break_rules() {
    let (_server, client) = world().await;
    let path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"}, "spec": {"podSelector": {}, "policyTypes": ["Foo"], "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]}});
    check(
        &post(&client, path, &policy).await,
        expect![[
            r#"422 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"NetworkPolicy.networking.k8s.io \"a\" is invalid: [spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"10.0.0.0/33\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64), spec.policyTypes[0]: Unsupported value: \"Foo\": supported values: \"Ingress\", \"Egress\"]","reason":"Invalid","details":{"name":"a","group":"networking.k8s.io","kind":"NetworkPolicy","causes":[{"reason":"FieldValueInvalid","message":"Invalid value: \"10.0.0.0/33\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)","field":"spec.ingress[0].from[0].ipBlock.cidr"},{"reason":"FieldValueNotSupported","message":"Unsupported value: \"Foo\": supported values: \"Ingress\", \"Egress\"","field":"spec.policyTypes[0]"}]},"code":422}"#
        ]],
    );
    let path = CLUSTER_POLICIES;
    let policy = json!({"metadata": {"name": "a"}, "spec": {"tier": "Foo", "priority": 2000, "subject": {}}});
    check(
        &post(&client, path, &policy).await,
        expect![[
            r#"422 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"ClusterNetworkPolicy.policy.networking.k8s.io \"a\" is invalid: [spec.priority: Invalid value: 2000: must be between 0 and 1000, spec.tier: Unsupported value: \"Foo\": supported values: \"Admin\", \"Baseline\", spec.subject: Required value: exactly one of `namespaces` and `pods` must be specified]","reason":"Invalid","details":{"name":"a","group":"policy.networking.k8s.io","kind":"ClusterNetworkPolicy","causes":[{"reason":"FieldValueInvalid","message":"Invalid value: 2000: must be between 0 and 1000","field":"spec.priority"},{"reason":"FieldValueNotSupported","message":"Unsupported value: \"Foo\": supported values: \"Admin\", \"Baseline\"","field":"spec.tier"},{"reason":"FieldValueRequired","message":"Required value: exactly one of `namespaces` and `pods` must be specified","field":"spec.subject"}]},"code":422}"#
        ]],
    );
    let fine = json!({"metadata": {"name": "a"}, "spec": {"tier": "Admin", "priority": 20, "subject": {"namespaces": {}}}});
    assert_eq!(post(&client, path, &fine).await.code, 201);
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let (_server, client) = world().await;
    let pb =
        send(&client, "POST", CONFIG_MAPS, "application/vnd.kubernetes.protobuf", "k8s\0").await;
    check(
        &pb,
        expect![[
            r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the object provided is unrecognized (must be of type ConfigMap): empty body (6b387300)","reason":"BadRequest","code":400}"#
        ]],
    );
    let pb =
        send(&client, "POST", CLUSTER_POLICIES, "application/vnd.kubernetes.protobuf", "k8s\0")
            .await;
    check(
        &pb,
        expect![[
            r#"415 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the body of the request was in an unknown format - accepted media types include: application/json, application/yaml","reason":"UnsupportedMediaType","code":415}"#
        ]],
    );
    let apply =
        send(&client, "PATCH", &format!("{CONFIG_MAPS}/a"), "application/apply-patch+yaml", "{}")
            .await;
    check(
        &apply,
        expect![[
            r#"422 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch","reason":"Invalid","details":{"group":"meta.k8s.io","kind":"PatchOptions","causes":[{"reason":"FieldValueRequired","message":"Required value: is required for apply patch","field":"fieldManager"}]},"code":422}"#
        ]],
    );
    let secret = post(
        &client,
        CONFIG_MAPS,
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
    )
    .await;
    check(
        &secret,
        expect![[
            r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion","reason":"BadRequest","code":400}"#
        ]],
    );
    let twice = r#"{"metadata":{"name":"a"},"data":{"a":"1","a":"2"},"foo":1}"#;
    let strict = send(
        &client,
        "POST",
        &format!("{CONFIG_MAPS}?fieldValidation=Strict"),
        "application/json",
        twice,
    )
    .await;
    check(
        &strict,
        expect![[
            r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"foo\", duplicate field \"data.a\"","reason":"BadRequest","code":400}"#
        ]],
    );
    let warned = send(&client, "POST", CONFIG_MAPS, "application/json", twice).await;
    assert_eq!(warned.code, 201);
    let warnings: Vec<&str> =
        warned.headers.get_all("warning").iter().map(|one| one.to_str().unwrap()).collect();
    assert_eq!(
        warnings,
        [r#"299 - "unknown field \"foo\"""#, r#"299 - "duplicate field \"data.a\"""#]
    );
    assert_eq!(warned.json().get("foo"), None, "a field that the type does not have is not kept");
    let silent = send(
        &client,
        "POST",
        &format!("{CONFIG_MAPS}?fieldValidation=Ignore&dryRun=All"),
        "application/json",
        twice.replace("\"a\"}", "\"b\"}"),
    )
    .await;
    assert_eq!((silent.code, silent.headers.get("warning")), (201, None));
    let typed = post(
        &client,
        "/apis/apps/v1/namespaces/default/deployments",
        &json!({"metadata": {"name": "a"}, "spec": {"replicas": "3"}}),
    )
    .await;
    check(
        &typed,
        expect![[
            r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32","reason":"BadRequest","code":400}"#
        ]],
    );
}

#[tokio::test]
async fn options_that_mean_nothing() {
    let (server, client) = world().await;
    let list = |query: &str| format!("/api/v1/pods?{query}");
    check(
        &get(&client, &list("watch=1&sendInitialEvents=true")).await,
        expect![[
            r#"422 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan","reason":"Invalid","details":{"group":"meta.k8s.io","kind":"ListOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan","field":"resourceVersionMatch"}]},"code":422}"#
        ]],
    );
    check(
        &get(&client, &list("fieldSelector=foo=1")).await,
        expect![[
            r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"field label not supported: foo","reason":"BadRequest","code":400}"#
        ]],
    );
    check(
        &get(&client, &list("continue=x")).await,
        expect![[
            r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"invalid continue token: continue key is not valid: Invalid input length: 1","reason":"BadRequest","code":400}"#
        ]],
    );
    let mut future =
        get(&client, &list("resourceVersion=99999999&resourceVersionMatch=NotOlderThan")).await;
    let current = format!("current: {}\"", server.store().revision());
    assert!(future.text.contains(&current), "{}", future.text);
    future.text = future.text.replace(&current, "current: NOW\"");
    check(
        &future,
        expect![[
            r#"504 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Timeout: Too large resource version: 99999999, current: NOW","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504}"#
        ]],
    );
    check(
        &get(&client, &list("unknown=1")).await,
        expect![[
            r#"400 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"query parameter \"unknown\" is not supported here: known are labelSelector, fieldSelector, limit, continue, resourceVersion, resourceVersionMatch, watch, allowWatchBookmarks, sendInitialEvents, timeoutSeconds, timeout, pretty, includeObject","reason":"BadRequest","code":400}"#
        ]],
    );
    let dry =
        post(&client, &format!("{CONFIG_MAPS}?dryRun=some"), &json!({"metadata": {"name": "a"}}))
            .await;
    assert_eq!((dry.code, &dry.json()["reason"]), (422, &json!("Invalid")));
}

#[tokio::test]
async fn users_without_rights() {
    let server = server().await;
    let jane = client(&server.kubeconfig_of("jane", Some("dev")).unwrap()).await;
    check(
        &get(&jane, "/api/v1/namespaces/default/pods").await,
        expect![[
            r#"403 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"","reason":"Forbidden","details":{"kind":"pods"},"code":403}"#
        ]],
    );
    check(
        &get(&jane, "/apis/apps/v1/namespaces/default/deployments/x").await,
        expect![[
            r#"403 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"x\" is forbidden: User \"jane\" cannot get resource \"deployments\" in API group \"apps\" in the namespace \"default\"","reason":"Forbidden","details":{"name":"x","group":"apps","kind":"deployments"},"code":403}"#
        ]],
    );
    check(
        &get(&jane, "/metrics").await,
        expect![[
            r#"403 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \"jane\" cannot get path \"/metrics\"","reason":"Forbidden","details":{},"code":403}"#
        ]],
    );
    let review = json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}});
    let answer =
        post(&jane, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await;
    assert_eq!((answer.code, &answer.json()["status"]), (201, &json!({"allowed": false})));
    let who =
        post(&jane, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).await.json();
    let info = &who["status"]["userInfo"];
    assert_eq!(
        (&info["username"], &info["groups"]),
        (&json!("jane"), &json!(["dev", "system:authenticated"]))
    );
    let credential = info["extra"]["authentication.kubernetes.io/credential-id"][0].as_str();
    assert!(credential.is_some_and(|id| id.starts_with("X509SHA256=") && id.len() == 75));
}
