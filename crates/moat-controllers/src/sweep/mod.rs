//! Pods that nobody else removes: ended ones in great number, those of nodes that are gone, those that were to go before they had a node.

mod plan;
#[cfg(test)]
mod tests;

use crate::context::{Context, NODES};
use crate::pods::{Doom, doom};
use moat_apiserver::Status;
use plan::{Missing, Snapshot, Why, plan};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let context = Arc::clone(context);
    tasks.spawn(async move {
        context.synced().await;
        let timing = context.options.timing;
        let began = Instant::now();
        let mut missing = Missing::new();
        let mut ticks = interval(timing.pod_sweep);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (pods, nodes) = (context.pods.all(), context.nodes.all());
            let quarantine = timing.node_quarantine;
            let snapshot = Snapshot::new(&pods, &nodes, began.elapsed(), quarantine);
            for (pod, why) in plan(&snapshot, &mut missing) {
                // One that cannot be removed now is found again in the next sweep.
                let _ = remove(&context, &pod, why).await;
            }
        }
    });
}

async fn remove(context: &Context, pod: &crate::pod::PodItem, why: Why) -> Result<(), Status> {
    let message = match why {
        Why::NodeGone => {
            // The cache may be behind; a pod of a node that is there must not go.
            match context.cluster.get(NODES.at("", &pod.value.spec.node_name)).await {
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
                Ok(_) => return Ok(()),
            }
            Some("PodGC: node no longer exists")
        }
        Why::OutOfService => Some("PodGC: node out-of-service"),
        Why::Ended | Why::NeverPlaced => None,
    };
    let told = message.map(|message| ("DeletionByPodGC", message));
    doom(context, pod, Doom { told, fails: true, grace: Some(0) }).await
}
