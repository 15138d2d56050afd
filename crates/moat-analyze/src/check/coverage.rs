//! Which rules and isolations decided about a flow of some test.

use moat_ir::{Answer, Bound, Direction, HalfReason, PolicyIdx, RuleIdx, SymbolicIr};

/// What tests have touched so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recorder {
    rules: Vec<bool>,
    isolations: Vec<bool>,
}

impl Recorder {
    /// Nothing touched yet.
    #[must_use]
    pub fn new(symbolic: &SymbolicIr) -> Self {
        Self {
            rules: vec![false; symbolic.rules.len()],
            isolations: vec![false; symbolic.policies.len()],
        }
    }

    /// Notes who decided.
    pub(super) fn record(&mut self, bound: &Bound, answer: &Answer) {
        for half in [&answer.egress, &answer.ingress] {
            match &half.reason {
                HalfReason::Rules(rules) => {
                    for matched in rules {
                        let rule = bound.symbolic.clause(matched.clause).rule;
                        if let Some(covered) = self.rules.get_mut(rule as usize) {
                            *covered = true;
                        }
                    }
                }
                HalfReason::Isolated(policies) => {
                    for &policy in policies.iter() {
                        if let Some(covered) = self.isolations.get_mut(policy as usize) {
                            *covered = true;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// How many rules there are.
    #[must_use]
    pub fn n_rules(&self) -> usize {
        self.rules.len()
    }

    /// Rules that decided about no flow of any test.
    #[must_use]
    pub fn uncovered_rules(&self) -> Vec<RuleIdx> {
        (0..).zip(&self.rules).filter(|(_, covered)| !**covered).map(|(idx, _)| idx).collect()
    }

    /// How many policies isolate their subjects.
    #[must_use]
    pub fn n_isolations(symbolic: &SymbolicIr) -> usize {
        symbolic.policies.iter().filter(|policy| policy.isolates.contains(&true)).count()
    }

    /// Policies that isolate, but whose isolation decided about no flow of any test.
    #[must_use]
    pub fn uncovered_isolations(&self, symbolic: &SymbolicIr) -> Vec<PolicyIdx> {
        let isolates = |idx: &PolicyIdx| {
            Direction::BOTH.iter().any(|&direction| symbolic.policy(*idx).isolates(direction))
        };
        (0..)
            .zip(&self.isolations)
            .filter(|(_, covered)| !**covered)
            .map(|(idx, _)| idx)
            .filter(isolates)
            .collect()
    }
}
