//! The chains that every packet passes, and the ends of all others.

use super::draft::Draft;
use super::group::{PREFIXES_MAX, capacity};
use super::layer::{Layer, Work};
use super::peers::{cidrs, prefix, ranges};
use super::{DIRECTIONS, Node, Settings, after, dispatch_name, side, verdict};
use crate::model::{
    Base, BaseKind, Element, Field, Hook, Log, Name, Rule, Set, SetKey, SetShape, Statement,
    States, Value, Verdict,
};
use crate::reason::{Mark, ReasonId};
use moat_ir::{Direction, PodIdx};
use moat_sets::{Cidr, Family};
use std::net::IpAddr;
use std::sync::Arc;

/// Bytes of a packet that go with its log record: both IP headers' fixed parts, and the transport header's first 20.
const SNAPLEN: u32 = 80;
/// Before other tables' filters, after destination translation: `filter - 5`.
const PRIORITY: i32 = -5;

/// The chains that packets enter. They are made once, for while one is made anew packets pass unjudged.
pub(super) fn entrances(draft: &mut Draft, settings: &Settings) {
    let hook = |hook| Some(Base { kind: BaseKind::Filter, hook, priority: PRIORITY, accept: true });
    let accept = Statement::Verdict(Verdict::Accept);
    let killed =
        Statement::CtMarkMasked { mask: settings.kill, value: settings.kill, negate: false };
    let states = States { established: true, related: true, ..States::default() };
    let replies =
        Statement::Match { field: Field::CtState, negate: false, value: Value::States(states) };
    let begin = [
        Rule::new(vec![killed, Statement::Verdict(Verdict::Drop)]),
        Rule::new(vec![replies, accept.clone()]),
        // One after the other, not one out of the other: with every element that leads somewhere the kernel walks all that follows, which
        // would be every way into a pod for every way out of one.
        verdict(Verdict::Jump("from_pod".into())),
    ];
    draft.put_chain(
        &"moat_forward".into(),
        hook(Hook::Forward),
        [&begin[..], &[verdict(Verdict::Goto("to_pod".into()))]].concat(),
    );
    // From a pod to its own node, which is no pod. What a node sends to its own pods is never denied, so there is no chain for output.
    let loopback = Statement::Match {
        field: Field::InputName,
        negate: false,
        value: Value::Interface("lo".into()),
    };
    let local = [Rule::new(vec![loopback, accept])];
    draft.put_chain(&"moat_input".into(), hook(Hook::Input), [&local[..], &begin].concat());
    for direction in DIRECTIONS {
        let rules = denying(settings, Mark::Unprogrammed(direction));
        draft.put_chain(&closed(direction), None, rules);
    }
}

