//! Micro benches of the engine on clusters that grow tenfold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot run has nobody to report to; criterion's macros make undocumented items"
)]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use moat_bench::{World, flows};
use std::hint::black_box;
use std::time::Duration;

/// Workloads; a tenth as many policies.
const SIZES: [usize; 3] = [100, 1_000, 10_000];

fn engine(criterion: &mut Criterion) {
    for size in SIZES {
        let world = World::text(size, size / 10);
        let symbolic = world.compile();
        let bound = world.bind(&symbolic);
        let flows = flows(&bound, 1_000);
        let program = bound.programs.iter().max_by_key(|program| {
            program.stages.iter().map(|stage| stage.clauses.len()).sum::<usize>()
        });
        let program = program.expect("a cluster has programs");

        let mut group = criterion.benchmark_group("engine");
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(2));
        group.bench_function(BenchmarkId::new("compile", size), |b| {
            b.iter(|| black_box(world.compile()));
        });
        group.bench_function(BenchmarkId::new("bind", size), |b| {
            b.iter_with_large_drop(|| world.bind(&symbolic));
        });
        group.bench_function(BenchmarkId::new("regions", size), |b| {
            b.iter(|| black_box(bound.regions(program)));
        });
        let mut next = flows.iter().cycle();
        group.bench_function(BenchmarkId::new("decide", size), |b| {
            b.iter(|| black_box(bound.decide(next.next().expect("a cycle does not end"))));
        });
        group.finish();
    }
}

criterion_group!(benches, engine);
criterion_main!(benches);
