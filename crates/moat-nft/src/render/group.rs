//! The chain of a program: from a peer's address to the row of its ports.

use super::layer::Work;
use super::peers::{Peers, atoms, hosts, prefixes};
use super::row::Ports;
use super::{Excess, Refused, dispatch_name, host, verdict};
use crate::model::{Element, Field, Name, Rule, Set, SetKey, SetShape, Statement, Value, Verdict};
use moat_ir::{Bound, Direction, OutcomeCell, PeerSetId, PolicyIdx, Program, ProgramId, Why};
use moat_sets::{Family, IdSet};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A program as chains and sets, for one IP family.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) program: ProgramId,
    pub(super) direction: Direction,
    pub(super) family: Family,
    /// The set of each row that is told by pods' own addresses, by the row's chain.
    rows: BTreeMap<Name, Name>,
    /// The map of pods' own addresses, in place of `rows` where these are too many.
    pods: Option<Name>,
    /// The chain of the row of each prefix, and how many ranges these are.
    prefixes: Vec<(Value, Name)>,
    n_ranges: usize,
    /// The map of ranges, in place of `prefixes` where these are too many.
    cidrs: Option<Name>,
    /// The chain of the row of everyone else.
    rest: Name,
    /// The chains that it leads to, once for each time.
    held: Vec<Name>,
    /// Why it is closed, if it is too large.
    pub(super) refused: Option<Excess>,
}

/// Up to so many prefixes are compared one after another; a map of ranges is asked instead of more.
///
/// A comparison is a rule and in force with the others, and takes less time than a lookup in a tree. A new map of ranges has to be there a
/// grace before rules lead to it.
pub(super) const PREFIXES_MAX: usize = 8;

