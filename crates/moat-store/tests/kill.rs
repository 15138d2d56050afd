//! A real process on a real disk is killed at any moment, many times, and nothing that it acknowledged is lost.
//!
//! The test runs itself as the writer: sixteen threads create, update and delete, and say on standard output what was acknowledged, before
//! they write on. `MOAT_KILLS` is the number of kills. Snapshots and changes of logs happen all the time, because the log's limit is small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_store::{
    Body, Expect, History, Key, List, OpenError, Options, Resource, Rng, Scope, Store, Write,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const WRITER: &str = "MOAT_STORE_WRITER";
const N_THREADS: usize = 16;

fn main() -> ExitCode {
    if let Some(dir) = std::env::var_os(WRITER) {
        write_until_killed(Path::new(&dir));
    }
    let n_kills = std::env::var("MOAT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(50);
    let dir = std::env::temp_dir().join(format!("moat-store-kill-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    kill_and_look(&dir.join("kill"), n_kills);
    println!("test nothing_acknowledged_is_lost_to_kill_9 ... ok");
    one_process_at_a_time(&dir.join("lock"));
    println!("test a_directory_is_one_process_s_own ... ok");
    std::fs::remove_dir_all(&dir).unwrap();
    println!("2 passed, 0 failed");
    ExitCode::SUCCESS
}

fn options() -> Options {
    let history = History { events_max: 1000, ..History::default() };
    Options { log_bytes_max: 100_000, history, ..Options::default() }
}

fn key(thread: usize, n: u64) -> Key {
    let pods = Resource::new("pods").unwrap();
    Key::new(&pods, Some(&format!("t{thread}")), &format!("o{n}")).unwrap()
}

/// The writer: each line says what was acknowledged, `thread name revision` or `thread name revision gone`.
fn write_until_killed(dir: &Path) -> ! {
    let (store, recovery) = Store::open(dir, options()).unwrap();
    println!("open {} {}", recovery.revision, recovery.torn.is_some());
    let threads: Vec<_> = (0..N_THREADS)
        .map(|thread| {
            let store = store.clone();
            std::thread::spawn(move || {
                let mut rng = Rng::new(u64::from(std::process::id()) << 8 | thread as u64);
                loop {
                    let key = key(thread, rng.below(40) as u64);
                    let body = Body::stamped(format!("{key} {:800}", ""), 0);
                    let write = match store.get(&key) {
                        None => Write::Create { key: key.clone(), body },
                        Some(object) => {
                            let expect = Expect::Revision(object.revision);
                            if rng.one_in(4) {
                                Write::Delete { key: key.clone(), last: None, expect }
                            } else {
                                Write::Update { key: key.clone(), body, expect }
                            }
                        }
                    };
                    let gone = if matches!(write, Write::Delete { .. }) { " gone" } else { "" };
                    // One line is one write to the pipe, so a kill leaves whole lines.
                    let done = store.submit(vec![write]).wait().unwrap();
                    let revision = done[0].as_ref().unwrap().revision;
                    let line = format!("{thread} {} {revision}{gone}\n", key.path.name());
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    unreachable!("writers do not end");
}

fn writer(dir: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .env(WRITER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn kill_and_look(dir: &Path, n_kills: usize) {
    let mut rng = Rng::new(9);
    let mut acknowledged: BTreeMap<String, (u64, bool)> = BTreeMap::new();
    let (mut n_acknowledged, mut n_torn, mut n_snapshots, mut revision_max) = (0, 0, 0, 0);
    for _ in 0..n_kills {
        let mut child = writer(dir);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.starts_with("open "), "{first}");
        n_torn += usize::from(first.ends_with("true"));
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        let life = Duration::from_micros(rng.below(120_000) as u64);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(life);
            kill(pid, Signal::SIGKILL).unwrap();
        });
        for line in lines {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            let [thread, name, revision, ..] = words[..] else { panic!("`{line}`") };
            let revision: u64 = revision.parse().unwrap();
            revision_max = revision_max.max(revision);
            acknowledged.insert(format!("t{thread}/{name}"), (revision, words.len() == 4));
            n_acknowledged += 1;
        }
        killer.join().unwrap();
        child.wait().unwrap();
        let (store, recovery) = Store::open(dir, options()).unwrap();
        n_torn += usize::from(recovery.torn.is_some());
        n_snapshots += usize::from(recovery.snapshot_revision != 0);
        assert!(revision_max <= recovery.revision, "{revision_max} was acknowledged: {recovery:?}");
        revision_max = recovery.revision;
        look(&store, &mut acknowledged);
    }
    println!(
        "{n_kills} kills: {n_acknowledged} writes acknowledged, {n_torn} torn ends, {n_snapshots} times a snapshot"
    );
    assert!(n_acknowledged > n_kills, "the writers hardly wrote");
    assert!(n_snapshots > 0, "no snapshot was ever read");
}

/// What was acknowledged is there, or what a later write, which was not acknowledged in time, made of it.
fn look(store: &Store, acknowledged: &mut BTreeMap<String, (u64, bool)>) {
    let pods = Resource::new("pods").unwrap();
    let page = store.list(&List::new(&pods, Scope::All)).unwrap();
    let there: BTreeMap<&str, u64> =
        page.objects.iter().map(|o| (o.path.as_str(), o.revision)).collect();
    for object in &page.objects {
        let text = std::str::from_utf8(&object.value).unwrap();
        let wanted = format!("{}pods {} ", object.revision, object.path);
        assert!(text.starts_with(&wanted), "{} holds `{text}`", object.path);
    }
    for (path, (revision, gone)) in acknowledged.iter() {
        match there.get(path.as_str()) {
            Some(found) => assert!(
                if *gone { revision < found } else { revision <= found },
                "{path} is at {found}; acknowledged was {revision}, gone: {gone}"
            ),
            // Each thread has one write under way, which may have been the deletion.
            None => assert!(gone | was_deleted_later(store, path, *revision), "{path} is lost"),
        }
    }
    acknowledged.retain(|path, _| there.contains_key(path.as_str()));
}

fn was_deleted_later(store: &Store, path: &str, revision: u64) -> bool {
    let pods = Resource::new("pods").unwrap();
    let path = moat_store::Path::parse(path).unwrap();
    let from = revision.max(store.oldest(&pods));
    let mut watch = store.watch(&pods, Scope::Object(path), from).unwrap();
    let deleted =
        watch.try_next().unwrap().iter().any(|event| {
            event.kind == moat_store::EventKind::Deleted && revision < event.revision()
        });
    // Before the history that is kept nobody can say.
    deleted || revision < store.oldest(&pods)
}

fn one_process_at_a_time(dir: &Path) {
    let mut child = writer(dir);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let refused = Store::open(dir, options()).unwrap_err();
    let OpenError::InUse { holder, .. } = &refused else { panic!("{refused}") };
    assert!(holder.starts_with(&format!("process {} (", child.id())), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    Store::open(dir, options()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "the lock outlives its process");
}
