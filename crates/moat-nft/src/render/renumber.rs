//! Reasons that are kept while policies around theirs change.

use crate::reason::Reasons;
use moat_ir::{ClauseIdx, Ground, PolicyIdx, Splice, SymbolicIr};
use rustc_hash::FxHashMap;

/// Says reasons in the numbers of another symbolic form, in which what they name is as it was.
pub(super) fn renumber(reasons: &mut Reasons, old: &SymbolicIr, new: &SymbolicIr) {
    let by_name: FxHashMap<(&str, &str, &str), PolicyIdx> = (0..)
        .zip(&new.policies)
        .map(|(idx, own)| ((own.short, &*own.namespace, &*own.name), idx))
        .collect();
    let policy = |idx: PolicyIdx| {
        let own = old.policy(idx);
        by_name.get(&(own.short, &*own.namespace, &*own.name)).copied()
    };
    let clause = |idx: ClauseIdx| old.same_clause(idx, new, policy(old.policy_of(idx))?);
    say(reasons, policy, clause);
}

/// Says reasons in the numbers after one policy came, went or changed.
pub(super) fn follow(reasons: &mut Reasons, splice: &Splice) {
    let is_in_place = splice.policies.is_in_place() && splice.clauses.is_in_place();
    if is_in_place && splice.kept.iter().all(|(old, new)| old == new) {
        return;
    }
    say(reasons, |idx| splice.policy(idx), |idx| splice.clause(idx));
}

/// What is not found is of a policy that changed or went, and so will its reasons.
fn say(
    reasons: &mut Reasons,
    policy: impl Fn(PolicyIdx) -> Option<PolicyIdx>,
    clause: impl Fn(ClauseIdx) -> Option<ClauseIdx>,
) {
    for reason in reasons.values_mut() {
        match &mut reason.decision.ground {
            Ground::Default => {}
            Ground::Rules(rules) => {
                rules.iter_mut().for_each(|idx| *idx = clause(*idx).unwrap_or(*idx));
            }
            Ground::Isolated(policies) => {
                if policies.iter().any(|&idx| policy(idx) != Some(idx)) {
                    *policies = policies.iter().map(|&idx| policy(idx).unwrap_or(idx)).collect();
                }
            }
        }
    }
}
