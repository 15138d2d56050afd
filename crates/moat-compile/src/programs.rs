//! The clauses that apply to each class, in order, shared by classes to which the same policies apply.

use crate::classes::{Classes, named};
use crate::compile::index;
use crate::dialect::{Dialect, HostNetwork};
use crate::peers::{EVERYONE, Peers};
use moat_ir::{
    Bound, Class, ClassIdx, Clause, Direction, Management, PeerSet, PeerSetId, PolicyIdx, Program,
    ProgramId, Splice, Stage, StageKind, SymbolicIr, Then, Why,
};
use moat_sets::{IdSet, PortSet, Protocol};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a named port means on which peers.
type Cut<T> = Vec<(PortSet, T)>;

/// Programs and narrowed peer sets by what they depend on, so that each is made once.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Programs by direction, policies, and the subject's named ports where a policy looks at them.
    programs: FxHashMap<(Direction, Vec<PolicyIdx>, Option<u32>), ProgramId>,
    /// Places of programs that went.
    free: Vec<ProgramId>,
    /// The policies of each class.
    of_class: Vec<Vec<PolicyIdx>>,
    /// Which ports a name means on which peers, for egress.
    resolved: BTreeMap<(Option<Protocol>, Arc<str>), Cut<IdSet>>,
    /// Peer sets narrowed to the peers on which a name means certain ports.
    narrowed: BTreeMap<(PeerSetId, Option<Protocol>, Arc<str>), Cut<PeerSetId>>,
}

/// Makes programs.
#[derive(Debug)]
pub(crate) struct Programs<'a> {
    symbolic: &'a SymbolicIr,
    classes: &'a Classes,
    bound: &'a mut [Class],
    dialect: Dialect,
    of_clause: &'a [PeerSetId],
    sets: &'a mut Vec<PeerSet>,
    programs: &'a mut Vec<Program>,
    known: &'a mut Known,
}

impl<'a> Programs<'a> {
    /// Over a bound form whose classes and peer sets are settled.
    pub(crate) fn new(
        bound: &'a mut Bound,
        classes: &'a Classes,
        dialect: Dialect,
        peers: &'a Peers,
        known: &'a mut Known,
    ) -> Self {
        Self {
            symbolic: &bound.symbolic,
            classes,
            bound: &mut bound.classes,
            dialect,
            of_clause: &peers.of_clause,
            sets: &mut bound.peer_sets,
            programs: &mut bound.programs,
            known,
        }
    }

    /// Gives every class its programs.
    pub(crate) fn all(&mut self) {
        let mut policies: Vec<Vec<PolicyIdx>> = vec![Vec::new(); self.bound.len()];
        for (policy, idx) in self.symbolic.policies.iter().zip(0..) {
            for class in self.classes.of_term(&policy.subject).iter() {
                policies[class as usize].push(idx);
            }
        }
        for (class, policies) in policies.iter().enumerate() {
            self.give(class, policies);
        }
        self.known.of_class = policies;
    }

