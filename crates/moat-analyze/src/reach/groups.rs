//! The matrix for people: pods with the same connections as groups, groups with the same peers on one line.

use crate::reach::matrix::{End, EndId, Matrix};
use crate::reach::names::{Namer, Part};
use crate::reach::sides::index;
use crate::reach::values::{NOTHING, ValueId};
use moat_ir::{Bound, Direction, PodIdx, StageKind};
use moat_sets::{IdSet, PortSet};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Index of a node in [`Grouped::nodes`].
pub type NodeId = u32;

/// A group of pods, or an outside end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    /// Pods with the same connections, in rising order.
    Group(Vec<PodIdx>),
    /// Addresses, or a domain name.
    Outside(EndId),
}

/// Every source may talk to every destination on these ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Who opens connections.
    pub sources: Vec<NodeId>,
    /// To whom.
    pub destinations: Vec<NodeId>,
    /// On which ports.
    pub ports: PortSet,
    /// How many ordered pairs of pods and outside ends that are.
    pub n_pairs: u64,
}

/// Counts that come first.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// Running pods.
    pub pods: usize,
    /// Namespaces with running pods.
    pub namespaces: usize,
    /// Policies.
    pub policies: usize,
    /// Pods that a NetworkPolicy isolates for ingress and egress.
    pub isolated: [usize; 2],
    /// Pods that some address outside may reach, and that may reach some address outside.
    pub outside: [usize; 2],
    /// Ordered pairs with an allowed port, by policies alone.
    pub pairs: u64,
    /// Ordered pairs some of whose ports depend on something that is not known.
    pub undefined: u64,
    /// Pods on their node's network: what they may do to pods of their own node is not in the lines.
    pub host_network: usize,
}

/// The grouped matrix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grouped {
    /// Groups and outside ends that have a connection.
    pub nodes: Vec<Node>,
    /// What they may do, each pair on one line.
    pub lines: Vec<Line>,
    /// Counts.
    pub summary: Summary,
}

/// Adds without regard to order, so that sets can be compared without being held. Two of them make accidents unthinkable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
struct Print(u64, u64);

impl Print {
    fn add(&mut self, key: u64) {
        self.0 = self.0.wrapping_add(mix(key ^ 0x9e37_79b9_7f4a_7c15));
        self.1 = self.1.wrapping_add(mix(key ^ 0xc2b2_ae3d_27d4_eb4f));
    }
}

fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

fn key(id: u32, value: ValueId) -> u64 {
    (u64::from(id) << 32) | u64::from(value)
}

/// Pods of one class that were all asked for, or all not.
struct Unit {
    class: u32,
    selected: bool,
    pods: Vec<PodIdx>,
}

impl Matrix<'_> {
    /// Groups pods by their connections.
    #[must_use]
    pub fn grouped(&self) -> Grouped {
        Grouper::new(self).finish()
    }

    /// Counts over the inventory.
    #[must_use]
    pub fn summary(&self, namer: &Namer<'_>) -> Summary {
        let bound = self.bound;
        let mut summary = Summary {
            pods: namer.n_pods(),
            namespaces: namer.n_namespaces(),
            policies: bound.symbolic.policies.len(),
            ..Summary::default()
        };
        for (class, pods) in (0u32..).zip(&self.running) {
            for ((direction, isolated), (outside, ends)) in Direction::BOTH
                .into_iter()
                .zip(&mut summary.isolated)
                .zip(summary.outside.iter_mut().zip(&self.outside))
            {
                if is_isolated(bound, class, direction) {
                    *isolated += pods.len();
                }
                let side = self.sides[usize::from(direction == Direction::Egress)].of_class
                    [class as usize];
                if ends[side as usize]
                    .iter()
                    .any(|&(_, value)| !self.values.get(value).allow.is_empty())
                {
                    *outside += pods.len();
                }
            }
            summary.host_network += pods.iter().filter(|&&pod| bound.pod(pod).host_network).count();
        }
        summary
    }
}

fn is_isolated(bound: &Bound, class: u32, direction: Direction) -> bool {
    let program = bound.class(class).program(direction).map(|id| bound.program(id));
    program.is_some_and(|program| {
        program.stages.iter().any(|stage| stage.kind == StageKind::Namespace)
    })
}

