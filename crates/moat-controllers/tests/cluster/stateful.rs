//! StatefulSets on a real server.

use super::{EVENTS, PODS, REVISIONS, World, name};
use moat_apiserver::{DeleteOptions, Gvr, PatchType, Propagation};
use serde_json::{Value, json};

static SETS: Gvr = Gvr::new("apps", "v1", "statefulsets");
static CLAIMS: Gvr = Gvr::new("", "v1", "persistentvolumeclaims");

fn set(replicas: i64) -> Value {
    let labels = json!({ "app": "db" });
    json!({
        "metadata": { "name": "db" },
        "spec": {
            "replicas": replicas, "serviceName": "db", "selector": { "matchLabels": labels },
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete", "whenScaled": "Delete" },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "one:1" }] } },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            }],
        },
    })
}

fn names(all: &[Value]) -> Vec<String> {
    all.iter().map(name).collect()
}

fn is_done(set: &Value) -> bool {
    let (spec, status) = (&set["spec"], &set["status"]);
    status["observedGeneration"] == set["metadata"]["generation"]
        && status["currentRevision"] == status["updateRevision"]
        && ["replicas", "updatedReplicas", "availableReplicas"]
            .iter()
            .all(|field| status[*field].as_i64().unwrap_or(0) == spec["replicas"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stateful_set_grows_rolls_goes_back_and_shrinks() {
    let world = World::start().await;
    let at = SETS.at("default", "db");
    world.client.create(SETS.at("default", ""), set(3)).await.unwrap();
    let sets = world.until(&SETS, "default", |all| is_done(&all[0])).await;
    let first = sets[0]["status"]["updateRevision"].as_str().unwrap().to_owned();
    let pods = world.list(&PODS, "default");
    assert_eq!(names(&pods), ["db-0", "db-1", "db-2"]);
    assert!(pods.iter().all(|pod| pod["metadata"]["labels"]["controller-revision-hash"] == first));
    let claims = world.list(&CLAIMS, "default");
    assert_eq!(names(&claims), ["data-db-0", "data-db-1", "data-db-2"]);
    let uid = |object: &Value| object["metadata"]["uid"].clone();
    let kept: Vec<Value> = claims.iter().map(uid).collect();

    let image = |image: &str| json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } });
    for (generation, name) in [(2, "two:2"), (3, "one:1")] {
        world.client.patch(at, PatchType::Strategic, &image(name)).await.unwrap();
        world
            .until(&SETS, "default", |all| {
                is_done(&all[0]) && all[0]["status"]["observedGeneration"] == generation
            })
            .await;
        let pods = world.list(&PODS, "default");
        assert!(pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == name));
    }
    // Back at the first template: its revision is the newest again, and pods kept their claims.
    let sets = world.list(&SETS, "default");
    assert_eq!(sets[0]["status"]["currentRevision"], first.as_str());
    let mut numbers: Vec<i64> = world
        .list(&REVISIONS, "default")
        .iter()
        .map(|one| one["revision"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(world.list(&CLAIMS, "default").iter().map(uid).collect::<Vec<_>>(), kept);

    // A pod that failed comes again; one that is deleted too.
    let failed = json!({ "status": { "phase": "Failed" } });
    let old = uid(&world.client.get(PODS.at("default", "db-1")).await.unwrap());
    let status = PODS.at("default", "db-1").part("status");
    world.client.patch(status, PatchType::Merge, &failed).await.unwrap();
    world
        .until(&PODS, "default", |all| {
            all.iter().any(|pod| {
                name(pod) == "db-1" && uid(pod) != old && pod["status"]["phase"] == "Running"
            })
        })
        .await;

    // Smaller: the highest goes, and its claim with it. Larger again: with a new claim.
    for (replicas, wanted) in [(1, vec!["data-db-0"]), (2, vec!["data-db-0", "data-db-1"])] {
        let scale = json!({ "spec": { "replicas": replicas } });
        world.client.patch(at, PatchType::Merge, &scale).await.unwrap();
        world.until(&SETS, "default", |all| is_done(&all[0])).await;
        world.until(&CLAIMS, "default", |all| names(all) == wanted).await;
    }
    assert!(uid(&world.list(&CLAIMS, "default")[1]) != kept[1]);
    let events = world
        .until(&EVENTS, "default", |all| {
            all.iter().any(|one| one["message"] == "Delete Pod db-2 in StatefulSet db successful")
        })
        .await;
    let said = |message: &str| events.iter().any(|one| one["message"] == message);
    assert!(said("Create Pod db-0 in StatefulSet db successful"));
    assert!(said("Create Claim data-db-0 Pod db-0 in StatefulSet db success"));

    // Left alone by its set and taken in by the next of the name: nothing is made anew.
    let before: Vec<Value> = world.list(&PODS, "default").iter().map(uid).collect();
    let revisions = names(&world.list(&REVISIONS, "default"));
    let orphan =
        DeleteOptions { propagation: Some(Propagation::Orphan), ..DeleteOptions::default() };
    world.client.delete(at, &orphan).await.unwrap();
    world.until(&SETS, "default", <[Value]>::is_empty).await;
    let mut next = set(2);
    next["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] = "Retain".into();
    world.client.create(SETS.at("default", ""), next).await.unwrap();
    world.until(&SETS, "default", |all| is_done(&all[0])).await;
    assert_eq!(world.list(&PODS, "default").iter().map(uid).collect::<Vec<_>>(), before);
    assert_eq!(names(&world.list(&REVISIONS, "default")), revisions);

    world.client.delete(at, &DeleteOptions::default()).await.unwrap();
    world.until(&PODS, "default", <[Value]>::is_empty).await;
    assert_eq!(world.list(&CLAIMS, "default").len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_is_waited_for() {
    let world = World::start().await;
    let other = json!({
        "metadata": { "name": "db-1", "labels": { "app": "other" } },
        "spec": { "containers": [{ "name": "c", "image": "x" }] },
    });
    world.client.create(PODS.at("default", ""), other).await.unwrap();
    let mut two = set(2);
    two["spec"]["volumeClaimTemplates"] = Value::Null;
    world.client.create(SETS.at("default", ""), two).await.unwrap();
    world.until(&SETS, "default", |all| all[0]["status"]["readyReplicas"] == 1).await;
    let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    world.client.delete(PODS.at("default", "db-1"), &options).await.unwrap();
    world.until(&SETS, "default", |all| is_done(&all[0])).await;
    world.end().await;
}
