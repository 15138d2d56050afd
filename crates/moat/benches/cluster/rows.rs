//! The rows of the table.

use crate::client::Target;
use crate::embedded::{self, Embedded, Scratch};
use crate::{N_PODS, bare, ms, quantile, row, streams, watchers};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

const JSON: &str = "application/json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PODS: &str = "/api/v1/namespaces/default/pods";
/// Requests under way at once.
const IN_FLIGHT: usize = 16;
const N_WATCHERS: u32 = 100;

/// Process start to ready, seven times, and what the last one uses when nothing happens.
pub(crate) async fn start_and_idle() {
    let mut times = Vec::new();
    for _ in 0..7 {
        let embedded = Embedded::start(&[]).await;
        times.push(embedded.ready);
        if times.len() < 7 {
            embedded.stop();
            continue;
        }
        // What starting left to do is done by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (memory, before) = (embedded.memory(), embedded.cpu());
        tokio::time::sleep(Duration::from_secs(5)).await;
        let cpu = (embedded.cpu() - before) / 5.0 * 100.0;
        row(
            "process start to /readyz ok, median of 7",
            &ms(quantile(&mut times, 0.5)),
            "100 ms",
            None,
        );
        row("idle memory of the whole control plane", &mib(memory), "40 MiB", None);
        row("idle CPU, share of a core", &format!("{cpu:.1} %"), "-", None);
        embedded.stop();
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// A pod of about 2.3 kB once it is defaulted and stored, with the account of its fields and the mount of its token. No scheduler serves it, so
/// that nobody but the bench writes.
fn pod(name: &str) -> String {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": { "name": name, "labels": { "app": "web", "pod-template-hash": "6b7f9c5d8" } },
        "spec": { "schedulerName": "nobody", "containers": [{
            "name": "web", "image": "registry.example.com/team/web:1.27.3",
            "env": [{ "name": "SETTING", "value": "value-of-setting" }],
            "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
        }]},
    })
    .to_string()
}

/// 10 000 creates on disk, 16 under way.
pub(crate) async fn create_pods(own: &Embedded, peer: Option<&Target>) {
    let (server, client) = (own.cpu(), embedded::cpu("self"));
    let (rate, p99) = creates(&own.target).await;
    let each = |seconds: f64| seconds * 1e6 / N_PODS as f64;
    let (server, client) = (each(own.cpu() - server), each(embedded::cpu("self") - client));
    let other = match peer {
        Some(peer) => Some(creates(peer).await),
        None => None,
    };
    let name = "create 10k pods nobody schedules, durable, 16 in flight";
    row(name, &format!("{rate:.0}/s"), "5000/s", other.map(|(rate, _)| format!("{rate:.0}/s")));
    row(&format!("{name}: p99"), &ms(p99), "10 ms", other.map(|(_, p99)| ms(p99)));
    row("CPU of a create, server + client", &format!("{server:.0} + {client:.0} µs"), "-", None);
}

async fn creates(target: &Target) -> (f64, Duration) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    let began = Instant::now();
    for _ in 0..IN_FLIGHT {
        let (next, target) = (Arc::clone(&next), target.clone());
        workers.spawn(async move {
            let mut connection = target.connect().await;
            let mut times = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= N_PODS {
                    return times;
                }
                let body = pod(&format!("pod-{at}"));
                let began = Instant::now();
                let (code, answer) = connection.ask("POST", PODS, JSON, body).await;
                assert_eq!(code, 201, "{}", String::from_utf8_lossy(&answer));
                times.push(began.elapsed());
            }
        });
    }
    let mut times: Vec<Duration> = workers.join_all().await.into_iter().flatten().collect();
    let rate = N_PODS as f64 / began.elapsed().as_secs_f64();
    (rate, quantile(&mut times, 0.99))
}