struct Grouper<'m> {
    matrix: &'m Matrix<'m>,
    units: Vec<Unit>,
    units_of: Vec<Vec<u32>>,
    /// Values by their certain ports alone.
    shown: FxHashMap<ValueId, (ValueId, bool)>,
    summary: Summary,
}

impl<'m> Grouper<'m> {
    fn new<'b: 'm>(matrix: &'m Matrix<'b>) -> Self {
        let mut units = Vec::new();
        let mut units_of = vec![Vec::new(); matrix.running.len()];
        for (class, pods) in (0u32..).zip(&matrix.running) {
            for selected in [true, false] {
                let own: Vec<PodIdx> = pods
                    .iter()
                    .copied()
                    .filter(|&pod| matrix.selected[pod as usize] == selected)
                    .collect();
                if !own.is_empty() {
                    units_of[class as usize].push(index(units.len()));
                    units.push(Unit { class, selected, pods: own });
                }
            }
        }
        let summary = matrix.summary(&Namer::new(matrix.bound));
        Self { matrix, units, units_of, shown: FxHashMap::default(), summary }
    }

    fn shown(&mut self, value: ValueId) -> (ValueId, bool) {
        let values = &self.matrix.values;
        *self.shown.entry(value).or_insert_with(|| {
            let value = values.get(value);
            // Pairs that only ICMP may cross have no row either.
            let allow = if value.texts.is_empty() { PortSet::empty() } else { value.allow.clone() };
            (values.intern(allow.clone(), allow), value.is_doubtful())
        })
    }

    fn keeps(&self, source: bool, destination: bool) -> bool {
        let direction = self.matrix.direction;
        (source && direction != Some(Direction::Ingress))
            || (destination && direction != Some(Direction::Egress))
    }

    fn finish(mut self) -> Grouped {
        let matrix = self.matrix;
        let mut scan = matrix.scan();
        let mut prints = vec![[Print::default(); 2]; self.units.len()];
        let outside_base = index(self.units.len());
        for class in 0..index(matrix.running.len()) {
            if self.units_of[class as usize].is_empty() {
                continue;
            }
            let row: Vec<(u32, ValueId)> = scan.class_row(Direction::Egress, class).collect();
            for (peer, value) in row {
                let (value, doubtful) = self.shown(value);
                for &from in &self.units_of[class as usize] {
                    for &to in &self.units_of[peer as usize] {
                        let [source, destination] =
                            [from, to].map(|unit| &self.units[unit as usize]);
                        if !self.keeps(source.selected, destination.selected) {
                            continue;
                        }
                        let own = if from == to { source.pods.len() as u64 } else { 0 };
                        let n_pairs =
                            source.pods.len() as u64 * destination.pods.len() as u64 - own;
                        self.summary.undefined += if doubtful { n_pairs } else { 0 };
                        if value != NOTHING {
                            self.summary.pairs += n_pairs;
                            prints[from as usize][0].add(key(to, value));
                            prints[to as usize][1].add(key(from, value));
                        }
                    }
                }
            }
            for (direction, at) in [(Direction::Egress, 0), (Direction::Ingress, 1)] {
                for (end, value, doubtful) in self.outside(direction, class) {
                    for &unit in &self.units_of[class as usize] {
                        if self.units[unit as usize].selected
                            && matrix.direction.is_none_or(|asked| asked == direction)
                        {
                            let n_pods = self.units[unit as usize].pods.len() as u64;
                            self.summary.undefined += if doubtful { n_pods } else { 0 };
                            if value != NOTHING {
                                self.summary.pairs += n_pods;
                                prints[unit as usize][at].add(key(outside_base + end, value));
                            }
                        }
                    }
                }
            }
        }
        // Groups in the order of their first units, which is the order of classes and so of nothing people see: sorted at the end.
        let mut group_ids: FxHashMap<([Print; 2], bool), NodeId> = FxHashMap::default();
        let mut members: Vec<Vec<u32>> = Vec::new();
        let mut group_of = Vec::with_capacity(self.units.len());
        for (unit, prints) in prints.iter().enumerate() {
            let id = *group_ids.entry((*prints, self.units[unit].selected)).or_insert_with(|| {
                members.push(Vec::new());
                index(members.len() - 1)
            });
            members[id as usize].push(index(unit));
            group_of.push(id);
        }
        let n_groups = index(members.len());
        let pods_of = |units: &Vec<u32>| {
            let mut pods: Vec<PodIdx> = units
                .iter()
                .flat_map(|&unit| self.units[unit as usize].pods.iter().copied())
                .collect();
            pods.sort_unstable();
            pods
        };
        let groups: Vec<Vec<PodIdx>> = members.iter().map(pods_of).collect();
        let mut edges: Vec<(NodeId, NodeId, ValueId)> = Vec::new();
        for (group, units) in (0u32..).zip(&members) {
            let Some(&unit) = units.first() else { continue };
            let (class, selected) =
                (self.units[unit as usize].class, self.units[unit as usize].selected);
            let start = edges.len();
            let row: Vec<(u32, ValueId)> = scan.class_row(Direction::Egress, class).collect();
            for (peer, value) in row {
                let (value, _) = self.shown(value);
                for &to in &self.units_of[peer as usize] {
                    if value != NOTHING && self.keeps(selected, self.units[to as usize].selected) {
                        edges.push((group, group_of[to as usize], value));
                    }
                }
            }
            if let Some(own) = edges.get_mut(start..) {
                own.sort_unstable();
            }
            // All members of a group are alike as peers.
            let mut kept = start;
            for at in start..edges.len() {
                if at == start || edges[at] != edges[kept - 1] {
                    edges[kept] = edges[at];
                    kept += 1;
                }
            }
            edges.truncate(kept);
            for (direction, egress) in [(Direction::Egress, true), (Direction::Ingress, false)] {
                if !selected || matrix.direction.is_some_and(|asked| asked != direction) {
                    continue;
                }
                for (end, value, _) in self.outside(direction, class) {
                    if value != NOTHING {
                        let outside = n_groups + end;
                        edges.push(if egress {
                            (group, outside, value)
                        } else {
                            (outside, group, value)
                        });
                    }
                }
            }
        }
        self.lines(groups, &edges)
    }

