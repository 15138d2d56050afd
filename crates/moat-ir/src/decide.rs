//! The interpreter for one flow.
//!
//! Stages in order; the first clause that contains (peer, port) decides; `Pass` and no match go on to the next stage. Where it is not
//! known whether a peer set contains the peer, both ways are followed, and the verdict is undefined only if they end differently.

use crate::bound::{Bound, Class, Clause, Management, PodIdx, Program, StageKind, Then, Why};
use crate::symbolic::{ClauseIdx, Direction, PolicyIdx};
use moat_sets::{Family, ServicePoint};
use std::net::IpAddr;
use std::sync::Arc;

/// One end of a flow.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum End {
    /// A pod, or any pod of a workload.
    Pod(PodIdx),
    /// An address that is no pod's.
    Address(IpAddr),
    /// A domain name, as a destination outside the cluster.
    Domain(Arc<str>),
}

/// A connection's first packet, after destination NAT.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    /// Who opens it.
    pub from: End,
    /// To whom.
    pub to: End,
    /// Protocol and destination port.
    pub point: ServicePoint,
    /// By which IP family.
    pub family: Family,
}

/// What becomes of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// It passes.
    Allowed,
    /// It is dropped.
    Denied,
    /// It depends on something the API leaves open or the input does not say.
    Undefined,
}

impl Verdict {
    /// `allowed`, `denied` or `undefined`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Undefined => "undefined",
        }
    }

    /// Both must allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Denied, _) | (_, Self::Denied) => Self::Denied,
            (Self::Allowed, Self::Allowed) => Self::Allowed,
            _ => Self::Undefined,
        }
    }
}

/// A flow that policies cannot stop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Exemption {
    /// A pod talking to itself.
    SamePod,
    /// A node talking to a pod on it.
    OwnNode,
}

/// How a clause contained the flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Matched {
    /// The clause.
    pub clause: ClauseIdx,
    /// Whether it is certain that the peer belongs to it.
    pub certain: bool,
}

/// Why one direction decided as it did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HalfReason {
    /// No policy can apply to this end.
    Unmanaged,
    /// Policies do not apply to this flow.
    Exempt(Exemption),
    /// These clauses contain the flow: all that allow it in the Namespace stage, otherwise the one that decides.
    Rules(Vec<Matched>),
    /// These policies isolate the pod and no rule of theirs contains the flow.
    Isolated(Arc<[PolicyIdx]>),
    /// Nothing decided, and the default is to allow.
    Default,
}

/// One direction's part of the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Half {
    /// Its verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: HalfReason,
    /// Clauses that may contain the flow and, if so, decide otherwise.
    pub doubts: Vec<ClauseIdx>,
    /// Policies of equal rank that would decide otherwise if they came first.
    pub ambiguous: Vec<PolicyIdx>,
}

impl Half {
    fn certain(verdict: Verdict, reason: HalfReason) -> Self {
        Self { verdict, reason, doubts: Vec::new(), ambiguous: Vec::new() }
    }
}

/// The whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// The source's part.
    pub egress: Half,
    /// The destination's part.
    pub ingress: Half,
    /// The flow is exempt only if the two ends share a node, which is not known.
    pub maybe_own_node: bool,
}

impl Bound {
    /// Decides a flow, with reasons.
    #[must_use]
    pub fn decide(&self, flow: &Flow) -> Answer {
        let exempt = self.exemption(flow);
        if let Some((exemption, true)) = exempt {
            let half = |end: &End| match self.managed(end) {
                Some(_) => Half::certain(Verdict::Allowed, HalfReason::Exempt(exemption)),
                None => Half::certain(Verdict::Allowed, HalfReason::Unmanaged),
            };
            return Answer {
                verdict: Verdict::Allowed,
                egress: half(&flow.from),
                ingress: half(&flow.to),
                maybe_own_node: false,
            };
        }
        let egress = self.half(Direction::Egress, &flow.from, &flow.to, flow);
        let ingress = self.half(Direction::Ingress, &flow.to, &flow.from, flow);
        let mut verdict = egress.verdict.and(ingress.verdict);
        let maybe_own_node = exempt.is_some() && verdict != Verdict::Allowed;
        if maybe_own_node {
            verdict = Verdict::Undefined;
        }
        Answer { verdict, egress, ingress, maybe_own_node }
    }

