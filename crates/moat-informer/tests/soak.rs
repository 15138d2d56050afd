//! Caches over a connection that fails all the time: in the end each has what the store has, and its listeners have heard exactly that.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use moat_apiserver::{
    At, Change, Client, DeleteOptions, Gvr, Listed, Options, PatchType, Selection, ServedKind,
    Server, Status, User,
};
use moat_informer::{Boxed, Cache, Cluster, Events, Item};
use moat_store::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

static CONFIG_MAPS: Gvr = Gvr::new("", "v1", "configmaps");

/// A cluster whose lists and watches fail at random, or say that they are too old.
#[derive(Debug)]
struct Flaky {
    inner: Client,
    rng: Arc<Mutex<Rng>>,
    one_in: usize,
}

#[derive(Debug)]
struct FlakyEvents {
    inner: Box<dyn Events>,
    rng: Arc<Mutex<Rng>>,
    one_in: usize,
}

fn fails(rng: &Mutex<Rng>, one_in: usize) -> Result<(), Status> {
    let mut rng = rng.lock().unwrap();
    if !rng.one_in(one_in) {
        Ok(())
    } else if rng.one_in(3) {
        Err(Status::expired("too old resource version"))
    } else {
        Err(Status::unavailable("connection lost"))
    }
}

impl Events for FlakyEvents {
    fn next(&mut self) -> Boxed<'_, Result<Vec<Change>, Status>> {
        Box::pin(async move {
            fails(&self.rng, self.one_in)?;
            let changes = self.inner.next().await?;
            // What was under way is lost with the connection.
            fails(&self.rng, self.one_in)?;
            Ok(changes)
        })
    }

    fn revision(&self) -> u64 {
        self.inner.revision()
    }
}

impl Cluster for Flaky {
    fn list<'a>(
        &'a self,
        at: At<'a>,
        selection: &'a Selection,
    ) -> Boxed<'a, Result<Listed, Status>> {
        Box::pin(async move {
            fails(&self.rng, self.one_in)?;
            self.inner.list(at, selection)
        })
    }
    fn watch<'a>(
        &'a self,
        at: At<'a>,
        selection: &'a Selection,
        after: u64,
    ) -> Boxed<'a, Result<Box<dyn Events>, Status>> {
        Box::pin(async move {
            fails(&self.rng, self.one_in)?;
            let inner = Cluster::watch(&self.inner, at, selection, after).await?;
            Ok(Box::new(FlakyEvents { inner, rng: Arc::clone(&self.rng), one_in: self.one_in })
                as Box<dyn Events>)
        })
    }
    fn get<'a>(&'a self, at: At<'a>) -> Boxed<'a, Result<Value, Status>> {
        Cluster::get(&self.inner, at)
    }
    fn create<'a>(&'a self, at: At<'a>, object: Value) -> Boxed<'a, Result<Value, Status>> {
        Cluster::create(&self.inner, at, object)
    }
    fn update<'a>(&'a self, at: At<'a>, object: Value) -> Boxed<'a, Result<Value, Status>> {
        Cluster::update(&self.inner, at, object)
    }
    fn patch<'a>(
        &'a self,
        at: At<'a>,
        kind: PatchType,
        patch: &'a Value,
    ) -> Boxed<'a, Result<Value, Status>> {
        Cluster::patch(&self.inner, at, kind, patch)
    }
    fn delete<'a>(
        &'a self,
        at: At<'a>,
        options: &'a DeleteOptions,
    ) -> Boxed<'a, Result<Value, Status>> {
        Cluster::delete(&self.inner, at, options)
    }
    fn kinds(&self) -> Vec<ServedKind> {
        self.inner.kinds()
    }
    fn kind(&self, api_version: &str, kind: &str) -> Option<ServedKind> {
        Cluster::kind(&self.inner, api_version, kind)
    }
}

type Heard = Arc<Mutex<BTreeMap<String, u64>>>;

/// A listener that rebuilds the cache from what it hears, and complains of what cannot be.
fn listen(cache: &Cache<Value>) -> Heard {
    let heard = Heard::default();
    let into = Arc::clone(&heard);
    cache.on_change(move |delta| {
        let mut heard = into.lock().unwrap();
        let path = delta.last().unwrap().path.as_str().to_owned();
        let before = match &delta.new {
            Some(new) => heard.insert(path.clone(), new.revision),
            None => heard.remove(&path),
        };
        assert_eq!(before, delta.old.as_ref().map(|old| old.revision), "{path}");
    });
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_ends_as_the_store_is_whatever_the_connection_does() {
    for seed in 1..4 {
        let server = Server::start(Options::default()).await.unwrap();
        let client = server.client(User::authenticated("me", ["system:masters".to_owned()]));
        let rng = Arc::new(Mutex::new(Rng::new(seed)));
        let flaky = Arc::new(Flaky { inner: client.clone(), rng, one_in: 4 });
        let index = |item: &Item<Value>, words: &mut Vec<Box<str>>| {
            words.extend(item.meta.label("v").map(Into::into));
        };
        let cache: Cache<Value> = Cache::start(flaky, CONFIG_MAPS.clone(), vec![index]);
        let early = listen(&cache);
        let mut random = Rng::new(seed + 100);
        let mut late = None;
        for step in 0..600 {
            let name = format!("c{}", random.below(20));
            let value = random.below(3).to_string();
            let object = json!({ "metadata": { "name": name, "labels": { "v": value } } });
            match random.below(3) {
                0 => drop(client.create(CONFIG_MAPS.at("default", ""), object).await),
                1 => drop(
                    client.patch(CONFIG_MAPS.at("default", &name), PatchType::Merge, &object).await,
                ),
                _ => drop(
                    client
                        .delete(CONFIG_MAPS.at("default", &name), &DeleteOptions::default())
                        .await,
                ),
            }
            if step == 300 {
                late = Some(listen(&cache));
            }
            if step % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let at = CONFIG_MAPS.at("default", "");
        let last = json!({ "metadata": { "name": "last", "labels": { "v": "0" } } });
        let last = client.create(at, last).await.unwrap();
        let last = last["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        cache.reached(last).await;
        let listed = client.list(CONFIG_MAPS.at("", ""), &Selection::default()).unwrap();
        let want: BTreeMap<String, u64> =
            listed.objects.iter().map(|one| (one.path.as_str().to_owned(), one.revision)).collect();
        let have = |items: Vec<Arc<Item<Value>>>| -> BTreeMap<String, u64> {
            items.iter().map(|one| (one.path.as_str().to_owned(), one.revision)).collect()
        };
        assert_eq!(have(cache.all()), want, "seed {seed}");
        assert_eq!(*early.lock().unwrap(), want);
        assert_eq!(*late.unwrap().lock().unwrap(), want);
        let mut indexed = BTreeMap::new();
        for word in ["0", "1", "2"] {
            let found = cache.by(0, word);
            assert!(found.iter().all(|one| one.meta.label("v") == Some(word)));
            indexed.extend(have(found));
        }
        indexed.retain(|path, _| want.contains_key(path));
        assert_eq!(
            indexed.len(),
            cache.all().iter().filter(|one| one.meta.label("v").is_some()).count()
        );
        server.shutdown().await;
    }
}
