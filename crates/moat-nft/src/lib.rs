//! The compiled policy as an nftables ruleset, purely: no kernel, no clock, no I/O.

pub mod model;
pub mod interp;
pub mod reason;
pub mod render;
pub mod fake;
pub mod parse;
pub mod plan;
pub mod print;