impl Work<'_> {
    /// The chain of a program for one IP family; made unless it is there.
    pub(super) fn group(&mut self, id: ProgramId, family: Family, name: &Name) {
        if let Some(group) = self.layer.groups.get_mut(name) {
            // Its number is another after a change of policies.
            group.program = id;
            return;
        }
        let group = self.build(id, family, name);
        self.layer.groups.insert(name.clone(), group);
        self.fill(name);
    }

    /// Takes a group away with all that only it leads to.
    pub(super) fn drop_group(&mut self, name: &Name) {
        let Some(group) = self.layer.groups.remove(name) else { return };
        self.draft.drop_chain(name);
        for set in group.rows.values().chain(&group.pods).chain(&group.cidrs) {
            self.draft.drop_set(set);
        }
        for row in &group.held {
            self.release_row(row);
        }
    }

    /// Programs that are too large.
    pub(super) fn refused(&self) -> Vec<Refused> {
        let mut refused: Vec<Refused> = Vec::new();
        for group in self.layer.groups.values() {
            let Some(excess) = group.refused else { continue };
            let policies = policies(self.bound, self.bound.program(group.program));
            let staged = self.layer.staged;
            let own = Refused { program: group.program, policies, excess, staged };
            if !refused.contains(&own) {
                refused.push(own);
            }
        }
        refused
    }

    fn build(&mut self, id: ProgramId, family: Family, name: &Name) -> Group {
        let program = self.bound.program(id);
        let direction = program.direction;
        let mut group = Group {
            program: id,
            direction,
            family,
            rows: BTreeMap::new(),
            pods: None,
            prefixes: Vec::new(),
            n_ranges: 0,
            cidrs: None,
            rest: "".into(),
            held: Vec::new(),
            refused: None,
        };
        let Ok(cells) = self.bound.outcomes(program) else {
            group.refused = Some(Excess::Rules);
            return group;
        };
        let (cells, rows) = self.rows_of(direction, cells);
        let peers = Peers::new(self.bound, &self.layer.pods, &cells, family, &rows);
        if peers.n_elements() > self.settings.elements_max {
            group.refused = Some(Excess::Elements(peers.n_elements()));
            return group;
        }
        let mut row = |at: usize, work: &mut Self| {
            let (Some(cell), Some(row)) = (cells.get(at), rows.get(at)) else { return };
            work.hold_row(direction, row, &cell.ports);
            group.held.push(row.clone());
        };
        row(peers.rest, self);
        let ranges: BTreeSet<usize> = peers.ranges.values().copied().collect();
        ranges.into_iter().chain(peers.exact.keys().copied()).for_each(|at| row(at, self));
        let goto = |at: usize| rows.get(at).map(|row| Verdict::Goto(row.clone()));
        group.rest = rows.get(peers.rest).cloned().unwrap_or_default();
        if peers.exact.len() > self.settings.rows_max {
            let mut set =
                Set::new(SetShape { key: key(family), interval: false, map: true, size: None });
            for (&at, addresses) in &peers.exact {
                set.elements.extend(hosts(addresses).map(|element| (element, goto(at))));
            }
            group.pods = Some(self.draft.put_fixed(&format!("{name}_pods"), set));
        } else {
            for (&at, addresses) in &peers.exact {
                let Some(row) = rows.get(at) else { continue };
                let set = exact(family, hosts(addresses).map(|element| (element, None)).collect());
                let own = row_set(name, row, &set);
                self.draft.put_set(&own, set);
                group.rows.insert(row.clone(), own);
            }
        }
        let prefixes: Vec<(Value, Name)> = peers
            .ranges
            .iter()
            .flat_map(|(range, at)| prefixes(range).into_iter().map(move |value| (value, *at)))
            .filter_map(|(value, at)| Some((value, rows.get(at)?.clone())))
            .collect();
        group.n_ranges = peers.ranges.len();
        if prefixes.len() <= PREFIXES_MAX {
            group.prefixes = prefixes;
        } else {
            let mut set =
                Set::new(SetShape { key: key(family), interval: true, map: true, size: None });
            set.elements =
                peers.ranges.iter().map(|(range, at)| (range.clone(), goto(*at))).collect();
            group.cidrs = Some(self.draft.put_fixed(&format!("{name}_cidrs"), set));
        }
        group
    }

    /// The rules of a group's chain.
    fn fill(&mut self, name: &Name) {
        let Some(group) = self.layer.groups.get(name) else { return };
        let rules = if group.refused.is_some() {
            let closed = format!("closed_{}", group.direction);
            let end =
                if self.layer.staged { Verdict::Return } else { Verdict::Goto(closed.into()) };
            vec![verdict(end)]
        } else {
            let peer = vec![peer_field(group.direction, group.family)];
            let vmap = |map: &Name| Statement::Vmap { key: peer.clone(), map: map.clone() };
            let is_in = |set: &Name| Statement::Lookup {
                key: peer.clone(),
                set: set.clone(),
                negate: false,
            };
            let goto = |row: &Name| Statement::Verdict(Verdict::Goto(row.clone()));
            let rows = group.rows.iter();
            let rows = rows.map(|(row, set)| Rule::new(vec![is_in(set), goto(row)]));
            let is = |value: &Value| Statement::Match {
                field: peer_field(group.direction, group.family),
                negate: false,
                value: value.clone(),
            };
            let prefixes = group.prefixes.iter();
            let prefixes = prefixes.map(|(value, row)| Rule::new(vec![is(value), goto(row)]));
            let maps = group.pods.iter().chain(&group.cidrs).map(|map| Rule::new(vec![vmap(map)]));
            rows.chain(maps).chain(prefixes).chain([Rule::new(vec![goto(&group.rest)])]).collect()
        };
        self.draft.put_chain(name, None, rules);
    }

    /// Puts addresses where they belong in every group, after they have come, gone, or become others'.
    pub(super) fn readdress(&mut self, addresses: &[IpAddr]) {
        let olds: Vec<(IpAddr, Option<u32>)> = addresses
            .iter()
            .map(|&address| (address, self.layer.pods.set(self.bound, address)))
            .collect();
        for (address, old) in olds {
            let concerned = self.concerned(address, old);
            concerned.iter().for_each(|name| self.readdress_in(name, address));
        }
    }

    /// The groups that tell an address from those around it, as it is now or as it was.
    fn concerned(&self, address: IpAddr, old: Option<u32>) -> Vec<Name> {
        let family = Family::of(address);
        let around = self.bound.atoms.of_address(address);
        let new = atoms(self.bound, address).map(|(atom, _)| atom);
        // Whether a peer set tells them apart is asked once for all programs.
        let mut known: FxHashMap<PeerSetId, bool> = FxHashMap::default();
        let mut tells_apart = |id: PeerSetId| {
            *known.entry(id).or_insert_with(|| {
                let set = self.bound.peers(id);
                let is_in = |atom| (set.must.contains(atom), set.may.contains(atom));
                let around = is_in(around);
                [old, new].into_iter().flatten().any(|atom| is_in(atom) != around)
            })
        };
        let mut concerned = Vec::new();
        for (name, group) in &self.layer.groups {
            // Who the peers are makes rules neither more nor fewer.
            if group.family != family || group.refused == Some(Excess::Rules) {
                continue;
            }
            let stages = &self.bound.program(group.program).stages;
            let mut clauses = stages.iter().flat_map(|stage| &stage.clauses);
            if clauses.any(|clause| tells_apart(clause.peers)) {
                concerned.push(name.clone());
            }
        }
        concerned
    }

    fn readdress_in(&mut self, name: &Name, address: IpAddr) {
        let Some(group) = self.layer.groups.get(name) else { return };
        let wanted = self.own_row(self.bound.program(group.program), address);
        let element = host(address);
        let sets = &self.draft.table().sets;
        let is_in = |set: &Name| sets.get(set).is_some_and(|s| s.elements.contains_key(&element));
        if group.refused.is_some() || group.pods.is_some() {
            let same = group.refused.is_none()
                && !group.pods.as_ref().is_some_and(is_in)
                && wanted.is_none();
            if !same {
                self.rebuild(name);
            }
            return;
        }
        let (direction, family) = (group.direction, group.family);
        let now = group.rows.iter().find(|(_, set)| is_in(set));
        let now = now.map(|(row, set)| (row.clone(), set.clone()));
        if now.as_ref().map(|(row, _)| row) == wanted.as_ref().map(|(row, _)| row) {
            return;
        }
        let mut refill = false;
        if let Some((row, set)) = now {
            self.draft.remove(&set, &element);
            refill |= self.resize(name, &row, &set);
        }
        if let Some((row, ports)) = wanted {
            let n_elements: usize = self.n_elements(name);
            let Some(group) = self.layer.groups.get_mut(name) else { return };
            let is_new = !group.rows.contains_key(&row);
            if n_elements >= self.settings.elements_max
                || (is_new && group.rows.len() >= self.settings.rows_max)
            {
                return self.rebuild(name);
            }
            if is_new {
                let set = exact(family, BTreeMap::from([(element, None)]));
                let own = row_set(name, &row, &set);
                group.rows.insert(row.clone(), own.clone());
                group.held.push(row.clone());
                self.draft.put_set(&own, set);
                self.hold_row(direction, &row, &ports);
                refill = true;
            } else if let Some(set) = group.rows.get(&row).cloned() {
                self.draft.add(&set, element);
                refill |= self.resize(name, &row, &set);
            }
        }
        if refill {
            self.fill(name);
        }
    }

    /// Gives a row's set a name that says its size, or takes an empty row away; whether rules change with that.
    fn resize(&mut self, name: &Name, row: &Name, set: &Name) -> bool {
        let Some(own) = self.draft.table().sets.get(set) else { return false };
        let Some(group) = self.layer.groups.get_mut(name) else { return false };
        if own.elements.is_empty() {
            group.rows.remove(row);
            if let Some(at) = group.held.iter().rposition(|held| held == row) {
                group.held.remove(at);
            }
            self.draft.drop_set(set);
            self.release_row(row);
            return true;
        }
        if own.size == Some(capacity(own.elements.len())) {
            return false;
        }
        let resized = exact(group.family, own.elements.clone());
        let other = row_set(name, row, &resized);
        group.rows.insert(row.clone(), other.clone());
        self.draft.drop_set(set);
        self.draft.put_set(&other, resized);
        true
    }

    /// Makes a group anew under its name.
    fn rebuild(&mut self, name: &Name) {
        let Some(old) = self.layer.groups.remove(name) else { return };
        for set in old.rows.values().chain(&old.pods).chain(&old.cidrs) {
            self.draft.drop_set(set);
        }
        let built = self.build(old.program, old.family, name);
        self.layer.groups.insert(name.clone(), built);
        // Only now, so that what both lead to stays.
        for row in &old.held {
            self.release_row(row);
        }
        self.fill(name);
    }

    fn n_elements(&self, name: &Name) -> usize {
        let sets = &self.draft.table().sets;
        let group = self.layer.groups.get(name);
        let pods = group.into_iter().flat_map(|group| group.rows.values().chain(&group.pods));
        let n_pods: usize =
            pods.filter_map(|set| sets.get(set)).map(|set| set.elements.len()).sum();
        n_pods + group.map_or(0, |group| group.n_ranges)
    }

    /// The row of an address that a pod has, where it is not that of the addresses around it.
    fn own_row(&self, program: &Program, address: IpAddr) -> Option<(Name, Ports)> {
        let (atom, around) = atoms(self.bound, address)?;
        let row = |atom: u32| {
            let cells = self.bound.outcomes_among(program, IdSet::range(atom, atom + 1));
            let ports = cells.ok()?.into_iter().next()?.ports;
            Some((self.row_name(program.direction, &ports), ports))
        };
        let (own, other) = (row(atom)?, row(around)?);
        (own.0 != other.0).then_some(own)
    }

    /// Cells that no two of lead to the same chain, and these chains.
    fn rows_of(
        &self,
        direction: Direction,
        cells: Vec<OutcomeCell>,
    ) -> (Vec<OutcomeCell>, Vec<Name>) {
        let mut merged: BTreeMap<Name, OutcomeCell> = BTreeMap::new();
        for cell in cells {
            let name = self.row_name(direction, &cell.ports);
            match merged.get_mut(&name) {
                Some(own) => own.peers.union_with(&cell.peers),
                None => {
                    merged.insert(name, cell);
                }
            }
        }
        let (rows, cells) = merged.into_iter().unzip();
        (cells, rows)
    }
}

