//! The ruleset of one node: base chains, dispatch by local pod address, a chain for each distinct program, one for each reason.
//!
//! A packet is looked up by its local pod (`eg4`, `in4` ...), then in that pod's group chain by its peer, then in a row chain by its
//! port, and ends in a chain that names the reason. The number of steps does not depend on how many pods or policies there are.
//! Everything that changes with pods is an element of a set; the base chains never change.

mod group;
mod row;

use crate::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Log, Name, Rule, Set, SetKey, SetShape, Statement,
    States, Table, Value, Verdict,
};
use crate::reason::{Mark, Reason, ReasonId, Reasons};
use moat_ir::{Bound, Decision, Direction, PodIdx, PolicyIdx, ProgramId};
use moat_sets::{AddrSet, Family};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Which node a ruleset is for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Node {
    /// The pods on it, in rising order; those that share its network are left out by the renderer.
    pub pods: Vec<PodIdx>,
    /// Where the addresses of its pods lie: a packet from or to one that is not programmed yet is denied.
    pub pod_addresses: AddrSet,
}

/// What does not follow from policies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The table's name.
    pub table: Name,
    /// Which verdicts are logged.
    pub log: Logging,
    /// The bit of the connection mark that cuts a connection; one bit.
    pub kill: u32,
    /// The most elements that one group may need; a group that needs more is closed.
    pub elements_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { table: "moat".into(), log: Logging::default(), kill: 1 << 30, elements_max: 1 << 18 }
    }
}

/// Which verdicts are logged, and where to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logging {
    /// The group of records of packets that passed; `None` for no such records.
    pub allowed: Option<u16>,
    /// The group of records of packets that were denied; `None` for no such records.
    pub denied: Option<u16>,
    /// The most records a second for each reason of a denial, and how many at once; never changes a verdict.
    pub limit: Option<(u64, u32)>,
    /// Records that the kernel sends at once.
    pub queue_threshold: u16,
}

impl Default for Logging {
    /// Every verdict, without limit.
    fn default() -> Self {
        Self { allowed: Some(4001), denied: Some(4002), limit: None, queue_threshold: 64 }
    }
}

/// A ruleset with what its records mean.
#[derive(Clone, PartialEq, Debug)]
pub struct Rendered {
    /// The ruleset.
    pub table: Table,
    /// The reasons it can give.
    pub reasons: Reasons,
    /// The reasons that staged policies can give; their clauses are those of the staged form.
    pub staged: Reasons,
    /// Programs that were too large; their pods are closed in that direction.
    pub refused: Vec<Refused>,
}

/// A program that was too large.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The program.
    pub program: ProgramId,
    /// The policies in it.
    pub policies: Vec<PolicyIdx>,
    /// How many elements it needs.
    pub n_elements: usize,
}

/// Makes the ruleset of a node.
#[must_use]
pub fn render(bound: &Bound, node: &Node, settings: &Settings) -> Rendered {
    render_staged(bound, None, node, settings)
}

/// Makes the ruleset of a node where some policies are staged: `staged` is the same inventory with those policies in force. Their
/// verdicts are logged and have no effect; pods for which they change nothing are not looked at twice.
#[must_use]
pub fn render_staged(
    bound: &Bound,
    staged: Option<&Bound>,
    node: &Node,
    settings: &Settings,
) -> Rendered {
    let mut renderer = Renderer::new(bound, settings);
    let mut staged_reasons = Reasons::new();
    renderer.base();
    if let Some(staged) = staged {
        let mut other = Renderer { staged: true, ..Renderer::new(staged, settings) };
        for direction in DIRECTIONS {
            for family in Family::BOTH {
                other.dispatch(direction, family, node, Some(bound));
            }
        }
        renderer.table = Table { chains: renderer.table.chains, ..other.table.clone() };
        renderer.table.chains.extend(other.table.chains);
        staged_reasons = other.reasons;
        renderer.refused = other.refused;
    }
    for direction in DIRECTIONS {
        for family in Family::BOTH {
            renderer.dispatch(direction, family, node, None);
        }
        renderer.gate(direction, node);
    }
    renderer.own_pods(node);
    let Renderer { table, reasons, refused, .. } = renderer;
    Rendered { table, reasons, staged: staged_reasons, refused }
}

