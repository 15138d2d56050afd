//! Random tables, and the steps that make one.

use super::Dice;
use moat_nft::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Key, Log, Name, Op, Rule, Set, SetKey, SetShape,
    Statement, States, Table, Value, Verdict,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A table that the kernel takes: chains only jump to later ones, and maps only to those that jump nowhere.
pub fn table(dice: &mut Dice, name: &str) -> Table {
    let mut table = Table::new(name);
    let leaves: Vec<Name> = (0..3).map(|n| format!("leaf{n}").into()).collect();
    let inner: Vec<Name> = (0..4).map(|n| format!("inner{n}").into()).collect();
    let mut shapes = Vec::new();
    for (n, key) in SetKey::ALL.into_iter().enumerate() {
        for map in [false, true] {
            for interval in [false, true] {
                let one_field = matches!(key, SetKey::V4 | SetKey::V6 | SetKey::Port);
                if (interval && !one_field) || dice.one_in(4) {
                    continue;
                }
                let size = (!interval && map).then_some(64);
                let shape = SetShape { key, interval, map, size };
                let name: Name = format!("s{n}_{}{}", u8::from(map), u8::from(interval)).into();
                let mut set = Set::new(shape);
                let n_elements = dice.below(12);
                set.elements = elements(dice, shape, n_elements, &leaves);
                table.sets.insert(name.clone(), set);
                shapes.push((name, shape));
            }
        }
    }
    let bases = [
        ("base0", BaseKind::Filter, Hook::Forward),
        ("base1", BaseKind::Filter, Hook::Input),
        ("base2", BaseKind::Filter, Hook::Output),
    ];
    for (name, kind, hook) in bases {
        let priority = i32::try_from(dice.below(400)).unwrap() - 200;
        let base = Base { kind, hook, priority, accept: dice.one_in(2) };
        let rules = rules(dice, &shapes, &inner);
        table.chains.insert(name.into(), Chain { base: Some(base), rules });
    }
    for (n, name) in inner.iter().enumerate() {
        let targets: Vec<Name> = inner[n + 1..].iter().chain(&leaves).cloned().collect();
        let rules = rules(dice, &shapes, &targets);
        table.chains.insert(name.clone(), Chain { base: None, rules });
    }
    let plain: Vec<_> = shapes.iter().filter(|(_, shape)| !shape.map).cloned().collect();
    for name in &leaves {
        let rules = rules(dice, &plain, &[]);
        table.chains.insert(name.clone(), Chain { base: None, rules });
    }
    nat(dice, &mut table);
    table
}

fn nat(dice: &mut Dice, table: &mut Table) {
    let v4 = Statement::Dnat { to: IpAddr::V4(v4(dice)), port: None };
    let v6 = Statement::Dnat { to: IpAddr::V6(v6(dice)), port: Some(port(dice)) };
    let v4_port =
        Statement::Dnat { to: IpAddr::V4(super::tables::v4(dice)), port: Some(port(dice)) };
    let tcp = Statement::Match { field: Field::Protocol, negate: false, value: Value::Protocol(6) };
    let before = Base { kind: BaseKind::Nat, hook: Hook::Prerouting, priority: -100, accept: true };
    let rules = vec![
        Rule::new(vec![v4]),
        Rule::new(vec![tcp.clone(), v6]),
        Rule::new(vec![tcp, Statement::Counter, v4_port]),
    ];
    table.chains.insert("nat_in".into(), Chain { base: Some(before), rules });
    let after = Base { kind: BaseKind::Nat, hook: Hook::Postrouting, priority: 100, accept: true };
    let rules = vec![Rule::new(vec![Statement::Masquerade])];
    table.chains.insert("nat_out".into(), Chain { base: Some(after), rules });
}

fn v4(dice: &mut Dice) -> Ipv4Addr {
    match dice.below(8) {
        0 => Ipv4Addr::UNSPECIFIED,
        1 => Ipv4Addr::BROADCAST,
        _ => Ipv4Addr::from_bits(u32::try_from(dice.below(1 << 32)).unwrap()),
    }
}

fn v6(dice: &mut Dice) -> Ipv6Addr {
    match dice.below(8) {
        0 => Ipv6Addr::UNSPECIFIED,
        1 => Ipv6Addr::from_bits(u128::MAX),
        _ => Ipv6Addr::from_bits(
            u128::from(dice.below(u64::MAX)) << 64 | u128::from(dice.below(u64::MAX)),
        ),
    }
}

fn port(dice: &mut Dice) -> u16 {
    match dice.below(8) {
        0 => 0,
        1 => u16::MAX,
        _ => u16::try_from(dice.below(1 << 16)).unwrap(),
    }
}

fn protocol(dice: &mut Dice) -> u8 {
    *dice.pick(&[1, 6, 17, 58, 132, 255])
}

