//! Controllers on a real server; pods become ready by a task that stands in for nodes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "cluster/stateful.rs"]
mod stateful;

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
        let server = Server::start(Options::default()).await.unwrap();
        let user = |name| User::authenticated(name, ["system:masters".to_owned()]);
        let client = server.client(user("tester"));
        let own = server.client(user("system:kube-controller-manager"));
        let options =
            moat_controllers::Options { root_ca: Some(server.ca()), ..Default::default() };
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

    // One that goes while it runs holds no pod back; one that asks for more than there is says so.
    world.client.create(JOBS.at("default", ""), job("k", json!({}))).await.unwrap();
    world.until(&PODS, "default", |all| all.len() == 1).await;
    world.client.delete(JOBS.at("default", "k"), &DeleteOptions::default()).await.unwrap();
    world.until(&PODS, "default", <[Value]>::is_empty).await;
    let spec = json!({ "completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1 });
    world.client.create(JOBS.at("default", ""), job("l", spec)).await.unwrap();
    let events = world
        .until(&EVENTS, "default", |all| all.iter().any(|one| one["reason"] == "UnsupportedField"))
        .await;
    let said = events.iter().find(|one| one["reason"] == "UnsupportedField").unwrap();
    assert_eq!(said["message"], "Job is not run: spec.backoffLimitPerIndex is not supported");
    assert!(world.list(&PODS, "default").is_empty());
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
