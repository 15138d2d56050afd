//! The store's table: durable and in-memory writes with sixteen in flight, lists, watches, recovery, memory, and growth.
//!
//! `cargo bench -p moat-store` prints everything. `MOAT_DIR` names the directory whose disk is measured, `/tmp` otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a bench that cannot run has nobody to report to; figures are for people"
)]

use moat_store::{Body, History, Key, List, Options, Resource, Scope, Store, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const N_WRITERS: usize = 16;
const N_WATCHES: usize = 100;
const OBJECT_BYTES: usize = 2_000;

fn main() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let n_cores = std::thread::available_parallelism().map_or(0, usize::from);
    let base = std::env::var_os("MOAT_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("moat-store-bench-{}", std::process::id()));
    println!("machine: {n_cores} cores, load {}; disk of {}", load.trim(), base.display());
    println!("{:<58} {:>12} {:>10} {:>10}  goal", "objects of 2 kB", "rate, time", "p50", "p99");
    // First, in a process that has freed nothing yet; and kept, so that the second takes none of the first one's memory.
    let mut kept = Vec::new();
    for n in [10_000, 100_000] {
        let options = Options {
            history: History { events_max: n, ..History::default() },
            ..Options::default()
        };
        let before = resident();
        let store = Store::in_memory(options);
        creates(&format!("{n} creates, 16 in flight, in memory"), &store, n, "");
        let each = (resident() - before) / n as f64;
        println!("  memory an object of 2 kB, history included {:>27} bytes", each.round());
        lists(&store);
        kept.push(store);
    }
    drop(kept);
    syncs(&dir);
    for _ in 0..3 {
        let (store, _) = Store::open(&dir.join("a"), Options::default()).unwrap();
        creates("10000 creates, 16 in flight, durable", &store, 10_000, "5000/s, p99 10 ms");
        drop(store);
        std::fs::remove_dir_all(dir.join("a")).unwrap();
    }
    let (store, _) = Store::open(&dir.join("b"), Options::default()).unwrap();
    creates("100000 creates, 16 in flight, durable, with snapshots", &store, 100_000, "");
    lists(&store);
    let n_bytes = store.stats().log_bytes;
    // As if killed: nothing is sealed, dropped or finished.
    std::mem::forget(store);
    recovery(&dir, n_bytes);
    watches("100 watches: create to event, in memory", &Store::in_memory(Options::default()));
    let (store, _) = Store::open(&dir.join("c"), Options::default()).unwrap();
    watches("100 watches: create to event, durable", &store);
    drop(store);
    std::fs::remove_dir_all(&dir).unwrap();
}

fn row(what: &str, rate: &str, times: &mut [Duration], goal: &str) {
    times.sort();
    let at = |percent: usize| {
        format!("{:.3} ms", times[times.len() * percent / 100].as_secs_f64() * 1e3)
    };
    println!("{what:<58} {rate:>12} {:>10} {:>10}  {goal}", at(50), at(99));
}

/// What the disk itself takes, without which the rest says nothing.
fn syncs(dir: &Path) {
    use std::os::unix::fs::FileExt as _;
    std::fs::create_dir_all(dir).unwrap();
    let file = std::fs::File::create(dir.join("sync")).unwrap();
    let block = vec![b'x'; 16 * OBJECT_BYTES];
    let mut times: Vec<Duration> = (0..1000)
        .map(|n| {
            let start = Instant::now();
            file.write_all_at(&block, n * block.len() as u64).unwrap();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    row("the disk alone: 32 kB appended and synced", "", &mut times, "");
}

fn write(thread: usize, n: usize) -> Write {
    let pods = Resource::new("pods").unwrap();
    let key = Key::new(&pods, Some(&format!("ns{thread}")), &format!("web-{n}")).unwrap();
    Write::Create { key, body: Body::stamped(vec![b'x'; OBJECT_BYTES], 100) }
}

fn creates(what: &str, store: &Store, n: usize, goal: &str) {
    let start = Instant::now();
    let threads: Vec<_> = (0..N_WRITERS)
        .map(|thread| {
            let store = store.clone();
            std::thread::spawn(move || {
                (0..n / N_WRITERS)
                    .map(|i| {
                        let start = Instant::now();
                        store.submit(vec![write(thread, i)]).wait().unwrap();
                        start.elapsed()
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut times: Vec<Duration> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    let rate = format!("{:.0}/s", n as f64 / start.elapsed().as_secs_f64());
    row(what, &rate, &mut times, goal);
}

fn lists(store: &Store) {
    let pods = Resource::new("pods").unwrap();
    let n = store.count(&pods);
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let start = Instant::now();
            let page = store.list(&List::new(&pods, Scope::All)).unwrap();
            assert_eq!(page.objects.len(), n);
            start.elapsed()
        })
        .collect();
    row(&format!("  list of {n} objects"), "", &mut times, "");
}

fn recovery(dir: &Path, n_bytes: u64) {
    // The process that wrote still holds the lock; a copy is what a killed one leaves.
    let copy = dir.join("copy");
    std::fs::create_dir_all(&copy).unwrap();
    for entry in std::fs::read_dir(dir.join("b")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let mut found = String::new();
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let start = Instant::now();
            let (store, recovery) = Store::open(&copy, Options::default()).unwrap();
            let time = start.elapsed();
            found = format!("{} from the log of {} MB", recovery.n_replayed, n_bytes >> 20);
            assert_eq!(recovery.n_objects, 100_000);
            drop(store);
            time
        })
        .collect();
    row("recovery of 100000 objects", "", &mut times, &format!("1 s; {found}"));
}

fn watches(what: &str, store: &Store) {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let pods = Resource::new("pods").unwrap();
    let begun = Instant::now();
    let watchers: Vec<_> = (0..N_WATCHES)
        .map(|_| {
            let mut watch = store.watch(&pods, Scope::All, store.revision()).unwrap();
            runtime.spawn(async move {
                let mut seen = Vec::new();
                while seen.len() < 1000 {
                    let events = watch.next().await.unwrap();
                    let now = begun.elapsed();
                    seen.extend(events.iter().map(|_| now));
                }
                seen
            })
        })
        .collect();
    let starts: Vec<Duration> = (0..1000)
        .map(|n| {
            let start = begun.elapsed();
            store.submit(vec![write(0, n)]).wait().unwrap();
            // A client that creates, not a flood: sleepers are asleep again.
            std::thread::sleep(Duration::from_millis(1));
            start
        })
        .collect();
    let mut times = Vec::new();
    for watcher in watchers {
        let seen = runtime.block_on(watcher).unwrap();
        times.extend(seen.iter().zip(&starts).map(|(seen, start)| seen.saturating_sub(*start)));
    }
    row(what, "", &mut times, "0.5, 2 ms");
}

/// Bytes of this process in memory.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}
