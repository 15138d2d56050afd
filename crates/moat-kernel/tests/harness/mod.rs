//! Runs cases inside a user namespace, which only a process with one thread can make: so without the standard harness.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a case fails by panicking")]

pub mod net;
pub mod policy;
pub mod tables;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

/// A name and what to run.
pub type Case = (&'static str, fn());

/// Runs the cases that an argument names a part of, or all of them.
pub fn main(cases: &[Case]) -> ExitCode {
    if let Err(refused) = moat_kernel::sandbox::enter() {
        println!("NO TEST WAS RUN: {refused}");
        println!("0 passed, {} failed", cases.len());
        return ExitCode::FAILURE;
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (mut n_passed, mut n_failed) = (0, 0);
    for (name, case) in cases {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let from = Instant::now();
        if catch_unwind(case).is_ok() {
            n_passed += 1;
            println!("test {name} ... ok ({:.1?})", from.elapsed());
        } else {
            n_failed += 1;
            println!("test {name} ... FAILED");
        }
    }
    println!("{n_passed} passed, {n_failed} failed");
    // A name that matches nothing must not look like success.
    if n_failed == 0 && n_passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a future to its end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Numbers that look random and are the same in every run (SplitMix64, public domain).
pub struct Dice(pub u64);

impl Dice {
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// One of some.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// Once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
