//! Rules as expressions, in the way that nft itself writes them, and back.
//!
//! In a table of family `inet`, a field of one IP family is preceded by `meta nfproto`, and `icmpv6 type` by `meta l4proto` as
//! well, each once for all that follow; `nft` hides both again when it lists a rule.

use super::expr::{
    CT_MARK, CT_STATE, EQ, Expr, GTE, ICMPX_ADMIN_PROHIBITED, IPV4, IPV6, LTE, META_IIFNAME,
    META_L4PROTO, META_NFPROTO, NEQ, NETWORK, REJECT_ICMPX, REJECT_TCP_RESET, TRANSPORT, Word,
};
use moat_nft::model::{Field, Key, Log, Rule, Statement, States, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `IPPROTO_TCP`
const TCP: u8 = 6;
/// `IPPROTO_ICMPV6`
const ICMPV6: u8 = 58;
/// `IFNAMSIZ`
const NAME_LEN: usize = 16;

/// Bits of `ct state`: `NF_CT_STATE_INVALID_BIT` and `NF_CT_STATE_BIT` of linux/netfilter/nf_conntrack_common.h.
const STATES: [u32; 4] = [1, 2, 4, 8];

fn bits(states: States) -> u32 {
    let States { invalid, established, related, new } = states;
    STATES
        .iter()
        .zip([invalid, established, related, new])
        .filter(|(_, has)| *has)
        .map(|(bit, _)| bit)
        .sum()
}

fn states(bits: u32) -> Option<States> {
    let [invalid, established, related, new] = STATES.map(|bit| bits & bit != 0);
    (bits & !15 == 0).then_some(States { invalid, established, related, new })
}

/// What is known of a packet at a place in a rule.
#[derive(Default)]
struct Known {
    family: Option<u8>,
    icmpv6: bool,
    tcp: bool,
}

/// The expressions of a rule.
pub(crate) fn to_exprs(rule: &Rule) -> Result<Vec<Expr>, String> {
    let mut out = Vec::new();
    let mut known = Known::default();
    for statement in &rule.statements {
        match statement {
            Statement::Match { field, negate, value } => {
                write_match(&mut out, &mut known, *field, *negate, value)?;
            }
            Statement::CtMarkMasked { mask, value, negate } => {
                out.push(Expr::Ct { key: CT_MARK, to: 0 });
                out.push(Expr::Mask { of: 0, mask: mask.to_ne_bytes().to_vec() });
                out.push(Expr::Cmp { of: 0, op: op(*negate), with: value.to_ne_bytes().to_vec() });
            }
            Statement::Lookup { key, set, negate } => {
                write_key(&mut out, &mut known, key)?;
                out.push(Expr::Lookup { of: 0, set: set.to_string(), map: false, negate: *negate });
            }
            Statement::Vmap { key, map } => {
                write_key(&mut out, &mut known, key)?;
                out.push(Expr::Lookup { of: 0, set: map.to_string(), map: true, negate: false });
            }
            Statement::OneIn(modulus) => {
                out.push(Expr::Random { to: 0, modulus: *modulus });
                out.push(Expr::Cmp { of: 0, op: EQ, with: vec![0; 4] });
            }
            Statement::Counter => out.push(Expr::Counter),
            // The kernel would take a burst of 0 for 5.
            Statement::Limit { per_second: 0, .. } | Statement::Limit { burst: 0, .. } => {
                return Err("a limit whose rate or burst is 0".to_owned());
            }
            Statement::Limit { over, per_second, burst } => {
                out.push(Expr::Limit { rate: *per_second, burst: *burst, over: *over });
            }
            Statement::Log(Log { prefix, group, snaplen, queue_threshold }) => {
                out.push(Expr::Log {
                    prefix: prefix.to_string(),
                    group: *group,
                    snaplen: *snaplen,
                    threshold: *queue_threshold,
                });
            }
            Statement::Dnat { to, port } => {
                let (family, value) = match to {
                    IpAddr::V4(to) => (IPV4, to.octets().to_vec()),
                    IpAddr::V6(to) => (IPV6, to.octets().to_vec()),
                };
                out.push(Expr::Set { to: 0, value });
                if let Some(port) = port {
                    out.push(Expr::Set { to: 4, value: port.to_be_bytes().to_vec() });
                }
                out.push(Expr::Dnat { family: family.into(), address: 0, port: port.map(|_| 4) });
            }
            Statement::Masquerade => out.push(Expr::Masquerade),
            Statement::Verdict(verdict) => out.push(Expr::Verdict(verdict.clone())),
            // A reset answers TCP alone, and nft takes `with tcp reset` only after a match of TCP.
            Statement::Reject if known.tcp => {
                out.push(Expr::Reject { kind: REJECT_TCP_RESET, code: 0 });
            }
            Statement::Reject => {
                out.push(Expr::Reject { kind: REJECT_ICMPX, code: ICMPX_ADMIN_PROHIBITED });
            }
        }
    }
    Ok(out)
}

fn op(negate: bool) -> u32 {
    if negate { NEQ } else { EQ }
}

fn family_of(field: Field) -> Option<u8> {
    match field {
        Field::SourceV4 | Field::DestinationV4 => Some(IPV4),
        Field::SourceV6 | Field::DestinationV6 | Field::Icmpv6Type => Some(IPV6),
        _ => None,
    }
}

fn depend(out: &mut Vec<Expr>, known: &mut Known, field: Field) {
    if let Some(family) = family_of(field)
        && known.family != Some(family)
    {
        out.push(Expr::Meta { key: META_NFPROTO, to: 0 });
        out.push(Expr::Cmp { of: 0, op: EQ, with: vec![family] });
        known.family = Some(family);
    }
    if field == Field::Icmpv6Type && !known.icmpv6 {
        out.push(Expr::Meta { key: META_L4PROTO, to: 0 });
        out.push(Expr::Cmp { of: 0, op: EQ, with: vec![ICMPV6] });
        known.icmpv6 = true;
    }
}

/// Loads a field into a register, and says how many words it takes there.
fn load(field: Field, to: Word) -> (Expr, Word) {
    let payload =
        |base, offset, len: u32| (Expr::Payload { base, offset, len, to }, len.div_ceil(4));
    match field {
        Field::SourceV4 => payload(NETWORK, 12, 4),
        Field::DestinationV4 => payload(NETWORK, 16, 4),
        Field::SourceV6 => payload(NETWORK, 8, 16),
        Field::DestinationV6 => payload(NETWORK, 24, 16),
        Field::DestinationPort => payload(TRANSPORT, 2, 2),
        Field::Icmpv6Type => payload(TRANSPORT, 0, 1),
        Field::Protocol => (Expr::Meta { key: META_L4PROTO, to }, 1),
        Field::InputName => (Expr::Meta { key: META_IIFNAME, to }, 4),
        Field::CtState => (Expr::Ct { key: CT_STATE, to }, 1),
    }
}

fn write_key(out: &mut Vec<Expr>, known: &mut Known, key: &Key) -> Result<(), String> {
    if key.is_empty() || key.len() > 3 {
        return Err(format!("a key of {} fields; it has one to three", key.len()));
    }
    for &field in key {
        if matches!(field, Field::Icmpv6Type | Field::InputName | Field::CtState) {
            return Err(format!("{field:?} in a key; no set has one of that type"));
        }
        depend(out, known, field);
    }
    let mut to = 0;
    for &field in key {
        let (expr, words) = load(field, to);
        out.push(expr);
        to += words;
    }
    Ok(())
}

fn write_match(
    out: &mut Vec<Expr>,
    known: &mut Known,
    field: Field,
    negate: bool,
    value: &Value,
) -> Result<(), String> {
    depend(out, known, field);
    let op = op(negate);
    let exact = |out: &mut Vec<Expr>, with: Vec<u8>| {
        out.push(load(field, 0).0);
        out.push(Expr::Cmp { of: 0, op, with });
    };
    match (field, value) {
        (Field::SourceV4 | Field::DestinationV4, Value::V4(address)) => {
            exact(out, address.octets().to_vec());
        }
        (Field::SourceV6 | Field::DestinationV6, Value::V6(address)) => {
            exact(out, address.octets().to_vec());
        }
        (Field::SourceV4 | Field::DestinationV4, Value::PrefixV4(address, len)) if *len <= 32 => {
            write_prefix(out, field, op, &address.octets(), *len);
        }
        (Field::SourceV6 | Field::DestinationV6, Value::PrefixV6(address, len)) if *len <= 128 => {
            write_prefix(out, field, op, &address.octets(), *len);
        }
        (Field::Protocol, Value::Protocol(protocol)) => {
            exact(out, vec![*protocol]);
            known.tcp = *protocol == TCP && !negate;
        }
        (Field::DestinationPort, Value::Port(port)) => exact(out, port.to_be_bytes().to_vec()),
        (Field::Icmpv6Type, Value::Icmpv6Types(low, high)) if low == high => exact(out, vec![*low]),
        (Field::Icmpv6Type, Value::Icmpv6Types(low, high)) if low < high => {
            write_range(out, field, negate, vec![*low], vec![*high]);
        }
        (Field::DestinationPort, Value::Ports(low, high)) if low < high => {
            let bytes = |port: &u16| port.to_be_bytes().to_vec();
            write_range(out, field, negate, bytes(low), bytes(high));
        }
        (Field::InputName, Value::Interface(name)) if (1..NAME_LEN).contains(&name.len()) => {
            let mut with = name.as_bytes().to_vec();
            with.resize(NAME_LEN, 0);
            exact(out, with);
        }
        (Field::CtState, Value::States(states)) if bits(*states) != 0 => {
            out.push(load(field, 0).0);
            out.push(Expr::Mask { of: 0, mask: bits(*states).to_ne_bytes().to_vec() });
            // The value says which states match: some bit is there, or, negated, none.
            out.push(Expr::Cmp { of: 0, op: if negate { EQ } else { NEQ }, with: vec![0; 4] });
        }
        _ => return Err(format!("{value:?} as a value of {field:?}")),
    }
    Ok(())
}

/// Two comparisons, or one expression where it is not to be so, as nft does.
fn write_range(out: &mut Vec<Expr>, field: Field, negate: bool, low: Vec<u8>, high: Vec<u8>) {
    out.push(load(field, 0).0);
    if negate {
        out.push(Expr::Range { of: 0, op: NEQ, low, high });
    } else {
        out.push(Expr::Cmp { of: 0, op: GTE, with: low });
        out.push(Expr::Cmp { of: 0, op: LTE, with: high });
    }
}

/// A prefix of whole bytes is compared as those bytes, any other under a mask, as nft does.
fn write_prefix(out: &mut Vec<Expr>, field: Field, op: u32, address: &[u8], len: u8) {
    let n_whole = usize::from(len / 8);
    let (expr, _) = load(field, 0);
    if len.is_multiple_of(8)
        && n_whole != 0
        && let Expr::Payload { base, offset, to, .. } = expr
    {
        out.push(Expr::Payload { base, offset, len: u32::from(len / 8), to });
        out.push(Expr::Cmp { of: 0, op, with: address.iter().take(n_whole).copied().collect() });
        return;
    }
    let mask: Vec<u8> = (0..address.len())
        .map(|at| {
            let n_before = u8::try_from(at * 8).unwrap_or(u8::MAX);
            let n_here = len.saturating_sub(n_before).min(8);
            u8::MAX.checked_shl(u32::from(8 - n_here)).unwrap_or(0)
        })
        .collect();
    let with = address.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
    out.push(expr);
    out.push(Expr::Mask { of: 0, mask });
    out.push(Expr::Cmp { of: 0, op, with });
}

/// The rule that expressions are of; an error says what no rule can say.
///
/// What was read is written again and compared, so that nothing is lost that only looks as if it were known.
pub(crate) fn from_exprs(exprs: &[Expr]) -> Result<Vec<Statement>, String> {
    let mut statements = Vec::new();
    let mut rest = exprs;
    let mut loaded: Vec<Field> = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        let n_taken = match (first, after) {
            (Expr::Meta { key: META_NFPROTO, .. }, [Expr::Cmp { .. }, ..]) => 2,
            (
                Expr::Meta { key: META_L4PROTO, to: 0 },
                [
                    Expr::Cmp { op: EQ, with, .. },
                    Expr::Payload { base: TRANSPORT, offset: 0, len: 1, .. },
                    ..,
                ],
            ) if *with == [ICMPV6] => 2,
            (Expr::Lookup { set, map, negate, .. }, _) => {
                let key = core::mem::take(&mut loaded);
                let set = set.as_str().into();
                statements.push(match map {
                    true => Statement::Vmap { key, map: set },
                    false => Statement::Lookup { key, set, negate: *negate },
                });
                1
            }
            (load @ (Expr::Meta { .. } | Expr::Payload { .. } | Expr::Ct { .. }), _) => {
                match read_match(load, after) {
                    Some((statement, n_more)) => {
                        statements.push(statement);
                        1 + n_more
                    }
                    None => {
                        loaded.push(whole_field(load).ok_or_else(|| format!("{load:?}"))?);
                        1
                    }
                }
            }
            (Expr::Random { modulus, .. }, [Expr::Cmp { .. }, ..]) => {
                statements.push(Statement::OneIn(*modulus));
                2
            }
            (Expr::Counter, _) => {
                statements.push(Statement::Counter);
                1
            }
            (Expr::Limit { rate, burst, over }, _) => {
                statements.push(Statement::Limit { over: *over, per_second: *rate, burst: *burst });
                1
            }
            (Expr::Log { prefix, group, snaplen, threshold }, _) => {
                statements.push(Statement::Log(Log {
                    prefix: prefix.as_str().into(),
                    group: *group,
                    snaplen: *snaplen,
                    queue_threshold: *threshold,
                }));
                1
            }
            (Expr::Set { value, .. }, [Expr::Dnat { .. }, ..]) => {
                statements.push(Statement::Dnat {
                    to: address(value).ok_or("an address of another size")?,
                    port: None,
                });
                2
            }
            (Expr::Set { value, .. }, [Expr::Set { value: port, .. }, Expr::Dnat { .. }, ..]) => {
                let port = port.as_slice().try_into().map(u16::from_be_bytes);
                statements.push(Statement::Dnat {
                    to: address(value).ok_or("an address of another size")?,
                    port: Some(port.map_err(|_| "a port of another size")?),
                });
                3
            }
            (Expr::Masquerade, _) => {
                statements.push(Statement::Masquerade);
                1
            }
            (Expr::Verdict(verdict), _) => {
                statements.push(Statement::Verdict(verdict.clone()));
                1
            }
            (Expr::Reject { .. }, _) => {
                statements.push(Statement::Reject);
                1
            }
            (other, _) => return Err(format!("{other:?}")),
        };
        rest = rest.get(n_taken..).unwrap_or(&[]);
    }
    let rule = Rule::new(statements);
    let again = to_exprs(&rule)?;
    if again == exprs {
        return Ok(rule.statements);
    }
    let odd = exprs.iter().zip(again.iter().map(Some).chain(core::iter::repeat(None)));
    let odd =
        odd.into_iter().find(|(is, would)| Some(*is) != *would).map(|(is, _)| format!("{is:?}"));
    Err(odd.unwrap_or_else(|| "an unusual order of expressions".to_owned()))
}