/// What takes the place of an element of a dispatch map while the group that it leads to cannot be had: the pod is closed; a staged
/// group is left out, because nothing depends on it.
#[must_use]
pub fn gates() -> BTreeMap<Name, Option<Verdict>> {
    let mut gates = BTreeMap::new();
    for direction in DIRECTIONS {
        for family in Family::BOTH {
            let (map, _) = dispatch_name(direction, family);
            let closed = Verdict::Goto(format!("closed_{direction}").into());
            gates.insert(map.into(), Some(closed));
            gates.insert(format!("staged_{map}").into(), None);
        }
    }
    gates
}

/// In the order in which a packet meets them.
const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];

pub(crate) struct Renderer<'a> {
    bound: &'a Bound,
    settings: &'a Settings,
    table: Table,
    reasons: Reasons,
    refused: Vec<Refused>,
    /// Its pods by where peer sets have them.
    pods: group::PodTable,
    /// Whether verdicts are only logged.
    staged: bool,
    /// Chains of programs that are made.
    groups: BTreeMap<(ProgramId, Family), Name>,
}

/// Bytes of a packet that go with its log record: both IP headers' fixed parts, and the transport header's first 20.
const SNAPLEN: u32 = 80;
/// Before other tables' filters, after destination translation: `filter - 5`.
const PRIORITY: i32 = -5;

impl<'a> Renderer<'a> {
    fn new(bound: &'a Bound, settings: &'a Settings) -> Self {
        Self {
            bound,
            settings,
            table: Table { name: settings.table.clone(), ..Table::new("") },
            reasons: Reasons::new(),
            refused: Vec::new(),
            pods: group::PodTable::new(bound),
            staged: false,
            groups: BTreeMap::new(),
        }
    }

    fn chain(&mut self, name: &str, base: Option<Base>, rules: Vec<Rule>) {
        self.table.chains.insert(name.into(), Chain { base, rules });
    }

    /// The chains that packets enter, and what every packet passes first.
    fn base(&mut self) {
        let hook =
            |hook| Some(Base { kind: BaseKind::Filter, hook, priority: PRIORITY, accept: true });
        let jump = |chain: &str| verdict(Verdict::Jump(chain.into()));
        let goto = |chain: &str| verdict(Verdict::Goto(chain.into()));
        self.chain("moat_forward", hook(Hook::Forward), vec![jump("common"), goto("from_pod")]);
        // From a pod to its own node. What a node sends to its own pods is never denied, so there is no chain for output.
        let loopback = Statement::Match {
            field: Field::InputName,
            negate: false,
            value: Value::Interface("lo".into()),
        };
        let local = Rule::new(vec![loopback, Statement::Verdict(Verdict::Accept)]);
        self.chain("moat_input", hook(Hook::Input), vec![local, jump("common"), goto("from_pod")]);
        let killed = Statement::CtMarkMasked {
            mask: self.settings.kill,
            value: self.settings.kill,
            negate: false,
        };
        let states = States { established: true, related: true, ..States::default() };
        let replies =
            Statement::Match { field: Field::CtState, negate: false, value: Value::States(states) };
        // RFC 4861: without neighbour discovery there is no IPv6 at all.
        let neighbours = Statement::Match {
            field: Field::Icmpv6Type,
            negate: false,
            value: Value::Icmpv6Types(133, 137),
        };
        let accept = Statement::Verdict(Verdict::Accept);
        let own = |source, destination, set: &str| Statement::Lookup {
            key: vec![source, destination],
            set: set.into(),
            negate: false,
        };
        self.chain(
            "common",
            None,
            vec![
                Rule::new(vec![killed, Statement::Verdict(Verdict::Drop)]),
                Rule::new(vec![replies, accept.clone()]),
                Rule::new(vec![neighbours, accept.clone()]),
                Rule::new(vec![own(Field::SourceV4, Field::DestinationV4, "own4"), accept.clone()]),
                Rule::new(vec![own(Field::SourceV6, Field::DestinationV6, "own6"), accept]),
            ],
        );
    }

