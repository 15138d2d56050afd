//! Runs `corpus/cases/*.md` on the subject that `MOAT_SUBJECT` names: `decide` (default) or `spec`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_testkit::mdcase::{self, Report};

fn run(subject: &str) -> Report {
    let mut sum = Report::default();
    for suite in mdcase::corpus() {
        sum.add(mdcase::run(&suite, subject));
    }
    println!(
        "{subject}: {} cases, {} checks, {} skipped, {} failures",
        sum.cases,
        sum.checks,
        sum.skipped,
        sum.failures.len()
    );
    sum
}

#[test]
fn corpus_holds() {
    let subject = std::env::var("MOAT_SUBJECT").unwrap_or_else(|_| "decide".to_owned());
    let report = run(&subject);
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
}
