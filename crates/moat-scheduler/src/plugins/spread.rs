//! Topology spread: pods of a kind are spread evenly over the values of a label of nodes.

use super::{Memo, SCORE_MAX};
use crate::affinity::Spread;
use crate::class::Classes;
use crate::labels::Selector;
use crate::node::Node;
use crate::pod::Pod;
use crate::profile::{Args, Plugin};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::taint::untolerated;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// The constraints of one strength that a pod has, or is given because it has none.
fn constraints<'a>(
    snapshot: &Snapshot,
    pod: &'a Pod,
    args: &'a Args,
    hard: bool,
) -> Vec<Cow<'a, Spread>> {
    if !pod.spread.is_empty() {
        return pod.spread.iter().filter(|one| one.hard == hard).map(Cow::Borrowed).collect();
    }
    let mut defaults = args.spread.iter().filter(|one| one.hard == hard).peekable();
    if defaults.peek().is_none() {
        return vec![];
    }
    let selector = snapshot.surroundings.default_selector(pod);
    if selector.is_everything() {
        return vec![];
    }
    defaults.map(|one| Cow::Owned(Spread { selector: selector.clone(), ..one.clone() })).collect()
}

/// Whether a node counts for a constraint.
fn counts(constraint: &Spread, pod: &Pod, node: &Node) -> bool {
    (!constraint.honor_affinity || pod.wants_node(&node.name, &node.labels))
        && (!constraint.honor_taints || untolerated(&node.taints, &pod.tolerations).is_none())
}

fn has_all_keys(constraints: &[Cow<'_, Spread>], node: &Node) -> bool {
    constraints.iter().all(|one| node.labels.get(&one.topology_key).is_some())
}

/// How many pods on a node a selector means.
fn matching(node: &Node, classes: &Classes, selector: &Selector, pod: &Pod, memo: &Memo) -> i64 {
    if selector.is_everything() {
        return 0;
    }
    let means = |class: u32| {
        memo.get(class, || {
            let class = classes.get(class);
            !class.terminating
                && *class.namespace == *pod.namespace()
                && selector.matches(&class.labels)
        })
    };
    node.classes.iter().filter(|(class, _)| means(*class)).map(|(_, count)| i64::from(*count)).sum()
}

/// Constraints that refuse nodes, and how many pods there are by value.
#[derive(Clone, Debug)]
pub(crate) struct Hard<'a> {
    constraints: Vec<Cow<'a, Spread>>,
    pods: Vec<FxHashMap<&'a str, i64>>,
    smallest: Vec<i64>,
}

impl<'a> Hard<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, pod: &'a Pod, args: &'a Args) -> Self {
        let constraints = constraints(snapshot, pod, args, true);
        let mut pods = vec![FxHashMap::default(); constraints.len()];
        if !constraints.is_empty() {
            let memos = vec![Memo::new(snapshot.classes.len()); constraints.len()];
            for node in snapshot.nodes().filter(|node| has_all_keys(&constraints, node)) {
                for ((constraint, pods), memo) in constraints.iter().zip(&mut pods).zip(&memos) {
                    if counts(constraint, pod, node)
                        && let Some(value) = node.labels.get(&constraint.topology_key)
                    {
                        *pods.entry(value).or_default() +=
                            matching(node, &snapshot.classes, &constraint.selector, pod, memo);
                    }
                }
            }
        }
        let mut found = Self { smallest: vec![0; constraints.len()], constraints, pods };
        (0..found.constraints.len()).for_each(|at| found.refresh(at));
        found
    }

    fn refresh(&mut self, at: usize) {
        let pods = &self.pods[at];
        let domains = i32::try_from(pods.len()).unwrap_or(i32::MAX);
        let few = domains < self.constraints[at].min_domains;
        self.smallest[at] = if few { 0 } else { pods.values().copied().min().unwrap_or(0) };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.constraints.is_empty()
    }

    /// A pod comes to a node, or leaves it.
    pub(crate) fn change(&mut self, pod: &Pod, other: &Pod, node: &'a Node, by: i64) {
        if other.namespace() != pod.namespace() || !has_all_keys(&self.constraints, node) {
            return;
        }
        for at in 0..self.constraints.len() {
            let constraint = &self.constraints[at];
            // A terminating pod was not counted, so it does not leave either.
            let counted = !other.terminating && !constraint.selector.is_everything();
            if counted
                && constraint.selector.matches(&other.labels)
                && counts(constraint, pod, node)
                && let Some(value) = node.labels.get(&constraint.topology_key)
            {
                *self.pods[at].entry(value).or_default() += by;
                self.refresh(at);
            }
        }
    }

    pub(crate) fn filter(&self, pod: &Pod, node: &Node) -> Option<Refusal> {
        const REASON: &str = "node(s) didn't match pod topology spread constraints";
        for ((constraint, pods), smallest) in
            self.constraints.iter().zip(&self.pods).zip(&self.smallest)
        {
            let Some(value) = node.labels.get(&constraint.topology_key) else {
                let reason = format!("{REASON} (missing required label)");
                return Some(Refusal::new(Plugin::PodTopologySpread, false, reason));
            };
            let own = i64::from(constraint.selector.matches(&pod.labels));
            let there = pods.get(value).copied().unwrap_or(0);
            if there + own - smallest > i64::from(constraint.max_skew) {
                return Some(Refusal::new(Plugin::PodTopologySpread, true, REASON));
            }
        }
        None
    }
}

