//! Policies become clauses. No pod is seen here.

use moat_ir::{
    ClauseIdx, Origin, PolicyIdx, PolicyInfo, RuleInfo, StageKind, SymClause, SymPeer, SymPorts,
    SymbolicIr, Then,
};
use moat_model::policy::{
    Action, PeerKind, Peers, Policy, PolicyKind, PortMatch, Ports, Rule, Tier,
};
use moat_model::{Direction, Span};
use moat_sets::PortSet;
use std::sync::Arc;

/// Compiles policies. `sources` are the names that spans point into.
#[must_use]
pub fn compile(policies: &[Policy], sources: &[Arc<str>]) -> SymbolicIr {
    let mut order: Vec<&Policy> = policies.iter().collect();
    // Lower priority first; of equal priorities the first by name, which `decide` reports as ambiguous.
    order.sort_by(|a, b| {
        (a.tier, &a.id.namespace, &a.id.name, a.id.kind).cmp(&(
            b.tier,
            &b.id.namespace,
            &b.id.name,
            b.id.kind,
        ))
    });
    let mut ir = SymbolicIr { sources: sources.to_vec(), ..SymbolicIr::default() };
    for policy in order {
        let idx = index(ir.policies.len());
        let (stage, rank) = match policy.tier {
            Tier::Admin { priority } => (StageKind::Admin, priority),
            Tier::Namespace => (StageKind::Namespace, 0),
            Tier::Baseline { priority } => (StageKind::Baseline, priority),
        };
        ir.policies.push(PolicyInfo {
            kind: policy.id.kind.name(),
            short: policy.id.kind.short(),
            namespace: policy.id.namespace.clone(),
            name: policy.id.name.clone(),
            origin: origin(policy.span),
            stage,
            rank,
            subject: policy.subject.clone(),
            isolates: [policy.isolates_ingress, policy.isolates_egress],
        });
        let ingress = rules(&mut ir, idx, policy, Direction::Ingress);
        let egress = rules(&mut ir, idx, policy, Direction::Egress);
        ir.spans.push([ingress, egress]);
    }
    ir
}

/// Where a policy stands in a form, or would: the number of the first that does not come before it.
pub(crate) fn position(ir: &SymbolicIr, info: &PolicyInfo) -> PolicyIdx {
    index(ir.policies.partition_point(|other| order(other) < order(info)))
}

/// What policies are ordered by; as [`compile`] orders them.
fn order(info: &PolicyInfo) -> (StageKind, i32, &str, &str, Option<usize>) {
    let kinds = [
        PolicyKind::NetworkPolicy,
        PolicyKind::ClusterNetworkPolicy,
        PolicyKind::AdminNetworkPolicy,
        PolicyKind::BaselineAdminNetworkPolicy,
    ];
    let kind = kinds.iter().position(|kind| kind.short() == info.short);
    (info.stage, info.rank, &info.namespace, &info.name, kind)
}

fn rules(
    ir: &mut SymbolicIr,
    policy_idx: PolicyIdx,
    policy: &Policy,
    direction: Direction,
) -> (ClauseIdx, ClauseIdx) {
    let start = index(ir.clauses.len());
    for rule in policy.rules(direction) {
        let rule_idx = index(ir.rules.len());
        ir.rules.push(RuleInfo {
            policy: policy_idx,
            direction: match direction {
                Direction::Ingress => moat_ir::Direction::Ingress,
                Direction::Egress => moat_ir::Direction::Egress,
            },
            index: rule.index,
            name: rule.name.clone(),
            origin: origin(rule.span),
        });
        clauses(ir, rule_idx, policy, rule);
    }
    (start, index(ir.clauses.len()))
}

fn clauses(ir: &mut SymbolicIr, rule_idx: u32, policy: &Policy, rule: &Rule) {
    let then = match rule.action {
        Action::Accept => Then::Allow,
        Action::Deny => Then::Deny,
        Action::Pass => Then::Pass,
    };
    let ports = ports(&rule.ports);
    let mut push = |peer_index, span, peer, then| {
        ir.clauses.push(SymClause {
            rule: rule_idx,
            peer_index,
            origin: origin(span),
            peer,
            ports: ports.clone(),
            then,
        });
    };
    match &rule.peers {
        Peers::Any => push(None, rule.span, SymPeer::Everyone, then),
        Peers::List(peers) => {
            for peer in peers {
                let namespaced = policy.tier == Tier::Namespace;
                let (symbolic, then) = match &peer.kind {
                    PeerKind::Pods(term) => (SymPeer::Pods(term.clone()), then),
                    PeerKind::Addresses(set) if namespaced => (SymPeer::Block(set.clone()), then),
                    PeerKind::Addresses(set) => (SymPeer::Networks(set.clone()), then),
                    PeerKind::Nodes(selector) => (SymPeer::Nodes(selector.clone()), then),
                    PeerKind::Domain(domain) => (SymPeer::Domain(domain.clone()), then),
                    PeerKind::Nobody => (SymPeer::Nobody, then),
                    // A Deny or Pass rule that cannot be interpreted denies everything: fail closed.
                    PeerKind::Everyone => (SymPeer::Everyone, Then::Deny),
                };
                push(Some(peer.index), peer.span, symbolic, then);
            }
        }
    }
}

fn ports(ports: &Ports) -> SymPorts {
    match ports {
        Ports::Any => SymPorts { numbers: PortSet::all(), names: Vec::new() },
        Ports::List(list) => {
            let mut out = SymPorts { numbers: PortSet::empty(), names: Vec::new() };
            for port in list {
                match port {
                    PortMatch::Numbers(set) => out.numbers = out.numbers.union(set),
                    PortMatch::Named { protocol, name } => {
                        out.names.push((*protocol, name.clone()));
                    }
                }
            }
            out
        }
    }
}

pub(crate) fn origin(span: Span) -> Origin {
    Origin { source: span.source.0, line: span.pos.line, column: span.pos.column }
}

pub(crate) fn index(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
