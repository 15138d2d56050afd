//! Runs `corpus/cases/*.md` on the subject that `MOAT_SUBJECT` names: `decide` (default) or `spec`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_testkit::mdcase::{self, Report};
use std::path::Path;

fn run(subject: &str) -> Report {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpus/cases"));
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "md"));
    paths.sort();
    assert!(!paths.is_empty());
    let mut sum = Report::default();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = format!("corpus/cases/{}", path.file_name().unwrap().to_string_lossy());
        sum.add(mdcase::run(&mdcase::parse(&name, &text), subject));
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
