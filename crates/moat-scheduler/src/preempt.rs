//! Preemption: which less important pods make room, on which node.

use crate::cycle::{Cycle, Turn};
use crate::node::Node;
use crate::pod::Pod;
use crate::profile::Profile;
use crate::refusal::{Diagnosis, Refusal};
use crate::snapshot::Snapshot;
use std::cmp::Reverse;
use std::sync::Arc;

/// Pods to evict from a node so that another fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// The node.
    pub node: Arc<str>,
    /// The pods, the most important first.
    pub victims: Vec<Arc<Pod>>,
    /// How many of them a disruption budget protects.
    pub violations: usize,
}

/// Finds the node where eviction hurts least. If there is none, or the pod must not evict, the diagnosis says so.
pub fn preempt(
    snapshot: &Snapshot,
    profile: &Profile,
    pod: &Pod,
    diagnosis: &mut Diagnosis,
    turn: &mut Turn,
) -> Option<Preemption> {
    if let Some(why) = not_eligible(snapshot, pod, diagnosis) {
        diagnosis.preemption = why.to_owned();
        return None;
    }
    let Ok(cycle) = Cycle::new(snapshot, profile, pod) else {
        diagnosis.preemption = not_found(diagnosis.nodes_len, vec![]);
        return None;
    };
    let hopeful: Vec<u32> = (diagnosis.refused.iter())
        .filter(|(_, refusal)| refusal.resolvable)
        .map(|(at, _)| *at)
        .collect();
    let offset = turn.below(hopeful.len());
    let enough = candidates(profile, hopeful.len());
    let (mut gentle, mut harsh, mut refused) = (vec![], vec![], vec![]);
    for &at in hopeful[offset..].iter().chain(&hopeful[..offset]) {
        match cycle.victims(at) {
            Ok(found) if found.violations == 0 => gentle.push(found),
            Ok(found) => harsh.push(found),
            Err(refusal) => refused.push((at, refusal)),
        }
        if !gentle.is_empty() && gentle.len() + harsh.len() >= enough {
            break;
        }
    }
    gentle.extend(harsh);
    // The first of equals, and the walk began at a random node.
    let best = gentle.into_iter().min_by_key(Preemption::harm);
    if best.is_none() {
        diagnosis.preemption = not_found(diagnosis.nodes_len, refused);
    }
    best
}

fn not_eligible(snapshot: &Snapshot, pod: &Pod, diagnosis: &Diagnosis) -> Option<&'static str> {
    if !pod.may_preempt {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let node = snapshot.node(&pod.nominated)?;
    let mut refused = diagnosis.refused.iter();
    let at = snapshot.node_at(&pod.nominated)?;
    // If nothing can help on that node another must be found.
    refused.find(|(one, refusal)| *one == at && refusal.resolvable)?;
    let leaving =
        |other: &Arc<Pod>| other.priority < pod.priority && other.terminating && other.preempted;
    let waits = node.pods.iter().any(leaving);
    waits.then_some("not eligible due to a terminating pod on the nominated node.")
}

fn not_found(nodes_len: usize, refused: Vec<(u32, Refusal)>) -> String {
    let reasons = vec!["Preemption is not helpful for scheduling".into()];
    let others = Some(Refusal { plugin: None, reasons, resolvable: false });
    Diagnosis { nodes_len, refused, others, ..Diagnosis::default() }.message()
}

/// How many nodes are enough to choose from.
fn candidates(profile: &Profile, nodes: usize) -> usize {
    let percent = usize::try_from(profile.args.candidates_percentage).unwrap_or(0);
    let min = usize::try_from(profile.args.candidates_min).unwrap_or(0);
    (nodes * percent / 100).max(min).min(nodes)
}

/// What sorts pods by importance: priority, then age.
fn importance(pod: &Pod) -> (Reverse<i32>, i128) {
    (Reverse(pod.priority), pod.started.unwrap_or(i128::MAX))
}

