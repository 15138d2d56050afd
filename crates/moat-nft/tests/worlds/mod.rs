//! Small clusters as the renderer lays them out, and what happens to them.

use super::tables::Rng;
use moat_nft::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Name, Rule, Set, SetKey, SetShape, Statement,
    Table, Value, Verdict,
};
use moat_nft::way::Gates;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};

/// Addresses that pods have: the first four are this node's.
pub(crate) const N_ADDRESSES: u8 = 7;
const N_LOCAL: u8 = 4;
/// What policies can tell pods apart by.
const N_CLASSES: usize = 3;
const N_ROWS: usize = 3;

/// Which peers an end lets through: a row for each class of peers, the first of which is that of everyone else.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Program {
    /// By class, the row.
    rows: [usize; N_CLASSES],
    /// By row, whether it allows.
    allows: [bool; N_ROWS],
    /// In which order rows are asked.
    order: [usize; N_ROWS - 1],
    /// The row of addresses elsewhere that no row has, if it is not that of everyone else.
    elsewhere: Option<usize>,
}

/// What names follow from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Names {
    /// Dispatch maps are named by their content, and groups by what they say.
    Content,
    /// Dispatch maps are named by their content; groups, and sets of peers, keep their names whatever they say.
    Class,
    /// So do the rows of a class, and one that allows is a rule without a chain.
    Rows,
    /// Dispatch maps keep their names.
    InPlace,
}

/// A node's view of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct World {
    /// The pods by the last byte of their addresses: the class that says which programs are theirs, and the one that their peers ask for.
    pods: BTreeMap<u8, [usize; 2]>,
    /// By direction and class, the program.
    programs: [[Program; N_CLASSES]; 2],
}

pub(crate) fn gates() -> Gates {
    let to = |name: &str| Some(Verdict::Goto(name.into()));
    [("eg4".into(), to("closed_egress")), ("in4".into(), to("closed_ingress"))].into()
}

pub(crate) fn address(pod: u8) -> IpAddr {
    IpAddr::V4(own(pod))
}

fn own(pod: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, u8::from(pod >= N_LOCAL), pod)
}

fn labels(rng: &mut Rng) -> [usize; 2] {
    [(); 2].map(|()| rng.below(N_CLASSES))
}

fn program(rng: &mut Rng) -> Program {
    let mut order = [1, 2];
    if rng.one_in(2) {
        order.reverse();
    }
    Program {
        rows: [(); N_CLASSES].map(|()| rng.below(N_ROWS)),
        allows: [(); N_ROWS].map(|()| rng.one_in(2)),
        order,
        elsewhere: rng.one_in(3).then(|| rng.below(N_ROWS)),
    }
}

