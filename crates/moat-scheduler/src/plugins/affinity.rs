//! Pod affinity and anti-affinity, of the pod that comes and of those that are there.

use super::Memo;
use crate::affinity::Term;
use crate::labels::Labels;
use crate::node::Node;
use crate::pod::Pod;
use crate::profile::{Args, Plugin};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use rustc_hash::FxHashMap;

/// Pods that match, by label of nodes and its value.
type Pairs<'a> = FxHashMap<(&'a str, &'a str), i64>;

fn change<'a>(pairs: &mut Pairs<'a>, node: &'a Node, key: &'a str, by: i64) {
    if let Some(value) = node.labels.get(key) {
        let count = pairs.entry((key, value)).or_default();
        *count += by;
        if *count == 0 {
            pairs.remove(&(key, value));
        }
    }
}

/// What refuses nodes.
#[derive(Clone, Debug)]
pub(crate) struct Hard<'a> {
    snapshot: &'a Snapshot,
    pod: &'a Pod,
    /// Pods there that do not want this one near.
    unwelcome: Pairs<'a>,
    /// Pods that this one must be near.
    near: Pairs<'a>,
    /// Pods that this one must not be near.
    far: Pairs<'a>,
    /// Whether the pod would satisfy its own affinity, so that the first of its kind can go anywhere.
    first: bool,
}

impl<'a> Hard<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, pod: &'a Pod) -> Self {
        let mut found = Self {
            snapshot,
            pod,
            unwelcome: Pairs::default(),
            near: Pairs::default(),
            far: Pairs::default(),
            first: false,
        };
        found.first = found.all_required(pod.namespace(), &pod.labels);
        if snapshot.classes.any_affinity() {
            found.count_unwelcome();
        }
        if !pod.affinity.required.is_empty() || !pod.affinity.forbidden.is_empty() {
            found.count_own();
        }
        found
    }

    /// Whether every required term of the pod means such pods.
    fn all_required(&self, namespace: &str, labels: &Labels) -> bool {
        let required = &self.pod.affinity.required;
        let of_namespace = self.snapshot.namespace_labels(namespace);
        !required.is_empty()
            && required.iter().all(|term| term.matches(namespace, of_namespace, labels))
    }

    fn count_unwelcome(&mut self) {
        let classes = &self.snapshot.classes;
        let of_namespace = self.snapshot.namespace_labels(self.pod.namespace());
        let mut met: FxHashMap<u32, Vec<&'a Term>> = FxHashMap::default();
        for node in self.snapshot.nodes() {
            for &(class, count) in &node.classes {
                let forbidden = &classes.get(class).affinity.forbidden;
                if forbidden.is_empty() {
                    continue;
                }
                let terms = met.entry(class).or_insert_with(|| {
                    let means = |term: &&Term| {
                        term.matches(self.pod.namespace(), of_namespace, &self.pod.labels)
                    };
                    forbidden.iter().filter(means).collect()
                });
                for term in terms {
                    change(&mut self.unwelcome, node, &term.topology_key, i64::from(count));
                }
            }
        }
    }

    fn count_own(&mut self) {
        let classes = &self.snapshot.classes;
        let affinity = &self.pod.affinity;
        let near = Memo::new(classes.len());
        let far = vec![Memo::new(classes.len()); affinity.forbidden.len()];
        for node in self.snapshot.nodes() {
            for &(at, count) in &node.classes {
                let class = classes.get(at);
                if near.get(at, || self.all_required(&class.namespace, &class.labels)) {
                    for term in &affinity.required {
                        change(&mut self.near, node, &term.topology_key, i64::from(count));
                    }
                }
                for (term, memo) in affinity.forbidden.iter().zip(&far) {
                    let of_namespace = self.snapshot.namespace_labels(&class.namespace);
                    if memo.get(at, || term.matches(&class.namespace, of_namespace, &class.labels))
                    {
                        change(&mut self.far, node, &term.topology_key, i64::from(count));
                    }
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unwelcome.is_empty()
            && self.pod.affinity.required.is_empty()
            && self.pod.affinity.forbidden.is_empty()
    }

    /// A pod comes to a node, or leaves it.
    pub(crate) fn change(&mut self, other: &'a Pod, node: &'a Node, by: i64) {
        let affinity = &self.pod.affinity;
        let own = self.snapshot.namespace_labels(self.pod.namespace());
        for term in &other.affinity.forbidden {
            if term.matches(self.pod.namespace(), own, &self.pod.labels) {
                change(&mut self.unwelcome, node, &term.topology_key, by);
            }
        }
        if self.all_required(other.namespace(), &other.labels) {
            for term in &affinity.required {
                change(&mut self.near, node, &term.topology_key, by);
            }
        }
        let others = self.snapshot.namespace_labels(other.namespace());
        for term in &affinity.forbidden {
            if term.matches(other.namespace(), others, &other.labels) {
                change(&mut self.far, node, &term.topology_key, by);
            }
        }
    }

    pub(crate) fn filter(&self, node: &Node) -> Option<Refusal> {
        let refuse = |resolvable: bool, reason: &'static str| {
            Some(Refusal::new(Plugin::InterPodAffinity, resolvable, reason))
        };
        if !self.is_near(node) {
            return refuse(false, "node(s) didn't match pod affinity rules");
        }
        let has = |pairs: &Pairs<'_>, key: &str, value: &str| {
            pairs.get(&(key, value)).is_some_and(|count| *count > 0)
        };
        if !self.far.is_empty() {
            let mut keys = self.pod.affinity.forbidden.iter().map(|term| &*term.topology_key);
            if keys.any(|key| node.labels.get(key).is_some_and(|value| has(&self.far, key, value)))
            {
                return refuse(true, "node(s) didn't match pod anti-affinity rules");
            }
        }
        if !self.unwelcome.is_empty()
            && node.labels.iter().any(|(key, value)| has(&self.unwelcome, key, value))
        {
            return refuse(true, "node(s) didn't satisfy existing pods anti-affinity rules");
        }
        None
    }

    fn is_near(&self, node: &Node) -> bool {
        let mut all = true;
        for term in &self.pod.affinity.required {
            let Some(value) = node.labels.get(&term.topology_key) else { return false };
            all &= self.near.get(&(&*term.topology_key, value)).is_some_and(|count| *count > 0);
        }
        all || (self.near.is_empty() && self.first)
    }
}

