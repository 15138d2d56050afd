//! The chain of a row: from a destination port to the decision about it.

use super::ends::{By, only_if};
use super::layer::Work;
use super::sum::Sum;
use crate::model::{Element, Field, Name, Rule, Set, SetKey, SetShape, Statement, Value, Verdict};
use crate::reason::ReasonId;
use core::hash::{Hash as _, Hasher as _};
use moat_ir::{Decision, Direction};
use moat_sets::{PortSet, Protocol, ServicePoint};
use std::collections::BTreeMap;

/// A port range up to this long is cheaper as single ports: a hash lookup costs less than a tree's.
const EXPAND_MAX: u16 = 16;
/// Up to so many single ports are compared one by one, which is cheaper than a map and the chains that it leads to.
const COMPARE_MAX: usize = 4;

/// Up to so many ranges of ports are compared one by one, in all protocols together; a tree for each protocol is asked instead of more.
///
/// A comparison is a rule and in force with the others. A new tree has to be there a grace before rules lead to it.
const RANGES_MAX: usize = 8;

/// What happens on which ports; disjoint, and all ports together.
pub(super) type Ports = Vec<(PortSet, Decision)>;

/// What there is for a row.
#[derive(Clone, Debug)]
pub(super) struct RowParts {
    /// How many lead to it.
    n_held: usize,
    /// Its chain; none before it is known which.
    chain: Option<Name>,
    /// The decisions that it leads to.
    decisions: Vec<(Name, By)>,
    sets: Vec<Name>,
}

/// How many elements the sets of a row's chain have.
pub(super) fn n_elements(ports: &Ports) -> usize {
    if let [_] = &ports[..] {
        return 0;
    }
    let row = Row::new(ports);
    let n_ranges = row.ranges.values().map(Vec::len).sum();
    let ports = if row.compares_ports() { 0 } else { row.exact.len() };
    ports + if row.compares_ranges() { 0 } else { n_ranges }
}

impl Work<'_> {
    /// What a row is called: as the decision where all ports share it.
    pub(super) fn row_name(&mut self, direction: Direction, ports: &Ports) -> Name {
        if let [(_, only)] = &ports[..] {
            return self.called(direction, only).name;
        }
        let mut parts: Vec<(ReasonId, &PortSet)> =
            ports.iter().map(|(ports, own)| (self.called(direction, own).id, ports)).collect();
        parts.sort_unstable();
        let mut sum = Sum::new();
        parts.hash(&mut sum);
        format!("{}ports_{direction}_{:016x}", self.prefix(), sum.finish()).into()
    }

    /// Notes that something leads to a row, and learns what it says if it is the first; [`Self::finish_shifts`] makes its chain.
    pub(super) fn hold_row(&mut self, direction: Direction, name: &Name, ports: &Ports, by: By) {
        if let [(_, only)] = &ports[..] {
            return self.hold_decision(direction, only, by);
        }
        if let Some(parts) = self.layer.rows.get_mut(name) {
            parts.n_held += 1;
            ports.iter().for_each(|(_, decision)| drop(self.say(direction, decision)));
        } else {
            self.make_row(direction, name, ports);
        }
        if by == By::Map {
            self.place_row(name);
        }
    }

    fn make_row(&mut self, direction: Direction, name: &Name, ports: &Ports) {
        let row = Row::new(ports);
        let mut decisions = Vec::with_capacity(ports.len());
        for (at, (_, decision)) in ports.iter().enumerate() {
            let by = if row.is_led_by_map(at) { By::Map } else { By::Rule };
            self.hold_decision(direction, decision, by);
            decisions.push((self.called(direction, decision).name, by));
        }
        let chains: Vec<Name> = decisions.iter().map(|(name, _)| self.chain_of(name)).collect();
        let made = row.maps(name, &chains);
        let sets = made.iter().map(|(name, _)| name.clone()).collect();
        made.into_iter().for_each(|(name, set)| self.draft.put_set(&name, set));
        self.shifts.rows.coming.insert(name.clone(), row);
        self.layer.rows.insert(name.clone(), RowParts { n_held: 1, chain: None, decisions, sets });
    }

    /// Notes that something does not lead to a row any more.
    pub(super) fn release_row(&mut self, name: &Name, by: By) {
        let Some(parts) = self.layer.rows.get_mut(name) else {
            return self.release_decision(name, by);
        };
        parts.n_held = parts.n_held.saturating_sub(1);
        if parts.n_held > 0 {
            return;
        }
        let Some(parts) = self.layer.rows.remove(name) else { return };
        self.shifts.rows.leave(name, parts.chain);
        parts.sets.iter().for_each(|set| self.draft.drop_set(set));
        parts.decisions.iter().for_each(|(own, by)| self.release_decision(own, *by));
    }

    /// Gives a row a chain now, if it has none yet: an element of a map is never changed, so it has to be known where it leads.
    fn place_row(&mut self, name: &Name) {
        if let Some((row, chain)) = self.shifts.rows.place(name, self.draft) {
            // What its rules lead to is given one now as well.
            let decisions = self.decisions_of(name);
            decisions.iter().for_each(|own| self.place_end(own));
            self.put_row(name, chain, &row);
        }
    }

    /// Makes a row's chain, once those of its decisions are known.
    pub(super) fn put_row(&mut self, name: &Name, chain: Name, row: &Row) {
        let decisions = self.decisions_of(name);
        let leads: Vec<Rule> = decisions.iter().map(|own| self.lead_to(own)).collect();
        self.draft.put_chain(&chain, None, row.rules(name, &leads));
        if let Some(parts) = self.layer.rows.get_mut(name) {
            parts.chain = Some(chain);
        }
    }

    /// The decisions of a row, or a decision itself.
    pub(super) fn decisions_of(&self, name: &Name) -> Vec<Name> {
        match self.layer.rows.get(name) {
            Some(parts) => parts.decisions.iter().map(|(own, _)| own.clone()).collect(),
            None => vec![name.clone()],
        }
    }

    /// The chain of a row or a decision.
    pub(super) fn chain_of(&self, name: &Name) -> Name {
        let of_row = self.layer.rows.get(name).and_then(|parts| parts.chain.clone());
        of_row.or_else(|| self.end_chain(name)).unwrap_or_else(|| name.clone())
    }
}

