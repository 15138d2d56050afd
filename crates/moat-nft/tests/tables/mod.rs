//! Random tables that the kernel takes, the same for the same seed.
#![allow(dead_code, reason = "each test file uses a part of this one")]

use moat_nft::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Log, Name, Rule, Set, SetKey, SetShape, Statement,
    States, Table, Value, Verdict,
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A small generator of random numbers (splitmix64).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn small(&mut self) -> u8 {
        u8::try_from(self.below(8)).unwrap()
    }

    /// From small pools, with the ends of the number range, so that neighbours and repetitions are common.
    pub(crate) fn v4(&mut self) -> Ipv4Addr {
        let x = self.small();
        match self.below(6) {
            0 => Ipv4Addr::new(0, 0, 0, x),
            1 => Ipv4Addr::new(255, 255, 255, 248 + x),
            2 => Ipv4Addr::from_bits(u32::try_from(self.next() >> 32).unwrap()),
            _ => Ipv4Addr::new(10, 0, 0, x),
        }
    }

    pub(crate) fn v6(&mut self) -> Ipv6Addr {
        let x = u16::from(self.small());
        match self.below(8) {
            0 => Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, x),
            1 => Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0x0a00, x),
            2 => Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, x),
            3 => Ipv6Addr::from_bits(u128::MAX - u128::from(x)),
            4 => Ipv6Addr::new(0xfd00, 0, x, 0, 0, x, 0, 0),
            5 => Ipv6Addr::from_bits(u128::from(self.next()) << 64 | u128::from(self.next())),
            _ => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, x),
        }
    }

    pub(crate) fn port(&mut self) -> u16 {
        match self.below(4) {
            0 => self.pick(&[0, 1, 53, 80, 443, 1024, 2047, 65534, 65535]),
            1 => u16::try_from(self.below(65536)).unwrap(),
            _ => 8080 + u16::from(self.small()),
        }
    }

    pub(crate) fn protocol(&mut self) -> u8 {
        self.pick(&[6, 6, 17, 132, 1, 58, 0, 41, 47, 50, 200, 253])
    }
}

/// A table with up to 6 sets and up to 8 chains, whose jumps go from lower to higher chains.
pub(crate) fn table(rng: &mut Rng) -> Table {
    let mut table = Table::new("moat");
    let chains: Vec<(Name, Option<Base>)> = (0..rng.below(9))
        .filter_map(|at| {
            let name: Name = format!("c{at}").into();
            let base = rng.one_in(4).then(|| base(rng));
            (!rng.one_in(5)).then_some((name, base))
        })
        .collect();
    // An element of the map number N goes only to chains behind the chain number N, which alone look into it.
    for at in 0..rng.below(7) {
        if rng.one_in(5) {
            continue;
        }
        let key = rng.pick(&SetKey::ALL);
        let simple = matches!(key, SetKey::V4 | SetKey::V6 | SetKey::Port);
        let interval = simple && rng.one_in(2);
        let size = (!interval && rng.one_in(3)).then_some(64);
        let shape = SetShape { key, interval, map: rng.one_in(2), size };
        let targets = chains.iter().skip(at + 1).filter(|(_, base)| base.is_none());
        let targets: Vec<Name> = targets.map(|(name, _)| name.clone()).collect();
        let mut set = Set::new(shape);
        let count = if rng.one_in(8) { 40 } else { rng.below(12) };
        for _ in 0..count {
            let key = element(rng, shape);
            if !clashes(&set, &key) {
                let verdict = shape.map.then(|| verdict(rng, &targets));
                set.elements.insert(key, verdict);
            }
        }
        table.sets.insert(format!("s{at}").into(), set);
    }
    for (at, (name, base)) in chains.iter().enumerate() {
        let targets = chains.iter().skip(at + 1).filter(|(_, base)| base.is_none());
        let targets: Vec<Name> = targets.map(|(name, _)| name.clone()).collect();
        let count = rng.below(6);
        let rules = (0..count).map(|_| rule(rng, &table, at, *base, &targets)).collect();
        table.chains.insert(name.clone(), Chain { base: *base, rules });
    }
    table
}

