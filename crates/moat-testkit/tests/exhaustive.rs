//! The engine and the naive reference agree on all small worlds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_sets::Protocol;
use moat_testkit::Json;
use moat_testkit::agree::{self, Counts};
use moat_testkit::small;

fn check(what: &str, worlds: &[Vec<Json>], points: &[(Protocol, u16)]) {
    let flows = small::flows(points);
    let mut sum = Counts::default();
    let run = |idx: u64| agree::check(&worlds[usize::try_from(idx).unwrap()], flows.clone(), None);
    if let Err((idx, mismatch)) =
        agree::in_parallel(worlds.len() as u64, run, |counts| sum = sum.plus(counts))
    {
        panic!("{what}: world {idx} of {}:\n{mismatch}", worlds.len());
    }
    println!("{what}: {sum}");
    assert_eq!(sum.open, 0);
}

#[test]
fn every_form_of_one_policy() {
    check("one policy", &small::one_policy(), &small::POINTS);
}

#[test]
fn every_pair_of_policies() {
    check("two policies", &small::two_policies(), &small::FEW_POINTS);
}

#[test]
fn every_order_of_tiers() {
    check("tiers", &small::tiers(), &small::FEW_POINTS);
}
