//! Who can reach whom: the matrix of a bound inventory.
//!
//! [`matrix()`] reads every program once and keeps what it says about peers as few exceptions to a default. Rows are made when
//! somebody asks for them, so that memory does not grow with the square of the number of pods. What a row says is defined by
//! [`Bound::decide`]; a test compares them on random worlds.

mod coarse;
mod exposure;
mod groups;
mod hops;
mod matrix;
mod names;
mod scan;
mod sides;
mod values;

#[cfg(test)]
mod tests;

pub use coarse::{CoarseLine, Place};
pub use exposure::{Exposed, Opening};
pub use groups::{Grouped, Line, Node, NodeId, Summary};
pub use hops::Reached;
pub use matrix::{End, EndId, Matrix, Tally};
pub use names::{Namer, Part, Which, count, join};
pub use scan::{Scan, Seen};
pub use values::{EVERYTHING, NOTHING, Value, ValueId};

use moat_ir::{Bound, Direction, PodIdx};
use moat_sets::PortSet;
use std::sync::Arc;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only connections of these pods; all pods when empty.
    pub focus: Vec<PodIdx>,
    /// Only connections of pods in these namespaces; all when empty. With `focus` too, a pod of either kind counts.
    pub namespaces: Vec<Arc<str>>,
    /// Only these ports; `None` is all.
    pub ports: Option<PortSet>,
    /// Only connections into (ingress) or out of (egress) the pods asked for; `None` is both.
    pub direction: Option<Direction>,
}

/// Prepares the matrix.
#[must_use]
pub fn matrix<'b>(bound: &'b Bound, options: &Options) -> Matrix<'b> {
    Matrix::new(bound, options)
}
