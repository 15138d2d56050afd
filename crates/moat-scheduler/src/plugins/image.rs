//! Nodes that have the pod's images already are liked by the size of what need not be fetched.

use super::SCORE_MAX;
use crate::pod::Pod;
use crate::snapshot::Snapshot;
use rustc_hash::FxHashMap;

const MIB: i64 = 1024 * 1024;
/// Less than this is not worth anything.
const LEAST: i64 = 23 * MIB;
/// More than this per container counts no more.
const MOST: i64 = 1000 * MIB;

/// For each image of the pod that some node has: its sizes by node.
pub(crate) fn prepare<'a>(snapshot: &'a Snapshot, pod: &Pod) -> Vec<&'a FxHashMap<u32, i64>> {
    pod.images.iter().filter_map(|name| snapshot.images.get(name)).collect()
}

/// What the images on a node are worth: an image that few nodes have counts less, so that pods do not crowd there.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "upstream calculates in floating point"
)]
pub(crate) fn score(
    images: &[&FxHashMap<u32, i64>],
    containers: i64,
    node: u32,
    nodes: usize,
) -> i64 {
    let worth = |sizes: &&FxHashMap<u32, i64>| {
        let size = sizes.get(&node)?;
        Some((*size as f64 * (sizes.len() as f64 / nodes as f64)) as i64)
    };
    let sum: i64 = images.iter().filter_map(worth).fold(0, i64::saturating_add);
    let most = MOST.saturating_mul(containers.max(1));
    let range = most - LEAST;
    let part = i128::from(sum.clamp(LEAST, most) - LEAST) * i128::from(SCORE_MAX);
    i64::try_from(part / i128::from(range)).unwrap_or(SCORE_MAX)
}
