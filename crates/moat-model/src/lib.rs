//! The validated domain: policies, pods, namespaces, nodes, services, and how wire objects become them.
//!
//! [`lower()`] is the one place where wire forms end: `None` versus `[]`, missing `policyTypes`, default protocols and
//! namespaces are settled here, and validated as the API server would. After it no `Option` means "the default".
//! This crate does not know how policies decide, where objects come from, or how findings are shown.

pub mod diagnostic;
pub mod inventory;
mod json;
pub mod lower;
pub mod policy;
pub mod quantity;
mod read;
pub mod validate;
pub mod value;

pub use diagnostic::{Code, Diagnostic, Severity, codes};
pub use inventory::{
    Entrance, Inventory, NamedPort, Namespace, Node, Phase, Pod, PodKind, Service, ServicePort,
    Taint, TaintScope, TargetPort,
};
pub use lower::{Lowered, Options, lower};
pub use policy::{
    Action, Direction, Peer, PeerKind, Peers, Policy, PolicyId, PolicyKind, PortMatch, Ports, Rule,
    Tier,
};
pub use quantity::Quantity;
pub use value::{Data, Entry, Pos, SourceId, Span, Value};
