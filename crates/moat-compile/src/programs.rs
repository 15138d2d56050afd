//! The clauses that apply to each class, in order, shared by classes to which the same policies apply.

use crate::bind::{EVERYONE, Peers, SIDES, management};
use crate::classes::{Classes, named};
use crate::compile::index;
use crate::dialect::{Dialect, HostNetwork};
use moat_ir::{
    Class, Clause, Direction, Management, PeerSet, PeerSetId, PolicyIdx, Program, ProgramId, Stage,
    StageKind, SymbolicIr, Then, Why,
};
use moat_sets::{IdSet, PortSet, Protocol};
use rustc_hash::FxHashMap;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Programs<'a> {
    symbolic: &'a SymbolicIr,
    classes: &'a Classes,
    dialect: Dialect,
    peers: Peers,
    programs: Vec<Program>,
    /// Programs by what they depend on: direction, policies, and the subject's named ports where a policy looks at them.
    known: FxHashMap<(Direction, Vec<PolicyIdx>, Option<u32>), ProgramId>,
    /// Which ports a name means on which peers, for egress.
    resolved: FxHashMap<(Option<Protocol>, Arc<str>), Vec<(PortSet, IdSet)>>,
    /// Peer sets narrowed to the peers on which a name means certain ports.
    narrowed: FxHashMap<(PeerSetId, Option<Protocol>, Arc<str>), Vec<(PortSet, PeerSetId)>>,
}

impl<'a> Programs<'a> {
    pub(crate) fn new(
        symbolic: &'a SymbolicIr,
        classes: &'a Classes,
        dialect: Dialect,
        peers: Peers,
    ) -> Self {
        Self {
            symbolic,
            classes,
            dialect,
            peers,
            programs: Vec::new(),
            known: FxHashMap::default(),
            resolved: FxHashMap::default(),
            narrowed: FxHashMap::default(),
        }
    }

    /// Every class with its programs.
    pub(crate) fn classes(&mut self) -> Vec<Class> {
        let namespaces = self.classes.namespace_sets(self.symbolic);
        let mut policies: Vec<Vec<PolicyIdx>> = vec![Vec::new(); self.classes.keys.len()];
        for (idx, policy) in self.symbolic.policies.iter().enumerate() {
            for class in self.classes.of_term(&policy.subject, &namespaces).iter() {
                policies[class as usize].push(index(idx));
            }
        }
        let mut out = Vec::with_capacity(policies.len());
        for (class, policies) in policies.into_iter().enumerate() {
            let key = &self.classes.keys[class];
            let management = management(key, self.dialect);
            let programs = if management == Management::Unmanaged {
                [ProgramId::MAX; 2]
            } else {
                SIDES.map(|direction| self.program(direction, &policies, key.ports))
            };
            let pods = self.classes.members[class].clone();
            out.push(Class { pods, atoms: self.peers.class_atoms[class], programs, management });
        }
        out
    }

    fn program(&mut self, direction: Direction, policies: &[PolicyIdx], profile: u32) -> ProgramId {
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
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        let program = self.build(direction, &key.1, profile);
        self.programs.push(program);
        let id = index(self.programs.len() - 1);
        self.known.insert(key, id);
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
        let allow =
            Clause { peers: EVERYONE, ports: PortSet::all(), then: Then::Allow, why: Why::Default };
        stages.push(Stage { kind: StageKind::Default, clauses: vec![allow] });
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
            let peers = self.peers.of_clause[idx as usize];
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
        if let Some(known) = self.narrowed.get(&key) {
            return known.clone();
        }
        let resolved = self.resolve(protocol, name).clone();
        let mut out = Vec::new();
        for (ports, atoms) in resolved {
            let whole = &self.peers.sets[peers as usize];
            let set =
                PeerSet { must: whole.must.intersect(&atoms), may: whole.may.intersect(&atoms) };
            if !set.must.is_empty() || !set.may.is_empty() {
                self.peers.sets.push(set);
                out.push((ports, index(self.peers.sets.len() - 1)));
            }
        }
        self.narrowed.insert(key, out.clone());
        out
    }

    /// The ports a name means, with the atoms on which it means them.
    fn resolve(&mut self, protocol: Option<Protocol>, name: &Arc<str>) -> &Vec<(PortSet, IdSet)> {
        let (classes, atoms, dialect) = (self.classes, &self.peers.class_atoms, self.dialect);
        self.resolved.entry((protocol, name.clone())).or_insert_with(|| {
            let mut by_ports: Vec<(PortSet, IdSet)> = Vec::new();
            for (class, own) in atoms.iter().enumerate() {
                // A hostNetwork pod that is its node's address has no more port names than any address.
                if classes.keys[class].host.is_some()
                    && dialect.host_network == HostNetwork::NodeAddress
                {
                    continue;
                }
                let ports = classes.named(index(class), protocol, name);
                if ports.is_empty() {
                    continue;
                }
                let own = own.iter().flatten().copied();
                match by_ports.iter_mut().find(|(have, _)| *have == ports) {
                    Some((_, set)) => set.extend(own),
                    None => by_ports.push((ports, own.collect())),
                }
            }
            by_ports
        })
    }

    pub(crate) fn finish(self) -> (Vec<Program>, Vec<PeerSet>) {
        (self.programs, self.peers.sets)
    }
}

/// Compile-time check that sides and directions agree.
const _: () = {
    assert!(matches!(SIDES[0], Direction::Ingress));
    assert!(matches!(SIDES[1], Direction::Egress));
};
