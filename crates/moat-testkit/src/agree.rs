//! Comparing whole answers: verdicts and what determined them, per direction.

use crate::Json;
use crate::bugs::Bug;
use crate::engine::Engine;
use crate::point::{Flow, Half, Outcome};
use crate::subject::{Spec, Subject};
use crate::{generate, probe, rng, settings, shrink};
use core::fmt;
use moat_ir::Verdict;
use std::collections::BTreeMap;

/// How two answers compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// Same verdict for the same reasons.
    Same,
    /// The engine says that the input or the API leaves the verdict open; nothing more is compared.
    Open,
    /// They differ.
    Different,
}

/// Compares the engine's answer with the reference's. The reference always decides; the engine may say that something is open,
/// which is checked for no more than that the rest agrees.
#[must_use]
pub fn compare(engine: &Outcome, spec: &Outcome) -> Comparison {
    let half = |engine: &Half, spec: &Half| {
        if engine.verdict == Verdict::Undefined {
            Comparison::Open
        } else if engine == spec {
            Comparison::Same
        } else {
            Comparison::Different
        }
    };
    let halves = [half(&engine.egress, &spec.egress), half(&engine.ingress, &spec.ingress)];
    if halves.contains(&Comparison::Different) {
        return Comparison::Different;
    }
    match engine.verdict {
        Verdict::Undefined if halves.contains(&Comparison::Open) || engine.maybe_own_node => {
            Comparison::Open
        }
        verdict if verdict == spec.verdict => Comparison::Same,
        _ => Comparison::Different,
    }
}

/// What was compared.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Worlds.
    pub worlds: usize,
    /// Flows.
    pub flows: usize,
    /// Flows the reference denies.
    pub denied: usize,
    /// Flows the engine leaves open.
    pub open: usize,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            worlds: self.worlds + other.worlds,
            flows: self.flows + other.flows,
            denied: self.denied + other.denied,
            open: self.open + other.open,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} worlds, {} flows, {} denied, {} open",
            self.worlds, self.flows, self.denied, self.open
        )
    }
}

/// A flow on which the engine and the reference differ.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// The world.
    pub objects: Vec<Json>,
    /// The flow.
    pub flow: Flow,
    /// The engine's answer.
    pub engine: Outcome,
    /// The reference's.
    pub spec: Outcome,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for object in &self.objects {
            writeln!(f, "---\n{object}")?;
        }
        writeln!(f, "flow:   {}", self.flow)?;
        writeln!(f, "engine: {}", self.engine)?;
        writeln!(f, "spec:   {}", self.spec)
    }
}

/// Asks both about every flow and stops at the first difference.
pub fn check(
    objects: &[Json],
    flows: impl IntoIterator<Item = Flow>,
    bug: Option<Bug>,
) -> Result<Counts, Box<Mismatch>> {
    let engine = bug.map_or_else(|| Engine::new(objects), |bug| Engine::with_bug(objects, bug));
    let spec = Spec::new(objects);
    let mut counts = Counts { worlds: 1, ..Counts::default() };
    for flow in flows {
        let (Some(found), Some(wanted)) = (engine.decide(&flow), spec.decide(&flow)) else {
            continue;
        };
        counts.flows += 1;
        counts.denied += usize::from(wanted.verdict == Verdict::Denied);
        match compare(&found, &wanted) {
            Comparison::Same => {}
            Comparison::Open => counts.open += 1,
            Comparison::Different => {
                return Err(Box::new(Mismatch {
                    objects: objects.to_vec(),
                    flow,
                    engine: found,
                    spec: wanted,
                }));
            }
        }
    }
    Ok(counts)
}

/// The flows asked of the random world of a seed.
#[must_use]
pub fn flows(world: &generate::World, settings: &settings::Settings) -> Vec<Flow> {
    let mut rng = rng::Rng::new(world.seed ^ 0x666c_6f77);
    let probes = probe::Probes::new(&world.objects, settings.outside, &mut rng);
    probes.some(settings.flows_per_pair, &mut rng)
}

/// Compares on the random world of a seed; a difference comes back with the smallest world that still shows it.
pub fn check_seed(
    seed: u64,
    settings: &settings::Settings,
    bug: Option<Bug>,
) -> Result<Counts, Box<Mismatch>> {
    let world = generate::world(seed, settings);
    let flows = flows(&world, settings);
    check(&world.objects, flows, bug).map_err(|found| {
        let differs = |objects: &[Json]| check(objects, [found.flow.clone()], bug).is_err();
        let objects = shrink::smallest(world.objects.clone(), &differs);
        check(&objects, [found.flow.clone()], bug).expect_err("the smallest world still differs")
    })
}

/// Runs a check for `n` seeds from `first` on, and adds up how often what came out.
///
/// # Panics
///
/// With the first seed that fails.
pub fn tally(
    first: u64,
    n: u64,
    check: impl Fn(u64) -> Result<BTreeMap<String, usize>, String> + Sync,
) -> BTreeMap<String, usize> {
    let mut sum = BTreeMap::new();
    let add = |counts: BTreeMap<String, usize>| {
        for (kind, n) in counts {
            *sum.entry(kind).or_default() += n;
        }
    };
    if let Err((idx, error)) = in_parallel(n, |idx| check(first + idx), add) {
        panic!("seed {} (rerun with MOAT_SEED={0}):\n{error}", first + idx);
    }
    sum
}

/// Runs a check for each number below `n` on all cores; the failure of the least number is returned.
pub fn in_parallel<T: Send, E: Send>(
    n: u64,
    run: impl Fn(u64) -> Result<T, E> + Sync,
    mut collect: impl FnMut(T),
) -> Result<(), (u64, E)> {
    let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let results: Vec<Vec<(u64, Result<T, E>)>> = std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..n_threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut out = Vec::new();
                    for seed in (thread..n).step_by(usize::try_from(n_threads).unwrap()) {
                        let result = run(seed);
                        let failed = result.is_err();
                        out.push((seed, result));
                        if failed {
                            break;
                        }
                    }
                    out
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a check panicked")).collect()
    });
    let mut first: Option<(u64, E)> = None;
    for (seed, result) in results.into_iter().flatten() {
        match result {
            Ok(value) => collect(value),
            Err(error) if first.as_ref().is_none_or(|(least, _)| seed < *least) => {
                first = Some((seed, error))
            }
            Err(_) => {}
        }
    }
    first.map_or(Ok(()), Err)
}
