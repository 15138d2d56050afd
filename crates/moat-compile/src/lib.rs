//! The only place that turns policies into clauses.
//!
//! [`compile()`] reads policies and never sees a pod; [`bind()`] lays the result over an inventory, and [`Binding`] keeps it up to date. Everything the API leaves open is
//! one entry of [`Dialect`]. This crate does no I/O and knows nothing of how answers are shown.

mod addresses;
mod bind;
mod binding;
mod changed;
mod claims;
mod classes;
mod compile;
mod dialect;
mod peers;
mod programs;
mod services;
mod used;

pub use bind::bind;
pub use binding::{Binding, Changed, PodChange, PodChanged, PodName, PolicyChange};
pub use changed::changed;
pub use compile::compile;
pub use dialect::{Choice, Dialect, HostNetwork, Matching};
pub use services::services;
