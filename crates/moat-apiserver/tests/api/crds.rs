//! Kinds that clients define: when they are served, what their schemas do to objects, and how they end.

use crate::common::{client, get, post, send, server};
use expect_test::{Expect, expect};
use kube::Client;
use serde_json::{Value, json};
use std::time::Duration;

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
const MERGE: &str = "application/merge-patch+json";

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [
                {
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                        "spec": {"type": "object", "required": ["size"], "properties": {
                            "size": {"type": "integer", "minimum": 1, "maximum": 10},
                            "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                            "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                            "port": {"x-kubernetes-int-or-string": true},
                            "parts": {
                                "type": "array", "maxItems": 2, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                                "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}},
                            },
                            "either": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
                            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        }},
                        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}},
                    }}},
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                    "additionalPrinterColumns": [
                        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                        {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1},
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                    "selectableFields": [{"jsonPath": ".spec.color"}],
                },
                {
                    "name": "v1beta1", "served": true, "storage": false, "deprecated": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}},
                },
            ],
        },
    })
}

fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

async fn defined() -> (moat_apiserver::Running, Client) {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let made = post(&client, CRDS, &definition()).await;
    assert_eq!(made.code, 201, "{}", made.text);
    (server, client)
}

fn conditions(definition: &Value) -> Vec<String> {
    let all = definition["status"]["conditions"].as_array().unwrap();
    all.iter()
        .map(|one| {
            format!("{}={} {}: {}", one["type"], one["status"], one["reason"], one["message"])
        })
        .collect()
}