/// What likes nodes more or less: weights by label of nodes and its value.
#[derive(Debug)]
pub(crate) struct Soft<'a>(FxHashMap<&'a str, FxHashMap<&'a str, i64>>);

impl<'a> Soft<'a> {
    /// Adds up wishes; nothing if nobody has any.
    pub(crate) fn new(snapshot: &'a Snapshot, pod: &'a Pod, args: &Args) -> Option<Self> {
        let affinity = &pod.affinity;
        let own_wishes = !affinity.preferred.is_empty() || !affinity.avoided.is_empty();
        if !own_wishes && (args.ignore_existing || !snapshot.classes.any_affinity()) {
            return None;
        }
        let classes = &snapshot.classes;
        let of_pod = snapshot.namespace_labels(pod.namespace());
        let mut sums: FxHashMap<&str, FxHashMap<&str, i64>> = FxHashMap::default();
        let mut met: FxHashMap<u32, Vec<(&'a str, i64)>> = FxHashMap::default();
        for node in snapshot.nodes() {
            for &(at, count) in &node.classes {
                let class = classes.get(at);
                let theirs = &class.affinity;
                if !own_wishes && theirs.is_empty() {
                    continue;
                }
                let weights = met.entry(at).or_insert_with(|| {
                    let mut weights = Vec::new();
                    let of_class = snapshot.namespace_labels(&class.namespace);
                    let mut wish = |term: &'a Term, weight: i64, met: bool| {
                        if met {
                            weights.push((&*term.topology_key, weight));
                        }
                    };
                    let of_them =
                        |term: &Term| term.matches(&class.namespace, of_class, &class.labels);
                    let of_us = |term: &Term| term.matches(pod.namespace(), of_pod, &pod.labels);
                    for (weight, term) in &affinity.preferred {
                        wish(term, i64::from(*weight), of_them(term));
                    }
                    for (weight, term) in &affinity.avoided {
                        wish(term, -i64::from(*weight), of_them(term));
                    }
                    if args.hard_weight > 0 {
                        for term in &theirs.required {
                            wish(term, args.hard_weight, of_us(term));
                        }
                    }
                    for (weight, term) in &theirs.preferred {
                        wish(term, i64::from(*weight), of_us(term));
                    }
                    for (weight, term) in &theirs.avoided {
                        wish(term, -i64::from(*weight), of_us(term));
                    }
                    weights
                });
                for (key, weight) in weights {
                    if let Some(value) = node.labels.get(key) {
                        *sums.entry(key).or_default().entry(value).or_default() +=
                            *weight * i64::from(count);
                    }
                }
            }
        }
        (!sums.is_empty()).then_some(Self(sums))
    }

    pub(crate) fn score(&self, node: &Node) -> i64 {
        let worth =
            |key: &str, sums: &FxHashMap<&str, i64>| sums.get(node.labels.get(key)?).copied();
        self.0.keys().filter_map(|key| worth(key, &self.0[key])).sum()
    }
}
