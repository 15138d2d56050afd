//! What the system says of this process, where it says it (`/proc`).

use super::metrics::{head, line};
use std::fs;

/// Ticks in a second, which Linux fixed for programs.
const TICKS: f64 = 100.0;

/// Writes what can be read; elsewhere than on Linux there is nothing.
pub(super) fn write(out: &mut String) {
    let mut gauge = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            head(out, name, kind, help);
            line(out, name, "", value);
        }
    };
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (stat, status, limits) =
        (read("/proc/self/stat"), read("/proc/self/status"), read("/proc/self/limits"));
    // The name of the program may have spaces; what follows it has not.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    let field = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib * 1024.0)
    };
    let cpu = field(11).zip(field(12)).map(|(user, system)| (user + system) / TICKS);
    gauge(
        "process_cpu_seconds_total",
        "counter",
        "Seconds of processors that the process used.",
        cpu,
    );
    gauge("process_resident_memory_bytes", "gauge", "Memory that the process has.", kib("VmRSS:"));
    gauge(
        "process_virtual_memory_bytes",
        "gauge",
        "Addresses that the process has.",
        kib("VmSize:"),
    );
    #[allow(clippy::cast_precision_loss, reason = "a process has few open files")]
    let open = fs::read_dir("/proc/self/fd").ok().map(|all| all.count() as f64);
    gauge("process_open_fds", "gauge", "Files that the process has open.", open);
    let max = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let max = max.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    gauge("process_max_fds", "gauge", "Files that the process may have open.", max);
    let boot = read("/proc/stat");
    let boot =
        boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    let began = boot.zip(field(19)).map(|(boot, ticks)| boot + ticks / TICKS);
    gauge("process_start_time_seconds", "gauge", "When the process began.", began);
}
