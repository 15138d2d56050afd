//! The chain of a program: from a peer's address to the row of its ports.

use super::{Refused, Renderer, dispatch_name, host, verdict};
use crate::model::{Chain, Element, Field, Name, Rule, Set, SetKey, SetShape, Statement, Verdict};
use crate::reason::hash;
use moat_ir::{AtomKind, Bound, Clause, Direction, OutcomeCell, Program, ProgramId, Why};
use moat_sets::{AddrSet, Family, IdSet};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

impl Renderer<'_> {
    /// The chain of a program for one IP family; made when first asked for.
    pub(super) fn group(&mut self, id: ProgramId, family: Family) -> Name {
        if let Some(name) = self.groups.get(&(id, family)) {
            return name.clone();
        }
        let bound = self.bound;
        let program = bound.program(id);
        let version = if family == Family::V4 { 4 } else { 6 };
        let (direction, text) = (program.direction, program_name(bound, program));
        let name: Name = format!("{}{direction}{version}_{text}", self.prefix()).into();
        self.groups.insert((id, family), name.clone());
        let cells = bound.outcomes(program);
        let peers = Peers::new(bound, &self.pods, &cells, family);
        let n_elements = peers.exact.len() + peers.ranges.len();
        let rules = if n_elements > self.settings.elements_max {
            self.refused.push(Refused {
                program: id,
                policies: policies(bound, program),
                n_elements,
            });
            let end = if self.staged {
                Verdict::Return
            } else {
                Verdict::Goto(format!("closed_{}", program.direction).into())
            };
            vec![verdict(end)]
        } else {
            self.fill(program.direction, family, &name, &cells, &peers)
        };
        self.table.chains.insert(name.clone(), Chain { base: None, rules });
        name
    }

    fn fill(
        &mut self,
        direction: Direction,
        family: Family,
        name: &str,
        cells: &[OutcomeCell],
        peers: &Peers,
    ) -> Vec<Rule> {
        let mut rows: BTreeMap<usize, Name> = BTreeMap::new();
        for &cell in peers.exact.values().chain(peers.ranges.values()).chain([&peers.rest]) {
            if let (false, Some(found)) = (rows.contains_key(&cell), cells.get(cell)) {
                rows.insert(cell, self.row(direction, &found.ports));
            }
        }
        let goto = |cell: &usize| rows.get(cell).map(|row| Verdict::Goto(row.clone()));
        let peer_field = peer_field(direction, family);
        let key = if family == Family::V4 { SetKey::V4 } else { SetKey::V6 };
        let mut rules = Vec::new();
        let maps = [(&peers.exact, "pods", false), (&peers.ranges, "cidrs", true)];
        for (elements, suffix, interval) in maps {
            // The map of pods is always there, so that the first pod that appears is an element and nothing else.
            if elements.is_empty() && interval {
                continue;
            }
            let map: Name = format!("{name}_{suffix}").into();
            let mut set = Set::new(SetShape { key, interval, map: true });
            set.elements =
                elements.iter().map(|(element, cell)| (element.clone(), goto(cell))).collect();
            self.table.sets.insert(map.clone(), set);
            rules.push(Rule::new(vec![Statement::Vmap { key: vec![peer_field], map }]));
        }
        rules.extend(goto(&peers.rest).map(verdict));
        rules
    }
}

/// The field with the other end's address.
fn peer_field(direction: Direction, family: Family) -> Field {
    let other =
        if direction == Direction::Ingress { Direction::Egress } else { Direction::Ingress };
    dispatch_name(other, family).1
}

/// The pods that packets can come from or go to by an address of their own, by where a peer set has them.
pub(super) struct PodTable {
    /// For each pod atom, its pods' addresses with the address atom that each lies in.
    by_atom: Vec<Vec<(Element, u32)>>,
    /// For each address atom, the pod atoms with pods in it.
    within: BTreeMap<u32, Vec<u32>>,
}

impl PodTable {
    pub(super) fn new(bound: &Bound) -> Self {
        let first = bound.atoms.first_pod();
        let mut by_atom = Vec::with_capacity((bound.atoms.len() - first) as usize);
        let mut within: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for atom in first..bound.atoms.len() {
            let mut found = Vec::new();
            if let Some(AtomKind::Pods { class, family }) = bound.atoms.get(atom) {
                for &pod in &bound.class(class).pods {
                    let info = bound.pod(pod);
                    // Who shares its node's network is known by its node's address only.
                    if info.host_network || info.finished {
                        continue;
                    }
                    for &address in &info.addresses {
                        let owned = bound.pod_by_address.get(&address) == Some(&pod);
                        if owned && Family::of(address) == family {
                            let around = bound.atoms.of_address(address);
                            found.push((host(address), around));
                            let inside = within.entry(around).or_default();
                            if inside.last() != Some(&atom) {
                                inside.push(atom);
                            }
                        }
                    }
                }
            }
            by_atom.push(found);
        }
        Self { by_atom, within }
    }
}

