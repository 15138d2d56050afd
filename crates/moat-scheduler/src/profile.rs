//! A profile: which plug-ins run where, with which weights and arguments.

use crate::affinity::Spread;
use crate::labels::{NodeSelector, NodeTerm, Selector};

/// A plug-in, by upstream's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Plugin {
    /// Keeps pods back whose gates are closed.
    SchedulingGates,
    /// Orders the queue.
    PrioritySort,
    /// Refuses cordoned nodes.
    NodeUnschedulable,
    /// Refuses all nodes but the one that is asked for.
    NodeName,
    /// Refuses nodes with taints that are not tolerated.
    TaintToleration,
    /// Asks for nodes by label and name.
    NodeAffinity,
    /// Refuses nodes whose ports are taken.
    NodePorts,
    /// Refuses nodes without room, and likes those with the most or the least.
    NodeResourcesFit,
    /// Refuses nodes that do not reach the pod's volumes.
    VolumeBinding,
    /// Spreads pods.
    PodTopologySpread,
    /// Brings pods together and keeps them apart.
    InterPodAffinity,
    /// Evicts less important pods.
    DefaultPreemption,
    /// Likes nodes whose resources are used evenly.
    NodeResourcesBalancedAllocation,
    /// Likes nodes that have the images.
    ImageLocality,
    /// Binds.
    DefaultBinder,
}

impl Plugin {
    /// All of them, in the order in which upstream runs them.
    pub const ALL: &'static [Self] = &[
        Self::SchedulingGates,
        Self::PrioritySort,
        Self::NodeUnschedulable,
        Self::NodeName,
        Self::TaintToleration,
        Self::NodeAffinity,
        Self::NodePorts,
        Self::NodeResourcesFit,
        Self::VolumeBinding,
        Self::PodTopologySpread,
        Self::InterPodAffinity,
        Self::DefaultPreemption,
        Self::NodeResourcesBalancedAllocation,
        Self::ImageLocality,
        Self::DefaultBinder,
    ];

    /// Its name in configurations and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SchedulingGates => "SchedulingGates",
            Self::PrioritySort => "PrioritySort",
            Self::NodeUnschedulable => "NodeUnschedulable",
            Self::NodeName => "NodeName",
            Self::TaintToleration => "TaintToleration",
            Self::NodeAffinity => "NodeAffinity",
            Self::NodePorts => "NodePorts",
            Self::NodeResourcesFit => "NodeResourcesFit",
            Self::VolumeBinding => "VolumeBinding",
            Self::PodTopologySpread => "PodTopologySpread",
            Self::InterPodAffinity => "InterPodAffinity",
            Self::DefaultPreemption => "DefaultPreemption",
            Self::NodeResourcesBalancedAllocation => "NodeResourcesBalancedAllocation",
            Self::ImageLocality => "ImageLocality",
            Self::DefaultBinder => "DefaultBinder",
        }
    }

    /// The weight it has unless another is given.
    pub const fn weight(self) -> i64 {
        match self {
            Self::TaintToleration => 3,
            Self::NodeAffinity | Self::PodTopologySpread | Self::InterPodAffinity => 2,
            _ => 1,
        }
    }
}

/// How pods of one scheduler name are scheduled.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Pods that ask for this scheduler are meant.
    pub scheduler_name: String,
    /// How many of the nodes are looked at, in percent; 0 lets the number of nodes decide.
    pub percentage: i32,
    /// Whether gates keep pods back.
    pub gates: bool,
    /// Plug-ins that may refuse all nodes at once.
    pub pre_filters: Vec<Plugin>,
    /// Plug-ins that refuse nodes, in their order.
    pub filters: Vec<Plugin>,
    /// Plug-ins that like nodes more or less, with their weights.
    pub scores: Vec<(Plugin, i64)>,
    /// Whether less important pods are evicted.
    pub preemption: bool,
    /// Arguments of plug-ins.
    pub args: Args,
}

