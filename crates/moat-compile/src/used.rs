//! What policies look at: label keys and port names of pods, and namespaces by selector.

use moat_ir::{SymPeer, SymbolicIr};
use moat_sets::{Labels, NamespaceTerm, PodTerm, Selector};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// The label keys and port names that policies look at.
#[derive(Debug, Default)]
pub(crate) struct Used {
    pub(crate) keys: FxHashSet<Arc<str>>,
    pub(crate) names: FxHashSet<Arc<str>>,
}

impl Used {
    pub(crate) fn new(symbolic: &SymbolicIr) -> Self {
        let mut used = Self::default();
        for term in terms(symbolic) {
            for requirement in term.pods.requirements() {
                if !used.keys.contains(&requirement.key) {
                    used.keys.insert(requirement.key.clone());
                }
            }
        }
        for clause in &symbolic.clauses {
            for (_, name) in &clause.ports.names {
                if !used.names.contains(name) {
                    used.names.insert(name.clone());
                }
            }
        }
        used
    }

    /// Whether all that `other` has is here.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.keys.is_subset(&self.keys) && other.names.is_subset(&self.names)
    }
}

/// Which namespaces each namespace selector means.
#[derive(Debug, Default)]
pub(crate) struct NamespaceSets(FxHashMap<Selector, Vec<bool>>);

impl NamespaceSets {
    pub(crate) fn new(symbolic: &SymbolicIr, namespaces: &[(Arc<str>, Arc<Labels>)]) -> Self {
        let mut sets = Self::default();
        sets.add(symbolic, namespaces);
        sets
    }

    /// Adds those of more policies.
    pub(crate) fn add(&mut self, symbolic: &SymbolicIr, namespaces: &[(Arc<str>, Arc<Labels>)]) {
        for term in terms(symbolic) {
            if let NamespaceTerm::Matching(selector) = &term.namespaces
                && !self.0.contains_key(selector)
            {
                let inside =
                    namespaces.iter().map(|(_, labels)| selector.matches(labels)).collect();
                self.0.insert(selector.clone(), inside);
            }
        }
    }

    /// For each namespace whether the selector, which is one of the policies', means it.
    pub(crate) fn of(&self, selector: &Selector) -> &[bool] {
        self.0.get(selector).map_or(&[], Vec::as_slice)
    }
}

/// Every pod term of the policies.
fn terms(symbolic: &SymbolicIr) -> impl Iterator<Item = &PodTerm> {
    let peers = symbolic.clauses.iter().filter_map(|clause| match &clause.peer {
        SymPeer::Pods(term) => Some(term),
        _ => None,
    });
    peers.chain(symbolic.policies.iter().map(|policy| &policy.subject))
}
