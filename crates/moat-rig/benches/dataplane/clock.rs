//! Time that was worked, and figures of many measurements.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::time::Duration;

/// Seconds of CPU of this thread. A packet that it sends between namespaces is received within the same system call, so that its whole way
/// is counted here.
pub(crate) fn thread() -> f64 {
    seconds(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Seconds of CPU of this process, all threads.
pub(crate) fn process() -> f64 {
    seconds(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn seconds(clock: ClockId) -> f64 {
    Duration::from(clock_gettime(clock).unwrap()).as_secs_f64()
}

/// Keeps this thread on one CPU, where that is allowed: half a packet's way on another CPU would not be counted.
pub(crate) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    if set.set(cpu).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// Lets this thread go everywhere again.
pub(crate) fn unpin() {
    let mut set = CpuSet::new();
    let n_cpus = std::thread::available_parallelism().map_or(1, usize::from).max(64);
    for cpu in 0..n_cpus.min(CpuSet::count()) {
        let _ = set.set(cpu);
    }
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}

/// The value below which a share of all is.
pub(crate) fn quantile(all: &[f64], share: f64) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all[((all.len() - 1) as f64 * share).round() as usize]
}

pub(crate) fn median(all: &[f64]) -> f64 {
    quantile(all, 0.5)
}

/// A time in words.
pub(crate) fn show(seconds: f64) -> String {
    match seconds {
        s if s.abs() >= 1.0 => format!("{s:.2} s"),
        s if s.abs() >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s if s.abs() >= 1e-6 => format!("{:.2} us", s * 1e6),
        s => format!("{:.0} ns", s * 1e9),
    }
}
