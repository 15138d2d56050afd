//! The JSON form of a record, schema `moat.dev/flow/v1`: the one place that knows its fields.
//!
//! | field | type | meaning |
//! |---|---|---|
//! | `schema` | string | `moat.dev/flow/v1` |
//! | `time` | string | RFC 3339; written in UTC with microseconds |
//! | `node` | string | the node that saw the packet |
//! | `direction` | string | which end decided: `ingress`, `egress`; `unknown` when the log did not say |
//! | `verdict` | string | `allowed`, `denied`; `unknown` when the log did not say |
//! | `staged` | bool, false if absent | a staged policy decided, which changed nothing |
//! | `unprogrammed` | bool, false if absent | denied because the node had not programmed the pod yet |
//! | `from`, `to` | string | pod name or address, as questions are asked; for `moat explain --flows`, not read here |
//! | `port` | number, may be absent | the destination port, likewise |
//! | `protocol` | string | `TCP`, `UDP`, `SCTP`; `ICMP` for every other, as policies see it |
//! | `protocolNumber` | number, may be absent | when it is not the one that `protocol` and the address family imply |
//! | `source`, `destination` | object | the ends, after destination translation |
//! | `....kind` | string | `pod`, `node` (or a pod that shares its network), `outside` |
//! | `....name` | string | `ns/pod`, the node's name, or `outside` |
//! | `....address` | string | IPv4 or IPv6 |
//! | `....port` | number, may be absent | |
//! | `icmp` | object, may be absent | `type`, `code`, and for echo `id`, all numbers |
//! | `tcpFlags` | string, may be absent | `SYN` or `SYN,ACK` |
//! | `length` | number | bytes, IP header included |
//! | `rules` | list, may be absent | the rules that decided |
//! | `....policy` | string | `netpol shop/db` |
//! | `....rule` | string | `ingress[0]` |
//! | `....name` | string, may be absent | the name a cluster policy gives the rule |
//! | `....peer` | string, may be absent | `from[1]`; absent when the rule names no peer |
//! | `....place` | string, may be absent | `db.yaml:12`; absent when the policy was not read from a file |
//! | `isolatedBy` | list, may be absent | the policies that isolate the pod when no rule allows: `policy`, `place` |
//! | `default` | bool, false if absent | no policy applies |
//! | `unknownReason` | string, may be absent | the log prefix of a decision whose reason is not known any more |
//! | `unknownPrefix` | string, may be absent | the log prefix, when it is not one of Moat's |
//! | `epoch` | number | the state of the policies that gave the reason; 0 when there was none |
//!
//! Exactly one of `rules`, `isolatedBy`, `default`, `unprogrammed`, `unknownReason` and `unknownPrefix` says why. Fields that are not
//! listed are ignored on reading.

mod check;
mod words;

pub(crate) use check::fault;

use crate::packet::{Icmp, TcpFlags};
use crate::record::{End, Name, Record, Verdict};
use crate::time::Time;
use crate::why::{PolicyRef, RuleRef, Why};
use moat_ir::Direction;
use moat_sets::Protocol;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use words::Word;

/// The name of the form that records are written in.
pub const SCHEMA: &str = "moat.dev/flow/v1";

/// A record as JSON has it, borrowed from the record or the line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wire<'w> {
    #[serde(borrow)]
    schema: Text<'w>,
    pub(crate) time: Word<Time>,
    #[serde(borrow)]
    node: Text<'w>,
    pub(crate) direction: Word<Option<Direction>>,
    pub(crate) verdict: Word<Verdict>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) staged: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    unprogrammed: bool,
    #[serde(skip_deserializing)]
    from: Shown<'w>,
    #[serde(skip_deserializing)]
    to: Shown<'w>,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    pub(crate) protocol: Word<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_number: Option<u8>,
    #[serde(borrow)]
    pub(crate) source: WireEnd<'w>,
    #[serde(borrow)]
    pub(crate) destination: WireEnd<'w>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp: Option<WireIcmp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_flags: Option<Word<TcpFlags>>,
    length: u32,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) rules: Option<Vec<WireRule<'w>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) isolated_by: Option<Vec<WirePolicy<'w>>>,
    #[serde(default, skip_serializing_if = "is_false")]
    default: bool,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    unknown_reason: Option<Text<'w>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    unknown_prefix: Option<Text<'w>>,
    epoch: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireEnd<'w> {
    pub(crate) kind: Word<EndKind>,
    #[serde(borrow)]
    pub(crate) name: Text<'w>,
    pub(crate) address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
}