    /// Whether policies cannot stop the flow, and whether that is certain.
    fn exemption(&self, flow: &Flow) -> Option<(Exemption, bool)> {
        let End::Pod(to) = flow.to else { return None };
        if let End::Pod(from) = flow.from
            && from == to
            && self.pod(to).replicas <= 1
        {
            return Some((Exemption::SamePod, true));
        }
        if !self.own_node_exempt || self.class_of(to).management == Management::Unmanaged {
            return None;
        }
        let node = match &flow.from {
            End::Pod(from) if self.pod(*from).host_network => self.pod(*from).node.as_ref(),
            End::Address(address) => Some(self.node_by_address.get(address)?),
            _ => return None,
        };
        match (node, &self.pod(to).node) {
            (Some(from), Some(to)) => (from == to).then_some((Exemption::OwnNode, true)),
            _ => Some((Exemption::OwnNode, false)),
        }
    }

    fn managed(&self, end: &End) -> Option<&Class> {
        match end {
            End::Pod(pod) => {
                Some(self.class_of(*pod)).filter(|class| class.management != Management::Unmanaged)
            }
            _ => None,
        }
    }

    /// The atoms a peer is, for the family of the flow; `None` stands for a peer that belongs to no set but everyone.
    #[must_use]
    pub fn peer_atom(&self, peer: &End, family: Family) -> Option<u32> {
        match peer {
            End::Pod(pod) => self
                .class_of(*pod)
                .atom(family)
                .or_else(|| self.class_of(*pod).atoms.into_iter().flatten().next()),
            End::Address(address) => Some(self.atoms.of_address(*address)),
            End::Domain(_) => None,
        }
    }

    fn half(&self, direction: Direction, subject: &End, peer: &End, flow: &Flow) -> Half {
        let Some(class) = self.managed(subject) else {
            return Half::certain(Verdict::Allowed, HalfReason::Unmanaged);
        };
        let Some(id) = class.program(direction) else {
            return Half::certain(Verdict::Allowed, HalfReason::Unmanaged);
        };
        let program = self.program(id);
        let mut half = self.run(program, peer, flow);
        if class.management == Management::Undefined && half.verdict == Verdict::Denied {
            half.verdict = Verdict::Undefined;
        }
        half
    }

    /// Whether the clause contains the flow: `None` no, `Some(true)` certainly.
    #[must_use]
    pub fn contains(
        &self,
        clause: &Clause,
        peer: &End,
        family: Family,
        point: ServicePoint,
    ) -> Option<bool> {
        if !clause.ports.contains(point) {
            return None;
        }
        self.contains_peer(clause, peer, family)
    }

    /// Whether the clause's peers contain this peer: `None` no, `Some(true)` certainly.
    #[must_use]
    pub fn contains_peer(&self, clause: &Clause, peer: &End, family: Family) -> Option<bool> {
        let set = self.peers(clause.peers);
        if let End::Domain(name) = peer {
            let first = self.atoms.n_addresses();
            // A domain name is somewhere outside: it matches patterns, and clauses for everyone.
            let everyone = set.must.len() == u64::from(self.atoms.len());
            let named =
                |at: usize| self.atoms.domains.get(at).is_some_and(|pattern| pattern.matches(name));
            let within = |ids: &moat_sets::IdSet| {
                (0..self.atoms.domains.len())
                    .any(|at| named(at) && ids.contains(first + u32::try_from(at).unwrap_or(0)))
            };
            if everyone || within(&set.must) {
                return Some(true);
            }
            // Its address may lie in an address set.
            let somewhere = !set.must.is_disjoint(&moat_sets::IdSet::range(0, first));
            return (somewhere || within(&set.may)).then_some(false);
        }
        let atom = self.peer_atom(peer, family)?;
        if set.must.contains(atom) { Some(true) } else { set.may.contains(atom).then_some(false) }
    }

