//! Files that are not what they were: nothing makes opening panic, nothing that was once safe is passed over in silence.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_store::disk::Disk;
use moat_store::disk::simulated::SimulatedDisk;
use moat_store::{Body, Key, List, OpenError, Options, Resource, Rng, Scope, Store, Write};
use std::sync::Arc;

const N_OBJECTS: usize = 60;

fn options() -> Options {
    Options { log_bytes_max: 12_000, batch_bytes_max: 2_000, ..Options::default() }
}

fn open(disk: &SimulatedDisk) -> Result<(Store, moat_store::Recovery), OpenError> {
    Store::open_stepped(&(Arc::new(disk.clone()) as Arc<dyn Disk>), options())
}

/// A disk with a snapshot and a log after it, and the file names of both.
fn stored(seed: u64, sealed: bool) -> (SimulatedDisk, String, String) {
    let disk = SimulatedDisk::new(seed);
    let (store, _) = open(&disk).unwrap();
    let pods = Resource::new("pods").unwrap();
    for n in 0..N_OBJECTS {
        let key = Key::new(&pods, Some("a"), &format!("o{n}")).unwrap();
        let body = Body::stamped(vec![b'x'; 300], 0);
        let write = Write::Create { key, body };
        let mut pending = store.submit(vec![write]);
        store.pump();
        pending.try_now().unwrap().unwrap();
        while store.pump_snapshot() {}
    }
    if sealed {
        store.close();
    }
    std::mem::forget(store);
    let names = disk.list().unwrap();
    let snapshot = names.iter().find(|n| n.starts_with("snapshot-0")).unwrap().clone();
    let log = names.iter().find(|n| n.starts_with("log-")).unwrap().clone();
    (disk, snapshot, log)
}

fn n_objects(store: &Store) -> usize {
    let pods = Resource::new("pods").unwrap();
    store.list(&List::new(&pods, Scope::All)).unwrap().objects.len()
}

#[test]
fn one_changed_bit_is_found_and_its_place_named() {
    let mut n_cut = 0;
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let (disk, snapshot, log) = stored(seed, true);
        let name = if rng.one_in(3) { &snapshot } else { &log };
        let mut bytes = disk.contents(name).unwrap();
        let at = rng.below(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
        let last_frame = bytes.len() - 32;
        disk.put(name, bytes);
        match open(&disk) {
            Err(OpenError::Corrupt { file, offset, .. }) => {
                assert_eq!(file, format!("simulated/{name}"), "seed {seed}");
                assert!(offset <= at as u64, "seed {seed}: {offset} is behind {at}");
            }
            // The mark of the regular end is the only thing whose loss loses nothing.
            Ok((store, recovery)) => {
                assert!(
                    name == &log && last_frame <= at,
                    "seed {seed}, {name} at {at}: {recovery:?}"
                );
                assert_eq!(recovery.torn.unwrap().offset, last_frame as u64);
                assert_eq!(n_objects(&store), N_OBJECTS);
                n_cut += 1;
            }
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
    assert!(n_cut < 40, "{n_cut}");
}

#[test]
fn a_log_that_ends_anywhere_keeps_what_is_before() {
    for seed in 0..200 {
        let (disk, _, log) = stored(seed, false);
        let bytes = disk.contents(&log).unwrap();
        let keep = Rng::new(seed).below(bytes.len());
        disk.put(&log, bytes[..keep].to_vec());
        match open(&disk) {
            Ok((store, recovery)) => {
                assert!(keep >= 32, "seed {seed}");
                assert_eq!(recovery.n_objects, n_objects(&store));
                let whole = bytes[32..keep].len() / (bytes[32..].len() / recovered(&bytes));
                assert_eq!(recovery.n_replayed, whole, "seed {seed}: {recovery:?}");
                // It goes on from there.
                let key = Key::new(&Resource::new("pods").unwrap(), None, "new").unwrap();
                let mut pending =
                    store.submit(vec![Write::Create { key, body: Body::whole("new") }]);
                store.pump();
                pending.try_now().unwrap().unwrap();
                let n_now = n_objects(&store);
                drop(store);
                assert_eq!(n_objects(&open(&disk).unwrap().0), n_now);
            }
            // A log's header is safe before its snapshot is.
            Err(OpenError::Corrupt { offset, .. }) => assert!(keep < 32 && offset == 0),
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
}

/// How many writes are in a log of equal ones.
fn recovered(bytes: &[u8]) -> usize {
    bytes.windows(4).filter(|window| window == b"MFrm").count()
}

#[test]
fn bytes_of_any_kind_open_or_are_refused() {
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let disk = if rng.one_in(4) {
            SimulatedDisk::new(seed)
        } else {
            stored(seed % 20, rng.one_in(2)).0
        };
        let mut names = disk.list().unwrap();
        names.extend(
            ["log-", "log-00000000000000000002", "snapshot-3", "snapshot.tmp", "LOCK"]
                .map(String::from),
        );
        names.push(format!("log-{:020}", u64::MAX));
        for _ in 0..=rng.below(3) {
            let name = &names[rng.below(names.len())];
            let mut bytes = disk.contents(name).unwrap_or_default();
            spoil(&mut bytes, &mut rng);
            disk.put(name, bytes);
        }
        if let Ok((store, recovery)) = open(&disk) {
            assert_eq!(recovery.n_objects, n_objects(&store), "seed {seed}");
        }
    }
}

fn spoil(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(bytes.len());
    match rng.below(6) {
        0 => bytes.truncate(at),
        1 => bytes.extend((0..rng.below(200)).map(|_| rng.next_u64().to_le_bytes()[0])),
        2 => bytes.extend(vec![0; rng.below(5000)]),
        3 => {
            let piece = bytes[at..].to_vec();
            bytes.extend(piece);
        }
        4 => {
            bytes.drain(..at);
        }
        _ => {
            for _ in 0..=rng.below(20) {
                let at = rng.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.next_u64().to_le_bytes()[0];
                }
            }
        }
    }
}

#[test]
fn a_missing_log_is_not_an_empty_one() {
    let (disk, _, log) = stored(1, true);
    disk.remove(&log).unwrap();
    let refused = open(&disk).unwrap_err().to_string();
    assert_eq!(
        refused,
        format!(
            "`simulated/{log}` is damaged at byte 0: the file is missing, and with it all writes from this revision on"
        )
    );
}

#[test]
fn what_is_stored_cannot_look_like_a_frame() {
    // A whole log as an object, and an end that is torn in its middle: still only an unfinished write.
    let (disk, _, log) = stored(2, false);
    let forged = disk.contents(&log).unwrap();
    let (store, _) = open(&disk).unwrap();
    let n_before = n_objects(&store);
    let names = disk.list().unwrap();
    let last = names.iter().rfind(|name| name.starts_with("log-")).unwrap();
    let key = Key::new(&Resource::new("pods").unwrap(), None, "forged").unwrap();
    let mut pending = store.submit(vec![Write::Create { key, body: Body::whole(forged) }]);
    store.pump();
    pending.try_now().unwrap().unwrap();
    std::mem::forget(store);
    let bytes = disk.contents(last).unwrap();
    disk.put(last, bytes[..bytes.len() - 1].to_vec());
    // The forger would have to know the salt. This one does, and is told as damage at worst, never as a write.
    match open(&disk) {
        Ok((store, recovery)) => {
            assert!(recovery.torn.is_some());
            assert_eq!(n_objects(&store), n_before);
        }
        Err(refused) => assert!(matches!(refused, OpenError::Corrupt { .. })),
    }
}
