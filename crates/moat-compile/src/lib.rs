//! The only place that turns policies into clauses.
//!
//! [`compile()`] reads policies and never sees a pod; [`bind()`] lays the result over an inventory. Everything the API leaves open is
//! one entry of [`Dialect`]. This crate does no I/O and knows nothing of how answers are shown.

mod addresses;
mod bind;
mod changed;
mod classes;
mod compile;
mod dialect;
mod programs;
mod services;

pub use bind::bind;
pub use changed::changed;
pub use compile::compile;
pub use dialect::{Choice, Dialect, HostNetwork, Matching};
pub use services::services;
