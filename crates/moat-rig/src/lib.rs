//! A cluster's network in namespaces of one process: nodes, pods, Services, the outside, and probes through it.

pub mod live;
pub mod logs;
pub mod net;
pub mod place;
pub mod placed;
pub mod probe;
pub mod recheck;
pub mod services;
pub mod verify;
