//! What is admitted, what is added to it, and in which words the rest is refused.

use crate::common::{Answer, client, get, post, send, server};
use expect_test::{Expect, expect};
use kube::Client;
use moat_apiserver::Running;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const MERGE: &str = "application/merge-patch+json";

async fn world() -> (Running, Client) {
    let server = server().await;
    let admin = client(&server.kubeconfig()).await;
    (server, admin)
}

async fn made(client: &Client, path: &str, body: &Value) -> Value {
    let answer = post(client, path, body).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    answer.json()
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    for (key, value) in spec.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    pod
}

/// Code, message and warnings.
fn shown(answer: &Answer) -> String {
    let json = answer.json();
    let mut text = format!("{} {}\n", answer.code, json["message"].as_str().unwrap_or("-"));
    for warning in answer.headers.get_all("warning") {
        text += &format!("{}\n", warning.to_str().unwrap());
    }
    text
}

async fn check(client: &Client, path: &str, body: &Value, want: Expect) {
    want.assert_eq(&shown(&post(client, path, body).await));
}

#[tokio::test]
async fn pods_run_under_an_account_and_have_its_token() {
    let (_server, admin) = world().await;
    let made_pod =
        made(&admin, PODS, &pod("a", json!({"initContainers": [{"name": "i", "image": "i:1"}]})))
            .await;
    let volume = made_pod["spec"]["volumes"][0]["name"].as_str().unwrap().to_owned();
    assert!(volume.starts_with("kube-api-access-") && volume.len() == 21, "{volume}");
    let spec = json!({
        "account": made_pod["spec"]["serviceAccountName"], "old": made_pod["spec"]["serviceAccount"], "volumes": made_pod["spec"]["volumes"],
        "mounts": [made_pod["spec"]["containers"][0]["volumeMounts"], made_pod["spec"]["initContainers"][0]["volumeMounts"]],
    });
    expect![[r#"
        {
          "account": "default",
          "old": "default",
          "volumes": [
            {
              "name": "VOLUME",
              "projected": {
                "sources": [
                  {
                    "serviceAccountToken": {
                      "expirationSeconds": 3607,
                      "path": "token"
                    }
                  },
                  {
                    "configMap": {
                      "name": "kube-root-ca.crt",
                      "items": [
                        {
                          "key": "ca.crt",
                          "path": "ca.crt"
                        }
                      ]
                    }
                  },
                  {
                    "downwardAPI": {
                      "items": [
                        {
                          "path": "namespace",
                          "fieldRef": {
                            "apiVersion": "v1",
                            "fieldPath": "metadata.namespace"
                          }
                        }
                      ]
                    }
                  }
                ],
                "defaultMode": 420
              }
            }
          ],
          "mounts": [
            [
              {
                "name": "VOLUME",
                "readOnly": true,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"
              }
            ],
            [
              {
                "name": "VOLUME",
                "readOnly": true,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"
              }
            ]
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&spec).unwrap().replace(&volume, "VOLUME"));
    check(&admin, PODS, &pod("b", json!({"serviceAccountName": "none"})), expect![[r#"
        403 pods "b" is forbidden: error looking up service account default/none: serviceaccount "none" not found
    "#]]).await;
    check(&admin, &format!("{PODS}?dryRun=All"), &pod("b", json!({"serviceAccountName": "none"})), expect![[r#"
        403 pods "b" is forbidden: error looking up service account default/none: serviceaccount "none" not found
    "#]]).await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = json!({"metadata": {"name": "quiet"}, "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "registry"}]});
    made(&admin, accounts, &account).await;
    let quiet = made(&admin, PODS, &pod("c", json!({"serviceAccountName": "quiet"}))).await;
    assert_eq!(quiet["spec"]["volumes"], Value::Null);
    assert_eq!(quiet["spec"]["imagePullSecrets"], json!([{"name": "registry"}]));
    let loud =
        pod("d", json!({"serviceAccountName": "quiet", "automountServiceAccountToken": true}));
    assert_eq!(made(&admin, PODS, &loud).await["spec"]["volumes"].as_array().unwrap().len(), 1);
    let own = json!({"volumeMounts": [{"name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}], "name": "c", "image": "i:1"});
    let own = pod("e", json!({"containers": [own], "volumes": [{"name": "v", "emptyDir": {}}]}));
    assert_eq!(made(&admin, PODS, &own).await["spec"]["volumes"].as_array().unwrap().len(), 1);
    let strict = json!({"metadata": {"name": "strict", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}, "secrets": [{"name": "s"}]});
    made(&admin, accounts, &strict).await;
    let with = |name: &str| {
        pod(
            "f",
            json!({"serviceAccountName": "strict", "volumes": [{"name": "v", "secret": {"secretName": name}}]}),
        )
    };
    check(&admin, PODS, &with("other"), expect![[r#"
        403 pods "f" is forbidden: volume with secret.secretName="other" is not allowed because service account strict does not reference that secret
    "#]]).await;
    made(&admin, PODS, &with("s")).await;
}

#[tokio::test]
async fn every_namespace_has_an_account_from_its_first_moment() {
    let (server, admin) = world().await;
    let before = server.store().revision();
    made(&admin, "/api/v1/namespaces", &json!({"metadata": {"name": "shop"}})).await;
    assert_eq!(server.store().revision(), before + 2, "both are one transaction");
    for namespace in ["shop", "default", "kube-system"] {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        assert_eq!(get(&admin, &path).await.code, 200, "{namespace}");
    }
    let dry =
        post(&admin, "/api/v1/namespaces?dryRun=All", &json!({"metadata": {"name": "x"}})).await;
    assert_eq!(dry.code, 201);
    assert_eq!(get(&admin, "/api/v1/namespaces/x/serviceaccounts/default").await.code, 404);
}

#[tokio::test]
async fn priorities_are_those_of_classes() {
    let (_server, admin) = world().await;
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let made_pod = made(&admin, PODS, &pod("a", json!({}))).await;
    assert_eq!(
        (&made_pod["spec"]["priority"], &made_pod["spec"]["preemptionPolicy"]),
        (&json!(0), &json!("PreemptLowerPriority"))
    );
    let critical =
        made(&admin, PODS, &pod("b", json!({"priorityClassName": "system-node-critical"}))).await;
    assert_eq!(critical["spec"]["priority"], 2_000_001_000);
    check(
        &admin,
        PODS,
        &pod("c", json!({"priorityClassName": "none"})),
        expect![[r#"
        403 pods "c" is forbidden: no PriorityClass with name none was found
    "#]],
    )
    .await;
    check(&admin, PODS, &pod("c", json!({"priority": 7})), expect![[r#"
        403 pods "c" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name
    "#]]).await;
    made(&admin, classes, &json!({"metadata": {"name": "usual"}, "value": 5, "globalDefault": true, "preemptionPolicy": "Never"})).await;
    let usual = made(&admin, PODS, &pod("d", json!({}))).await["spec"].clone();
    assert_eq!(
        (&usual["priorityClassName"], &usual["priority"], &usual["preemptionPolicy"]),
        (&json!("usual"), &json!(5), &json!("Never"))
    );
    check(&admin, classes, &json!({"metadata": {"name": "other"}, "value": 6, "globalDefault": true}), expect![[r#"
        403 priorityclasses.scheduling.k8s.io "other" is forbidden: PriorityClass usual is already marked as default. Only one default can exist
    "#]]).await;
    check(&admin, classes, &json!({"metadata": {"name": "high"}, "value": 1_000_000_001}), expect![[r#"
        422 PriorityClass.scheduling.k8s.io "high" is invalid: value: Forbidden: maximum allowed value of a user defined priority is 1000000000
    "#]]).await;
    check(&admin, classes, &json!({"metadata": {"name": "system-x"}, "value": 1}), expect![[r#"
        422 PriorityClass.scheduling.k8s.io "system-x" is invalid: metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class
    "#]]).await;
}

#[tokio::test]
async fn limit_ranges_complete_and_refuse() {
    let (_server, admin) = world().await;
    let ranges = "/api/v1/namespaces/default/limitranges";
    let container = json!({"type": "Container", "min": {"cpu": "100m", "memory": "64Mi"}, "max": {"cpu": "2", "memory": "1Gi"}, "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "200m"}, "maxLimitRequestRatio": {"cpu": "4"}});
    let whole = json!({"type": "Pod", "max": {"cpu": "3"}});
    let claim = json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}});
    made(
        &admin,
        ranges,
        &json!({"metadata": {"name": "r"}, "spec": {"limits": [container, whole, claim]}}),
    )
    .await;
    let plain = made(&admin, PODS, &pod("a", json!({}))).await;
    expect![[r#"{"requests":{"cpu":"200m","memory":"1Gi"},"limits":{"cpu":"500m","memory":"1Gi"}} "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c" "Burstable""#]].assert_eq(&format!(
        "{} {} {}",
        plain["spec"]["containers"][0]["resources"],
        plain["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        plain["status"]["qosClass"]
    ));
    let with = |name: &str, requests: Value, limits: Value| {
        let one = json!({"name": "c", "image": "i:1", "resources": {"requests": requests, "limits": limits}});
        pod(name, json!({"containers": [one]}))
    };
    check(
        &admin,
        PODS,
        &with("b", json!({"cpu": "50m"}), json!({"cpu": "4", "memory": "1Gi"})),
        expect![[r#"
            403 pods "b" is forbidden: [minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per Container is 2, but limit is 4, cpu max limit to request ratio per Container is 4, but provided ratio is 80.000000, maximum cpu usage per Pod is 3, but limit is 4]
        "#]],
    )
    .await;
    check(
        &admin,
        PODS,
        &with("b", json!({"cpu": "100m", "memory": "64Mi"}), json!({"cpu": "1", "memory": "1Gi"})),
        expect![[r#"
            403 pods "b" is forbidden: cpu max limit to request ratio per Container is 4, but provided ratio is 10.000000
        "#]],
    )
    .await;
    let two = json!({"containers": [
        {"name": "c", "image": "i:1", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}},
        {"name": "d", "image": "i:1", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}},
    ]});
    check(
        &admin,
        PODS,
        &pod("b", two),
        expect![[r#"
        403 pods "b" is forbidden: maximum cpu usage per Pod is 3, but limit is 4
    "#]],
    )
    .await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let claim = |size: &str| json!({"metadata": {"name": "p"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}});
    check(&admin, claims, &claim("10Gi"), expect![[r#"
        403 persistentvolumeclaims "p" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 10Gi
    "#]]).await;
    check(&admin, claims, &claim("512Mi"), expect![[r#"
        403 persistentvolumeclaims "p" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi
    "#]]).await;
    made(&admin, claims, &claim("2Gi")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn quotas_hold_whoever_is_faster() {
    let (_server, admin) = world().await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let quota =
        |name: &str, hard: Value| json!({"metadata": {"name": name}, "spec": {"hard": hard}});
    made(
        &admin,
        quotas,
        &quota("count", json!({"pods": "3", "count/configmaps": "1", "services.nodeports": "1"})),
    )
    .await;
    let tries: Vec<_> = (0..12)
        .map(|at| {
            let admin = admin.clone();
            tokio::spawn(async move {
                post(&admin, PODS, &pod(&format!("p{at}"), json!({}))).await.code
            })
        })
        .collect();
    let mut codes = Vec::new();
    for one in tries {
        codes.push(one.await.unwrap());
    }
    codes.sort_unstable();
    assert_eq!(codes, [[201; 3].as_slice(), &[403; 9]].concat());
    check(&admin, PODS, &pod("more", json!({})), expect![[r#"
        403 pods "more" is forbidden: exceeded quota: count, requested: pods=1, used: pods=3, limited: pods=3
    "#]]).await;
    check(&admin, &format!("{PODS}?dryRun=All"), &pod("more", json!({})), expect![[r#"
        403 pods "more" is forbidden: exceeded quota: count, requested: pods=1, used: pods=3, limited: pods=3
    "#]]).await;
    // A place that is free again can be taken.
    let list = get(&admin, PODS).await.json();
    let first = list["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    send(&admin, "DELETE", &format!("{PODS}/{first}?gracePeriodSeconds=0"), "", "").await;
    made(&admin, PODS, &pod("more", json!({}))).await;
    let maps = "/api/v1/namespaces/default/configmaps";
    made(&admin, maps, &json!({"metadata": {"name": "a"}})).await;
    check(&admin, maps, &json!({"metadata": {"name": "b"}}), expect![[r#"
        403 configmaps "b" is forbidden: exceeded quota: count, requested: count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1
    "#]]).await;
    let services = "/api/v1/namespaces/default/services";
    let service = |kind: &str| json!({"metadata": {"name": "s"}, "spec": {"type": kind, "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}});
    check(&admin, services, &service("NodePort"), expect![[r#"
        403 services "s" is forbidden: exceeded quota: count, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1
    "#]]).await;
    made(&admin, services, &service("ClusterIP")).await;
    let change =
        send(&admin, "PATCH", &format!("{services}/s"), MERGE, r#"{"spec":{"type":"NodePort"}}"#)
            .await;
    expect![[r#"
        403 services "s" is forbidden: exceeded quota: count, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1
    "#]].assert_eq(&shown(&change));
}

#[tokio::test]
async fn quotas_count_what_is_asked_for() {
    let (_server, admin) = world().await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let hard = json!({"requests.cpu": "1", "limits.memory": "1Gi"});
    made(&admin, quotas, &json!({"metadata": {"name": "q"}, "spec": {"hard": hard}})).await;
    check(&admin, PODS, &pod("a", json!({})), expect![[r#"
        403 pods "a" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c
    "#]]).await;
    let with = |name: &str, cpu: &str, memory: &str| {
        let one = json!({"name": "c", "image": "i:1", "resources": {"requests": {"cpu": cpu}, "limits": {"memory": memory}}});
        pod(name, json!({"containers": [one]}))
    };
    made(&admin, PODS, &with("a", "600m", "512Mi")).await;
    check(&admin, PODS, &with("b", "500m", "768Mi"), expect![[r#"
        403 pods "b" is forbidden: exceeded quota: q, requested: limits.memory=768Mi,requests.cpu=500m, used: limits.memory=512Mi,requests.cpu=600m, limited: limits.memory=1Gi,requests.cpu=1
    "#]]).await;
    made(&admin, PODS, &with("b", "400m", "512Mi")).await;
    // What has ended no longer counts.
    let ended = r#"{"status":{"phase":"Succeeded"}}"#;
    assert_eq!(send(&admin, "PATCH", &format!("{PODS}/a/status"), MERGE, ended).await.code, 200);
    made(&admin, PODS, &with("c", "600m", "512Mi")).await;
    let scoped = json!({"metadata": {"name": "best"}, "spec": {"hard": {"pods": "0"}, "scopes": ["BestEffort"]}});
    let other = "/api/v1/namespaces/kube-public/resourcequotas";
    made(&admin, other, &scoped).await;
    let pods = "/api/v1/namespaces/kube-public/pods";
    check(&admin, pods, &pod("a", json!({})), expect![[r#"
        403 pods "a" is forbidden: exceeded quota: best, requested: pods=1, used: pods=0, limited: pods=0
    "#]]).await;
    made(&admin, pods, &with("a", "1", "1Gi")).await;
}

#[tokio::test]
async fn levels_of_pod_security_are_kept() {
    let (_server, admin) = world().await;
    let namespace =
        |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
    let label = |mode: &str| format!("pod-security.kubernetes.io/{mode}");
    made(
        &admin,
        "/api/v1/namespaces",
        &namespace("base", json!({label("enforce"): "baseline", label("warn"): "restricted"})),
    )
    .await;
    made(
        &admin,
        "/api/v1/namespaces",
        &namespace(
            "strict",
            json!({label("enforce"): "restricted", label("enforce-version"): "v1.30"}),
        ),
    )
    .await;
    let bad = pod(
        "bad",
        json!({
            "hostNetwork": true, "hostPID": true, "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}], "seccompProfile": {"type": "Unconfined"}},
            "volumes": [{"name": "h", "hostPath": {"path": "/"}}],
            "containers": [
                {"name": "c", "image": "i:1", "ports": [{"containerPort": 80, "hostPort": 80}], "securityContext": {"privileged": true, "capabilities": {"add": ["NET_ADMIN", "SYS_TIME"]}}},
                {"name": "d", "image": "i:1", "securityContext": {"privileged": true, "procMount": "Unmasked", "seLinuxOptions": {"type": "spc_t", "user": "u"}, "appArmorProfile": {"type": "Unconfined"}, "windowsOptions": {"hostProcess": true}}},
            ],
        }),
    );
    check(&admin, "/api/v1/namespaces/base/pods", &bad, expect![[r#"
        403 pods "bad" is forbidden: violates PodSecurity "baseline:latest": forbidden AppArmor profile (container "d" must not set AppArmor profile type to "Unconfined"), non-default capabilities (container "c" must not include "NET_ADMIN", "SYS_TIME" in securityContext.capabilities.add), host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume "h"), hostPort (container "c" uses hostPort 80), privileged (containers "c", "d" must not set securityContext.privileged=true), procMount (container "d" must not set securityContext.procMount to "Unmasked"), seLinuxOptions (container "d" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set), seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined"), forbidden sysctls (kernel.msgmax), hostProcess (container "d" must not set securityContext.windowsOptions.hostProcess=true)
    "#]]).await;
    check(&admin, "/api/v1/namespaces/strict/pods", &bad, expect![[r#"
        403 pods "bad" is forbidden: violates PodSecurity "restricted:v1.30": forbidden AppArmor profile (container "d" must not set AppArmor profile type to "Unconfined"), host namespaces (hostNetwork=true, hostPID=true), hostPort (container "c" uses hostPort 80), privileged (containers "c", "d" must not set securityContext.privileged=true), procMount (container "d" must not set securityContext.procMount to "Unmasked"), seLinuxOptions (container "d" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set), forbidden sysctls (kernel.msgmax), hostProcess (container "d" must not set securityContext.windowsOptions.hostProcess=true), allowPrivilegeEscalation != false (containers "c", "d" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "c", "d" must set securityContext.capabilities.drop=["ALL"]; container "c" must not include "NET_ADMIN", "SYS_TIME" in securityContext.capabilities.add), restricted volume types (volume "h" uses restricted volume type "hostPath"), runAsNonRoot != true (pod or containers "c", "d" must set securityContext.runAsNonRoot=true), seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")
    "#]]).await;
    let plain = pod("plain", json!({}));
    check(&admin, "/api/v1/namespaces/base/pods", &plain, expect![[r#"
        201 -
        299 - "would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    "#]]).await;
    check(&admin, "/api/v1/namespaces/strict/pods", &plain, expect![[r#"
        403 pods "plain" is forbidden: violates PodSecurity "restricted:v1.30": allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")
    "#]]).await;
    check(&admin, "/api/v1/namespaces/strict/pods?dryRun=All", &plain, expect![[r#"
        403 pods "plain" is forbidden: violates PodSecurity "restricted:v1.30": allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")
    "#]]).await;
    let good = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "image": "i:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
    });
    check(
        &admin,
        "/api/v1/namespaces/strict/pods",
        &pod("good", good),
        expect![[r#"
        201 -
    "#]],
    )
    .await;
    let root = json!({
        "securityContext": {"runAsNonRoot": false, "runAsUser": 0},
        "containers": [{"name": "c", "image": "i:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CHOWN"]}}}],
        "volumes": [{"name": "n", "nfs": {"server": "s", "path": "/"}}],
    });
    check(&admin, "/api/v1/namespaces/strict/pods", &pod("root", root), expect![[r#"
        403 pods "root" is forbidden: violates PodSecurity "restricted:v1.30": unrestricted capabilities (container "c" must not include "CHOWN" in securityContext.capabilities.add), restricted volume types (volume "n" uses restricted volume type "nfs"), runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), runAsUser=0 (pod must not set runAsUser=0), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")
    "#]]).await;
    // Templates are warned of, not refused: their pods will be.
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}}});
    check(&admin, "/apis/apps/v1/namespaces/strict/deployments", &deployment, expect![[r#"
        201 -
        299 - "would violate PodSecurity \"restricted:v1.30\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    "#]]).await;
    check(
        &admin,
        "/api/v1/namespaces",
        &namespace("wrong", json!({label("enforce"): "strict", label("warn-version"): "1.30"})),
        expect![[r#"
            422 Namespace "wrong" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.30": must be "latest" or "v1.x"]
        "#]],
    )
    .await;
    let tighter = json!({"metadata": {"labels": {label("enforce"): "restricted"}}}).to_string();
    let change = send(&admin, "PATCH", "/api/v1/namespaces/base", MERGE, tighter).await;
    expect![[r#"
        200 -
        299 - "existing pods in namespace \"base\" violate the new PodSecurity enforce level \"restricted:latest\""
        299 - "plain: allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    "#]].assert_eq(&shown(&change));
}

#[tokio::test]
async fn classes_are_found_and_chosen() {
    let (_server, admin) = world().await;
    check(
        &admin,
        PODS,
        &pod("a", json!({"runtimeClassName": "none"})),
        expect![[r#"
        403 pods "a" is forbidden: pod rejected: RuntimeClass "none" not found
    "#]],
    )
    .await;
    let class = json!({"metadata": {"name": "kata"}, "handler": "kata", "overhead": {"podFixed": {"cpu": "100m"}}, "scheduling": {"nodeSelector": {"kata": "yes"}, "tolerations": [{"key": "kata", "operator": "Exists"}]}});
    made(&admin, "/apis/node.k8s.io/v1/runtimeclasses", &class).await;
    let kata =
        made(&admin, PODS, &pod("a", json!({"runtimeClassName": "kata"}))).await["spec"].clone();
    assert_eq!(
        (&kata["overhead"], &kata["nodeSelector"]),
        (&json!({"cpu": "100m"}), &json!({"kata": "yes"}))
    );
    assert!(
        kata["tolerations"]
            .as_array()
            .unwrap()
            .contains(&json!({"key": "kata", "operator": "Exists"}))
    );
    check(
        &admin,
        PODS,
        &pod("b", json!({"runtimeClassName": "kata", "nodeSelector": {"kata": "no"}})),
        expect![[r#"
            403 pods "b" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[kata] = yes; pod.spec.nodeSelector[kata] = no
        "#]],
    )
    .await;
    check(&admin, PODS, &pod("b", json!({"overhead": {"cpu": "1"}})), expect![[r#"
        403 pods "b" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead
    "#]]).await;
    let default =
        |mark: &str| json!({"metadata": {"name": "usual", "annotations": {mark: "true"}}});
    let mut ingress = default("ingressclass.kubernetes.io/is-default-class");
    ingress["spec"] = json!({"controller": "example.com/x"});
    made(&admin, "/apis/networking.k8s.io/v1/ingressclasses", &ingress).await;
    let mut storage = default("storageclass.kubernetes.io/is-default-class");
    storage["provisioner"] = json!("example.com/x");
    made(&admin, "/apis/storage.k8s.io/v1/storageclasses", &storage).await;
    let claim = json!({"metadata": {"name": "p"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let claim = made(&admin, "/api/v1/namespaces/default/persistentvolumeclaims", &claim).await;
    assert_eq!(claim["spec"]["storageClassName"], "usual");
    let ingress = json!({"metadata": {"name": "i"}, "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    let ingress =
        made(&admin, "/apis/networking.k8s.io/v1/namespaces/default/ingresses", &ingress).await;
    assert_eq!(ingress["spec"]["ingressClassName"], "usual");
}

#[tokio::test]
async fn nodes_write_what_is_theirs() {
    let (server, admin) = world().await;
    let node = client(&server.kubeconfig_of("system:node:n1", Some("system:nodes")).unwrap()).await;
    let nodes = "/api/v1/nodes";
    let own = made(
        &node,
        nodes,
        &json!({"metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux", "own": "1"}}}),
    )
    .await;
    assert_eq!(
        own["spec"]["taints"],
        json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
    );
    check(
        &node,
        nodes,
        &json!({"metadata": {"name": "n2"}}),
        expect![[r#"
        403 nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"
    "#]],
    )
    .await;
    made(&admin, nodes, &json!({"metadata": {"name": "n2"}})).await;
    let patch = async |path: &str, body: &str, want: Expect| {
        want.assert_eq(&shown(&send(&node, "PATCH", path, MERGE, body).await));
    };
    patch(
        "/api/v1/nodes/n2/status",
        r#"{"status":{"phase":"x"}}"#,
        expect![[r#"
        403 nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"
    "#]],
    )
    .await;
    patch(
        "/api/v1/nodes/n1",
        r#"{"spec":{"taints":[]}}"#,
        expect![[r#"
        403 nodes "n1" is forbidden: node "n1" is not allowed to modify taints
    "#]],
    )
    .await;
    patch(
        "/api/v1/nodes/n1",
        r#"{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}"#,
        expect![[r#"
            403 nodes "n1" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/control-plane
        "#]],
    )
    .await;
    patch(
        "/api/v1/nodes/n1",
        r#"{"metadata":{"labels":{"own":"2"}}}"#,
        expect![[r#"
        200 -
    "#]],
    )
    .await;
    for (name, place) in [("here", "n1"), ("there", "n2")] {
        made(&admin, PODS, &pod(name, json!({"nodeName": place}))).await;
    }
    let running = r#"{"status":{"phase":"Running"}}"#;
    patch(
        &format!("{PODS}/here/status"),
        running,
        expect![[r#"
        200 -
    "#]],
    )
    .await;
    patch(&format!("{PODS}/there/status"), running, expect![[r#"
        403 pods "there" is forbidden: node "n1" can only update pod status for pods with spec.nodeName set to itself
    "#]]).await;
    check(&node, PODS, &pod("x", json!({"nodeName": "n1"})), expect![[r#"
        403 pods "x" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods
    "#]]).await;
    let gone = send(&node, "DELETE", &format!("{PODS}/there"), "", "").await;
    expect![[r#"
        403 pods "there" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself
    "#]].assert_eq(&shown(&gone));
    assert_eq!(send(&node, "DELETE", &format!("{PODS}/here"), "", "").await.code, 200);
    let token = "/api/v1/namespaces/default/serviceaccounts/default/token";
    check(
        &node,
        token,
        &json!({}),
        expect![[r#"
        403 serviceaccounts "default" is forbidden: node requested token not bound to a pod
    "#]],
    )
    .await;
    let there = get(&admin, &format!("{PODS}/there")).await.json()["metadata"]["uid"].clone();
    let bound = json!({"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "there", "uid": there}}});
    check(&node, token, &bound, expect![[r#"
        403 serviceaccounts "default" is forbidden: node requested token bound to a pod scheduled on a different node
    "#]]).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    made(&node, leases, &json!({"metadata": {"name": "n1"}})).await;
    check(&node, leases, &json!({"metadata": {"name": "n2"}}), expect![[r#"
        403 leases.coordination.k8s.io "n2" is forbidden: can only access node lease with the same name as the requesting node
    "#]]).await;
    let nobody = client(&server.kubeconfig_of("n1", Some("system:nodes")).unwrap()).await;
    check(
        &nobody,
        nodes,
        &json!({"metadata": {"name": "n3"}}),
        expect![[r#"
            403 nodes is forbidden: User "n1" cannot create resource "nodes" in API group "" at the cluster scope
        "#]],
    )
    .await;
}