/// All of them at once, as JSON and as a table.
pub(crate) async fn list_pods(own: &Embedded, peer: Option<&Target>) {
    for (what, accept) in [("JSON", JSON), ("Table", TABLE)] {
        let before = own.cpu();
        let (time, bytes) = list(&own.target, accept).await;
        let server = Duration::from_secs_f64((own.cpu() - before) / N_LISTS as f64);
        let other = match peer {
            Some(peer) => Some(list(peer, accept).await),
            None => None,
        };
        let name = format!(
            "list 10k pods: {what}, {:.1} MB, median of {N_LISTS} ({} CPU of the server)",
            bytes as f64 / 1e6,
            ms(server)
        );
        row(&name, &ms(time), "50 ms", other.map(|(time, _)| ms(time)));
    }
}

const N_LISTS: usize = 9;

/// How long a list takes until its last byte is read, and how many there are.
async fn list(target: &Target, accept: &str) -> (Duration, usize) {
    let mut connection = target.connect().await;
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..N_LISTS {
        let began = Instant::now();
        let response = connection.open("GET", PODS, accept, "").await;
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        times.push(began.elapsed());
    }
    (quantile(&mut times, 0.5), bytes)
}

pub(crate) fn memory(own: &Embedded, when: &str) {
    row(&format!("memory with 10k pods stored, {when}"), &mib(own.memory()), "150 MiB", None);
}

/// From before a create until each of 100 watchers has read the event: in memory, as `moat up` is, and on disk. What one watcher waits, and
/// what the disk takes to keep a write, tell how much of it is the hundred's.
pub(crate) async fn watch_latency(scratch: &Scratch, peer: Option<&Target>) {
    let streams: (&str, Watch) = ("streams of one HTTP/2 connection", streams::watch);
    let connections: (&str, Watch) = ("a connection each", watchers::watch);
    let memory = Embedded::start(&["--nodes", "0"]).await;
    latencies(&memory, None, "in memory, 1 watcher", 1, streams.1, ["-", "-"]).await;
    for (how, watch) in [streams, connections] {
        let name = format!("in memory, 100 watchers, {how}");
        latencies(&memory, None, &name, N_WATCHERS, watch, ["0.5 ms", "2 ms"]).await;
    }
    memory.stop();
    let durable = Embedded::start(&["--nodes", "0", "--data-dir", scratch.path("watched")]).await;
    for (how, watch) in [streams, connections] {
        let name = format!("on disk, 100 watchers, {how}");
        latencies(&durable, peer, &name, N_WATCHERS, watch, ["-", "-"]).await;
    }
    durable.stop();
    let mut times =
        tokio::task::spawn_blocking(|| bare::fan_out(N_WATCHERS as usize)).await.unwrap();
    for (what, at) in [("p50", 0.5), ("p99", 0.99)] {
        let name = format!("the machine itself: 500 bytes to 100 plain connections: {what}");
        row(&name, &ms(quantile(&mut times, at)), "-", None);
    }
    let mut times = syncs(scratch.path("syncs"));
    row(
        "the disk itself: a write of 1.5 kB that is kept, p50",
        &ms(quantile(&mut times, 0.5)),
        "-",
        None,
    );
}

async fn latencies(
    own: &Embedded,
    peer: Option<&Target>,
    name: &str,
    n: u32,
    watch: Watch,
    goals: [&str; 2],
) {
    let (p50, p99) = latency(&own.target, n, watch).await;
    let other = match peer {
        Some(peer) => Some(latency(peer, n, watch).await),
        None => None,
    };
    let name = format!("create to watch event, {name}");
    row(&format!("{name}: p50"), &ms(p50), goals[0], other.map(|(p50, _)| ms(p50)));
    row(&format!("{name}: p99"), &ms(p99), goals[1], other.map(|(_, p99)| ms(p99)));
}

/// How long the disk takes to keep what was written.
fn syncs(path: &str) -> Vec<Duration> {
    let mut file = std::fs::File::create(path).unwrap();
    let one = |_| {
        file.write_all(&[b'x'; 1500]).unwrap();
        let began = Instant::now();
        file.sync_data().unwrap();
        began.elapsed()
    };
    (0..100).map(one).collect()
}

