//! Real packets against the engine's word.

pub mod judge;
pub mod questions;
mod records;
pub mod run;
