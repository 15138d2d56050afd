//! The chain of a program: from a peer's address to the row of its ports.

use super::draft::Draft;
use super::layer::{Told, Work};
use super::nested::nested;
use super::peers::{Peers, atoms, hosts, prefix};
use super::row::{self, Ports};
use super::{Excess, dispatch_name, host, verdict};
use crate::model::{Element, Field, Name, Rule, Set, SetKey, SetShape, Statement, Value, Verdict};
use moat_ir::{Direction, OutcomeCell, PeerSetId, Program, ProgramId};
use moat_sets::{Family, IdSet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A program as chains and sets, for one IP family.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) program: ProgramId,
    pub(super) direction: Direction,
    pub(super) family: Family,
    /// What its program means.
    pub(super) meaning: u64,
    /// How many addresses are led to it.
    pub(super) n_pods: usize,
    /// The set of each row that is told by pods' own addresses, by the row's chain.
    rows: BTreeMap<Name, Name>,
    /// The map of pods' own addresses, in place of `rows` where these are too many.
    pods: Option<Name>,
    /// The chain of the row of each prefix, of which the first that holds decides.
    prefixes: Vec<(Value, Name)>,
    /// How many elements it needs beside those of pods' own addresses: ranges, and the ports of its rows.
    n_others: usize,
    /// The map of ranges, in place of `prefixes` where these are too many.
    cidrs: Option<Name>,
    /// The chain of the row of everyone else.
    rest: Name,
    /// The chains that it leads to, once for each time.
    held: Vec<Name>,
    /// Why it is closed, if it is too large.
    pub(super) refused: Option<Excess>,
    /// The peers of each row when it was made, of so many atoms. As long as there are no others, the same peers are the same addresses.
    told: Vec<(IdSet, Name)>,
    n_atoms: u32,
}

/// The peers of a row that are told by their own addresses.
enum Row {
    /// Those of a set that is there.
    There(Name),
    Made(Vec<IpAddr>),
}

impl Group {
    pub(super) fn told(&self) -> Told {
        (self.direction, self.family, self.meaning)
    }

    /// The sets that only it looks into.
    fn sets(&self) -> impl Iterator<Item = &Name> {
        self.rows.values().chain(&self.pods).chain(&self.cidrs)
    }
}

/// What a group is made for.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) program: ProgramId,
    pub(super) family: Family,
    /// What the program means.
    pub(super) meaning: u64,
}

/// Up to so many prefixes are compared one after another, inner ones before those that they lie in; a map of ranges is asked instead of
/// more.
///
/// A comparison is a rule and in force with the others, and takes less time than a lookup in a tree. A new map of ranges has to be there a
/// grace before rules lead to it.
pub(super) const PREFIXES_MAX: usize = 8;

