//! Endpoints written by hand, as slices.

use super::{ENDPOINTS, SERVICES, SLICES, World, name};
use moat_apiserver::{DeleteOptions, PatchType};
use serde_json::{Value, json};

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";

fn mirrors(all: &[Value]) -> Vec<&Value> {
    let by = |one: &&Value| {
        one["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == MANAGER
    };
    all.iter().filter(by).collect()
}

fn ips(slice: &Value) -> Vec<&str> {
    let all = slice["endpoints"].as_array().into_iter().flatten();
    all.filter_map(|one| one["addresses"][0].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_written_by_hand_are_mirrored_while_nothing_is_selected() {
    let world = World::start().await;
    let client = &world.client;
    let own = json!({
        "metadata": {
            "name": "db", "labels": { "tier": "data" },
            "annotations": { "note": "kept", "kubectl.kubernetes.io/last-applied-configuration": "{}" },
        },
        "subsets": [{ "addresses": [{ "ip": "192.0.2.1" }], "notReadyAddresses": [{ "ip": "2001:db8::1" }], "ports": [{ "name": "sql", "port": 5432 }] }],
    });
    client.create(ENDPOINTS.at("default", ""), own).await.unwrap();
    let service = json!({ "metadata": { "name": "db" }, "spec": { "ports": [{ "name": "sql", "port": 5432 }] } });
    client.create(SERVICES.at("default", ""), service).await.unwrap();
    let all = world.until(&SLICES, "default", |all| mirrors(all).len() == 2).await;
    let four = mirrors(&all).into_iter().find(|one| one["addressType"] == "IPv4").unwrap().clone();
    assert_eq!(four["metadata"]["labels"]["kubernetes.io/service-name"], "db");
    assert_eq!(four["metadata"]["labels"]["tier"], "data");
    assert_eq!(four["metadata"]["annotations"], json!({ "note": "kept" }));
    assert_eq!(four["metadata"]["ownerReferences"][0]["kind"], "Endpoints");
    assert_eq!(four["ports"], json!([{ "name": "sql", "port": 5432, "protocol": "TCP" }]));
    assert_eq!(
        (ips(&four), &four["endpoints"][0]["conditions"]["ready"]),
        (vec!["192.0.2.1"], &json!(true))
    );

    // A change changes the slice that is there, and takes away what is not said any more.
    let subsets = json!({ "subsets": [{ "addresses": [{ "ip": "192.0.2.1" }, { "ip": "192.0.2.2" }], "ports": [{ "name": "sql", "port": 5432 }] }] });
    client.patch(ENDPOINTS.at("default", "db"), PatchType::Merge, &subsets).await.unwrap();
    let all = world
        .until(&SLICES, "default", |all| matches!(mirrors(all)[..], [one] if ips(one).len() == 2))
        .await;
    assert_eq!(name(mirrors(&all)[0]), name(&four));

    // Who does not want to be mirrored says so; and where pods are selected, the slices are of pods.
    let at = ENDPOINTS.at("default", "db");
    let skip = |value: Value| json!({ "metadata": { "labels": { "endpointslice.kubernetes.io/skip-mirror": value } } });
    client.patch(at, PatchType::Merge, &skip("true".into())).await.unwrap();
    world.until(&SLICES, "default", |all| mirrors(all).is_empty()).await;
    client.patch(at, PatchType::Merge, &skip(Value::Null)).await.unwrap();
    world.until(&SLICES, "default", |all| mirrors(all).len() == 1).await;
    let selects = json!({ "spec": { "selector": { "app": "db" } } });
    client.patch(SERVICES.at("default", "db"), PatchType::Merge, &selects).await.unwrap();
    world.until(&SLICES, "default", |all| mirrors(all).is_empty()).await;
    client.delete(SERVICES.at("default", "db"), &DeleteOptions::default()).await.unwrap();
    world.end().await;
}
