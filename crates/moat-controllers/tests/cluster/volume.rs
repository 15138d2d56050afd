//! Claims and volumes on a real server and a real disk.

use super::{EVENTS, PODS, World, name};
use moat_apiserver::{DeleteOptions, Gvr, PatchType};
use serde_json::{Value, json};
use std::path::PathBuf;

static CLAIMS: Gvr = Gvr::new("", "v1", "persistentvolumeclaims");
static VOLUMES: Gvr = Gvr::new("", "v1", "persistentvolumes");
static CLASSES: Gvr = Gvr::new("storage.k8s.io", "v1", "storageclasses");

fn claim(name: &str, class: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "storageClassName": class, "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "1Gi" } },
        },
    })
}

fn is(all: &[Value], wanted: &str, phase: &str) -> bool {
    all.iter().any(|one| name(one) == wanted && one["status"]["phase"] == phase)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_get_volumes_and_volumes_go_with_them() {
    let dir = std::env::temp_dir().join(format!("moat-volumes-{}", std::process::id()));
    let volumes = Some(dir.clone());
    let world = World::with(moat_controllers::Options { volumes, ..Default::default() }).await;
    let client = &world.client;

    // By hand: a volume of somebody's own, kept when the claim goes.
    let own = json!({
        "metadata": { "name": "own" },
        "spec": { "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "2Gi" }, "hostPath": { "path": "/srv" }, "storageClassName": "" },
    });
    client.create(CLAIMS.at("default", ""), claim("first", "")).await.unwrap();
    world.until(&CLAIMS, "default", |all| is(all, "first", "Pending")).await;
    client.create(VOLUMES.at("", ""), own).await.unwrap();
    let claims = world.until(&CLAIMS, "default", |all| is(all, "first", "Bound")).await;
    assert_eq!(claims[0]["spec"]["volumeName"], "own");
    assert_eq!(claims[0]["status"]["capacity"]["storage"], "2Gi");
    world.until(&VOLUMES, "", |all| is(all, "own", "Bound")).await;

    // A placed pod holds its claim, and the claim its volume.
    let pod = json!({
        "metadata": { "name": "user" },
        "spec": { "nodeName": "a", "containers": [{ "name": "c", "image": "x" }], "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "first" } }] },
    });
    client.create(PODS.at("default", ""), pod).await.unwrap();
    world
        .until(&PODS, "default", |all| all.len() == 1 && all[0]["status"]["phase"] == "Running")
        .await;
    client.delete(VOLUMES.at("", "own"), &DeleteOptions::default()).await.unwrap();
    client.delete(CLAIMS.at("default", "first"), &DeleteOptions::default()).await.unwrap();
    let goes = |one: &Value| one["metadata"]["deletionTimestamp"].is_string();
    assert!(goes(&client.get(CLAIMS.at("default", "first")).await.unwrap()));
    assert!(goes(&client.get(VOLUMES.at("", "own")).await.unwrap()));
    let at_once = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    client.delete(PODS.at("default", "user"), &at_once).await.unwrap();
    world.until(&CLAIMS, "default", <[Value]>::is_empty).await;
    world.until(&VOLUMES, "", <[Value]>::is_empty).await;

    // Made here: now, and when a pod is placed.
    let class = |name: &str, mode: &str| {
        json!({
            "metadata": { "name": name, "annotations": { "storageclass.kubernetes.io/is-default-class": (mode == "Immediate").to_string() } },
            "provisioner": moat_controllers::PROVISIONER, "volumeBindingMode": mode,
        })
    };
    client.create(CLAIMS.at("default", ""), claim("now", "now")).await.unwrap();
    client.create(CLASSES.at("", ""), class("now", "Immediate")).await.unwrap();
    client.create(CLASSES.at("", ""), class("later", "WaitForFirstConsumer")).await.unwrap();
    let claims = world.until(&CLAIMS, "default", |all| is(all, "now", "Bound")).await;
    let made = claims[0]["spec"]["volumeName"].as_str().unwrap().to_owned();
    let volume = client.get(VOLUMES.at("", &made)).await.unwrap();
    let path = PathBuf::from(volume["spec"]["hostPath"]["path"].as_str().unwrap());
    assert!(path.starts_with(&dir) && path.is_dir(), "{path:?}");
    std::fs::write(path.join("data"), "kept").unwrap();

    client.create(CLAIMS.at("default", ""), claim("later", "later")).await.unwrap();
    world
        .until(&EVENTS, "default", |all| {
            all.iter().any(|one| one["reason"] == "WaitForFirstConsumer")
        })
        .await;
    assert!(is(&world.list(&CLAIMS, "default"), "later", "Pending"));
    client.create(super::NODES.at("", ""), json!({ "metadata": { "name": "a" } })).await.unwrap();
    let pod = json!({
        "metadata": { "name": "late" },
        "spec": { "nodeName": "a", "containers": [{ "name": "c", "image": "x" }], "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "later" } }] },
    });
    client.create(PODS.at("default", ""), pod).await.unwrap();
    world.until(&CLAIMS, "default", |all| is(all, "later", "Bound")).await;

    // With the claim goes what was made for it, and nothing that was not.
    client.delete(CLAIMS.at("default", "now"), &DeleteOptions::default()).await.unwrap();
    world.until(&VOLUMES, "", |all| all.iter().all(|one| name(one) != made)).await;
    assert!(!path.exists());
    let foreign = dir.join("foreign");
    std::fs::create_dir_all(&foreign).unwrap();
    let other = json!({
        "metadata": { "name": "foreign", "annotations": { "pv.kubernetes.io/provisioned-by": moat_controllers::PROVISIONER } },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" }, "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": { "path": format!("{}/./foreign", dir.display()) },
            "claimRef": { "namespace": "default", "name": "never", "uid": "1-2-3" },
        },
    });
    client.create(VOLUMES.at("", ""), other).await.unwrap();
    let all = world.until(&VOLUMES, "", |all| is(all, "foreign", "Failed")).await;
    let said = all.iter().find(|one| name(one) == "foreign").unwrap()["status"]["message"].clone();
    assert_eq!(
        said,
        r#"error getting deleter volume plugin for volume "foreign": no deletable volume plugin matched"#
    );
    assert!(foreign.is_dir());
    let kept = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
    client.patch(VOLUMES.at("", "foreign"), PatchType::Merge, &kept).await.unwrap();
    world.end().await;
    std::fs::remove_dir_all(&dir).unwrap();
}
