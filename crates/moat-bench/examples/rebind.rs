//! Binds again and again, for a profiler: `perf record -g target/release/examples/rebind 5000 1000 100`.
#![allow(clippy::expect_used, reason = "a bench that cannot run has nobody to report to")]

use moat_bench::World;
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let mut args = std::env::args().skip(1);
    let usage = "usage: rebind WORKLOADS POLICIES TIMES";
    let mut number = || args.next().and_then(|text| text.parse::<u32>().ok()).expect(usage);
    let (n_workloads, n_policies, n_times) =
        (number() as usize, number() as usize, number().max(1));
    let world = World::text(n_workloads, n_policies);
    let symbolic = world.compile();
    let start = Instant::now();
    for _ in 0..n_times {
        black_box(world.bind(&symbolic));
    }
    println!("{:?} each", start.elapsed() / n_times);
}