/// Constraints that like nodes less.
#[derive(Debug)]
pub(crate) struct Soft<'a> {
    constraints: Vec<Cow<'a, Spread>>,
    pods: Vec<FxHashMap<&'a str, i64>>,
    weights: Vec<f64>,
    memos: Vec<Memo>,
    all_keys: bool,
}

impl<'a> Soft<'a> {
    /// Counts pods, for the nodes that passed the filters; nothing if there is nothing to like.
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        pod: &'a Pod,
        args: &'a Args,
        feasible: &[u32],
    ) -> Option<Self> {
        let constraints = constraints(snapshot, pod, args, false);
        if constraints.is_empty() {
            return None;
        }
        let all_keys = !pod.spread.is_empty() || !args.spread_system;
        let memos = vec![Memo::new(snapshot.classes.len()); constraints.len()];
        let mut found = Self {
            pods: vec![FxHashMap::default(); constraints.len()],
            weights: vec![],
            memos,
            all_keys,
            constraints,
        };
        let mut ignored = 0;
        for node in feasible.iter().map(|&at| &snapshot.nodes[at as usize]) {
            if found.ignores(node) {
                ignored += 1;
                continue;
            }
            for (constraint, pods) in found.constraints.iter().zip(&mut found.pods) {
                if &*constraint.topology_key != HOSTNAME {
                    let value = node.labels.get(&constraint.topology_key).unwrap_or_default();
                    pods.entry(value).or_default();
                }
            }
        }
        for (constraint, pods) in found.constraints.iter().zip(&found.pods) {
            let hosts = &*constraint.topology_key == HOSTNAME;
            let domains = if hosts { feasible.len() - ignored } else { pods.len() };
            found.weights.push(weight(domains));
        }
        found.count(snapshot, pod);
        Some(found)
    }

    fn count(&mut self, snapshot: &Snapshot, pod: &Pod) {
        // Pods per host are counted when the host is scored.
        if self.pods.iter().all(FxHashMap::is_empty) {
            return;
        }
        for node in snapshot.nodes() {
            if self.all_keys && !has_all_keys(&self.constraints, node) {
                continue;
            }
            for ((constraint, pods), memo) in
                self.constraints.iter().zip(&mut self.pods).zip(&self.memos)
            {
                let value = node.labels.get(&constraint.topology_key).unwrap_or_default();
                if let Some(sum) = pods.get_mut(value).filter(|_| counts(constraint, pod, node)) {
                    *sum += matching(node, &snapshot.classes, &constraint.selector, pod, memo);
                }
            }
        }
    }

    fn ignores(&self, node: &Node) -> bool {
        self.all_keys && !has_all_keys(&self.constraints, node)
    }

    /// The more pods are near a node the larger; nothing for a node that lacks a label.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "upstream calculates in floating point"
    )]
    pub(crate) fn score(&self, snapshot: &Snapshot, pod: &Pod, node: &Node) -> Option<i64> {
        if self.ignores(node) {
            return None;
        }
        let mut score = 0.0;
        for (at, constraint) in self.constraints.iter().enumerate() {
            let Some(value) = node.labels.get(&constraint.topology_key) else { continue };
            let pods = if &*constraint.topology_key == HOSTNAME {
                matching(node, &snapshot.classes, &constraint.selector, pod, &self.memos[at])
            } else {
                self.pods[at].get(value).copied().unwrap_or(0)
            };
            score += pods as f64 * self.weights[at] + f64::from(constraint.max_skew - 1);
        }
        Some(score.round() as i64)
    }
}

/// Fewer pods are better; a node that lacks a label is as bad as can be.
pub(crate) fn normalize(scores: &[Option<i64>]) -> Vec<i64> {
    let known = || scores.iter().flatten().copied();
    let (smallest, largest) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
    let part = |score: i64| {
        if largest == 0 { SCORE_MAX } else { SCORE_MAX * (largest + smallest - score) / largest }
    };
    scores.iter().map(|score| score.map_or(0, part)).collect()
}

/// Many values would each have few pods; the logarithm evens that out.
#[allow(clippy::cast_precision_loss, reason = "a number of values is small")]
fn weight(domains: usize) -> f64 {
    ((domains + 2) as f64).ln()
}
