//! Times each stage once; `cargo run --release --example stages -p moat-bench -- 5000 1000`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "dev only")]
use moat_bench::World;
use std::time::Instant;
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let inputs = World::inputs(a[0], a[1]);
    for _ in 0..a.get(2).copied().unwrap_or(5) {
        let t = Instant::now();
        let loaded = moat_load::load(&inputs);
        let load = t.elapsed();
        let t = Instant::now();
        let lowered = World::lower(&loaded);
        let lower = t.elapsed();
        let world = World { loaded, lowered };
        let t = Instant::now();
        let symbolic = world.compile();
        let compile = t.elapsed();
        let t = Instant::now();
        let bound = world.bind(&symbolic);
        let bind = t.elapsed();
        let t = Instant::now();
        let (nc, np, ns) = (bound.classes.len(), bound.programs.len(), bound.peer_sets.len());
        drop(bound);
        let free = t.elapsed();
        println!(
            "load {load:?} lower {lower:?} compile {compile:?} bind {bind:?} drop {free:?} classes {nc} programs {np} sets {ns}"
        );
    }
}