    /// Follows one policy in the place of another, of none, or gone: which programs mean something else than before, or came.
    pub(crate) fn splice(&mut self, splice: &Splice) -> Vec<ProgramId> {
        let at = splice.policies.start;
        let meant = splice.policies.came().next().map(|new| {
            let subject = &self.symbolic.policy(new).subject;
            self.classes.of_term(subject)
        });
        let meant = meant.unwrap_or_default();
        // Programs of the policy as it was.
        let mut changed = Vec::new();
        let went = splice.policies.went();
        self.known.programs.retain(|(_, policies, _), id| {
            let stays = !policies.iter().any(|idx| went.contains(idx));
            if !stays {
                changed.push(*id);
            }
            stays
        });
        for &id in &changed {
            let Some(program) = self.programs.get_mut(id as usize) else { continue };
            *program = nothing(program.direction);
        }
        self.known.free.extend(&changed);
        self.renumber(splice);
        let mut of_class = core::mem::take(&mut self.known.of_class);
        for (class, policies) in of_class.iter_mut().enumerate() {
            let had = policies.iter().position(|idx| *idx == OLD);
            had.map(|at| policies.remove(at));
            let has = meant.contains(index(class));
            if has {
                policies.insert(policies.partition_point(|idx| *idx < at), at);
            }
            if has || had.is_some() {
                let made = self.give(class, policies);
                changed.extend(made);
            }
        }
        self.known.of_class = of_class;
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Says in the numbers of now what names policies and clauses; the policy that went, or was replaced, is [`OLD`]. Its programs are no
    /// more.
    fn renumber(&mut self, splice: &Splice) {
        let policy = |idx: &mut PolicyIdx| *idx = splice.policies.moved(*idx).unwrap_or(OLD);
        self.known.of_class.iter_mut().flatten().for_each(policy);
        if !splice.policies.is_in_place() {
            let keys = core::mem::take(&mut self.known.programs).into_iter();
            let keys = keys.map(|((direction, mut policies, profile), id)| {
                policies.iter_mut().for_each(policy);
                ((direction, policies, profile), id)
            });
            self.known.programs = keys.collect();
        } else if splice.clauses.is_in_place() {
            return;
        }
        let later = |idx: &PolicyIdx| splice.policies.moved(*idx) != Some(*idx);
        let stages = self.programs.iter_mut().flat_map(|program| &mut program.stages);
        for clause in stages.flat_map(|stage| &mut stage.clauses) {
            match &mut clause.why {
                Why::Rule(idx) => *idx = splice.clauses.moved(*idx).unwrap_or(*idx),
                Why::Isolated(policies) if policies.iter().any(later) => {
                    let moved = policies.iter().filter_map(|&idx| splice.policies.moved(idx));
                    *policies = moved.collect();
                }
                Why::Isolated(_) | Why::Default => {}
            }
        }
    }

    /// Gives one class, which no program knows yet, its programs. False when a port name means something on it that programs of
    /// other classes would have to say.
    pub(crate) fn one(&mut self, class: ClassIdx) -> bool {
        if !self.known.add_class(self.sets, &Meaning::of(self.classes, self.dialect, class), {
            &self.bound[class as usize]
        }) {
            return false;
        }
        let policies = self.symbolic.policies.iter().zip(0..);
        let policies: Vec<PolicyIdx> = policies
            .filter(|(policy, _)| self.classes.means(&policy.subject, class))
            .map(|(_, idx)| idx)
            .collect();
        // Whoever follows pods knows what became of programs that were there: they stay as they are.
        let free = core::mem::take(&mut self.known.free);
        self.give(class as usize, &policies);
        self.known.free = free;
        self.known.of_class.resize(self.bound.len(), Vec::new());
        self.known.of_class[class as usize] = policies;
        true
    }

    /// Gives a class its programs; which of them had to be made.
    fn give(&mut self, class: usize, policies: &[PolicyIdx]) -> Vec<ProgramId> {
        let key = &self.classes.keys[class];
        let management = key.management(self.dialect);
        let mut made = Vec::new();
        let programs = if management == Management::Unmanaged {
            [ProgramId::MAX; 2]
        } else {
            SIDES.map(|direction| self.program(direction, policies, key.ports, &mut made))
        };
        let class = &mut self.bound[class];
        (class.management, class.programs) = (management, programs);
        made
    }

    fn program(
        &mut self,
        direction: Direction,
        policies: &[PolicyIdx],
        profile: u32,
        made: &mut Vec<ProgramId>,
    ) -> ProgramId {
        let symbolic = self.symbolic;
        let applies: Vec<PolicyIdx> = policies
            .iter()
            .copied()
            .filter(|&idx| {
                let policy = symbolic.policy(idx);
                if policy.stage == StageKind::Namespace {
                    policy.isolates(direction)
                } else {
                    symbolic.clauses_of(idx, direction).next().is_some()
                }
            })
            .collect();
        let names = direction == Direction::Ingress
            && applies.iter().any(|&idx| {
                symbolic
                    .clauses_of(idx, direction)
                    .any(|(_, clause)| !clause.ports.names.is_empty())
            });
        let key = (direction, applies, names.then_some(profile));
        if let Some(&id) = self.known.programs.get(&key) {
            return id;
        }
        let program = self.build(direction, &key.1, profile);
        let id = match self.known.free.pop() {
            Some(id) => {
                self.programs[id as usize] = program;
                id
            }
            None => {
                self.programs.push(program);
                index(self.programs.len() - 1)
            }
        };
        self.known.programs.insert(key, id);
        made.push(id);
        id
    }

    fn build(&mut self, direction: Direction, policies: &[PolicyIdx], profile: u32) -> Program {
        let symbolic = self.symbolic;
        let mut stages = Vec::new();
        for kind in [StageKind::Admin, StageKind::Namespace, StageKind::Baseline] {
            let own: Vec<PolicyIdx> = policies
                .iter()
                .copied()
                .filter(|&idx| symbolic.policy(idx).stage == kind)
                .collect();
            if own.is_empty() {
                continue;
            }
            let mut clauses = Vec::new();
            for &policy in &own {
                self.clauses(direction, policy, profile, &mut clauses);
            }
            if kind == StageKind::Namespace {
                //# "... the pod is isolated ...; the only allowed connections are those allowed by ... some NetworkPolicy"
                let why = Why::Isolated(own.into());
                clauses.push(Clause {
                    peers: EVERYONE,
                    ports: PortSet::all(),
                    then: Then::Deny,
                    why,
                });
                stages.push(Stage { kind, clauses });
                // Total: nothing after it can be reached.
                return Program { direction, stages };
            }
            stages.push(Stage { kind, clauses });
        }
        let nothing = nothing(direction);
        stages.extend(nothing.stages);
        Program { direction, stages }
    }

    fn clauses(
        &mut self,
        direction: Direction,
        policy: PolicyIdx,
        profile: u32,
        out: &mut Vec<Clause>,
    ) {
        let symbolic = self.symbolic;
        for (idx, clause) in symbolic.clauses_of(policy, direction) {
            let peers = self.of_clause[idx as usize];
            let mut push = |peers, ports: PortSet| {
                if !ports.is_empty() {
                    out.push(Clause { peers, ports, then: clause.then, why: Why::Rule(idx) });
                }
            };
            match direction {
                //# "port: ... a named port ... on the pod": ingress names are looked up on the subject, which is the destination.
                Direction::Ingress => {
                    let profile = &self.classes.profiles[profile as usize];
                    let ports = clause
                        .ports
                        .names
                        .iter()
                        .fold(clause.ports.numbers.clone(), |sum, (protocol, name)| {
                            sum.union(&named(profile, *protocol, name))
                        });
                    push(peers, ports);
                }
                Direction::Egress => {
                    push(peers, clause.ports.numbers.clone());
                    for (protocol, name) in &clause.ports.names {
                        for (ports, narrowed) in self.narrow(peers, *protocol, name) {
                            push(narrowed, ports);
                        }
                    }
                }
            }
        }
    }

    /// `peers` cut by what a port name means on them.
    fn narrow(
        &mut self,
        peers: PeerSetId,
        protocol: Option<Protocol>,
        name: &Arc<str>,
    ) -> Vec<(PortSet, PeerSetId)> {
        let key = (peers, protocol, name.clone());
        if let Some(known) = self.known.narrowed.get(&key) {
            return known.clone();
        }
        let mut out = Vec::new();
        let resolved = self.known.resolved.entry((protocol, name.clone())).or_insert_with(|| {
            let mut cut = Vec::new();
            for (class, own) in self.bound.iter().enumerate() {
                let meaning = Meaning::of(self.classes, self.dialect, index(class));
                add(&mut cut, &meaning.ports(protocol, name), own);
            }
            cut
        });
        for (ports, atoms) in resolved.iter() {
            let whole = &self.sets[peers as usize];
            let set =
                PeerSet { must: whole.must.intersect(atoms), may: whole.may.intersect(atoms) };
            if !set.must.is_empty() || !set.may.is_empty() {
                self.sets.push(set);
                out.push((ports.clone(), index(self.sets.len() - 1)));
            }
        }
        self.known.narrowed.insert(key, out.clone());
        out
    }
}

/// Stands for the number of a policy that is no more.
const OLD: PolicyIdx = PolicyIdx::MAX;

/// The program of no policy.
fn nothing(direction: Direction) -> Program {
    let allow =
        Clause { peers: EVERYONE, ports: PortSet::all(), then: Then::Allow, why: Why::Default };
    let stages = vec![Stage { kind: StageKind::Default, clauses: vec![allow] }];
    Program { direction, stages }
}

/// What port names mean on a class as a destination.
struct Meaning<'a>(&'a [(Arc<str>, Protocol, u16)]);

