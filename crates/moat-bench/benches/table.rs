//! The table: whole processes and the engine on synthetic clusters, with goals and the best figures of other tools.
//!
//! `cargo bench -p moat-bench --bench table`; `MOAT_BIN` names another binary to run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    unsafe_code,
    reason = "a bench that cannot run has nobody to report to; figures are for people; `wait4` has no safe form"
)]

use moat_analyze::reach::{Options, matrix};
use moat_bench::{World, change_label, change_policy, endpoints, flows, synth};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MIB: f64 = 1024.0 * 1024.0;
const N_FLOWS: u32 = 1_000_000;

fn main() {
    let moat = binary();
    let dir = std::env::temp_dir().join(format!("moat-bench-{}", std::process::id()));
    println!("machine: {}", machine());
    println!("binary:  {}\n", moat.display());
    println!(
        "{:<46} {:>10} {:>10} {:>10}  {:<22} peers",
        "whole process, median", "wall", "cpu", "memory", "goal"
    );
    // These come first: what a child inherits of this process's own peak memory must stay below the child's.
    processes(&moat, &dir);
    std::fs::remove_dir_all(&dir).expect("own directory can be removed");
    println!("\n{:<46} {:>10}  goal", "in process, median", "time");
    engine();
    growth();
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown model", |(_, model)| model);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let n_cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{n_cores} cores, {model}, load {load} at the start")
}

/// The release binary, built when `MOAT_BIN` names none.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("MOAT_BIN") {
        // Benches run in their package's directory, which nobody would guess.
        return PathBuf::from(path)
            .canonicalize()
            .expect("MOAT_BIN is the path of a binary, best absolute");
    }
    let own = std::env::current_exe().expect("a running program has a path");
    let release = own.ancestors().nth(2).expect("benches are built in target/release/deps");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "-p", "moat", "--target-dir"])
        .arg(release.parent().unwrap())
        .status();
    assert!(built.is_ok_and(|status| status.success()), "moat cannot be built");
    release.join("moat")
}

/// What one run took.
#[derive(Clone, Copy)]
struct Run {
    wall: Duration,
    cpu: Duration,
    /// Peak resident memory, in bytes.
    memory: f64,
}

/// Runs a command to its end.
#[allow(clippy::zombie_processes, reason = "`wait4` waits, and tells what the child took")]
fn run(moat: &Path, args: &[&str]) -> Run {
    let start = Instant::now();
    let child = Command::new(moat)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("moat can be started");
    let pid = libc::pid_t::try_from(child.id()).expect("process ids fit");
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid `rusage`, a struct of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right type; nobody else waits for this child, as `child` is only dropped.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    let wall = start.elapsed();
    assert_eq!(waited, pid, "the child ends");
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) <= 1, "moat {args:?} failed");
    let time = |time: libc::timeval| {
        Duration::from_secs_f64(time.tv_sec as f64 + time.tv_usec as f64 / 1e6)
    };
    Run {
        wall,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        memory: usage.ru_maxrss as f64 * 1024.0,
    }
}

/// The median of each figure.
fn runs(n_runs: usize, moat: &Path, args: &[&str]) -> Run {
    let all: Vec<Run> = (0..n_runs).map(|_| run(moat, args)).collect();
    let memory = all.iter().map(|run| Duration::from_secs_f64(run.memory)).collect();
    Run {
        wall: median(all.iter().map(|run| run.wall).collect()),
        cpu: median(all.iter().map(|run| run.cpu).collect()),
        memory: median(memory).as_secs_f64(),
    }
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

/// Prints a row; peers are name, seconds, MiB.
fn row(what: &str, run: Run, goal: Option<(f64, f64)>, peers: &[(&str, f64, f64)]) {
    let (seconds, mib) = (run.wall.as_secs_f64(), run.memory / MIB);
    let goal = goal.map_or_else(String::new, |(most, memory)| {
        let met = if seconds <= most && mib <= memory { "ok" } else { "MISSED" };
        let memory = if memory.is_finite() { format!(" {memory} MiB") } else { String::new() };
        format!("{most} s{memory} {met}")
    });
    let peers: Vec<String> = peers
        .iter()
        .map(|(name, peer, memory)| {
            format!(
                "{name} {peer} s {memory} MiB: {:.0}x time, {:.1}x memory",
                peer / seconds,
                memory / mib
            )
        })
        .collect();
    println!(
        "{what:<46} {:>10} {:>10} {:>10}  {goal:<22} {}",
        show(run.wall),
        show(run.cpu),
        format!("{mib:.0} MiB"),
        peers.join("; ")
    );
}

fn show(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s if s >= 1e-6 => format!("{:.2} us", s * 1e6),
        s => format!("{:.0} ns", s * 1e9),
    }
}

