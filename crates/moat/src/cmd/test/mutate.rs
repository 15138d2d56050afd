//! Takes rules and policies away one at a time and asks whether a test notices.

use crate::args::Common;
use crate::world::World;
use moat_analyze::check::{Mutation, Recorder, Test, passes, survivors};
use moat_analyze::query::Names;
use moat_compile::services;
use moat_ir::{Change, PolicyIdx};

/// Tries every removal. All tests must pass on the world as it is.
pub(super) fn mutation(
    world: &World,
    tests: &[Test],
    recorder: &Recorder,
    common: &Common,
) -> Mutation {
    let symbolic = &world.symbolic;
    let isolates = |idx: &PolicyIdx| symbolic.policy(*idx).isolates.contains(&true);
    let rules = (0..).zip(&symbolic.rules).map(|(idx, _)| Change::RemoveRule { rule: idx });
    let policies = (0..).zip(&symbolic.policies).map(|(idx, _)| idx).filter(isolates);
    let mutants: Vec<Change> =
        rules.chain(policies.map(|policy| Change::RemovePolicy { policy })).collect();
    let uncovered = recorder.uncovered_rules();
    let killed = |idx: usize| match mutants.get(idx) {
        // A rule that decides no tested flow cannot be missed by one.
        Some(Change::RemoveRule { rule }) if uncovered.binary_search(rule).is_ok() => false,
        Some(change) => is_noticed(world, tests, common, change),
        None => false,
    };
    let mut found = Mutation { n_mutants: mutants.len(), ..Mutation::default() };
    for idx in survivors(mutants.len(), killed) {
        match mutants.get(idx) {
            Some(Change::RemoveRule { rule }) => found.rules.push(*rule),
            Some(Change::RemovePolicy { policy }) => found.policies.push(*policy),
            _ => {}
        }
    }
    found
}

fn is_noticed(world: &World, tests: &[Test], common: &Common, change: &Change) -> bool {
    let bound = world.changed(change, common.dialect);
    let services = services(&world.lowered.inventory, &bound);
    let names = Names::new(&bound, &services, &common.namespace);
    // A test that can no longer be asked is not the same as one that passes.
    tests.iter().any(|test| !passes(&names, test).unwrap_or(false))
}
