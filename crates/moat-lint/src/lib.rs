//! Findings about what was read: one rule, one file, one document.
//!
//! A rule is a file in [`rules`]: its documentation in fixed sections, its code, name, severity and lifecycle, and, unless the
//! finding is made while reading, its [`Check`]. [`registry`] is the one table from code to rule; [`run()`] collects, selects and sorts.
//! This crate does no I/O and does not know how findings are shown.
//!
//! To add a rule: write `rules/<name>.rs` with an example of each kind in its documentation (they are its tests), add it to
//! `rules/mod.rs` and to the table in `registry.rs`.

mod context;
mod near;
pub mod registry;
mod rule;
pub mod rules;
mod run;
#[cfg(test)]
mod testing;

pub use context::Context;
pub use rule::{Check, Lifecycle, Rule, SECTIONS};
pub use run::{Selection, UnknownRule, run};
