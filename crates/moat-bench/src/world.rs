//! A synthetic cluster, read and lowered.

use crate::synth::synth;
use moat_compile::{Dialect, bind, compile};
use moat_ir::{Bound, End, Flow, SymbolicIr};
use moat_load::{Input, Loaded, load};
use moat_model::{Lowered, Options, lower};
use moat_sets::{Family, Protocol, ServicePoint};
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

/// Connections between pods all over a cluster, to the ports that pods have and to one they do not have.
#[must_use]
pub fn flows(bound: &Bound, n_flows: usize) -> Vec<Flow> {
    let n_pods = u32::try_from(bound.pods.len()).expect("a cluster has fewer pods");
    let point = |at: u32| ServicePoint::new(Protocol::Tcp, [8080, 9090, 22][at as usize % 3]);
    (0..u32::try_from(n_flows).expect("as many as fit"))
        .map(|at| {
            let (from, to) = endpoints(at, n_pods);
            Flow { from: End::Pod(from), to: End::Pod(to), point: point(at), family: Family::V4 }
        })
        .collect()
}

/// Two of `n` things, all over them: every second pair is close together.
#[must_use]
pub fn endpoints(at: u32, n: u32) -> (u32, u32) {
    let from = at.wrapping_mul(2_654_435_761) % n;
    let step = if at.is_multiple_of(2) { 1 + at % 7 } else { at.wrapping_mul(40_503) % n };
    (from, (from + step) % n)
}
