//! Caches of a cluster's objects and queues of work: what controllers and the scheduler are built on.
//!
//! A [`Cache`] holds the objects of one kind as they are, parsed once for all who look, found by name or index, and tells of each change. It
//! lists, watches from the list's revision, and lists anew when it lags behind history or the connection fails. What is parsed is the user's
//! choice: a type that keeps what its readers need, so that ten thousand pods cost little.
//!
//! A [`Queue`] holds keys: none twice, none in two hands, failed ones again after a while.
//!
//! A controller that writes waits with [`Cache::reached`] until the cache has seen its own write, and so never decides by what it has
//! already changed. That replaces the counted expectations of client-go.
//!
//! [`Cluster`] is what both stand on: the server in this process, or any other.

mod cache;
mod cluster;
mod index;
mod meta;
mod meter;
mod queue;

pub use cache::{Cache, Delta, Index, Item, Read};
pub use cluster::{Boxed, Cluster, Events};
pub use meta::{Labels, Meta, Owner};
pub use meter::Meters;
pub use queue::{Backoff, Done, Queue};