    /// A pod that reaches itself through a Service: always allowed.
    fn own_pods(&mut self, node: &Node) {
        for (name, key) in [("own4", SetKey::PairV4), ("own6", SetKey::PairV6)] {
            let mut set = Set::new(SetShape { key, interval: false, map: false });
            for (_, address) in self.local(node) {
                match (address, key) {
                    (IpAddr::V4(own), SetKey::PairV4) => {
                        set.elements.insert(Element::PairV4(own, own), None);
                    }
                    (IpAddr::V6(own), SetKey::PairV6) => {
                        set.elements.insert(Element::PairV6(own, own), None);
                    }
                    _ => {}
                }
            }
            self.table.sets.insert(name.into(), set);
        }
    }

    /// The local pods with their addresses. An address that two pods claim is the one's that the compiled form says.
    fn local(&self, node: &Node) -> Vec<(PodIdx, IpAddr)> {
        let bound = self.bound;
        let own = |&idx: &PodIdx| !bound.pod(idx).host_network && !bound.pod(idx).finished;
        node.pods
            .iter()
            .copied()
            .filter(own)
            .flat_map(|idx| bound.pod(idx).addresses.iter().map(move |&address| (idx, address)))
            .filter(|(idx, address)| bound.pod_by_address.get(address) == Some(idx))
            .collect()
    }

    /// What names of chains and sets begin with.
    fn prefix(&self) -> &'static str {
        if self.staged { "staged_" } else { "" }
    }

    /// The map from local pod addresses to the chains of their programs; of staged programs, only those that are not `enforced` already.
    fn dispatch(
        &mut self,
        direction: Direction,
        family: Family,
        node: &Node,
        enforced: Option<&Bound>,
    ) {
        let (map, field) = dispatch_name(direction, family);
        let map: Name = format!("{}{map}", self.prefix()).into();
        let key = if family == Family::V4 { SetKey::V4 } else { SetKey::V6 };
        let mut set = Set::new(SetShape { key, interval: false, map: true });
        for (idx, address) in self.local(node) {
            if Family::of(address) != family {
                continue;
            }
            let Some(program) = self.bound.class_of(idx).program(direction) else { continue };
            let same = enforced.is_some_and(|enforced| {
                enforced.class_of(idx).program(direction).is_some_and(|own| {
                    let own = group::program_name(enforced, enforced.program(own));
                    own == group::program_name(self.bound, self.bound.program(program))
                })
            });
            if same {
                continue;
            }
            let chain = self.group(program, family);
            // What is staged comes back, so that what is in force is asked next. What is in force does not, unless a packet on its
            // way through a change finds a chain that is empty for it: then the gate after the jump closes.
            set.elements.insert(host(address), Some(Verdict::Jump(chain)));
        }
        self.table.sets.insert(map.clone(), set);
        let rule = Rule::new(vec![Statement::Vmap { key: vec![field], map }]);
        self.table.chains.entry(side(direction).into()).or_default().rules.push(rule);
    }

    /// Who is not in the map but has an address of this node's pods is not programmed yet.
    fn gate(&mut self, direction: Direction, node: &Node) {
        let mark = Mark::Unprogrammed(direction);
        let closed: Name = format!("closed_{direction}").into();
        let rules = self.denying(mark);
        self.chain(&closed, None, rules);
        for family in Family::BOTH {
            let (set, key) = match family {
                Family::V4 => ("local4", SetKey::V4),
                Family::V6 => ("local6", SetKey::V6),
            };
            let own = self
                .table
                .sets
                .entry(set.into())
                .or_insert_with(|| Set::new(SetShape { key, interval: true, map: false }));
            own.elements =
                group::ranges(&node.pod_addresses, family).map(|range| (range, None)).collect();
            let (_, field) = dispatch_name(direction, family);
            let inside = Statement::Lookup { key: vec![field], set: set.into(), negate: false };
            let rule = Rule::new(vec![inside, Statement::Verdict(Verdict::Goto(closed.clone()))]);
            self.table.chains.entry(side(direction).into()).or_default().rules.push(rule);
        }
        // Who is no pod of this node is the other end's business, or nobody's.
        let end = verdict(after(direction));
        self.table.chains.entry(side(direction).into()).or_default().rules.push(end);
    }

    /// The chain that ends with a decision; made when first asked for.
    fn decision(&mut self, direction: Direction, decision: &Decision) -> Name {
        let reason = Reason { direction, decision: decision.clone() };
        let words = reason.words(self.bound);
        let id = ReasonId(crate::reason::hash(&words));
        let allow = decision.allow;
        let word = if allow { "allow" } else { "deny" };
        let name: Name = format!("{}{word}_{direction}_{id}", self.prefix()).into();
        self.reasons.entry(id).or_insert(reason);
        if !self.table.chains.contains_key(&name) {
            let mut rules = if self.staged {
                self.noting(Mark::Staged { direction, allow, reason: id })
            } else {
                let mark = Mark::Decided { direction, allow, reason: id };
                if allow { self.allowing(direction, mark) } else { self.denying(mark) }
            };
            if let Some(first) = rules.first_mut() {
                first.comment = Some(comment(&words));
            }
            self.chain(&name, None, rules);
        }
        name
    }

    fn log(&self, mark: Mark, group: u16) -> Statement {
        Statement::Log(Log {
            prefix: mark.to_string().into(),
            group,
            snaplen: SNAPLEN,
            queue_threshold: self.settings.log.queue_threshold,
        })
    }

    /// An allowed packet goes on.
    fn allowing(&self, direction: Direction, mark: Mark) -> Vec<Rule> {
        let log = self.settings.log.allowed.map(|group| self.log(mark, group));
        vec![Rule::new(log.into_iter().chain([Statement::Verdict(after(direction))]).collect())]
    }

    /// A staged verdict is logged like a denial, whichever it is, and comes back.
    fn noting(&self, mark: Mark) -> Vec<Rule> {
        let log = self.settings.log.denied.map(|group| self.log(mark, group));
        vec![Rule::new(log.into_iter().chain([Statement::Verdict(Verdict::Return)]).collect())]
    }

    /// The limit chooses what is logged; the packet is dropped either way.
    fn denying(&self, mark: Mark) -> Vec<Rule> {
        let drop = Statement::Verdict(Verdict::Drop);
        let Some(group) = self.settings.log.denied else {
            return vec![Rule::new(vec![Statement::Counter, drop])];
        };
        let quiet = self.settings.log.limit.map(|(per_second, burst)| {
            let over = Statement::Limit { over: true, per_second, burst };
            Rule::new(vec![over, Statement::Counter, drop.clone()])
        });
        let logged = Rule::new(vec![Statement::Counter, self.log(mark, group), drop]);
        quiet.into_iter().chain([logged]).collect()
    }
}

