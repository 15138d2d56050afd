//! ValidatingAdmissionPolicies, and kinds that stand for parts of the API itself.

use crate::common::kubectl::Kubectl;
use crate::common::{CONFIG_MAPS, answer, client, get, post, send, server};
use expect_test::expect;
use hyper::Request;
use kube::client::Body;
use serde_json::{Value, json};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

fn policy(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    let rules = json!({"resourceRules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["configmaps"],
    }]});
    if spec["matchConstraints"].is_null() {
        spec["matchConstraints"] = rules;
    }
    json!({"metadata": {"name": name}, "spec": spec})
}

fn binding(name: &str, policy: &str, actions: &[&str]) -> Value {
    json!({"metadata": {"name": name}, "spec": {"policyName": policy, "validationActions": actions}})
}

#[tokio::test]
async fn policies_deny_warn_and_leave_others_alone() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let make = async |path: &str, body: Value| {
        let answer = post(&admin, path, &body).await;
        assert_eq!(answer.code, 201, "{}", answer.text);
        answer
    };
    let spec = json!({
        "matchConditions": [{"name": "not-system", "expression": "request.namespace != 'kube-system'"}],
        "variables": [{"name": "size", "expression": "has(object.data) ? object.data.size() : 0"}, {"name": "wrong", "expression": "object.none.at.all"}],
        "validations": [
            {"expression": "request.operation == 'DELETE' || variables.size < 2", "messageExpression": "'%d keys are too many'.format([variables.size])", "reason": "Forbidden"},
            {"expression": "request.operation != 'DELETE' || !('keep' in oldObject.metadata.labels)", "message": "kept"},
            {"expression": "request.operation != 'UPDATE' || has(object.data)"},
        ],
    });
    make(POLICIES, policy("few", spec)).await;
    // Without a binding it says nothing.
    let map = |name: &str, data: Value| json!({"metadata": {"name": name, "labels": {"keep": "1"}}, "data": data});
    let two = json!({"a": "1", "b": "2"});
    make(CONFIG_MAPS, map("before", two.clone())).await;
    make(BINDINGS, binding("few", "few", &["Deny"])).await;
    make(CONFIG_MAPS, map("one", json!({"a": "1"}))).await;
    make("/api/v1/namespaces/kube-system/configmaps", map("two", two.clone())).await;
    make(
        "/api/v1/namespaces/default/secrets",
        json!({"metadata": {"name": "two"}, "data": {"a": "", "b": ""}}),
    )
    .await;
    let mut told = String::new();
    let refused = post(&admin, CONFIG_MAPS, &map("two", two.clone())).await;
    told.push_str(&format!("{} {}\n", refused.code, refused.text));
    let deleted = send(&admin, "DELETE", &format!("{CONFIG_MAPS}/one"), "", "").await;
    told.push_str(&format!("{} {}\n", deleted.code, deleted.json()["message"]));
    let merge = "application/merge-patch+json";
    let emptied =
        send(&admin, "PATCH", &format!("{CONFIG_MAPS}/one"), merge, r#"{"data":null}"#).await;
    told.push_str(&format!("{} {}\n", emptied.code, emptied.json()["message"]));
    // An error is a denial, unless the policy says otherwise.
    make(
        POLICIES,
        policy(
            "broken",
            json!({"validations": [{"expression": "object.metadata.annotations.x == 'y'"}]}),
        ),
    )
    .await;
    make(BINDINGS, binding("broken", "broken", &["Deny"])).await;
    let broken = post(&admin, CONFIG_MAPS, &map("three", json!({}))).await;
    told.push_str(&format!("{} {}\n", broken.code, broken.json()["message"]));
    let ignore = send(
        &admin,
        "PATCH",
        &format!("{POLICIES}/broken"),
        merge,
        r#"{"spec":{"failurePolicy":"Ignore"}}"#,
    )
    .await;
    assert_eq!(ignore.code, 200, "{}", ignore.text);
    make(CONFIG_MAPS, map("three", json!({}))).await;
    // Warnings, and bindings that choose.
    make(POLICIES, policy("named", json!({"validations": [{"expression": "object.metadata.name.startsWith('x')", "message": "call it x"}]}))).await;
    let mut warn = binding("named", "named", &["Warn", "Audit"]);
    warn["spec"]["matchResources"] = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}, "objectSelector": {"matchExpressions": [{"key": "keep", "operator": "Exists"}]}});
    make(BINDINGS, warn).await;
    let warned = make(CONFIG_MAPS, map("four", json!({}))).await;
    told.push_str(&format!("{:?}\n", warned.headers.get("warning")));
    let other = make(CONFIG_MAPS, json!({"metadata": {"name": "five"}})).await;
    assert_eq!(other.headers.get("warning"), None);
    expect![[r#"
        403 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps \"two\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'few' denied request: 2 keys are too many","reason":"Forbidden","details":{"name":"two","kind":"configmaps","causes":[{"message":"ValidatingAdmissionPolicy 'few' with binding 'few' denied request: 2 keys are too many"}]},"code":403}
        422 "configmaps \"one\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'few' denied request: kept"
        422 "configmaps \"one\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'few' denied request: failed expression: request.operation != 'UPDATE' || has(object.data)"
        422 "configmaps \"three\" is forbidden: ValidatingAdmissionPolicy 'broken' with binding 'broken' denied request: expression 'object.metadata.annotations.x == 'y'' resulted in error: no such key: annotations"
        Some("299 - \"Validation failed for ValidatingAdmissionPolicy 'named' with binding 'named': call it x\"")
    "#]].assert_eq(&told);
}

