//! The loop against the real server: pods are bound, the others say why not, and what changes is noticed.

use moat_apiserver::{
    Client, DeleteOptions, Gvr, Options, PatchType, Running, Selection, Server, User,
};
use moat_scheduler::{Caches, Config, Handle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

static PODS: Gvr = Gvr::new("", "v1", "pods");
static NODES: Gvr = Gvr::new("", "v1", "nodes");
static EVENTS: Gvr = Gvr::new("", "v1", "events");

/// Much longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    server: Running,
    client: Client,
    scheduler: Handle,
}

async fn world(config: &str) -> World {
    let server = Server::start(Options::default()).await.unwrap();
    let client =
        server.client(User::authenticated("system:kube-scheduler", ["system:masters".to_owned()]));
    let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\npodInitialBackoffSeconds: 1\n";
    let config = Config::parse("test", &format!("{head}{config}")).unwrap();
    let cluster: Arc<dyn moat_informer::Cluster> = Arc::new(client.clone());
    let caches = Caches::start(&cluster);
    let scheduler = moat_scheduler::start(client.clone(), caches, config);
    World { server, client, scheduler }
}

impl World {
    async fn node(&self, name: &str, cpu: &str, pods: &str) {
        let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
        self.client.create(NODES.at("", ""), node).await.unwrap();
        let status =
            json!({"status": {"allocatable": {"cpu": cpu, "memory": "64Gi", "pods": pods}}});
        self.client
            .patch(NODES.at("", name).part("status"), PatchType::Merge, &status)
            .await
            .unwrap();
        // A new node is held back as not ready until somebody says that it is.
        let ready = json!({"spec": {"taints": null}});
        self.client.patch(NODES.at("", name), PatchType::Merge, &ready).await.unwrap();
    }

    async fn pod(&self, name: &str, cpu: &str, more: Value) {
        let mut spec = json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let pod = json!({"metadata": {"name": name}, "spec": spec});
        self.client.create(PODS.at("default", ""), pod).await.unwrap();
    }

    /// Waits until the objects of a kind are as wished.
    async fn until(
        &self,
        gvr: &Gvr,
        wish: impl Fn(&BTreeMap<String, Value>) -> bool,
    ) -> BTreeMap<String, Value> {
        let seen = tokio::time::timeout(PATIENCE, async {
            loop {
                let at = gvr.at("default", "");
                let listed = self.client.list(at, &Selection::default()).unwrap();
                let objects = listed.objects.iter().map(|object| {
                    let value: Value = serde_json::from_slice(&object.value).unwrap();
                    (value["metadata"]["name"].as_str().unwrap().to_owned(), value)
                });
                let objects: BTreeMap<String, Value> = objects.collect();
                if wish(&objects) {
                    return objects;
                }
                let mut watch =
                    self.client.watch(at, &Selection::default(), listed.revision).unwrap();
                watch.next().await.unwrap();
            }
        });
        match seen.await {
            Ok(objects) => objects,
            Err(_) => {
                let listed =
                    self.client.list(gvr.at("default", ""), &Selection::default()).unwrap();
                let all: Vec<String> = listed
                    .objects
                    .iter()
                    .map(|one| String::from_utf8_lossy(&one.value).into_owned())
                    .collect();
                panic!("it did not happen: {}", all.join("\n"))
            }
        }
    }

    async fn until_bound(&self, name: &str) -> String {
        let pods = self.until(&PODS, |pods| pods[name]["spec"]["nodeName"].is_string()).await;
        pods[name]["spec"]["nodeName"].as_str().unwrap().to_owned()
    }

    /// Waits for an event of a pod.
    async fn until_event(&self, pod: &str, reason: &str) -> Value {
        let found = |events: &BTreeMap<String, Value>| {
            let mut all = events.values();
            all.find(|event| event["involvedObject"]["name"] == pod && event["reason"] == reason)
                .cloned()
        };
        found(&self.until(&EVENTS, |events| found(events).is_some()).await).unwrap()
    }

    async fn end(self) {
        self.scheduler.shutdown().await;
        self.server.shutdown().await;
    }
}

fn condition(pod: &Value, kind: &str) -> Value {
    let mut all = pod["status"]["conditions"].as_array().into_iter().flatten();
    all.find(|one| one["type"] == kind).cloned().unwrap_or_default()
}