/// The chains that dispatch, and the sets of local addresses.
///
/// Every lookup is behind the rules for its family, so that IPv4 does not pay for IPv6. Who is in no map but has an address of this
/// node's pods is not programmed yet.
///
/// Where there are several maps, each has a chain of its own: a pod that comes or goes makes one rule anew, and not those of all maps.
pub(super) fn dispatchers(
    draft: &mut Draft,
    node: &Node,
    pods: &[(PodIdx, IpAddr)],
    layers: &[&Layer],
    own: &mut Dispatchers,
) {
    let mut kept = Dispatchers { sets: exempt(draft, pods), chains: Vec::new() };
    let inside = Family::BOTH.map(|family| local(draft, node, family, &mut kept));
    for direction in DIRECTIONS {
        let rest = rest(direction, &inside);
        let rest_name: Name = format!("{}_others", side(direction)).into();
        let mut rules = Vec::new();
        let mut is_split = false;
        for family in Family::BOTH {
            let (_, field) = dispatch_name(direction, family);
            // RFC 4861: without neighbour discovery there is no IPv6 at all.
            if (direction, family) == (Direction::Egress, Family::V6) {
                let neighbours = Statement::Match {
                    field: Field::Icmpv6Type,
                    negate: false,
                    value: Value::Icmpv6Types(133, 137),
                };
                rules.push(Rule::new(vec![neighbours, Statement::Verdict(Verdict::Accept)]));
            }
            for layer in layers {
                for (prefix, map) in layer.maps.get(&(direction, family)).into_iter().flatten() {
                    let ask = Statement::Vmap { key: vec![field], map: map.clone() };
                    if prefix.length() == 0 {
                        rules.push(Rule::new(vec![ask]));
                        continue;
                    }
                    let value = self::prefix(prefix);
                    let inside = Statement::Match { field, negate: false, value };
                    let chain = part(direction, layer.staged, prefix);
                    // The prefix is compared again, so that it is known who is asked for here.
                    let mut asking = vec![Rule::new(vec![inside.clone(), ask])];
                    // What is staged comes back, so that what is in force is asked next.
                    let lead = if layer.staged { Verdict::Jump } else { Verdict::Goto };
                    if !layer.staged {
                        asking.push(verdict(Verdict::Goto(rest_name.clone())));
                        is_split = true;
                    }
                    draft.put_chain(&chain, None, asking);
                    let lead = Statement::Verdict(lead(chain.clone()));
                    rules.push(Rule::new(vec![inside, lead]));
                    kept.chains.push(chain);
                }
            }
        }
        if is_split {
            draft.put_chain(&rest_name, None, rest.clone());
            kept.chains.push(rest_name);
        }
        rules.extend(rest);
        draft.put_chain(&side(direction).into(), None, rules);
    }
    for set in own.sets.iter().filter(|set| !kept.sets.contains(set)) {
        draft.drop_set(set);
    }
    for chain in own.chains.iter().filter(|chain| !kept.chains.contains(chain)) {
        draft.drop_chain(chain);
    }
    *own = kept;
}

/// How the local addresses of a family are known: prefixes to compare, or a set to ask where these are too many.
enum Local {
    Prefixes(Vec<Value>),
    Set(Name),
}

fn local(draft: &mut Draft, node: &Node, family: Family, kept: &mut Dispatchers) -> Local {
    let ranges: Vec<Element> = ranges(&node.pod_addresses, family).collect();
    let few = ranges.iter().flat_map(cidrs).map(|cidr| prefix(&cidr));
    let few: Vec<Value> = few.take(PREFIXES_MAX + 1).collect();
    if few.len() <= PREFIXES_MAX {
        return Local::Prefixes(few);
    }
    let (name, key) = match family {
        Family::V4 => ("local4", SetKey::V4),
        Family::V6 => ("local6", SetKey::V6),
    };
    let mut set = Set::new(SetShape { key, interval: true, map: false, size: None });
    set.elements = ranges.into_iter().map(|range| (range, None)).collect();
    let name = draft.put_fixed(name, set);
    kept.sets.push(name.clone());
    Local::Set(name)
}

/// What becomes of packets whose pod is in no map.
fn rest(direction: Direction, local: &[Local; 2]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (family, local) in Family::BOTH.into_iter().zip(local) {
        let (_, field) = dispatch_name(direction, family);
        let gate = || Statement::Verdict(Verdict::Goto(closed(direction)));
        match local {
            Local::Set(set) => {
                let set = set.clone();
                let inside = Statement::Lookup { key: vec![field], set, negate: false };
                rules.push(Rule::new(vec![inside, gate()]));
            }
            Local::Prefixes(few) => rules.extend(few.iter().map(|value| {
                let value = value.clone();
                Rule::new(vec![Statement::Match { field, negate: false, value }, gate()])
            })),
        }
    }
    // Who is no pod of this node is the other end's business, or nobody's.
    rules.push(verdict(after(direction)));
    rules
}

/// What there is for dispatching beside two chains and their maps.
#[derive(Clone, Debug, Default)]
pub(super) struct Dispatchers {
    /// The sets of local addresses.
    sets: Vec<Name>,
    /// The chains of prefixes.
    chains: Vec<Name>,
}

/// The chain that asks for the pods of a prefix.
fn part(direction: Direction, staged: bool, prefix: &Cidr) -> Name {
    let staged = if staged { "staged_" } else { "" };
    let network = match prefix.network() {
        IpAddr::V4(own) => format!("{:08x}", own.to_bits()),
        IpAddr::V6(own) => format!("{:032x}", own.to_bits()),
    };
    format!("{staged}{}_{network}_{}", side(direction), prefix.length()).into()
}

