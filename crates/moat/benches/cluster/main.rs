//! The embedded control plane in numbers: `cargo bench -p moat --bench cluster`, about two minutes.
//!
//! The cluster is the binary itself, started as a user starts it; the client is a plain HTTPS client in this process, so both share the
//! machine; the CPU that each side uses for a create is printed beside the rate, for a machine that does other things besides. The watchers of
//! the rows about watches are streams of one HTTP/2 connection, as those of client-go are, or have a TLS connection each; one thread reads
//! them, stamps the arrival of bytes and decrypts them afterwards, so that what is measured is when the server's events are there and not how
//! long a hundred clients on one machine take. Words after `--`
//! choose sections: `start`, `create`, `list`, `memory`, `watch`, `deployment`, `recovery`; those about pods create them first, unmeasured.
//! `MOAT_BENCH_PEER=KUBECONFIG` runs the rows that any API server can run against that one, too, in the same run, and prints ratios; it is for
//! a server on this machine.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a bench prints its table and stops at the first thing that is not as it should be"
)]

mod bare;
mod client;
mod embedded;
mod rows;
mod streams;
mod watchers;

use client::Target;
use embedded::Embedded;
use std::time::Duration;

/// Pods of the rows with many pods.
pub(crate) const N_PODS: usize = 10_000;

/// What can be chosen, in the order of the table.
const SECTIONS: [&str; 7] =
    ["start", "create", "list", "memory", "watch", "deployment", "recovery"];

#[tokio::main]
async fn main() {
    // Cargo says `--bench`.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for word in &chosen {
        assert!(SECTIONS.contains(&word.as_str()), "no section {word:?}; there are {SECTIONS:?}");
    }
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|word| word == name);
    println!("machine: {}", machine());
    println!("{:<72} {:>12} {:>10} {:>14}", "row", "measured", "goal", "peer");
    let peer = std::env::var("MOAT_BENCH_PEER").ok().map(|path| Target::read(&path));
    if wanted("start") {
        rows::start_and_idle().await;
    }
    let scratch = embedded::Scratch::new();
    if ["create", "list", "memory"].into_iter().any(wanted) {
        pods(&scratch, peer.as_ref(), wanted).await;
    }
    if wanted("watch") {
        rows::watch_latency(&scratch, peer.as_ref()).await;
    }
    if wanted("deployment") {
        rows::deployment().await;
    }
    if wanted("recovery") {
        rows::recovery(&scratch).await;
    }
    println!("load at the end: {}", load());
}

/// The rows about a server with many pods.
async fn pods(scratch: &embedded::Scratch, peer: Option<&Target>, wanted: impl Fn(&str) -> bool) {
    let durable = Embedded::start(&["--nodes", "0", "--data-dir", scratch.path("durable")]).await;
    rows::create_pods(&durable, peer).await;
    if wanted("memory") {
        rows::memory(&durable, "after the creates");
    }
    if wanted("list") {
        rows::list_pods(&durable, peer).await;
    }
    if wanted("memory") {
        rows::memory(&durable, "after the lists");
    }
    durable.stop();
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let n = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{n} x {}, load {}", model.trim_start_matches(['\t', ':', ' ']), load())
}

/// How many processes wanted to run in the last minute, on average.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// A line of the table.
pub(crate) fn row(name: &str, measured: &str, goal: &str, peer: Option<String>) {
    println!("{name:<72} {measured:>12} {goal:>10} {:>14}", peer.unwrap_or_else(|| "-".to_owned()));
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
