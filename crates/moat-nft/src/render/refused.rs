//! Programs that are too large for the kernel.

use super::Refused;
use super::layer::Work;
use moat_ir::{Bound, PolicyIdx, Program, Why};
use std::collections::BTreeSet;

impl Work<'_> {
    /// Programs that are too large: all of those that led to a group, for those that say the same share one.
    pub(super) fn refused(&self) -> Vec<Refused> {
        let mut refused: Vec<Refused> = Vec::new();
        let staged = self.layer.staged;
        for (name, group) in &self.layer.groups {
            let Some(excess) = group.refused else { continue };
            let led = self.layer.led.get(&(group.direction, group.family)).into_iter().flatten();
            let pods = led.filter(|(_, to)| *to == name);
            let pods = pods.filter_map(|(address, _)| self.bound.pod_by_address.get(address));
            let programs =
                pods.filter_map(|idx| self.bound.class_of(*idx).program(group.direction));
            for program in programs.collect::<BTreeSet<_>>() {
                let policies = policies(self.bound, self.bound.program(program));
                let own = Refused { program, policies, excess, staged };
                if !refused.contains(&own) {
                    refused.push(own);
                }
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
