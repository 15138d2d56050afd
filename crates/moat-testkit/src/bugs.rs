//! Bugs planted on purpose. The engine carries no switches: each bug changes what a step of the pipeline is given or has made,
//! so that the engine answers as it would with the bug. `mutants.md` lists them; `tests/mutants.rs` demands that all are caught.

use crate::Json;
use crate::wire::{self, walk_mut};
use moat_compile::{Dialect, Matching};
use moat_ir::{Bound, Direction, PeerSet, StageKind, SymPeer, SymbolicIr, Then, Why};
use moat_model::inventory::Inventory;
use moat_model::{Lowered, PodKind, Tier};
use moat_sets::{AddrSet, Family, PortSet, Protocol, ServicePoint};
use serde_json::{Map, json};

/// A bug.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Bug {
    /// A policy without rules does not isolate.
    IsolationDropped,
    /// `except` is not read.
    ExceptIgnored,
    /// `Pass` allows.
    PassAllows,
    /// `Pass` does nothing: the tier goes on.
    PassGoesOn,
    /// Egress port names are looked up on the source.
    NameOnSource,
    /// A port name means the same number everywhere: that of the first pod that has it.
    NameIsGlobal,
    /// Priorities are not looked at: cluster policies come by name.
    PriorityLost,
    /// `namespaceSelector` and `podSelector` of one peer are two peers.
    AndIsOr,
    /// `egress: []` isolates for egress when `policyTypes` is missing.
    EmptyEgressIsolates,
    /// Egress isolates only when `policyTypes` says so.
    EgressNotInferred,
    /// A `podSelector` alone selects in every namespace.
    AnyNamespace,
    /// A range ends before `endPort`.
    EndPortOffByOne,
    /// `endPort` is not read.
    EndPortIgnored,
    /// `NotIn` wants the key to be there.
    NotInNeedsKey,
    /// UDP is taken for TCP.
    UdpIsTcp,
    /// A port without protocol means every protocol.
    NoProtocolIsAny,
    /// A protocol without port means every protocol.
    PortlessIsAny,
    /// hostNetwork pods are pods like others.
    HostNetworkIsPod,
    /// IPv6 addresses are not in any `ipBlock`.
    SixNotInBlock,
    /// A pod's IPv6 address is unknown to policies.
    SecondFamilyLost,
    /// A pod may be cut off from itself.
    SelfNotExempt,
    /// A pod may be cut off from its node.
    OwnNodeNotExempt,
    /// Every node may reach every pod.
    AnyNodeExempt,
    /// `from: []` means no one.
    EmptyPeersIsNobody,
    /// `ports: []` means no port.
    EmptyPortsIsNone,
    /// Rules of a direction that is not among `policyTypes` count.
    TypesIgnored,
    /// The Baseline tier comes before NetworkPolicies.
    BaselineFirst,
    /// The Baseline tier is also asked when NetworkPolicies isolate.
    BaselineAfterIsolation,
    /// The Admin tier comes after NetworkPolicies, which then let everything they do not allow fall through.
    AdminLast,
    /// Only the first policy of a namespace counts.
    FirstPolicyOnly,
    /// `matchExpressions` beside `matchLabels` is not read.
    ExpressionsIgnored,
    /// Only the last requirement of a selector counts.
    RequirementsAreOr,
    /// Namespaces do not carry their name as a label.
    NameLabelMissing,
    /// Namespaces without an object are unknown to selectors.
    MentionedNamespaceLost,
    /// An empty label value is no value.
    EmptyValueIsMissing,
    /// Ports of ordinary init containers count.
    InitPortsCount,
    /// Ports of native sidecars do not count.
    SidecarPortsLost,
    /// Rules without ports do not allow ICMP.
    PortlessStopsPing,
    /// `ipBlock` does not match pod addresses.
    BlockNotOverPods,
    /// `ipBlock` does not match node addresses.
    BlockNotOverNodes,
    /// `networks` does not match pod addresses.
    NetworksNotOverPods,
    /// `nodes` does not match the hostNetwork pods of a node.
    NodesWithoutPods,
    /// A prefix is one bit shorter than it says.
    PrefixOffByOne,
    /// Deny rules of cluster policies do nothing.
    DenyIgnored,
    /// Egress rules are not looked at where ingress allows.
    EgressForgotten,
}

