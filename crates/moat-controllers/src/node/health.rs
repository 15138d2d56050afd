//! Whether nodes are alive, and what follows for their conditions and taints.

use super::taints::{NOT_READY, UNREACHABLE};
use crate::json::{condition, list, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Conditions that nobody can vouch for when a node is silent.
const VOUCHED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// The share of a zone, in percent, and the number of nodes beyond which their loss is taken for a fault of the network.
const UNHEALTHY_PERCENT: usize = 55;
const UNHEALTHY_NODES: usize = 2;
/// Up to how many nodes a zone counts as small.
const SMALL_ZONE: usize = 50;

/// When nodes gave a sign of life that was new, in time since some beginning.
#[derive(Debug, Default)]
pub(super) struct Health(BTreeMap<String, (String, Duration)>);

impl Health {
    /// How long a node is silent, of its newest sign of life.
    pub(super) fn silent(&mut self, name: &str, sign: &str, now: Duration) -> Duration {
        let (last, since) = self.0.entry(name.to_owned()).or_insert_with(|| (sign.to_owned(), now));
        if last != sign {
            sign.clone_into(last);
            *since = now;
        }
        now.saturating_sub(*since)
    }

    /// Lets all begin anew.
    pub(super) fn forgive(&mut self, now: Duration) {
        self.0.values_mut().for_each(|(_, since)| *since = now);
    }

    /// Forgets the others.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| keep(name));
    }
}

/// The conditions of a node that is lost, if they are not so already.
pub(super) fn lost(node: &Value, now: &str) -> Option<Vec<Value>> {
    let mut conditions = list(node, "/status/conditions").to_vec();
    let before = conditions.clone();
    for kind in VOUCHED {
        match conditions.iter_mut().find(|one| one["type"] == kind) {
            Some(known) if known["status"] == "Unknown" => {}
            Some(known) => {
                known["status"] = "Unknown".into();
                known["reason"] = "NodeStatusUnknown".into();
                known["message"] = "Kubelet stopped posting node status.".into();
                known["lastTransitionTime"] = now.into();
            }
            None => conditions.push(json!({
                "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status.",
                "lastHeartbeatTime": node["metadata"]["creationTimestamp"], "lastTransitionTime": now,
            })),
        }
    }
    (conditions != before).then_some(conditions)
}

/// Whether a node says itself that nothing runs there that could give signs of life: it joined, and has no agent. It is not lost, because it
/// never was there, and what it says stays true.
pub(super) fn is_without_agent(node: &Value) -> bool {
    condition(&node["status"], "Ready")
        .is_some_and(|ready| ready["status"] == "False" && ready["reason"] == "NoNodeAgent")
}

/// Whether a node says that it is ready.
pub(super) fn is_ready(node: &Value) -> bool {
    condition(&node["status"], "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// Where a node is: nodes of one place tend to be lost together.
pub(super) fn zone(node: &Value) -> String {
    let label = |key: &str| {
        let value = node["metadata"]["labels"].get(key).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let (region, zone) =
        (label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"));
    format!("{region}:{zone}")
}

/// How a zone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Normal,
    /// So many are lost that it is rather the network.
    Partial,
    /// All are lost.
    Full,
}

pub(super) fn state(n_ready: usize, n_lost: usize) -> State {
    if n_ready == 0 && 0 < n_lost {
        State::Full
    } else if UNHEALTHY_NODES < n_lost && UNHEALTHY_PERCENT * (n_ready + n_lost) <= 100 * n_lost {
        State::Partial
    } else {
        State::Normal
    }
}

/// The time from the eviction of one node's pods to the next node's, in a zone of so many nodes; none means that nobody is evicted.
pub(super) fn spacing(state: State, n_nodes: usize, every: Duration) -> Option<Duration> {
    match state {
        State::Normal | State::Full => Some(every),
        State::Partial if SMALL_ZONE < n_nodes => Some(every * 10),
        State::Partial => None,
    }
}

/// The taint that evicts the pods of a node that does not say that it is ready.
fn evicting(node: &Value) -> Option<&'static str> {
    match condition(&node["status"], "Ready").map(|ready| text(ready, "/status")) {
        Some("False") => Some(NOT_READY),
        Some("Unknown") => Some(UNREACHABLE),
        _ => None,
    }
}

/// Whether a node needs a taint that evicts, and has none.
pub(super) fn waits_for_taint(node: &Value) -> bool {
    evicting(node).is_some() && !list(node, "/spec/taints").iter().any(is_evicting)
}

fn is_evicting(taint: &Value) -> bool {
    [NOT_READY, UNREACHABLE].contains(&text(taint, "/key")) && taint["effect"] == "NoExecute"
}

/// The taints that a node should have, if it has others: its pods are evicted if that is allowed now, and no longer if it is ready.
pub(super) fn no_execute(node: &Value, may_add: bool, now: &str) -> Option<Vec<Value>> {
    let all = list(node, "/spec/taints");
    let own: Vec<&Value> = all.iter().filter(|taint| is_evicting(taint)).collect();
    let wanted = evicting(node).filter(|_| may_add || !own.is_empty());
    if own.iter().map(|taint| text(taint, "/key")).eq(wanted) {
        return None;
    }
    let since = own.iter().find_map(|taint| taint["timeAdded"].as_str()).unwrap_or(now);
    let others = all.iter().filter(|taint| !is_evicting(taint)).cloned();
    let own = wanted.map(|key| json!({ "key": key, "effect": "NoExecute", "timeAdded": since }));
    Some(others.chain(own).collect())
}

/// The taints of a node without those that evict, if it has any.
pub(super) fn spared(node: &Value) -> Option<Vec<Value>> {
    let all = list(node, "/spec/taints");
    let others: Vec<Value> = all.iter().filter(|taint| !is_evicting(taint)).cloned().collect();
    (others.len() < all.len()).then_some(others)
}
