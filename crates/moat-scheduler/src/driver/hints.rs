//! Which changes of the cluster can help which pods: a pod that a plug-in refused is tried again only when something changed
//! that this plug-in looks at.

use crate::profile::Plugin;
use crate::snapshot::NodeChange;
use std::collections::BTreeSet;

/// A set of plug-ins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Plugins(u32);

impl Plugins {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn of(all: &[Plugin]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < all.len() {
            bits |= 1 << all[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    pub(super) fn of_set(all: &BTreeSet<Plugin>) -> Self {
        all.iter().fold(Self::NONE, |sum, plugin| sum.and(Self::of(&[*plugin])))
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A pod left its node, or ended.
pub(super) const POD_GONE: Plugins = Plugins::of(&[
    Plugin::NodePorts,
    Plugin::NodeResourcesFit,
    Plugin::PodTopologySpread,
    Plugin::InterPodAffinity,
    Plugin::DefaultPreemption,
]);

/// A pod came to a node, or its labels changed there.
pub(super) const POD_CAME: Plugins =
    Plugins::of(&[Plugin::PodTopologySpread, Plugin::InterPodAffinity]);

/// A pod on a node asks for less than before.
pub(super) const POD_SHRANK: Plugins = Plugins::of(&[Plugin::NodeResourcesFit]);

/// A node is gone: spreading over the others changes.
pub(super) const NODE_GONE: Plugins = Plugins::of(&[Plugin::PodTopologySpread]);

/// What changed of a node.
pub(super) fn of_node(change: NodeChange) -> Plugins {
    if change.added {
        return Plugins::of(&[
            Plugin::NodeUnschedulable,
            Plugin::NodeName,
            Plugin::TaintToleration,
            Plugin::NodeAffinity,
            Plugin::NodePorts,
            Plugin::NodeResourcesFit,
            Plugin::VolumeBinding,
            Plugin::PodTopologySpread,
            Plugin::InterPodAffinity,
        ]);
    }
    let when = |yes: bool, all: &[Plugin]| if yes { Plugins::of(all) } else { Plugins::NONE };
    when(
        change.labels,
        &[
            Plugin::NodeAffinity,
            Plugin::VolumeBinding,
            Plugin::PodTopologySpread,
            Plugin::InterPodAffinity,
        ],
    )
    .and(when(
        change.taints,
        &[Plugin::NodeUnschedulable, Plugin::TaintToleration, Plugin::PodTopologySpread],
    ))
    .and(when(change.allocatable, &[Plugin::NodeResourcesFit]))
}

/// A change of an object beside nodes and pods.
pub(super) fn of_kind(kind: &str) -> Plugins {
    match kind {
        "PersistentVolumeClaim" | "PersistentVolume" | "StorageClass" => {
            Plugins::of(&[Plugin::VolumeBinding])
        }
        "Namespace" => Plugins::of(&[Plugin::InterPodAffinity]),
        _ => Plugins::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_helps_nobody() {
        assert!(of_node(NodeChange::default()).is_empty());
        let fit = Plugins::of(&[Plugin::NodeResourcesFit]);
        assert!(of_node(NodeChange { allocatable: true, ..NodeChange::default() }).meets(fit));
        assert!(!of_node(NodeChange { labels: true, ..NodeChange::default() }).meets(fit));
        assert!(of_node(NodeChange { added: true, ..NodeChange::default() }).meets(fit));
        assert!(POD_GONE.meets(fit) && !POD_CAME.meets(fit));
    }
}
