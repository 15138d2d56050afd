//! Who a policy speaks of: pods by namespace and labels, and names of the outside world.

use crate::{Labels, Selector};
use core::fmt;
use std::sync::Arc;

/// Which namespaces a pod term looks in.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum NamespaceTerm {
    /// Exactly this namespace: a namespaced policy's own.
    Named(Arc<str>),
    /// Every namespace whose labels match.
    Matching(Selector),
}

/// A set of pods, by the labels of their namespace and their own labels.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PodTerm {
    /// In which namespaces.
    pub namespaces: NamespaceTerm,
    /// Which pods there.
    pub pods: Selector,
}

impl NamespaceTerm {
    /// Whether a namespace of this name and these labels is meant.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        match self {
            Self::Named(own) => own.as_ref() == name,
            Self::Matching(selector) => selector.matches(labels),
        }
    }
}

impl PodTerm {
    /// Whether a pod with these labels in this namespace is meant.
    #[must_use]
    pub fn matches(&self, namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
        self.namespaces.matches(namespace, namespace_labels) && self.pods.matches(labels)
    }
}

impl fmt::Display for NamespaceTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "namespace {name}"),
            Self::Matching(selector) if selector.is_everything() => f.write_str("any namespace"),
            Self::Matching(selector) => write!(f, "namespaces {selector}"),
        }
    }
}

impl fmt::Display for PodTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pods.is_everything() {
            write!(f, "all pods in {}", self.namespaces)
        } else {
            write!(f, "pods {} in {}", self.pods, self.namespaces)
        }
    }
}

/// A domain name pattern of `domainNames`: `api.example.com`, or `*.example.com` for names below it but not itself.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DomainPattern(Arc<str>);

impl DomainPattern {
    /// A pattern as written; case and a final dot do not matter.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim_end_matches('.').to_ascii_lowercase().into())
    }

    /// The pattern in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a domain name, or every name under a narrower pattern, is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
            None => name == self.0.as_ref(),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcard_means_below_not_itself() {
        let pattern = DomainPattern::new("*.Example.com.");
        assert!(pattern.matches("a.example.com"));
        assert!(pattern.matches("a.b.example.com."));
        assert!(!pattern.matches("example.com"));
        assert!(!pattern.matches("badexample.com"));
        assert!(pattern.matches("*.example.com"));
    }
}
