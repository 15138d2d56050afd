//! The chain of a program: from a peer's address to the row of its ports.

use super::draft::Draft;
use super::ends::{By, only_if};
use super::layer::{Outcomes, Told, Work};
use super::nested::{Nested, nested};
use super::peers::{Peers, hosts, prefix};
use super::{Excess, dispatch_name, verdict};
use crate::model::{Element, Field, Name, Rule, Set, SetKey, SetShape, Statement, Value, Verdict};
use moat_ir::{Direction, OutcomeCell, ProgramId};
use moat_sets::Family;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

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
    /// The set of each row that is told by pods' own addresses.
    pub(super) rows: BTreeMap<Name, Name>,
    /// The map of pods' own addresses, in place of `rows` where these are too many.
    pub(super) pods: Option<Name>,
    /// The row of each prefix, of which the first that holds decides.
    pub(super) prefixes: Vec<(Value, Name)>,
    /// How many ranges of addresses it tells apart.
    pub(super) n_ranges: usize,
    /// Whether nothing but what is said of which peers decided what rules it has, and not, between equals, how rows are called.
    pub(super) is_sole: bool,
    /// How many elements it needs beside those of pods' own addresses: ranges, and the ports of its rows.
    pub(super) n_others: usize,
    /// The map of ranges, in place of `prefixes` where these are too many.
    pub(super) cidrs: Option<Name>,
    /// The row of everyone else.
    pub(super) rest: Name,
    /// The rows that it leads to, once for each time, and what does.
    pub(super) held: Vec<(Name, By)>,
    /// Why it is closed, if it is too large.
    pub(super) refused: Option<Excess>,
    /// The peers of each row when it was made, of so many atoms. As long as there are no others, the same peers are the same addresses.
    pub(super) made_of: Option<Arc<Outcomes>>,
    pub(super) n_atoms: u32,
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

    /// Its rows, each with the one that stood in the same place before.
    fn replaced<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = (&'a Name, &'a Name)> {
        let of_set = |(row, set)| Some((row, old.rows.iter().find(|(_, own)| *own == set)?.0));
        let is = |value| old.prefixes.iter().find(move |(own, _)| own == value);
        let of_value = move |(value, row)| Some((row, &is(value)?.1));
        let rows = self.rows.iter().filter_map(of_set);
        let prefixes = self.prefixes.iter().map(|(value, row)| (value, row)).filter_map(of_value);
        rows.chain(prefixes).chain([(&self.rest, &old.rest)])
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
            for (new, old) in group.replaced(&old) {
                self.replaces(new, old);
            }
            self.leave(old, Some(&group));
        }
        self.layer.groups.insert(name.clone(), group);
        self.unwritten.insert(name.clone());
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
        for (row, by) in &old.held {
            self.release_row(row, *by);
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
            n_ranges: 0,
            is_sole: false,
            n_others: 0,
            cidrs: None,
            rest: "".into(),
            held: Vec::new(),
            refused: None,
            made_of: None,
            n_atoms: 0,
        };
        let Some(outcomes) = self.outcomes(id) else {
            group.refused = Some(Excess::Rules);
            return group;
        };
        if let Some(old) = old
            && let Some(alike) = self.alike(group.clone(), &outcomes, old)
        {
            return alike;
        }
        let Outcomes { cells, rows } = &*outcomes;
        let peers = Peers::new(self.bound, &self.layer.pods, cells, family, rows);
        let n_atoms = self.bound.atoms.len();
        let same = old.filter(|old| old.n_atoms == n_atoms && old.pods.is_none());
        let known = |at: usize| {
            let peers = &cells.get(at)?.peers;
            let before = same?.made_of.as_ref()?;
            let row = before.cells.iter().zip(&before.rows).find(|(own, _)| own.peers == *peers);
            Some(same?.rows.get(row?.1).cloned())
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
        let of_ranges: BTreeSet<usize> = peers.ranges.values().copied().collect();
        let Nested { said, is_sole } = nested(&peers.ranges, peers.rest);
        group.is_sole = is_sole && !peers.is_tied;
        group.n_ranges = peers.ranges.len();
        let prefixes: Vec<(Value, Name)> = said
            .into_iter()
            .filter_map(|(cidr, at)| Some((prefix(&cidr), rows.get(at)?.clone())))
            .collect();
        let by = |is_map: bool| if is_map { By::Map } else { By::Rule };
        let by_range = by(prefixes.len() > PREFIXES_MAX);
        let by_address = by(exact.len() > self.settings.rows_max);
        let led: Vec<(usize, By)> = [(peers.rest, By::Rule)]
            .into_iter()
            .chain(of_ranges.into_iter().map(|at| (at, by_range)))
            .chain(exact.keys().map(|&at| (at, by_address)))
            .collect();
        group.n_others = group.n_ranges + outcomes.n_of_ports(&led);
        let n_elements = group.n_others + exact.values().map(n_made).sum::<usize>();
        if n_elements > self.settings.elements_max {
            group.refused = Some(Excess::Elements(n_elements));
            return group;
        }
        let of_map: Vec<(usize, Vec<IpAddr>)> = match by_address {
            By::Map => exact.keys().map(|&at| (at, peers.exact(at))).collect(),
            By::Rule => Vec::new(),
        };
        let Peers { rest, ranges, .. } = peers;
        self.hold(&mut group, &outcomes, &led);
        let goto =
            |work: &Self, at: usize| rows.get(at).map(|row| Verdict::Goto(work.chain_of(row)));
        group.rest = rows.get(rest).cloned().unwrap_or_default();
        if by_address == By::Map {
            let mut set =
                Set::new(SetShape { key: key(family), interval: false, map: true, size: None });
            for (at, addresses) in of_map {
                let to = goto(self, at);
                set.elements.extend(hosts(&addresses).map(|element| (element, to.clone())));
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
        if by_range == By::Rule {
            group.prefixes = prefixes;
        } else {
            let mut set =
                Set::new(SetShape { key: key(family), interval: true, map: true, size: None });
            set.elements = ranges.into_iter().map(|(range, at)| (range, goto(self, at))).collect();
            group.cidrs = Some(self.draft.put_fixed(&format!("{name}_cidrs"), set));
        }
        group.n_atoms = n_atoms;
        group.made_of = Some(outcomes);
        group
    }

    /// Notes what a group leads to.
    pub(super) fn hold(&mut self, group: &mut Group, outcomes: &Outcomes, led: &[(usize, By)]) {
        for &(at, by) in led {
            let cell = (outcomes.cells.get(at), outcomes.rows.get(at));
            let (Some(cell), Some(row)) = cell else { continue };
            self.hold_row(group.direction, row, &cell.ports, by);
            group.held.push((row.clone(), by));
        }
    }

    /// What a program comes to; `None` if it is too large to be told apart.
    fn outcomes(&mut self, id: ProgramId) -> Option<Arc<Outcomes>> {
        if let Some(known) = self.outcomes.get(&id) {
            return known.clone();
        }
        let program = self.bound.program(id);
        let cells = self.bound.outcomes(program).ok();
        let made = cells.map(|cells| Arc::new(self.rows_of(program.direction, cells)));
        self.outcomes.insert(id, made.clone());
        made
    }

    pub(super) fn n_in(&self, set: &Name) -> usize {
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
    pub(super) fn row_set(draft: &mut Draft, group: &Name, row: &Name, set: Set) -> Name {
        // Names end in hashes, so a row's last part tells it from other rows.
        let row = row.rsplit('_').next().unwrap_or_default();
        let name = format!("{group}_{row}_{}", set.size.unwrap_or_default());
        let name = draft.free_set(name.into());
        draft.put_set(&name, set);
        name
    }

    /// Writes the rules of a group's chain.
    pub(super) fn write(&mut self, name: &Name) {
        let Some(group) = self.layer.groups.get(name) else { return };
        let rules = if group.refused.is_some() {
            let closed = format!("closed_{}", group.direction);
            let end =
                if self.layer.staged { Verdict::Return } else { Verdict::Goto(closed.into()) };
            vec![verdict(end)]
        } else {
            let field = peer_field(group.direction, group.family);
            let vmap = |map: &Name| {
                Rule::new(vec![Statement::Vmap { key: vec![field], map: map.clone() }])
            };
            let is_in = |set: &Name| {
                let set = set.clone();
                Statement::Lookup { key: vec![field], set, negate: false }
            };
            let is = |value: &Value| {
                let value = value.clone();
                Statement::Match { field, negate: false, value }
            };
            // No two sets have an element in common, so any order does; the sets' own is the same when rows are others.
            let mut rows: Vec<(&Name, &Name)> =
                group.rows.iter().map(|(row, set)| (set, row)).collect();
            rows.sort_unstable();
            let rows = rows.into_iter();
            let rows = rows.map(|(set, row)| only_if([is_in(set)], self.lead_to(row)));
            let prefixes = group.prefixes.iter();
            let prefixes = prefixes.map(|(value, row)| only_if([is(value)], self.lead_to(row)));
            let maps = group.pods.iter().chain(&group.cidrs).map(vmap);
            rows.chain(maps).chain(prefixes).chain([self.lead_to(&group.rest)]).collect()
        };
        self.draft.put_chain(name, None, rules);
    }

    /// Cells that no two of lead to the same row, and these rows.
    fn rows_of(&mut self, direction: Direction, cells: Vec<OutcomeCell>) -> Outcomes {
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
        Outcomes { cells, rows }
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
