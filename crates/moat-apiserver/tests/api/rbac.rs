//! Who may do what, through the server: bootstrap roles, roles and bindings of users, aggregation, escalation, reviews.

use crate::common::{Answer, CONFIG_MAPS, client, get, post, send, server};
use expect_test::{Expect, expect};
use kube::Client;
use moat_apiserver::{Options, Running, Server};
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const IN_DEFAULT: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";

/// A server, its administrator, and a user in a group.
async fn world() -> (Running, Client, Client) {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    let jane = client(&server.kubeconfig_of("jane", Some("dev")).unwrap()).await;
    (server, admin, jane)
}

async fn made(client: &Client, path: &str, body: &Value) -> Value {
    let answer = post(client, path, body).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    answer.json()
}

fn binding(name: &str, kind: &str, role: &str, subject: &Value) -> Value {
    json!({"metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}, "subjects": [subject]})
}

fn jane() -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"})
}

/// Gives jane a ClusterRole in the namespace `default`.
async fn give(admin: &Client, role: &str) {
    let path = format!("{IN_DEFAULT}/rolebindings");
    made(admin, &path, &binding(role, "ClusterRole", role, &jane())).await;
}

fn message(answer: &Answer) -> String {
    answer.json()["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn rights_come_and_go_with_bindings() {
    let (_server, admin, jane_client) = world().await;
    let denied = get(&jane_client, CONFIG_MAPS).await;
    expect![[r#"403 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"","reason":"Forbidden","details":{"kind":"configmaps"},"code":403}"#]]
        .assert_eq(&format!("{} {}", denied.code, denied.text));
    give(&admin, "view").await;
    assert_eq!(get(&jane_client, CONFIG_MAPS).await.code, 200);
    assert_eq!(get(&jane_client, "/api/v1/namespaces/kube-system/configmaps").await.code, 403);
    assert_eq!(get(&jane_client, "/api/v1/namespaces/default/secrets").await.code, 403);
    assert_eq!(get(&jane_client, "/api/v1/configmaps").await.code, 403);
    let body = json!({"metadata": {"name": "a"}});
    assert_eq!(post(&jane_client, CONFIG_MAPS, &body).await.code, 403);
    give(&admin, "edit").await;
    assert_eq!(post(&jane_client, CONFIG_MAPS, &body).await.code, 201);
    for name in ["view", "edit"] {
        let path = format!("{IN_DEFAULT}/rolebindings/{name}");
        assert_eq!(send(&admin, "DELETE", &path, "", "").await.code, 200);
    }
    assert_eq!(get(&jane_client, CONFIG_MAPS).await.code, 403);
}

#[tokio::test]
async fn rules_name_objects_parts_and_paths() {
    let (_server, admin, jane_client) = world().await;
    let rules = json!([
        {"verbs": ["get", "update"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"]},
        {"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments/status"]},
    ]);
    made(
        &admin,
        &format!("{IN_DEFAULT}/roles"),
        &json!({"metadata": {"name": "r"}, "rules": rules}),
    )
    .await;
    let group = json!({"kind": "Group", "name": "dev"});
    made(&admin, &format!("{IN_DEFAULT}/rolebindings"), &binding("r", "Role", "r", &group)).await;
    let code = async |path: &str| get(&jane_client, path).await.code;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    assert_eq!(code(&format!("{CONFIG_MAPS}/a")).await, 404);
    assert_eq!(code(&format!("{CONFIG_MAPS}/b")).await, 403);
    assert_eq!(code(CONFIG_MAPS).await, 403);
    assert_eq!(code(&format!("{deployments}/a/status")).await, 404);
    assert_eq!(code(&format!("{deployments}/a")).await, 403);
    expect![[r#"deployments.apps "a" is forbidden: User "jane" cannot get resource "deployments/scale" in API group "apps" in the namespace "default""#]]
        .assert_eq(&message(&get(&jane_client, &format!("{deployments}/a/scale")).await));
    let urls = json!([{"verbs": ["get"], "nonResourceURLs": ["/openid/*"]}]);
    assert_eq!(code("/openid/v1/jwks").await, 403);
    made(
        &admin,
        &format!("{RBAC}/clusterroles"),
        &json!({"metadata": {"name": "u"}, "rules": urls}),
    )
    .await;
    made(
        &admin,
        &format!("{RBAC}/clusterrolebindings"),
        &binding("u", "ClusterRole", "u", &jane()),
    )
    .await;
    assert_eq!(code("/openid/v1/jwks").await, 200);
}

#[tokio::test]
async fn a_binding_to_no_role_says_so() {
    let (_server, admin, jane_client) = world().await;
    made(&admin, &format!("{IN_DEFAULT}/rolebindings"), &binding("r", "Role", "gone", &jane()))
        .await;
    expect![[r#"configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default": RBAC: role.rbac.authorization.k8s.io "gone" not found"#]]
        .assert_eq(&message(&get(&jane_client, CONFIG_MAPS).await));
}

#[tokio::test]
async fn roles_gather_by_labels_at_once_and_show_it() {
    let (_server, admin, jane_client) = world().await;
    give(&admin, "view").await;
    assert_eq!(get(&jane_client, "/api/v1/namespaces/default/secrets").await.code, 403);
    let role = json!({
        "metadata": {"name": "secret-reader", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}],
    });
    made(&admin, &format!("{RBAC}/clusterroles"), &role).await;
    assert_eq!(get(&jane_client, "/api/v1/namespaces/default/secrets").await.code, 200);
    // What the role shows follows soon, in those that gather it and those that gather these.
    for name in ["view", "edit", "admin"] {
        let path = format!("{RBAC}/clusterroles/{name}");
        let shown = async || {
            let role = get(&admin, &path).await.json();
            let rules = role["rules"].as_array().unwrap().clone();
            rules.contains(&json!({"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}))
        };
        let soon = async {
            while !shown().await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), soon).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_gives_what_they_do_not_have() {
    let (_server, admin, jane_client) = world().await;
    give(&admin, "admin").await;
    let roles = format!("{IN_DEFAULT}/roles");
    let bindings = format!("{IN_DEFAULT}/rolebindings");
    let role = |name: &str, rule: Value| json!({"metadata": {"name": name}, "rules": [rule]});
    let pods = json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]});
    made(&jane_client, &roles, &role("own", pods)).await;
    let check = |answer: Answer, want: Expect| {
        want.assert_eq(&format!("{} {}", answer.code, message(&answer)));
    };
    let nodes =
        json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["nodes", "pods"]});
    check(
        post(&jane_client, &roles, &role("more", nodes.clone())).await,
        expect![[r#"
            403 roles.rbac.authorization.k8s.io "more" is forbidden: user "jane" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
            {APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}"#]],
    );
    // Nor by way of a role that exists, whoever made it.
    made(&admin, &roles, &role("more", nodes)).await;
    check(
        post(&jane_client, &bindings, &binding("more", "Role", "more", &jane())).await,
        expect![[r#"
            403 rolebindings.rbac.authorization.k8s.io "more" is forbidden: user "jane" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
            {APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}"#]],
    );
    check(
        post(&jane_client, &bindings, &binding("all", "ClusterRole", "cluster-admin", &jane()))
            .await,
        expect![[r#"
            403 rolebindings.rbac.authorization.k8s.io "all" is forbidden: user "jane" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
            {APIGroups:["*"], Resources:["*"], Verbs:["*"]}
            {NonResourceURLs:["*"], Verbs:["*"]}"#]],
    );
    check(
        post(&jane_client, &bindings, &binding("none", "Role", "none", &jane())).await,
        expect![[r#"404 roles.rbac.authorization.k8s.io "none" not found"#]],
    );
    // By a change either.
    let patch = json!({"rules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}]});
    check(
        send(
            &jane_client,
            "PATCH",
            &format!("{roles}/own"),
            "application/merge-patch+json",
            patch.to_string(),
        )
        .await,
        expect![[r#"
            403 roles.rbac.authorization.k8s.io "own" is forbidden: user "jane" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
            {APIGroups:[""], Resources:["pods"], Verbs:["*"]}"#]],
    );
    // Dry runs say the same.
    let dry = post(
        &jane_client,
        &format!("{roles}?dryRun=All"),
        &role("x", json!({"verbs": ["get"], "apiGroups": [""], "resources": ["nodes"]})),
    )
    .await;
    assert_eq!(dry.code, 403);
    // Who may bind a role needs not hold it, and who may escalate may define any.
    let rules = json!([
        {"verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "resourceNames": ["system:node"]},
        {"verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"]},
    ]);
    made(&admin, &roles, &json!({"metadata": {"name": "giver"}, "rules": rules})).await;
    made(&admin, &bindings, &binding("giver", "Role", "giver", &jane())).await;
    made(&jane_client, &bindings, &binding("node", "ClusterRole", "system:node", &jane())).await;
    made(
        &jane_client,
        &roles,
        &role("any", json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})),
    )
    .await;
}

#[tokio::test]
async fn gathering_needs_everything() {
    let (_server, admin, jane_client) = world().await;
    let rules = json!([{"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles/x", "clusterroles"], "resourceNames": []}, {"verbs": ["create"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"]}]);
    let only_create = json!([rules[1]]);
    made(
        &admin,
        &format!("{RBAC}/clusterroles"),
        &json!({"metadata": {"name": "c"}, "rules": only_create}),
    )
    .await;
    made(
        &admin,
        &format!("{RBAC}/clusterrolebindings"),
        &binding("c", "ClusterRole", "c", &jane()),
    )
    .await;
    let gathering = json!({"metadata": {"name": "g"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}});
    let answer = post(&jane_client, &format!("{RBAC}/clusterroles"), &gathering).await;
    expect![[r#"clusterroles.rbac.authorization.k8s.io "g" is forbidden: must have cluster-admin privileges to use the aggregationRule"#]]
        .assert_eq(&message(&answer));
}

#[tokio::test]
async fn roles_and_bindings_are_checked() {
    let (_server, admin, _) = world().await;
    let check = async |path: &str, body: Value, want: Expect| {
        want.assert_eq(&message(&post(&admin, path, &body).await));
    };
    let (roles, bindings) = (format!("{IN_DEFAULT}/roles"), format!("{IN_DEFAULT}/rolebindings"));
    check(&roles, json!({"metadata": {"name": "r"}, "rules": [{"apiGroups": [""]}]}), expect![[r#"Role.rbac.authorization.k8s.io "r" is invalid: [rules[0].verbs: Required value: verbs must contain at least one value, rules[0].resources: Required value: resource rules must supply at least one resource]"#]]).await;
    check(&roles, json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}), expect![[r#"Role.rbac.authorization.k8s.io "r" is invalid: rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs"#]]).await;
    check(&bindings, binding("b", "Pod", "r", &json!({"kind": "Robot", "name": "r2"})), expect![[r#"RoleBinding.rbac.authorization.k8s.io "b" is invalid: [roleRef.kind: Unsupported value: "Pod": supported values: "Role", "ClusterRole", subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"]"#]]).await;
    check(&format!("{RBAC}/clusterrolebindings"), binding("b", "Role", "r", &json!({"kind": "ServiceAccount", "name": "x"})), expect![[r#"ClusterRoleBinding.rbac.authorization.k8s.io "b" is invalid: [roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole", subjects[0].namespace: Required value]"#]]).await;
    made(&admin, &bindings, &binding("b", "ClusterRole", "view", &jane())).await;
    let change = send(
        &admin,
        "PATCH",
        &format!("{bindings}/b"),
        "application/merge-patch+json",
        r#"{"roleRef":{"name":"edit"}}"#,
    )
    .await;
    expect![[r#"RoleBinding.rbac.authorization.k8s.io "b" is invalid: roleRef: Invalid value: {"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"}: cannot change roleRef"#]].assert_eq(&message(&change));
}

#[tokio::test]
async fn reviews_answer_as_requests_do() {
    let (_server, admin, jane_client) = world().await;
    give(&admin, "view").await;
    let base = "/apis/authorization.k8s.io/v1";
    let attributes = |verb: &str, namespace: &str| json!({"verb": verb, "resource": "pods", "namespace": namespace});
    let own = async |spec: Value| {
        made(&jane_client, &format!("{base}/selfsubjectaccessreviews"), &json!({"spec": spec}))
            .await["status"]
            .to_string()
    };
    expect![[r#"{"allowed":true,"reason":"RBAC: allowed by RoleBinding \"view/default\" of ClusterRole \"view\" to User \"jane\""}"#]].assert_eq(&own(json!({"resourceAttributes": attributes("list", "default")})).await);
    assert_eq!(
        own(json!({"resourceAttributes": attributes("create", "default")})).await,
        r#"{"allowed":false}"#
    );
    assert_eq!(
        own(json!({"resourceAttributes": attributes("list", "other")})).await,
        r#"{"allowed":false}"#
    );
    expect![[r#"{"allowed":true,"reason":"RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \"system:discovery\" to Group \"system:authenticated\""}"#]].assert_eq(&own(json!({"nonResourceAttributes": {"verb": "get", "path": "/apis/apps"}})).await);
    // About others only who may ask.
    let about = json!({"spec": {"user": "jane", "groups": ["dev"], "resourceAttributes": attributes("list", "default")}});
    let reviews = format!("{base}/subjectaccessreviews");
    assert_eq!(post(&jane_client, &reviews, &about).await.code, 403);
    assert_eq!(made(&admin, &reviews, &about).await["status"]["allowed"], true);
    let local = format!("{base}/namespaces/default/localsubjectaccessreviews");
    assert_eq!(made(&admin, &local, &about).await["status"]["allowed"], true);
    let local = format!("{base}/namespaces/kube-system/localsubjectaccessreviews");
    expect![[r#"LocalSubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes.namespace: Invalid value: "default": must match metadata.namespace"#]].assert_eq(&message(&post(&admin, &local, &about).await));
    expect![[r#"SubjectAccessReview.authorization.k8s.io "" is invalid: [spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified, spec.user: Invalid value: "": at least one of user or group must be specified]"#]].assert_eq(&message(&post(&admin, &reviews, &json!({"spec": {}})).await));
    // What one may, listed.
    let rules = made(
        &jane_client,
        &format!("{base}/selfsubjectrulesreviews"),
        &json!({"spec": {"namespace": "default"}}),
    )
    .await;
    let rules = &rules["status"];
    assert_eq!(rules["incomplete"], false);
    let listed = rules["resourceRules"].as_array().unwrap();
    assert!(listed.contains(&json!({"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["namespaces"]})), "{rules}");
    assert!(rules["nonResourceRules"].to_string().contains("/openapi/*"), "{rules}");
}

/// Names of bootstrap roles, as `kubectl get clusterroles` lists them in every cluster.
#[tokio::test]
async fn every_cluster_has_the_usual_roles() {
    let (server, admin, _) = world().await;
    let listed = get(&admin, &format!("{RBAC}/clusterroles")).await.json();
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["metadata"]["name"].as_str().unwrap())
        .collect();
    for name in [
        "admin",
        "cluster-admin",
        "edit",
        "view",
        "system:basic-user",
        "system:discovery",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:node",
        "system:controller:deployment-controller",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    let view = get(&admin, &format!("{RBAC}/clusterroles/view")).await.json();
    assert_eq!(
        view["metadata"]["labels"],
        json!({"kubernetes.io/bootstrapping": "rbac-defaults", "rbac.authorization.k8s.io/aggregate-to-edit": "true"})
    );
    assert_eq!(
        view["metadata"]["annotations"],
        json!({"rbac.authorization.kubernetes.io/autoupdate": "true"})
    );
    assert_eq!(view["rules"].as_array().unwrap().len(), 11);
    // A cluster that starts again writes nothing, and repairs what was taken from a role, unless it is told not to.
    let store = server.store().clone();
    let basic = format!("{RBAC}/clusterroles/system:basic-user");
    let free = format!("{RBAC}/clusterroles/system:discovery");
    let patch = |body: &str| body.to_owned();
    let merge = "application/merge-patch+json";
    assert_eq!(send(&admin, "PATCH", &basic, merge, patch(r#"{"rules":[]}"#)).await.code, 200);
    let own = patch(
        r#"{"rules":[],"metadata":{"annotations":{"rbac.authorization.kubernetes.io/autoupdate":"false"}}}"#,
    );
    assert_eq!(send(&admin, "PATCH", &free, merge, own).await.code, 200);
    server.shutdown().await;
    let again = |store: moat_store::Store| {
        Server::start(Options { store: Some(store), ..Options::default() })
    };
    let second = again(store.clone()).await.unwrap();
    let admin = client(&second.kubeconfig()).await;
    assert_eq!(get(&admin, &basic).await.json()["rules"].as_array().unwrap().len(), 2);
    assert_eq!(get(&admin, &free).await.json()["rules"], json!(null));
    second.shutdown().await;
    let revision = store.revision();
    let third = again(store.clone()).await.unwrap();
    assert_eq!(store.revision(), revision);
    third.shutdown().await;
}
