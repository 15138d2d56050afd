//! What one change costs when the bound form is kept up to date, beside what everything anew costs.
//!
//! `cargo bench -p moat-bench --bench change`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a bench that cannot run has nobody to report to; figures are for people"
)]

use moat_bench::{World, change_policy};
use moat_compile::{Binding, Changed, Dialect, PodChange, PodName, PolicyChange, bind};
use moat_model::inventory::{Phase, Pod};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

const N_TIMES: usize = 101;
const PODS_GOAL: Duration = Duration::from_micros(200);
const POLICIES_GOAL: Duration = Duration::from_millis(3);

fn main() {
    for (n_pods, n_policies) in [(10_000, 1_000), (10_000, 6_000)] {
        println!("{:<44} {:>10} {:>10}", format!("{n_pods} x {n_policies}"), "median", "worst");
        run(n_pods, n_policies);
        println!();
    }
}

fn run(n_pods: usize, n_policies: usize) {
    let mut world = World::text(n_pods, n_policies);
    // 6000 policies are of all kinds, and of 256 prefixes.
    for (pod, at) in world.lowered.inventory.pods.iter_mut().zip(0..) {
        pod.addresses = vec![address(at)];
        pod.node = Some(format!("node-{}", at % 100).into());
    }
    let pods = world.lowered.inventory.pods.clone();
    let symbolic = world.compile();
    row("compile", times(11, |_| timed(|| drop(world.compile()))), None);
    row("bind", times(11, |_| timed(|| drop(world.bind(&symbolic)))), None);
    let start = Instant::now();
    let mut binding = Binding::new(symbolic, world.lowered.inventory.clone(), Dialect::MOAT);
    row("the first bind, kept", vec![start.elapsed()], None);
    let pod = |step: usize| pods[step * 7919 % pods.len()].clone();

    let mut step = |what: &str, change: &dyn Fn(usize) -> PodChange| {
        let took = times(N_TIMES, |step| {
            let change = change(step);
            let start = Instant::now();
            let changed = binding.pods(vec![change]);
            let took = start.elapsed();
            assert!(matches!(changed, Changed::Pods(_)), "{what}: {changed:?}");
            took
        });
        row(what, took, Some(PODS_GOAL));
    };
    step("a pod's label, to one that others have", &|at| {
        let mut pod = pod(at);
        let tier = if pod.labels.get("tier") == Some("web") { "db" } else { "web" };
        pod.labels.set("tier", tier);
        PodChange::Set(pod)
    });
    step("a pod's label, to one that is new", &|at| {
        let mut pod = pod(at);
        pod.labels.set("tier", &format!("new-{at}"));
        PodChange::Set(pod)
    });
    step("a pod's address, in the same range", &|at| {
        let IpAddr::V4(old) = pod(at).addresses[0] else { unreachable!("addresses are IPv4") };
        let new = IpAddr::V4(Ipv4Addr::from_bits(old.to_bits() ^ 0x8000));
        PodChange::Set(Pod { addresses: vec![new], ..pod(at) })
    });
    step("a pod's address, anywhere", &|at| {
        PodChange::Set(Pod { addresses: vec![address(at * 977 + 50_000)], ..pod(at) })
    });
    step("a pod ends", &|at| PodChange::Set(Pod { phase: Phase::Finished, ..pod(at) }));
    step("a pod goes", &|at| {
        let Pod { namespace, kind, name, .. } = pod(at);
        PodChange::Remove(PodName { namespace, kind, name })
    });
    step("a pod comes", &|at| PodChange::Set(pod(at)));

    let mut compiling = Vec::new();
    let laying = times(N_TIMES, |step| {
        change_policy(&mut world.lowered, step);
        let start = Instant::now();
        let symbolic = world.compile();
        compiling.push(start.elapsed());
        let start = Instant::now();
        let changed = binding.policies(symbolic);
        let took = start.elapsed();
        assert!(step == 0 || matches!(changed, Changed::Policies(_)), "{changed:?}");
        took
    });
    let both = compiling.iter().zip(&laying).map(|(compile, lay)| *compile + *lay).collect();
    row("a policy: compile", compiling, None);
    row("a policy: the rest", laying, None);
    row("a policy: both", both, Some(POLICIES_GOAL));
    let alone = times(N_TIMES, |step| {
        change_policy(&mut world.lowered, step);
        let change = PolicyChange::Set(world.lowered.policies[n_policies / 2].clone());
        timed(|| {
            let changed = binding.policy(change);
            assert!(step == 0 || matches!(changed, Changed::Policy(..)), "{changed:?}");
        })
    });
    row("a policy: by itself", alone, Some(PODS_GOAL));
    row(
        "a copy, when an old state is still held",
        times(11, |_| {
            let held = binding.bound().clone();
            let start = Instant::now();
            let copy = held.as_ref().clone();
            let took = start.elapsed();
            drop(copy);
            took
        }),
        None,
    );
    let fresh = bind(binding.bound().symbolic.clone(), binding.inventory(), Dialect::MOAT);
    println!(
        "  {} classes, {} programs; bound anew {}, {}",
        binding.bound().classes.len(),
        binding.bound().programs.len(),
        fresh.classes.len(),
        fresh.programs.len()
    );
}

/// Addresses all over 10.0.0.0/8.
fn address(at: usize) -> IpAddr {
    let bits = u32::try_from(at * 1_667 % (1 << 24)).expect("24 bits");
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | bits))
}

fn times(n_times: usize, once: impl FnMut(usize) -> Duration) -> Vec<Duration> {
    (0..n_times).map(once).collect()
}

fn timed(once: impl FnOnce()) -> Duration {
    let start = Instant::now();
    once();
    start.elapsed()
}

fn row(what: &str, mut took: Vec<Duration>, goal: Option<Duration>) {
    took.sort_unstable();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    let show = |time: Duration| format!("{:.1} us", time.as_secs_f64() * 1e6);
    let goal = goal.map_or_else(String::new, |goal| {
        format!("  {} {}", show(goal), if median <= goal { "ok" } else { "MISSED" })
    });
    println!("{what:<44} {:>10} {:>10}{goal}", show(median), show(worst));
}
