//! Binds many times, for a profiler.
#![allow(clippy::unwrap_used, reason = "dev only")]
use moat_bench::World;
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let w = World::text(a[0], a[1]);
    let s = w.compile();
    let t = std::time::Instant::now();
    for _ in 0..a[2] {
        std::hint::black_box(w.bind(&s));
    }
    println!("{:?} each", t.elapsed() / u32::try_from(a[2]).unwrap());
}
