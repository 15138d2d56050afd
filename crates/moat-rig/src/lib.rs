//! A cluster's network in namespaces of one process: nodes, pods, Services, the outside, and probes through it.

pub mod place;
pub mod net;
pub mod services;
pub mod verify;
pub mod placed;
pub mod live;
