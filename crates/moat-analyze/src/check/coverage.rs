//! Which rules and isolations decided about a flow of some test.

use moat_ir::{Answer, Bound, Direction, Flow, HalfReason, PolicyIdx, RuleIdx, SymbolicIr};
use rustc_hash::FxHashSet;

/// What tests have touched so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recorder {
    rules: Vec<bool>,
    isolations: Vec<bool>,
    /// The flows that were asked about, where somebody wants them.
    asked: Option<Vec<Flow>>,
}

impl Recorder {
    /// Nothing touched yet.
    #[must_use]
    pub fn new(symbolic: &SymbolicIr) -> Self {
        Self {
            rules: vec![false; symbolic.rules.len()],
            isolations: vec![false; symbolic.policies.len()],
            asked: None,
        }
    }

    /// The same, and keeps the flows that are asked about.
    #[must_use]
    pub fn keeping(self) -> Self {
        Self { asked: Some(Vec::new()), ..self }
    }

    /// The flows that were asked about, each once, in the order of the tests.
    #[must_use]
    pub fn asked(&self) -> Vec<Flow> {
        let mut seen = FxHashSet::default();
        let asked = self.asked.iter().flatten();
        asked.filter(|flow| seen.insert(*flow)).cloned().collect()
    }

    /// Notes who decided.
    pub(super) fn record(&mut self, bound: &Bound, flow: &Flow, answer: &Answer) {
        if let Some(asked) = &mut self.asked {
            asked.push(flow.clone());
        }
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
