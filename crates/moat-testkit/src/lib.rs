//! Test support: random and exhaustive worlds, engines by name, planted bugs, and the runner of the Markdown corpus.
//!
//! Worlds are wire objects (`serde_json::Value`), so that the reading of defaults is part of what is compared. A [`subject::Subject`]
//! answers [`point::Flow`]s about a world; [`agree`] compares two of them, reasons included. Nothing here is part of the product.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::explicit_auto_deref,
    clippy::semicolon_if_nothing_returned,
    reason = "test support fails loudly"
)]

pub mod agree;
pub mod bugs;
pub mod changes;
pub mod engine;
pub mod exhaust;
pub mod generate;
pub mod mdcase;
pub mod point;
pub mod probe;
pub mod rng;
pub mod service;
pub mod settings;
pub mod shrink;
pub mod small;
pub mod subject;
pub mod wire;

/// A wire object.
pub type Json = serde_json::Value;