impl Bug {
    /// All bugs.
    pub const ALL: &'static [Self] = &[
        Self::IsolationDropped,
        Self::ExceptIgnored,
        Self::PassAllows,
        Self::PassGoesOn,
        Self::NameOnSource,
        Self::NameIsGlobal,
        Self::PriorityLost,
        Self::AndIsOr,
        Self::EmptyEgressIsolates,
        Self::EgressNotInferred,
        Self::AnyNamespace,
        Self::EndPortOffByOne,
        Self::EndPortIgnored,
        Self::NotInNeedsKey,
        Self::UdpIsTcp,
        Self::NoProtocolIsAny,
        Self::PortlessIsAny,
        Self::HostNetworkIsPod,
        Self::SixNotInBlock,
        Self::SecondFamilyLost,
        Self::SelfNotExempt,
        Self::OwnNodeNotExempt,
        Self::AnyNodeExempt,
        Self::EmptyPeersIsNobody,
        Self::EmptyPortsIsNone,
        Self::TypesIgnored,
        Self::BaselineFirst,
        Self::BaselineAfterIsolation,
        Self::AdminLast,
        Self::FirstPolicyOnly,
        Self::ExpressionsIgnored,
        Self::RequirementsAreOr,
        Self::NameLabelMissing,
        Self::MentionedNamespaceLost,
        Self::EmptyValueIsMissing,
        Self::InitPortsCount,
        Self::SidecarPortsLost,
        Self::PortlessStopsPing,
        Self::BlockNotOverPods,
        Self::BlockNotOverNodes,
        Self::NetworksNotOverPods,
        Self::NodesWithoutPods,
        Self::PrefixOffByOne,
        Self::DenyIgnored,
        Self::EgressForgotten,
    ];

    /// Its name in `mutants.md`: `except-ignored`.
    #[must_use]
    pub fn name(self) -> String {
        let mut out = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !out.is_empty() {
                out.push('-');
            }
            out.push(letter.to_ascii_lowercase());
        }
        out
    }

    /// The objects as lowering reads them with this bug.
    #[must_use]
    pub fn wire(self, mut objects: Vec<Json>) -> Vec<Json> {
        let mut edit: Box<dyn FnMut(&mut Map<String, Json>)> = match self {
            Self::ExceptIgnored => Box::new(|map| drop(map.remove("except"))),
            Self::AndIsOr => Box::new(|map| {
                for key in ["from", "to"] {
                    if let Some(Json::Array(peers)) = map.get_mut(key) {
                        *peers = peers.iter().flat_map(split).collect();
                    }
                }
            }),
            Self::EmptyEgressIsolates => Box::new(|map| {
                let missing =
                    map.get("policyTypes").is_none_or(|types| wire::items(types).is_empty());
                if map.get("egress").is_some_and(Json::is_array)
                    && missing
                    && !map.contains_key("tier")
                {
                    map.insert("policyTypes".to_owned(), json!(["Ingress", "Egress"]));
                }
            }),
            Self::EgressNotInferred => Box::new(|map| {
                let missing =
                    map.get("policyTypes").is_none_or(|types| wire::items(types).is_empty());
                if (map.contains_key("ingress")
                    || map.contains_key("egress")
                    || map.contains_key("podSelector"))
                    && missing
                    && !map.contains_key("tier")
                {
                    map.insert("policyTypes".to_owned(), json!(["Ingress"]));
                }
            }),
            Self::AnyNamespace => Box::new(|map| {
                for key in ["from", "to"] {
                    for peer in map.get_mut(key).and_then(Json::as_array_mut).into_iter().flatten()
                    {
                        if peer.get("podSelector").is_some()
                            && peer.get("namespaceSelector").is_none()
                        {
                            peer["namespaceSelector"] = json!({});
                        }
                    }
                }
            }),
            Self::EndPortOffByOne => Box::new(|map| {
                if let (Some(low), Some(high)) = (
                    map.get("port").and_then(Json::as_u64),
                    map.get("endPort").and_then(Json::as_u64),
                ) && high > low
                {
                    map.insert("endPort".to_owned(), json!(high - 1));
                }
            }),
            Self::EndPortIgnored => Box::new(|map| drop(map.remove("endPort"))),
            Self::NotInNeedsKey => Box::new(|map| {
                if let Some(Json::Array(list)) = map.get_mut("matchExpressions") {
                    let keys: Vec<Json> = list
                        .iter()
                        .filter(|item| item["operator"] == "NotIn")
                        .map(|item| item["key"].clone())
                        .collect();
                    list.extend(
                        keys.into_iter().map(|key| json!({"key": key, "operator": "Exists"})),
                    );
                }
            }),
            Self::UdpIsTcp => Box::new(|map| {
                if map.get("protocol").is_some_and(|protocol| protocol == "UDP") {
                    map.insert("protocol".to_owned(), json!("TCP"));
                }
                if let Some(udp) = map.remove("udp") {
                    map.insert("tcp".to_owned(), udp);
                }
            }),
            Self::NoProtocolIsAny => Box::new(|map| {
                for_every_protocol(map, |port| port.get("protocol").is_none());
            }),
            Self::PortlessIsAny => Box::new(|map| {
                for_every_protocol(map, |port| {
                    port.get("port").is_none() && port.get("containerPort").is_none()
                });
            }),
            Self::HostNetworkIsPod => Box::new(|map| drop(map.remove("hostNetwork"))),
            Self::SecondFamilyLost => Box::new(|map| {
                if let Some(Json::Array(ips)) = map.get_mut("podIPs")
                    && ips.len() > 1
                {
                    ips.retain(|ip| ip["ip"].as_str().is_some_and(|text| text.contains('.')));
                    let first = ips[0]["ip"].clone();
                    map.insert("podIP".to_owned(), first);
                }
            }),
            Self::EmptyPortsIsNone => Box::new(|map| {
                if map.get("ports").is_some_and(|ports| ports.as_array().is_some_and(Vec::is_empty))
                {
                    // A name that no container has.
                    map.insert("ports".to_owned(), json!([{"port": "nothing"}]));
                }
            }),
            Self::TypesIgnored => Box::new(|map| {
                if let Some(Json::Array(types)) = map.get("policyTypes").cloned() {
                    let has = |list: &str| {
                        map.get(list).is_some_and(|rules| !wire::items(rules).is_empty())
                    };
                    let mut wanted = types.clone();
                    for (list, name) in [("ingress", "Ingress"), ("egress", "Egress")] {
                        if !types.is_empty() && has(list) && !types.contains(&json!(name)) {
                            wanted.push(json!(name));
                        }
                    }
                    map.insert("policyTypes".to_owned(), Json::Array(wanted));
                }
            }),
            Self::ExpressionsIgnored => Box::new(|map| {
                if map
                    .get("matchLabels")
                    .and_then(Json::as_object)
                    .is_some_and(|labels| !labels.is_empty())
                {
                    map.remove("matchExpressions");
                }
            }),
            Self::RequirementsAreOr => Box::new(|map| {
                if let Some(Json::Object(labels)) = map.get_mut("matchLabels") {
                    while labels.len() > 1 {
                        let key = labels.keys().next().unwrap().clone();
                        labels.remove(&key);
                    }
                }
            }),
            Self::NameLabelMissing => Box::new(|map| {
                if let Some(Json::Object(labels)) = map.get_mut("matchLabels")
                    && let Some(value) = labels.remove("kubernetes.io/metadata.name")
                {
                    labels.insert("missing".to_owned(), value);
                }
                if map.get("key").is_some_and(|key| key == "kubernetes.io/metadata.name") {
                    map.insert("key".to_owned(), json!("missing"));
                }
            }),
            Self::EmptyValueIsMissing => Box::new(|map| {
                if let Some(Json::Object(labels)) = map.get_mut("labels") {
                    labels.retain(|_, value| value != "");
                }
            }),
            Self::InitPortsCount => Box::new(|map| {
                for container in
                    map.get_mut("initContainers").and_then(Json::as_array_mut).into_iter().flatten()
                {
                    container["restartPolicy"] = json!("Always");
                }
            }),
            Self::SidecarPortsLost => Box::new(|map| drop(map.remove("initContainers"))),
            Self::PrefixOffByOne => Box::new(|map| {
                if let Some(text) = map.get("cidr").and_then(Json::as_str)
                    && let Some((base, length)) = text.split_once('/')
                    && let Ok(length @ 1..) = length.parse::<u8>()
                {
                    map.insert("cidr".to_owned(), json!(format!("{base}/{}", length - 1)));
                }
            }),
            _ => return objects,
        };
        objects.iter_mut().for_each(|object| walk_mut(object, &mut edit));
        objects
    }

    /// Changes what lowering has made.
    pub fn lowered(self, lowered: &mut Lowered) {
        match self {
            Self::PriorityLost => {
                for policy in &mut lowered.policies {
                    match &mut policy.tier {
                        Tier::Admin { priority } | Tier::Baseline { priority } => *priority = 0,
                        Tier::Namespace => {}
                    }
                }
            }
            Self::FirstPolicyOnly => {
                let mut seen = Vec::new();
                lowered.policies.retain(|policy| {
                    let first = !seen.contains(&policy.id.namespace);
                    seen.push(policy.id.namespace.clone());
                    first || policy.tier != Tier::Namespace
                });
            }
            Self::MentionedNamespaceLost => {
                for namespace in lowered
                    .inventory
                    .namespaces
                    .iter_mut()
                    .filter(|namespace| namespace.span.is_none())
                {
                    namespace.labels.unset("kubernetes.io/metadata.name");
                }
            }
            _ => {}
        }
    }

    /// Changes what compilation has made.
    pub fn symbolic(self, symbolic: &mut SymbolicIr, inventory: &Inventory) {
        match self {
            Self::IsolationDropped => {
                for (policy, spans) in symbolic.policies.iter_mut().zip(&symbolic.spans) {
                    for (isolates, (start, end)) in policy.isolates.iter_mut().zip(spans) {
                        *isolates &= start != end;
                    }
                }
            }
            Self::PassAllows | Self::DenyIgnored | Self::PassGoesOn => {
                for clause in &mut symbolic.clauses {
                    match (self, clause.then) {
                        (Self::PassAllows, Then::Pass) => clause.then = Then::Allow,
                        (Self::PassGoesOn, Then::Pass) | (Self::DenyIgnored, Then::Deny) => {
                            clause.peer = SymPeer::Nobody
                        }
                        _ => {}
                    }
                }
            }
            Self::NameIsGlobal => {
                let number = |protocol: Option<Protocol>, name: &str| {
                    let pods = inventory.pods.iter().filter(|pod| pod.kind == PodKind::Pod);
                    let ports = pods.flat_map(|pod| &pod.ports);
                    let mut found = ports.filter(|port| {
                        port.name.as_deref() == Some(name)
                            && protocol.is_none_or(|protocol| protocol == port.protocol)
                    });
                    found.next().map_or(PortSet::empty(), |port| {
                        PortSet::point(ServicePoint::new(port.protocol, port.number))
                    })
                };
                for clause in &mut symbolic.clauses {
                    for (protocol, name) in core::mem::take(&mut clause.ports.names) {
                        clause.ports.numbers = clause.ports.numbers.union(&number(protocol, &name));
                    }
                }
            }
            Self::SixNotInBlock => {
                for clause in &mut symbolic.clauses {
                    if let SymPeer::Block(set) = &mut clause.peer {
                        *set = set.intersect(&AddrSet::family(Family::V4));
                    }
                }
            }
            Self::EmptyPeersIsNobody => {
                for clause in
                    symbolic.clauses.iter_mut().filter(|clause| clause.peer_index.is_none())
                {
                    clause.peer = SymPeer::Nobody;
                }
            }
            Self::BaselineFirst => {
                for policy in symbolic
                    .policies
                    .iter_mut()
                    .filter(|policy| policy.stage == StageKind::Baseline)
                {
                    policy.stage = StageKind::Admin;
                }
                // Baseline policies already stand after those of the Admin tier.
            }
            Self::AdminLast => {
                for policy in
                    symbolic.policies.iter_mut().filter(|policy| policy.stage == StageKind::Admin)
                {
                    policy.stage = StageKind::Baseline;
                }
            }
            Self::PortlessStopsPing => {
                for clause in
                    symbolic.clauses.iter_mut().filter(|clause| clause.ports.numbers.is_all())
                {
                    clause.ports.numbers = Protocol::WITH_PORTS
                        .iter()
                        .fold(PortSet::empty(), |sum, &one| sum.union(&PortSet::protocol(one)));
                }
            }
            Self::NetworksNotOverPods => {
                // A `Block` under a dialect where pods are never in one.
                for clause in &mut symbolic.clauses {
                    if let SymPeer::Networks(set) = &clause.peer {
                        clause.peer = SymPeer::Block(set.clone());
                    } else if let SymPeer::Block(set) = &clause.peer {
                        clause.peer = SymPeer::Networks(set.clone());
                    }
                }
            }
            _ => {}
        }
    }

    /// The dialect to bind in.
    #[must_use]
    pub fn dialect(self, dialect: Dialect) -> Dialect {
        match self {
            Self::BlockNotOverPods | Self::NetworksNotOverPods => {
                Dialect { block_over_pods: Matching::Never, ..dialect }
            }
            Self::BlockNotOverNodes => Dialect { block_over_nodes: Matching::Never, ..dialect },
            _ => dialect,
        }
    }

    /// Changes what binding has made.
    pub fn bound(self, bound: &mut Bound) {
        match self {
            Self::SelfNotExempt => bound.pods.iter_mut().for_each(|pod| pod.replicas = 2),
            Self::OwnNodeNotExempt => bound.own_node_exempt = false,
            Self::AnyNodeExempt => {
                let one: std::sync::Arc<str> = "one".into();
                bound
                    .pods
                    .iter_mut()
                    .filter(|pod| pod.node.is_some())
                    .for_each(|pod| pod.node = Some(one.clone()));
                bound.node_by_address.values_mut().for_each(|node| *node = one.clone());
            }
            Self::NameOnSource => name_on_source(bound),
            Self::NodesWithoutPods => {
                let first = bound.atoms.first_pod();
                let nodes: Vec<u32> = clauses_where(bound, |symbolic, idx| {
                    matches!(symbolic.clause(idx).peer, SymPeer::Nodes(_))
                });
                for set in nodes {
                    let PeerSet { must, may } = &mut bound.peer_sets[set as usize];
                    let pods = moat_sets::IdSet::range(first, u32::MAX);
                    must.minus_with(&pods);
                    may.minus_with(&pods);
                }
            }
            Self::BaselineAfterIsolation => {
                let baseline: Vec<_> = bound
                    .programs
                    .iter()
                    .filter(|program| {
                        program.stages.iter().all(|stage| stage.kind != StageKind::Namespace)
                    })
                    .cloned()
                    .collect();
                for program in &mut bound.programs {
                    let Some(stage) =
                        program.stages.iter_mut().find(|stage| stage.kind == StageKind::Namespace)
                    else {
                        continue;
                    };
                    let end = baseline.iter().find(|other| {
                        other.direction == program.direction
                            && other.stages.iter().any(|stage| stage.kind == StageKind::Baseline)
                    });
                    if let Some(end) = end {
                        stage.clauses.retain(|clause| !matches!(clause.why, Why::Isolated(_)));
                        program.stages.extend(
                            end.stages
                                .iter()
                                .filter(|stage| stage.kind >= StageKind::Baseline)
                                .cloned(),
                        );
                    }
                }
            }
            Self::EgressForgotten => {
                for program in bound
                    .programs
                    .iter_mut()
                    .filter(|program| program.direction == Direction::Egress)
                {
                    program.stages.retain(|stage| {
                        stage.kind == StageKind::Default || stage.kind == StageKind::Namespace
                    });
                    for clause in program.stages.iter_mut().flat_map(|stage| &mut stage.clauses) {
                        clause.then = Then::Allow;
                    }
                }
            }
            _ => {}
        }
    }
}

