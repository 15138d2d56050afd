//! The embedded Kubernetes as a whole: API server, controllers, scheduler and nodes in one process.
//!
//! [`Cluster::start`] is `moat up` as a function: a Kubernetes for `cargo test`, ready in milliseconds, with what an API server alone lacks:
//! namespaces that go when they are deleted, garbage collection, workloads that make pods, pods that are scheduled.

mod cluster;
pub mod control;
pub mod home;
pub mod join;
pub mod kubeconfig;
mod manifests;
pub mod nodes;
pub mod status;
mod storage;
pub mod token;
mod warn;
mod why;

pub use cluster::{Cluster, Options, StartError, wipe};
pub use manifests::{Faults, Manifests};