fn verdict(dice: &mut Dice, chains: &[Name]) -> Verdict {
    match dice.below(if chains.is_empty() { 3 } else { 5 }) {
        0 => Verdict::Accept,
        1 => Verdict::Drop,
        2 => Verdict::Return,
        3 => Verdict::Jump(dice.pick(chains).clone()),
        _ => Verdict::Goto(dice.pick(chains).clone()),
    }
}

/// Elements of a shape; ranges apart or next to each other.
pub fn elements(
    dice: &mut Dice,
    shape: SetShape,
    n: u64,
    chains: &[Name],
) -> BTreeMap<Element, Option<Verdict>> {
    let keys: Vec<Element> = if shape.interval {
        let mut bounds: Vec<u128> = (0..2 * n)
            .map(|_| match shape.key {
                SetKey::V4 => v4(dice).to_bits().into(),
                SetKey::V6 => v6(dice).to_bits(),
                _ => port(dice).into(),
            })
            .collect();
        bounds.sort_unstable();
        bounds.dedup();
        let mut out = Vec::new();
        let mut free = 0;
        for pair in bounds.chunks_exact(2) {
            // Sometimes from the end of the last one on, sometimes a range of one.
            let low = if dice.one_in(3) { free } else { pair[0] };
            let high = if dice.one_in(4) { low } else { pair[1] };
            if low < free || high < low {
                continue;
            }
            free = high.saturating_add(1);
            let (l32, h32) = (u32::try_from(low).unwrap_or(0), u32::try_from(high).unwrap_or(0));
            let (l16, h16) = (u16::try_from(low).unwrap_or(0), u16::try_from(high).unwrap_or(0));
            out.push(match shape.key {
                SetKey::V4 => Element::RangeV4(l32.into(), h32.into()),
                SetKey::V6 => Element::RangeV6(low.into(), high.into()),
                _ => Element::PortRange(l16, h16),
            });
            if free == 0 || high == u128::MAX {
                break;
            }
        }
        out
    } else {
        (0..n)
            .map(|_| match shape.key {
                SetKey::V4 => Element::V4(v4(dice)),
                SetKey::V6 => Element::V6(v6(dice)),
                SetKey::Port => Element::Port(port(dice)),
                SetKey::ProtocolPort => Element::ProtocolPort(protocol(dice), port(dice)),
                SetKey::PairV4 => Element::PairV4(v4(dice), v4(dice)),
                SetKey::PairV6 => Element::PairV6(v6(dice), v6(dice)),
                SetKey::ServiceV4 => Element::ServiceV4(v4(dice), protocol(dice), port(dice)),
                SetKey::ServiceV6 => Element::ServiceV6(v6(dice), protocol(dice), port(dice)),
            })
            .collect()
    };
    keys.into_iter().map(|key| (key, shape.map.then(|| verdict(dice, chains)))).collect()
}

fn rules(dice: &mut Dice, sets: &[(Name, SetShape)], chains: &[Name]) -> Vec<Rule> {
    (0..dice.below(9)).map(|_| rule(dice, sets, chains)).collect()
}

fn rule(dice: &mut Dice, sets: &[(Name, SetShape)], chains: &[Name]) -> Rule {
    let mut statements: Vec<Statement> =
        (0..dice.below(4)).map(|_| statement(dice, sets)).collect();
    match dice.below(8) {
        0 => statements.push(Statement::Reject),
        1 if statements.is_empty() => statements.push(Statement::Counter),
        1 => {}
        _ => statements.push(Statement::Verdict(verdict(dice, chains))),
    }
    let comment =
        dice.one_in(3).then(|| "x".repeat(1 + usize::try_from(dice.below(127)).unwrap()).into());
    Rule { statements, comment }
}

fn key(dice: &mut Dice, of: SetKey) -> Key {
    let v4 = [Field::SourceV4, Field::DestinationV4];
    let v6 = [Field::SourceV6, Field::DestinationV6];
    match of {
        SetKey::V4 => vec![*dice.pick(&v4)],
        SetKey::V6 => vec![*dice.pick(&v6)],
        SetKey::Port => vec![Field::DestinationPort],
        SetKey::ProtocolPort => vec![Field::Protocol, Field::DestinationPort],
        SetKey::PairV4 => vec![*dice.pick(&v4), *dice.pick(&v4)],
        SetKey::PairV6 => vec![*dice.pick(&v6), *dice.pick(&v6)],
        SetKey::ServiceV4 => vec![*dice.pick(&v4), Field::Protocol, Field::DestinationPort],
        SetKey::ServiceV6 => vec![*dice.pick(&v6), Field::Protocol, Field::DestinationPort],
    }
}

