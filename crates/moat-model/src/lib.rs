//! The validated domain: policies, pods, namespaces, nodes, services, and how wire objects become them.

pub mod diagnostic;
pub mod value;
