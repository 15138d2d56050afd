//! Server-side apply and the forms of bodies, through the server.

use crate::common::kubectl::Kubectl;
use crate::common::{CONFIG_MAPS, answer, client, get, send, server};
use expect_test::expect;
use http_body_util::BodyExt as _;
use hyper::Request;
use kube::client::Body;
use serde_json::json;

const APPLY: &str = "application/apply-patch+yaml";

#[tokio::test]
async fn who_applies_owns_what_was_applied() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let path = |manager: &str, more: &str| format!("{CONFIG_MAPS}/a?fieldManager={manager}{more}");
    let config = |data: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {data}\n")
    };
    let made = send(&client, "PATCH", &path("one", ""), APPLY, config("{x: '1', z: '1'}")).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let managed = &made.json()["metadata"]["managedFields"];
    assert_eq!(managed[0]["manager"], "one");
    assert_eq!(managed[0]["fieldsV1"], json!({ "f:data": { "f:x": {}, "f:z": {} } }));
    let version = made.json()["metadata"]["resourceVersion"].clone();
    let again = send(&client, "PATCH", &path("one", ""), APPLY, config("{x: '1', z: '1'}")).await;
    assert_eq!((again.code, &again.json()["metadata"]["resourceVersion"]), (200, &version));
    let other = send(&client, "PATCH", &path("two", ""), APPLY, config("{x: '2'}")).await;
    expect![[r#"409 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Apply failed with 1 conflict: conflict with \"one\": .data.x","reason":"Conflict","details":{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"one\"","field":".data.x"}]},"code":409}"#]]
        .assert_eq(&format!("{} {}", other.code, other.text));
    let forced =
        send(&client, "PATCH", &path("two", "&force=true"), APPLY, config("{x: '2'}")).await;
    assert_eq!(forced.json()["data"], json!({ "x": "2", "z": "1" }));
    let less = send(&client, "PATCH", &path("one", ""), APPLY, config("{}")).await;
    assert_eq!(less.json()["data"], json!({ "x": "2" }), "{}", less.text);
    let nobody = send(&client, "PATCH", &format!("{CONFIG_MAPS}/a"), APPLY, config("{}")).await;
    expect![[r#"422 fieldManager: Required value: is required for apply patch"#]].assert_eq(
        &format!(
            "{} {}",
            nobody.code,
            nobody.json()["message"].as_str().unwrap().rsplit_once("invalid: ").unwrap().1
        ),
    );
    let unknown = config("{}") + "nope: 1\n";
    let unknown = send(&client, "PATCH", &path("one", ""), APPLY, unknown).await;
    expect!["500 failed to create typed patch object (default/a; v1, Kind=ConfigMap): .nope: field not declared in schema"]
        .assert_eq(&format!("{} {}", unknown.code, unknown.json()["message"].as_str().unwrap()));
}

#[tokio::test]
async fn bodies_come_and_go_in_other_forms() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: k\ndata:\n  a: 'yes'\n";
    let made = send(&client, "POST", CONFIG_MAPS, "application/yaml", yaml).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let ask = |path: String, accept: &'static str| {
        Request::get(path).header("accept", accept).body(Body::empty()).unwrap()
    };
    let back = answer(&client, ask(format!("{CONFIG_MAPS}/k"), "application/yaml")).await;
    assert_eq!(back.headers["content-type"], "application/yaml");
    assert!(
        back.text.starts_with("apiVersion: v1\ndata:\n  a: \"yes\"\nkind: ConfigMap\nmetadata:\n"),
        "{}",
        back.text
    );
    let protobuf = "application/vnd.kubernetes.protobuf";
    let raw = |path: String, accept: &'static str| {
        let (client, request) = (client.clone(), ask(path, accept));
        async move {
            let response = client.send(request).await.unwrap();
            let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
            (kind, response.into_body().collect().await.unwrap().to_bytes())
        }
    };
    let (kind, one) = raw(format!("{CONFIG_MAPS}/k"), protobuf).await;
    assert!(
        kind == protobuf && one.starts_with(b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap"),
        "{kind} {one:?}"
    );
    // What was answered is taken back as it is.
    let path = format!("{CONFIG_MAPS}/k");
    let kept = send(&client, "PUT", &path, protobuf, one.to_vec()).await;
    assert_eq!((kept.code, kept.json()), (200, get(&client, &path).await.json()));
    let (_, list) = raw(CONFIG_MAPS.to_owned(), protobuf).await;
    assert!(list.starts_with(b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dConfigMapList"), "{list:?}");
    let watch = format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name=k");
    let (kind, frames) = raw(watch, protobuf).await;
    assert_eq!(kind, "application/vnd.kubernetes.protobuf;stream=watch");
    let (length, event) = frames.split_at(4);
    assert_eq!(u32::from_be_bytes(length.try_into().unwrap()) as usize, event.len());
    assert!(event.starts_with(b"\x0a\x05ADDED\x12"), "{event:?}");
    let partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let (_, partial) = raw(format!("{CONFIG_MAPS}/k"), partial).await;
    assert!(partial.windows(21).any(|part| part == b"PartialObjectMetadata"), "{partial:?}");
}

#[tokio::test]
async fn kubectl_applies_through_the_server() {
    let Some(kubectl) = Kubectl::new("server-side").await else { return };
    let config = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c, namespace: default}}\ndata: {{a: '{value}'}}\n"
        )
    };
    std::fs::write(kubectl.dir.join("one.yaml"), config("1")).unwrap();
    std::fs::write(kubectl.dir.join("two.yaml"), config("2")).unwrap();
    kubectl
        .check(
            &[
                "apply --server-side -f one.yaml",
                "apply --server-side -f one.yaml",
                "apply --server-side -f two.yaml --field-manager other",
                "apply --server-side -f two.yaml --field-manager other --force-conflicts",
                "get cm c -o 'jsonpath={.data} {.metadata.managedFields[*].manager}' --show-managed-fields",
                "apply -f one.yaml",
                "apply -f world.yaml",
                "apply --server-side -f world.yaml",
                "scale deploy web -n shop --replicas=3",
                "apply --server-side -f world.yaml",
            ],
            expect![[r#"
                $ kubectl apply --server-side -f one.yaml
                configmap/c serverside-applied
                $ kubectl apply --server-side -f one.yaml
                configmap/c serverside-applied
                $ kubectl apply --server-side -f two.yaml --field-manager other
                ! error: Apply failed with 1 conflict: conflict with "kubectl": .data.a
                ! Please review the fields above--they currently have other managers. Here
                ! are the ways you can resolve this warning:
                ! * If you intend to manage all of these fields, please re-run the apply
                !   command with the `--force-conflicts` flag.
                ! * If you do not intend to manage all of the fields, please edit your
                !   manifest to remove references to the fields that should keep their
                !   current managers.
                ! * You may co-own fields by updating your manifest to match the existing
                !   value; in this case, you'll become the manager if the other manager(s)
                !   stop managing the field (remove it from their configuration).
                ! See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
                exit 1
                $ kubectl apply --server-side -f two.yaml --field-manager other --force-conflicts
                configmap/c serverside-applied
                $ kubectl get cm c -o 'jsonpath={.data} {.metadata.managedFields[*].manager}' --show-managed-fields
                {"a":"2"} other
                $ kubectl apply -f one.yaml
                configmap/c configured
                ! Warning: resource configmaps/c is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.
                $ kubectl apply -f world.yaml
                namespace/shop created
                deployment.apps/web created
                configmap/conf created
                $ kubectl apply --server-side -f world.yaml
                namespace/shop serverside-applied
                deployment.apps/web serverside-applied
                configmap/conf serverside-applied
                $ kubectl scale deploy web -n shop --replicas=3
                deployment.apps/web scaled
                $ kubectl apply --server-side -f world.yaml
                namespace/shop serverside-applied
                configmap/conf serverside-applied
                ! error: Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas
                ! Please review the fields above--they currently have other managers. Here
                ! are the ways you can resolve this warning:
                ! * If you intend to manage all of these fields, please re-run the apply
                !   command with the `--force-conflicts` flag.
                ! * If you do not intend to manage all of the fields, please edit your
                !   manifest to remove references to the fields that should keep their
                !   current managers.
                ! * You may co-own fields by updating your manifest to match the existing
                !   value; in this case, you'll become the manager if the other manager(s)
                !   stop managing the field (remove it from their configuration).
                ! See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
                exit 1
            "#]],
        )
        .await;
}

#[tokio::test]
async fn a_scale_is_applied_and_owned_as_a_part_of_its_object() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let config = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x}]}}}\n";
    let made =
        send(&client, "PATCH", &format!("{deployments}/web?fieldManager=one"), APPLY, config).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let apply = async |manager: &str, more: &str, spec: &str| {
        let path = format!("{deployments}/web/scale?fieldManager={manager}{more}");
        let name = if spec.contains("metadata") { "" } else { "metadata: {name: web}\n" };
        let config = format!("apiVersion: autoscaling/v1\nkind: Scale\n{name}{spec}\n");
        send(&client, "PATCH", &path, APPLY, config).await
    };
    let scaled = apply("two", "", "spec: {replicas: 4}").await;
    assert_eq!(
        (scaled.code, &scaled.json()["spec"]["replicas"]),
        (200, &json!(4)),
        "{}",
        scaled.text
    );
    let web = get(&client, &format!("{deployments}/web")).await.json();
    let entries = web["metadata"]["managedFields"].as_array().unwrap();
    let own = entries.iter().find(|entry| entry["manager"] == "two").unwrap();
    assert_eq!(
        (&own["operation"], &own["apiVersion"], &own["subresource"], &own["fieldsV1"]),
        (
            &json!("Apply"),
            &json!("apps/v1"),
            &json!("scale"),
            &json!({ "f:spec": { "f:replicas": {} } })
        )
    );
    // Others ask before they take it, and what is not a scale is refused.
    let other = apply("three", "", "spec: {replicas: 5}").await;
    expect![[r#"409 Apply failed with 1 conflict: conflict with "two" with subresource "scale": .spec.replicas"#]]
        .assert_eq(&format!("{} {}", other.code, other.json()["message"].as_str().unwrap()));
    assert_eq!(
        apply("three", "&force=true", "spec: {replicas: 5}").await.json()["spec"]["replicas"],
        5
    );
    let tried = apply("three", "&dryRun=All", "spec: {replicas: 6}").await;
    assert_eq!(tried.json()["spec"]["replicas"], 6);
    assert_eq!(
        get(&client, &format!("{deployments}/web/scale")).await.json()["spec"]["replicas"],
        5
    );
    let mut refused = String::new();
    for spec in [
        "spec: {replicas: -1}",
        "spec: {size: 1}",
        "metadata: {name: x}",
        "spec: {replicas: 7}\nmetadata: {resourceVersion: '1'}",
    ] {
        let answer = apply("three", "&force=true", spec).await;
        refused += &format!("{} {}\n", answer.code, answer.json()["message"].as_str().unwrap());
    }
    let path = format!("{deployments}/web/scale?fieldManager=three");
    let answer = send(&client, "PATCH", &path, APPLY, config).await;
    refused += &format!("{} {}\n", answer.code, answer.json()["message"].as_str().unwrap());
    expect![[r#"
        422 Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0
        500 failed to create typed patch object (default/web; autoscaling/v1, Kind=Scale): .spec.size: field not declared in schema
        400 the name of the object (x) does not match the name on the URL (web)
        409 Operation cannot be fulfilled on deployments.apps "web": the object has been modified; please apply your changes to the latest version and try again
        400 Incorrect version specified in apply patch. Specified patch version: apps/v1, expected: autoscaling/v1
    "#]].assert_eq(&refused);
}