static CLASSES: Gvr = Gvr::new("scheduling.k8s.io", "v1", "priorityclasses");

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_bound_and_told_of() {
    let world = world("").await;
    world.node("n1", "4", "10").await;
    world.pod("a", "1", json!({})).await;
    assert_eq!(world.until_bound("a").await, "n1");
    let pod = world.client.get(PODS.at("default", "a")).await.unwrap();
    assert_eq!(condition(&pod, "PodScheduled")["status"], "True");
    let event = world.until_event("a", "Scheduled").await;
    assert_eq!(event["message"], "Successfully assigned default/a to n1");
    assert_eq!(
        (&event["type"], &event["reportingComponent"]),
        (&json!("Normal"), &json!("default-scheduler"))
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_fits_nowhere_says_why_until_a_node_comes() {
    let world = world("").await;
    world.node("n1", "1", "10").await;
    world.pod("a", "2", json!({})).await;
    let message = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    // The pod can be in the news before the node is.
    world
        .until(&EVENTS, |events| {
            events.values().any(|event| {
                event["reason"] == "FailedScheduling"
                    && event["message"] == message
                    && event["type"] == "Warning"
            })
        })
        .await;
    let pods = world
        .until(&PODS, |pods| condition(&pods["a"], "PodScheduled")["message"] == message)
        .await;
    let said = condition(&pods["a"], "PodScheduled");
    assert_eq!(
        (&said["status"], &said["reason"], &said["message"]),
        (&json!("False"), &json!("Unschedulable"), &json!(message))
    );
    world.node("n2", "4", "10").await;
    assert_eq!(world.until_bound("a").await, "n2");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_made_for_the_important() {
    let world = world("").await;
    world.node("n1", "2", "10").await;
    let priority = |name: &str, value: i64| json!({"metadata": {"name": name}, "value": value});
    for class in [priority("low", 1), priority("high", 100)] {
        world.client.create(CLASSES.at("", ""), class).await.unwrap();
    }
    world.pod("victim", "2", json!({"priorityClassName": "low", "priority": 1})).await;
    world.until_bound("victim").await;
    world.pod("important", "1", json!({"priorityClassName": "high", "priority": 100})).await;
    let pods = world
        .until(&PODS, |pods| {
            pods.get("victim").is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_string())
                && pods["important"]["status"]["nominatedNodeName"] == "n1"
        })
        .await;
    let why = condition(&pods["victim"], "DisruptionTarget");
    assert_eq!(why["reason"], "PreemptionByScheduler");
    assert_eq!(
        why["message"],
        "default-scheduler: preempting to accommodate a higher priority pod"
    );
    world.until_event("victim", "Preempted").await;
    // The room is not given to another in the meantime.
    world.pod("small", "1", json!({"priority": 0})).await;
    world.until_event("small", "FailedScheduling").await;
    let at_once = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    world.client.delete(PODS.at("default", "victim"), &at_once).await.unwrap();
    assert_eq!(world.until_bound("important").await, "n1");
    assert_eq!(world.until_bound("small").await, "n1");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_and_other_schedulers_are_respected() {
    let world =
        world("profiles: [{schedulerName: default-scheduler}, {schedulerName: second}]").await;
    world.node("n1", "4", "10").await;
    world.pod("gated", "1", json!({"schedulingGates": [{"name": "x.io/wait"}]})).await;
    world.pod("foreign", "1", json!({"schedulerName": "another"})).await;
    world.pod("mine", "1", json!({"schedulerName": "second"})).await;
    world.until_bound("mine").await;
    let event = world.until_event("mine", "Scheduled").await;
    assert_eq!(event["reportingComponent"], "second");
    let open = json!({"spec": {"schedulingGates": null}});
    world.client.patch(PODS.at("default", "gated"), PatchType::Merge, &open).await.unwrap();
    world.until_bound("gated").await;
    let foreign = world.client.get(PODS.at("default", "foreign")).await.unwrap();
    assert_eq!(foreign["spec"]["nodeName"], Value::Null);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pods_fill_twenty_nodes_exactly() {
    let world = world("").await;
    for at in 0..20 {
        world.node(&format!("n{at}"), "50", "50").await;
    }
    let made = Instant::now();
    let tasks = (0..8).map(|task| {
        let client = world.client.clone();
        tokio::spawn(async move {
            for at in 0..125 {
                let pod = json!({"metadata": {"name": format!("p{task}-{at}")}, "spec": {"containers":
                    [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]}});
                client.create(PODS.at("default", ""), pod).await.unwrap();
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        task.await.unwrap();
    }
    let created = made.elapsed();
    let pods = world
        .until(&PODS, |pods| pods.values().all(|pod| pod["spec"]["nodeName"].is_string()))
        .await;
    println!("1000 pods made in {created:?}, all bound after {:?}", made.elapsed());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods.values() {
        *counts.entry(pod["spec"]["nodeName"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(pods.len(), 1000);
    assert!(counts.len() == 20 && counts.values().all(|count| *count == 50), "{counts:?}");
    world.pod("one-more", "1", json!({})).await;
    let event = world.until_event("one-more", "FailedScheduling").await;
    let text = event["message"].as_str().unwrap();
    assert!(
        text.starts_with("0/20 nodes are available: 20 Insufficient cpu, 20 Too many pods."),
        "{text}"
    );
    world.end().await;
}
