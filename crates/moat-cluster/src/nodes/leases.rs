//! Nodes say that they live: each renews its lease, as kubelets do.

use super::{NODES, Node, object};
use jiff::Timestamp;
use moat_apiserver::{At, Client, Gvr, Status};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

static LEASES: Gvr = Gvr::new("coordination.k8s.io", "v1", "leases");
const NAMESPACE: &str = "kube-node-lease";
/// How often a lease is renewed: a quarter of the time it holds, as upstream's kubelet has it.
const EVERY: Duration = Duration::from_secs(10);

/// Renews for ever.
pub(super) async fn keep(client: Client, nodes: Arc<BTreeMap<String, Node>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        // A lease that could not be renewed is renewed ten seconds later, long before it ends.
        let _ = renew(&client, &nodes).await;
    }
}

/// Renews once, those of nodes that are there and not said to be down.
pub(super) async fn renew(client: &Client, nodes: &BTreeMap<String, Node>) -> Result<(), Status> {
    for (name, node) in nodes {
        let at = NODES.at("", name);
        let Ok(found) = client.get(at).await else { continue };
        if super::text(
            &found["metadata"]["annotations"],
            &format!("/{}", object::DOWN.replace('/', "~1")),
        ) == "true"
        {
            continue;
        }
        let lease = object::lease(name, &node.uid, Timestamp::now());
        let at = LEASES.at(NAMESPACE, name);
        match client.get(at).await {
            Ok(mut old) => {
                old["spec"] = lease["spec"].clone();
                client.update(at, old).await?;
            }
            Err(status) if status.code == 404 => {
                client.create(LEASES.at(NAMESPACE, ""), lease).await?;
            }
            Err(status) => return Err(status),
        }
        alive(client, at_of(name), found).await?;
    }
    Ok(())
}

fn at_of(name: &str) -> At<'_> {
    NODES.at("", name)
}

/// A node that was taken for lost says that it is back.
async fn alive(client: &Client, at: At<'_>, mut node: serde_json::Value) -> Result<(), Status> {
    let stamp = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let conditions = node["status"]["conditions"].as_array_mut().into_iter().flatten();
    let mut changed = false;
    for condition in conditions.filter(|one| one["status"] == "Unknown") {
        let ready = condition["type"] == "Ready";
        condition["status"] = if ready { "True" } else { "False" }.into();
        condition["reason"] = if ready { "KubeletReady" } else { "NothingRuns" }.into();
        condition["message"] = "the node answers again".into();
        condition["lastTransitionTime"] = stamp.as_str().into();
        condition["lastHeartbeatTime"] = stamp.as_str().into();
        changed = true;
    }
    if changed {
        client.update(At { subresource: "status", ..at }, node).await?;
    }
    Ok(())
}