/// A table that has much in common with another; sometimes one that has only names in common.
pub(crate) fn like(rng: &mut Rng, table: &Table) -> Table {
    if rng.one_in(3) {
        return self::table(rng);
    }
    let mut result = table.clone();
    for set in result.sets.values_mut() {
        if set.elements.is_empty() || rng.one_in(2) {
            continue;
        }
        let some = set.elements.keys().nth(rng.below(set.elements.len())).unwrap().clone();
        match rng.below(3) {
            0 => drop(set.elements.remove(&some)),
            1 if set.map => drop(set.elements.insert(some, Some(Verdict::Return))),
            _ => {
                let key = element(rng, set.shape());
                if !clashes(set, &key) {
                    let verdict = set.map.then_some(Verdict::Drop);
                    set.elements.insert(key, verdict);
                }
            }
        }
    }
    for chain in result.chains.values_mut() {
        if rng.one_in(3) && !chain.rules.is_empty() {
            let at = rng.below(chain.rules.len());
            chain.rules.remove(at);
        }
    }
    result
}

fn base(rng: &mut Rng) -> Base {
    let kind = if rng.one_in(4) { BaseKind::Nat } else { BaseKind::Filter };
    let hooks = [Hook::Prerouting, Hook::Input, Hook::Output, Hook::Postrouting, Hook::Forward];
    let hook = rng.pick(&hooks[..if kind == BaseKind::Nat { 4 } else { 5 }]);
    let priority = match kind {
        BaseKind::Nat => rng.pick(&[-100, 100, -90, 110, 0, -150]),
        BaseKind::Filter => rng.pick(&[
            0,
            -5,
            10,
            -10,
            11,
            -11,
            -300,
            -310,
            -311,
            -149,
            -100,
            49,
            100,
            5000,
            i32::MIN,
            i32::MAX,
        ]),
    };
    Base { kind, hook, priority, accept: !rng.one_in(3) }
}

fn verdict(rng: &mut Rng, targets: &[Name]) -> Verdict {
    if !targets.is_empty() && rng.one_in(2) {
        let target = rng.pick(targets);
        return if rng.one_in(2) { Verdict::Jump(target) } else { Verdict::Goto(target) };
    }
    rng.pick(&[Verdict::Accept, Verdict::Drop, Verdict::Return])
}

/// An element for a set of this shape.
pub(crate) fn element(rng: &mut Rng, shape: SetShape) -> Element {
    match (shape.key, shape.interval) {
        (SetKey::V4, false) => Element::V4(rng.v4()),
        (SetKey::V4, true) => {
            let from = rng.v4().to_bits();
            let to = match rng.below(4) {
                0 => from,
                1 => from.saturating_add(u32::from(rng.small())),
                2 => rng.v4().to_bits().max(from),
                _ => from | (u32::MAX >> rng.below(33).min(31)),
            };
            Element::RangeV4(Ipv4Addr::from_bits(from), Ipv4Addr::from_bits(to))
        }
        (SetKey::V6, false) => Element::V6(rng.v6()),
        (SetKey::V6, true) => {
            let from = rng.v6().to_bits();
            let to = match rng.below(4) {
                0 => from,
                1 => from.saturating_add(u128::from(rng.small())),
                2 => rng.v6().to_bits().max(from),
                _ => from | (u128::MAX >> rng.below(128)),
            };
            Element::RangeV6(Ipv6Addr::from_bits(from), Ipv6Addr::from_bits(to))
        }
        (SetKey::Port, false) => Element::Port(rng.port()),
        (SetKey::Port, true) => {
            let from = rng.port();
            Element::PortRange(from, rng.port().max(from))
        }
        (SetKey::ProtocolPort, _) => Element::ProtocolPort(rng.protocol(), rng.port()),
        (SetKey::PairV4, _) => Element::PairV4(rng.v4(), rng.v4()),
        (SetKey::PairV6, _) => Element::PairV6(rng.v6(), rng.v6()),
        (SetKey::ServiceV4, _) => Element::ServiceV4(rng.v4(), rng.protocol(), rng.port()),
        (SetKey::ServiceV6, _) => Element::ServiceV6(rng.v6(), rng.protocol(), rng.port()),
    }
}