/// A set of single addresses that changes in place, with room for as many elements as it has.
pub(super) fn exact(family: Family, elements: BTreeMap<Element, Option<Verdict>>) -> Set {
    let size = Some(capacity(elements.len()));
    let shape = SetShape { key: key(family), interval: false, map: false, size };
    Set { elements, ..Set::new(shape) }
}

/// The size of a set with so many elements: it can double before it needs another, and take the new before the old leave.
pub(super) fn capacity(n_elements: usize) -> u32 {
    let n_elements = u32::try_from(n_elements).unwrap_or(u32::MAX >> 2);
    n_elements.max(32).next_power_of_two().saturating_mul(2)
}

/// Names end in hashes, so a row's last part tells it from other rows.
fn row_set(group: &Name, row: &Name, set: &Set) -> Name {
    let row = row.rsplit('_').next().unwrap_or_default();
    format!("{group}_{row}_{}", set.size.unwrap_or_default()).into()
}

fn key(family: Family) -> SetKey {
    if family == Family::V4 { SetKey::V4 } else { SetKey::V6 }
}

/// The field with the other end's address.
fn peer_field(direction: Direction, family: Family) -> Field {
    let other =
        if direction == Direction::Ingress { Direction::Egress } else { Direction::Ingress };
    dispatch_name(other, family).1
}

/// The policies that a program is made of.
fn policies(bound: &Bound, program: &Program) -> Vec<PolicyIdx> {
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
