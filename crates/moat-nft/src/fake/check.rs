//! Whether a step fits the table, looked at by itself.

use super::{Errno, Refusal, exists, missing, target};
use crate::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Name, Rule, Set, SetKey, SetShape, Statement,
    Table, Value, Verdict,
};
use std::collections::BTreeMap;

/// The longest name: `NFT_NAME_MAXLEN` less the zero byte.
const NAME: usize = 255;
/// The longest comment that nft shows: `NFTNL_UDATA_COMMENT_MAXLEN` less the zero byte.
const COMMENT: usize = 127;
/// The longest log prefix: `NF_LOG_PREFIXLEN` less the zero byte.
const PREFIX: usize = 127;
/// The longest name of an interface: `IFNAMSIZ` less the zero byte.
const INTERFACE: usize = 15;

fn invalid<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err((Errno::Invalid, message.into()))
}

fn at_most(what: &str, text: &str, limit: usize) -> Result<(), Refusal> {
    if text.len() <= limit {
        return Ok(());
    }
    let message = format!("the {what} has {} bytes; at most {limit} are possible", text.len());
    Err((Errno::TooLong, message))
}

pub(super) fn name(name: &str) -> Result<(), Refusal> {
    at_most("name", name, NAME)?;
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(letters) {
        return Ok(());
    }
    invalid(format!("{name:?} is no name: it takes a letter, then letters, digits and `_`"))
}

/// Address translation happens at four hooks, and needs conntrack to have come first (`nf_tables_chain_type` of nat; priority -200).
pub(super) fn base(base: Option<&Base>) -> Result<(), Refusal> {
    let Some(base) = base.filter(|base| base.kind == BaseKind::Nat) else { return Ok(()) };
    if base.hook == Hook::Forward || base.priority <= -200 {
        let message = "a nat chain is not possible at the hook forward, nor before conntrack";
        return Err((Errno::Unsupported, message.to_owned()));
    }
    Ok(())
}

pub(super) fn shape(shape: SetShape) -> Result<(), Refusal> {
    if shape.interval && !matches!(shape.key, SetKey::V4 | SetKey::V6 | SetKey::Port) {
        let message = "intervals of keys with several parts are no part of the model";
        return Err((Errno::Unsupported, message.to_owned()));
    }
    Ok(())
}

