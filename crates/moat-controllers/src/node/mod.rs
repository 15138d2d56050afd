//! Nodes: who is alive, which taints that means, and which pods have to go for them.

mod evict;
mod health;
mod monitor;
mod stay;
mod taints;
#[cfg(test)]
mod tests;

use crate::context::Context;
use std::sync::Arc;
use tokio::task::JoinSet;

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    taints::start(context, tasks);
    monitor::start(context, tasks);
    evict::start(context, tasks);
}