/// Asks until an answer is as it should be; what is waited for is work of the server, which is under way.
async fn until(
    client: &Client,
    path: &str,
    is: impl Fn(u16, &str) -> bool,
) -> crate::common::Answer {
    let ask = async {
        loop {
            let answer = get(client, path).await;
            if is(answer.code, &answer.text) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ask).await.unwrap_or_else(|_| panic!("{path}"))
}

#[tokio::test]
async fn a_kind_is_served_as_soon_as_it_is_defined() {
    let (_server, client) = defined().await;
    let made =
        post(&client, WIDGETS, &widget("a", json!({"size": 3, "no": 1, "any": {"thing": null}})))
            .await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert_eq!(made.headers["warning"], r#"299 - "unknown field \"spec.no\"""#);
    let object = made.json();
    assert_eq!(object["spec"], json!({"size": 3, "any": {"thing": null}, "color": "red"}));
    assert_eq!(object["metadata"]["generation"], 1);
    let own = get(&client, &format!("{CRDS}/widgets.example.com")).await.json();
    expect![[r#"
        "NamesAccepted"="True" "NoConflicts": "no conflicts found"
        "Established"="True" "InitialNamesAccepted": "the initial names have been accepted""#]]
    .assert_eq(&conditions(&own).join("\n"));
    assert_eq!(own["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(own["status"]["acceptedNames"]["listKind"], "WidgetList");

    // Another version of the same object has what its schema has, and says that it is old.
    let old = get(&client, &WIDGETS.replace("v1", "v1beta1")).await.json();
    assert_eq!(
        (&old["kind"], &old["apiVersion"]),
        (&json!("WidgetList"), &json!("example.com/v1beta1"))
    );
    assert_eq!(old["items"][0]["apiVersion"], "example.com/v1beta1");
    assert_eq!(old["items"][0]["spec"], json!({"size": 3}));

    // The status has a path of its own, and the scale is made of what the definition says.
    let path = format!("{WIDGETS}/a");
    let patch =
        json!({"spec": {"size": 9}, "status": {"replicas": 2, "selector": "a=b"}}).to_string();
    let changed = send(&client, "PATCH", &format!("{path}/status"), MERGE, patch).await.json();
    assert_eq!(
        (&changed["spec"]["size"], &changed["metadata"]["generation"]),
        (&json!(3), &json!(1))
    );
    let scale = get(&client, &format!("{path}/scale")).await.json();
    assert_eq!(
        (&scale["spec"], &scale["status"]),
        (&json!({"replicas": 3}), &json!({"replicas": 2, "selector": "a=b"}))
    );
    let patch = json!({"spec": {"replicas": 5}}).to_string();
    let scaled = send(&client, "PATCH", &format!("{path}/scale"), MERGE, patch).await;
    assert_eq!(scaled.code, 200, "{}", scaled.text);
    let object = get(&client, &path).await.json();
    assert_eq!(
        (&object["spec"]["size"], &object["metadata"]["generation"]),
        (&json!(5), &json!(2))
    );

    // Fields that the definition names can be asked for, others not.
    let asked = get(&client, &format!("{WIDGETS}?fieldSelector=spec.color=red")).await.json();
    assert_eq!(asked["items"].as_array().unwrap().len(), 1);
    let asked = get(&client, &format!("{WIDGETS}?fieldSelector=spec.color=blue")).await.json();
    assert_eq!(asked["items"].as_array().unwrap().len(), 0);
    assert_eq!(get(&client, &format!("{WIDGETS}?fieldSelector=spec.size=5")).await.code, 400);

    // Merging lists by keys is for the server's own types.
    let strategic =
        send(&client, "PATCH", &path, "application/strategic-merge-patch+json", "{}").await;
    assert_eq!(strategic.code, 415);
}

async fn refused(client: &Client, spec: Value, want: Expect) {
    let answer = post(client, WIDGETS, &widget("bad", spec)).await;
    let body = answer.json();
    want.assert_eq(&format!("{} {}", answer.code, body["message"].as_str().unwrap()));
}

#[tokio::test]
async fn objects_are_held_against_the_schema() {
    let (_server, client) = defined().await;
    refused(&client, json!({"size": 0, "color": "green", "name": "A long name"}), expect![[r#"422 Widget.example.com "bad" is invalid: [spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1, spec.color: Unsupported value: "green": supported values: "red", "blue", spec.name: Too long: may not be more than 5 bytes, spec.name: Invalid value: "A long name": spec.name in body should match '^[a-z]+$']"#]])
        .await;
    refused(&client, json!({"size": "3", "port": true}), expect![[r#"422 Widget.example.com "bad" is invalid: [spec.size: Invalid value: "string": spec.size in body must be of type integer: "string", spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"]"#]]).await;
    refused(&client, json!({"size": null}), expect![[r#"422 Widget.example.com "bad" is invalid: spec.size: Invalid value: "null": spec.size in body must be of type integer: "null""#]]).await;
    refused(
        &client,
        json!({"size": 1, "parts": [{"id": "a"}, {"id": "a"}, {"n": 1}]}),
        expect![[r#"422 Widget.example.com "bad" is invalid: [spec.parts: Too many: 3: must have at most 2 items, spec.parts[2].id: Required value, spec.parts[1]: Duplicate value: {"id":"a"}]"#]],
    )
    .await;
    refused(&client, json!({"size": 1, "either": {}}), expect![[r#"422 Widget.example.com "bad" is invalid: [<nil>: Invalid value: "": "spec.either" must validate one and only one schema (oneOf). Found none valid, spec.either.a: Required value]"#]]).await;
    refused(&client, json!({"size": 1, "either": {"a": "x", "b": "y"}}), expect![[r#"422 Widget.example.com "bad" is invalid: <nil>: Invalid value: "": "spec.either" must validate one and only one schema (oneOf). Found 2 valid alternatives"#]]).await;
    let missing = post(
        &client,
        WIDGETS,
        &json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}}),
    )
    .await;
    expect![[r#"Widget.example.com "x" is invalid: spec: Required value"#]]
        .assert_eq(missing.json()["message"].as_str().unwrap());
    let strict = post(
        &client,
        &format!("{WIDGETS}?fieldValidation=Strict"),
        &widget("x", json!({"size": 1, "no": 1})),
    )
    .await;
    expect![[r#"strict decoding error: unknown field "spec.no""#]]
        .assert_eq(strict.json()["message"].as_str().unwrap());
}

#[tokio::test]
async fn definitions_have_rules() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let mut bad = definition();
    bad["metadata"]["name"] = "other.example.com".into();
    bad["spec"]["scope"] = "Galaxy".into();
    bad["spec"]["versions"][1]["storage"] = true.into();
    bad["spec"]["versions"][1]["schema"] = json!({"openAPIV3Schema": {"type": "object", "properties": {
        "a": {}, "b": {"type": "string", "pattern": "("}, "c": {"type": "array"}, "d": {"type": "integer", "default": "x"},
        "e": {"type": "object", "anyOf": [{"properties": {"f": {"type": "string"}}}]},
    }}});
    bad["spec"]["versions"][0]["additionalPrinterColumns"][0]["jsonPath"] = "spec".into();
    let answer = post(&client, CRDS, &bad).await;
    assert_eq!(answer.code, 422);
    let causes = answer.json()["details"]["causes"].as_array().unwrap().clone();
    let mut told: Vec<String> = causes
        .iter()
        .map(|cause| {
            format!(
                "{}: {}\n",
                cause["field"].as_str().unwrap(),
                cause["message"].as_str().unwrap()
            )
        })
        .collect();
    told.retain(|one| !one.starts_with("spec.versions:"));
    expect![[r#"
        metadata.name: Invalid value: "other.example.com": must be spec.names.plural+"."+spec.group
        spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"
        spec.versions[0].additionalPrinterColumns[0].jsonPath: Invalid value: "spec": is an invalid path: "spec" does not begin with a dot
        spec.versions[1].schema.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields
        spec.versions[1].schema.openAPIV3Schema.properties[b].pattern: Invalid value: "(": must be a valid regular expression, but isn't: regex parse error:     (     ^ error: unclosed group
        spec.versions[1].schema.openAPIV3Schema.properties[c].items: Required value: must be specified
        spec.versions[1].schema.openAPIV3Schema.properties[d].default: Invalid value: "string": spec.versions[1].schema.openAPIV3Schema.properties[d].default in body must be of type integer: "string"
        spec.versions[1].schema.openAPIV3Schema.properties[e].anyOf[0].properties[f].type: Forbidden: must be empty to be structural
        spec.versions[1].schema.openAPIV3Schema.properties[e].properties[f]: Required value: because it is defined in spec.versions[1].schema.openAPIV3Schema.properties[e].anyOf[0].properties[f]
    "#]].assert_eq(&told.concat());
    let mut webhook = definition();
    webhook["spec"]["conversion"] = json!({"strategy": "Webhook"});
    let answer = post(&client, CRDS, &webhook).await;
    assert!(
        answer.text.contains("conversion by webhooks is not supported by this server"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_name_belongs_to_who_had_it_first() {
    let (_server, client) = defined().await;
    let mut other = definition();
    other["metadata"]["name"] = "gadgets.example.com".into();
    other["spec"]["names"] =
        json!({"plural": "gadgets", "kind": "Widget", "singular": "gadget", "shortNames": ["wd"]});
    assert_eq!(post(&client, CRDS, &other).await.code, 201);
    let path = format!("{CRDS}/gadgets.example.com");
    let own = get(&client, &path).await.json();
    expect![[r#"
        "NamesAccepted"="False" "ListKindConflict": "\"WidgetList\" is already in use"
        "Established"="False" "NotAccepted": "not all names are accepted""#]]
    .assert_eq(&conditions(&own).join("\n"));
    assert_eq!(get(&client, "/apis/example.com/v1/gadgets").await.code, 404);
    let patch = json!({"spec": {"names": {"kind": "Gadget", "listKind": "GadgetList", "shortNames": ["gd"]}}});
    let changed = send(&client, "PATCH", &path, MERGE, patch.to_string()).await;
    assert_eq!(changed.code, 200, "{}", changed.text);
    assert_eq!(get(&client, "/apis/example.com/v1/gadgets").await.code, 200);
    // All kinds of a group are told in one place.
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let request = hyper::Request::builder().uri("/apis").header("accept", accept);
    let all = crate::common::answer(&client, request.body(kube::client::Body::empty()).unwrap())
        .await
        .json();
    let groups: Vec<&Value> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["metadata"]["name"] == "example.com")
        .collect();
    assert_eq!(groups.len(), 1);
    let versions: Vec<String> = groups[0]["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{} {}",
                one["version"].as_str().unwrap(),
                one["resources"].as_array().unwrap().len()
            )
        })
        .collect();
    assert_eq!(versions, ["v1 2", "v1beta1 2"]);
}

#[tokio::test]
async fn a_definition_of_a_kind_that_is_built_in_is_kept_and_not_used() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusternetworkpolicies.policy.networking.k8s.io"},
        "spec": {
            "group": "policy.networking.k8s.io", "scope": "Cluster", "names": {"plural": "clusternetworkpolicies", "kind": "ClusterNetworkPolicy"},
            "versions": [{"name": "v1alpha2", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    let made = post(&client, CRDS, &crd).await;
    assert_eq!(made.code, 201, "{}", made.text);
    expect![[r#"
        "NamesAccepted"="True" "BuiltIn": "the server has this kind itself, and does not use the definition"
        "Established"="True" "BuiltIn": "the server has this kind itself, and does not use the definition""#]].assert_eq(&conditions(&made.json()).join("\n"));
    let path = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies";
    assert_eq!(get(&client, path).await.code, 200);
    let name = format!("{CRDS}/clusternetworkpolicies.policy.networking.k8s.io");
    assert_eq!(send(&client, "DELETE", &name, "", "").await.code, 200);
    until(&client, &name, |code, _| code == 404).await;
    assert_eq!(get(&client, path).await.code, 200);
}

#[tokio::test]
async fn a_definition_goes_with_its_objects() {
    let (server, client) = defined().await;
    for name in ["a", "b"] {
        assert_eq!(post(&client, WIDGETS, &widget(name, json!({"size": 1}))).await.code, 201);
    }
    let mut held = widget("held", json!({"size": 1}));
    held["metadata"]["finalizers"] = json!(["example.com/mine"]);
    assert_eq!(post(&client, WIDGETS, &held).await.code, 201);
    let watched = tokio::spawn({
        let client = client.clone();
        async move { get(&client, &format!("{WIDGETS}?watch=true&resourceVersion=0")).await.text }
    });
    let path = format!("{CRDS}/widgets.example.com");
    let deleted = send(&client, "DELETE", &path, "", "").await;
    assert_eq!(
        deleted.json()["metadata"]["finalizers"],
        json!(["customresourcecleanup.apiextensions.k8s.io"])
    );

    // What nobody holds goes; the rest holds the definition, and nothing new is made.
    let left = until(&client, WIDGETS, |_, text| {
        !text.contains("\"name\":\"a\"") && !text.contains("\"name\":\"b\"")
    })
    .await
    .json();
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    until(&client, &format!("{WIDGETS}/held"), |_, text| text.contains("deletionTimestamp")).await;
    let refused = post(&client, WIDGETS, &widget("c", json!({"size": 1}))).await;
    assert_eq!(refused.code, 405);
    assert!(
        refused.text.contains("create not allowed while custom resource definition is terminating"),
        "{}",
        refused.text
    );
    until(&client, &path, |_, text| text.contains("InstanceDeletionInProgress")).await;

    let patch = json!({"metadata": {"finalizers": null}}).to_string();
    let freed = send(&client, "PATCH", &format!("{WIDGETS}/held"), MERGE, patch).await;
    assert_eq!(freed.code, 200, "{}", freed.text);
    until(&client, &path, |code, _| code == 404).await;
    until(&client, WIDGETS, |code, _| code == 404).await;
    assert_eq!(get(&client, "/apis/example.com").await.code, 404);
    let events = tokio::time::timeout(Duration::from_secs(20), watched)
        .await
        .expect("the watch ends")
        .unwrap();
    assert!(events.contains("ADDED"), "{events}");

    // Defined again, nothing of before is there.
    assert_eq!(post(&client, CRDS, &definition()).await.code, 201);
    assert_eq!(get(&client, WIDGETS).await.json()["items"], json!([]));
    drop(server);
}

#[tokio::test]
async fn kinds_are_described_and_the_description_changes_with_them() {
    let (_server, client) = defined().await;
    let url = || async {
        let index = get(&client, "/openapi/v3").await.json();
        index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().unwrap().to_owned()
    };
    let before = url().await;
    let body = get(&client, &before).await.json();
    let own = &body["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(own["properties"]["spec"]["properties"]["color"]["default"], "red");
    assert_eq!(
        own["properties"]["metadata"]["$ref"],
        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    assert_eq!(
        own["x-kubernetes-group-version-kind"],
        json!([{"group": "example.com", "version": "v1", "kind": "Widget"}])
    );
    let mut changed = get(&client, &format!("{CRDS}/widgets.example.com")).await.json();
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        ["new"] = json!({"type": "string", "default": "n"});
    let answer = send(
        &client,
        "PUT",
        &format!("{CRDS}/widgets.example.com"),
        "application/json",
        changed.to_string(),
    )
    .await;
    assert_eq!(answer.code, 200, "{}", answer.text);
    assert_ne!(url().await, before);
    // Objects that were there have the new default.
    assert_eq!(
        post(&client, WIDGETS, &widget("a", json!({"size": 1}))).await.json()["spec"]["new"],
        "n"
    );
    let mut moved = answer.json();
    moved["spec"]["scope"] = "Cluster".into();
    let answer = send(
        &client,
        "PUT",
        &format!("{CRDS}/widgets.example.com"),
        "application/json",
        moved.to_string(),
    )
    .await;
    assert!(answer.text.contains("field is immutable"), "{}", answer.text);
}
