//! Many watchers whose connections break all the time: in the end each of them knows what the store has, no more and no less.
//!
//! `MOAT_SOAK=full` makes it 10 000 objects and 100 watchers.

use crate::common::{client, config, server};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use moat_store::Rng;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Names of objects, with the versions they were last seen in.
type Seen = BTreeMap<String, String>;

/// A way to the server on which no connection lives long, until it is told to be good.
struct Breaking {
    port: u16,
    good: Arc<AtomicBool>,
    broken: Arc<AtomicUsize>,
}

impl Breaking {
    async fn to(server: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (good, broken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_good, count) = (Arc::clone(&good), Arc::clone(&broken));
        tokio::spawn(async move {
            let mut rng = Rng::new(7);
            while let Ok((mut from, _)) = listener.accept().await {
                let lives = Duration::from_millis(50 + rng.below(1500) as u64);
                let (is_good, count) = (Arc::clone(&is_good), Arc::clone(&count));
                tokio::spawn(async move {
                    let Ok(mut to) = TcpStream::connect(server).await else { return };
                    let copied =
                        tokio::time::timeout(lives, copy_bidirectional(&mut from, &mut to));
                    if copied.await.is_ok() {
                        return;
                    }
                    if is_good.load(Ordering::Relaxed) {
                        let _ = copy_bidirectional(&mut from, &mut to).await;
                    } else {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { port, good, broken }
    }

    async fn client(&self, kubeconfig: &str) -> Client {
        let mut config = config(kubeconfig).await;
        config.cluster_url = format!("https://localhost:{}", self.port).parse().unwrap();
        Client::try_from(config).unwrap()
    }
}

/// Follows all ConfigMaps for ever, and begins anew now and then.
async fn follow(
    client: Client,
    streaming: bool,
    seed: u64,
    seen: Arc<Mutex<Seen>>,
    news: Arc<Notify>,
) {
    let api: Api<PartialObjectMeta<ConfigMap>> = Api::all(client);
    let mut rng = Rng::new(seed);
    loop {
        let settings = watcher::Config::default();
        let settings = if streaming { settings.streaming_lists() } else { settings };
        let mut events = pin!(watcher::watcher(api.clone(), settings));
        let mut listed = Seen::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    listed.insert(key(&object.metadata), object.resource_version().unwrap());
                }
                Ok(Event::InitDone) => *seen.lock().unwrap() = std::mem::take(&mut listed),
                Ok(Event::Apply(object)) => {
                    let version = object.resource_version().unwrap();
                    seen.lock().unwrap().insert(key(&object.metadata), version);
                }
                Ok(Event::Delete(object)) => {
                    seen.lock().unwrap().remove(&key(&object.metadata));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            news.notify_one();
            if rng.one_in(5000) {
                break;
            }
        }
    }
}

fn key(metadata: &ObjectMeta) -> String {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    format!("{namespace}/{}", metadata.name.as_deref().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_whose_connections_break_end_with_what_there_is() {
    let full = std::env::var("MOAT_SOAK").is_ok_and(|size| size == "full");
    let (objects, watchers) = if full { (10_000, 100) } else { (300, 12) };
    let server = server().await;
    let way = Breaking::to(server.address()).await;
    let mut all = Vec::new();
    for n in 0..watchers {
        let client = way.client(&server.kubeconfig()).await;
        let (seen, news) = (Arc::new(Mutex::new(Seen::new())), Arc::new(Notify::new()));
        let task = follow(client, n % 2 == 0, n, Arc::clone(&seen), Arc::clone(&news));
        all.push((seen, news, tokio::spawn(task)));
    }
    let began = Instant::now();
    let client = client(&server.kubeconfig()).await;
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let mut rng = Rng::new(1);
    for n in 0..objects {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(format!("c{n}"));
        api.create(&PostParams::default(), &object).await.unwrap();
        let other = format!("c{}", rng.below(n + 1));
        if rng.one_in(3) {
            let patch = serde_json::json!({ "data": { "n": n.to_string() } });
            // It may be gone already.
            let _ = api.patch(&other, &PatchParams::default(), &Patch::Merge(patch)).await;
        } else if rng.one_in(5) {
            let _ = api.delete(&other, &DeleteParams::default()).await;
        }
    }
    // Connections live up to a second and a half: on a fast machine the writes above are done before enough of them broke.
    let mut more = objects;
    while way.broken.load(Ordering::Relaxed) < 2 * all.len() {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(format!("c{more}"));
        api.create(&PostParams::default(), &object).await.unwrap();
        more += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let written = began.elapsed();
    way.good.store(true, Ordering::Relaxed);
    let list = Api::<ConfigMap>::all(client).list(&ListParams::default()).await.unwrap();
    let want: Seen = list
        .items
        .iter()
        .map(|object| (key(&object.metadata), object.resource_version().unwrap()))
        .collect();
    for (n, (seen, news, task)) in all.into_iter().enumerate() {
        let settled = async {
            while *seen.lock().unwrap() != want {
                news.notified().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(120), settled).await;
        let has = seen.lock().unwrap().len();
        assert!(
            waited.is_ok(),
            "watcher {n} has {has} objects of {}, or other versions",
            want.len()
        );
        task.abort();
    }
    let broken = way.broken.load(Ordering::Relaxed);
    eprintln!(
        "{more} objects created ({} left) in {written:?}, {watchers} watchers, {broken} connections broken, settled after {:?}",
        want.len(),
        began.elapsed()
    );
}
