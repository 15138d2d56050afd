//! What leaves the process: text, JSON, graphs, SARIF. Schemas here are stable and versioned; core types are never serialized.

pub mod check;
pub mod diagnostics;
pub mod diff;
pub mod explain;
pub mod reach;
pub mod style;
pub mod verify;
pub mod yaml;

pub use style::Style;
