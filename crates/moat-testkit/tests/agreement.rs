//! The engine and the naive reference give the same answers for the same reasons, on random worlds.
//!
//! `MOAT_WORLDS` says how many worlds, `MOAT_SEED` runs one, `MOAT_FLOWS` how many flows per pair of ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_testkit::agree::{self, Counts};
use moat_testkit::settings::{Settings, number, seeds};

#[test]
fn engine_agrees_with_spec_on_random_worlds() {
    let mut settings = Settings::DEFAULT;
    if let Some(flows) = number("MOAT_FLOWS") {
        settings.flows_per_pair = usize::try_from(flows).unwrap();
    }
    let (first, n) = seeds(1500);
    let mut sum = Counts::default();
    let result = agree::in_parallel(
        n,
        |idx| agree::check_seed(first + idx, &settings, None),
        |counts| sum = sum.plus(counts),
    );
    if let Err((idx, mismatch)) = result {
        panic!("seed {} (rerun with MOAT_SEED={0}):\n{mismatch}", first + idx);
    }
    println!("{sum}");
    // A generator that makes only trivial or undecided worlds tests nothing.
    assert!(n < 100 || sum.denied * 5 > sum.flows, "too few flows are denied: {sum}");
    assert!(n < 100 || sum.open * 20 < sum.flows, "too many flows are open: {sum}");
}
