//! Workloads that only one state has, with how much they are connected.

use crate::reach::{End, Matrix, Options, matrix};
use moat_ir::{Bound, Direction, PodIdx};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A pod or workload that only one state has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its name.
    pub name: Arc<str>,
    /// How many pods and workloads of its state it may reach.
    pub reaches: usize,
    /// Whether it may reach something outside.
    pub reaches_outside: bool,
    /// How many pods and workloads of its state may reach it.
    pub reached_by: usize,
    /// Whether something outside may reach it.
    pub reached_from_outside: bool,
}

/// These pods with their connections in their own state.
pub(crate) fn workloads(bound: &Bound, pods: &[PodIdx]) -> Vec<Workload> {
    if pods.is_empty() {
        return Vec::new();
    }
    let matrix = matrix(bound, &Options::default());
    // Pods of a class and a node are connected alike.
    let mut known: FxHashMap<(u32, Option<&str>), [(usize, bool); 2]> = FxHashMap::default();
    let count = |pod: PodIdx| {
        let info = bound.pod(pod);
        let [ingress, egress] = *known
            .entry((info.class, info.node.as_deref()))
            .or_insert_with(|| Direction::BOTH.map(|direction| peers(&matrix, direction, pod)));
        Workload {
            name: info.display.clone(),
            reaches: egress.0,
            reaches_outside: egress.1,
            reached_by: ingress.0,
            reached_from_outside: ingress.1,
        }
    };
    pods.iter().copied().map(count).collect()
}

fn peers(matrix: &Matrix<'_>, direction: Direction, pod: PodIdx) -> (usize, bool) {
    let mut scan = matrix.scan();
    let (cells, mut values) = scan.peers(direction, pod);
    let (mut n_pods, mut outside) = (0, false);
    for &(end, value) in cells {
        if values.get(value).allow.is_empty() {
            continue;
        }
        match matrix.ends().get(end as usize) {
            Some(End::Pod(_)) => n_pods += 1,
            Some(End::Outside(_)) => outside = true,
            None => {}
        }
    }
    (n_pods, outside)
}
