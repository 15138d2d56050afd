//! Parts of objects with paths of their own, and kinds that are looked up or missing.

use crate::common::{Answer, client, get, post, send, server};
use expect_test::{Expect, expect};
use kube::Client;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";

fn shows(answer: &Answer, want: &Expect) {
    let text = answer.json()["message"].as_str().map(str::to_owned);
    let mut told = format!("{} {}", answer.code, text.unwrap_or_default());
    for warning in answer.headers.get_all("warning") {
        told = format!("{told}\nwarning: {}", warning.to_str().unwrap());
    }
    want.assert_eq(&told);
}

async fn strategic(client: &Client, path: &str, patch: Value) -> Answer {
    let kind = "application/strategic-merge-patch+json";
    send(client, "PATCH", path, kind, patch.to_string()).await
}

async fn pod(client: &Client) {
    let pod = json!({
        "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "c", "image": "i", "resources": { "requests": { "cpu": "0.5" }, "limits": { "cpu": 1 } } }] },
    });
    let made = post(client, PODS, &pod).await;
    assert_eq!(made.code, 201, "{}", made.text);
}

#[tokio::test]
async fn containers_are_added_to_a_pod_by_their_own_path_alone() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    pod(&client).await;
    let path = format!("{PODS}/p/ephemeralcontainers");
    let own = json!({ "spec": { "ephemeralContainers": [{ "name": "d", "image": "busybox", "targetContainerName": "c" }] } });
    let put = strategic(&client, &format!("{PODS}/p"), own.clone()).await;
    shows(
        &put,
        &expect![[
            r#"422 Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"#
        ]],
    );

    // What else is said there, of the spec or of the metadata, is not looked at.
    let mut more = own.clone();
    more["spec"]["containers"] = json!([{ "name": "c", "image": "other" }]);
    more["metadata"] = json!({ "labels": { "a": "b" } });
    let added = strategic(&client, &path, more).await;
    assert_eq!(added.code, 200, "{}", added.text);
    let now = get(&client, &format!("{PODS}/p")).await.json();
    assert_eq!(
        now["spec"]["ephemeralContainers"],
        json!([{
            "name": "d", "image": "busybox", "resources": {}, "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File", "imagePullPolicy": "Always", "targetContainerName": "c",
        }])
    );
    assert_eq!(
        (&now["spec"]["containers"][0]["image"], &now["metadata"]["labels"]),
        (&json!("i"), &Value::Null)
    );
    assert_eq!(now["metadata"]["generation"], 2);
    let who = now["metadata"]["managedFields"].as_array().unwrap();
    assert!(who.iter().any(|one| one["subresource"] == "ephemeralcontainers"), "{who:#?}");

    let json_patch = |patch: Value| {
        let (client, path) = (client.clone(), path.clone());
        async move {
            send(&client, "PATCH", &path, "application/json-patch+json", patch.to_string()).await
        }
    };
    let gone = json_patch(json!([{ "op": "remove", "path": "/spec/ephemeralContainers" }])).await;
    shows(
        &gone,
        &expect![[r#"
        422 Pod "p" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not be removed
    "#]],
    );
    let other =
        json!([{ "op": "replace", "path": "/spec/ephemeralContainers/0/image", "value": "x" }]);
    shows(
        &json_patch(other).await,
        &expect![[r#"
        422 Pod "p" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not be changed
        image"#]],
    );
    let wrong = json!([{ "op": "add", "path": "/spec/ephemeralContainers/-", "value": { "name": "c", "image": "i", "ports": [{ "containerPort": 1 }], "targetContainerName": "none" } }]);
    shows(
        &json_patch(wrong).await,
        &expect![[
            r#"422 Pod "p" is invalid: [spec.ephemeralContainers[1].name: Duplicate value: "c", spec.ephemeralContainers[1].targetContainerName: Not found: "none", spec.ephemeralContainers[1].ports: Forbidden: cannot be set for an Ephemeral Container]"#
        ]],
    );
    let merge = send(
        &client,
        "PATCH",
        &path,
        "application/merge-patch+json",
        json!({ "spec": {} }).to_string(),
    )
    .await;
    assert_eq!(merge.code, 200, "{}", merge.text);
    let read = get(&client, &path).await.json();
    assert_eq!(read["kind"], "Pod");
    let created = json!({ "metadata": { "name": "q" }, "spec": { "containers": [{ "name": "c", "image": "i" }], "ephemeralContainers": [{ "name": "e", "image": "i" }] } });
    shows(
        &post(&client, PODS, &created).await,
        &expect![[
            r#"422 Pod "q" is invalid: spec.ephemeralContainers: Forbidden: cannot be set on create"#
        ]],
    );
}

#[tokio::test]
async fn what_containers_ask_for_is_changed_by_resize_alone() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    pod(&client).await;
    let of = |cpu: &str| json!({ "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": cpu } } }] } });
    let main = strategic(&client, &format!("{PODS}/p"), of("750m")).await;
    assert_eq!(main.code, 422, "{}", main.text);
    let path = format!("{PODS}/p/resize");
    let done = strategic(&client, &path, of("0.75")).await;
    assert_eq!(done.code, 200, "{}", done.text);
    let now = done.json();
    assert_eq!(
        now["spec"]["containers"][0]["resources"],
        json!({ "limits": { "cpu": "1" }, "requests": { "cpu": "750m" } })
    );
    assert_eq!(now["metadata"]["generation"], 2);
    let over = strategic(&client, &path, of("2")).await;
    shows(
        &over,
        &expect![[
            r#"422 Pod "p" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#
        ]],
    );
    let class = strategic(&client, &path, of("1")).await;
    assert_eq!(class.code, 200, "{}", class.text);
    let memory = json!({ "spec": { "containers": [{ "name": "c", "resources": { "limits": { "memory": "1Gi" }, "requests": { "memory": "1024Mi" } } }] } });
    let guaranteed = strategic(&client, &path, memory).await;
    shows(
        &guaranteed,
        &expect![[
            r#"422 Pod "p" is invalid: spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing"#
        ]],
    );
    let status = json!({ "status": { "containerStatuses": [{ "name": "c", "image": "i", "imageID": "", "state": { "running": {} } }] } });
    let said = send(
        &client,
        "PATCH",
        &format!("{PODS}/p/status"),
        "application/merge-patch+json",
        status.to_string(),
    )
    .await;
    assert_eq!(said.code, 200, "{}", said.text);
    shows(
        &strategic(&client, &path, of("1")).await,
        &expect![[
            r#"422 Pod "p" is invalid: spec: Forbidden: Pod running on node without support for resize"#
        ]],
    );
}