/// The field that an expression loads all of.
fn whole_field(expr: &Expr) -> Option<Field> {
    const ALL: [Field; 9] = [
        Field::SourceV4,
        Field::DestinationV4,
        Field::SourceV6,
        Field::DestinationV6,
        Field::Protocol,
        Field::DestinationPort,
        Field::Icmpv6Type,
        Field::InputName,
        Field::CtState,
    ];
    let (Expr::Meta { to, .. } | Expr::Ct { to, .. } | Expr::Payload { to, .. }) = expr else {
        return None;
    };
    ALL.into_iter().find(|&field| load(field, *to).0 == *expr)
}

/// A match: what is loaded and what it is compared with; how many expressions follow the first.
fn read_match(first: &Expr, after: &[Expr]) -> Option<(Statement, usize)> {
    let found = |field, negate, value, n| Some((Statement::Match { field, negate, value }, n));
    match (first, after) {
        (
            Expr::Ct { key: CT_MARK, .. },
            [Expr::Mask { mask, .. }, Expr::Cmp { op, with, .. }, ..],
        ) => {
            let mask = mask.as_slice().try_into().map(u32::from_ne_bytes).ok()?;
            let value = with.as_slice().try_into().map(u32::from_ne_bytes).ok()?;
            Some((Statement::CtMarkMasked { mask, value, negate: *op == NEQ }, 2))
        }
        (Expr::Ct { key: CT_STATE, .. }, [Expr::Mask { mask, .. }, Expr::Cmp { op, .. }, ..]) => {
            let bits = mask.as_slice().try_into().map(u32::from_ne_bytes).ok()?;
            found(Field::CtState, *op == EQ, Value::States(states(bits)?), 2)
        }
        (load, [Expr::Mask { mask, .. }, Expr::Cmp { op, with, .. }, ..]) => {
            let len = mask.iter().map(|byte| byte.count_ones()).sum::<u32>().try_into().ok()?;
            found(whole_field(load)?, *op == NEQ, prefix(with, len)?, 2)
        }
        (
            load,
            [Expr::Cmp { op: GTE, with: low, .. }, Expr::Cmp { op: LTE, with: high, .. }, ..],
        ) => {
            let field = whole_field(load)?;
            found(field, false, range(field, low, high)?, 2)
        }
        (load, [Expr::Range { low, high, .. }, ..]) => {
            let field = whole_field(load)?;
            found(field, true, range(field, low, high)?, 1)
        }
        (load, [Expr::Cmp { op, with, .. }, ..]) => {
            let negate = *op == NEQ;
            let Some(field) = whole_field(load) else {
                // Some whole bytes of an address.
                let Expr::Payload { base: NETWORK, offset, len, .. } = load else { return None };
                let field = match offset {
                    12 => Field::SourceV4,
                    16 => Field::DestinationV4,
                    8 => Field::SourceV6,
                    24 => Field::DestinationV6,
                    _ => return None,
                };
                let mut all = with.clone();
                all.resize(if family_of(field)? == IPV4 { 4 } else { 16 }, 0);
                return found(field, negate, prefix(&all, u8::try_from(len * 8).ok()?)?, 1);
            };
            let value = match field {
                Field::SourceV4 | Field::DestinationV4 | Field::SourceV6 | Field::DestinationV6 => {
                    match address(with)? {
                        IpAddr::V4(address) => Value::V4(address),
                        IpAddr::V6(address) => Value::V6(address),
                    }
                }
                Field::Protocol => Value::Protocol(*with.first()?),
                Field::DestinationPort => Value::Port(port(with)?),
                Field::Icmpv6Type => Value::Icmpv6Types(*with.first()?, *with.first()?),
                Field::InputName => {
                    let name = with.split(|&byte| byte == 0).next()?;
                    Value::Interface(core::str::from_utf8(name).ok()?.into())
                }
                Field::CtState => return None,
            };
            found(field, negate, value, 1)
        }
        _ => None,
    }
}

fn port(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_be_bytes)
}

fn range(field: Field, low: &[u8], high: &[u8]) -> Option<Value> {
    Some(match field {
        Field::DestinationPort => Value::Ports(port(low)?, port(high)?),
        _ => Value::Icmpv6Types(*low.first()?, *high.first()?),
    })
}

fn prefix(bytes: &[u8], len: u8) -> Option<Value> {
    Some(match address(bytes)? {
        IpAddr::V4(address) => Value::PrefixV4(address, len),
        IpAddr::V6(address) => Value::PrefixV6(address, len),
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))).ok()
}
