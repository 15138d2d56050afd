//! Pods of both states, and the pairs of them whose ports differ.
//!
//! Pods that share their class before and their class after form a combo; pairs are compared combo by combo, and only where one of
//! the two programs speaks of the peer differently than before.

use super::pool::{EVERYTHING, Pool, PortsId};
use super::sides::{SideId, State, index};
use core::ops::Range;
use moat_ir::{ClassIdx, Direction, Management, PodIdx};
use moat_sets::IdSet;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pods of one class before and one class after.
#[derive(Debug)]
pub(crate) struct Combo {
    pub(crate) old: ClassIdx,
    pub(crate) new: ClassIdx,
    /// Its units.
    pub(crate) units: Range<u32>,
    /// The only pod, which policies never come between and itself.
    pub(crate) lone: bool,
}

/// Pods of a combo that were on one node and are on one node now, where that matters.
#[derive(Debug)]
pub(crate) struct Unit {
    nodes: [Option<Arc<str>>; 2],
    /// Each pod's index before and after.
    pub(crate) pods: Vec<(PodIdx, PodIdx)>,
}

/// The pods that are in both states.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) combos: Vec<Combo>,
    pub(crate) units: Vec<Unit>,
}

impl Common {
    pub(crate) fn new(old: &State<'_>, new: &State<'_>, pods: &[(PodIdx, PodIdx)]) -> Self {
        let hosts = pods.iter().any(|&(before, after)| {
            old.bound.pod(before).host_network || new.bound.pod(after).host_network
        });
        let mut members: BTreeMap<
            (ClassIdx, ClassIdx),
            BTreeMap<[Option<Arc<str>>; 2], Vec<(PodIdx, PodIdx)>>,
        > = BTreeMap::new();
        for &(before, after) in pods {
            let (was, is) = (old.bound.pod(before), new.bound.pod(after));
            // Which node a pod is on matters only to pods on a node's network.
            let nodes = if hosts { [was.node.clone(), is.node.clone()] } else { [None, None] };
            members
                .entry((was.class, is.class))
                .or_default()
                .entry(nodes)
                .or_default()
                .push((before, after));
        }
        let mut common = Self::default();
        for ((was, is), by_nodes) in members {
            let start = index(common.units.len());
            common.units.extend(by_nodes.into_iter().map(|(nodes, pods)| Unit { nodes, pods }));
            let units = start..index(common.units.len());
            let mut pods = common.units[start as usize..].iter().flat_map(|unit| &unit.pods);
            let lone = match (pods.next(), pods.next()) {
                (Some(&(before, after)), None) => !replicated(old, new, before, after),
                _ => false,
            };
            common.combos.push(Combo { old: was, new: is, units, lone });
        }
        common
    }

    /// The pods of a set of units, as indexes of the new state, rising.
    pub(crate) fn pods(&self, units: &IdSet) -> Vec<(PodIdx, PodIdx)> {
        let mut pods: Vec<(PodIdx, PodIdx)> =
            units.iter().flat_map(|unit| self.units[unit as usize].pods.iter().copied()).collect();
        pods.sort_unstable_by_key(|&(_, after)| after);
        pods
    }

    /// The combos of each pair of sides, by direction.
    pub(crate) fn by_sides(
        &self,
        old: &State<'_>,
        new: &State<'_>,
        direction: Direction,
    ) -> BTreeMap<(SideId, SideId), Vec<u32>> {
        let mut out: BTreeMap<(SideId, SideId), Vec<u32>> = BTreeMap::new();
        for (at, combo) in self.combos.iter().enumerate() {
            out.entry((old.side(combo.old, direction), new.side(combo.new, direction)))
                .or_default()
                .push(index(at));
        }
        out
    }
}

/// Whether a workload's pods talk to each other: then the workload is a peer of itself.
pub(crate) fn replicated(old: &State<'_>, new: &State<'_>, before: PodIdx, after: PodIdx) -> bool {
    old.bound.pod(before).replicas > 1 && new.bound.pod(after).replicas > 1
}

/// Ports before and after.
pub(crate) type Step = (PortsId, PortsId);
/// For each step, sources with the units they take it to.
pub(crate) type Rows = BTreeMap<Step, Vec<(u32, IdSet)>>;