    /// The outside ends of a class; names inside what is open to every address anyway are left out.
    fn outside(&mut self, direction: Direction, class: u32) -> Vec<(EndId, ValueId, bool)> {
        let matrix = self.matrix;
        let at = usize::from(direction == Direction::Egress);
        let side = matrix.sides[at].of_class[class as usize];
        let ends = &matrix.outside[at][side as usize];
        let everywhere = ends
            .iter()
            .find(|&&(end, _)| matrix.name(end) == "0.0.0.0/0 ::/0")
            .map(|&(_, value)| matrix.values.get(value).allow.clone());
        let mut out = Vec::with_capacity(ends.len());
        for &(end, value) in ends {
            let domain = matrix.name(end).starts_with("domain:");
            let implied = domain
                && everywhere
                    .as_ref()
                    .is_some_and(|everywhere| matrix.values.get(value).allow.is_subset(everywhere));
            if !implied {
                let (value, doubtful) = self.shown(value);
                out.push((end, value, doubtful));
            }
        }
        out
    }

    fn lines(self, groups: Vec<Vec<PodIdx>>, edges: &[(NodeId, NodeId, ValueId)]) -> Grouped {
        let matrix = self.matrix;
        let n_groups = index(groups.len());
        let by_destination = bundle(edges.iter().map(|&(from, to, value)| (to, value, from)));
        let by_source = bundle(edges.iter().copied().map(|(from, to, value)| (from, value, to)));
        let turned = by_source.len() < by_destination.len();
        let bundles = if turned { by_source } else { by_destination };
        let mut used: BTreeMap<NodeId, Vec<PodIdx>> = BTreeMap::new();
        for &(from, to, _) in edges {
            for node in [from, to] {
                used.entry(node)
                    .or_insert_with(|| groups.get(node as usize).cloned().unwrap_or_default());
            }
        }
        // Groups by their first pod, then the outside in the order of rows.
        let mut order: Vec<NodeId> = used.keys().copied().collect();
        order.sort_by_key(|&node| {
            (node >= n_groups, used.get(&node).and_then(|pods| pods.first().copied()), node)
        });
        let new_id: FxHashMap<NodeId, NodeId> = order.iter().copied().zip(0u32..).collect();
        let mut nodes = Vec::with_capacity(order.len());
        for node in order {
            nodes.push(if node >= n_groups {
                Node::Outside(node - n_groups)
            } else {
                Node::Group(used.remove(&node).unwrap_or_default())
            });
        }
        let renamed = |ids: &mut dyn Iterator<Item = NodeId>| {
            let mut ids: Vec<NodeId> = ids.filter_map(|id| new_id.get(&id).copied()).collect();
            ids.sort_unstable();
            ids
        };
        let size = |node: &NodeId| match nodes.get(*node as usize) {
            Some(Node::Group(pods)) => pods.len() as u64,
            _ => 1,
        };
        let mut lines: Vec<Line> = bundles
            .into_iter()
            .map(|(value, heads, tails)| {
                let (heads, tails) = (renamed(&mut heads.into_iter()), renamed(&mut tails.iter()));
                let (sources, destinations) = if turned { (heads, tails) } else { (tails, heads) };
                let own: u64 = sources
                    .iter()
                    .filter(|node| destinations.binary_search(node).is_ok())
                    .map(size)
                    .sum();
                let n_pairs = sources.iter().map(size).sum::<u64>()
                    * destinations.iter().map(size).sum::<u64>()
                    - own;
                Line {
                    sources,
                    destinations,
                    ports: matrix.values.get(value).allow.clone(),
                    n_pairs,
                }
            })
            // A pod on its own and itself are no pair.
            .filter(|line| line.n_pairs > 0)
            .collect();
        lines.sort_by(|a, b| {
            (&a.destinations, &a.sources, &a.ports).cmp(&(&b.destinations, &b.sources, &b.ports))
        });
        Grouped { nodes, lines, summary: self.summary }
    }
}