/// What the name of an end is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EndKind {
    Pod,
    Node,
    Outside,
}

impl EndKind {
    pub(crate) fn of(name: &Name) -> Self {
        match name {
            Name::Pod(_) => Self::Pod,
            Name::Node(_) => Self::Node,
            Name::Outside => Self::Outside,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct WireIcmp {
    #[serde(rename = "type")]
    kind: u8,
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u16>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireRule<'w> {
    #[serde(borrow)]
    pub(crate) policy: Text<'w>,
    #[serde(borrow)]
    rule: Text<'w>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    name: Option<Text<'w>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    peer: Option<Text<'w>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    place: Option<Text<'w>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WirePolicy<'w> {
    #[serde(borrow)]
    pub(crate) policy: Text<'w>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    place: Option<Text<'w>>,
}

/// A string, borrowed where it has no escapes; a type of its own, since serde borrows no bare `Cow` inside an `Option`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'w>(#[serde(borrow)] pub(crate) Cow<'w, str>);

impl Text<'_> {
    fn shared(&self) -> Arc<str> {
        self.0.as_ref().into()
    }
}

fn text(text: &str) -> Text<'_> {
    Text(Cow::Borrowed(text))
}

/// An end as questions name it.
#[derive(Debug, Serialize, Default)]
#[serde(untagged)]
enum Shown<'w> {
    #[default]
    None,
    Name(&'w str),
    Address(IpAddr),
}

impl<'w> Shown<'w> {
    /// Questions know no nodes by name.
    fn of(end: &'w End) -> Self {
        match &end.name {
            Name::Pod(name) => Self::Name(name),
            _ => Self::Address(end.address),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl<'w> From<&'w Record> for Wire<'w> {
    fn from(record: &'w Record) -> Self {
        let number = record.protocol_number;
        let usual = record.protocol().number(record.destination.address.is_ipv4());
        let mut wire = Self {
            schema: text(SCHEMA),
            time: Word(record.time),
            node: text(&record.node),
            direction: Word(record.direction),
            verdict: Word(record.verdict),
            staged: record.staged,
            unprogrammed: false,
            from: Shown::of(&record.source),
            to: Shown::of(&record.destination),
            port: record.destination.port,
            protocol: Word(record.protocol()),
            protocol_number: (number != usual).then_some(number),
            source: wire_end(&record.source),
            destination: wire_end(&record.destination),
            icmp: record.icmp.map(|Icmp { kind, code, id }| WireIcmp { kind, code, id }),
            tcp_flags: record.tcp_flags.map(Word),
            length: record.length,
            rules: None,
            isolated_by: None,
            default: false,
            unknown_reason: None,
            unknown_prefix: None,
            epoch: record.epoch,
        };
        match &record.why {
            Why::Rules(rules) => wire.rules = Some(rules.iter().map(wire_rule).collect()),
            Why::Isolated(policies) => {
                wire.isolated_by = Some(policies.iter().map(wire_policy).collect());
            }
            Why::Default => wire.default = true,
            Why::Unprogrammed => wire.unprogrammed = true,
            Why::UnknownReason(prefix) => wire.unknown_reason = Some(text(prefix)),
            Why::UnknownPrefix(prefix) => wire.unknown_prefix = Some(text(prefix)),
        }
        wire
    }
}

fn wire_end(end: &End) -> WireEnd<'_> {
    let kind = EndKind::of(&end.name);
    WireEnd { kind: Word(kind), name: text(end.name.text()), address: end.address, port: end.port }
}

fn wire_rule(rule: &RuleRef) -> WireRule<'_> {
    WireRule {
        policy: text(&rule.policy),
        rule: text(&rule.rule),
        name: rule.name.as_deref().map(text),
        peer: rule.peer.as_deref().map(text),
        place: rule.place.as_deref().map(text),
    }
}

fn wire_policy(policy: &PolicyRef) -> WirePolicy<'_> {
    WirePolicy { policy: text(&policy.policy), place: policy.place.as_deref().map(text) }
}

