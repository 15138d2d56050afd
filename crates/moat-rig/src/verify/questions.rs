//! What to ask a network: which ends, on which ports, and what the engine expects of each.

use crate::place::usable;
use crate::services::backends;
use moat_ir::{AtomKind, Bound, Direction, End, Flow, Management, PodIdx, ServiceInfo};
use moat_sets::{Family, Protocol, ServicePoint};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// How much is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The most pods of one class that take part; pods of a class are alike to every policy.
    pub pods_per_class: usize,
    /// The most probes; a fair choice of that many, the same every time.
    pub sample: Option<usize>,
    /// Protocols that are asked.
    pub protocols: Vec<Protocol>,
    /// The most outside addresses that are served.
    pub outside: usize,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            pods_per_class: 1,
            sample: None,
            protocols: vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Other],
            outside: 32,
        }
    }
}

/// Where a question comes from or goes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HostId {
    /// A pod.
    Pod(PodIdx),
    /// A node, by its place in the inventory.
    Node(usize),
    /// The world outside.
    Outside,
}

/// One question: may this end reach that address and port?
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    /// Who sends.
    pub host: HostId,
    /// Its address.
    pub source: IpAddr,
    /// The same as the engine knows it.
    pub from: End,
    /// The address that is asked for.
    pub to: IpAddr,
    /// The port that is asked for.
    pub point: ServicePoint,
    /// Where a packet may end up: one for an address, each backend for a Service.
    pub targets: Vec<Target>,
    /// The Service that is asked for.
    pub service: Option<Arc<str>>,
}

/// Where a packet may end up, after translation.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// The address.
    pub address: IpAddr,
    /// The flow as the engine knows it.
    pub flow: Flow,
}

/// The pods that take part: so many of each class, the first ones.
#[must_use]
pub fn chosen(bound: &Bound, scope: &Scope) -> Vec<PodIdx> {
    let mut chosen: Vec<PodIdx> = bound
        .classes
        .iter()
        .flat_map(|class| {
            let alive = class.pods.iter().copied().filter(|&idx| {
                let pod = bound.pod(idx);
                !pod.finished && !pod.addresses.is_empty()
            });
            alive.take(scope.pods_per_class)
        })
        .collect();
    chosen.sort_unstable();
    chosen
}

/// Addresses outside that policies tell apart: the edges of every range, as far as a host can have them.
#[must_use]
pub fn outside(bound: &Bound, scope: &Scope) -> Vec<IpAddr> {
    // Two that no policy is likely to name (RFC 5737, RFC 3849), then both edges of every range.
    let mut found: BTreeSet<IpAddr> = BTreeSet::new();
    let fixed = ["203.0.113.7", "2001:db8::7"].into_iter().filter_map(|text| text.parse().ok());
    let mut edges: Vec<IpAddr> = Vec::new();
    for atom in 0..bound.atoms.n_addresses() {
        if let Some(AtomKind::Addresses { low, high }) = bound.atoms.get(atom) {
            edges.extend([low, high]);
        }
    }
    let free = |address: &IpAddr| {
        usable(*address)
            && !bound.pod_by_address.contains_key(address)
            && !bound.node_by_address.contains_key(address)
    };
    for address in fixed.chain(edges).filter(free) {
        if found.len() < scope.outside {
            found.insert(address);
        }
    }
    found.into_iter().collect()
}