type Watch = fn(&Target, &str, u32) -> UnboundedReceiver<Vec<Instant>>;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn latency(target: &Target, n: u32, watch: Watch) -> (Duration, Duration) {
    let mut writer = target.connect().await;
    let (_, listed) = writer.ask("GET", MAPS, JSON, "").await;
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    let version = listed["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{MAPS}?watch=true&resourceVersion={version}");
    let watched = target.clone();
    let watching = tokio::task::spawn_blocking(move || watch(&watched, &path, n));
    let mut news = watching.await.unwrap();
    let mut times = Vec::new();
    for at in 0..100 {
        let body =
            json!({ "metadata": { "name": format!("news-{version}-{at}") }, "data": { "k": "v" } });
        let began = Instant::now();
        let (code, _) = writer.ask("POST", MAPS, JSON, body.to_string()).await;
        assert_eq!(code, 201);
        let mut n_left = n as usize;
        while 0 < n_left {
            let seen = news.recv().await.unwrap();
            n_left -= seen.len();
            times.extend(seen.into_iter().map(|when| when.duration_since(began)));
        }
    }
    (quantile(&mut times, 0.5), quantile(&mut times, 0.99))
}

/// A Deployment of 1000 replicas until its status says that all are ready.
pub(crate) async fn deployment() {
    let mut times = Vec::new();
    let mut cpu = 0.0;
    for _ in 0..3 {
        let embedded = Embedded::start(&["--fake-nodes", "20"]).await;
        let mut connection = embedded.target.connect().await;
        let path = "/apis/apps/v1/namespaces/default/deployments";
        let labels = json!({ "app": "web" });
        let body = json!({
            "metadata": { "name": "web" }, "spec": { "replicas": 1000, "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "web", "image": "web" }] },
            }},
        });
        let before = embedded.cpu();
        let began = Instant::now();
        let mut watcher = embedded.target.connect().await;
        let response = watcher.open("GET", &format!("{path}?watch=true"), JSON, "").await;
        let (code, answer) = connection.ask("POST", path, JSON, body.to_string()).await;
        assert_eq!(code, 201, "{}", String::from_utf8_lossy(&answer));
        let (mut stream, mut text) = (response.into_body(), Vec::new());
        'ready: loop {
            let frame = tokio::time::timeout(Duration::from_secs(120), stream.frame()).await;
            let frame = frame.expect("1000 replicas within two minutes").unwrap().unwrap();
            text.extend_from_slice(&frame.into_data().unwrap());
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let event: Value = serde_json::from_slice(&text[..end]).unwrap();
                text.drain(..=end);
                if event["object"]["status"]["readyReplicas"] == 1000 {
                    break 'ready;
                }
            }
        }
        times.push(began.elapsed());
        cpu = embedded.cpu() - before;
        embedded.stop();
    }
    let name =
        format!("Deployment of 1000 to all Ready, 20 fake nodes, median of 3 ({cpu:.1} s CPU)");
    row(&name, &ms(quantile(&mut times, 0.5)), "1000 ms", None);
}

/// Until a cluster with 100 000 objects answers again after it was killed.
pub(crate) async fn recovery(scratch: &Scratch) {
    const N: usize = 100_000;
    let dir = scratch.path("recovery");
    let embedded = Embedded::start(&["--nodes", "0", "--data-dir", dir]).await;
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..64 {
        let (next, target) = (Arc::clone(&next), embedded.target.clone());
        workers.spawn(async move {
            let mut connection = target.connect().await;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= N {
                    return;
                }
                let filler = "x".repeat(800);
                let body =
                    json!({ "metadata": { "name": format!("map-{at}") }, "data": { "k": filler } });
                let (code, answer) = connection.ask("POST", MAPS, JSON, body.to_string()).await;
                assert_eq!(code, 201, "{}", String::from_utf8_lossy(&answer));
            }
        });
    }
    workers.join_all().await;
    embedded.kill();
    let embedded = Embedded::start(&["--nodes", "0", "--data-dir", dir]).await;
    let mut connection = embedded.target.connect().await;
    let (code, answer) = connection.ask("GET", &format!("{MAPS}?limit=1"), JSON, "").await;
    assert_eq!(code, 200);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let left = answer["metadata"]["remainingItemCount"].as_u64().unwrap();
    assert!(left + 1 >= N as u64, "{left} are left of {N}");
    row(
        "recovery of 100k objects after kill -9, to /readyz ok",
        &ms(embedded.ready),
        "1000 ms",
        None,
    );
    embedded.stop();
}