/// Whether an element is there, or one that overlaps it; said in the plainest way.
pub(crate) fn clashes(set: &Set, key: &Element) -> bool {
    set.elements.keys().any(|other| match (key, other) {
        (Element::RangeV4(a, b), Element::RangeV4(c, d)) => a <= d && c <= b,
        (Element::RangeV6(a, b), Element::RangeV6(c, d)) => a <= d && c <= b,
        (Element::PortRange(a, b), Element::PortRange(c, d)) => a <= d && c <= b,
        _ => key == other,
    })
}

/// A rule that nft shows as it was written: one family, a match of the protocol only before what needs it, a verdict only at the end.
fn rule(rng: &mut Rng, table: &Table, at: usize, base: Option<Base>, targets: &[Name]) -> Rule {
    let v6 = rng.one_in(2);
    let mut statements = Vec::new();
    let mut protocol_used = false;
    for _ in 0..rng.below(4) {
        if rng.one_in(2) {
            lookup(rng, table, at, v6, &mut protocol_used, &mut statements);
        } else {
            plain(rng, v6, &mut protocol_used, &mut statements);
        }
    }
    let translates = base.filter(|base| base.kind == BaseKind::Nat).map(|base| base.hook);
    let rejects =
        base.is_some_and(|base| base.kind == BaseKind::Filter && base.hook != Hook::Postrouting);
    match rng.below(6) {
        0 | 1 => statements.push(Statement::Verdict(verdict(rng, targets))),
        2 if translates == Some(Hook::Prerouting) => {
            let to = if v6 { rng.v6().into() } else { rng.v4().into() };
            let port = (!protocol_used && rng.one_in(2)).then(|| rng.port());
            if port.is_some() {
                statements.push(matches(Field::Protocol, false, Value::Protocol(6)));
            }
            statements.push(Statement::Dnat { to, port });
        }
        2 if translates == Some(Hook::Postrouting) => statements.push(Statement::Masquerade),
        3 if rejects => statements.push(Statement::Reject),
        _ => {}
    }
    if statements.is_empty() {
        statements.push(Statement::Counter);
    }
    let comment = rng.one_in(5).then(|| rng.pick(&["why", "a b # }; { c", "it's, ok"]).into());
    Rule { statements, comment }
}

fn matches(field: Field, negate: bool, value: Value) -> Statement {
    Statement::Match { field, negate, value }
}

