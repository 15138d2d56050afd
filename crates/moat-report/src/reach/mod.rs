//! Reachability for readers and machines.

pub mod csv;
pub mod data;
pub mod graph;
pub mod html;
pub mod more;
pub mod text;
pub mod view;

#[cfg(test)]
mod tests;
