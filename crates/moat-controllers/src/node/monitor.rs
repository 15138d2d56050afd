//! Looks whether nodes give signs of life, says so where they do not, and lets their pods be evicted, a few nodes at a time.

use super::health::{
    Health, State, is_ready, is_without_agent, lost, no_execute, spacing, spared, state,
    waits_for_taint, zone,
};
use crate::context::{BY_NODE, Context, NODES, PODS, reach};
use crate::event::{Event, about};
use crate::json::{condition, revision, text, time};
use crate::pod::PodItem;
use moat_apiserver::{Gvr, PatchType, Selection, Status};
use moat_informer::Item;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

static LEASES: Gvr = Gvr::new("coordination.k8s.io", "v1", "leases");
const LEASE_NAMESPACE: &str = "kube-node-lease";
const COMPONENT: &str = "node-controller";
/// A node that never said how it is may still be starting.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let context = Arc::clone(context);
    tasks.spawn(async move {
        context.synced().await;
        let mut monitor = Monitor {
            began: Instant::now(),
            health: Health::default(),
            was_ready: BTreeMap::new(),
            next: BTreeMap::new(),
            all_lost: false,
        };
        let mut ticks = interval(context.options.timing.node_monitor);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Leases that cannot be read say nothing about nodes.
            if let Ok(leases) = leases(&context).await {
                monitor.look(&context, &leases).await;
            }
        }
    });
}

/// When each node renewed its lease.
async fn leases(context: &Context) -> Result<BTreeMap<String, String>, Status> {
    let listed =
        context.cluster.list(LEASES.at(LEASE_NAMESPACE, ""), &Selection::default()).await?;
    let lease = |one: &moat_store::Object| serde_json::from_slice::<Value>(&one.value).ok();
    let times = listed.objects.iter().filter_map(lease).map(|lease| {
        let of = |pointer: &str| text(&lease, pointer).to_owned();
        (of("/metadata/name"), of("/spec/renewTime"))
    });
    Ok(times.collect())
}

struct Monitor {
    began: Instant,
    health: Health,
    was_ready: BTreeMap<Box<str>, bool>,
    /// When pods of another node of a zone may be evicted.
    next: BTreeMap<String, Duration>,
    /// Whether no node at all was ready when it looked last.
    all_lost: bool,
}

impl Monitor {
    async fn look(&mut self, context: &Context, leases: &BTreeMap<String, String>) {
        let now = self.began.elapsed();
        let nodes = context.nodes.all();
        let there: BTreeSet<&str> = nodes.iter().map(|node| &*node.meta.name).collect();
        self.health.retain(|name| there.contains(name));
        self.was_ready.retain(|name, _| there.contains(&**name));
        let mut looked = Vec::new();
        for node in &nodes {
            // A node that somebody else is writing is looked at next time.
            if let Ok(value) = self.one(context, leases, node, now).await {
                looked.push((node, value));
            }
        }
        let mut zones: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (_, node) in &looked {
            if node["metadata"]["labels"].get(EXCLUDED).is_some() {
                continue;
            }
            let (n_ready, n_lost) = zones.entry(zone(node)).or_default();
            *(if is_ready(node) { n_ready } else { n_lost }) += 1;
        }
        let all_lost = !zones.is_empty()
            && zones.values().all(|(n_ready, n_lost)| state(*n_ready, *n_lost) == State::Full);
        if self.all_lost && !all_lost {
            self.health.forgive(now);
        }
        self.all_lost = all_lost;
        for (node, value) in &looked {
            let taints = if all_lost {
                // Where nobody is heard it is the listener who is cut off.
                spared(value)
            } else {
                let may_add = waits_for_taint(value) && self.may_evict(context, value, &zones, now);
                no_execute(value, may_add, &stamp())
            };
            if let Some(taints) = taints {
                let _ = set_taints(context, node, value, taints).await;
            }
        }
    }