impl Preemption {
    /// How bad it is: less is better, criterion by criterion.
    fn harm(&self) -> (usize, i32, i128, usize, Reverse<i128>) {
        let highest = self.victims.iter().map(|pod| pod.priority).max().unwrap_or(i32::MIN);
        let shifted = |pod: &Arc<Pod>| i128::from(pod.priority) + i128::from(i32::MAX) + 1;
        let sum = self.victims.iter().map(shifted).sum();
        let important = self.victims.iter().filter(|pod| pod.priority == highest);
        let earliest = important.map(|pod| pod.started.unwrap_or(i128::MAX)).min();
        (self.violations, highest, sum, self.victims.len(), Reverse(earliest.unwrap_or(i128::MIN)))
    }
}

impl Cycle<'_> {
    /// The fewest pods that must leave a node: all less important ones go, and come back while the pod still fits,
    /// first those whose budgets would be violated, then the others, each by importance.
    fn victims(&self, at: u32) -> Result<Preemption, Refusal> {
        let real = &self.snapshot.nodes[at as usize];
        let mut trial =
            Trial { cycle: self, real, node: real.clone(), moving: self.moving.clone() };
        let mut lesser: Vec<&Arc<Pod>> =
            real.pods.iter().filter(|pod| pod.priority < self.pod.priority).collect();
        if lesser.is_empty() {
            let reasons = vec!["No preemption victims found for incoming pod".into()];
            return Err(Refusal { plugin: None, reasons, resolvable: false });
        }
        lesser.iter().for_each(|pod| trial.take(pod));
        if let Some(refusal) = trial.refusal() {
            return Err(refusal);
        }
        lesser.sort_by_key(|pod| (importance(pod), Arc::clone(&pod.key)));
        let (protected, free) = self.protected(&lesser);
        let (mut victims, mut violations) = (Vec::new(), 0);
        for (pods, count) in [(protected, 1), (free, 0)] {
            for pod in pods {
                trial.put(pod);
                if trial.refusal().is_some() {
                    trial.take(pod);
                    victims.push(Arc::clone(pod));
                    violations += count;
                }
            }
        }
        if victims.is_empty() {
            let reason = format!("expected at least one victim pod on node \"{}\"", real.name);
            return Err(Refusal { plugin: None, reasons: vec![reason.into()], resolvable: false });
        }
        victims.sort_by_key(|pod| (importance(pod), Arc::clone(&pod.key)));
        Ok(Preemption { node: Arc::clone(&real.name), victims, violations })
    }

    /// Splits pods by whether evicting them, in this order, would violate a budget.
    fn protected<'p>(&self, pods: &[&'p Arc<Pod>]) -> (Vec<&'p Arc<Pod>>, Vec<&'p Arc<Pod>>) {
        let mut budgets: Vec<_> =
            self.snapshot.surroundings.budgets().map(|budget| (budget, budget.allowed)).collect();
        pods.iter().partition(|pod| {
            let mut violated = false;
            for (budget, allowed) in &mut budgets {
                let means = *budget.namespace == *pod.namespace()
                    && !pod.labels.is_empty()
                    && !budget.selector.is_everything()
                    && budget.selector.matches(&pod.labels)
                    && !budget.disrupted.contains(pod.name());
                if means {
                    *allowed -= 1;
                    violated |= *allowed < 0;
                }
            }
            violated
        })
    }
}

/// A node while pods are taken off it and put back.
struct Trial<'c, 'a> {
    cycle: &'c Cycle<'a>,
    real: &'a Node,
    node: Node,
    moving: crate::cycle::Moving<'a>,
}

impl<'a> Trial<'_, 'a> {
    fn class(&self, pod: &Pod) -> u32 {
        self.cycle.snapshot.class_of(&pod.key).unwrap_or(u32::MAX)
    }

    fn take(&mut self, pod: &'a Arc<Pod>) {
        let class = self.class(pod);
        self.node.take(&pod.key, class);
        self.moving.change(self.cycle.pod, pod, self.real, -1);
    }

    fn put(&mut self, pod: &'a Arc<Pod>) {
        let class = self.class(pod);
        self.node.add(Arc::clone(pod), class);
        self.moving.change(self.cycle.pod, pod, self.real, 1);
    }

    fn refusal(&self) -> Option<Refusal> {
        self.cycle.filter_with_nominated(&self.node, self.real, &self.moving)
    }
}
