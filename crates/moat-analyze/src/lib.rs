//! Questions over the compiled form: explain, matrix, exposure, diff, policy tests.
//!
//! Sees the compiled form only, never policies or Kubernetes objects, so no answer here can mean something else than the verdict.

pub mod check;
pub mod diff;
pub mod explain;
pub mod flow;
mod memo;
pub mod query;
pub mod reach;
