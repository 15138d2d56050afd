//! How long controllers wait before they act on what may pass.

use std::time::Duration;

/// The waits; the default is upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often nodes are looked at (`--node-monitor-period`).
    pub node_monitor: Duration,
    /// How long a node may be silent before it is taken for lost (`--node-monitor-grace-period`).
    pub node_grace: Duration,
    /// The time from one node whose pods are evicted to the next (the inverse of `--node-eviction-rate`).
    pub node_eviction: Duration,
    /// How often pods are looked through that nobody else removes.
    pub pod_sweep: Duration,
    /// How long a node has to be away before the pods on it are removed.
    pub node_quarantine: Duration,
    /// How long it is said of a pod that it will go for others' sake, if it does not go.
    pub stale_disruption: Duration,
    /// How often autoscalers look at what was measured (`--horizontal-pod-autoscaler-sync-period`).
    pub autoscaler_sync: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            node_monitor: Duration::from_secs(5),
            node_grace: Duration::from_secs(50),
            node_eviction: Duration::from_secs(10),
            pod_sweep: Duration::from_secs(20),
            node_quarantine: Duration::from_secs(40),
            stale_disruption: Duration::from_secs(120),
            autoscaler_sync: Duration::from_secs(15),
        }
    }
}
