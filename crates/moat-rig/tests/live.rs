//! Worlds in real namespaces: the kernel holds exactly the rules that were rendered.
//!
//! Runs without root in a user namespace of its own; where the kernel refuses that, it says so and fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_rig::live::Live;
use moat_rig::placed::Placed;
use moat_rig::verify::questions::Scope;
use moat_testkit::settings::{Settings as Bounds, seeds};
use moat_testkit::{engine, generate};

fn main() -> std::process::ExitCode {
    if let Err(refused) = moat_kernel::sandbox::enter() {
        eprintln!("NOT EXERCISED: no packet was sent: {refused}");
        return std::process::ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (first, count) = seeds(12);
    for seed in first..first + count {
        runtime.block_on(held(seed));
    }
    println!("test the_kernel_holds_what_was_rendered ... ok");
    println!("1 passed, 0 failed");
    std::process::ExitCode::SUCCESS
}

async fn held(seed: u64) {
    let objects = generate::world(seed, &Bounds::DEFAULT).objects;
    let scope = Scope { pods_per_class: usize::MAX, ..Scope::default() };
    let nodes = 1 + usize::try_from(seed % 3).unwrap();
    let placed = Placed::new(engine::lower(&objects), &[], nodes, &scope);
    let start = std::time::Instant::now();
    let mut live = Live::new(placed, moat_nft::render::Settings::default(), |_| ())
        .await
        .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let built = start.elapsed();
    let drift = live.drift().await.unwrap();
    assert!(
        drift.is_empty(),
        "seed {seed}: {}",
        drift
            .iter()
            .map(|(_, t)| t.as_ref().map_or_else(String::new, moat_nft::print::text))
            .collect::<String>()
    );
    println!(
        "seed {seed}: {} pods on {} nodes, built in {built:?}",
        live.net.pods.len(),
        live.net.nodes.len()
    );
}
