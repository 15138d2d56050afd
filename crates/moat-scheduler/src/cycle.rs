//! One decision: which nodes a pod can be on, and which of them is best.

use crate::node::Node;
use crate::plugins::{affinity, fit, image, node, normalize, spread, volume};
use crate::pod::Pod;
use crate::profile::{Plugin, Profile};
use crate::refusal::{Diagnosis, Refusal};
use crate::snapshot::Snapshot;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Clusters smaller than this are looked at whole, and of larger ones at least so many nodes that fit are found.
const FEASIBLE_MIN: usize = 100;
/// Of however large a cluster so much is looked at, in percent.
const PERCENTAGE_MIN: usize = 5;

/// What filters know that changes when pods come and go.
#[derive(Clone, Debug)]
pub(crate) struct Moving<'a> {
    spread: spread::Hard<'a>,
    affinity: affinity::Hard<'a>,
}

/// A pod, the cluster, and what all nodes have in common for it.
#[derive(Debug)]
pub(crate) struct Cycle<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) profile: &'a Profile,
    pub(crate) pod: &'a Pod,
    pub(crate) moving: Moving<'a>,
    volumes: volume::Volumes<'a>,
    /// The only nodes that node affinity leaves, if it names them.
    names: Option<BTreeSet<&'a str>>,
}

/// What goes on from one decision to the next: where to begin to look, and how to choose among equals.
#[derive(Clone, Debug)]
pub struct Turn {
    start: usize,
    random: u64,
}

/// A node for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Its name.
    pub node: Arc<str>,
    /// How many nodes were looked at.
    pub evaluated: usize,
    /// How many of them would have done.
    pub feasible: usize,
}

/// Scores of one plug-in for nodes, before and after they are brought to the range from 0 to 100.
#[derive(Clone, Debug)]
pub(crate) struct Scores {
    pub(crate) raw: Vec<i64>,
    pub(crate) normalized: Vec<i64>,
}

impl Default for Turn {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl Turn {
    /// A sequence of choices that is the same for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self { start: 0, random: seed ^ 0x9e37_79b9_7f4a_7c15 }
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Splitmix: equals need to be chosen evenly, not unpredictably.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % (bound.max(1) as u64)).unwrap_or(0)
    }
}

impl<'a> Moving<'a> {
    /// A pod comes to a node, or leaves it.
    pub(crate) fn change(&mut self, pod: &Pod, other: &'a Pod, node: &'a Node, by: i64) {
        self.spread.change(pod, other, node, by);
        self.affinity.change(other, node, by);
    }
}

