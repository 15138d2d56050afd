//! Exposure to pods that do not exist yet: what policies would say of them.
//!
//! Every selector of a rule is asked about a pod made to match it, and every program about a pod without labels in a namespace
//! without labels but its name. What such a pod may do holds whoever is deployed later.

use crate::reach::matrix::Matrix;
use moat_ir::{Bound, Direction, PodIdx, Program, SymPeer, Then, Why};
use moat_sets::{Labels, NamespaceTerm, PodTerm, PortSet};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The label that the API server gives every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Pods that are open to the same pods to come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exposed {
    /// The pods, in rising order.
    pub pods: Vec<PodIdx>,
    /// Into them, or out of them.
    pub direction: Direction,
    /// To whom they are open; nobody when empty.
    pub openings: Vec<Opening>,
}

/// One kind of pod to come.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Opening {
    /// In words: `any pod app=web in namespaces env=prod`.
    pub peer: String,
    /// Whether that is every pod whatever its labels.
    pub anyone: bool,
    /// On which ports.
    pub ports: PortSet,
}

/// A pod that might be.
struct Newcomer {
    namespace: String,
    namespace_labels: Labels,
    labels: Labels,
}

impl Matrix<'_> {
    /// The exposure of all pods asked for, by groups of pods that are exposed alike.
    #[must_use]
    pub fn exposure(&self) -> Vec<Exposed> {
        let mut out = Vec::new();
        for direction in Direction::BOTH {
            if self.direction.is_some_and(|asked| asked != direction) {
                continue;
            }
            let mut by_program: BTreeMap<Option<u32>, Vec<PodIdx>> = BTreeMap::new();
            for (class, pods) in self.bound.classes.iter().zip(&self.running) {
                let selected = pods.iter().copied().filter(|&pod| self.selected[pod as usize]);
                by_program.entry(class.program(direction)).or_default().extend(selected);
            }
            let programs: Vec<(Option<u32>, Vec<PodIdx>)> =
                by_program.into_iter().filter(|(_, pods)| !pods.is_empty()).collect();
            let openings: Vec<Vec<Opening>> =
                programs.par_iter().map(|(id, _)| self.openings(*id)).collect();
            let mut merged: BTreeMap<Vec<Opening>, Vec<PodIdx>> = BTreeMap::new();
            for ((_, pods), openings) in programs.into_iter().zip(openings) {
                merged.entry(openings).or_default().extend(pods);
            }
            out.extend(merged.into_iter().map(|(openings, mut pods)| {
                pods.sort_unstable();
                Exposed { pods, direction, openings }
            }));
        }
        out.sort_by(|a, b| (a.direction, &a.pods).cmp(&(b.direction, &b.pods)));
        out
    }

    fn openings(&self, program: Option<u32>) -> Vec<Opening> {
        let anyone =
            |ports| Opening { peer: "any pod in any namespace".to_owned(), anyone: true, ports };
        let Some(program) = program.map(|id| self.bound.program(id)) else {
            return vec![anyone(self.asked.clone())];
        };
        let name = self.unused_namespace();
        let newcomer = Newcomer {
            namespace_labels: [(NAME_LABEL, name.as_str())].into_iter().collect(),
            namespace: name,
            labels: Labels::default(),
        };
        let general = ports_of(self.bound, program, &newcomer).intersect(&self.asked);
        let mut out = Vec::new();
        if !general.is_empty() {
            out.push(anyone(general.clone()));
        }
        let mut terms: Vec<&PodTerm> = Vec::new();
        for clause in program.stages.iter().flat_map(|stage| &stage.clauses) {
            if let (Then::Allow, Why::Rule(idx)) = (clause.then, &clause.why)
                && let SymPeer::Pods(term) = &self.bound.symbolic.clause(*idx).peer
            {
                terms.push(term);
            }
        }
        terms.sort_unstable();
        terms.dedup();
        for term in terms {
            let Some(newcomer) = self.matching(term, &newcomer) else { continue };
            let ports = ports_of(self.bound, program, &newcomer).intersect(&self.asked);
            if !ports.is_subset(&general) {
                out.push(Opening { peer: words(term), anyone: false, ports });
            }
        }
        out
    }

    fn unused_namespace(&self) -> String {
        let mut name = "new".to_owned();
        while self.bound.pods.iter().any(|pod| *pod.namespace == *name) {
            name.push_str("-new");
        }
        name
    }

    /// A pod that a term means, and as little else as can be; none when its requirements contradict each other.
    fn matching(&self, term: &PodTerm, plain: &Newcomer) -> Option<Newcomer> {
        let (namespace, base, selector) = match &term.namespaces {
            NamespaceTerm::Named(name) => {
                let known = self.bound.pods.iter().find(|pod| pod.namespace == *name);
                let labels = known.map_or_else(
                    || [(NAME_LABEL, name.as_ref())].into_iter().collect(),
                    |pod| pod.namespace_labels.as_ref().clone(),
                );
                (name.to_string(), labels, None)
            }
            NamespaceTerm::Matching(selector) => {
                (plain.namespace.clone(), plain.namespace_labels.clone(), Some(selector))
            }
        };
        let namespace_labels = match selector {
            Some(selector) => changed(&base, selector.completion(&base)?),
            None => base,
        };
        let namespace =
            namespace_labels.get(NAME_LABEL).map_or(namespace, std::string::ToString::to_string);
        Some(Newcomer {
            namespace,
            namespace_labels,
            labels: changed(&plain.labels, term.pods.completion(&plain.labels)?),
        })
    }
}

fn changed(labels: &Labels, edits: Vec<(String, Option<String>)>) -> Labels {
    let mut labels = labels.clone();
    for (key, value) in edits {
        match value {
            Some(value) => labels.set(&key, &value),
            None => labels.unset(&key),
        }
    }
    labels
}

fn words(term: &PodTerm) -> String {
    if term.pods.is_everything() {
        format!("any pod in {}", term.namespaces)
    } else {
        format!("any pod {} in {}", term.pods, term.namespaces)
    }
}

/// The ports a program certainly allows for a pod that might be; names that only a destination can resolve are not counted.
fn ports_of(bound: &Bound, program: &Program, peer: &Newcomer) -> PortSet {
    let mut open = PortSet::all();
    let mut allow = PortSet::empty();
    for stage in &program.stages {
        let mut passed = PortSet::empty();
        for clause in &stage.clauses {
            let (meant, ports) = match &clause.why {
                Why::Rule(idx) => {
                    let symbolic = bound.symbolic.clause(*idx);
                    let meant = match &symbolic.peer {
                        SymPeer::Everyone => true,
                        SymPeer::Pods(term) => {
                            term.matches(&peer.namespace, &peer.namespace_labels, &peer.labels)
                        }
                        // What address it will have is not known: it may be denied, and is not sure to be allowed.
                        SymPeer::Block(_) | SymPeer::Networks(_) => clause.then == Then::Deny,
                        _ => false,
                    };
                    let numbers = if program.direction == Direction::Egress {
                        &symbolic.ports.numbers
                    } else {
                        &clause.ports
                    };
                    (meant, numbers)
                }
                _ => (true, &clause.ports),
            };
            if !meant {
                continue;
            }
            let ports = ports.intersect(&open);
            open = open.minus(&ports);
            match clause.then {
                Then::Allow => allow = allow.union(&ports),
                Then::Deny => {}
                Then::Pass => passed = passed.union(&ports),
            }
        }
        open = open.union(&passed);
    }
    allow
}
