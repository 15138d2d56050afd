//! Programs that are too large for the kernel.

use super::Refused;
use super::layer::Work;
use moat_ir::{Bound, PolicyIdx, Program, Why};

impl Work<'_> {
    /// Programs that are too large.
    pub(super) fn refused(&self) -> Vec<Refused> {
        let mut refused: Vec<Refused> = Vec::new();
        for group in self.layer.groups.values() {
            let Some(excess) = group.refused else { continue };
            let policies = policies(self.bound, self.bound.program(group.program));
            let staged = self.layer.staged;
            let own = Refused { program: group.program, policies, excess, staged };
            if !refused.contains(&own) {
                refused.push(own);
            }
        }
        refused
    }
}

/// The policies that a program is made of.
fn policies(bound: &Bound, program: &Program) -> Vec<PolicyIdx> {
    let mut found: Vec<u32> = program
        .stages
        .iter()
        .flat_map(|stage| &stage.clauses)
        .flat_map(|clause| match &clause.why {
            Why::Rule(idx) => vec![bound.symbolic.policy_of(*idx)],
            Why::Isolated(policies) => policies.to_vec(),
            Why::Default => Vec::new(),
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