/// A pod that reaches itself through a Service is never denied. It is asked about only where something is to be denied, because hardly
/// any packet is of that kind.
fn exempt(draft: &mut Draft, pods: &[(PodIdx, IpAddr)]) -> Vec<Name> {
    let (mut names, mut rules) = (Vec::new(), Vec::new());
    for (name, key, fields) in [
        ("own4", SetKey::PairV4, [Field::SourceV4, Field::DestinationV4]),
        ("own6", SetKey::PairV6, [Field::SourceV6, Field::DestinationV6]),
    ] {
        let mut set = Set::new(SetShape { key, interval: false, map: false, size: None });
        for (_, address) in pods {
            match (*address, key) {
                (IpAddr::V4(own), SetKey::PairV4) => {
                    set.elements.insert(Element::PairV4(own, own), None);
                }
                (IpAddr::V6(own), SetKey::PairV6) => {
                    set.elements.insert(Element::PairV6(own, own), None);
                }
                _ => {}
            }
        }
        // One pair says nothing about another, so this set may change in place.
        set.size = Some(capacity(set.elements.len()));
        let name: Name = format!("{name}_{}", capacity(set.elements.len())).into();
        draft.fit_set(&name, set);
        let lookup = Statement::Lookup { key: fields.to_vec(), set: name.clone(), negate: false };
        rules.push(Rule::new(vec![lookup, Statement::Verdict(Verdict::Accept)]));
        names.push(name);
    }
    draft.put_chain(&EXEMPT.into(), None, rules);
    names
}

/// The chain of what is never denied.
const EXEMPT: &str = "exempt";

fn closed(direction: Direction) -> Name {
    format!("closed_{direction}").into()
}

impl Work<'_> {
    /// The rules of the chain that ends with a decision.
    pub(super) fn decided(
        &self,
        direction: Direction,
        allow: bool,
        reason: ReasonId,
        words: &str,
    ) -> Vec<Rule> {
        let mut rules = if self.layer.staged {
            noting(self.settings, Mark::Staged { direction, allow, reason })
        } else {
            let mark = Mark::Decided { direction, allow, reason };
            if allow {
                allowing(self.settings, direction, mark)
            } else {
                denying(self.settings, mark)
            }
        };
        if let Some(last) = rules.last_mut() {
            last.comment = Some(comment(words));
        }
        rules
    }
}

fn log(settings: &Settings, mark: Mark, group: u16) -> Statement {
    Statement::Log(Log {
        prefix: mark.to_string().into(),
        group,
        snaplen: SNAPLEN,
        queue_threshold: settings.log.queue_threshold,
    })
}

/// An allowed packet goes on.
fn allowing(settings: &Settings, direction: Direction, mark: Mark) -> Vec<Rule> {
    let log = settings.log.allowed.map(|group| log(settings, mark, group));
    vec![Rule::new(log.into_iter().chain([Statement::Verdict(after(direction))]).collect())]
}

/// A staged verdict is logged like a denial, whichever it is, and comes back.
fn noting(settings: &Settings, mark: Mark) -> Vec<Rule> {
    let log = settings.log.denied.map(|group| log(settings, mark, group));
    vec![Rule::new(log.into_iter().chain([Statement::Verdict(Verdict::Return)]).collect())]
}

/// The limit chooses what is logged; the packet is dropped either way.
fn denying(settings: &Settings, mark: Mark) -> Vec<Rule> {
    let drop = Statement::Verdict(Verdict::Drop);
    let mut rules = vec![verdict(Verdict::Jump(EXEMPT.into()))];
    let Some(group) = settings.log.denied else {
        rules.push(Rule::new(vec![Statement::Counter, drop]));
        return rules;
    };
    rules.extend(settings.log.limit.map(|(per_second, burst)| {
        let over = Statement::Limit { over: true, per_second, burst };
        Rule::new(vec![over, Statement::Counter, drop.clone()])
    }));
    rules.push(Rule::new(vec![Statement::Counter, log(settings, mark, group), drop]));
    rules
}

/// A comment of at most 127 bytes, as the kernel's user data for nft has room for, without quotes.
fn comment(words: &str) -> Arc<str> {
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