impl World {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut world = Self {
            pods: BTreeMap::new(),
            programs: [(); 2].map(|()| [(); N_CLASSES].map(|()| program(rng))),
        };
        for pod in 0..N_ADDRESSES {
            if !rng.one_in(3) {
                world.pods.insert(pod, labels(rng));
            }
        }
        world
    }

    /// A pod comes, goes, is followed by another at its address, or all of a class become another: one to three such events.
    pub(crate) fn pod_event(&mut self, rng: &mut Rng) {
        for _ in 0..=rng.below(3) {
            let pod = u8::try_from(rng.below(N_ADDRESSES.into())).unwrap();
            match rng.below(4) {
                0 => {
                    let (at, from, to) = (rng.below(2), rng.below(N_CLASSES), rng.below(N_CLASSES));
                    let own = self.pods.values_mut().map(|own| &mut own[at]);
                    own.filter(|own| **own == from).for_each(|own| *own = to);
                }
                1 => drop(self.pods.remove(&pod)),
                _ => drop(self.pods.insert(pod, labels(rng))),
            }
        }
    }

    /// One pod becomes one of another class.
    pub(crate) fn relabel(&mut self, rng: &mut Rng) {
        let all: Vec<u8> = self.pods.keys().copied().collect();
        if !all.is_empty() {
            let (pod, at) = (rng.pick(&all), rng.below(2));
            self.pods.get_mut(&pod).unwrap()[at] = rng.below(N_CLASSES);
        }
    }

    /// Some programs change.
    pub(crate) fn policy_event(&mut self, rng: &mut Rng) {
        for _ in 0..=rng.below(3) {
            let (direction, class) = (rng.below(2), rng.below(N_CLASSES));
            self.programs[direction][class] = if rng.one_in(3) {
                self.programs[direction][rng.below(N_CLASSES)].clone()
            } else {
                program(rng)
            };
        }
    }

    /// Its table.
    pub(crate) fn table(&self, names: Names) -> Table {
        let mut table = Table::new("moat");
        let base = Base { kind: BaseKind::Filter, hook: Hook::Forward, priority: -5, accept: true };
        let jump = |chain: &str| end(Verdict::Jump(chain.into()));
        let rules = vec![jump("common"), jump("from_pod"), goto("to_pod")];
        chain(&mut table, "moat_forward", Some(base), rules);
        let mut pairs =
            Set::new(SetShape { key: SetKey::PairV4, interval: false, map: false, size: None });
        let local_pods = self.pods.range(..N_LOCAL).map(|(pod, _)| own(*pod));
        pairs.elements = local_pods.map(|own| (Element::PairV4(own, own), None)).collect();
        table.sets.insert("own4".into(), pairs);
        let key = vec![Field::SourceV4, Field::DestinationV4];
        let itself = Statement::Lookup { key, set: "own4".into(), negate: false };
        let itself = Rule::new(vec![itself, Statement::Verdict(Verdict::Accept)]);
        chain(&mut table, "common", None, vec![itself]);
        let plain = SetShape { key: SetKey::V4, interval: false, map: false, size: None };
        let mut local = Set::new(SetShape { interval: true, ..plain });
        local.elements.insert(Element::RangeV4(own(0), Ipv4Addr::new(10, 0, 0, 255)), None);
        table.sets.insert("local4".into(), local);
        let sides = [
            ("eg4", "from_pod", "closed_egress", Field::SourceV4, Field::DestinationV4),
            ("in4", "to_pod", "closed_ingress", Field::DestinationV4, Field::SourceV4),
        ];
        for (direction, (prefix, side, closed, field, peer)) in sides.into_iter().enumerate() {
            let after = || end(if direction == 0 { Verdict::Return } else { Verdict::Accept });
            // A map for each half of the addresses, or one for all.
            let halves: &[u8] = if names == Names::InPlace { &[0] } else { &[0, N_LOCAL / 2] };
            let mut rules = Vec::new();
            for (at, &first) in halves.iter().enumerate() {
                let mut map = Set::new(SetShape { map: true, ..plain });
                let end = halves.get(at + 1).copied().unwrap_or(N_LOCAL);
                for (&pod, &[class, _]) in self.pods.range(first..end) {
                    let program = &self.programs[direction][class];
                    let group: Name = match names {
                        Names::Class | Names::Rows => format!("{prefix}_c{class}").into(),
                        _ => format!("{prefix}_{}", content(program)).into(),
                    };
                    let keeps_rows = names == Names::Rows;
                    self.group(&mut table, program, &group, keeps_rows, peer, after());
                    map.elements.insert(Element::V4(own(pod)), Some(Verdict::Goto(group)));
                }
                let name: Name = if names == Names::InPlace {
                    prefix.into()
                } else {
                    format!("{prefix}_{}", content(&map.elements)).into()
                };
                table.sets.insert(name.clone(), map);
                let value = Value::PrefixV4(own(first), 31);
                let half = Statement::Match { field, negate: false, value };
                let half = (halves.len() > 1).then_some(half);
                let dispatch = Statement::Vmap { key: vec![field], map: name };
                rules.push(Rule::new(half.into_iter().chain([dispatch]).collect()));
            }
            let inside =
                Statement::Lookup { key: vec![field], set: "local4".into(), negate: false };
            let gate = vec![inside, Statement::Verdict(Verdict::Goto(closed.into()))];
            rules.extend([Rule::new(gate), after()]);
            chain(&mut table, side, None, rules);
            chain(&mut table, closed, None, vec![end(Verdict::Drop)]);
        }
        table
    }

    fn group(
        &self,
        table: &mut Table,
        program: &Program,
        group: &Name,
        keeps_rows: bool,
        peer: Field,
        after: Rule,
    ) {
        if table.chains.contains_key(group) {
            return;
        }
        let mut rules = Vec::new();
        let row = |at: usize| {
            if keeps_rows {
                format!("{group}_row{at}").into()
            } else {
                row(peer, program.allows[at], at)
            }
        };
        let lead = |at: usize| match (keeps_rows && at == 2, program.allows[at]) {
            (true, true) => [vec![Statement::Counter], after.statements.clone()].concat(),
            _ => vec![Statement::Verdict(Verdict::Goto(row(at)))],
        };
        for at in 0..N_ROWS {
            let word = if program.allows[at] { after.clone() } else { end(Verdict::Drop) };
            chain(table, &row(at), None, vec![word]);
        }
        for at in program.order {
            let of_row = self.pods.iter().filter(|(_, [_, class])| program.rows[*class] == at);
            let elements: BTreeMap<_, _> =
                of_row.map(|(pod, _)| (Element::V4(own(*pod)), None)).collect();
            // A row of nobody has neither set nor rule.
            if elements.is_empty() {
                continue;
            }
            let name: Name = format!("{group}_{at}").into();
            let mut set =
                Set::new(SetShape { key: SetKey::V4, interval: false, map: false, size: None });
            set.elements = elements;
            table.sets.insert(name.clone(), set);
            let known = Statement::Lookup { key: vec![peer], set: name, negate: false };
            rules.push(Rule::new([vec![known], lead(at)].concat()));
        }
        if let Some(at) = program.elsewhere {
            let shape = SetShape { key: SetKey::V4, interval: true, map: true, size: None };
            let mut ranges = Set::new(shape);
            let elsewhere = Element::RangeV4([10, 0, 1, 0].into(), [10, 0, 1, 255].into());
            ranges.elements.insert(elsewhere, Some(Verdict::Goto(row(at))));
            let name: Name = format!("{group}_cidrs{}", content(&ranges.elements)).into();
            table.sets.insert(name.clone(), ranges);
            rules.push(Rule::new(vec![Statement::Vmap { key: vec![peer], map: name }]));
        }
        rules.push(end(Verdict::Goto(row(0))));
        table.chains.insert(group.clone(), Chain { base: None, rules });
    }
}

fn row(peer: Field, allows: bool, row: usize) -> Name {
    let word = if allows { "allow" } else { "deny" };
    format!("{word}_{}_{row}", if peer == Field::DestinationV4 { "eg" } else { "in" }).into()
}

fn content(of: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn chain(table: &mut Table, name: &str, base: Option<Base>, rules: Vec<Rule>) {
    table.chains.insert(name.into(), Chain { base, rules });
}

fn end(verdict: Verdict) -> Rule {
    Rule::new(vec![Statement::Verdict(verdict)])
}

fn goto(chain: &str) -> Rule {
    end(Verdict::Goto(chain.into()))
}
