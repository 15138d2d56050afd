//! The embedded cluster's scheduler. The decisions are pure functions of a [`Snapshot`]: filters and scores with
//! upstream's names, semantics and messages; [`place`] chooses a node, [`preempt()`] makes room, [`explain()`] says why.
//! [`start`] runs the loop that reads news of the cluster, decides, and binds.

mod affinity;
mod class;
mod config;
mod cycle;
mod driver;
mod explain;
mod labels;
mod node;
mod plugins;
mod pod;
mod preempt;
mod profile;
mod read;
mod refusal;
mod resources;
mod snapshot;
mod storage;
mod surroundings;
mod taint;

pub use affinity::{Affinity, Spread, Term};
pub use config::{Config, ConfigError};
pub use cycle::{Placement, Turn, place};
pub use driver::{CachedObject, CachedPod, Caches, Handle, start, start_on};
pub use explain::{FilterReport, NodeReport, Report, ScoreReport, Verdict, explain};
pub use labels::{Labels, NodeSelector, NodeTerm, Requirement, Selector, Test};
pub use moat_apiserver::Quantity;
pub use node::Node;
pub use pod::Pod;
pub use preempt::{Preemption, preempt};
pub use profile::{Args, Plugin, Profile, Strategy};
pub use refusal::{Diagnosis, Reason, Refusal};
pub use resources::Resources;
pub use snapshot::{NodeChange, Snapshot};
pub use surroundings::{KINDS, Surroundings};
pub use taint::{Effect, Taint, Toleration};
