//! Service addresses, translated in the kernel of each node as kube-proxy does it: before policies decide.

use moat_ir::{Bound, End, PodIdx, ServiceInfo, ServicePortInfo};
use moat_nft::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Name, Rule, Set, SetKey, SetShape, Statement,
    Table, Verdict,
};
use moat_sets::{Family, Protocol};
use std::net::IpAddr;

/// The table that translates.
pub const TABLE: &str = "moat_services";

/// Where packets for one port of a Service may go: an address and port of each backend.
#[must_use]
pub fn backends(
    bound: &Bound,
    port: &ServicePortInfo,
    family: Family,
    lives: impl Fn(&End) -> bool,
) -> Vec<(End, IpAddr, u16)> {
    let mut found = Vec::new();
    for (end, number) in &port.backends {
        if !lives(end) {
            continue;
        }
        let addresses = match end {
            End::Pod(idx) => bound.pod(*idx).addresses.clone(),
            End::Address(address) => vec![*address],
            End::Domain(_) => Vec::new(),
        };
        let own = addresses.into_iter().filter(|address| Family::of(*address) == family);
        found.extend(own.map(|address| (end.clone(), address, *number)));
    }
    found
}

/// The table for all Services with these pods behind them.
#[must_use]
pub fn table(bound: &Bound, services: &[ServiceInfo], pods: &[PodIdx]) -> Table {
    let lives = |end: &End| matches!(end, End::Pod(idx) if pods.binary_search(idx).is_ok());
    let mut table = Table::new(TABLE);
    hairpin(&mut table, bound, pods);
    let nat = |hook| Some(Base { kind: BaseKind::Nat, hook, priority: -100, accept: true });
    let mut dispatch = Vec::new();
    for (name, key, field) in [
        ("services4", SetKey::ServiceV4, Field::DestinationV4),
        ("services6", SetKey::ServiceV6, Field::DestinationV6),
    ] {
        table.sets.insert(
            name.into(),
            Set::new(SetShape { key, interval: false, map: true, size: None }),
        );
        let key = vec![field, Field::Protocol, Field::DestinationPort];
        dispatch.push(Rule::new(vec![Statement::Vmap { key, map: name.into() }]));
    }
    // What pods send is translated as it arrives at their node, what a node sends as it leaves.
    for (name, hook) in [("pods_to_services", Hook::Prerouting), ("node_to_services", Hook::Output)]
    {
        table.chains.insert(name.into(), Chain { base: nat(hook), rules: dispatch.clone() });
    }
    for (service_at, service) in services.iter().enumerate() {
        for (port_at, port) in service.ports.iter().enumerate() {
            for &address in &service.addresses {
                let family = Family::of(address);
                let backends = backends(bound, port, family, lives);
                if backends.is_empty() || port.protocol == Protocol::Other {
                    continue;
                }
                let number = port.protocol.number(address.is_ipv4());
                let (set, element, version) = match address {
                    IpAddr::V4(own) => ("services4", Element::ServiceV4(own, number, port.port), 4),
                    IpAddr::V6(own) => ("services6", Element::ServiceV6(own, number, port.port), 6),
                };
                let name: Name = format!("service{version}_{service_at}_{port_at}").into();
                table
                    .chains
                    .entry(name.clone())
                    .or_insert_with(|| Chain { base: None, rules: choice(&backends) });
                if let Some(set) = table.sets.get_mut(set) {
                    set.elements.entry(element).or_insert(Some(Verdict::Goto(name)));
                }
            }
        }
    }
    table
}

/// A pod that reaches itself through a Service must not see its own address as the sender's: it would drop the packet. As with
/// kube-proxy, the node's address takes its place.
fn hairpin(table: &mut Table, bound: &Bound, pods: &[PodIdx]) {
    let mut rules = Vec::new();
    let addresses = || pods.iter().flat_map(|&idx| bound.pod(idx).addresses.iter().copied());
    for (name, key, fields) in [
        ("own4", SetKey::PairV4, vec![Field::SourceV4, Field::DestinationV4]),
        ("own6", SetKey::PairV6, vec![Field::SourceV6, Field::DestinationV6]),
    ] {
        let mut set = Set::new(SetShape { key, interval: false, map: false, size: None });
        set.elements = addresses()
            .filter_map(|address| match (address, key) {
                (IpAddr::V4(own), SetKey::PairV4) => Some((Element::PairV4(own, own), None)),
                (IpAddr::V6(own), SetKey::PairV6) => Some((Element::PairV6(own, own), None)),
                _ => None,
            })
            .collect();
        table.sets.insert(name.into(), set);
        let own = Statement::Lookup { key: fields, set: name.into(), negate: false };
        rules.push(Rule::new(vec![own, Statement::Masquerade]));
    }
    let base = Base { kind: BaseKind::Nat, hook: Hook::Postrouting, priority: 100, accept: true };
    table.chains.insert("hairpin".into(), Chain { base: Some(base), rules });
}

/// One backend by chance, each as likely: the first with 1/n, the second of the rest with 1/(n-1), and so on.
fn choice(backends: &[(End, IpAddr, u16)]) -> Vec<Rule> {
    let rest = (1..=u32::try_from(backends.len()).unwrap_or(u32::MAX)).rev();
    rest.zip(backends)
        .map(|(left, (_, address, port))| {
            let chance = (left > 1).then_some(Statement::OneIn(left));
            let to = Statement::Dnat { to: *address, port: Some(*port) };
            Rule::new(chance.into_iter().chain([to]).collect())
        })
        .collect()
}
