//! The chain of a row: from a destination port to the decision about it.

use super::{Renderer, verdict};
use crate::model::{Element, Field, Name, Rule, Set, SetKey, SetShape, Statement, Value, Verdict};
use crate::reason::hash;
use moat_ir::{Decision, Direction};
use moat_sets::{PortSet, Protocol, ServicePoint};
use std::collections::BTreeMap;

/// A port range up to this long is cheaper as single ports: a hash lookup costs less than a tree's.
const EXPAND_MAX: u16 = 16;
/// Up to so many single ports are compared one by one, which is cheaper than a map.
const COMPARE_MAX: usize = 2;

impl Renderer<'_> {
    /// The chain of a row: the decision's own where all ports share it.
    pub(super) fn row(&mut self, direction: Direction, ports: &[(PortSet, Decision)]) -> Name {
        if let [(_, only)] = ports {
            return self.decision(direction, only);
        }
        let row = Row::new(ports);
        let chains: Vec<Name> =
            ports.iter().map(|(_, decision)| self.decision(direction, decision)).collect();
        let mut text = String::new();
        for ((ports, _), chain) in ports.iter().zip(&chains) {
            text.push_str(&format!("{ports} {chain}\n"));
        }
        let name: Name = format!("{}ports_{direction}_{:016x}", self.prefix(), hash(&text)).into();
        if self.table.chains.contains_key(&name) {
            return name;
        }
        let rules = row.rules(&name, &chains, &mut self.table.sets);
        self.chain(&name, None, rules);
        name
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

    fn rules(&self, name: &str, chains: &[Name], sets: &mut BTreeMap<Name, Set>) -> Vec<Rule> {
        let goto = |at: usize| chains.get(at).map(|chain| Verdict::Goto(chain.clone()));
        let is = |number| Statement::Match {
            field: Field::Protocol,
            negate: false,
            value: Value::Protocol(number),
        };
        let mut rules = Vec::new();
        if self.exact.len() <= COMPARE_MAX {
            for (&(number, port), &at) in &self.exact {
                let value = Value::Port(port);
                let port = Statement::Match { field: Field::DestinationPort, negate: false, value };
                let end = goto(at).map(Statement::Verdict);
                rules.push(Rule::new([is(number), port].into_iter().chain(end).collect()));
            }
        } else {
            let mut set =
                Set::new(SetShape { key: SetKey::ProtocolPort, interval: false, map: true });
            let element = |&(number, port): &(u8, u16)| Element::ProtocolPort(number, port);
            set.elements =
                self.exact.iter().map(|(point, at)| (element(point), goto(*at))).collect();
            let map: Name = name.into();
            sets.insert(map.clone(), set);
            let key = vec![Field::Protocol, Field::DestinationPort];
            rules.push(Rule::new(vec![Statement::Vmap { key, map }]));
        }
        for (&number, ranges) in &self.ranges {
            let mut set = Set::new(SetShape { key: SetKey::Port, interval: true, map: true });
            set.elements = ranges
                .iter()
                .map(|&(low, high, at)| (Element::PortRange(low, high), goto(at)))
                .collect();
            let map: Name = format!("{name}_{number}").into();
            sets.insert(map.clone(), set);
            let key = vec![Field::DestinationPort];
            rules.push(Rule::new(vec![is(number), Statement::Vmap { key, map }]));
        }
        for (&number, &at) in &self.whole {
            let end = goto(at).map(Statement::Verdict);
            rules.push(Rule::new([is(number)].into_iter().chain(end).collect()));
        }
        rules.extend(goto(self.rest).map(verdict));
        rules
    }
}
