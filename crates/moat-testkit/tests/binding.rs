//! A bound form that is kept up to date means what one bound anew means, after any changes; and what it says has changed is all that
//! has changed.
//!
//! `MOAT_WORLDS` says how many worlds, `MOAT_SEED` runs one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "binding/changes.rs"]
mod changes;
#[path = "binding/compare.rs"]
mod compare;

use changes::{Pool, Step};
use compare::Asked;
use moat_compile::{Binding, Changed, Dialect, bind, compile};
use moat_ir::Bound;
use moat_testkit::rng::Rng;
use moat_testkit::settings::{Settings, seeds};
use moat_testkit::{agree, engine, generate};
use std::collections::BTreeMap;
use std::sync::Arc;

const STEPS: usize = 10;

/// How often what came out.
type Counts = BTreeMap<String, usize>;

fn check(seed: u64) -> Result<Counts, String> {
    let mut rng = Rng::new(seed ^ 0x6269_6e64);
    let objects = generate::world(seed, &Settings::DEFAULT).objects;
    let lowered = engine::lower(&objects);
    let pool = Pool::new(&lowered, seed);
    let dialect = *rng.pick(&Dialect::ALL);
    let mut policies = lowered.policies;
    let mut inventory = lowered.inventory;
    pool.pod_cidrs(&mut inventory, &mut rng);
    let mut binding = Binding::new(Arc::new(compile(&policies, &[])), inventory, dialect);
    let mut counts = Counts::new();
    let mut history = Vec::new();
    for _ in 0..STEPS {
        // With an old state at hand, changes are made in a copy; without, in place.
        let before: Bound = binding.bound().as_ref().clone();
        let held = rng.one_in(3).then(|| binding.bound().clone());
        let step = pool.step(&mut rng, binding.inventory(), &mut policies);
        history.push(format!("{step:?}"));
        let (kind, changed) = match step {
            Step::Pods(kind, changes) => (kind, binding.pods(changes)),
            Step::Policies => ("policies", binding.policies(Arc::new(compile(&policies, &[])))),
            Step::Replace(inventory) => ("replace", binding.replace(inventory)),
        };
        let name = match &changed {
            Changed::Nothing => "nothing",
            Changed::Pods(_) => "pods",
            Changed::Policies => "policies",
            Changed::Whole => "whole",
        };
        *counts.entry(format!("{kind}: {name}")).or_default() += 1;
        let fresh = bind(binding.bound().symbolic.clone(), binding.inventory(), dialect);
        let asked = Asked::new(&before, &fresh, &pool.points, &mut rng);
        let told = || format!("{name} after {}", history.join("\nthen "));
        compare::invariants(binding.bound()).map_err(|error| format!("{error}\n{}", told()))?;
        compare::same_meaning(binding.bound(), &fresh, &asked)
            .map_err(|error| format!("{error}\n{}", told()))?;
        compare::honest(&before, binding.bound(), &changed, &asked)
            .map_err(|error| format!("not told: {error}\n{}", told()))?;
        if let Some(held) = held {
            compare::untouched(&before, &held)
                .map_err(|error| format!("an old state: {error}\n{}", told()))?;
        }
    }
    Ok(counts)
}

#[test]
fn kept_up_to_date_is_bound_anew() {
    let (first, n) = seeds(300);
    let mut sum = Counts::new();
    let result = agree::in_parallel(
        n,
        |idx| check(first + idx),
        |counts: Counts| {
            for (kind, n) in counts {
                *sum.entry(kind).or_default() += n;
            }
        },
    );
    if let Err((idx, error)) = result {
        panic!("seed {} (rerun with MOAT_SEED={0}):\n{error}", first + idx);
    }
    println!("{sum:#?}");
    if n < 300 {
        return;
    }
    // What must be fast must not have been tried in vain.
    for kind in
        ["relabel", "address", "swap", "double", "phase", "add", "remove", "ports", "several"]
    {
        let n = sum.get(&format!("{kind}: pods")).copied().unwrap_or_default();
        assert!(n > 20, "{kind} was fast only {n} times: {sum:#?}");
    }
    for told in ["policies: policies", "policies: whole", "host: whole", "same: nothing"] {
        assert!(sum.contains_key(told), "never {told}: {sum:#?}");
    }
}