/// Ports by how they are looked up; numbers are indexes of decisions.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Single ports.
    exact: BTreeMap<(u8, u16), usize>,
    /// Ranges of ports.
    ranges: BTreeMap<u8, Vec<(u16, u16, usize)>>,
    /// Protocols as a whole.
    whole: BTreeMap<u8, usize>,
    /// Everything else, protocols without ports among it.
    rest: usize,
}

impl Row {
    fn new(ports: &[(PortSet, Decision)]) -> Self {
        // A protocol without ports cannot be asked for by name, so what happens to it is what is left at the end.
        let other = ServicePoint::new(Protocol::Other, 0);
        let rest = ports.iter().position(|(set, _)| set.contains(other)).unwrap_or(0);
        let mut row = Self { rest, ..Self::default() };
        for protocol in Protocol::WITH_PORTS {
            // The IP version matters to protocols without ports only.
            let number = protocol.number(true);
            for (at, (set, _)) in ports.iter().enumerate() {
                for (low, high) in set.of(protocol) {
                    if (low, high) == (0, u16::MAX) {
                        row.whole.insert(number, at);
                    } else if at != rest && high - low < EXPAND_MAX {
                        row.exact.extend((low..=high).map(|port| ((number, port), at)));
                    } else if at != rest {
                        row.ranges.entry(number).or_default().push((low, high, at));
                    }
                }
            }
        }
        row.whole.retain(|_, at| *at != rest);
        row
    }

    /// Whether single ports are compared, not asked for in a map.
    fn compares_ports(&self) -> bool {
        self.exact.len() <= COMPARE_MAX
    }

    /// Whether ranges of ports are compared, not asked for in maps.
    fn compares_ranges(&self) -> bool {
        self.ranges.values().map(Vec::len).sum::<usize>() <= RANGES_MAX
    }

    /// Whether an element of a map leads to a decision.
    fn is_led_by_map(&self, decision: usize) -> bool {
        let mut ranges = self.ranges.values().flatten();
        !self.compares_ports() && self.exact.values().any(|at| *at == decision)
            || !self.compares_ranges() && ranges.any(|(_, _, at)| *at == decision)
    }

    /// The map of ranges of ports of a protocol, of a row of this name. That of single ports has the row's own.
    fn map_name(name: &str, protocol: u8) -> Name {
        format!("{name}_{protocol}").into()
    }

    /// The maps that the rules of a row of this name ask; they lead to the chains of its decisions.
    fn maps(&self, name: &Name, chains: &[Name]) -> Vec<(Name, Set)> {
        let goto = |at: usize| chains.get(at).map(|chain| Verdict::Goto(chain.clone()));
        let mut maps = Vec::new();
        if !self.compares_ports() {
            let size = u32::try_from(self.exact.len()).ok();
            let shape = SetShape { key: SetKey::ProtocolPort, interval: false, map: true, size };
            let mut set = Set::new(shape);
            let element = |&(number, port): &(u8, u16)| Element::ProtocolPort(number, port);
            let elements = self.exact.iter().map(|(point, at)| (element(point), goto(*at)));
            set.elements = elements.collect();
            maps.push((name.clone(), set));
        }
        for (&number, ranges) in self.ranges.iter().filter(|_| !self.compares_ranges()) {
            let shape = SetShape { key: SetKey::Port, interval: true, map: true, size: None };
            let mut set = Set::new(shape);
            let elements = ranges.iter();
            set.elements = elements
                .map(|&(low, high, at)| (Element::PortRange(low, high), goto(at)))
                .collect();
            maps.push((Self::map_name(name, number), set));
        }
        maps
    }

    /// The rules of a row of this name. `leads` are rules that lead to its decisions.
    fn rules(&self, name: &Name, leads: &[Rule]) -> Vec<Rule> {
        let end = |at: usize| leads.get(at).cloned().unwrap_or_else(|| Rule::new(Vec::new()));
        let field = |field, value| Statement::Match { field, negate: false, value };
        let is = |number| field(Field::Protocol, Value::Protocol(number));
        let mut rules = Vec::new();
        if self.compares_ports() {
            for (&(number, port), &at) in &self.exact {
                let port = field(Field::DestinationPort, Value::Port(port));
                rules.push(only_if([is(number), port], end(at)));
            }
        } else {
            let key = vec![Field::Protocol, Field::DestinationPort];
            rules.push(Rule::new(vec![Statement::Vmap { key, map: name.clone() }]));
        }
        for (&number, ranges) in &self.ranges {
            if self.compares_ranges() {
                rules.extend(ranges.iter().map(|&(low, high, at)| {
                    let ports = field(Field::DestinationPort, Value::Ports(low, high));
                    only_if([is(number), ports], end(at))
                }));
            } else {
                let (key, map) = (vec![Field::DestinationPort], Self::map_name(name, number));
                rules.push(Rule::new(vec![is(number), Statement::Vmap { key, map }]));
            }
        }
        for (&number, &at) in &self.whole {
            rules.push(only_if([is(number)], end(at)));
        }
        rules.push(end(self.rest));
        rules
    }
}
