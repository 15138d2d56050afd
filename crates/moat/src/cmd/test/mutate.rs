//! Takes rules and policies away one at a time and asks whether a test notices.

use crate::args::Common;
use crate::world::{World, dialect};
use moat_analyze::check::{Mutation, Recorder, Test, passes, survivors};
use moat_analyze::query::Names;
use moat_compile::{bind, compile, services};
use moat_ir::{PolicyIdx, RuleIdx};
use moat_model::policy::Policy;
use std::sync::Arc;

/// What is taken away.
#[derive(Clone, Copy, Debug)]
enum Mutant {
    Rule(RuleIdx),
    Policy(PolicyIdx),
}

/// Tries every removal. All tests must pass on the world as it is.
pub(super) fn mutation(
    world: &World,
    tests: &[Test],
    recorder: &Recorder,
    common: &Common,
) -> Mutation {
    let symbolic = &world.symbolic;
    let isolates = |idx: &PolicyIdx| symbolic.policy(*idx).isolates.contains(&true);
    let rules = (0..).zip(&symbolic.rules).map(|(idx, _)| Mutant::Rule(idx));
    let policies = (0..).zip(&symbolic.policies).map(|(idx, _)| idx).filter(isolates);
    let mutants: Vec<Mutant> = rules.chain(policies.map(Mutant::Policy)).collect();
    let uncovered = recorder.uncovered_rules();
    let killed = |idx: usize| match mutants.get(idx) {
        // A rule that decides no tested flow cannot be missed by one.
        Some(Mutant::Rule(rule)) if uncovered.binary_search(rule).is_ok() => false,
        Some(&mutant) => is_noticed(world, tests, common, mutant),
        None => false,
    };
    let mut found = Mutation { n_mutants: mutants.len(), ..Mutation::default() };
    for idx in survivors(mutants.len(), killed) {
        match mutants.get(idx) {
            Some(Mutant::Rule(rule)) => found.rules.push(*rule),
            Some(Mutant::Policy(policy)) => found.policies.push(*policy),
            None => {}
        }
    }
    found
}

fn is_noticed(world: &World, tests: &[Test], common: &Common, mutant: Mutant) -> bool {
    let policies = without(world, mutant);
    let symbolic = Arc::new(compile(&policies, &world.symbolic.sources));
    let bound = bind(symbolic, &world.lowered.inventory, dialect(common.dialect));
    let services = services(&world.lowered.inventory, &bound);
    let names = Names::new(&bound, &services, &common.namespace);
    // A test that can no longer be asked is not the same as one that passes.
    tests.iter().any(|test| !passes(&names, test).unwrap_or(false))
}

/// The policies with one thing taken away.
fn without(world: &World, mutant: Mutant) -> Vec<Policy> {
    let symbolic = &world.symbolic;
    let (policy, rule) = match mutant {
        Mutant::Policy(policy) => (policy, None),
        Mutant::Rule(idx) => (symbolic.rule(idx).policy, Some(symbolic.rule(idx))),
    };
    let info = symbolic.policy(policy);
    let is_it = |own: &Policy| {
        own.id.kind.short() == info.short
            && own.id.namespace == info.namespace
            && own.id.name == info.name
    };
    let mut policies = world.lowered.policies.clone();
    match rule {
        None => policies.retain(|own| !is_it(own)),
        Some(rule) => {
            for own in policies.iter_mut().filter(|own| is_it(own)) {
                own.rules.retain(|own| {
                    own.index != rule.index || own.direction.name() != rule.direction.name()
                });
            }
        }
    }
    policies
}