#[tokio::test]
async fn policies_that_are_none_are_refused() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let mut told = String::new();
    for (path, body) in [
        (
            POLICIES,
            policy(
                "a",
                json!({"validations": [{"expression": "object.x =="}, {"expression": "1"}, {"expression": "shout(object)"}, {"expression": "variables.x"}, {"expression": "authorizer.path('/').check('get').allowed()"}]}),
            ),
        ),
        (
            POLICIES,
            policy(
                "a",
                json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "validations": [{"expression": "true"}]}),
            ),
        ),
        (
            POLICIES,
            policy(
                "a",
                json!({"failurePolicy": "Maybe", "matchConstraints": {"resourceRules": [{"resources": ["pods/exec"]}]}}),
            ),
        ),
        (BINDINGS, binding("b", "", &["Deny", "Warn", "Shout"])),
    ] {
        let answer = post(&admin, path, &body).await;
        assert_eq!(answer.code, 422, "{}", answer.text);
        for cause in answer.json()["details"]["causes"].as_array().unwrap() {
            told.push_str(&format!("{}: {}\n", cause["field"], cause["message"].as_str().unwrap()));
        }
    }
    expect![[r#"
        "spec.validations[0].expression": Invalid value: "object.x ==": compilation failed: ERROR: <input>:1:12: Syntax error: mismatched input '<EOF>' expecting an expression
         | object.x ==
         | ...........^
        "spec.validations[1].expression": Invalid value: "1": must evaluate to bool
        "spec.validations[2].expression": Invalid value: "shout(object)": compilation failed: ERROR: <input>:1:1: undeclared reference to 'shout' (in container '')
         | shout(object)
         | ^
        "spec.validations[3].expression": Invalid value: "variables.x": compilation failed: ERROR: <input>:1:10: undefined field 'x'
         | variables.x
         | .........^
        "spec.validations[4].expression": Invalid value: "authorizer.path('/').check('get').allowed()": compilation failed: ERROR: <input>:1:1: undeclared reference to 'authorizer' (in container '')
         | authorizer.path('/').check('get').allowed()
         | ^
        ERROR: <input>:1:11: undeclared reference to 'path' (in container '')
         | authorizer.path('/').check('get').allowed()
         | ..........^
        ERROR: <input>:1:21: undeclared reference to 'check' (in container '')
         | authorizer.path('/').check('get').allowed()
         | ....................^
        ERROR: <input>:1:34: undeclared reference to 'allowed' (in container '')
         | authorizer.path('/').check('get').allowed()
         | .................................^
        "spec.paramKind": Forbidden: parameters are not supported by this server
        "spec.failurePolicy": Unsupported value: "Maybe": supported values: "Fail", "Ignore"
        "spec.matchConstraints.resourceRules[0].operations": Required value
        "spec.matchConstraints.resourceRules[0].apiGroups": Required value
        "spec.matchConstraints.resourceRules[0].apiVersions": Required value
        "spec.matchConstraints.resourceRules[0].resources[0]": Invalid value: "pods/exec": policies are held against objects and their status by this server
        "spec.validations": Required value: validations or auditAnnotations must contain at least one item
        "spec.policyName": Required value
        "spec.validationActions[2]": Unsupported value: "Shout": supported values: "Audit", "Deny", "Warn"
        "spec.validationActions": Invalid value: ["Deny","Warn","Shout"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)
    "#]].assert_eq(&told);
}

#[tokio::test]
async fn parts_of_the_api_are_objects() {
    let Some(kubectl) = Kubectl::new("parts").await else { return };
    std::fs::write(kubectl.dir.join("remote.yaml"), "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1beta1.metrics.k8s.io}\nspec: {group: metrics.k8s.io, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, service: {name: m, namespace: kube-system}}\n").unwrap();
    std::fs::write(kubectl.dir.join("flow.yaml"), "apiVersion: flowcontrol.apiserver.k8s.io/v1\nkind: FlowSchema\nmetadata: {name: mine}\nspec: {matchingPrecedence: 500, priorityLevelConfiguration: {name: exempt}}\n").unwrap();
    kubectl
        .check(
            &[
                "get apiservices v1.apps v1.",
                "create -f remote.yaml",
                "get prioritylevelconfigurations",
                "get flowschemas catch-all exempt",
                "create -f flow.yaml",
                "get flowschema mine",
                "get validatingadmissionpolicies",
            ],
            expect![[r#"
                $ kubectl get apiservices v1.apps v1.
                NAME   SERVICE   AVAILABLE   AGE
                v1.apps   Local   True   AGE
                v1.   Local   True   AGE
                $ kubectl create -f remote.yaml
                ! The APIService "v1beta1.metrics.k8s.io" is invalid: spec.service: Forbidden: API servers besides this one are not supported by it
                exit 1
                $ kubectl get prioritylevelconfigurations
                NAME   TYPE   NOMINALCONCURRENCYSHARES   QUEUES   HANDSIZE   QUEUELENGTHLIMIT   AGE
                catch-all   Limited   5   <none>   <none>   <none>   AGE
                exempt   Exempt   <none>   <none>   <none>   <none>   AGE
                $ kubectl get flowschemas catch-all exempt
                NAME   PRIORITYLEVEL   MATCHINGPRECEDENCE   DISTINGUISHERMETHOD   AGE   MISSINGPL
                catch-all   catch-all   10000   ByUser   AGE   ?
                exempt   exempt   1   <none>   AGE   ?
                $ kubectl create -f flow.yaml
                flowschema.flowcontrol.apiserver.k8s.io/mine created
                $ kubectl get flowschema mine
                NAME   PRIORITYLEVEL   MATCHINGPRECEDENCE   DISTINGUISHERMETHOD   AGE   MISSINGPL
                mine   exempt   500   <none>   AGE   ?
                $ kubectl get validatingadmissionpolicies
                ! No resources found
            "#]],
        )
        .await;
}

#[tokio::test]
async fn the_api_is_described_in_v2() {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let whole = get(&admin, "/openapi/v2").await;
    assert_eq!(
        (whole.code, whole.headers["content-type"].to_str().unwrap()),
        (200, "application/json")
    );
    let body = whole.json();
    let pods = &body["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"];
    assert_eq!(pods["parameters"][0]["name"], "namespace");
    assert_eq!(
        body["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["$ref"],
        "#/definitions/io.k8s.api.core.v1.PodSpec"
    );
    let request = Request::get("/openapi/v2")
        .header("if-none-match", whole.headers["etag"].to_str().unwrap());
    assert_eq!(answer(&admin, request.body(Body::empty()).unwrap()).await.code, 304);
    // kubectl of before v3 reads it in protobuf, and validates and explains by it.
    for version in ["1.27", "1.28"] {
        let program = format!("/usr/lib/google-cloud-sdk/bin/kubectl.{version}");
        if !std::path::Path::new(&program).exists() {
            eprintln!("NOT EXERCISED: no kubectl {version} here");
            continue;
        }
        let file = std::env::temp_dir().join(format!("moat-v2-{}-{version}", std::process::id()));
        std::fs::write(&file, server.kubeconfig()).unwrap();
        let output = tokio::process::Command::new(&program)
            .args([
                "--kubeconfig",
                file.to_str().unwrap(),
                "explain",
                "deployment.spec.strategy.type",
            ])
            .env("KUBECTL_EXPLAIN_OPENAPIV3", "false")
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("Type of deployment"),
            "{version}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::remove_file(&file).unwrap();
    }
}
