//! The store on a disk that fails, beside a plain model: seeded, one thread, no clock.
//!
//! Laws: an acknowledged write is never lost, a refused one never seen; answers are those of writes made one after the other; revisions
//! are consecutive, over restarts; a list at a revision, in pages with writes in between, is the state at that revision; a watch returns
//! what happened between where it was and where it is, once and in order, over restarts; nothing is refused as too old that had to be
//! kept, and nothing is answered of which history is gone; every directory that a crash leaves opens.
//!
//! `MOAT_SEED` and `MOAT_RUNS` choose the runs. Each bug in [`crate::bugs`] is planted and must be noticed.

/// A law: an error in words where it does not hold.
macro_rules! law {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}

mod counts;
mod model;
mod reads;
mod world;

use crate::bugs::{Bug, plant};
use counts::Counts;
use world::World;

const STEPS: usize = 600;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn run(seed: u64) -> Result<Counts, String> {
    let mut world = World::new(seed)?;
    for step in 0..STEPS {
        world.step().map_err(|broken| format!("seed {seed}, step {step}: {broken}"))?;
    }
    world.reopen().map_err(|broken| format!("seed {seed}, at the end: {broken}"))?;
    Ok(world.counts)
}

#[test]
fn the_laws_hold_on_a_disk_that_fails() {
    let first = number("MOAT_SEED", 0);
    let mut met = Counts::default();
    for seed in first..first + number("MOAT_RUNS", 150) {
        let counts = run(seed).unwrap_or_else(|broken| panic!("{broken}"));
        met.add(&counts);
    }
    println!("{met:?}");
    if first == 0 {
        assert!(met.least() > 20, "what is hardly met is hardly tested: {met:?}");
    }
}

#[test]
fn planted_bugs_are_noticed() {
    let bugs = [
        Bug::AcknowledgesBeforeSync,
        Bug::ShowsFailedWrites,
        Bug::IgnoresBatch,
        Bug::LeavesFailedWrites,
        Bug::CursorInclusive,
        Bug::ForgetsSilently,
        Bug::DeletesLogFirst,
        Bug::KeepsTornEnd,
    ];
    for bug in bugs {
        plant(Some(bug));
        let noticed = (0..200).find_map(|seed| run(seed).err());
        plant(None);
        let noticed = noticed.unwrap_or_else(|| panic!("{bug:?} is not noticed"));
        println!("{bug:?}: {}", noticed.chars().take(160).collect::<String>());
    }
}
