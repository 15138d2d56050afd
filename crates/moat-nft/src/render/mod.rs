//! The ruleset of one node: base chains, dispatch by local pod address, a chain for each distinct program.
//!
//! A packet is looked up by its local pod (`eg4`, `in4` ...), then in that pod's group chain by its peer, then in a row chain by its
//! port, and ends by a rule that names the reason. The number of steps depends neither on how many pods nor on how many policies there
//! are, but on how many different things the pod's own policies say.
//!
//! What changes, and how, follows from what a packet in flight sees: rules as they were when it began, elements as they are at the
//! moment. Sets of peers, which change with every pod, are plain sets that change in place. Every other set and map has a name that
//! follows from its content: another content is another set beside it, to which rules switch.

mod alike;
mod base;
mod draft;
mod ends;
mod group;
mod layer;
mod nested;
mod peers;
mod readdress;
mod refused;
mod renumber;
mod row;
mod ruleset;
mod shifts;
mod sum;

pub use ruleset::{Ruleset, What};

use crate::model::{Element, Field, Name, Rule, Statement, Table, Verdict};
use crate::reason::Reasons;
use core::fmt;
use moat_ir::{Bound, Direction, PodIdx, PolicyIdx, ProgramId};
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

impl Node {
    /// A node by its name, with those of `pods` that are on it.
    #[must_use]
    pub fn of(bound: &Bound, name: &str, pods: impl IntoIterator<Item = PodIdx>) -> Self {
        let on_it = |idx: &PodIdx| {
            let pod = bound.pod(*idx);
            pod.node.as_deref() == Some(name) && !pod.host_network
        };
        let pods: Vec<PodIdx> = pods.into_iter().filter(on_it).collect();
        let addresses = pods.iter().flat_map(|&idx| &bound.pod(idx).addresses);
        let pod_addresses = AddrSet::from_ranges(addresses.map(|&own| (own, own)));
        Self { pods, pod_addresses }
    }
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
    /// Up to so many sets of peers are asked one after another; one map is asked instead of more.
    ///
    /// An element of a map leads somewhere, and with each that comes the kernel walks the whole table again to be sure that nothing goes
    /// in circles; one of a set does not. So sets change in microseconds, and maps are made anew.
    pub rows_max: usize,
    /// A dispatch map has at least room for so many addresses before it is split by prefix.
    pub dispatch_room: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            table: "moat".into(),
            log: Logging::default(),
            kill: 1 << 30,
            elements_max: 1 << 18,
            rows_max: 16,
            dispatch_room: 16,
        }
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
        Self { allowed: Some(4001), denied: Some(4002), limit: None, queue_threshold: 256 }
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
    /// In what.
    pub excess: Excess,
    /// Whether it is one of staged policies, so that nothing is closed and only its records are missing.
    pub staged: bool,
}

/// In what a program is too large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// It needs so many elements.
    Elements(usize),
    /// Its clauses, peers and ports are too many to be told apart.
    Rules,
}

impl fmt::Display for Excess {
    /// What it needs: `70000 elements in the kernel, more than are allowed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elements(count) => {
                write!(f, "{count} elements in the kernel, more than are allowed")
            }
            Self::Rules => {
                f.write_str("more combinations of peers and ports than can be told apart")
            }
        }
    }
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
    Ruleset::new(bound, staged, node, settings).into_rendered()
}

/// What takes the place of an element of a dispatch map while the group that it leads to cannot be had: the pod is closed; a staged
/// group is left out, because nothing depends on it. The names are those that the names of dispatch maps begin with.
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

/// The local pods with their addresses. An address that two pods claim is the one's that the compiled form says.
fn local(bound: &Bound, node: &Node) -> Vec<(PodIdx, IpAddr)> {
    let own = |&idx: &PodIdx| !bound.pod(idx).host_network && !bound.pod(idx).finished;
    let pods = node.pods.iter().copied().filter(own);
    pods.flat_map(|idx| bound.pod(idx).addresses.iter().map(move |&address| (idx, address)))
        .filter(|(idx, address)| bound.pod_by_address.get(address) == Some(idx))
        .collect()
}

/// The dispatch chain of a direction; `ingress` and `egress` are words of the nft language.
fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "from_pod",
        Direction::Ingress => "to_pod",
    }
}

/// Where a packet goes that a direction lets through: back to where both are asked after egress, out of the table after ingress.
fn after(direction: Direction) -> Verdict {
    match direction {
        Direction::Egress => Verdict::Return,
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
