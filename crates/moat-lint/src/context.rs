//! What a rule may look at.

use moat_compile::Dialect;
use moat_ir::{Bound, Class, PodInfo, SymbolicIr};
use moat_model::{Diagnostic, Direction, Lowered, Peer, Policy, Rule};
use moat_sets::PodTerm;

/// Everything that was read and compiled.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the loader found; [`Lowered::diagnostics`] does not hold it.
    pub loaded: &'a [Diagnostic],
    /// The policies and the inventory.
    pub lowered: &'a Lowered,
    /// The policies as clauses.
    pub symbolic: &'a SymbolicIr,
    /// The clauses over the inventory.
    pub bound: &'a Bound,
    /// How open choices are read.
    pub dialect: Dialect,
}

impl<'a> Context<'a> {
    /// Whether any pod was read. Without one, "selects no pod" says nothing about a policy.
    #[must_use]
    pub fn has_pods(&self) -> bool {
        !self.bound.pods.is_empty()
    }

    /// The classes a term means. One pod speaks for its class: policies treat all pods of a class alike.
    pub fn classes_of(&self, term: &'a PodTerm) -> impl Iterator<Item = (&'a Class, &'a PodInfo)> {
        let bound = self.bound;
        bound.classes.iter().filter_map(move |class| {
            let pod = bound.pod(*class.pods.first()?);
            term.matches(&pod.namespace, &pod.namespace_labels, &pod.labels).then_some((class, pod))
        })
    }

    /// Whether a term means any pod.
    #[must_use]
    pub fn selects(&self, term: &'a PodTerm) -> bool {
        self.classes_of(term).next().is_some()
    }
}

/// `NetworkPolicy ns/name`, as findings made while reading name objects.
pub(crate) fn object(policy: &Policy) -> String {
    let id = &policy.id;
    if id.namespace.is_empty() {
        format!("{} {}", id.kind.name(), id.name)
    } else {
        format!("{} {}/{}", id.kind.name(), id.namespace, id.name)
    }
}

/// `spec.ingress[0]`.
pub(crate) fn rule_path(rule: &Rule) -> String {
    format!("spec.{}[{}]", rule.direction, rule.index)
}

/// `spec.ingress[0].from[1]`.
pub(crate) fn peer_path(rule: &Rule, peer: &Peer) -> String {
    let key = match rule.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    format!("{}.{key}[{}]", rule_path(rule), peer.index)
}
