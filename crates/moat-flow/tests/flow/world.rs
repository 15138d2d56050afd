//! A small world, and records of it.

use moat_compile::{Dialect, bind, compile};
use moat_flow::{Epochs, Packet, Record, Ruleset, TcpFlags, attribute};
use moat_ir::{Bound, Direction, End, Flow, Program};
use moat_load::{Input, load};
use moat_model::{Options, lower};
use moat_nft::reason::{Mark, Reason, Reasons};
use moat_sets::{Family, Protocol, ServicePoint};
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) const PODS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: mon}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::2'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: probe, namespace: mon, labels: {app: probe}}
spec: {nodeName: n2, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.1.3}
";

/// The database lets the web server in on its port, from two lists.
pub(crate) const DB: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: nobody}}
    - podSelector: {matchLabels: {app: web}}
    ports: [{port: 5432}]
";

pub(crate) const DENY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress]
";

pub(crate) fn bound(files: &[(&str, &str)]) -> Arc<Bound> {
    let inputs: Vec<Input> = files
        .iter()
        .map(|(name, text)| Input::Text { name: (*name).to_owned(), text: (*text).to_owned() })
        .collect();
    let loaded = load(&inputs);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let documents = loaded.documents.iter().map(|document| (document.source, &document.value));
    let lowered = lower(documents, &loaded.diagnostics, &Options::default());
    let sources: Vec<Arc<str>> =
        loaded.sources.iter().map(|source| source.name.as_str().into()).collect();
    let symbolic = Arc::new(compile(&lowered.policies, &sources));
    Arc::new(bind(symbolic, &lowered.inventory, Dialect::MOAT))
}

/// The world with some policies.
pub(crate) fn world(policies: &[(&str, &str)]) -> Arc<Bound> {
    let mut files = vec![("pods.yaml", PODS)];
    files.extend(policies);
    bound(&files)
}

/// Every reason that a ruleset of these policies can give.
pub(crate) fn reasons(bound: &Bound) -> Reasons {
    let of = |program: &Program| {
        let direction = program.direction;
        let cells = bound.outcomes(program).unwrap().into_iter().flat_map(|cell| cell.ports);
        cells.map(move |(_, decision)| Reason { direction, decision }).collect::<Vec<_>>()
    };
    bound.programs.iter().flat_map(of).map(|reason| (reason.id(bound), reason)).collect()
}

pub(crate) fn ruleset(bound: &Arc<Bound>) -> Ruleset {
    Ruleset::new(bound.clone(), &reasons(bound))
}

/// One state in force.
pub(crate) fn epochs(bound: &Arc<Bound>) -> Epochs {
    let mut epochs = Epochs::new(4);
    epochs.push(ruleset(bound), None);
    epochs
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// 2026-01-31T12:00:00Z.
pub(crate) const NOON: u64 = 1_769_860_800;

/// A first packet of TCP.
pub(crate) fn packet(prefix: &str, source: &str, destination: &str, port: u16) -> Packet {
    Packet {
        time: NOON * 1_000_000_000 + 123_456_789,
        node: "n1".into(),
        prefix: prefix.into(),
        source: ip(source),
        destination: ip(destination),
        protocol: 6,
        source_port: Some(43_210),
        destination_port: Some(port),
        icmp: None,
        length: 60,
        tcp_flags: Some(TcpFlags(2)),
    }
}

/// The log prefix of what these policies do with a TCP flow in one direction.
pub(crate) fn prefix(
    bound: &Bound,
    direction: Direction,
    source: &str,
    destination: &str,
    port: u16,
) -> String {
    let end = |address: &str| {
        let address = ip(address);
        bound.pod_by_address.get(&address).map_or(End::Address(address), |&pod| End::Pod(pod))
    };
    let (from, to) = (end(source), end(destination));
    let family = Family::of(ip(source));
    let flow = Flow { from, to, point: ServicePoint::new(Protocol::Tcp, port), family };
    let (subject, peer) = match direction {
        Direction::Ingress => (&flow.to, &flow.from),
        Direction::Egress => (&flow.from, &flow.to),
    };
    let End::Pod(pod) = subject else { panic!("only pods have policies") };
    let program = bound.program(bound.class_of(*pod).program(direction).unwrap());
    let atom = bound.peer_atom(peer, family).unwrap();
    let cell = bound
        .outcomes(program)
        .unwrap()
        .into_iter()
        .find(|cell| cell.peers.contains(atom))
        .unwrap();
    let (_, decision) =
        cell.ports.into_iter().find(|(ports, _)| ports.contains(flow.point)).unwrap();
    let allow = decision.allow;
    let reason = Reason { direction, decision }.id(bound);
    Mark::Decided { direction, allow, reason }.to_string()
}

/// The record of what these policies do with a TCP flow in one direction.
pub(crate) fn record(
    bound: &Arc<Bound>,
    direction: Direction,
    source: &str,
    destination: &str,
    port: u16,
) -> Record {
    let prefix = prefix(bound, direction, source, destination, port);
    attribute(&epochs(bound), &packet(&prefix, source, destination, port))
}
