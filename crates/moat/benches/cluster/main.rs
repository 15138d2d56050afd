//! The embedded control plane in numbers: `cargo bench -p moat --bench cluster`, about two minutes.
//!
//! The cluster is the binary itself, started as a user starts it; the client is a plain HTTPS client in this process, so both share the
//! machine. `MOAT_BENCH_PEER=KUBECONFIG` runs the rows that any API server can run against that one, too, in the same run, and prints ratios;
//! it is for a server on this machine.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a bench prints its table and stops at the first thing that is not as it should be"
)]

mod client;
mod embedded;
mod rows;

use client::Target;
use embedded::Embedded;
use std::time::Duration;

/// Pods of the rows with many pods.
pub(crate) const N_PODS: usize = 10_000;

#[tokio::main]
async fn main() {
    println!("machine: {}", machine());
    println!("{:<58} {:>12} {:>10} {:>14}", "row", "measured", "goal", "peer");
    let peer = std::env::var("MOAT_BENCH_PEER").ok().map(|path| Target::read(&path));
    rows::start_and_idle().await;
    let scratch = embedded::Scratch::new();
    let durable = Embedded::start(&["--nodes", "0", "--data-dir", scratch.path("durable")]).await;
    rows::create_pods(&durable, peer.as_ref()).await;
    rows::list_pods(&durable, peer.as_ref()).await;
    rows::memory(&durable);
    rows::watch_latency(&durable, peer.as_ref()).await;
    durable.stop();
    rows::deployment().await;
    rows::recovery(&scratch).await;
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let n = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!("{n} x {}, load {load}", model.trim_start_matches(['\t', ':', ' ']))
}

/// A line of the table.
pub(crate) fn row(name: &str, measured: &str, goal: &str, peer: Option<String>) {
    println!("{name:<58} {measured:>12} {goal:>10} {:>14}", peer.unwrap_or_else(|| "-".to_owned()));
}

/// A quantile of times, which are sorted here.
pub(crate) fn quantile(times: &mut [Duration], at: f64) -> Duration {
    times.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index below the length"
    )]
    let idx = (times.len().saturating_sub(1) as f64 * at).round() as usize;
    times[idx]
}

/// `1.25 ms`.
pub(crate) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}