impl<'a> Meaning<'a> {
    fn of(classes: &'a Classes, dialect: Dialect, class: ClassIdx) -> Self {
        let key = &classes.keys[class as usize];
        // A hostNetwork pod that is its node's address has no more port names than any address.
        if key.host.is_some() && dialect.host_network == HostNetwork::NodeAddress {
            return Self(&[]);
        }
        Self(&classes.profiles[key.ports as usize])
    }

    fn ports(&self, protocol: Option<Protocol>, name: &str) -> PortSet {
        named(self.0, protocol, name)
    }
}

/// Notes that a name means these ports on the atoms of a class.
fn add(cut: &mut Cut<IdSet>, ports: &PortSet, class: &Class) {
    if ports.is_empty() {
        return;
    }
    let own = class.atoms.into_iter().flatten();
    match cut.iter_mut().find(|(have, _)| have == ports) {
        Some((_, set)) => set.extend(own),
        None => cut.push((ports.clone(), own.collect())),
    }
}

impl Known {
    /// Adds a class to the peers on which names mean ports. False when a clause for that would be missing in a program.
    fn add_class(&mut self, sets: &mut [PeerSet], meaning: &Meaning<'_>, class: &Class) -> bool {
        if meaning.0.is_empty() {
            return true;
        }
        for ((protocol, name), cut) in &mut self.resolved {
            add(cut, &meaning.ports(*protocol, name), class);
        }
        for ((peers, protocol, name), cut) in &self.narrowed {
            let ports = meaning.ports(*protocol, name);
            if ports.is_empty() {
                continue;
            }
            for atom in class.atoms.into_iter().flatten() {
                let whole = &sets[*peers as usize];
                let (must, may) = (whole.must.contains(atom), whole.may.contains(atom));
                if !must && !may {
                    continue;
                }
                let Some((_, narrowed)) = cut.iter().find(|(have, _)| *have == ports) else {
                    return false;
                };
                let set = &mut sets[*narrowed as usize];
                if must { &mut set.must } else { &mut set.may }.insert(atom);
            }
        }
        true
    }
}

/// Both directions, by their place in a pair.
const SIDES: [Direction; 2] = [Direction::Ingress, Direction::Egress];
