//! Finite-set algebra that policy meaning is built from.
//!
//! Knows labels, selectors, port sets, address sets and id sets. Deliberately knows nothing of policies, pods, YAML or
//! Kubernetes objects, and does no I/O.

mod cidr;
mod ids;
mod intervals;
mod labels;
mod near;
mod ports;
mod terms;

pub use cidr::{AddrSet, Cidr, CidrError, Family};
pub use ids::IdSet;
pub use intervals::{Intervals, Point};
pub use labels::{Labels, Operator, Requirement, Selector, Unmet};
pub use near::{mistakes, nearest};
pub use ports::{PortSet, Protocol, ServicePoint};
pub use terms::{DomainPattern, NamespaceTerm, PodTerm};