fn plain(rng: &mut Rng, v6: bool, protocol_used: &mut bool, into: &mut Vec<Statement>) {
    let negate = rng.one_in(3);
    let source = rng.one_in(2);
    match rng.below(10) {
        0 | 1 if v6 => {
            let field = if source { Field::SourceV6 } else { Field::DestinationV6 };
            let length = rng.below(128);
            let address = rng.v6();
            let value = if rng.one_in(2) {
                Value::V6(address)
            } else {
                let kept = !u128::MAX.checked_shr(length.try_into().unwrap()).unwrap_or(0);
                Value::PrefixV6(
                    Ipv6Addr::from_bits(address.to_bits() & kept),
                    length.try_into().unwrap(),
                )
            };
            into.push(matches(field, negate, value));
        }
        0 | 1 => {
            let field = if source { Field::SourceV4 } else { Field::DestinationV4 };
            let length = rng.below(32);
            let address = rng.v4();
            let value = if rng.one_in(2) {
                Value::V4(address)
            } else {
                let kept = !u32::MAX.checked_shr(length.try_into().unwrap()).unwrap_or(0);
                Value::PrefixV4(
                    Ipv4Addr::from_bits(address.to_bits() & kept),
                    length.try_into().unwrap(),
                )
            };
            into.push(matches(field, negate, value));
        }
        2 if !*protocol_used => {
            *protocol_used = true;
            match rng.below(5) {
                0 => into.push(matches(Field::Protocol, negate, Value::Protocol(rng.protocol()))),
                1 if v6 => {
                    let from = u8::try_from(rng.below(256)).unwrap();
                    let to = rng.pick(&[from, from.saturating_add(4), 255]);
                    into.push(matches(Field::Icmpv6Type, negate, Value::Icmpv6Types(from, to)));
                }
                2 => into.push(matches(Field::DestinationPort, negate, Value::Port(rng.port()))),
                3 => {
                    let from = rng.port();
                    let to = from.checked_add(1).map_or(u16::MAX, |next| next.max(rng.port()));
                    let ports = if from < to { Value::Ports(from, to) } else { Value::Port(from) };
                    into.push(matches(Field::DestinationPort, negate, ports));
                }
                _ => {
                    let protocol = rng.pick(&[6, 17, 132, 33, 136]);
                    into.push(matches(Field::Protocol, false, Value::Protocol(protocol)));
                    into.push(matches(Field::DestinationPort, negate, Value::Port(rng.port())));
                }
            }
        }
        3 => {
            let name = rng.pick(&["lo", "eth0.1", "cali*", "veth1234567890"]);
            into.push(matches(Field::InputName, negate, Value::Interface(name.into())));
        }
        4 => {
            let states = States {
                invalid: rng.one_in(2),
                established: rng.one_in(2),
                related: rng.one_in(2),
                new: rng.one_in(2),
            };
            let states =
                if states == States::default() { States { new: true, ..states } } else { states };
            into.push(matches(Field::CtState, negate, Value::States(states)));
        }
        5 => {
            let mask = rng.pick(&[1, 2, 0x4000, 0x8000_0000, 0xff00_0000, 0x00ff_0000, u32::MAX]);
            let value = rng.pick(&[0, 1, 0x4000, u32::MAX]) & mask;
            into.push(Statement::CtMarkMasked { mask, value, negate });
        }
        6 => into.push(Statement::OneIn(rng.pick(&[1, 3, 1000]))),
        7 => {
            let per_second = rng.pick(&[1, 10, 60, 3600, 100_000]);
            into.push(Statement::Limit {
                over: negate,
                per_second,
                burst: rng.pick(&[1, 5, 7, 1000]),
            });
        }
        8 => {
            let log = Log {
                prefix: rng.pick(&["", "n1A00000001", "with blanks # and { signs"]).into(),
                group: rng.pick(&[0, 1, 65535]),
                snaplen: rng.pick(&[0, 80]),
                queue_threshold: rng.pick(&[0, 1, 64]),
            };
            into.push(Statement::Log(log));
        }
        _ => into.push(Statement::Counter),
    }
}

fn lookup(
    rng: &mut Rng,
    table: &Table,
    at: usize,
    v6: bool,
    protocol_used: &mut bool,
    into: &mut Vec<Statement>,
) {
    if table.sets.is_empty() {
        return;
    }
    let (name, set) = table.sets.iter().nth(rng.below(table.sets.len())).unwrap();
    let owner = format!("s{at}");
    if set.map && **name != *owner {
        return;
    }
    let address = if v6 {
        rng.pick(&[Field::SourceV6, Field::DestinationV6])
    } else {
        rng.pick(&[Field::SourceV4, Field::DestinationV4])
    };
    let key = match (set.key, v6) {
        (SetKey::V4, false) | (SetKey::V6, true) => vec![address],
        (SetKey::PairV4, false) => vec![Field::SourceV4, Field::DestinationV4],
        (SetKey::PairV6, true) => vec![Field::SourceV6, Field::DestinationV6],
        (SetKey::Port, _) => vec![Field::DestinationPort],
        (SetKey::ProtocolPort, _) if !*protocol_used => {
            vec![Field::Protocol, Field::DestinationPort]
        }
        (SetKey::ServiceV4, false) | (SetKey::ServiceV6, true) if !*protocol_used => {
            vec![address, Field::Protocol, Field::DestinationPort]
        }
        _ => return,
    };
    let ports = key.contains(&Field::DestinationPort);
    if ports && *protocol_used {
        return;
    }
    *protocol_used |= ports;
    if key == [Field::DestinationPort] && rng.one_in(2) {
        into.push(matches(Field::Protocol, false, Value::Protocol(17)));
    }
    into.push(if set.map {
        Statement::Vmap { key, map: name.clone() }
    } else {
        Statement::Lookup { key, set: name.clone(), negate: rng.one_in(3) }
    });
}
