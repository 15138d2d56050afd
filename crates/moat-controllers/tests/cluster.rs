//! Controllers on a real server; pods become ready by a task that stands in for nodes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "cluster/autoscaler.rs"]
mod autoscaler;
#[path = "cluster/cron.rs"]
mod cron;
#[path = "cluster/disruption.rs"]
mod disruption;
#[path = "cluster/mirror.rs"]
mod mirror;
#[path = "cluster/stateful.rs"]
mod stateful;
#[path = "cluster/volume.rs"]
mod volume;

use moat_apiserver::{
    Client, DeleteOptions, Gvr, Options, PatchType, Propagation, Running, Selection, Server, User,
};
use moat_controllers::Handle;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

static PODS: Gvr = Gvr::new("", "v1", "pods");
static NAMESPACES: Gvr = Gvr::new("", "v1", "namespaces");
static CONFIG_MAPS: Gvr = Gvr::new("", "v1", "configmaps");
static ACCOUNTS: Gvr = Gvr::new("", "v1", "serviceaccounts");
static EVENTS: Gvr = Gvr::new("", "v1", "events");
static SERVICES: Gvr = Gvr::new("", "v1", "services");
static ENDPOINTS: Gvr = Gvr::new("", "v1", "endpoints");
static SLICES: Gvr = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
static REPLICA_SETS: Gvr = Gvr::new("apps", "v1", "replicasets");
static DEPLOYMENTS: Gvr = Gvr::new("apps", "v1", "deployments");

static NODES: Gvr = Gvr::new("", "v1", "nodes");
static DAEMON_SETS: Gvr = Gvr::new("apps", "v1", "daemonsets");
static REVISIONS: Gvr = Gvr::new("apps", "v1", "controllerrevisions");
static JOBS: Gvr = Gvr::new("batch", "v1", "jobs");

struct World {
    server: Running,
    client: Client,
    controllers: Handle,
    nodes: JoinHandle<()>,
}

impl World {
    async fn start() -> Self {
        Self::with(moat_controllers::Options::default()).await
    }

    async fn start_with(timing: moat_controllers::Timing) -> Self {
        Self::with(moat_controllers::Options { timing, ..Default::default() }).await
    }

    async fn with(options: moat_controllers::Options) -> Self {
        let server = Server::start(Options::default()).await.unwrap();
        let user = |name| User::authenticated(name, ["system:masters".to_owned()]);
        let client = server.client(user("tester"));
        let own = server.client(user("system:kube-controller-manager"));
        let options = moat_controllers::Options {
            root_ca: Some(server.ca()),
            signer: Some(server.signer()),
            ..options
        };
        let controllers = moat_controllers::start(Arc::new(own), options);
        let nodes = tokio::spawn(make_ready(server.client(user("nodes"))));
        Self { server, client, controllers, nodes }
    }

    async fn end(self) {
        self.nodes.abort();
        self.controllers.shutdown().await;
        self.server.shutdown().await;
    }

    fn list(&self, gvr: &Gvr, namespace: &str) -> Vec<Value> {
        let listed = self.client.list(gvr.at(namespace, ""), &Selection::default()).unwrap();
        listed.objects.iter().map(|one| serde_json::from_slice(&one.value).unwrap()).collect()
    }

    /// Waits until something holds of the objects of a kind; looks again after each change of any.
    async fn until(
        &self,
        gvr: &Gvr,
        namespace: &str,
        what: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let waiting = async {
            loop {
                let listed =
                    self.client.list(gvr.at(namespace, ""), &Selection::default()).unwrap();
                let revision = listed.revision;
                let found = self.list(gvr, namespace);
                if what(&found) {
                    return found;
                }
                let watch =
                    self.client.watch(gvr.at(namespace, ""), &Selection::default(), revision);
                watch.unwrap().next().await.unwrap();
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        found.unwrap_or_else(|_| panic!("never so: {:#?}", self.list(gvr, namespace)))
    }
}

/// What nodes do: every pod that has no phase of its own yet runs and is ready.
async fn make_ready(client: Client) {
    let everything = Selection::default();
    let at = PODS.at("", "");
    let mut watch = client.watch(at, &everything, 1).unwrap();
    let mut n = 0_u32;
    while let Ok(changes) = watch.next().await {
        for change in changes {
            let pod = change.value();
            if pod["status"]["phase"] != "Pending" {
                continue;
            }
            n += 1;
            let (namespace, name) = (
                pod["metadata"]["namespace"].as_str().unwrap(),
                pod["metadata"]["name"].as_str().unwrap(),
            );
            let ip = format!("10.1.{}.{}", n / 250, n % 250 + 1);
            let patch = json!({ "status": {
                "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
                "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
            } });
            // A pod that is gone by now needs no status.
            let _ = client
                .patch(PODS.at(namespace, name).part("status"), PatchType::Merge, &patch)
                .await;
        }
    }
}

fn deployment(name: &str, replicas: i64, image: &str) -> Value {
    let labels = json!({ "app": name });
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": image }] } },
        },
    })
}