/// Everything that can be asked within a scope.
#[must_use]
pub fn questions(
    bound: &Bound,
    services: &[ServiceInfo],
    nodes: &[Vec<IpAddr>],
    pods: &[PodIdx],
    outside: &[IpAddr],
    scope: &Scope,
) -> Vec<Question> {
    let mut ends: Vec<(HostId, End, IpAddr)> = Vec::new();
    for &idx in pods {
        let addresses = &bound.pod(idx).addresses;
        ends.extend(addresses.iter().map(|&address| (HostId::Pod(idx), End::Pod(idx), address)));
    }
    for (at, addresses) in nodes.iter().enumerate() {
        ends.extend(
            addresses.iter().map(|&address| (HostId::Node(at), End::Address(address), address)),
        );
    }
    ends.extend(outside.iter().map(|&at| (HostId::Outside, End::Address(at), at)));
    let edges: BTreeMap<u32, BTreeSet<ServicePoint>> =
        (0..).zip(&bound.programs).map(|(id, program)| (id, program_points(program))).collect();
    let mut found = Vec::new();
    for (host, from, source) in &ends {
        for (_, to, address) in &ends {
            let managed = [from, to].iter().any(|end| is_managed(bound, end));
            if !managed || source == address || Family::of(*source) != Family::of(*address) {
                continue;
            }
            for point in points(bound, &edges, from, to, scope) {
                let flow =
                    Flow { from: from.clone(), to: to.clone(), point, family: Family::of(*source) };
                found.push(Question {
                    host: *host,
                    source: *source,
                    from: from.clone(),
                    to: *address,
                    point,
                    targets: vec![Target { address: *address, flow }],
                    service: None,
                });
            }
        }
        if let End::Pod(_) = from {
            through_services(bound, services, pods, (*host, from, *source), scope, &mut found);
        }
    }
    if let Some(most) = scope.sample {
        sample(&mut found, most);
    }
    found
}

/// Questions from one end to every Service address of its family.
fn through_services(
    bound: &Bound,
    services: &[ServiceInfo],
    pods: &[PodIdx],
    (host, from, source): (HostId, &End, IpAddr),
    scope: &Scope,
    found: &mut Vec<Question>,
) {
    let lives = |end: &End| matches!(end, End::Pod(idx) if pods.binary_search(idx).is_ok());
    let family = Family::of(source);
    for service in services {
        for port in &service.ports {
            if !scope.protocols.contains(&port.protocol) {
                continue;
            }
            for &address in service.addresses.iter().filter(|at| Family::of(**at) == family) {
                let targets: Vec<Target> = backends(bound, port, family, lives)
                    .into_iter()
                    .map(|(to, address, number)| {
                        let point = ServicePoint::new(port.protocol, number);
                        Target { address, flow: Flow { from: from.clone(), to, point, family } }
                    })
                    .collect();
                if targets.is_empty() {
                    continue;
                }
                found.push(Question {
                    host,
                    source,
                    from: from.clone(),
                    to: address,
                    point: ServicePoint::new(port.protocol, port.port),
                    targets,
                    service: Some(service.display().into()),
                });
            }
        }
    }
}

fn is_managed(bound: &Bound, end: &End) -> bool {
    matches!(end, End::Pod(idx) if bound.class_of(*idx).management == Management::Managed)
}

/// The first and last port of every run that a program tells apart.
fn program_points(program: &moat_ir::Program) -> BTreeSet<ServicePoint> {
    program
        .stages
        .iter()
        .flat_map(|stage| &stage.clauses)
        .flat_map(|clause| clause.ports.edges())
        .collect()
}

/// A port that is asked everywhere: hardly anyone declares it, so it tells allowed ports from all ports.
const UNDECLARED: u16 = 4;
/// The most ports between two ends that come from rules rather than from declarations.
const EDGES_MAX: usize = 8;

/// The ports worth asking between two ends: declared ones, those at which a rule of either begins or ends, and one that nobody has.
fn points(
    bound: &Bound,
    edges: &BTreeMap<u32, BTreeSet<ServicePoint>>,
    from: &End,
    to: &End,
    scope: &Scope,
) -> BTreeSet<ServicePoint> {
    let mut points = BTreeSet::new();
    let program = |end: &End, direction| match end {
        End::Pod(idx) => bound.class_of(*idx).program(direction),
        _ => None,
    };
    for id in
        [program(to, Direction::Ingress), program(from, Direction::Egress)].into_iter().flatten()
    {
        let own = edges.get(&id).into_iter().flatten().copied();
        points.extend(own.filter(|point| point.port > 0 && point.port < u16::MAX).take(EDGES_MAX));
    }
    if let End::Pod(idx) = to {
        let declared = bound.pod(*idx).ports.iter();
        points.extend(declared.map(|(_, protocol, number)| ServicePoint::new(*protocol, *number)));
    }
    points.insert(ServicePoint::new(Protocol::Tcp, UNDECLARED));
    points.insert(ServicePoint::new(Protocol::Udp, UNDECLARED));
    points.insert(ServicePoint::new(Protocol::Other, 0));
    points.retain(|point| scope.protocols.contains(&point.protocol));
    points
}