fn processes(moat: &Path, dir: &Path) {
    const NCA: &str = "NCA";
    const NPA: &str = "netpol-analyzer";
    for (n_workloads, n_policies, n_runs, goal, peers) in [
        (1000, 100, 5, (0.1, 64.0), &[(NCA, 2.5, 64.0), (NPA, 192.0, 482.0)][..]),
        (1000, 1000, 5, (0.5, 96.0), &[(NCA, 475.0, 157.0), (NPA, 400.0, 1950.0)]),
        (5000, 1000, 5, (3.0, 300.0), &[]),
    ] {
        let from = written(dir, n_workloads, n_policies);
        let run = runs(n_runs, moat, &["reach", "-f", &from, "--flat", "-o", "csv"]);
        row(&format!("reach --flat -o csv, {n_workloads} x {n_policies}"), run, Some(goal), peers);
    }
    let from = written(dir, 5000, 1000);
    let run_explain = runs(5, moat, &["explain", "-f", &from, "ns-7/app-140", "ns-8/app-160:8080"]);
    row(
        "explain, 5000 x 1000",
        run_explain,
        Some((0.25, f64::INFINITY)),
        &[("best peer", 1.03, 110.0)],
    );
    let large = written(dir, 100_000, 10_000);
    let run_large = runs(1, moat, &["reach", "-f", &large]);
    row("reach, 100000 x 10000", run_large, Some((10.0, f64::INFINITY)), &[]);
    let file = dir.join("flows.jsonl");
    write_flows(&file, 5000);
    let run = runs(
        3,
        moat,
        &[
            "explain",
            "-f",
            &from,
            "-o",
            "jsonl",
            "--flows",
            file.to_str().expect("own path is text"),
        ],
    );
    let rate = f64::from(N_FLOWS) / (run.wall.as_secs_f64() - run_explain.wall.as_secs_f64());
    row("explain --flows, 1M lines, 5000 x 1000", run, None, &[]);
    println!(
        "{:<46} {:>10}",
        "  flows a second, without reading manifests",
        format!("{:.0} k", rate / 1e3)
    );
}

/// Writes a cluster; where.
fn written(dir: &Path, n_workloads: usize, n_policies: usize) -> String {
    let dir = dir.join(format!("{n_workloads}x{n_policies}"));
    std::fs::create_dir_all(&dir).expect("the directory can be made");
    for (name, text) in synth(n_workloads, n_policies) {
        std::fs::write(dir.join(name), text).expect("the file can be written");
    }
    dir.to_str().expect("own path is text").to_owned()
}

fn write_flows(file: &Path, n_workloads: u32) {
    let mut out = BufWriter::new(File::create(file).expect("the file can be made"));
    for at in 0..N_FLOWS {
        let (from, to) = endpoints(at, n_workloads);
        let port = [8080, 9090, 22][at as usize % 3];
        let name = |app: u32| format!("ns-{}/app-{app}", app / 20);
        writeln!(
            out,
            r#"{{"from":"{}","to":"{}","port":{port},"protocol":"TCP"}}"#,
            name(from),
            name(to)
        )
        .expect("the file can be written");
    }
    out.flush().expect("the file can be written");
}

