//! The compiled form as it would be after one change of the input.

use crate::{Dialect, bind, compile};
use moat_ir::{
    Bound, Change, Direction as IrDirection, LabelChanges, NewPeer, PolicyInfo, RuleIdx, SymbolicIr,
};
use moat_model::Span;
use moat_model::inventory::{Inventory, PodKind};
use moat_model::policy::{
    Action, Direction, Peer, PeerKind, Peers, Policy, PortMatch, Ports, Rule,
};
use moat_sets::{
    AddrSet, Labels, NamespaceTerm, Operator, PodTerm, PortSet, Protocol, Requirement, Selector,
    ServicePoint,
};
use std::sync::Arc;

/// What `policies` and `inventory`, which `bound` was made of, would be after a change.
#[must_use]
pub fn changed(
    bound: &Bound,
    policies: &[Policy],
    inventory: &Inventory,
    dialect: Dialect,
    change: &Change,
) -> Bound {
    let symbolic = &bound.symbolic;
    match change {
        Change::LabelPod { pod, labels } => {
            let mut inventory = inventory.clone();
            let info = bound.pod(*pod);
            let own = inventory.pods.iter_mut().filter(|own| {
                own.namespace == info.namespace
                    && own.name == info.name
                    && match &own.kind {
                        PodKind::Pod => info.kind.as_ref() == "pod",
                        PodKind::Workload(kind) => *kind == info.kind,
                    }
            });
            own.for_each(|own| relabel(&mut own.labels, labels));
            bind(symbolic.clone(), &inventory, dialect)
        }
        Change::LabelNamespace { namespace, labels } => {
            let mut inventory = inventory.clone();
            let own = inventory.namespaces.iter_mut().filter(|own| own.name == *namespace);
            own.for_each(|own| relabel(&mut own.labels, labels));
            bind(symbolic.clone(), &inventory, dialect)
        }
        Change::AddRule { policy, direction, peer, point } => {
            let rule = new_rule(*direction, peer, *point);
            let policies = edited(symbolic, policies, *policy, |own| {
                let n_rules = own.rules(rule.direction).count();
                own.rules.push(Rule {
                    index: u32::try_from(n_rules).unwrap_or(u32::MAX),
                    ..rule.clone()
                });
            });
            bind(Arc::new(compile(&policies, &symbolic.sources)), inventory, dialect)
        }
        Change::AddPort { rule, point } => {
            let policies = with_rule(symbolic, policies, *rule, |own| {
                if let Ports::List(ports) = &mut own.ports {
                    ports.push(PortMatch::Numbers(PortSet::point(*point)));
                }
                true
            });
            bind(Arc::new(compile(&policies, &symbolic.sources)), inventory, dialect)
        }
        Change::RemovePolicy { policy } => {
            let info = symbolic.policy(*policy);
            let mut policies = policies.to_vec();
            policies.retain(|own| !is(own, info));
            bind(Arc::new(compile(&policies, &symbolic.sources)), inventory, dialect)
        }
        Change::RemoveRule { rule } => {
            let policies = with_rule(symbolic, policies, *rule, |_| false);
            bind(Arc::new(compile(&policies, &symbolic.sources)), inventory, dialect)
        }
    }
}

fn relabel(labels: &mut Labels, changes: &LabelChanges) {
    for (key, value) in changes {
        match value {
            Some(value) => labels.set(key, value),
            None => labels.unset(key),
        }
    }
}

/// The policies with one of them edited.
fn edited(
    symbolic: &SymbolicIr,
    policies: &[Policy],
    idx: u32,
    edit: impl Fn(&mut Policy),
) -> Vec<Policy> {
    let info = symbolic.policy(idx);
    let mut policies = policies.to_vec();
    policies.iter_mut().filter(|own| is(own, info)).for_each(edit);
    policies
}

/// Whether a policy is the one that was compiled to this.
fn is(policy: &Policy, info: &PolicyInfo) -> bool {
    policy.id.kind.short() == info.short
        && policy.id.namespace == info.namespace
        && policy.id.name == info.name
}

/// The policies with one rule edited, and taken out if `edit` says false.
fn with_rule(
    symbolic: &SymbolicIr,
    policies: &[Policy],
    idx: RuleIdx,
    edit: impl Fn(&mut Rule) -> bool,
) -> Vec<Policy> {
    let info = symbolic.rule(idx);
    edited(symbolic, policies, info.policy, |policy| {
        policy.rules.retain_mut(|rule| {
            let is_it = rule.index == info.index && rule.direction == direction(info.direction);
            !is_it || edit(rule)
        });
    })
}

fn direction(direction: IrDirection) -> Direction {
    match direction {
        IrDirection::Ingress => Direction::Ingress,
        IrDirection::Egress => Direction::Egress,
    }
}

fn new_rule(of: IrDirection, peer: &NewPeer, point: ServicePoint) -> Rule {
    let kind = match peer {
        NewPeer::Pods { namespace, labels } => {
            let requirement =
                |(key, value): &(String, String)| Requirement::new(key, Operator::In, [value]);
            PeerKind::Pods(PodTerm {
                namespaces: NamespaceTerm::Named(namespace.clone()),
                pods: Selector::new(labels.iter().map(requirement).collect()),
            })
        }
        NewPeer::Address(address) => PeerKind::Addresses(AddrSet::host(*address)),
    };
    let ports = match point.protocol {
        Protocol::Other => Ports::Any,
        _ => Ports::List(vec![PortMatch::Numbers(PortSet::point(point))]),
    };
    Rule {
        direction: direction(of),
        index: 0,
        name: None,
        span: Span::default(),
        action: Action::Accept,
        peers: Peers::List(vec![Peer { index: 0, span: Span::default(), kind }]),
        ports,
    }
}