/// Arguments of plug-ins.
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    /// `NodeAffinityArgs`: a node selector that every pod has besides its own.
    pub added_required: Option<NodeSelector>,
    /// `NodeAffinityArgs`: preferences that every pod has besides its own.
    pub added_preferred: Vec<(i32, NodeTerm)>,
    /// `NodeResourcesFitArgs`: resources that do not refuse.
    pub ignored: Vec<Box<str>>,
    /// `NodeResourcesFitArgs`: prefixes of such resources.
    pub ignored_groups: Vec<Box<str>>,
    /// `NodeResourcesFitArgs`: how room is liked.
    pub strategy: Strategy,
    /// `NodeResourcesFitArgs`: the resources that count, and how much.
    pub resources: Vec<(Box<str>, i64)>,
    /// `NodeResourcesBalancedAllocationArgs`: the resources that are balanced.
    pub balanced: Vec<Box<str>>,
    /// `PodTopologySpreadArgs`: constraints of pods that have none.
    pub spread: Vec<Spread>,
    /// `PodTopologySpreadArgs`: whether those are the built-in ones, which do not ask for their labels on nodes.
    pub spread_system: bool,
    /// `InterPodAffinityArgs`: how much the required affinity of others counts.
    pub hard_weight: i64,
    /// `InterPodAffinityArgs`: whether wishes of pods that are there are left out.
    pub ignore_existing: bool,
    /// `DefaultPreemptionArgs`: how many nodes are tried at least, in percent.
    pub candidates_percentage: i64,
    /// `DefaultPreemptionArgs`: how many nodes are tried at least.
    pub candidates_min: i64,
}

/// How the room on a node makes it liked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The more is free the better.
    LeastAllocated,
    /// The less is free the better.
    MostAllocated,
    /// As a function of use: points of use and score, both in percent.
    RequestedToCapacityRatio(Vec<(i64, i64)>),
}

impl Default for Profile {
    fn default() -> Self {
        let scores = [
            Plugin::TaintToleration,
            Plugin::NodeAffinity,
            Plugin::NodeResourcesFit,
            Plugin::PodTopologySpread,
            Plugin::InterPodAffinity,
            Plugin::NodeResourcesBalancedAllocation,
            Plugin::ImageLocality,
        ];
        Self {
            scheduler_name: "default-scheduler".to_owned(),
            percentage: 0,
            gates: true,
            pre_filters: vec![
                Plugin::NodeAffinity,
                Plugin::NodePorts,
                Plugin::NodeResourcesFit,
                Plugin::VolumeBinding,
                Plugin::PodTopologySpread,
                Plugin::InterPodAffinity,
            ],
            filters: vec![
                Plugin::NodeUnschedulable,
                Plugin::NodeName,
                Plugin::TaintToleration,
                Plugin::NodeAffinity,
                Plugin::NodePorts,
                Plugin::NodeResourcesFit,
                Plugin::VolumeBinding,
                Plugin::PodTopologySpread,
                Plugin::InterPodAffinity,
            ],
            scores: scores.into_iter().map(|plugin| (plugin, plugin.weight())).collect(),
            preemption: true,
            args: Args::default(),
        }
    }
}

impl Default for Args {
    fn default() -> Self {
        let soft = |key: &str, max_skew: i32| Spread {
            topology_key: key.into(),
            max_skew,
            hard: false,
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
            selector: Selector::Nothing,
        };
        Self {
            added_required: None,
            added_preferred: vec![],
            ignored: vec![],
            ignored_groups: vec![],
            strategy: Strategy::LeastAllocated,
            resources: vec![("cpu".into(), 1), ("memory".into(), 1)],
            balanced: vec!["cpu".into(), "memory".into()],
            spread: vec![soft("kubernetes.io/hostname", 3), soft("topology.kubernetes.io/zone", 5)],
            spread_system: true,
            hard_weight: 1,
            ignore_existing: false,
            candidates_percentage: 10,
            candidates_min: 100,
        }
    }
}
