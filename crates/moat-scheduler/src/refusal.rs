//! Why a pod is not on a node, in upstream's words.

use crate::profile::Plugin;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A reason that users see.
pub type Reason = Cow<'static, str>;

/// A plug-in refuses a node, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The plug-in, if one is to blame.
    pub plugin: Option<Plugin>,
    /// Why; one or more.
    pub reasons: Vec<Reason>,
    /// Whether evicting pods could help.
    pub resolvable: bool,
}

impl Refusal {
    pub(crate) fn new(plugin: Plugin, resolvable: bool, reason: impl Into<Reason>) -> Self {
        Self { plugin: Some(plugin), reasons: vec![reason.into()], resolvable }
    }
}

/// What became of every node when none was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// How many nodes there are.
    pub nodes_len: usize,
    /// A refusal of all nodes before any was looked at.
    pub all: Option<Refusal>,
    /// The nodes that were looked at, by their number in the snapshot.
    pub(crate) refused: Vec<(u32, Refusal)>,
    /// Why the others were not.
    pub(crate) others: Option<Refusal>,
    /// What preemption has to say.
    pub preemption: String,
}

impl Diagnosis {
    /// The plug-ins that refused something: their events may make the pod schedulable.
    pub fn plugins(&self) -> BTreeSet<Plugin> {
        let all =
            self.refused.iter().map(|(_, refusal)| refusal).chain(&self.all).chain(&self.others);
        all.filter_map(|refusal| refusal.plugin).collect()
    }

    /// The text of the event and the condition.
    pub fn message(&self) -> String {
        if self.nodes_len == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut text = format!("0/{} nodes are available:", self.nodes_len);
        if let Some(all) = &self.all {
            text.push_str(&format!(" {}.", all.reasons.join(", ")));
        } else {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for reason in self.refused.iter().flat_map(|(_, refusal)| &refusal.reasons) {
                *counts.entry(reason).or_default() += 1;
            }
            let left = self.nodes_len.saturating_sub(self.refused.len());
            for reason in self.others.iter().flat_map(|refusal| &refusal.reasons) {
                if left > 0 {
                    *counts.entry(reason).or_default() += left;
                }
            }
            let mut lines: Vec<String> =
                counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            lines.sort();
            if !lines.is_empty() {
                text.push_str(&format!(" {}.", lines.join(", ")));
            }
        }
        if !self.preemption.is_empty() {
            text.push_str(&format!(" preemption: {}", self.preemption));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted_as_text() {
        let refusal = |reasons: &[&'static str]| Refusal {
            plugin: Some(Plugin::NodeResourcesFit),
            reasons: reasons.iter().map(|&reason| reason.into()).collect(),
            resolvable: true,
        };
        let mut refused = vec![(0, refusal(&["Insufficient cpu", "Insufficient memory"]))];
        refused.extend((1..11).map(|at| (at, refusal(&["Insufficient cpu"]))));
        refused.extend((11..13).map(|at| (at, refusal(&["node(s) were unschedulable"]))));
        let mut diagnosis = Diagnosis { nodes_len: 13, refused, ..Diagnosis::default() };
        assert_eq!(
            diagnosis.message(),
            "0/13 nodes are available: 1 Insufficient memory, 11 Insufficient cpu, 2 node(s) were unschedulable."
        );
        diagnosis.preemption = "not eligible due to preemptionPolicy=Never.".into();
        diagnosis.nodes_len = 14;
        diagnosis.others = Some(refusal(&["x"]));
        assert_eq!(
            diagnosis.message(),
            "0/14 nodes are available: 1 Insufficient memory, 1 x, 11 Insufficient cpu, 2 node(s) were unschedulable. \
             preemption: not eligible due to preemptionPolicy=Never."
        );
    }
}