/// The dispatch chain of a direction; `ingress` and `egress` are words of the nft language.
fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "from_pod",
        Direction::Ingress => "to_pod",
    }
}

/// Where a packet goes that a direction lets through: to the other end's decision after egress, out of the table after ingress.
fn after(direction: Direction) -> Verdict {
    match direction {
        Direction::Egress => Verdict::Goto(side(Direction::Ingress).into()),
        Direction::Ingress => Verdict::Accept,
    }
}

/// The dispatch map of a direction and family, and the field it looks at.
pub(crate) fn dispatch_name(direction: Direction, family: Family) -> (&'static str, Field) {
    match (direction, family) {
        (Direction::Egress, Family::V4) => ("eg4", Field::SourceV4),
        (Direction::Egress, Family::V6) => ("eg6", Field::SourceV6),
        (Direction::Ingress, Family::V4) => ("in4", Field::DestinationV4),
        (Direction::Ingress, Family::V6) => ("in6", Field::DestinationV6),
    }
}

pub(crate) fn verdict(verdict: Verdict) -> Rule {
    Rule::new(vec![Statement::Verdict(verdict)])
}

/// The element of one address.
pub(crate) fn host(address: IpAddr) -> Element {
    match address {
        IpAddr::V4(address) => Element::V4(address),
        IpAddr::V6(address) => Element::V6(address),
    }
}

/// A comment of at most 127 bytes, as the kernel's user data for nft has room for, without quotes.
fn comment(words: &str) -> std::sync::Arc<str> {
    let mut text: String = words.chars().filter(|c| *c != '"' && !c.is_control()).collect();
    if text.len() > 127 {
        let mut end = 124;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("...");
    }
    text.into()
}