#[tokio::test]
async fn parts_of_the_control_plane_are_asked_how_they_do() {
    let server = moat_apiserver::Server::start(moat_apiserver::Options {
        components: vec![moat_apiserver::Component::new("scheduler", || Ok(()))],
        ..moat_apiserver::Options::default()
    });
    let server = server.await.unwrap();
    let client = client(&server.kubeconfig()).await;
    let all = get(&client, "/api/v1/componentstatuses").await;
    expect![[r#"{"kind":"ComponentStatusList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"controller-manager"},"conditions":[{"type":"Healthy","status":"False","message":"it does not run in this process"}]},{"metadata":{"name":"etcd-0"},"conditions":[{"type":"Healthy","status":"True","message":"ok"}]},{"metadata":{"name":"scheduler"},"conditions":[{"type":"Healthy","status":"True","message":"ok"}]}]}"#]].assert_eq(&all.text);
    shows(
        &all,
        &expect![[r#"
        200 
        warning: 299 - "v1 ComponentStatus is deprecated in v1.19+""#]],
    );
    let one = get(&client, "/api/v1/componentstatuses/scheduler").await;
    expect![[r#"{"kind":"ComponentStatus","apiVersion":"v1","metadata":{"name":"scheduler"},"conditions":[{"type":"Healthy","status":"True","message":"ok"}]}"#]].assert_eq(&one.text);
    shows(
        &get(&client, "/api/v1/componentstatuses/none").await,
        &expect![[r#"
        404 componentstatus "none" not found
        warning: 299 - "v1 ComponentStatus is deprecated in v1.19+""#]],
    );
    let chosen =
        get(&client, "/api/v1/componentstatuses?fieldSelector=metadata.name%3Detcd-0").await;
    assert_eq!(chosen.json()["items"].as_array().unwrap().len(), 1, "{}", chosen.text);
    let watch = get(&client, "/api/v1/componentstatuses?watch=true").await;
    assert_eq!(watch.code, 405, "{}", watch.text);
}

#[tokio::test]
async fn kinds_that_are_not_here_are_refused_with_a_reason() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let of = |path: &'static str| {
        let client = client.clone();
        async move { get(&client, path).await }
    };
    shows(
        &of("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations").await,
        &expect![
            "404 validatingwebhookconfigurations.admissionregistration.k8s.io is not supported by this server: no admission webhook is ever called here (a ValidatingAdmissionPolicy is evaluated)"
        ],
    );
    shows(
        &of("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/x").await,
        &expect![
            "404 mutatingwebhookconfigurations.admissionregistration.k8s.io is not supported by this server: no admission webhook is ever called here (a ValidatingAdmissionPolicy is evaluated)"
        ],
    );
    shows(
        &of("/apis/resource.k8s.io/v1/deviceclasses").await,
        &expect![
            "404 deviceclasses.resource.k8s.io is not supported by this server: devices are not allocated here"
        ],
    );
    shows(
        &of("/apis/networking.k8s.io/v1/servicecidrs").await,
        &expect![
            "404 servicecidrs.networking.k8s.io is not supported by this server: the addresses of Services are one range here, which is chosen when the cluster starts"
        ],
    );
    shows(
        &of("/apis/metrics.k8s.io/v1beta1/nodes").await,
        &expect![
            "404 nodes.metrics.k8s.io is not supported by this server: nothing is measured here"
        ],
    );
    shows(
        &of("/apis/apps/v1/nope").await,
        &expect!["404 the server could not find the requested resource"],
    );
}

#[tokio::test]
async fn a_service_has_a_port_for_its_health_while_it_needs_one() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let service = |policy: &str, port: i64| {
        json!({
            "metadata": { "name": "s" },
            "spec": { "type": "LoadBalancer", "externalTrafficPolicy": policy, "ports": [{ "port": 80 }], "healthCheckNodePort": port },
        })
    };
    shows(
        &post(&client, SERVICES, &service("Cluster", 30100)).await,
        &expect![[
            r#"422 Service "s" is invalid: spec.healthCheckNodePort: Invalid value: 30100: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"#
        ]],
    );
    shows(
        &post(&client, SERVICES, &service("Local", 80)).await,
        &expect![
            "500 failed to allocate requested HealthCheck NodePort 80: provided port is not in the valid range. The range of valid ports is 30000-32767"
        ],
    );
    let made = post(&client, SERVICES, &service("Local", 0)).await.json();
    let port = made["spec"]["healthCheckNodePort"].as_i64().unwrap();
    assert!(
        (30_000..=32_767).contains(&port) && made["spec"]["ports"][0]["nodePort"] != port,
        "{made}"
    );
    let mut second = service("Local", port);
    second["metadata"]["name"] = "t".into();
    let taken = post(&client, SERVICES, &second).await;
    assert_eq!(
        taken.json()["message"],
        format!(
            "failed to allocate requested HealthCheck NodePort {port}: provided port is already allocated"
        )
    );
    // It stays where nobody says it, cannot be another, and goes when it is not needed.
    let at = format!("{SERVICES}/s");
    let merge = |spec: Value| {
        let (client, at) = (client.clone(), at.clone());
        async move {
            send(
                &client,
                "PATCH",
                &at,
                "application/merge-patch+json",
                json!({ "spec": spec }).to_string(),
            )
            .await
        }
    };
    let kept =
        merge(json!({ "healthCheckNodePort": null, "sessionAffinity": "ClientIP" })).await.json();
    assert_eq!(kept["spec"]["healthCheckNodePort"], port);
    let other = if port == 30_200 { 30_201 } else { 30_200 };
    shows(
        &merge(json!({ "healthCheckNodePort": other })).await,
        &expect![[
            r#"422 Service "s" is invalid: spec.healthCheckNodePort: Forbidden: field is immutable"#
        ]],
    );
    let gone = merge(json!({ "externalTrafficPolicy": "Cluster" })).await;
    assert_eq!(gone.json()["spec"].get("healthCheckNodePort"), None, "{}", gone.text);
}

#[tokio::test]
async fn a_second_family_of_addresses_is_refused() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let service = |spec: Value| {
        let mut spec = spec;
        spec["ports"] = json!([{ "port": 80 }]);
        json!({ "metadata": { "name": "s" }, "spec": spec })
    };
    for (spec, want) in [
        (
            json!({ "ipFamilyPolicy": "RequireDualStack" }),
            expect![[
                r#"422 Service "s" is invalid: spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services"#
            ]],
        ),
        (
            json!({ "ipFamilies": ["IPv6"] }),
            expect![[
                r#"422 Service "s" is invalid: spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster"#
            ]],
        ),
        (
            json!({ "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack" }),
            expect![[
                r#"422 Service "s" is invalid: spec.ipFamilies[1]: Invalid value: "IPv6": not configured on this cluster"#
            ]],
        ),
        (
            json!({ "clusterIP": "10.96.0.77", "clusterIPs": ["10.96.0.77", "fd00::1"], "ipFamilyPolicy": "PreferDualStack" }),
            expect![[
                r#"422 Service "s" is invalid: spec.clusterIPs[1]: Invalid value: ["10.96.0.77","fd00::1"]: IPv6 is not configured on this cluster"#
            ]],
        ),
        (
            json!({ "clusterIP": "fd00::1" }),
            expect![[
                r#"422 Service "s" is invalid: spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster"#
            ]],
        ),
        (
            json!({ "ipFamilyPolicy": "Both" }),
            expect![[
                r#"422 Service "s" is invalid: spec.ipFamilyPolicy: Unsupported value: "Both": supported values: "PreferDualStack", "RequireDualStack", "SingleStack""#
            ]],
        ),
    ] {
        shows(&post(&client, SERVICES, &service(spec)).await, &want);
    }
    let wish = post(&client, SERVICES, &service(json!({ "ipFamilyPolicy": "PreferDualStack" })))
        .await
        .json();
    assert_eq!(
        (&wish["spec"]["ipFamilies"], &wish["spec"]["ipFamilyPolicy"]),
        (&json!(["IPv4"]), &json!("PreferDualStack"))
    );
    let named = json!({ "metadata": { "name": "e" }, "spec": { "type": "ExternalName", "externalName": "a.b" } });
    let named = post(&client, SERVICES, &named).await.json();
    assert_eq!(named["spec"].get("ipFamilies"), None, "{named}");
}

#[tokio::test]
async fn items_of_a_list_do_not_say_their_kind_but_for_those_of_definitions() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let listed = get(&client, "/api/v1/namespaces?limit=1").await.json();
    assert_eq!(
        (&listed["kind"], listed["items"][0].get("kind"), listed["items"][0].get("apiVersion")),
        (&json!("NamespaceList"), None, None)
    );
    let bytes = get(&client, "/api/v1/namespaces").await;
    let length = bytes.headers["content-length"].to_str().unwrap().parse::<usize>().unwrap();
    assert_eq!(length, bytes.text.len());
    let definition = json!({
        "metadata": { "name": "as.b.c" },
        "spec": {
            "group": "b.c", "scope": "Cluster", "names": { "plural": "as", "kind": "A" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }],
        },
    });
    assert_eq!(
        post(&client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition)
            .await
            .code,
        201
    );
    let made = post(
        &client,
        "/apis/b.c/v1/as",
        &json!({ "kind": "A", "apiVersion": "b.c/v1", "metadata": { "name": "x" } }),
    )
    .await;
    assert_eq!(made.code, 201, "{}", made.text);
    let listed = get(&client, "/apis/b.c/v1/as").await.json();
    assert_eq!(
        (&listed["items"][0]["kind"], &listed["items"][0]["apiVersion"]),
        (&json!("A"), &json!("b.c/v1"))
    );
}

#[tokio::test]
async fn a_patch_that_makes_no_object_is_refused_with_what_it_made() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let maps = "/api/v1/namespaces/default/configmaps";
    post(&client, maps, &json!({ "metadata": { "name": "a" } })).await;
    let at = format!("{maps}/a?fieldValidation=Strict");
    let of = |kind: &'static str, patch: Value| {
        let (client, at) = (client.clone(), at.clone());
        async move { send(&client, "PATCH", &at, kind, patch.to_string()).await.json() }
    };
    let strategic =
        of("application/strategic-merge-patch+json", json!({ "foo": { "b": 1 } })).await;
    expect![[r#" "" is invalid: patch: Invalid value: "map[foo:map[b:1]]": strict decoding error: unknown field "foo""#]].assert_eq(strategic["message"].as_str().unwrap());
    for (kind, patch) in [
        ("application/merge-patch+json", json!({ "foo": 1 })),
        ("application/json-patch+json", json!([{ "op": "add", "path": "/foo", "value": 1 }])),
    ] {
        let told = of(kind, patch).await;
        let message = told["message"].as_str().unwrap();
        assert!(message.starts_with(r#" "" is invalid: patch: Invalid value: "{\"apiVersion\":\"v1\",\"foo\":1,\"kind\":\"ConfigMap\","#), "{message}");
        assert!(
            message.ends_with(r#"}}": strict decoding error: unknown field "foo""#),
            "{message}"
        );
        assert_eq!(
            (&told["code"], &told["details"]["causes"][0]["field"]),
            (&json!(422), &json!("patch"))
        );
    }
    let wrong = of("application/merge-patch+json", json!({ "data": { "a": 1 } })).await;
    let message = wrong["message"].as_str().unwrap();
    assert!(
        message.ends_with(
            ": json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        ),
        "{message}"
    );
    let other = of("application/merge-patch+json", json!({ "metadata": { "uid": "1" } })).await;
    expect![[r#"ConfigMap "a" is invalid: metadata.uid: Invalid value: "1": field is immutable"#]]
        .assert_eq(other["message"].as_str().unwrap());
}
