//! `moat-synth WORKLOADS POLICIES DIR` writes a synthetic cluster into a directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot run has nobody to report to"
)]

use std::path::PathBuf;

fn main() {
    let mut args = std::env::args().skip(1);
    let usage = "usage: moat-synth WORKLOADS POLICIES DIR";
    let mut number = || args.next().and_then(|text| text.parse::<usize>().ok()).expect(usage);
    let (n_workloads, n_policies) = (number(), number());
    let dir = PathBuf::from(args.next().expect(usage));
    std::fs::create_dir_all(&dir).expect("the directory can be made");
    for (name, text) in moat_bench::synth(n_workloads, n_policies) {
        std::fs::write(dir.join(name), text).expect("the file can be written");
    }
}