impl<'a> Cycle<'a> {
    /// Prepares a decision. The error is a refusal of all nodes.
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        profile: &'a Profile,
        pod: &'a Pod,
    ) -> Result<Self, Refusal> {
        if !pod.problems.is_empty() {
            let reason = format!("parsing pod: {}", pod.problems.join("; "));
            return Err(Refusal { plugin: None, reasons: vec![reason.into()], resolvable: false });
        }
        let on = |plugin| profile.pre_filters.contains(&plugin);
        let required = pod.node_required.as_ref().filter(|_| on(Plugin::NodeAffinity));
        let names = required.and_then(crate::labels::NodeSelector::names);
        if names.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err(Refusal::new(Plugin::NodeAffinity, false, "pod affinity terms conflict"));
        }
        let volumes = if on(Plugin::VolumeBinding) {
            volume::prepare(snapshot, pod)?
        } else {
            volume::Volumes::default()
        };
        let moving = Moving {
            spread: spread::Hard::new(snapshot, pod, &profile.args),
            affinity: affinity::Hard::new(snapshot, pod),
        };
        Ok(Self { snapshot, profile, pod, moving, volumes, names })
    }

    /// What one plug-in has against a node.
    pub(crate) fn filter_by(
        &self,
        plugin: Plugin,
        node: &Node,
        moving: &Moving<'_>,
    ) -> Option<Refusal> {
        let (pod, args) = (self.pod, &self.profile.args);
        match plugin {
            Plugin::NodeUnschedulable => node::unschedulable(pod, node),
            Plugin::NodeName => node::name(pod, node),
            Plugin::TaintToleration => node::taints(pod, node),
            Plugin::NodeAffinity => node::affinity(pod, node, args),
            Plugin::NodePorts if !pod.ports.is_empty() => node::ports(pod, node),
            Plugin::NodeResourcesFit => fit::filter(pod, node, args),
            Plugin::VolumeBinding if !self.volumes.is_empty() => self.volumes.filter(node),
            Plugin::PodTopologySpread if !moving.spread.is_empty() => {
                moving.spread.filter(pod, node)
            }
            Plugin::InterPodAffinity if !moving.affinity.is_empty() => moving.affinity.filter(node),
            _ => None,
        }
    }

    /// Whether the node does, also once more important pods are there that wait for it.
    pub(crate) fn filter(&self, at: u32) -> Option<Refusal> {
        let node = &self.snapshot.nodes[at as usize];
        self.filter_with_nominated(node, node, &self.moving)
    }

    /// The same for a node in another state than the snapshot's; `real` is the snapshot's.
    pub(crate) fn filter_with_nominated(
        &self,
        node: &Node,
        real: &'a Node,
        moving: &Moving<'a>,
    ) -> Option<Refusal> {
        self.run(&self.profile.filters, node, real, moving)
    }

    /// What one plug-in has against a node, nominated pods included.
    pub(crate) fn filter_one(&self, plugin: Plugin, at: u32) -> Option<Refusal> {
        let node = &self.snapshot.nodes[at as usize];
        self.run(&[plugin], node, node, &self.moving)
    }

    fn run(
        &self,
        plugins: &[Plugin],
        node: &Node,
        real: &'a Node,
        moving: &Moving<'a>,
    ) -> Option<Refusal> {
        let first = |node: &Node, moving: &Moving<'_>| {
            plugins.iter().find_map(|plugin| self.filter_by(*plugin, node, moving))
        };
        let waiting = self.snapshot.nominated_to(&real.name);
        let mut waiting = waiting
            .iter()
            .filter(|other| other.priority >= self.pod.priority && other.uid != self.pod.uid)
            .peekable();
        if waiting.peek().is_some() {
            let (mut node, mut moving) = (node.clone(), moving.clone());
            for other in waiting {
                node.add(Arc::clone(other), u32::MAX);
                moving.change(self.pod, other, real, 1);
            }
            if let Some(refusal) = first(&node, &moving) {
                return Some(refusal);
            }
        }
        first(node, moving)
    }

    /// Nodes that do, beginning where the last decision left off and not more than needed; and what became of the others.
    pub(crate) fn feasible(&self, turn: &mut Turn) -> (Vec<u32>, Diagnosis) {
        let order = self.snapshot.order();
        let mut diagnosis = Diagnosis { nodes_len: order.len(), ..Diagnosis::default() };
        // Room was made on this node, so it is tried first, and alone.
        let nominated = self.snapshot.node_at(&self.pod.nominated);
        if let Some(at) = nominated.filter(|&at| self.filter(at).is_none()) {
            return (vec![at], diagnosis);
        }
        let some: Vec<u32>;
        let nodes = if let Some(names) = &self.names {
            some = names.iter().filter_map(|name| self.snapshot.node_at(name)).collect();
            let reason = "node(s) didn't satisfy plugin(s) [NodeAffinity]";
            diagnosis.others = Some(Refusal::new(Plugin::NodeAffinity, false, reason));
            &some[..]
        } else {
            order
        };
        let enough = enough(self.profile.percentage, nodes.len());
        let enough = if self.profile.scores.is_empty() { 1 } else { enough };
        let mut found = Vec::with_capacity(enough);
        let start = turn.start % nodes.len().max(1);
        for &at in nodes[start..].iter().chain(&nodes[..start]) {
            match self.filter(at) {
                None => found.push(at),
                Some(refusal) => diagnosis.refused.push((at, refusal)),
            }
            if found.len() == enough {
                break;
            }
        }
        let looked_at = found.len() + diagnosis.refused.len();
        turn.start = (turn.start + looked_at) % order.len().max(1);
        (found, diagnosis)
    }

    /// What a plug-in thinks of nodes; nothing if it has nothing to say of this pod.
    pub(crate) fn scores(&self, plugin: Plugin, nodes: &[u32]) -> Option<Scores> {
        let (pod, args) = (self.pod, &self.profile.args);
        let all = |score: &dyn Fn(&Node) -> i64| -> Vec<i64> {
            nodes.iter().map(|&at| score(&self.snapshot.nodes[at as usize])).collect()
        };
        let plain = |raw: Vec<i64>| Some(Scores { normalized: raw.clone(), raw });
        match plugin {
            Plugin::TaintToleration => {
                let wishes: Vec<_> =
                    pod.tolerations.iter().filter(|one| one.is_of_wishes()).collect();
                let raw = all(&|node| node::taints_score(&wishes, node));
                let mut normalized = raw.clone();
                normalize::by_largest(&mut normalized, true);
                Some(Scores { raw, normalized })
            }
            Plugin::NodeAffinity => {
                if pod.node_preferred.is_empty() && args.added_preferred.is_empty() {
                    return None;
                }
                let raw = all(&|node| node::affinity_score(pod, node, args));
                let mut normalized = raw.clone();
                normalize::by_largest(&mut normalized, false);
                Some(Scores { raw, normalized })
            }
            Plugin::NodeResourcesFit => plain(all(&|node| fit::score(pod, node, args))),
            Plugin::NodeResourcesBalancedAllocation => {
                let counts = fit::is_balanced(pod, args);
                plain(all(&|node| fit::balanced_score(pod, node, args))).filter(|_| counts)
            }
            Plugin::PodTopologySpread => {
                let soft = spread::Soft::new(self.snapshot, pod, args, nodes)?;
                let scores = nodes
                    .iter()
                    .map(|&at| soft.score(self.snapshot, pod, &self.snapshot.nodes[at as usize]));
                let scores: Vec<_> = scores.collect();
                let normalized = spread::normalize(&scores);
                Some(Scores {
                    raw: scores.iter().map(|score| score.unwrap_or(0)).collect(),
                    normalized,
                })
            }
            Plugin::InterPodAffinity => {
                let soft = affinity::Soft::new(self.snapshot, pod, args)?;
                let raw = all(&|node| soft.score(node));
                let mut normalized = raw.clone();
                normalize::by_range(&mut normalized);
                Some(Scores { raw, normalized })
            }
            Plugin::ImageLocality => {
                let images = image::prepare(self.snapshot, pod);
                let len = self.snapshot.order().len();
                let score = |at: &u32| image::score(&images, pod.containers, *at, len);
                plain(nodes.iter().map(score).collect())
            }
            _ => None,
        }
    }

    /// The sum of all plug-ins' scores by node.
    pub(crate) fn totals(&self, nodes: &[u32]) -> Vec<i64> {
        let mut totals = vec![0_i64; nodes.len()];
        for (plugin, weight) in &self.profile.scores {
            if let Some(scores) = self.scores(*plugin, nodes) {
                for (total, score) in totals.iter_mut().zip(scores.normalized) {
                    *total = total.saturating_add(score.saturating_mul(*weight));
                }
            }
        }
        totals
    }
}

