//! The chain of a row: from a destination port to the decision about it.

use super::layer::Work;
use super::verdict;
use crate::model::{Element, Field, Name, Rule, Set, SetKey, SetShape, Statement, Value, Verdict};
use crate::reason::hash;
use moat_ir::{Decision, Direction};
use moat_sets::{PortSet, Protocol, ServicePoint};
use std::collections::BTreeMap;

/// A port range up to this long is cheaper as single ports: a hash lookup costs less than a tree's.
const EXPAND_MAX: u16 = 16;
/// Up to so many single ports are compared one by one, which is cheaper than a map.
const COMPARE_MAX: usize = 2;

/// Up to so many ranges of ports are compared one by one, in all protocols together; a tree for each protocol is asked instead of more.
///
/// A comparison is a rule and in force with the others. A new tree has to be there a grace before rules lead to it.
const RANGES_MAX: usize = 8;

/// What happens on which ports; disjoint, and all ports together.
pub(super) type Ports = Vec<(PortSet, Decision)>;

/// What a row's chain leads to.
#[derive(Clone, Debug, Default)]
pub(super) struct RowParts {
    decisions: Vec<Name>,
    sets: Vec<Name>,
}

/// How many elements the sets of a row's chain have.
pub(super) fn n_elements(ports: &Ports) -> usize {
    if let [_] = &ports[..] {
        return 0;
    }
    let row = Row::new(ports);
    let n_ranges = row.ranges.values().map(Vec::len).sum();
    [(row.exact.len(), COMPARE_MAX), (n_ranges, RANGES_MAX)]
        .into_iter()
        .filter(|(n, few)| n > few)
        .map(|(n, _)| n)
        .sum()
}

impl Work<'_> {
    /// The name of a row's chain: that of the decision where all ports share it.
    pub(super) fn row_name(&self, direction: Direction, ports: &Ports) -> Name {
        if let [(_, only)] = &ports[..] {
            return self.decision_name(direction, only);
        }
        let mut lines: Vec<String> = ports
            .iter()
            .map(|(ports, decision)| {
                format!("{ports} {}\n", self.decision_name(direction, decision))
            })
            .collect();
        lines.sort_unstable();
        format!("{}ports_{direction}_{:016x}", self.prefix(), hash(&lines.concat())).into()
    }

    /// Notes that something leads to a row's chain, and makes it if it is the first.
    pub(super) fn hold_row(&mut self, direction: Direction, name: &Name, ports: &Ports) {
        if let [(_, only)] = &ports[..] {
            return self.hold_decision(name, direction, only);
        }
        if !self.draft.hold(name) {
            return ports.iter().for_each(|(_, decision)| drop(self.say(direction, decision)));
        }
        let row = Row::new(ports);
        let mut parts = RowParts::default();
        for (_, decision) in ports {
            let chain = self.decision_name(direction, decision);
            self.hold_decision(&chain, direction, decision);
            parts.decisions.push(chain);
        }
        let (rules, sets) = row.rules(name, &parts.decisions);
        for (set_name, set) in sets {
            self.draft.put_set(&set_name, set);
            parts.sets.push(set_name);
        }
        self.draft.put_chain(name, None, rules);
        self.layer.rows.insert(name.clone(), parts);
    }

    /// Notes that something does not lead to a row's chain any more.
    pub(super) fn release_row(&mut self, name: &Name) {
        if !self.draft.release(name) {
            return;
        }
        self.draft.drop_chain(name);
        match self.layer.rows.remove(name) {
            Some(parts) => {
                parts.sets.iter().for_each(|set| self.draft.drop_set(set));
                parts.decisions.iter().for_each(|chain| self.release_row(chain));
            }
            None => self.forget_decision(name),
        }
    }
}
/// Ports by how they are looked up; numbers are indexes of decisions.
#[derive(Default)]
struct Row {
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

    fn rules(&self, name: &str, chains: &[Name]) -> (Vec<Rule>, Vec<(Name, Set)>) {
        let goto = |at: usize| chains.get(at).map(|chain| Verdict::Goto(chain.clone()));
        let is = |number| Statement::Match {
            field: Field::Protocol,
            negate: false,
            value: Value::Protocol(number),
        };
        let (mut rules, mut sets) = (Vec::new(), Vec::new());
        if self.exact.len() <= COMPARE_MAX {
            for (&(number, port), &at) in &self.exact {
                let value = Value::Port(port);
                let port = Statement::Match { field: Field::DestinationPort, negate: false, value };
                let end = goto(at).map(Statement::Verdict);
                rules.push(Rule::new([is(number), port].into_iter().chain(end).collect()));
            }
        } else {
            let size = u32::try_from(self.exact.len()).ok();
            let shape = SetShape { key: SetKey::ProtocolPort, interval: false, map: true, size };
            let mut set = Set::new(shape);
            let element = |&(number, port): &(u8, u16)| Element::ProtocolPort(number, port);
            set.elements =
                self.exact.iter().map(|(point, at)| (element(point), goto(*at))).collect();
            let map: Name = name.into();
            sets.push((map.clone(), set));
            let key = vec![Field::Protocol, Field::DestinationPort];
            rules.push(Rule::new(vec![Statement::Vmap { key, map }]));
        }
        let few = self.ranges.values().map(Vec::len).sum::<usize>() <= RANGES_MAX;
        for (&number, ranges) in &self.ranges {
            if few {
                rules.extend(ranges.iter().map(|&(low, high, at)| {
                    let value = Value::Ports(low, high);
                    let ports =
                        Statement::Match { field: Field::DestinationPort, negate: false, value };
                    let end = goto(at).map(Statement::Verdict);
                    Rule::new([is(number), ports].into_iter().chain(end).collect())
                }));
                continue;
            }
            let mut set =
                Set::new(SetShape { key: SetKey::Port, interval: true, map: true, size: None });
            set.elements = ranges
                .iter()
                .map(|&(low, high, at)| (Element::PortRange(low, high), goto(at)))
                .collect();
            let map: Name = format!("{name}_{number}").into();
            sets.push((map.clone(), set));
            let key = vec![Field::DestinationPort];
            rules.push(Rule::new(vec![is(number), Statement::Vmap { key, map }]));
        }
        for (&number, &at) in &self.whole {
            let end = goto(at).map(Statement::Verdict);
            rules.push(Rule::new([is(number)].into_iter().chain(end).collect()));
        }
        rules.extend(goto(self.rest).map(verdict));
        (rules, sets)
    }
}
