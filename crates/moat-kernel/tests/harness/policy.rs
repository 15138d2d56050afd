//! Policies of a node in the layout of the renderer: dispatch by address, groups behind, gates for who is not programmed.

use super::net::address;
use moat_kernel::keeper::Gates;
use moat_nft::interp::Packet;
use moat_nft::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Log, Name, Rule, Set, SetKey, SetShape, Statement,
    States, Table, Verdict,
};
use std::hash::{DefaultHasher, Hash, Hasher};
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

const SIDES: [(&str, &str, Field, Field, &str); 2] = [
    ("from_pod", "closed_egress", Field::SourceV4, Field::DestinationV4, "eg4"),
    ("to_pod", "closed_ingress", Field::DestinationV4, Field::SourceV4, "in4"),
];

const PLAIN: SetShape = SetShape { key: SetKey::V4, interval: false, map: false, size: None };

fn chain(table: &mut Table, name: &str, rules: Vec<Rule>) {
    table.chains.insert(name.into(), Chain { base: None, rules });
}

fn log(prefix: String) -> Rule {
    let limit = Statement::Limit { over: false, per_second: 1000, burst: 10 };
    let log = Log { prefix: prefix.into(), group: DENIED, snaplen: 80, queue_threshold: 16 };
    rule(vec![limit, Statement::Log(log)])
}

fn drop_it() -> Rule {
    rule(vec![Statement::Counter, end(Verdict::Drop)])
}

/// A table whose dispatch maps lead to these groups; the maps' names tell what is in them.
fn dispatching(groups: [&[(u8, &str)]; 2]) -> Table {
    let mut table = Table::new("moat");
    let jump = |name: &str| rule(vec![end(Verdict::Jump(name.into()))]);
    let base = Base { kind: BaseKind::Filter, hook: Hook::Forward, priority: -5, accept: true };
    let rules = vec![jump("common"), jump("from_pod"), rule(vec![goto("to_pod")])];
    table.chains.insert("moat_forward".into(), Chain { base: Some(base), rules });
    let states = States { established: true, related: true, ..States::default() };
    let replies = Statement::Match {
        field: Field::CtState,
        negate: false,
        value: moat_nft::model::Value::States(states),
    };
    chain(&mut table, "common", vec![rule(vec![replies, end(Verdict::Accept)])]);
    for ((side, closed, field, _, prefix), pods) in SIDES.into_iter().zip(groups) {
        let mut map = Set::new(SetShape { map: true, ..PLAIN });
        for (pod, group) in pods {
            let to = Some(Verdict::Goto(Name::from(*group)));
            map.elements.insert(Element::V4(v4(*pod)), to);
        }
        let name = map_name(prefix, &map);
        let local = Statement::Lookup { key: vec![field], set: "local4".into(), negate: false };
        let dispatch = Statement::Vmap { key: vec![field], map: name.clone() };
        table.sets.insert(name, map);
        chain(&mut table, side, vec![rule(vec![dispatch]), rule(vec![local, goto(closed)])]);
        chain(&mut table, closed, vec![log(closed.to_owned()), drop_it()]);
    }
    let mut local = Set::new(SetShape { interval: true, ..PLAIN });
    local.elements.insert(Element::RangeV4([10, 0, 0, 0].into(), [10, 0, 0, 255].into()), None);
    table.sets.insert("local4".into(), local);
    table
}

/// A dispatch map's name, which tells its content.
fn map_name(prefix: &str, map: &Set) -> Name {
    let mut hasher = DefaultHasher::new();
    map.elements.hash(&mut hasher);
    format!("{prefix}_{:016x}", hasher.finish()).into()
}

/// The dispatch map of a prefix.
pub fn dispatch(table: &Table, prefix: &str) -> Name {
    let mut names = table.sets.keys().filter(|name| name.starts_with(&format!("{prefix}_")));
    names.next().unwrap().clone()
}

/// A table with other elements in a dispatch map.
pub fn redispatched(mut table: Table, prefix: &str, add: &[(Element, Verdict)]) -> Table {
    let name = dispatch(&table, prefix);
    let mut map = table.sets.remove(&name).unwrap();
    map.elements.extend(add.iter().map(|(key, to)| (key.clone(), Some(to.clone()))));
    let other = map_name(prefix, &map);
    table.sets.insert(other.clone(), map);
    let rules = table.chains.values_mut().flat_map(|chain| &mut chain.rules);
    for statement in rules.flat_map(|rule| &mut rule.statements) {
        if let Statement::Vmap { map, .. } = statement
            && *map == name
        {
            *map = other.clone();
        }
    }
    table
}

fn set(table: &mut Table, name: &str, addresses: impl Iterator<Item = Ipv4Addr>) {
    let mut set = Set::new(PLAIN);
    set.elements = addresses.map(|address| (Element::V4(address), None)).collect();
    table.sets.insert(name.into(), set);
}