/// The two peers that a peer with both selectors falls into.
fn split(peer: &Json) -> Vec<Json> {
    if peer.get("podSelector").is_some() && peer.get("namespaceSelector").is_some() {
        vec![
            json!({"namespaceSelector": peer["namespaceSelector"]}),
            json!({"podSelector": peer["podSelector"]}),
        ]
    } else {
        vec![peer.clone()]
    }
}

/// Repeats each port entry of a policy rule that `wanted` holds for, for every protocol.
fn for_every_protocol(map: &mut Map<String, Json>, wanted: impl Fn(&Json) -> bool) {
    // A container also has `ports`.
    if map.contains_key("image") {
        return;
    }
    if let Some(Json::Array(ports)) = map.get_mut("ports") {
        *ports = ports
            .iter()
            .flat_map(|port| {
                let with = |protocol: &str| {
                    let mut port = port.clone();
                    port["protocol"] = json!(protocol);
                    port
                };
                if wanted(port) {
                    ["TCP", "UDP", "SCTP"].map(with).to_vec()
                } else {
                    vec![port.clone()]
                }
            })
            .collect();
    }
}

/// The peer sets of clauses whose symbolic clause `wanted` holds for.
fn clauses_where(bound: &Bound, wanted: impl Fn(&SymbolicIr, u32) -> bool) -> Vec<u32> {
    let clauses =
        bound.programs.iter().flat_map(|program| &program.stages).flat_map(|stage| &stage.clauses);
    let found = clauses
        .filter(|clause| matches!(clause.why, Why::Rule(idx) if wanted(&bound.symbolic, idx)));
    let mut sets: Vec<u32> = found.map(|clause| clause.peers).collect();
    sets.sort_unstable();
    sets.dedup();
    sets
}

