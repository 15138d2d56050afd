//! The compiled policy as an nftables ruleset, purely: no kernel, no clock, no I/O.

pub mod model;
