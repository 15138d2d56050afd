//! Reasons that are kept while policies around theirs change.

use crate::reason::Reasons;
use moat_ir::{ClauseIdx, Direction, Ground, PolicyIdx, SymClause, SymbolicIr};
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
    let clause = |idx: ClauseIdx| {
        let own = old.clause(idx);
        let rule = old.rule(own.rule);
        let wanted = said(old, own);
        let at = alike(old, rule.policy, rule.direction, wanted).position(|other| other == idx)?;
        alike(new, policy(rule.policy)?, rule.direction, wanted).nth(at)
    };
    // What is not found is of a policy that changed or went, and so will its reasons.
    for reason in reasons.values_mut() {
        match &mut reason.decision.ground {
            Ground::Default => {}
            Ground::Rules(rules) => {
                rules.iter_mut().for_each(|idx| *idx = clause(*idx).unwrap_or(*idx));
            }
            Ground::Isolated(policies) => {
                *policies = policies.iter().map(|&idx| policy(idx).unwrap_or(idx)).collect();
            }
        }
    }
}

/// What a clause says and where it stands, but for clauses before it that never applied and may have come or gone.
type Said<'a> = (u32, Option<u32>, &'a moat_ir::SymPeer, &'a moat_ir::SymPorts);

fn said<'a>(form: &SymbolicIr, clause: &'a SymClause) -> Said<'a> {
    (form.rule(clause.rule).index, clause.peer_index, &clause.peer, &clause.ports)
}

fn alike<'a>(
    form: &'a SymbolicIr,
    policy: PolicyIdx,
    direction: Direction,
    wanted: Said<'a>,
) -> impl Iterator<Item = ClauseIdx> + 'a {
    let all = form.clauses_of(policy, direction);
    all.filter(move |(_, own)| said(form, own) == wanted).map(|(idx, _)| idx)
}
