//! What a table does with one packet: the reading of `nft(8)` and `nf_tables_core.c` that rendering is checked against.

use crate::model::{Element, Field, Hook, Set, SetKey, Statement, States, Table, Value, Verdict};
use std::net::IpAddr;
use std::sync::Arc;

/// A packet as a table sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Where it is from.
    pub source: IpAddr,
    /// Where it is for, after destination translation.
    pub destination: IpAddr,
    /// Its transport protocol's number.
    pub protocol: u8,
    /// Its destination port, where the protocol has ports.
    pub port: Option<u16>,
    /// Its ICMPv6 type.
    pub icmpv6_type: Option<u8>,
    /// The interface it came in by.
    pub input: Arc<str>,
    /// Its connection's state: exactly one is set.
    pub state: States,
    /// Its connection's mark.
    pub mark: u32,
}

/// What became of a packet at a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fate {
    /// Whether it passed.
    pub accepted: bool,
    /// The prefixes of its log records, in order.
    pub logged: Vec<Arc<str>>,
    /// Its new destination, if a rule translated it.
    pub translated: Option<(IpAddr, Option<u16>)>,
}

/// More steps than any table of ours needs; a table that takes more has a loop, which the kernel refuses.
const STEPS_MAX: usize = 4096;

/// What a table does with a packet at a hook; the base chains of the hook see it in the order of their priorities.
///
/// Limits are full buckets, and chance always strikes.
#[must_use]
pub fn run(table: &Table, hook: Hook, packet: &Packet) -> Fate {
    let mut fate = Fate { accepted: true, logged: Vec::new(), translated: None };
    let mut bases: Vec<_> = table
        .chains
        .iter()
        .filter_map(|(name, chain)| Some((chain.base?, name)))
        .filter(|(base, _)| base.hook == hook)
        .collect();
    bases.sort_by_key(|(base, name)| (base.priority, (*name).clone()));
    for (base, name) in bases {
        let end = Walk { table, packet, fate: &mut fate, steps: 0 }.chain(name);
        let accepted = match end {
            End::Accept => true,
            End::Drop => false,
            End::Back => base.accept,
        };
        if !accepted {
            fate.accepted = false;
            break;
        }
    }
    fate
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Accept,
    Drop,
    Back,
}

/// What a statement did.
enum Step {
    Next,
    Miss,
    Stop(Verdict),
}

struct Walk<'a> {
    table: &'a Table,
    packet: &'a Packet,
    fate: &'a mut Fate,
    steps: usize,
}