/// Keeps so many, chosen fairly and the same every time.
fn sample(questions: &mut Vec<Question>, most: usize) {
    let mut state: u64 = 0x6d6f_6174;
    for at in 0..most.min(questions.len()) {
        // SplitMix64 (Steele, Lea, Flood 2014): chosen questions must not depend on a library's version.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let left = questions.len() - at;
        let pick = usize::try_from(mixed % u64::try_from(left).unwrap_or(1)).unwrap_or(0);
        questions.swap(at, at + pick);
    }
    questions.truncate(most);
}

/// A flow of the engine as a question to the network, or why it cannot be one.
///
/// An address that no host can have, or a port that no socket can use, stands for many that are treated alike; another of them takes
/// its place.
pub fn of_flow(bound: &Bound, flow: &Flow) -> Result<Question, &'static str> {
    let address = |end: &End| match end {
        End::Pod(idx) => {
            let mut own = bound.pod(*idx).addresses.iter().copied();
            own.find(|address| Family::of(*address) == flow.family)
        }
        End::Address(address) => stand_in(bound, *address),
        End::Domain(_) => None,
    };
    let (Some(source), Some(to)) = (address(&flow.from), address(&flow.to)) else {
        return Err("a domain name, or addresses that no host can have");
    };
    let end = |end: &End, address| match end {
        End::Pod(idx) => End::Pod(*idx),
        _ => End::Address(address),
    };
    let mut asked = flow.clone();
    (asked.from, asked.to) = (end(&flow.from, source), end(&flow.to, to));
    if flow.point.protocol != Protocol::Other && flow.point.port == 0 {
        asked.point.port = 1;
    }
    if bound.decide(&asked) != bound.decide(flow) {
        return Err("only port 0, which no socket can use");
    }
    let host = match asked.from {
        End::Pod(idx) => HostId::Pod(idx),
        _ => HostId::Outside,
    };
    Ok(Question {
        host,
        source,
        from: asked.from.clone(),
        to,
        point: asked.point,
        targets: vec![Target { address: to, flow: asked }],
        service: None,
    })
}

/// An address that a host can have and that every policy treats as this one.
fn stand_in(bound: &Bound, address: IpAddr) -> Option<IpAddr> {
    let free = |address: &IpAddr| {
        usable(*address)
            && !bound.pod_by_address.contains_key(address)
            && !bound.node_by_address.contains_key(address)
    };
    if usable(address) {
        return Some(address);
    }
    let Some(AtomKind::Addresses { low, high }) = bound.atoms.get(bound.atoms.of_address(address))
    else {
        return None;
    };
    match (low, high) {
        (IpAddr::V4(low), IpAddr::V4(high)) => (1..=255u32)
            .map(|first| Ipv4Addr::from_bits((first << 24) + 1))
            .chain([low, high])
            .filter(|own| (low..=high).contains(own))
            .map(IpAddr::V4)
            .find(free),
        (IpAddr::V6(low), IpAddr::V6(high)) => (0x2001..=0x20ff_u16)
            .map(|first| Ipv6Addr::new(first, 0x0db8, 0, 0, 0, 0, 0, 7))
            .chain([low, high])
            .filter(|own| (low..=high).contains(own))
            .map(IpAddr::V6)
            .find(free),
        _ => None,
    }
}