impl Work<'_> {
    /// Makes the chain of a program for one IP family. `old` is what the chain said before, if there is one of this name already.
    pub(super) fn group(&mut self, of: Wanted, name: &Name, old: Option<Group>) {
        let mut group = self.build(of, name, old.as_ref());
        group.n_pods = old.as_ref().map_or(0, |old| old.n_pods);
        // Only now, so that what both lead to stays.
        if let Some(old) = old {
            self.leave(old, Some(&group));
        }
        self.layer.groups.insert(name.clone(), group);
        self.fill(name);
    }

    /// Takes a group away with all that only it leads to.
    pub(super) fn drop_group(&mut self, name: &Name, group: Group) {
        self.draft.drop_chain(name);
        self.leave(group, None);
    }

    /// Takes away what only a group led to that is no more, but for the sets that its successor has.
    fn leave(&mut self, old: Group, new: Option<&Group>) {
        let kept: BTreeSet<&Name> = new.into_iter().flat_map(Group::sets).collect();
        for set in old.sets().filter(|set| !kept.contains(set)) {
            self.draft.drop_set(set);
        }
        for row in &old.held {
            self.release_row(row);
        }
    }

    fn build(&mut self, of: Wanted, name: &Name, old: Option<&Group>) -> Group {
        let Wanted { program: id, family, meaning } = of;
        let program = self.bound.program(id);
        let direction = program.direction;
        let mut group = Group {
            program: id,
            direction,
            family,
            meaning,
            n_pods: 0,
            rows: BTreeMap::new(),
            pods: None,
            prefixes: Vec::new(),
            n_others: 0,
            cidrs: None,
            rest: "".into(),
            held: Vec::new(),
            refused: None,
            told: Vec::new(),
            n_atoms: 0,
        };
        let Ok(cells) = self.bound.outcomes(program) else {
            group.refused = Some(Excess::Rules);
            return group;
        };
        let (cells, rows) = self.rows_of(direction, cells);
        let peers = Peers::new(self.bound, &self.layer.pods, &cells, family, &rows);
        let n_atoms = self.bound.atoms.len();
        let same = old.filter(|old| old.n_atoms == n_atoms && old.pods.is_none());
        let known = |at: usize| {
            let peers = &cells.get(at)?.peers;
            let (_, row) = same?.told.iter().find(|(told, _)| told == peers)?;
            Some(same?.rows.get(row).cloned())
        };
        let mut there: Vec<Name> = Vec::new();
        let mut exact: BTreeMap<usize, Row> = BTreeMap::new();
        for at in 0..cells.len() {
            match known(at) {
                Some(None) => {}
                Some(Some(set)) => {
                    there.push(set.clone());
                    exact.insert(at, Row::There(set));
                }
                None => {
                    let addresses = peers.exact(at);
                    if !addresses.is_empty() {
                        exact.insert(at, Row::Made(addresses));
                    }
                }
            }
        }
        let n_made = |row: &Row| match row {
            Row::There(set) => self.n_in(set),
            Row::Made(addresses) => addresses.len(),
        };
        let ranges: BTreeSet<usize> = peers.ranges.values().copied().collect();
        let led: Vec<usize> =
            [peers.rest].into_iter().chain(ranges).chain(exact.keys().copied()).collect();
        let of_ports = led.iter().collect::<BTreeSet<_>>().into_iter();
        let of_ports = of_ports.filter_map(|&at| Some(row::n_elements(&cells.get(at)?.ports)));
        group.n_others = peers.ranges.len() + of_ports.sum::<usize>();
        let n_elements = group.n_others + exact.values().map(n_made).sum::<usize>();
        if n_elements > self.settings.elements_max {
            group.refused = Some(Excess::Elements(n_elements));
            return group;
        }
        let goto = |at: usize| rows.get(at).map(|row| Verdict::Goto(row.clone()));
        group.rest = rows.get(peers.rest).cloned().unwrap_or_default();
        if exact.len() > self.settings.rows_max {
            let mut set =
                Set::new(SetShape { key: key(family), interval: false, map: true, size: None });
            for &at in exact.keys() {
                let addresses = peers.exact(at);
                set.elements.extend(hosts(&addresses).map(|element| (element, goto(at))));
            }
            group.pods = Some(self.draft.put_fixed(&format!("{name}_pods"), set));
        } else {
            let others = old.iter().flat_map(|old| old.rows.values());
            let mut others: Vec<&Name> = others.filter(|set| !there.contains(set)).collect();
            for (at, own) in exact {
                let Some(row) = rows.get(at) else { continue };
                let set = match own {
                    Row::There(set) => set,
                    Row::Made(addresses) => {
                        let same = others.iter().position(|set| self.is_of(set, &addresses));
                        if let Some(at) = same {
                            others.swap_remove(at).clone()
                        } else {
                            let elements = hosts(&addresses).map(|element| (element, None));
                            let set = self::exact(family, elements.collect());
                            Self::row_set(self.draft, name, row, set)
                        }
                    }
                };
                group.rows.insert(row.clone(), set);
            }
        }
        let prefixes = nested(&peers.ranges, peers.rest).into_iter();
        let prefixes: Vec<(Value, Name)> = prefixes
            .filter_map(|(cidr, at)| Some((prefix(&cidr), rows.get(at)?.clone())))
            .collect();
        if prefixes.len() <= PREFIXES_MAX {
            group.prefixes = prefixes;
        } else {
            let mut set =
                Set::new(SetShape { key: key(family), interval: true, map: true, size: None });
            set.elements =
                peers.ranges.iter().map(|(range, at)| (range.clone(), goto(*at))).collect();
            group.cidrs = Some(self.draft.put_fixed(&format!("{name}_cidrs"), set));
        }
        for at in led {
            let (Some(cell), Some(row)) = (cells.get(at), rows.get(at)) else { continue };
            self.hold_row(direction, row, &cell.ports);
            group.held.push(row.clone());
        }
        group.n_atoms = n_atoms;
        group.told = cells.into_iter().map(|cell| cell.peers).zip(rows).collect();
        group
    }

    fn n_in(&self, set: &Name) -> usize {
        self.draft.table().sets.get(set).map_or(0, |set| set.elements.len())
    }

    /// Whether a set of a row has these addresses and no others.
    fn is_of(&self, set: &Name, addresses: &[IpAddr]) -> bool {
        self.draft.table().sets.get(set).is_some_and(|set| {
            set.elements.len() == addresses.len()
                && hosts(addresses).all(|element| set.elements.contains_key(&element))
        })
    }

    /// Makes the set of a row under a name that no other has: sets stay with other rows when what is said of their peers changes.
    fn row_set(draft: &mut Draft, group: &Name, row: &Name, set: Set) -> Name {
        // Names end in hashes, so a row's last part tells it from other rows.
        let row = row.rsplit('_').next().unwrap_or_default();
        let name = format!("{group}_{row}_{}", set.size.unwrap_or_default());
        let name = draft.free_set(name.into());
        draft.put_set(&name, set);
        name
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
        let mut known: Vec<Option<bool>> = vec![None; self.bound.peer_sets.len()];
        let mut tells_apart = |id: PeerSetId| {
            let Some(known) = known.get_mut(id as usize) else { return true };
            *known.get_or_insert_with(|| {
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
            let own = self.layer.meanings.get(&group.program);
            if own.is_none_or(|own| own.asks.iter().any(|&id| tells_apart(id))) {
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
            let of_ports = if is_new { row::n_elements(&ports) } else { 0 };
            if n_elements + of_ports >= self.settings.elements_max
                || (is_new && group.rows.len() >= self.settings.rows_max)
            {
                return self.rebuild(name);
            }
            if is_new {
                group.n_others += of_ports;
                group.held.push(row.clone());
                let set = exact(family, BTreeMap::from([(element, None)]));
                let own = Self::row_set(self.draft, name, &row, set);
                if let Some(group) = self.layer.groups.get_mut(name) {
                    group.rows.insert(row.clone(), own);
                }
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
        self.draft.drop_set(set);
        let other = Self::row_set(self.draft, name, row, resized);
        if let Some(group) = self.layer.groups.get_mut(name) {
            group.rows.insert(row.clone(), other);
        }
        true
    }

    /// Makes a group anew under its name, because an address has become another's.
    fn rebuild(&mut self, name: &Name) {
        let Some(mut old) = self.layer.groups.remove(name) else { return };
        // The same peers are other addresses now.
        old.told.clear();
        let of = Wanted { program: old.program, family: old.family, meaning: old.meaning };
        self.group(of, name, Some(old));
    }

    fn n_elements(&self, name: &Name) -> usize {
        let group = self.layer.groups.get(name);
        let pods = group.into_iter().flat_map(|group| group.rows.values().chain(&group.pods));
        let n_pods: usize = pods.map(|set| self.n_in(set)).sum();
        n_pods + group.map_or(0, |group| group.n_others)
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

pub(super) fn key(family: Family) -> SetKey {
    if family == Family::V4 { SetKey::V4 } else { SetKey::V6 }
}

/// The field with the other end's address.
fn peer_field(direction: Direction, family: Family) -> Field {
    let other =
        if direction == Direction::Ingress { Direction::Egress } else { Direction::Ingress };
    dispatch_name(other, family).1
}
