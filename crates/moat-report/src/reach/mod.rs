//! Reachability for readers and machines.

pub mod csv;
pub mod text;
pub mod view;
