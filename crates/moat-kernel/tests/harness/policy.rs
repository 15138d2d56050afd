//! Policies of a node in the layout of the renderer: dispatch by address, groups behind, gates for who is not programmed.

use super::net::address;
use moat_kernel::keeper::Gates;
use moat_nft::interp::Packet;
use moat_nft::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Log, Name, Rule, Set, SetKey, SetShape, Statement,
    States, Table, Verdict,
};
use std::net::{IpAddr, Ipv4Addr};

/// The group that denials are logged to.
pub const DENIED: u16 = 7;

/// The maps that dispatch, and where their elements lead when their groups are closed.
pub fn gates() -> Gates {
    let to = |name: &str| Some(Verdict::Goto(name.into()));
    [("eg4".into(), to("closed_egress")), ("in4".into(), to("closed_ingress"))].into()
}

/// What tells one policy from another.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Goes into the names of its groups.
    pub version: &'static str,
    /// Whether the second pod may be reached by the first.
    pub allow: bool,
    /// How many others may reach it, from a first address on.
    pub peers: (u32, u32),
    /// Whether groups have the same names as in other versions, so that they change in place.
    pub same_names: bool,
}

impl Policy {
    pub fn denying(version: &'static str, peers: (u32, u32)) -> Self {
        Self { version, allow: false, peers, same_names: false }
    }
}

pub fn rule(statements: Vec<Statement>) -> Rule {
    Rule::new(statements)
}

pub fn end(verdict: Verdict) -> Statement {
    Statement::Verdict(verdict)
}

pub fn goto(chain: &str) -> Statement {
    end(Verdict::Goto(chain.into()))
}

fn v4(pod: u8) -> Ipv4Addr {
    match address(pod, false) {
        IpAddr::V4(own) => own,
        IpAddr::V6(_) => unreachable!("it was asked for IPv4"),
    }
}

/// The table of a policy: the first pod may send anywhere, the second is reached by peers alone.
pub fn table(policy: &Policy) -> Table {
    let mut table = Table::new("moat");
    let mut chain = |name: &str, base: Option<Base>, rules: Vec<Rule>| {
        table.chains.insert(name.into(), Chain { base, rules });
    };
    let jump = |name: &str| rule(vec![end(Verdict::Jump(name.into()))]);
    let base = Base { kind: BaseKind::Filter, hook: Hook::Forward, priority: -5, accept: true };
    chain(
        "moat_forward",
        Some(base),
        vec![jump("common"), jump("from_pod"), rule(vec![goto("to_pod")])],
    );
    let states = States { established: true, related: true, ..States::default() };
    let replies = Statement::Match {
        field: Field::CtState,
        negate: false,
        value: moat_nft::model::Value::States(states),
    };
    chain("common", None, vec![rule(vec![replies, end(Verdict::Accept)])]);
    let log = |prefix: String| {
        let limit = Statement::Limit { over: false, per_second: 1000, burst: 10 };
        let log = Log { prefix: prefix.into(), group: DENIED, snaplen: 80, queue_threshold: 16 };
        rule(vec![limit, Statement::Log(log)])
    };
    let drop = || rule(vec![Statement::Counter, end(Verdict::Drop)]);
    for (side, closed, field, map) in [
        ("from_pod", "closed_egress", Field::SourceV4, "eg4"),
        ("to_pod", "closed_ingress", Field::DestinationV4, "in4"),
    ] {
        let local = Statement::Lookup { key: vec![field], set: "local4".into(), negate: false };
        let dispatch = Statement::Vmap { key: vec![field], map: map.into() };
        chain(side, None, vec![rule(vec![dispatch]), rule(vec![local, goto(closed)])]);
        chain(closed, None, vec![log(closed.to_owned()), drop()]);
    }
    let of = |what: &str| {
        let version = if policy.same_names { "" } else { policy.version };
        format!("{what}_{version}x")
    };
    let (ingress, egress, deny, peers) = (of("gi"), of("ge"), of("deny"), of("peers"));
    let key = vec![Field::SourceV4];
    let known = Statement::Lookup { key, set: peers.as_str().into(), negate: false };
    let mut rules = vec![rule(vec![known, end(Verdict::Accept)])];
    if policy.allow {
        rules.push(rule(vec![end(Verdict::Accept)]));
    } else {
        rules.push(rule(vec![goto(&deny)]));
        chain(&deny, None, vec![log(format!("deny:{}", policy.version)), drop()]);
    }
    chain(&ingress, None, rules);
    chain(&egress, None, vec![rule(vec![end(Verdict::Return)])]);

    let mut set = |name: &str, shape: SetShape, elements: Vec<(Element, Option<Verdict>)>| {
        let mut set = Set::new(shape);
        set.elements = elements.into_iter().collect();
        table.sets.insert(name.into(), set);
    };
    let plain = SetShape { key: SetKey::V4, interval: false, map: false, size: None };
    let map = SetShape { map: true, ..plain };
    let (first, n) = policy.peers;
    set(
        &peers,
        plain,
        (first..first + n).map(|n| (Element::V4(Ipv4Addr::from_bits(n)), None)).collect(),
    );
    let one = |pod, to: &str| (Element::V4(v4(pod)), Some(Verdict::Goto(Name::from(to))));
    set("in4", map, vec![one(1, &ingress)]);
    set("eg4", map, vec![one(0, &egress)]);
    let ranges = SetShape { interval: true, ..plain };
    let local = Element::RangeV4([10, 0, 0, 0].into(), [10, 0, 0, 255].into());
    set("local4", ranges, vec![(local, None)]);
    table
}

/// Packets that tell policies apart.
pub fn probes() -> Vec<Packet> {
    let packet = |source: u32, pod: u8| Packet {
        source: IpAddr::V4(Ipv4Addr::from_bits(source)),
        destination: address(pod, false),
        protocol: 17,
        port: Some(9),
        icmpv6_type: None,
        input: "pod0".into(),
        state: States { new: true, ..States::default() },
        mark: 0,
    };
    let own = v4(0).to_bits();
    let others = (0..40).map(|n| 0x0a01_0000 + n * 50);
    others.chain([own]).flat_map(|source| [packet(source, 1), packet(source, 0)]).collect()
}