/// Finds the pairs whose ports differ.
pub(crate) fn rows(old: &State<'_>, new: &State<'_>, common: &Common, pool: &mut Pool) -> Rows {
    let egress = common.by_sides(old, new, Direction::Egress);
    let ingress = common.by_sides(old, new, Direction::Ingress);
    let mut to: Vec<IdSet> = vec![IdSet::new(); common.combos.len()];
    for (sides, members) in &egress {
        let changed = speaks_differently(old, new, common, *sides);
        for &source in members.iter().filter(|_| !changed.is_empty()) {
            to[source as usize].union_with(&changed);
        }
    }
    for (sides, members) in &ingress {
        let members: IdSet = members.iter().copied().collect();
        for source in speaks_differently(old, new, common, *sides).iter() {
            to[source as usize].union_with(&members);
        }
    }
    let everyone = IdSet::range(0, index(common.combos.len()));
    let mut out = Rows::new();
    for (at, source) in common.combos.iter().enumerate() {
        let (was, is) = (old.bound.class(source.old), new.bound.class(source.new));
        let host = [is_host(old, source.old), is_host(new, source.new)].contains(&true);
        let families = was.atoms.map(|atom| atom.is_some()) != is.atoms.map(|atom| atom.is_some());
        let candidates = if host || families { &everyone } else { &to[at] };
        let mut steps: FxHashMap<Step, IdSet> = FxHashMap::default();
        for peer in candidates.iter() {
            let destination = &common.combos[peer as usize];
            if peer as usize == at && source.lone {
                continue;
            }
            let before = old.pair(pool, source.old, destination.old);
            let after = new.pair(pool, source.new, destination.new);
            if !host {
                if before != after {
                    steps
                        .entry((before, after))
                        .or_default()
                        .union_with(&IdSet::range(destination.units.start, destination.units.end));
                }
                continue;
            }
            for unit in destination.units.clone() {
                let [was_on, is_on] = &common.units[unit as usize].nodes;
                let before =
                    exempt(old, pool, source.old, destination.old, was_on.as_ref(), before);
                let after = exempt(new, pool, source.new, destination.new, is_on.as_ref(), after);
                if before != after {
                    steps.entry((before, after)).or_default().insert(unit);
                }
            }
        }
        let mut steps: Vec<(Step, IdSet)> = steps.into_iter().collect();
        steps.sort_unstable_by_key(|(step, _)| *step);
        for (step, units) in steps {
            out.entry(step).or_default().push((index(at), units));
        }
    }
    out
}

/// The combos of which the new side does not say what the old side said.
fn speaks_differently(
    old: &State<'_>,
    new: &State<'_>,
    common: &Common,
    (was, is): (SideId, SideId),
) -> IdSet {
    let (before, after) = (old.spread(was), new.spread(is));
    let says = |spread: &[PortsId], atoms: [Option<u32>; 2]| {
        atoms.map(|atom| atom.map(|atom| spread[atom as usize]))
    };
    let differs = |combo: &Combo| {
        says(&before, old.bound.class(combo.old).atoms)
            != says(&after, new.bound.class(combo.new).atoms)
    };
    common
        .combos
        .iter()
        .enumerate()
        .filter(|(_, combo)| differs(combo))
        .map(|(at, _)| index(at))
        .collect()
}

fn is_host(state: &State<'_>, class: ClassIdx) -> bool {
    state.bound.own_node_exempt
        && state
            .bound
            .class(class)
            .pods
            .first()
            .is_some_and(|&pod| state.bound.pod(pod).host_network)
}

/// What a pair may use once the node's own pods are exempt, as [`moat_ir::Bound::decide`] has it.
fn exempt(
    state: &State<'_>,
    pool: &mut Pool,
    from: ClassIdx,
    to: ClassIdx,
    node: Option<&Arc<str>>,
    ports: PortsId,
) -> PortsId {
    if !is_host(state, from) || state.bound.class(to).management == Management::Unmanaged {
        return ports;
    }
    // The node is part of what makes a class of pods on a node's network.
    let own =
        state.bound.class(from).pods.first().and_then(|&pod| state.bound.pod(pod).node.as_ref());
    match (own, node) {
        (Some(own), Some(node)) if own == node => EVERYTHING,
        (Some(_), Some(_)) => ports,
        _ => pool.doubted(ports),
    }
}
