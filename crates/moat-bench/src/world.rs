//! A synthetic cluster, read and lowered.

use crate::synth::synth;
use moat_compile::{Dialect, bind, compile};
use moat_ir::{Bound, SymbolicIr};
use moat_load::{Input, Loaded, load};
use moat_model::{Lowered, Options, lower};
use std::sync::Arc;

/// A synthetic cluster, read and lowered.
#[derive(Debug)]
pub struct World {
    /// The documents.
    pub loaded: Loaded,
    /// The domain.
    pub lowered: Lowered,
}

impl World {
    /// Generates, reads and lowers a cluster.
    #[must_use]
    pub fn text(n_workloads: usize, n_policies: usize) -> Self {
        Self::read(&Self::inputs(n_workloads, n_policies))
    }

    /// A cluster as text at hand.
    #[must_use]
    pub fn inputs(n_workloads: usize, n_policies: usize) -> Vec<Input> {
        synth(n_workloads, n_policies)
            .into_iter()
            .map(|(name, text)| Input::Text { name, text })
            .collect()
    }

    /// Reads and lowers.
    #[must_use]
    pub fn read(inputs: &[Input]) -> Self {
        let loaded = load(inputs);
        let lowered = Self::lower(&loaded);
        Self { loaded, lowered }
    }

    /// Lowers.
    #[must_use]
    pub fn lower(loaded: &Loaded) -> Lowered {
        lower(
            loaded.documents.iter().map(|document| (document.source, &document.value)),
            &loaded.diagnostics,
            &Options::default(),
        )
    }

    /// Compiles.
    #[must_use]
    pub fn compile(&self) -> Arc<SymbolicIr> {
        let sources: Vec<Arc<str>> =
            self.loaded.sources.iter().map(|source| source.name.as_str().into()).collect();
        Arc::new(compile(&self.lowered.policies, &sources))
    }

    /// Binds.
    #[must_use]
    pub fn bind(&self, symbolic: &Arc<SymbolicIr>) -> Bound {
        bind(symbolic.clone(), &self.lowered.inventory, Dialect::MOAT)
    }
}

/// Changes a label of one pod, to another value each time.
pub fn change_label(lowered: &mut Lowered, step: usize) {
    let n_pods = lowered.inventory.pods.len();
    let pod = &mut lowered.inventory.pods[n_pods / 2];
    pod.labels.set("tier", if step.is_multiple_of(2) { "changed" } else { "web" });
}

/// Changes whom one policy isolates, to another value each time.
pub fn change_policy(lowered: &mut Lowered, step: usize) {
    let n_policies = lowered.policies.len();
    let policy = &mut lowered.policies[n_policies / 2];
    policy.isolates_egress = step.is_multiple_of(2);
}
