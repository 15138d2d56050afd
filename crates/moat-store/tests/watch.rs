//! Watches and writers on threads and tasks: whoever sleeps is woken for what concerns it, and sees it once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_store::{
    Body, Expect, History, Key, List, Options, Path, ReadError, Resource, Scope, Store, Write,
    WriteError,
};
use std::collections::BTreeMap;
use std::time::Duration;

fn key(resource: &str, namespace: &str, name: &str) -> Key {
    Key::new(&Resource::new(resource).unwrap(), Some(namespace), name).unwrap()
}

fn put(store: &Store, key: &Key) -> u64 {
    let body = Body::stamped("rv ", 3);
    let write = match store.get(key) {
        None => Write::Create { key: key.clone(), body },
        Some(_) => Write::Update { key: key.clone(), body, expect: Expect::Exists },
    };
    store.submit(vec![write]).wait().unwrap()[0].as_ref().unwrap().revision
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("nobody woke it")
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_and_a_hundred_watches_agree() {
    let store = Store::in_memory(Options::default());
    let pods = Resource::new("pods").unwrap();
    let watchers: Vec<_> = (0..100)
        .map(|n| {
            let scope = match n % 3 {
                0 => Scope::All,
                1 => Scope::Namespace(format!("ns{}", n % 4)),
                _ => Scope::Object(Path::new(Some("ns1"), "o5").unwrap()),
            };
            let mut watch = store.watch(&pods, scope.clone(), store.revision()).unwrap();
            tokio::spawn(async move {
                let (mut seen, mut last) = (BTreeMap::new(), 0);
                loop {
                    match watch.next().await {
                        Ok(events) => {
                            for event in events {
                                assert!(last < event.revision());
                                last = event.revision();
                                let before = event.previous.as_ref().map(|object| object.revision);
                                let path = event.key.path.clone();
                                assert_eq!(seen.insert(path, last), before, "an event is missing");
                            }
                        }
                        Err(ReadError::Closed) => return (scope, seen),
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..16)
        .map(|n| {
            let store = store.clone();
            std::thread::spawn(move || {
                for i in 0..400 {
                    put(
                        &store,
                        &key("pods", &format!("ns{}", n % 4), &format!("o{}", i % 20 + n / 4 * 20)),
                    );
                }
            })
        })
        .collect();
    for writer in writers {
        tokio::task::spawn_blocking(move || writer.join().unwrap()).await.unwrap();
    }
    store.close();
    for watcher in watchers {
        let (scope, seen) = soon(watcher).await.unwrap();
        let page = store.list(&List::new(&pods, scope)).unwrap();
        let there: BTreeMap<_, _> =
            page.objects.into_iter().map(|object| (object.path, object.revision)).collect();
        assert_eq!(seen, there);
    }
}

#[tokio::test]
async fn a_write_wakes_only_those_whom_it_concerns() {
    let store = Store::in_memory(Options::default());
    let pods = Resource::new("pods").unwrap();
    let mut other = store.watch(&pods, Scope::Namespace("b".into()), 1).unwrap();
    let mut asleep = Box::pin(other.next());
    let mut task = tokio_test_poll(&mut asleep);
    for n in 0..10 {
        put(&store, &key("pods", "a", &format!("o{n}")));
        put(&store, &key("nodes", "b", &format!("o{n}")));
    }
    // Woken now and then to move on, but not for each.
    assert!(task.n_woken() <= 6, "woken {} times for others", task.n_woken());
    let revision = put(&store, &key("pods", "b", "mine"));
    let events = soon(asleep).await.unwrap();
    assert_eq!(events.iter().map(|event| event.revision()).collect::<Vec<_>>(), [revision]);
    assert_eq!(other.revision(), revision);
}

/// A future polled once, and how often it was woken since.
fn tokio_test_poll<F: Future + Unpin>(future: &mut F) -> Woken {
    let woken = Woken(std::sync::Arc::default());
    let waker = std::task::Waker::from(std::sync::Arc::clone(&woken.0));
    let polled = std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(&waker));
    assert!(polled.is_pending());
    woken
}

struct Woken(std::sync::Arc<Count>);

#[derive(Default)]
struct Count(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Woken {
    fn n_woken(&mut self) -> usize {
        self.0.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[tokio::test]
async fn sleeping_while_others_write_is_not_lagging() {
    let history = History { events_max: 50, ..History::default() };
    let store = Store::in_memory(Options { history, ..Options::default() });
    let pods = Resource::new("pods").unwrap();
    let mut mine = store.watch(&pods, Scope::Namespace("mine".into()), 1).unwrap();
    let sleeper = tokio::spawn(async move { mine.next().await.map(|events| events[0].revision()) });
    let mut lagging = store.watch(&pods, Scope::All, 1).unwrap();
    for n in 0..2000 {
        put(&store, &key("pods", "theirs", &format!("o{}", n % 7)));
        tokio::task::yield_now().await;
        if n % 100 == 0 {
            store.compact(store.revision());
            tokio::task::yield_now().await;
        }
    }
    let revision = put(&store, &key("pods", "mine", "o"));
    assert_eq!(soon(sleeper).await.unwrap(), Ok(revision));
    let expired = lagging.try_next().unwrap_err();
    assert_eq!(expired, ReadError::Expired(moat_store::Expired { oldest: store.oldest(&pods) }));
}

#[tokio::test]
async fn ten_thousand_idle_watches_cost_a_write_nothing() {
    let store = Store::in_memory(Options::default());
    let watches: Vec<_> = (0..10_000)
        .map(|n| {
            let resource = Resource::new(&format!("kind{}", n % 50)).unwrap();
            let mut watch = store.watch(&resource, Scope::All, 1).unwrap();
            tokio::spawn(async move { watch.next().await.map(|_| ()) })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let start = std::time::Instant::now();
    for n in 0..1000 {
        put(&store, &key("pods", "a", &format!("o{n}")));
    }
    // Far more than it takes, far less than waking everybody a thousand times.
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    drop(store);
    for watch in watches {
        assert_eq!(soon(watch).await.unwrap(), Err(ReadError::Closed));
    }
}

#[tokio::test]
async fn a_store_on_disk_answers_tasks_and_comes_back() {
    let dir = std::env::temp_dir().join(format!("moat-store-watch-{}", std::process::id()));
    let (store, recovery) = Store::open(&dir, Options::default()).unwrap();
    assert_eq!(recovery.revision, 1);
    let own = key("pods", "a", "web");
    let made = store.create(own.clone(), Body::stamped("rv", 2)).await.unwrap();
    assert_eq!((made.revision, &made.value[..]), (2, &b"rv2"[..]));
    let again = store.create(own.clone(), Body::whole("x")).await;
    assert_eq!(again, Err(WriteError::Exists { current: 2 }));
    let stale = store.update(own.clone(), Body::whole("x"), Expect::Revision(1)).await;
    assert_eq!(stale, Err(WriteError::Conflict { current: 2 }));
    store.update(own.clone(), Body::whole("y"), Expect::Revision(2)).await.unwrap();
    let large = store.create(key("pods", "a", "b"), Body::whole(vec![0; 4 << 20])).await;
    assert_eq!(large, Err(WriteError::TooLarge { bytes: 4 << 20, max: 3 << 20 }));
    let mut watch = store.watch(&own.resource, Scope::All, 2).unwrap();
    assert_eq!(watch.next().await.unwrap()[0].revision(), 3);
    drop(store);
    assert_eq!(soon(watch.next()).await, Err(ReadError::Closed));
    let (store, recovery) = Store::open(&dir, Options::default()).unwrap();
    assert_eq!((recovery.revision, recovery.n_replayed, recovery.torn), (3, 2, None));
    // Where a watch was before the restart, it goes on.
    let mut watch = store.watch(&own.resource, Scope::All, 2).unwrap();
    let events = watch.next().await.unwrap();
    assert_eq!(events[0].previous.as_ref().map(|object| &object.value[..]), Some(&b"rv2"[..]));
    store.close();
    let late = store.delete(own.clone(), None, Expect::Exists).await;
    assert_eq!(late, Err(WriteError::Closed));
    assert!(store.get(&own).is_some());
    std::fs::remove_dir_all(&dir).unwrap();
}