/// The best node for a pod, or what became of all of them.
pub fn place(
    snapshot: &Snapshot,
    profile: &Profile,
    pod: &Pod,
    turn: &mut Turn,
) -> Result<Placement, Box<Diagnosis>> {
    let nodes_len = snapshot.order().len();
    if nodes_len == 0 {
        return Err(Box::default());
    }
    let cycle = Cycle::new(snapshot, profile, pod).map_err(|refusal| {
        Box::new(Diagnosis { nodes_len, all: Some(refusal), ..Diagnosis::default() })
    })?;
    let (nodes, diagnosis) = cycle.feasible(turn);
    let evaluated = nodes.len() + diagnosis.refused.len();
    let best = match nodes.as_slice() {
        [] => return Err(Box::new(diagnosis)),
        [only] => *only,
        _ => {
            let totals = cycle.totals(&nodes);
            let most = totals.iter().copied().max().unwrap_or(0);
            let equals: Vec<u32> = nodes
                .iter()
                .zip(&totals)
                .filter(|(_, total)| **total == most)
                .map(|(at, _)| *at)
                .collect();
            equals[turn.below(equals.len())]
        }
    };
    let node = Arc::clone(&snapshot.nodes[best as usize].name);
    Ok(Placement { node, evaluated, feasible: nodes.len() })
}

/// How many nodes that do are enough to choose from.
pub(crate) fn enough(percentage: i32, nodes: usize) -> usize {
    if nodes < FEASIBLE_MIN {
        return nodes;
    }
    let percentage = match usize::try_from(percentage) {
        Ok(0) | Err(_) => 50_usize.saturating_sub(nodes / 125).max(PERCENTAGE_MIN),
        Ok(given) => given,
    };
    (nodes * percentage / 100).max(FEASIBLE_MIN).min(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_clusters_are_sampled_as_upstream_does() {
        let cases = [
            (0, 10, 10),
            (40, 10, 10),
            (0, 99, 99),
            (0, 100, 100),
            (0, 1000, 420),
            (0, 5000, 500),
            (0, 6000, 300),
            (40, 1000, 400),
            (40, 200, 100),
            (100, 6000, 6000),
        ];
        for (percentage, nodes, want) in cases {
            assert_eq!(enough(percentage, nodes), want, "{percentage} % of {nodes}");
        }
    }
}