type Bundle = (ValueId, Vec<NodeId>, IdSet);

/// Joins heads that have the same tails on the same ports.
fn bundle(edges: impl Iterator<Item = (NodeId, ValueId, NodeId)>) -> Vec<Bundle> {
    let mut tails: BTreeMap<(NodeId, ValueId), (Print, IdSet)> = BTreeMap::new();
    for (head, value, tail) in edges {
        let (print, set) = tails.entry((head, value)).or_default();
        if set.insert(tail) {
            print.add(u64::from(tail));
        }
    }
    let mut at: FxHashMap<(ValueId, Print), usize> = FxHashMap::default();
    let mut out: Vec<Bundle> = Vec::new();
    for ((head, value), (print, set)) in tails {
        match at.get(&(value, print)).and_then(|&at| out.get_mut(at)) {
            Some((_, heads, _)) => heads.push(head),
            None => {
                at.insert((value, print), out.len());
                out.push((value, vec![head], set));
            }
        }
    }
    out
}

impl Grouped {
    /// The name of a node.
    #[must_use]
    pub fn parts(
        &self,
        matrix: &Matrix<'_>,
        namer: &Namer<'_>,
        nodes: &[NodeId],
    ) -> (Vec<Part>, Vec<String>) {
        let mut pods = Vec::new();
        let mut outside = Vec::new();
        for &node in nodes {
            match self.nodes.get(node as usize) {
                Some(Node::Group(members)) => pods.extend_from_slice(members),
                Some(Node::Outside(end)) => outside.push(matrix.name(*end).to_owned()),
                None => {}
            }
        }
        pods.sort_unstable();
        (if pods.is_empty() { Vec::new() } else { namer.name(&pods) }, outside)
    }

    /// Whether a node is outside.
    #[must_use]
    pub fn is_outside(&self, node: NodeId) -> bool {
        matches!(self.nodes.get(node as usize), Some(Node::Outside(_)))
    }
}

impl Matrix<'_> {
    /// The pod of an end; none for the outside.
    #[must_use]
    pub fn pod_of(&self, end: EndId) -> Option<PodIdx> {
        match self.ends.get(end as usize) {
            Some(End::Pod(pod)) => Some(*pod),
            _ => None,
        }
    }
}