/// Looks port names of egress rules up on the first pod that the program is for.
fn name_on_source(bound: &mut Bound) {
    for (id, program) in
        (0..).zip(&mut bound.programs).filter(|(_, program)| program.direction == Direction::Egress)
    {
        let class = bound.classes.iter().find(|class| class.program(Direction::Egress) == Some(id));
        let Some(pod) =
            class.and_then(|class| class.pods.first()).map(|&pod| &bound.pods[pod as usize])
        else {
            continue;
        };
        for clause in program.stages.iter_mut().flat_map(|stage| &mut stage.clauses) {
            let Why::Rule(idx) = clause.why else { continue };
            let ports = &bound.symbolic.clause(idx).ports;
            if ports.names.is_empty() || clause.ports == ports.numbers {
                continue;
            }
            let own = |protocol: &Option<Protocol>, name: &str| {
                let own = pod.ports.iter().filter(|(have, one, _)| {
                    have.as_deref() == Some(name)
                        && protocol.is_none_or(|protocol| protocol == *one)
                });
                own.fold(PortSet::empty(), |sum, &(_, protocol, number)| {
                    sum.union(&PortSet::point(ServicePoint::new(protocol, number)))
                })
            };
            clause.ports = ports
                .names
                .iter()
                .fold(PortSet::empty(), |sum, (protocol, name)| sum.union(&own(protocol, name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_each_bug_once() {
        let mut sorted = Bug::ALL.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), Bug::ALL.len());
        assert_eq!(Bug::ExceptIgnored.name(), "except-ignored");
    }
}