/// The table of a policy: the first pod may send anywhere, the second is reached by peers alone.
pub fn table(policy: &Policy) -> Table {
    let of = |what: &str| {
        let version = if policy.same_names { "" } else { policy.version };
        format!("{what}_{version}x")
    };
    let (ingress, egress, deny, peers) = (of("gi"), of("ge"), of("deny"), of("peers"));
    let mut table = dispatching([&[(0, &egress)], &[(1, &ingress)]]);
    let key = vec![Field::SourceV4];
    let known = Statement::Lookup { key, set: peers.as_str().into(), negate: false };
    let mut rules = vec![rule(vec![known, end(Verdict::Accept)])];
    if policy.allow {
        rules.push(rule(vec![end(Verdict::Accept)]));
    } else {
        rules.push(rule(vec![goto(&deny)]));
        chain(&mut table, &deny, vec![log(format!("deny:{}", policy.version)), drop_it()]);
    }
    chain(&mut table, &ingress, rules);
    chain(&mut table, &egress, vec![rule(vec![end(Verdict::Return)])]);
    let (first, n) = policy.peers;
    set(&mut table, &peers, (first..first + n).map(Ipv4Addr::from_bits));
    table
}

/// What both ends say of a packet from the first pod to the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// Tells policies apart: of the first two rows of a group, one allows by the one policy and the other by the other.
    pub policy: usize,
    /// The row that each end has the other in, of the first end's group and of the second's; the third row is everyone else's.
    pub rows: [usize; 2],
}

impl Ends {
    /// Whether an end lets the packet through.
    pub fn allows(&self) -> [bool; 2] {
        self.rows.map(|row| row == self.policy)
    }

    /// What neither end lets through, or one of them.
    pub fn denying() -> Vec<Self> {
        let all =
            (0..2).flat_map(|policy| (0..9).map(move |at| Self { policy, rows: [at / 3, at % 3] }));
        all.filter(|ends| !ends.allows().iter().all(|allows| *allows)).collect()
    }

    /// Whether one event leads there: pods become others, or policies change.
    pub fn follows(&self, before: &Self) -> bool {
        self != before && (self.policy == before.policy || self.rows == before.rows)
    }
}

/// The table of two ends: who is in which row is an element.
pub fn of_ends(ends: &Ends) -> Table {
    let names = ["ge", "gi"].map(|what| format!("{what}_{}", ends.policy));
    let [egress, ingress] = &names;
    let mut table = dispatching([&[(0, egress)], &[(1, ingress)]]);
    for (at, group) in names.iter().enumerate() {
        let (_, _, _, peer, _) = SIDES[at];
        let deny = format!("deny_{group}");
        chain(&mut table, &deny, vec![log(format!("deny:{group}")), drop_it()]);
        let mut rules = Vec::new();
        for row in 0..2 {
            let name = format!("{group}_row{row}");
            let other = [1, 0][at];
            let others = (0..4).map(|n| Ipv4Addr::from([10, 1, u8::try_from(row).unwrap(), n]));
            let own = (ends.rows[at] == row).then(|| v4(other));
            set(&mut table, &name, others.chain(own));
            let known = Statement::Lookup { key: vec![peer], set: name.into(), negate: false };
            let to = match (row == ends.policy, at) {
                (false, _) => goto(&deny),
                (true, 0) => end(Verdict::Return),
                (true, _) => end(Verdict::Accept),
            };
            rules.push(rule(vec![known, to]));
        }
        rules.push(rule(vec![goto(&deny)]));
        chain(&mut table, group, rules);
    }
    table
}

/// The set of a row of a group of [`large`].
pub fn row_set(group: &str, row: u8) -> Name {
    format!("{group}_peers{row}").into()
}

/// A table of many groups, for each of so many pods two, each with seven rows of 25 peers.
pub fn large(n_pods: u8) -> Table {
    let names: Vec<[String; 2]> =
        (0..n_pods).map(|n| ["ge", "gi"].map(|what| format!("{what}_{n}"))).collect();
    let of = |side: usize| -> Vec<(u8, &str)> {
        (0..).zip(&names).map(|(pod, names)| (pod, names[side].as_str())).collect()
    };
    let mut table = dispatching([&of(0), &of(1)]);
    for (side, group) in names.iter().flat_map(|names| names.iter().enumerate()) {
        let mut rules = Vec::new();
        for row in 0..7 {
            let (to, peers) = (format!("{group}_row{row}"), row_set(group, row));
            let verdict = if side == 0 { Verdict::Return } else { Verdict::Accept };
            chain(&mut table, &to, vec![rule(vec![end(verdict)])]);
            set(&mut table, &peers, (0..25).map(|n| [10, 1, row, n].into()));
            let (_, _, _, peer, _) = SIDES[side];
            let known = Statement::Lookup { key: vec![peer], set: peers, negate: false };
            rules.push(rule(vec![known, goto(&to)]));
        }
        rules.push(drop_it());
        chain(&mut table, group, rules);
    }
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
