//! The compiled policy as an nftables ruleset, purely: no kernel, no clock, no I/O.

pub mod edit;
pub mod fake;
pub mod flight;
pub mod interp;
pub mod model;
pub mod parse;
pub mod plan;
pub mod print;
pub mod reason;
pub mod render;
pub mod way;
