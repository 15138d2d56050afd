//! Layouts to compare with: conntrack alone, and the way others do it, as far as the model can say it.

use moat_nft::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Name, Rule, Set, SetKey, SetShape, Statement,
    States, Table, Value, Verdict,
};
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const ACCEPT: Statement = Statement::Verdict(Verdict::Accept);

pub(crate) fn established() -> Statement {
    let states = States { established: true, related: true, ..States::default() };
    Statement::Match { field: Field::CtState, negate: false, value: Value::States(states) }
}

fn is(field: Field, address: IpAddr) -> Statement {
    let value = match address {
        IpAddr::V4(address) => Value::V4(address),
        IpAddr::V6(address) => Value::V6(address),
    };
    Statement::Match { field, negate: false, value }
}

fn table(chains: impl IntoIterator<Item = (Name, Vec<Rule>)>) -> Table {
    let mut table = Table::new("moat");
    for (name, rules) in chains {
        let base = Base { kind: BaseKind::Filter, hook: Hook::Forward, priority: -5, accept: true };
        let base = (name.as_ref() == "base").then_some(base);
        table.chains.insert(name, Chain { base, rules });
    }
    table
}

fn end(verdict: Verdict) -> Rule {
    Rule::new(vec![Statement::Verdict(verdict)])
}

/// The baseline: conntrack with nothing decided.
pub(crate) fn conntrack() -> Table {
    table([("base".into(), vec![Rule::new(vec![established(), ACCEPT]), end(Verdict::Accept)])])
}

/// A linear list of jumps, one for each pod and direction, as kube-router has it; conntrack is asked in the chain of a pod.
pub(crate) fn jump_list(pods: &[IpAddr]) -> Table {
    let mut base = Vec::new();
    let mut chains = Vec::new();
    for (at, &pod) in pods.iter().enumerate() {
        let chain: Name = format!("pod_{at}").into();
        for field in [Field::DestinationV4, Field::SourceV4] {
            base.push(Rule::new(vec![
                is(field, pod),
                Statement::Verdict(Verdict::Jump(chain.clone())),
            ]));
        }
        chains.push((chain, vec![Rule::new(vec![established(), ACCEPT])]));
    }
    chains.push(("base".into(), base));
    table(chains)
}

/// A map from pods to their chains, in which conntrack is asked: Calico's shape, by address instead of interface and without its packet
/// marks, which the model does not have.
pub(crate) fn pod_chains(pods: &[IpAddr]) -> Table {
    let mut set = Set::new(SetShape { key: SetKey::V4, interval: false, map: true, size: None });
    let mut chains = Vec::new();
    for (at, &pod) in pods.iter().enumerate() {
        let chain: Name = format!("pod_{at}").into();
        if let IpAddr::V4(pod) = pod {
            set.elements.insert(Element::V4(pod), Some(Verdict::Goto(chain.clone())));
        }
        let invalid = States { invalid: true, ..States::default() };
        let invalid = Statement::Match {
            field: Field::CtState,
            negate: false,
            value: Value::States(invalid),
        };
        chains.push((
            chain,
            vec![
                Rule::new(vec![established(), ACCEPT]),
                Rule::new(vec![invalid, Statement::Verdict(Verdict::Drop)]),
            ],
        ));
    }
    let vmap = Statement::Vmap { key: vec![Field::SourceV4], map: "pods".into() };
    chains.push(("from".into(), vec![Rule::new(vec![vmap])]));
    chains.push(("base".into(), vec![end(Verdict::Jump("from".into()))]));
    let mut table = table(chains);
    table.sets.insert("pods".into(), set);
    table
}

/// One rule for each peer; the one of `from` is in the middle.
pub(crate) fn peer_rules(from: IpAddr, to: IpAddr, n_peers: u32) -> Table {
    let mut rules = vec![Rule::new(vec![established(), ACCEPT])];
    for at in 0..n_peers {
        let peer = if at == n_peers / 2 { from } else { other(at) };
        rules.push(Rule::new(vec![
            is(Field::SourceV4, peer),
            is(Field::DestinationV4, to),
            ACCEPT,
        ]));
    }
    rules.push(end(Verdict::Drop));
    table([("base".into(), rules)])
}

/// A set of subjects and one of peers for each policy, asked one policy after the other; the one that allows is in the middle.
pub(crate) fn policy_sets(from: IpAddr, to: IpAddr, n_policies: u32) -> Table {
    const N_SUBJECTS: u32 = 20;
    const N_PEERS: u32 = 100;
    let shape = SetShape { key: SetKey::V4, interval: false, map: false, size: None };
    let set = |own: Option<IpAddr>, first: u32, n: u32| {
        let mut set = Set::new(shape);
        for address in (first..first + n).map(other).chain(own) {
            if let IpAddr::V4(address) = address {
                set.elements.insert(Element::V4(address), None);
            }
        }
        set
    };
    let mut rules = vec![Rule::new(vec![established(), ACCEPT])];
    let mut sets = Vec::new();
    for at in 0..n_policies {
        let decides = at == n_policies / 2;
        let names: [Name; 2] = [format!("to_{at}").into(), format!("from_{at}").into()];
        let lookup = |field, set: &Name| Statement::Lookup {
            key: vec![field],
            set: set.clone(),
            negate: false,
        };
        rules.push(Rule::new(vec![
            lookup(Field::DestinationV4, &names[0]),
            lookup(Field::SourceV4, &names[1]),
            ACCEPT,
        ]));
        let [to_name, from_name] = names;
        sets.push((to_name, set(decides.then_some(to), at * N_SUBJECTS, N_SUBJECTS)));
        sets.push((from_name, set(decides.then_some(from), at * 7, N_PEERS)));
    }
    rules.push(end(Verdict::Drop));
    let mut table = table([("base".into(), rules)]);
    table.sets.extend(sets);
    table
}

/// Pods of which one is closed, led to its rules by a map, behind rules for others: what is loaded anew as a whole on every change.
pub(crate) fn reloaded(closed: IpAddr, n_others: u32) -> Table {
    let mut rules = vec![Rule::new(vec![established(), ACCEPT])];
    for at in 0..n_others {
        rules.push(Rule::new(vec![is(Field::DestinationV4, other(at)), ACCEPT]));
    }
    let mut pods = Set::new(SetShape { key: SetKey::V4, interval: false, map: true, size: None });
    if let IpAddr::V4(closed) = closed {
        pods.elements.insert(Element::V4(closed), Some(Verdict::Goto("closed".into())));
    }
    rules.push(Rule::new(vec![Statement::Vmap {
        key: vec![Field::DestinationV4],
        map: "pods".into(),
    }]));
    let mut table = table([("base".into(), rules), ("closed".into(), vec![end(Verdict::Drop)])]);
    table.sets.insert("pods".into(), pods);
    table
}

/// An address that no pod has.
fn other(at: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0bf4_0000 + at).into()
}