fn engine() {
    let mut world = World::text(5000, 1000);
    let symbolic = world.compile();
    let bound = world.bind(&symbolic);
    in_process("warm decide, 5000 x 1000", decide(&bound), 1e-6);
    drop(bound);
    let mut step = 0;
    let rebind = repeat(21, || {
        change_label(&mut world.lowered, step);
        change_policy(&mut world.lowered, step);
        step += 1;
        let start = Instant::now();
        let bound = world.bind(&world.compile());
        let took = start.elapsed();
        drop(bound);
        took
    });
    in_process("compile and bind after two changes, 5000 x 1000", rebind, 0.010);
    for (what, took) in stages(5000, 1000) {
        println!("{:<46} {:>10}", format!("{what}, 5000 x 1000"), show(took));
    }
    let took: Duration = stages(100_000, 10_000)
        .into_iter()
        .filter(|(what, _)| ["compile", "bind"].contains(what))
        .map(|(_, took)| took)
        .sum();
    in_process("compile and bind, 100000 x 10000", took, 5.0);
}

fn in_process(what: &str, took: Duration, goal: f64) {
    let met = if took.as_secs_f64() <= goal { "ok" } else { "MISSED" };
    println!("{what:<46} {:>10}  {} {met}", show(took), show(Duration::from_secs_f64(goal)));
}

fn repeat(n_times: usize, mut once: impl FnMut() -> Duration) -> Duration {
    median((0..n_times).map(|_| once()).collect())
}

fn timed<T>(once: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    let value = once();
    let took = start.elapsed();
    drop(black_box(value));
    took
}

/// One decision, over many pairs.
fn decide(bound: &moat_ir::Bound) -> Duration {
    let flows = flows(bound, 100_000);
    let all = repeat(5, || {
        timed(|| {
            for flow in &flows {
                black_box(bound.decide(flow));
            }
        })
    });
    all / 100_000
}

/// The stages of reading a cluster, each alone.
fn stages(n_workloads: usize, n_policies: usize) -> [(&'static str, Duration); 4] {
    let inputs = World::inputs(n_workloads, n_policies);
    let n_times = if n_workloads > 10_000 { 1 } else { 5 };
    let load = repeat(n_times, || timed(|| moat_load::load(&inputs)));
    let world = World::read(&inputs);
    let lower = repeat(n_times, || timed(|| World::lower(&world.loaded)));
    let compile = repeat(3, || timed(|| world.compile()));
    let symbolic = world.compile();
    let bind = repeat(3, || timed(|| world.bind(&symbolic)));
    [("load", load), ("lower", lower), ("compile", compile), ("bind", bind)]
}

/// What ten times the work costs.
fn growth() {
    println!(
        "\n{:<46} {:>10} {:>17} {:>17}",
        "growth: ten times the work", "100 x 10", "1000 x 100", "10000 x 1000"
    );
    let worlds = [100, 1_000, 10_000].map(|size| World::text(size, size / 10));
    let symbolic = worlds.each_ref().map(World::compile);
    print_growth(
        "compile",
        worlds.each_ref().map(|world| repeat(11, || timed(|| world.compile()))),
    );
    let pairs = [0, 1, 2].map(|at| (&worlds[at], &symbolic[at]));
    print_growth(
        "bind",
        pairs.map(|(world, symbolic)| repeat(11, || timed(|| world.bind(symbolic)))),
    );
    print_growth("decide", pairs.map(|(world, symbolic)| decide(&world.bind(symbolic))));
    // Rows grow with the square of pods.
    println!("{:<46} {:>10} {:>17} {:>17}", "", "100 x 10", "316 x 32", "1000 x 100");
    let render = [(100, 10), (316, 32), (1000, 100)].map(|(n_workloads, n_policies)| {
        let world = World::text(n_workloads, n_policies);
        let bound = world.bind(&world.compile());
        repeat(5, || {
            timed(|| {
                moat_report::reach::csv::write_flat(
                    &matrix(&bound, &Options::default()),
                    &mut std::io::sink(),
                )
            })
        })
    });
    print_growth("matrix and flat rows, ten times the pairs", render);
}

fn print_growth(what: &str, [first, second, third]: [Duration; 3]) {
    let times = |from: Duration, to: Duration| {
        format!("{} ({:.1}x)", show(to), to.as_secs_f64() / from.as_secs_f64())
    };
    println!(
        "{what:<46} {:>10} {:>17} {:>17}",
        show(first),
        times(first, second),
        times(second, third)
    );
}