/// A jump's target must be there, and be no base chain.
pub(super) fn jump(chains: &BTreeMap<Name, Chain>, to: &Name) -> Result<(), Refusal> {
    match chains.get(to) {
        None => Err(missing("chain", to)),
        Some(chain) if chain.base.is_some() => {
            let message = format!("{to} is a base chain; it cannot be jumped to");
            Err((Errno::Unsupported, message))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn element(
    name: &str,
    set: &Set,
    key: &Element,
    verdict: Option<&Verdict>,
) -> Result<(), Refusal> {
    let text = || crate::print::element(key);
    if kind(key) != (set.key, set.interval) {
        return invalid(format!("{} is no element for the keys of {name}", text()));
    }
    match (set.map, verdict) {
        (true, None) => return invalid(format!("{} has no verdict, and {name} is a map", text())),
        (false, Some(_)) => return invalid(format!("{} has a verdict; {name} is a set", text())),
        _ => {}
    }
    if !set.interval {
        let there = set.elements.contains_key(key);
        return if there { Err(exists("element", &text())) } else { Ok(()) };
    }
    if overlap(key, key) != Some(true) {
        return invalid(format!("{} ends before it begins", text()));
    }
    // Those that are there do not overlap each other, so only the neighbours can overlap this one.
    let before = set.elements.range(..=key).next_back();
    let after = set.elements.range(key..).next();
    for (other, _) in before.into_iter().chain(after) {
        if overlap(other, key) != Some(false) {
            let other = crate::print::element(other);
            return Err(exists("element", &format!("{} or a part of it ({other})", text())));
        }
    }
    Ok(())
}

/// Whether two ranges have something in common; a range that ends before it begins has nothing in common with itself.
fn overlap(one: &Element, other: &Element) -> Option<bool> {
    match (one, other) {
        (Element::RangeV4(a, b), Element::RangeV4(c, d)) => Some(a <= d && c <= b),
        (Element::RangeV6(a, b), Element::RangeV6(c, d)) => Some(a <= d && c <= b),
        (Element::PortRange(a, b), Element::PortRange(c, d)) => Some(a <= d && c <= b),
        _ => None,
    }
}

/// The kind of set that an element belongs in.
fn kind(key: &Element) -> (SetKey, bool) {
    match key {
        Element::V4(_) => (SetKey::V4, false),
        Element::RangeV4(..) => (SetKey::V4, true),
        Element::V6(_) => (SetKey::V6, false),
        Element::RangeV6(..) => (SetKey::V6, true),
        Element::Port(_) => (SetKey::Port, false),
        Element::PortRange(..) => (SetKey::Port, true),
        Element::ProtocolPort(..) => (SetKey::ProtocolPort, false),
        Element::PairV4(..) => (SetKey::PairV4, false),
        Element::PairV6(..) => (SetKey::PairV6, false),
        Element::ServiceV4(..) => (SetKey::ServiceV4, false),
        Element::ServiceV6(..) => (SetKey::ServiceV6, false),
    }
}

pub(super) fn rule(table: &Table, rule: &Rule) -> Result<(), Refusal> {
    if let Some(comment) = &rule.comment {
        at_most("comment", comment, COMMENT)?;
    }
    for statement in &rule.statements {
        match statement {
            Statement::Match { field, value, .. } => self::value(*field, value)?,
            Statement::Lookup { key, set, .. } => lookup(table, key, set, false)?,
            Statement::Vmap { key, map } => lookup(table, key, map, true)?,
            Statement::OneIn(0) => return invalid("one in 0 packets is no rate"),
            Statement::Limit { per_second: 0, .. } | Statement::Limit { burst: 0, .. } => {
                return invalid("a limit needs a rate and a burst of at least 1");
            }
            Statement::Log(log) => at_most("log prefix", &log.prefix, PREFIX)?,
            Statement::Verdict(verdict) => {
                if let Some(chain) = target(verdict) {
                    jump(&table.chains, chain)?;
                }
            }
            Statement::CtMarkMasked { .. }
            | Statement::OneIn(_)
            | Statement::Limit { .. }
            | Statement::Counter
            | Statement::Dnat { .. }
            | Statement::Masquerade
            | Statement::Reject => {}
        }
    }
    Ok(())
}

fn value(field: Field, value: &Value) -> Result<(), Refusal> {
    let fits = match (field, value) {
        (Field::SourceV4 | Field::DestinationV4, Value::V4(_)) => true,
        (Field::SourceV4 | Field::DestinationV4, Value::PrefixV4(_, length)) => *length <= 32,
        (Field::SourceV6 | Field::DestinationV6, Value::V6(_)) => true,
        (Field::SourceV6 | Field::DestinationV6, Value::PrefixV6(_, length)) => *length <= 128,
        (Field::Protocol, Value::Protocol(_)) | (Field::DestinationPort, Value::Port(_)) => true,
        (Field::DestinationPort, Value::Ports(from, to)) => from < to,
        (Field::Icmpv6Type, Value::Icmpv6Types(from, to)) => from <= to,
        (Field::InputName, Value::Interface(name)) => {
            return at_most("name of an interface", name, INTERFACE);
        }
        (Field::CtState, Value::States(_)) => true,
        _ => false,
    };
    if fits { Ok(()) } else { invalid(format!("{value:?} is no value for {field:?}")) }
}

fn lookup(table: &Table, fields: &[Field], name: &Name, vmap: bool) -> Result<(), Refusal> {
    let Some(set) = table.sets.get(name) else { return Err(missing("set or map", name)) };
    if set.map != vmap {
        let (is, wants) = if vmap { ("set", "map") } else { ("map", "set") };
        return invalid(format!("{name} is a {is}; a {wants} is needed here"));
    }
    let parts = |key: SetKey| -> &'static [Part] {
        match key {
            SetKey::V4 => &[Part::V4],
            SetKey::V6 => &[Part::V6],
            SetKey::Port => &[Part::Port],
            SetKey::ProtocolPort => &[Part::Protocol, Part::Port],
            SetKey::PairV4 => &[Part::V4, Part::V4],
            SetKey::PairV6 => &[Part::V6, Part::V6],
            SetKey::ServiceV4 => &[Part::V4, Part::Protocol, Part::Port],
            SetKey::ServiceV6 => &[Part::V6, Part::Protocol, Part::Port],
        }
    };
    if fields.iter().map(|field| part(*field)).eq(parts(set.key).iter().map(|part| Some(*part))) {
        return Ok(());
    }
    invalid(format!("{fields:?} is no key for {name}"))
}

/// A part of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    V4,
    V6,
    Protocol,
    Port,
}

fn part(field: Field) -> Option<Part> {
    match field {
        Field::SourceV4 | Field::DestinationV4 => Some(Part::V4),
        Field::SourceV6 | Field::DestinationV6 => Some(Part::V6),
        Field::Protocol => Some(Part::Protocol),
        Field::DestinationPort => Some(Part::Port),
        Field::Icmpv6Type | Field::InputName | Field::CtState => None,
    }
}