fn statement(dice: &mut Dice, sets: &[(Name, SetShape)]) -> Statement {
    let some = |dice: &mut Dice| u32::try_from(dice.below(1 << 32)).unwrap();
    match dice.below(14) {
        0 => {
            let mask = some(dice);
            Statement::CtMarkMasked { mask, value: some(dice) & mask, negate: dice.one_in(2) }
        }
        1..=4 if !sets.is_empty() => {
            let (name, shape) = dice.pick(sets).clone();
            let key = key(dice, shape.key);
            if shape.map {
                Statement::Vmap { key, map: name }
            } else {
                Statement::Lookup { key, set: name, negate: dice.one_in(2) }
            }
        }
        5 => Statement::OneIn(1 + some(dice) % 1000),
        6 => Statement::Counter,
        7 => Statement::Limit {
            over: dice.one_in(2),
            per_second: 1 + dice.below(100_000),
            burst: 1 + some(dice) % 1000,
        },
        8 => Statement::Log(Log {
            prefix: if dice.one_in(4) { "" } else { "n1A17 some words" }.into(),
            group: port(dice),
            snaplen: some(dice) % 1000,
            queue_threshold: port(dice),
        }),
        _ => a_match(dice),
    }
}

fn a_match(dice: &mut Dice) -> Statement {
    let negate = dice.one_in(3);
    let (field, value) = match dice.below(9) {
        0 => (*dice.pick(&[Field::SourceV4, Field::DestinationV4]), Value::V4(v4(dice))),
        1 => (*dice.pick(&[Field::SourceV6, Field::DestinationV6]), Value::V6(v6(dice))),
        2 => {
            let len = u8::try_from(dice.below(32)).unwrap();
            let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            let address = (v4(dice).to_bits() & mask).into();
            (*dice.pick(&[Field::SourceV4, Field::DestinationV4]), Value::PrefixV4(address, len))
        }
        3 => {
            let len = u8::try_from(dice.below(128)).unwrap();
            let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
            let address = (v6(dice).to_bits() & mask).into();
            (*dice.pick(&[Field::SourceV6, Field::DestinationV6]), Value::PrefixV6(address, len))
        }
        4 => (Field::Protocol, Value::Protocol(*dice.pick(&[6, 17, 132]))),
        5 if dice.one_in(2) => {
            let low = u16::try_from(dice.below(65_535)).unwrap();
            let high = u64::from(low) + 1 + dice.below(u64::from(u16::MAX - low));
            (Field::DestinationPort, Value::Ports(low, u16::try_from(high).unwrap()))
        }
        5 => (Field::DestinationPort, Value::Port(port(dice))),
        6 => {
            let low = u8::try_from(dice.below(256)).unwrap();
            let high = u8::try_from(u64::from(low) + dice.below(256 - u64::from(low))).unwrap();
            (Field::Icmpv6Type, Value::Icmpv6Types(low, high))
        }
        7 => (
            Field::InputName,
            Value::Interface((*dice.pick(&["eth0", "lo", "cali0123456789a"])).into()),
        ),
        _ => {
            let bits = 1 + dice.below(15);
            let [invalid, established, related, new] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            (Field::CtState, Value::States(States { invalid, established, related, new }))
        }
    };
    Statement::Match { field, negate, value }
}

/// The steps that make a table where there is none.
pub fn make(table: &Table) -> Vec<Op> {
    let mut ops = vec![Op::AddTable];
    ops.extend(table.sets.iter().map(|(name, set)| Op::AddSet(name.clone(), set.shape())));
    ops.extend(table.chains.iter().map(|(name, chain)| Op::AddChain(name.clone(), chain.base)));
    for (name, set) in &table.sets {
        let all =
            set.elements.iter().map(|(key, verdict)| (key.clone(), verdict.clone())).collect();
        ops.push(Op::AddElements(name.clone(), all));
    }
    for (name, chain) in &table.chains {
        ops.extend(chain.rules.iter().map(|rule| Op::AddRule(name.clone(), rule.clone())));
    }
    ops
}

/// Whether `nft` lists a rule as it is: it refuses one of two IP families or of ICMPv6 with ports, and moves or leaves out a
/// match of the protocol where a key has ports.
pub fn possible(rule: &Rule) -> bool {
    let mut fields: Vec<Field> = Vec::new();
    for statement in &rule.statements {
        match statement {
            Statement::Match { field, .. } => fields.push(*field),
            Statement::Lookup { key, .. } | Statement::Vmap { key, .. } => fields.extend(key),
            _ => {}
        }
    }
    let has = |of: &[Field]| fields.iter().any(|field| of.contains(field));
    let v4 = has(&[Field::SourceV4, Field::DestinationV4]);
    let icmp = has(&[Field::Icmpv6Type]);
    let v6 = icmp || has(&[Field::SourceV6, Field::DestinationV6]);
    let of_protocol = |statement: &Statement| {
        matches!(statement, Statement::Match { field: Field::Protocol, .. })
    };
    let moved = rule.statements.iter().any(of_protocol) && has(&[Field::DestinationPort]);
    !(moved || v4 && v6 || icmp && has(&[Field::Protocol, Field::DestinationPort]))
}
