//! Reachability for readers and machines.

pub mod csv;