impl Walk<'_> {
    fn chain(&mut self, name: &str) -> End {
        let Some(mut chain) = self.table.chains.get(name) else { return End::Drop };
        let mut at = 0;
        loop {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return End::Drop;
            }
            let Some(rule) = chain.rules.get(at) else { return End::Back };
            at += 1;
            match self.rule(&rule.statements) {
                None => {}
                Some(Verdict::Accept) => return End::Accept,
                Some(Verdict::Drop) => return End::Drop,
                Some(Verdict::Return) => return End::Back,
                Some(Verdict::Jump(to)) => match self.chain(&to) {
                    End::Back => {}
                    end => return end,
                },
                Some(Verdict::Goto(to)) => {
                    let Some(next) = self.table.chains.get(&to) else { return End::Drop };
                    (chain, at) = (next, 0);
                }
            }
        }
    }

    fn rule(&mut self, statements: &[Statement]) -> Option<Verdict> {
        for statement in statements {
            match self.statement(statement) {
                Step::Next => {}
                Step::Miss => return None,
                Step::Stop(verdict) => return Some(verdict),
            }
        }
        None
    }

    fn statement(&mut self, statement: &Statement) -> Step {
        let when = |matches| if matches { Step::Next } else { Step::Miss };
        match statement {
            Statement::Match { field, negate, value } => {
                // A field that the packet does not have matches nothing, negated or not.
                self.matches(*field, value).map_or(Step::Miss, |equal| when(equal != *negate))
            }
            Statement::CtMarkMasked { mask, value, negate } => {
                when((self.packet.mark & mask == *value) != *negate)
            }
            Statement::Lookup { key, set, negate } => {
                let (Some(key), Some(set)) = (self.key(key), self.table.sets.get(set)) else {
                    return Step::Miss;
                };
                when(find(set, &key).is_some() != *negate)
            }
            Statement::Vmap { key, map } => {
                let found = self.key(key).zip(self.table.sets.get(map));
                match found.and_then(|(key, map)| find(map, &key)) {
                    Some(Some(verdict)) => Step::Stop(verdict.clone()),
                    _ => Step::Next,
                }
            }
            Statement::Limit { over, .. } => when(!over),
            Statement::OneIn(_) | Statement::Counter | Statement::Masquerade => Step::Next,
            Statement::Log(log) => {
                self.fate.logged.push(log.prefix.clone());
                Step::Next
            }
            Statement::Dnat { to, port } => {
                self.fate.translated = Some((*to, *port));
                Step::Stop(Verdict::Accept)
            }
            Statement::Verdict(verdict) => Step::Stop(verdict.clone()),
            Statement::Reject => Step::Stop(Verdict::Drop),
        }
    }

    fn matches(&self, field: Field, value: &Value) -> Option<bool> {
        let packet = self.packet;
        Some(match (field, value) {
            (Field::SourceV4, Value::V4(own)) => v4(packet.source)? == own.to_bits(),
            (Field::DestinationV4, Value::V4(own)) => v4(packet.destination)? == own.to_bits(),
            (Field::SourceV6, Value::V6(own)) => v6(packet.source)? == own.to_bits(),
            (Field::DestinationV6, Value::V6(own)) => v6(packet.destination)? == own.to_bits(),
            (Field::SourceV4, Value::PrefixV4(own, length)) => {
                prefix(v4(packet.source)?, own.to_bits(), *length)
            }
            (Field::DestinationV4, Value::PrefixV4(own, length)) => {
                prefix(v4(packet.destination)?, own.to_bits(), *length)
            }
            (Field::SourceV6, Value::PrefixV6(own, length)) => {
                prefix6(v6(packet.source)?, own.to_bits(), *length)
            }
            (Field::DestinationV6, Value::PrefixV6(own, length)) => {
                prefix6(v6(packet.destination)?, own.to_bits(), *length)
            }
            (Field::Protocol, Value::Protocol(number)) => packet.protocol == *number,
            (Field::DestinationPort, Value::Port(port)) => packet.port? == *port,
            (Field::DestinationPort, Value::Ports(low, high)) => {
                (*low..=*high).contains(&packet.port?)
            }
            (Field::Icmpv6Type, Value::Icmpv6Types(low, high)) => {
                (*low..=*high).contains(&packet.icmpv6_type?)
            }
            (Field::InputName, Value::Interface(name)) => packet.input == *name,
            (Field::CtState, Value::States(states)) => {
                let own = packet.state;
                own.invalid && states.invalid
                    || own.established && states.established
                    || own.related && states.related
                    || own.new && states.new
            }
            _ => return None,
        })
    }

    /// The element that a key would be in a set without intervals.
    fn key(&self, fields: &[Field]) -> Option<Element> {
        let packet = self.packet;
        let address = |field| match (field, packet.source, packet.destination) {
            (Field::SourceV4, own @ IpAddr::V4(_), _)
            | (Field::SourceV6, own @ IpAddr::V6(_), _) => Some(own),
            (Field::DestinationV4, _, own @ IpAddr::V4(_))
            | (Field::DestinationV6, _, own @ IpAddr::V6(_)) => Some(own),
            _ => None,
        };
        Some(match *fields {
            [Field::DestinationPort] => Element::Port(packet.port?),
            [Field::Protocol, Field::DestinationPort] => {
                Element::ProtocolPort(packet.protocol, packet.port?)
            }
            [one] => match address(one)? {
                IpAddr::V4(own) => Element::V4(own),
                IpAddr::V6(own) => Element::V6(own),
            },
            [one, two] => match (address(one)?, address(two)?) {
                (IpAddr::V4(one), IpAddr::V4(two)) => Element::PairV4(one, two),
                (IpAddr::V6(one), IpAddr::V6(two)) => Element::PairV6(one, two),
                _ => return None,
            },
            [one, Field::Protocol, Field::DestinationPort] => match address(one)? {
                IpAddr::V4(own) => Element::ServiceV4(own, packet.protocol, packet.port?),
                IpAddr::V6(own) => Element::ServiceV6(own, packet.protocol, packet.port?),
            },
            _ => return None,
        })
    }
}

/// Looks a key up; `None` if it is not there.
fn find<'a>(set: &'a Set, key: &Element) -> Option<&'a Option<Verdict>> {
    if !set.interval {
        return set.elements.get(key);
    }
    // The last range that begins at or before the key is the only one that can hold it.
    let (range, verdict) = match (set.key, key) {
        (SetKey::V4, Element::V4(own)) => {
            set.elements.range(..=Element::RangeV4(*own, [255; 4].into())).next_back()?
        }
        (SetKey::V6, Element::V6(own)) => {
            set.elements.range(..=Element::RangeV6(*own, [255; 16].into())).next_back()?
        }
        (SetKey::Port, Element::Port(own)) => {
            set.elements.range(..=Element::PortRange(*own, u16::MAX)).next_back()?
        }
        _ => return None,
    };
    let inside = match (range, key) {
        (Element::RangeV4(_, high), Element::V4(own)) => own <= high,
        (Element::RangeV6(_, high), Element::V6(own)) => own <= high,
        (Element::PortRange(_, high), Element::Port(own)) => own <= high,
        _ => false,
    };
    inside.then_some(verdict)
}

fn v4(address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(address) => Some(address.to_bits()),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<u128> {
    match address {
        IpAddr::V6(address) => Some(address.to_bits()),
        IpAddr::V4(_) => None,
    }
}

fn prefix(own: u32, network: u32, length: u8) -> bool {
    let shift = 32 - u32::from(length.min(32));
    own.checked_shr(shift).unwrap_or(0) == network.checked_shr(shift).unwrap_or(0)
}

fn prefix6(own: u128, network: u128, length: u8) -> bool {
    let shift = 128 - u32::from(length.min(128));
    own.checked_shr(shift).unwrap_or(0) == network.checked_shr(shift).unwrap_or(0)
}