    /// What a program says about one peer and the port of a flow, before exemptions and management have their say.
    #[must_use]
    pub fn run(&self, program: &Program, peer: &End, flow: &Flow) -> Half {
        let (mut allow, mut deny) = (false, false);
        let mut reason = None;
        let mut doubts = Vec::new();
        let mut ambiguous = Vec::new();
        for stage in &program.stages {
            // Whether this stage may be left for the next one.
            let mut next = true;
            for (at, clause) in stage.clauses.iter().enumerate() {
                let Some(certain) = self.contains(clause, peer, flow.family, flow.point) else {
                    continue;
                };
                if certain {
                    next = clause.then == Then::Pass || (next && self.passed(&doubts, stage.kind));
                    match clause.then {
                        Then::Allow => allow = true,
                        Then::Deny => deny = true,
                        Then::Pass => {}
                    }
                    if reason.is_none() && clause.then != Then::Pass {
                        reason = Some(self.reason(
                            stage.clauses.get(at..).unwrap_or_default(),
                            stage.kind,
                            peer,
                            flow,
                        ));
                    }
                    self.rivals(
                        clause,
                        stage.clauses.get(at + 1..).unwrap_or_default(),
                        peer,
                        flow,
                        &mut ambiguous,
                    );
                    break;
                }
                match clause.then {
                    Then::Allow => allow = true,
                    Then::Deny => deny = true,
                    Then::Pass => {}
                }
                if let Why::Rule(idx) = clause.why {
                    doubts.push(idx);
                }
            }
            if !next {
                break;
            }
        }
        let verdict = match (allow, deny) {
            (true, true) => Verdict::Undefined,
            (true, false) => Verdict::Allowed,
            _ => Verdict::Denied,
        };
        if verdict != Verdict::Undefined {
            doubts.clear();
        }
        Half { verdict, reason: reason.unwrap_or(HalfReason::Default), doubts, ambiguous }
    }

    /// Whether a doubtful `Pass` of this stage may have left it already.
    fn passed(&self, doubts: &[ClauseIdx], kind: StageKind) -> bool {
        doubts.iter().any(|&idx| {
            let clause = self.symbolic.clause(idx);
            clause.then == Then::Pass
                && self.symbolic.policy(self.symbolic.rule(clause.rule).policy).stage == kind
        })
    }

    /// The reason of the first of `clauses`, which contains the flow; in the Namespace stage all rules that allow it.
    fn reason(&self, clauses: &[Clause], kind: StageKind, peer: &End, flow: &Flow) -> HalfReason {
        let Some((first, rest)) = clauses.split_first() else { return HalfReason::Default };
        match &first.why {
            Why::Isolated(policies) => HalfReason::Isolated(policies.clone()),
            Why::Default => HalfReason::Default,
            Why::Rule(idx) => {
                let mut rules = vec![Matched { clause: *idx, certain: true }];
                if kind == StageKind::Namespace {
                    for clause in rest {
                        if let (Why::Rule(idx), Some(certain)) =
                            (&clause.why, self.contains(clause, peer, flow.family, flow.point))
                        {
                            rules.push(Matched { clause: *idx, certain });
                        }
                    }
                    rules.dedup_by_key(|matched| matched.clause);
                }
                HalfReason::Rules(rules)
            }
        }
    }

    /// Policies of the deciding clause's rank that contain the flow and would decide otherwise.
    fn rivals(
        &self,
        decided: &Clause,
        rest: &[Clause],
        peer: &End,
        flow: &Flow,
        ambiguous: &mut Vec<PolicyIdx>,
    ) {
        let Why::Rule(idx) = decided.why else { return };
        let winner = self.symbolic.policy_of(idx);
        let own = self.symbolic.policy(winner);
        if own.stage == StageKind::Namespace {
            return;
        }
        let mut seen = vec![winner];
        for clause in rest {
            let Why::Rule(idx) = clause.why else { continue };
            let rival = self.symbolic.policy_of(idx);
            if self.symbolic.policy(rival).rank != own.rank {
                break;
            }
            // Only a policy's first containing clause would decide.
            if !seen.contains(&rival)
                && self.contains(clause, peer, flow.family, flow.point).is_some()
            {
                seen.push(rival);
                if clause.then != decided.then {
                    ambiguous.push(rival);
                }
            }
        }
    }
}
