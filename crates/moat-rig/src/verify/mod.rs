//! Real packets against the engine's word.

pub mod judge;
pub mod questions;
pub mod run;
