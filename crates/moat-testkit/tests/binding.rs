//! A bound form that is kept up to date means what one bound anew means, after any changes; and what it says has changed is all that
//! has changed.
//!
//! `MOAT_WORLDS` says how many worlds, `MOAT_SEED` runs one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::explicit_auto_deref,
    reason = "a test that cannot go on has failed; a picked text must be told its type"
)]

#[path = "binding/compare.rs"]
mod compare;

use compare::Asked;
use moat_compile::{Binding, Changed, Dialect, PodChange, bind, compile};
use moat_ir::Bound;
use moat_sets::Protocol;
use moat_testkit::changes::{self, Pool, Step};
use moat_testkit::rng::Rng;
use moat_testkit::settings::{Settings, seeds};
use moat_testkit::{Json, agree, engine, generate};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes of a world: enough for a class to come after programs that did not know it, and to go.
const STEPS: usize = 24;

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
    changes::pod_cidrs(&mut inventory, &mut rng);
    let mut binding = Binding::new(Arc::new(compile(&policies, &[])), inventory, dialect);
    let mut counts = Counts::new();
    let mut history = Vec::new();
    for _ in 0..STEPS {
        // With an old state at hand, changes are made in a copy; without, in place.
        let before: Bound = binding.bound().as_ref().clone();
        let held = rng.one_in(3).then(|| binding.bound().clone());
        let policies_before = policies.clone();
        let step = pool.step(&mut rng, binding.inventory(), &mut policies);
        history.push(format!("{step:?}"));
        let (kind, changed) = match step {
            Step::Pods(kind, changes) => (kind, binding.pods(changes)),
            Step::Policies => match changes::only(&policies_before, &policies) {
                Some(change) if rng.eighths(6) => ("policy", binding.policy(change)),
                _ => ("policies", binding.policies(Arc::new(compile(&policies, &[])))),
            },
            Step::Replace(inventory) => ("replace", binding.replace(inventory)),
        };
        let name = match &changed {
            Changed::Nothing => "nothing",
            Changed::Pods(_) => "pods",
            Changed::Policy(..) => "policy",
            Changed::Policies(_) => "policies",
            Changed::Whole => "whole",
        };
        *counts.entry(format!("{kind}: {name}")).or_default() += 1;
        let compiled = compile(&policies, &[]);
        if *binding.bound().symbolic != compiled {
            return Err(format!("policies after {}", history.join("\nthen ")));
        }
        let fresh = bind(Arc::new(compiled), binding.inventory(), dialect);
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
    let sum = agree::tally(first, n, check);
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
    let n = sum.get("policy: policy").copied().unwrap_or_default();
    assert!(n > 100, "one policy was fast only {n} times: {sum:#?}");
    for told in
        ["policies: policies", "policies: whole", "policy: whole", "host: whole", "same: nothing"]
    {
        assert!(sum.contains_key(told), "never {told}: {sum:#?}");
    }
}

/// A bug in keeping a form up to date: what it would leave behind after a change, if it shows there.
type Bug = fn(&Bound, &mut Bound) -> bool;

/// One peer set is not asked about a new class.
fn atom_forgotten(before: &Bound, after: &mut Bound) -> bool {
    let new: moat_sets::IdSet = (before.atoms.len()..after.atoms.len()).collect();
    let sets = after.peer_sets.iter_mut().skip(1);
    let forgetful = sets.filter(|set| !set.must.is_disjoint(&new)).last();
    forgetful.map(|set| set.must.minus_with(&new)).is_some()
}

/// An address stays with the pod that had it.
fn address_stays(before: &Bound, after: &mut Bound) -> bool {
    let moved = before
        .pod_by_address
        .iter()
        .find(|(address, pod)| after.pod_by_address.get(address).is_some_and(|now| now != *pod));
    moved.map(|(&address, &pod)| after.pod_by_address.insert(address, pod)).is_some()
}

/// A pod stays in its class.
fn class_stays(before: &Bound, after: &mut Bound) -> bool {
    let pods = before.pods.iter().zip(&mut after.pods);
    let moved = pods.filter(|(old, new)| !new.is_gone() && old.class != new.class).last();
    moved.map(|(old, new)| new.class = old.class).is_some()
}

#[test]
fn planted_bugs_are_noticed() {
    let bugs: [(&str, Bug); 3] = [
        ("atom forgotten", atom_forgotten),
        ("address stays", address_stays),
        ("class stays", class_stays),
    ];
    for (name, bug) in bugs {
        let noticed = (0..300).find(|&seed| {
            let mut rng = Rng::new(seed);
            let lowered = engine::lower(&generate::world(seed, &Settings::DEFAULT).objects);
            let pool = Pool::new(&lowered, seed);
            let mut policies = lowered.policies;
            let symbolic = Arc::new(compile(&policies, &[]));
            let mut binding = Binding::new(symbolic, lowered.inventory, Dialect::MOAT);
            (0..STEPS).any(|_| {
                let before = binding.bound().clone();
                let step = pool.step(&mut rng, binding.inventory(), &mut policies);
                let Step::Pods(_, changes) = step else { return false };
                if !matches!(binding.pods(changes), Changed::Pods(_)) {
                    return false;
                }
                let mut after = binding.bound().as_ref().clone();
                let fresh = bind(after.symbolic.clone(), binding.inventory(), Dialect::MOAT);
                let asked = Asked::new(&before, &fresh, &pool.points, &mut rng);
                bug(&before, &mut after) && compare::same_meaning(&after, &fresh, &asked).is_err()
            })
        });
        println!("{name}: noticed in world {noticed:?}");
        assert!(noticed.is_some(), "{name} is never noticed");
    }
}

/// What a port name means is looked up for one program, and used for another that comes after a pod did.
#[test]
fn a_port_name_means_later_pods_in_later_programs() {
    let pod = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [{"name": "x", "image": "x", "ports": [{"name": "http", "containerPort": 80}]}]},
        })
    };
    let policy = |app: &str, to: Json| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": app},
            "spec": {
                "podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Egress"],
                "egress": [{"to": [{"podSelector": to}], "ports": [{"port": "http"}]}],
            },
        })
    };
    let early =
        policy("early", json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}));
    let late = policy("late", json!({}));
    let lowered = engine::lower(&[pod("early"), pod("late"), pod("new"), early, late]);
    let mut inventory = lowered.inventory;
    let all = std::mem::take(&mut inventory.pods);
    let [first, second, third] = all.as_slice() else { panic!("three pods: {all:?}") };
    inventory.pods.push(first.clone());
    let symbolic = Arc::new(compile(&lowered.policies, &[]));
    let mut binding = Binding::new(symbolic, inventory, Dialect::MOAT);
    let mut rng = Rng::new(0);
    for pod in [third, second] {
        assert!(matches!(binding.pods(vec![PodChange::Set(pod.clone())]), Changed::Pods(_)));
        let fresh = bind(binding.bound().symbolic.clone(), binding.inventory(), Dialect::MOAT);
        let asked = Asked::new(&fresh, &fresh, &[(Protocol::Tcp, 80)], &mut rng);
        assert_eq!(compare::same_meaning(binding.bound(), &fresh, &asked), Ok(()));
    }
}