/// Which cell each address of a family belongs to.
struct Peers {
    /// Pods, where they differ from the addresses around them.
    exact: BTreeMap<Element, usize>,
    /// Ranges of addresses, where they differ from the rest.
    ranges: BTreeMap<Element, usize>,
    /// The cell of everyone else: the one with most addresses.
    rest: usize,
}

impl Peers {
    fn new(bound: &Bound, table: &PodTable, cells: &[OutcomeCell], family: Family) -> Self {
        let addresses: Vec<AddrSet> =
            cells.iter().map(|cell| bound.atoms.addresses(&cell.peers)).collect();
        let widths: Vec<u128> = addresses.iter().map(|set| width(set, family)).collect();
        // The first of the widest, so that the same input always gives the same ruleset.
        let rest = (0..cells.len()).rev().max_by_key(|&at| widths[at]).unwrap_or(0);
        let mut ranges = BTreeMap::new();
        for (at, set) in addresses.iter().enumerate().filter(|(at, _)| *at != rest) {
            ranges.extend(self::ranges(set, family).map(|range| (range, at)));
        }
        let first = bound.atoms.first_pod();
        let n_atoms = bound.atoms.len();
        let mut of_address = vec![rest; first as usize];
        // Only pods of other cells than the rest, and pods that lie in addresses of other cells, can differ from what is around them.
        let mut candidates = IdSet::new();
        for (at, cell) in cells.iter().enumerate().filter(|(at, _)| *at != rest) {
            for atom in cell.peers.intersect(&IdSet::range(0, first)).iter() {
                of_address[atom as usize] = at;
                candidates.extend(table.within.get(&atom).into_iter().flatten().copied());
            }
            candidates.union_with(&cell.peers.intersect(&IdSet::range(first, n_atoms)));
        }
        let mut exact = BTreeMap::new();
        for (at, cell) in cells.iter().enumerate() {
            for atom in cell.peers.intersect(&candidates).iter() {
                for (element, around) in &table.by_atom[(atom - first) as usize] {
                    let own = match element {
                        Element::V4(_) => Family::V4,
                        _ => Family::V6,
                    };
                    if own == family && of_address[*around as usize] != at {
                        exact.insert(element.clone(), at);
                    }
                }
            }
        }
        Self { exact, ranges, rest }
    }
}

/// How many addresses a set has in a family; all of IPv6 counts as one less.
fn width(set: &AddrSet, family: Family) -> u128 {
    match family {
        Family::V4 => set.v4().ranges().iter().map(|(low, high)| u128::from(high - low) + 1).sum(),
        Family::V6 => {
            set.v6().ranges().iter().fold(0, |sum: u128, (low, high)| {
                sum.saturating_add((high - low).saturating_add(1))
            })
        }
    }
}

/// The ranges of a set in a family.
pub(super) fn ranges(set: &AddrSet, family: Family) -> impl Iterator<Item = Element> {
    let v4 = if family == Family::V4 { set.v4().ranges() } else { &[] };
    let v6 = if family == Family::V6 { set.v6().ranges() } else { &[] };
    let v4 = v4
        .iter()
        .map(|&(low, high)| Element::RangeV4(Ipv4Addr::from_bits(low), Ipv4Addr::from_bits(high)));
    let v6 = v6
        .iter()
        .map(|&(low, high)| Element::RangeV6(Ipv6Addr::from_bits(low), Ipv6Addr::from_bits(high)));
    v4.chain(v6).collect::<Vec<_>>().into_iter()
}

/// A name that follows from the rules of the program, and not from who their peers are at the moment.
pub(super) fn program_name(bound: &Bound, program: &Program) -> String {
    let mut text = String::new();
    for stage in &program.stages {
        for clause in &stage.clauses {
            clause_text(bound, clause, &mut text);
        }
    }
    format!("{:016x}", hash(&text))
}

fn clause_text(bound: &Bound, clause: &Clause, text: &mut String) {
    let symbolic = &bound.symbolic;
    match &clause.why {
        Why::Rule(idx) => {
            let sym = symbolic.clause(*idx);
            let rule = symbolic.rule(sym.rule);
            let policy = symbolic.policy(rule.policy);
            let peer = sym.peer_index;
            let _ = write!(text, "{policy} {} {} {peer:?}", rule.direction, rule.index);
        }
        Why::Isolated(policies) => {
            for &policy in policies.iter() {
                let _ = write!(text, "isolated {} ", symbolic.policy(policy));
            }
        }
        Why::Default => text.push_str("default"),
    }
    let _ = writeln!(text, " {:?} {}", clause.then, clause.ports);
}

/// The policies that a program is made of.
fn policies(bound: &Bound, program: &Program) -> Vec<u32> {
    let mut found: Vec<u32> = program
        .stages
        .iter()
        .flat_map(|stage| &stage.clauses)
        .flat_map(|clause| match &clause.why {
            Why::Rule(idx) => vec![bound.symbolic.policy_of(*idx)],
            Why::Isolated(policies) => policies.to_vec(),
            Why::Default => Vec::new(),
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
