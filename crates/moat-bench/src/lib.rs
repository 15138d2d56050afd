//! Synthetic clusters for benches: the same sizes give the same text, everywhere and always.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot run has nobody to report to"
)]

mod synth;
mod world;

pub use synth::{APPS_PER_NAMESPACE, namespaces, synth};
pub use world::{World, change_label, change_policy, endpoints, flows};