    /// Whether it is a node's turn; the turn is taken.
    fn may_evict(
        &mut self,
        context: &Context,
        node: &Value,
        zones: &BTreeMap<String, (usize, usize)>,
        now: Duration,
    ) -> bool {
        let zone = zone(node);
        let (n_ready, n_lost) = zones.get(&zone).copied().unwrap_or_default();
        let every = context.options.timing.node_eviction;
        let Some(every) = spacing(state(n_ready, n_lost), n_ready + n_lost, every) else {
            return false;
        };
        let next = self.next.entry(zone).or_default();
        if now < *next {
            return false;
        }
        *next = now + every;
        true
    }

    /// Looks at one node; returns it as it is afterwards.
    async fn one(
        &mut self,
        context: &Context,
        leases: &BTreeMap<String, String>,
        item: &Arc<Item<Value>>,
        now: Duration,
    ) -> Result<Value, Status> {
        let name = &*item.meta.name;
        let ready = condition(&item.value["status"], "Ready");
        let beat = ready.map_or("", |ready| text(ready, "/lastHeartbeatTime"));
        let renewed = leases.get(name).map_or("", String::as_str);
        let silent = self.health.silent(name, &format!("{beat}/{renewed}"), now);
        let grace = context.options.timing.node_grace;
        // Upstream gives a node that never said how it is a minute where others have fifty seconds.
        let grace = if ready.is_some() { grace } else { grace * 6 / 5 };
        let mut value = item.value.clone();
        if grace < silent
            && !is_without_agent(&value)
            && let Some(conditions) = lost(&value, &stamp())
        {
            crate::json::set(&mut value, &["status", "conditions"], conditions.into());
            value = context.cluster.update(NODES.at("", name).part("status"), value).await?;
            reach(&context.nodes, revision(&value)).await;
        }
        let is_ready = is_ready(&value);
        let was_ready = self.was_ready.insert(item.meta.name.clone(), is_ready);
        if was_ready == Some(true) && !is_ready {
            tell(context, item, "v1", "Node", format!("Node {name} status is now: NodeNotReady"));
        }
        if !is_ready {
            for pod in context.pods.by(BY_NODE, name) {
                if pod.value.is_ready() {
                    unready(context, &pod).await?;
                }
            }
        }
        Ok(value)
    }
}

fn stamp() -> String {
    time(jiff::Timestamp::now().as_second())
}

fn tell<T>(context: &Context, item: &Item<T>, version: &str, kind: &str, message: String) {
    let warning = kind == "Pod";
    let about = about(version, kind, &item.meta);
    let event = Event { about, component: COMPONENT, warning, reason: "NodeNotReady", message };
    context.tell(event);
}

/// Nothing is sent to a pod of which nobody knows how it is.
async fn unready(context: &Context, pod: &PodItem) -> Result<(), Status> {
    let condition = json!({ "type": "Ready", "status": "False", "lastTransitionTime": stamp() });
    let patch =
        json!({ "metadata": { "uid": pod.meta.uid }, "status": { "conditions": [condition] } });
    let at = PODS.at(&pod.meta.namespace, &pod.meta.name).part("status");
    match context.cluster.patch(at, PatchType::Strategic, &patch).await {
        Ok(_) => tell(context, pod, "v1", "Pod", "Node is not ready".to_owned()),
        Err(status) if status.code == 404 => {}
        Err(status) => return Err(status),
    }
    Ok(())
}

async fn set_taints(
    context: &Context,
    item: &Item<Value>,
    node: &Value,
    taints: Vec<Value>,
) -> Result<(), Status> {
    let version = text(node, "/metadata/resourceVersion");
    let patch = json!({
        "metadata": { "uid": item.meta.uid, "resourceVersion": version }, "spec": { "taints": taints },
    });
    let at = NODES.at("", &item.meta.name);
    let written = context.cluster.patch(at, PatchType::Merge, &patch).await?;
    reach(&context.nodes, revision(&written)).await;
    Ok(())
}
