//! Wire objects become the domain: every default is settled here, once.

mod assemble;
mod cluster_policy;
mod kinds;
mod meta;
mod network;
mod owners;
mod policy;
mod selector;
mod workload;

#[cfg(test)]
mod tests;

use crate::diagnostic::Diagnostic;
use crate::inventory::Inventory;
use crate::policy::Policy;
use crate::value::{SourceId, Span, Value};
use moat_sets::Cidr;
use std::sync::Arc;

/// Stands in for missing fields.
static NULL: Value = Value::NULL;

/// What lowering needs to know beside the objects.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace of namespaced objects that name none, as `kubectl -n` gives it.
    pub namespace: Arc<str>,
    /// The prefixes pod addresses come from, when the objects do not say.
    pub pod_cidrs: Vec<Cidr>,
}

impl Default for Options {
    fn default() -> Self {
        Self { namespace: "default".into(), pod_cidrs: Vec::new() }
    }
}

/// What became of one object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fate {
    /// It is part of the world.
    Used,
    /// Read, but another object of the same identity came later.
    Replaced,
    /// Its kind cannot change a verdict.
    Irrelevant,
    /// Its kind could change verdicts and is not interpreted.
    Unsupported,
    /// It cannot be read as the kind it says it is.
    Unreadable,
}

/// One object that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadObject {
    /// Its kind as written.
    pub kind: Arc<str>,
    /// Its namespace, empty when cluster-scoped or unknown.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Where its document starts.
    pub span: Span,
    /// What became of it.
    pub fate: Fate,
}

/// The domain, and all that was found on the way.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// Policies, sorted by identity.
    pub policies: Vec<Policy>,
    /// Policies that are staged (annotation `moat.dev/staged: "true"`), sorted by identity: enforcement logs what they would do, and
    /// they take no part in verdicts.
    pub staged: Vec<Policy>,
    /// Everything else.
    pub inventory: Inventory,
    /// Findings, in source order.
    pub diagnostics: Vec<Diagnostic>,
    /// Every object read, in source order.
    pub objects: Vec<ReadObject>,
}

/// Lowers documents. `failures` are the loader's findings: what could not be read taints verdicts.
pub fn lower<'v>(
    documents: impl IntoIterator<Item = (SourceId, &'v Value)>,
    failures: &[Diagnostic],
    options: &Options,
) -> Lowered {
    assemble::assemble(documents, failures, options)
}