/// What is wrong with a field, and how to mend it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Wire<'_> {
    /// What no type says: the schema, that something says why, that the protocol's name and number agree.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let fault = |field: &str, message: String, help: Option<&str>| {
            Err(Fault { field: field.to_owned(), message, help: help.map(str::to_owned) })
        };
        if self.schema.0 != SCHEMA {
            return fault(
                "schema",
                format!("is `{}` and must be `{SCHEMA}`", self.schema.0),
                Some("records of another version are read by the `moat` that wrote them"),
            );
        }
        let whys = [
            self.rules.as_ref().is_some_and(|rules| !rules.is_empty()),
            self.isolated_by.as_ref().is_some_and(|policies| !policies.is_empty()),
            self.default,
            self.unprogrammed,
            self.unknown_reason.is_some(),
            self.unknown_prefix.is_some(),
        ];
        let n_whys = whys.into_iter().filter(|why| *why).count();
        if n_whys != 1 {
            let message = if n_whys == 0 {
                "is missing, and no other field says why"
            } else {
                "is not the only field that says why"
            };
            return fault(
                "rules",
                message.to_owned(),
                Some(
                    "give one of `rules`, `isolatedBy`, `default`, `unprogrammed`, `unknownReason`, `unknownPrefix`",
                ),
            );
        }
        match self.protocol_number {
            Some(number) if Protocol::of_number(number) != self.protocol.0 => fault(
                "protocolNumber",
                format!("is {number}, which is not {}", self.protocol.0),
                None,
            ),
            _ => Ok(()),
        }
    }

    /// The record; [`Wire::check`] has passed.
    pub(crate) fn record(&self) -> Record {
        let usual = self.protocol.0.number(self.destination.address.is_ipv4());
        Record {
            time: self.time.0,
            node: self.node.shared(),
            direction: self.direction.0,
            verdict: self.verdict.0,
            staged: self.staged,
            source: self.source.end(),
            destination: self.destination.end(),
            protocol_number: self.protocol_number.unwrap_or(usual),
            icmp: self.icmp.as_ref().map(|&WireIcmp { kind, code, id }| Icmp { kind, code, id }),
            tcp_flags: self.tcp_flags.as_ref().map(|flags| flags.0),
            length: self.length,
            why: self.why(),
            epoch: self.epoch,
        }
    }

    fn why(&self) -> Why {
        let shared = |text: &Option<Text<'_>>| text.as_ref().map(Text::shared);
        if let Some(rules) = self.rules.as_ref().filter(|rules| !rules.is_empty()) {
            let rule = |rule: &WireRule<'_>| RuleRef {
                policy: rule.policy.shared(),
                rule: rule.rule.shared(),
                name: shared(&rule.name),
                peer: shared(&rule.peer),
                place: shared(&rule.place),
            };
            return Why::Rules(rules.iter().map(rule).collect());
        }
        if let Some(policies) = self.isolated_by.as_ref().filter(|policies| !policies.is_empty()) {
            let policy = |policy: &WirePolicy<'_>| PolicyRef {
                policy: policy.policy.shared(),
                place: shared(&policy.place),
            };
            return Why::Isolated(policies.iter().map(policy).collect());
        }
        match (self.default, &self.unknown_reason, &self.unknown_prefix) {
            (true, _, _) => Why::Default,
            (_, Some(prefix), _) => Why::UnknownReason(prefix.shared()),
            (_, _, Some(prefix)) => Why::UnknownPrefix(prefix.shared()),
            _ => Why::Unprogrammed,
        }
    }
}

impl WireEnd<'_> {
    fn end(&self) -> End {
        let name = match self.kind.0 {
            EndKind::Pod => Name::Pod(self.name.shared()),
            EndKind::Node => Name::Node(self.name.shared()),
            EndKind::Outside => Name::Outside,
        };
        End { address: self.address, port: self.port, name }
    }
}