fn is_done(deployment: &Value) -> bool {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let wanted = spec["replicas"].as_i64();
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"]
            .iter()
            .all(|field| status[*field].as_i64().or(Some(0)) == wanted)
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_rolls_forward_and_back() {
    let world = World::start().await;
    let at = DEPLOYMENTS.at("default", "web");
    world
        .client
        .create(DEPLOYMENTS.at("default", ""), deployment("web", 4, "one:1"))
        .await
        .unwrap();
    world.until(&DEPLOYMENTS, "default", |all| is_done(&all[0])).await;
    let sets = world.list(&REPLICA_SETS, "default");
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0]["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    let first = name(&sets[0]);

    let image = |image: &str| json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } });
    world.client.patch(at, PatchType::Strategic, &image("two:2")).await.unwrap();
    world
        .until(&DEPLOYMENTS, "default", |all| {
            is_done(&all[0]) && all[0]["status"]["observedGeneration"] == 2
        })
        .await;
    let sets = world.list(&REPLICA_SETS, "default");
    assert_eq!(sets.len(), 2);
    let old = sets.iter().find(|set| name(set) == first).unwrap();
    assert_eq!(old["spec"]["replicas"], 0);
    let pods = world.until(&PODS, "default", |all| all.len() == 4).await;
    assert!(pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == "two:2"));

    // Back to the first template: its set is taken again, with a new number.
    world.client.patch(at, PatchType::Strategic, &image("one:1")).await.unwrap();
    world
        .until(&DEPLOYMENTS, "default", |all| {
            is_done(&all[0]) && all[0]["status"]["observedGeneration"] == 3
        })
        .await;
    let sets = world.list(&REPLICA_SETS, "default");
    assert_eq!(sets.len(), 2);
    let again = sets.iter().find(|set| name(set) == first).unwrap();
    assert_eq!(again["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    assert_eq!(again["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"], "1");
    let own = world
        .until(&DEPLOYMENTS, "default", |all| {
            all[0]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        })
        .await;
    let conditions = own[0]["status"]["conditions"].as_array().unwrap();
    let reason =
        |kind: &str| conditions.iter().find(|one| one["type"] == kind).unwrap()["reason"].clone();
    assert_eq!(
        (reason("Available"), reason("Progressing")),
        (json!("MinimumReplicasAvailable"), json!("NewReplicaSetAvailable"))
    );
    let events = world
        .until(&EVENTS, "default", |all| all.iter().any(|one| one["reason"] == "ScalingReplicaSet"))
        .await;
    let said = events.iter().find(|one| one["reason"] == "ScalingReplicaSet").unwrap();
    assert_eq!(said["message"], format!("Scaled up replica set {first} from 0 to 4"));

    // Recreate, and history of one.
    let patch = json!({ "spec": { "strategy": { "type": "Recreate", "rollingUpdate": null }, "revisionHistoryLimit": 0 } });
    world.client.patch(at, PatchType::Merge, &patch).await.unwrap();
    world.client.patch(at, PatchType::Strategic, &image("three:3")).await.unwrap();
    world
        .until(&REPLICA_SETS, "default", |all| {
            all.len() == 1 && all[0]["status"]["availableReplicas"] == 4
        })
        .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_owner_leaves_behind_is_as_was_asked() {
    let world = World::start().await;
    for (propagation, stays) in [
        (Propagation::Background, false),
        (Propagation::Foreground, false),
        (Propagation::Orphan, true),
    ] {
        world
            .client
            .create(DEPLOYMENTS.at("default", ""), deployment("web", 2, "one:1"))
            .await
            .unwrap();
        world.until(&DEPLOYMENTS, "default", |all| !all.is_empty() && is_done(&all[0])).await;
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        world.client.delete(DEPLOYMENTS.at("default", "web"), &options).await.unwrap();
        world.until(&DEPLOYMENTS, "default", <[Value]>::is_empty).await;
        if stays {
            let sets = world.list(&REPLICA_SETS, "default");
            assert_eq!(sets.len(), 1);
            assert_eq!(sets[0]["metadata"].get("ownerReferences"), None, "{}", sets[0]);
            assert_eq!(world.list(&PODS, "default").len(), 2);
        } else {
            if propagation == Propagation::Foreground {
                // Owners go last.
                assert!(world.list(&REPLICA_SETS, "default").is_empty());
                assert!(world.list(&PODS, "default").is_empty());
            }
            world.until(&REPLICA_SETS, "default", <[Value]>::is_empty).await;
            world.until(&PODS, "default", <[Value]>::is_empty).await;
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_two_owners_stays_until_both_are_gone() {
    let world = World::start().await;
    let config = |name: &str| json!({ "metadata": { "name": name } });
    let mut owners = Vec::new();
    for owner in ["a", "b"] {
        let made = world.client.create(CONFIG_MAPS.at("default", ""), config(owner)).await.unwrap();
        owners.push(json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": made["metadata"]["uid"] }));
    }
    let mut owned = config("c");
    owned["metadata"]["ownerReferences"] = owners.into();
    world.client.create(CONFIG_MAPS.at("default", ""), owned).await.unwrap();
    world.client.delete(CONFIG_MAPS.at("default", "a"), &DeleteOptions::default()).await.unwrap();
    world
        .until(&CONFIG_MAPS, "default", |all| {
            let own = all.iter().find(|one| name(one) == "c").unwrap();
            own["metadata"]["ownerReferences"].as_array().unwrap().len() == 1
        })
        .await;
    world.client.delete(CONFIG_MAPS.at("default", "b"), &DeleteOptions::default()).await.unwrap();
    world.until(&CONFIG_MAPS, "default", |all| all.iter().all(|one| name(one) != "c")).await;
    // Somebody who names an owner that never was is taken too.
    let mut lost = config("lost");
    lost["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": "1-2-3" }]);
    world.client.create(CONFIG_MAPS.at("default", ""), lost).await.unwrap();
    world.until(&CONFIG_MAPS, "default", |all| all.iter().all(|one| name(one) != "lost")).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_has_what_it_needs_and_goes_with_all_it_has() {
    let world = World::start().await;
    let namespace = json!({ "metadata": { "name": "blue" } });
    world.client.create(NAMESPACES.at("", ""), namespace.clone()).await.unwrap();
    world.until(&ACCOUNTS, "blue", |all| !all.is_empty()).await;
    let configs = world.until(&CONFIG_MAPS, "blue", |all| !all.is_empty()).await;
    assert_eq!(configs[0]["data"]["ca.crt"], world.server.ca());
    // Who takes it away gets it back.
    world.client.delete(ACCOUNTS.at("blue", "default"), &DeleteOptions::default()).await.unwrap();
    world.until(&ACCOUNTS, "blue", |all| !all.is_empty()).await;

    world.client.create(DEPLOYMENTS.at("blue", ""), deployment("web", 3, "one:1")).await.unwrap();
    let held = json!({ "metadata": { "name": "held", "finalizers": ["example.com/hold"] } });
    world.client.create(CONFIG_MAPS.at("blue", ""), held).await.unwrap();
    world.until(&DEPLOYMENTS, "blue", |all| is_done(&all[0])).await;
    world.client.delete(NAMESPACES.at("", "blue"), &DeleteOptions::default()).await.unwrap();
    let all = world
        .until(&NAMESPACES, "", |all| {
            let own = all.iter().find(|one| name(one) == "blue").unwrap();
            own["status"]["conditions"].as_array().is_some_and(|all| {
                all.iter().any(|one| {
                    one["message"]
                        == "Some resources are remaining: configmaps. has 1 resource instances"
                })
            })
        })
        .await;
    let own = all.iter().find(|one| name(one) == "blue").unwrap();
    let conditions = own["status"]["conditions"].as_array().unwrap();
    assert_eq!(
        conditions.last().unwrap()["message"],
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
    );
    assert!(world.list(&PODS, "blue").is_empty());
    let patch = json!({ "metadata": { "finalizers": null } });
    world.client.patch(CONFIG_MAPS.at("blue", "held"), PatchType::Merge, &patch).await.unwrap();
    world.until(&NAMESPACES, "", |all| all.iter().all(|one| name(one) != "blue")).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_has_its_pods_behind_it() {
    let world = World::start().await;
    let service = json!({
        "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    });
    world.client.create(SERVICES.at("default", ""), service).await.unwrap();
    world
        .client
        .create(DEPLOYMENTS.at("default", ""), deployment("web", 120, "one:1"))
        .await
        .unwrap();
    let n = |all: &[Value]| -> usize {
        let own = all
            .iter()
            .filter(|one| one["metadata"]["labels"]["kubernetes.io/service-name"] == "web");
        own.map(|one| {
            one["endpoints"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|one| one["conditions"]["ready"] == true)
                .count()
        })
        .sum()
    };
    world.until(&SLICES, "default", |all| n(all) == 120).await;
    let old = world
        .until(&ENDPOINTS, "default", |all| {
            all.iter().any(|one| {
                one["subsets"][0]["addresses"].as_array().is_some_and(|all| all.len() == 120)
            })
        })
        .await;
    assert_eq!(old[0]["subsets"][0]["ports"], json!([{ "port": 8080, "protocol": "TCP" }]));
    let scale = json!({ "spec": { "replicas": 1 } });
    world.client.patch(DEPLOYMENTS.at("default", "web"), PatchType::Merge, &scale).await.unwrap();
    world.until(&SLICES, "default", |all| n(all) == 1).await;
    world.client.delete(SERVICES.at("default", "web"), &DeleteOptions::default()).await.unwrap();
    world.until(&SLICES, "default", |all| n(all) == 0).await;
    world.until(&ENDPOINTS, "default", <[Value]>::is_empty).await;
    world.end().await;
}

fn job(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["template"] = json!({ "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "one:1" }] } });
    json!({ "metadata": { "name": name }, "spec": spec })
}

fn finalizers(pod: &Value) -> usize {
    pod["metadata"]["finalizers"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_each_index_once_and_goes() {
    let world = World::start().await;
    let spec = json!({ "completions": 3, "parallelism": 2, "completionMode": "Indexed" });
    world.client.create(JOBS.at("default", ""), job("j", spec)).await.unwrap();
    for done in 1..=3 {
        let running = |pod: &&Value| pod["status"]["phase"] == "Running";
        let pods = world
            .until(&PODS, "default", |all| all.iter().filter(running).count() == 2.min(4 - done))
            .await;
        assert!(pods.iter().filter(running).all(|pod| finalizers(pod) == 1));
        let pod = pods.iter().find(running).unwrap();
        let patch = json!({ "status": { "phase": "Succeeded" } });
        let at = PODS.at("default", pod["metadata"]["name"].as_str().unwrap()).part("status");
        world.client.patch(at, PatchType::Merge, &patch).await.unwrap();
        world.until(&JOBS, "default", |all| all[0]["status"]["succeeded"] == done).await;
    }
    let jobs = world
        .until(&JOBS, "default", |all| {
            let all = all[0]["status"]["conditions"].as_array();
            all.is_some_and(|all| all.iter().any(|one| one["type"] == "Complete"))
        })
        .await;
    let status = &jobs[0]["status"];
    assert_eq!((&status["completedIndexes"], &status["active"]), (&json!("0-2"), &Value::Null));
    let reasons: Vec<&Value> =
        status["conditions"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert_eq!(reasons, ["SuccessCriteriaMet", "Complete"]);
    let pods =
        world.until(&PODS, "default", |all| all.iter().all(|pod| finalizers(pod) == 0)).await;
    assert_eq!(pods.len(), 3);
    let patch = json!({ "spec": { "ttlSecondsAfterFinished": 0 } });
    world.client.patch(JOBS.at("default", "j"), PatchType::Merge, &patch).await.unwrap();
    world.until(&JOBS, "default", <[Value]>::is_empty).await;
    assert!(world.list(&PODS, "default").is_empty());

    // One that goes while it runs holds no pod back; one whose indexes fail says which.
    world.client.create(JOBS.at("default", ""), job("k", json!({}))).await.unwrap();
    world.until(&PODS, "default", |all| all.len() == 1).await;
    let options =
        DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    world.client.delete(JOBS.at("default", "k"), &options).await.unwrap();
    world.until(&PODS, "default", <[Value]>::is_empty).await;
    let spec = json!({ "completionMode": "Indexed", "completions": 1, "backoffLimitPerIndex": 1 });
    world.client.create(JOBS.at("default", ""), job("l", spec)).await.unwrap();
    let fail = async |failures: &str| {
        let of = |all: &[Value]| {
            let mut own = all.iter().filter(|pod| pod["status"]["phase"] == "Running");
            own.find(|pod| {
                pod["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"]
                    == failures
            })
            .map(name)
        };
        let pods = world.until(&PODS, "default", |all| of(all).is_some()).await;
        let status = json!({ "status": { "phase": "Failed", "containerStatuses": [
            { "name": "c", "state": { "terminated": { "exitCode": 1, "finishedAt": "2026-01-01T00:00:00Z" } } },
        ] } });
        let at = of(&pods).unwrap();
        let at = PODS.at("default", &at).part("status");
        world.client.patch(at, PatchType::Merge, &status).await.unwrap();
    };
    // The only index fails, is tried once more, and fails for good.
    fail("0").await;
    fail("1").await;
    let jobs = world
        .until(&JOBS, "default", |all| {
            all[0]["status"]["conditions"].as_array().is_some_and(|all| all.len() == 2)
        })
        .await;
    let status = &jobs[0]["status"];
    assert_eq!((&status["failedIndexes"], &status["failed"]), (&json!("0"), &json!(2)));
    assert_eq!(status["conditions"][1]["reason"], "FailedIndexes");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_set_is_on_each_node_and_rolls() {
    let world = World::start().await;
    let add = async |name: &str, os: &str| {
        let node = json!({ "metadata": { "name": name, "labels": { "os": os } } });
        world.client.create(NODES.at("", ""), node).await.unwrap();
        // A new node is tainted until it is ready.
        let of = |all: &[Value]| all.iter().find(|one| one["metadata"]["name"] == name).cloned();
        let taints =
            |all: &[Value]| of(all).unwrap()["spec"]["taints"].as_array().map_or(0, Vec::len);
        world.until(&NODES, "", |all| taints(all) == 1).await;
        let ready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        let at = NODES.at("", name).part("status");
        world.client.patch(at, PatchType::Merge, &ready).await.unwrap();
        world.until(&NODES, "", |all| taints(all) == 0).await;
    };
    for (name, os) in [("a", "linux"), ("b", "linux"), ("w", "windows")] {
        add(name, os).await;
    }
    let mut set = deployment("agent", 0, "one:1");
    set["spec"]["replicas"] = Value::Null;
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({ "os": "linux" });
    world.client.create(DAEMON_SETS.at("default", ""), set).await.unwrap();
    let is_done = |all: &[Value], generation: i64, n: i64| {
        let status = &all[0]["status"];
        status["observedGeneration"] == generation
            && ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"]
                .iter()
                .all(|field| status[*field] == n)
    };
    world.until(&DAEMON_SETS, "default", |all| is_done(all, 1, 2)).await;
    add("c", "linux").await;
    world.until(&DAEMON_SETS, "default", |all| is_done(all, 1, 3)).await;
    let at = DAEMON_SETS.at("default", "agent");
    let image = |image: &str| json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } });
    for (generation, name) in [(2, "two:2"), (3, "one:1")] {
        world.client.patch(at, PatchType::Strategic, &image(name)).await.unwrap();
        world.until(&DAEMON_SETS, "default", |all| is_done(all, generation, 3)).await;
        let pods = world.list(&PODS, "default");
        assert!(pods.len() == 3);
        assert!(pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == name));
    }
    // The first template again is the first revision with a new number.
    let mut numbers: Vec<i64> = world
        .list(&REVISIONS, "default")
        .iter()
        .map(|one| one["revision"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
    // A node that is no longer for it loses its pod.
    let patch = json!({ "metadata": { "labels": { "os": "plan9" } } });
    world.client.patch(NODES.at("", "c"), PatchType::Merge, &patch).await.unwrap();
    world.until(&DAEMON_SETS, "default", |all| is_done(all, 3, 2)).await;
    world.until(&PODS, "default", |all| all.len() == 2).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_replicas_come_soon_and_then_nobody_writes() {
    let world = World::start().await;
    let start = Instant::now();
    world
        .client
        .create(DEPLOYMENTS.at("default", ""), deployment("web", 1000, "one:1"))
        .await
        .unwrap();
    world.until(&PODS, "default", |all| all.len() == 1000).await;
    let created = start.elapsed();
    world.until(&DEPLOYMENTS, "default", |all| is_done(&all[0])).await;
    println!("1000 pods created in {created:?}, available in {:?}", start.elapsed());
    assert_eq!(world.list(&PODS, "default").len(), 1000);
    assert!(created < Duration::from_secs(20), "{created:?}");
    // A store that does not move for a second, five times the longest pause of any controller here.
    let mut quiet = world.server.store().revision();
    let mut since = Instant::now();
    let begin = Instant::now();
    while since.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = world.server.store().revision();
        if now != quiet {
            (quiet, since) = (now, Instant::now());
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "somebody writes without end");
    }
    world.end().await;
}

static BUDGETS: Gvr = Gvr::new("policy", "v1", "poddisruptionbudgets");
static QUOTAS: Gvr = Gvr::new("", "v1", "resourcequotas");

/// Asks for the eviction of a pod; the code and the cause of a refusal.
async fn evict(world: &World, pod: &str) -> Result<(), (u16, String)> {
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod, "namespace": "default" } });
    let asked = world.client.create(PODS.at("default", pod).part("eviction"), body).await;
    asked.map(|_| ()).map_err(|status| {
        let causes = status.details.and_then(|details| details.get("causes").cloned());
        let cause = causes
            .map_or_else(String::new, |causes| causes[0]["message"].as_str().unwrap().to_owned());
        (status.code, cause)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_lets_go_one_after_the_other() {
    let world = World::start().await;
    let budget = json!({
        "metadata": { "name": "web" },
        "spec": { "maxUnavailable": "34%", "selector": { "matchLabels": { "app": "web" } } },
    });
    world.client.create(BUDGETS.at("default", ""), budget).await.unwrap();
    world.client.create(DEPLOYMENTS.at("default", ""), deployment("web", 3, "v1")).await.unwrap();
    let counts = |budget: &Value| {
        ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"]
            .map(|field| budget["status"][field].as_i64().unwrap_or(-1))
    };
    // 34 % of three, rounded up, is two.
    world.until(&BUDGETS, "default", |all| counts(&all[0]) == [2, 3, 1, 3]).await;
    let pods: Vec<String> = world.list(&PODS, "default").iter().map(name).collect();
    for pod in &pods[..2] {
        evict(&world, pod).await.unwrap();
    }
    // The other two are made again, so that a third may or may not go; all in all never more than two are away.
    world.until(&BUDGETS, "default", |all| counts(&all[0]) == [2, 3, 1, 3]).await;
    let stays = json!({ "spec": { "maxUnavailable": 0 } });
    let at = BUDGETS.at("default", "web");
    world.client.patch(at, PatchType::Merge, &stays).await.unwrap();
    world.until(&BUDGETS, "default", |all| counts(&all[0]) == [0, 3, 3, 3]).await;
    let refused = evict(&world, &pods[2]).await.unwrap_err();
    let why = "The disruption budget web needs 3 healthy pods and has 3 currently";
    assert_eq!(refused, (429, why.to_owned()));
    let conditions = &world.list(&BUDGETS, "default")[0]["status"]["conditions"];
    assert_eq!(conditions[0]["reason"], "InsufficientPods");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_tell_what_is_used() {
    let world = World::start().await;
    let quota = json!({
        "metadata": { "name": "q" },
        "spec": { "hard": { "pods": "5", "requests.cpu": "2", "count/deployments.apps": "4", "services": "1" } },
    });
    world.client.create(QUOTAS.at("default", ""), quota).await.unwrap();
    let mut web = deployment("web", 3, "v1");
    web["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({ "requests": { "cpu": "250m" } });
    world.client.create(DEPLOYMENTS.at("default", ""), web).await.unwrap();
    let full = json!({ "pods": "3", "requests.cpu": "750m", "count/deployments.apps": "1", "services": "1" });
    world.until(&QUOTAS, "default", |all| all[0]["status"]["used"] == full).await;
    let options = DeleteOptions::default();
    world.client.delete(DEPLOYMENTS.at("default", "web"), &options).await.unwrap();
    let empty =
        json!({ "pods": "0", "requests.cpu": "0", "count/deployments.apps": "0", "services": "1" });
    world.until(&QUOTAS, "default", |all| all[0]["status"]["used"] == empty).await;
    world.end().await;
}

/// A node with a heartbeat that is never renewed.
fn silent_node(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "status": { "conditions": [
        { "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z" },
    ] } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_of_a_lost_node_are_evicted_and_those_of_a_removed_one_go() {
    let short = Duration::from_millis(300);
    let timing = moat_controllers::Timing {
        node_monitor: Duration::from_millis(50),
        node_grace: short,
        node_eviction: Duration::from_millis(50),
        pod_sweep: Duration::from_millis(50),
        node_quarantine: short,
        ..Default::default()
    };
    let world = World::start_with(timing).await;
    for node in ["lives", "dies"] {
        let made = world.client.create(NODES.at("", ""), silent_node(node)).await.unwrap();
        let mut made = made;
        made["status"] = silent_node(node)["status"].clone();
        world.client.update(NODES.at("", node).part("status"), made).await.unwrap();
    }
    // One says that it has no agent, and is never heard of again.
    let mut bare = world.client.create(NODES.at("", ""), silent_node("bare")).await.unwrap();
    bare["status"] = silent_node("bare")["status"].clone();
    bare["status"]["conditions"][0]["status"] = "False".into();
    bare["status"]["conditions"][0]["reason"] = "NoNodeAgent".into();
    world.client.update(NODES.at("", "bare").part("status"), bare).await.unwrap();
    // One of them goes on to say that it lives.
    let client = world.server.client(User::authenticated("lives", ["system:masters".to_owned()]));
    let beats = tokio::spawn(async move {
        for n in 0_u64.. {
            let at = NODES.at("", "lives");
            let beat = json!([{ "op": "replace", "path": "/status/conditions/0/lastHeartbeatTime", "value": format!("2026-01-01T{:02}:{:02}:{:02}Z", n / 3600 % 24, n / 60 % 60, n % 60) }]);
            let _ = client.patch(at.part("status"), PatchType::Json, &beat).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let seconds = |seconds: i64| json!([{ "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds }]);
    for (name, node, tolerations) in [
        ("here", "lives", seconds(0)),
        ("there", "dies", seconds(0)),
        ("patient", "dies", seconds(3600)),
    ] {
        let pod = json!({
            "metadata": { "name": name },
            "spec": { "nodeName": node, "tolerations": tolerations, "terminationGracePeriodSeconds": 30, "containers": [{ "name": "c", "image": "i" }] },
        });
        world.client.create(PODS.at("default", ""), pod).await.unwrap();
    }
    let find = |all: &[Value], wanted: &str| all.iter().find(|one| name(one) == wanted).cloned();
    let lost = world
        .until(&NODES, "", |all| {
            let dies = find(all, "dies").unwrap();
            dies["spec"]["taints"].as_array().is_some_and(|taints| {
                taints.iter().any(|taint| {
                    taint["key"] == "node.kubernetes.io/unreachable"
                        && taint["effect"] == "NoExecute"
                })
            })
        })
        .await;
    let ready = &find(&lost, "dies").unwrap()["status"]["conditions"][0];
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("Unknown"), &json!("NodeStatusUnknown"))
    );
    assert_eq!(find(&lost, "lives").unwrap()["status"]["conditions"][0]["status"], "True");
    let bare = find(&lost, "bare").unwrap()["status"]["conditions"].clone();
    assert_eq!(
        (bare.as_array().unwrap().len(), &bare[0]["status"], &bare[0]["reason"]),
        (1, &json!("False"), &json!("NoNodeAgent"))
    );
    let pods = world
        .until(&PODS, "default", |all| {
            find(all, "there").is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_string())
        })
        .await;
    let told = find(&pods, "there").unwrap()["status"]["conditions"].as_array().unwrap().clone();
    let of = |kind: &str| told.iter().find(|one| one["type"] == kind).unwrap().clone();
    assert_eq!(of("DisruptionTarget")["reason"], "DeletionByTaintManager");
    // Nobody knows how it is, so nothing is sent to it.
    world
        .until(&PODS, "default", |all| {
            find(all, "patient").unwrap()["status"]["conditions"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["type"] == "Ready" && one["status"] == "False")
        })
        .await;
    for wanted in ["here", "patient"] {
        let pod = find(&world.list(&PODS, "default"), wanted).unwrap();
        assert!(pod["metadata"]["deletionTimestamp"].is_null(), "{wanted}");
    }
    // When the node is removed, nobody is left to end its pods.
    world.client.delete(NODES.at("", "dies"), &DeleteOptions::default()).await.unwrap();
    world.until(&PODS, "default", |all| all.len() == 1).await;
    assert_eq!(name(&world.list(&PODS, "default")[0]), "here");
    beats.abort();
    world.end().await;
}

static REQUESTS: Gvr = Gvr::new("certificates.k8s.io", "v1", "certificatesigningrequests");
static BINDINGS: Gvr = Gvr::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings");

/// A request for a certificate of a user in a group, PEM in base64.
fn request_of(user: &str, group: &str) -> String {
    use base64::Engine as _;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, user);
    params.distinguished_name.push(rcgen::DnType::OrganizationName, group);
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    base64::engine::general_purpose::STANDARD.encode(pem)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_may_get_their_certificates_and_others_wait_for_a_human() {
    const NODES_MAY: &str = "system:certificates.k8s.io:certificatesigningrequests:nodeclient";
    let world = World::start().await;
    let group = "system:bootstrappers:test";
    let binding = |name: &str, role: &str| {
        json!({
            "metadata": { "name": name }, "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group }],
        })
    };
    for (name, role) in [("ask", "system:node-bootstrapper"), ("may", NODES_MAY)] {
        world.client.create(BINDINGS.at("", ""), binding(name, role)).await.unwrap();
    }
    let joining =
        world.server.client(User::authenticated("system:bootstrap:abcdef", [group.to_owned()]));
    let ask = |name: &str, user: &str, group: &str, signer: &str| {
        json!({
            "metadata": { "name": name },
            "spec": {
                "request": request_of(user, group), "signerName": format!("kubernetes.io/{signer}"),
                "usages": ["digital signature", "client auth"], "expirationSeconds": 3600, "username": "somebody-else",
            },
        })
    };
    let node = ask("node", "system:node:n", "system:nodes", "kube-apiserver-client-kubelet");
    let made = joining.create(REQUESTS.at("", ""), node).await.unwrap();
    assert_eq!(made["spec"]["username"], "system:bootstrap:abcdef");
    let find = |all: &[Value], wanted: &str| all.iter().find(|one| name(one) == wanted).cloned();
    let is_signed = |one: &Value| one["status"]["certificate"].is_string();
    let signed = world
        .until(&REQUESTS, "", |all| find(all, "node").is_some_and(|one| is_signed(&one)))
        .await;
    let signed = find(&signed, "node").unwrap();
    assert_eq!(signed["status"]["conditions"][0]["reason"], "AutoApproved");

    // A person's request waits; who may not approve is told so; who may, may not sign by hand what is not approved.
    let jane = ask("jane", "jane", "dev", "kube-apiserver-client");
    world.client.create(REQUESTS.at("", ""), jane).await.unwrap();
    let approve = |object: &Value| {
        let mut approved = object.clone();
        approved["status"]["conditions"] = json!([{ "type": "Approved", "status": "True", "reason": "Known", "message": "she is here" }]);
        approved["status"]["certificate"] = "bm90aGluZw==".into();
        approved["spec"]["usages"] = json!(["server auth"]);
        approved
    };
    let at = REQUESTS.at("", "jane");
    let waiting = world.client.get(at).await.unwrap();
    let refused = joining.update(at.part("approval"), approve(&waiting)).await.unwrap_err();
    assert_eq!(refused.code, 403, "{}", refused.message);
    let approved = world.client.update(at.part("approval"), approve(&waiting)).await.unwrap();
    assert_eq!(approved["spec"]["usages"], waiting["spec"]["usages"]);
    assert!(approved["status"]["certificate"].is_null());
    world.until(&REQUESTS, "", |all| find(all, "jane").is_some_and(|one| is_signed(&one))).await;

    // Nobody becomes a master this way, and what is not a node's is not signed as one.
    let master = ask("master", "jane", "system:masters", "kube-apiserver-client");
    let refused = world.client.create(REQUESTS.at("", ""), master).await.unwrap_err();
    let why = "certificatesigningrequests.certificates.k8s.io \"master\" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
    assert_eq!(refused.message, why);
    let wrong = ask("wrong", "jane", "system:nodes", "kube-apiserver-client-kubelet");
    world.client.create(REQUESTS.at("", ""), wrong).await.unwrap();
    let at = REQUESTS.at("", "wrong");
    let waiting = world.client.get(at).await.unwrap();
    world.client.update(at.part("approval"), approve(&waiting)).await.unwrap();
    let failed = world
        .until(&REQUESTS, "", |all| {
            find(all, "wrong").is_some_and(|one| {
                one["status"]["conditions"].as_array().is_some_and(|all| all.len() == 2)
            })
        })
        .await;
    let failed = find(&failed, "wrong").unwrap();
    assert_eq!(
        failed["status"]["conditions"][1]["message"],
        "subject common name does not begin with system:node:"
    );
    assert!(!is_signed(&failed));
    world.end().await;
}
