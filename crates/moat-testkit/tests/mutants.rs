//! Every planted bug of `mutants.md` is noticed by the comparison with the reference.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_testkit::agree;
use moat_testkit::bugs::Bug;
use moat_testkit::settings::Settings;

/// Random worlds within which each bug must show.
const SEEDS: u64 = 300;

#[test]
fn every_bug_is_caught() {
    let settings = Settings::DEFAULT;
    let mut survivors = Vec::new();
    let results = std::sync::Mutex::new(vec![None; Bug::ALL.len()]);
    agree::in_parallel(
        Bug::ALL.len() as u64,
        |idx| {
            let bug = Bug::ALL[usize::try_from(idx).unwrap()];
            let caught = (0..SEEDS).find(|&seed| {
                let world = moat_testkit::generate::world(seed, &settings);
                agree::check(&world.objects, agree::flows(&world, &settings), Some(bug)).is_err()
            });
            results.lock().unwrap()[usize::try_from(idx).unwrap()] = Some(caught);
            Ok::<(), ()>(())
        },
        |()| {},
    )
    .unwrap();
    for (bug, caught) in Bug::ALL.iter().zip(results.into_inner().unwrap()) {
        match caught.unwrap() {
            Some(seed) => println!("{}: caught by world {}", bug.name(), seed + 1),
            None => survivors.push(bug.name()),
        }
    }
    assert!(
        survivors.is_empty(),
        "not caught within {SEEDS} worlds; improve the generator: {survivors:?}"
    );
}

#[test]
fn mutants_md_lists_every_bug() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../mutants.md")).unwrap();
    let listed: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut missing: Vec<String> = Bug::ALL
        .iter()
        .map(|bug| bug.name())
        .filter(|name| !listed.contains(&name.as_str()))
        .collect();
    missing.extend(
        listed
            .iter()
            .filter(|name| Bug::ALL.iter().all(|bug| bug.name() != **name))
            .map(|name| format!("no bug `{name}`")),
    );
    assert!(missing.is_empty(), "{missing:?}");
}
