//! A question's names become the flows they stand for.

use super::{Explanation, FlowExplanation, Question, ServiceStep};
use crate::query::{Names, Port, QueryError, Target, named_port, only_pods_name_ports};
use moat_ir::{AtomKind, Bound, Direction, End, PodIdx, ServiceInfo, ServicePortInfo, Verdict};
use moat_sets::{AddrSet, Cidr, Family, PortSet, Protocol, ServicePoint};

/// A name for people.
pub(super) fn display(names: &Names<'_>, target: &Target) -> String {
    let bound = names.bound();
    match target {
        Target::Pods(pods) => match pods.as_slice() {
            [pod] => bound.pod(*pod).display.to_string(),
            [first, ..] => {
                let pod = bound.pod(*first);
                match &pod.owner {
                    Some((kind, name)) => format!("{}/{kind}/{name}", pod.namespace),
                    None => pod.display.to_string(),
                }
            }
            [] => String::new(),
        },
        Target::Service(idx) => {
            names.services().get(*idx).map(ServiceInfo::display).unwrap_or_default()
        }
        Target::Addresses(cidr) if cidr.is_host() => cidr.network().to_string(),
        Target::Addresses(cidr) => cidr.to_string(),
        Target::Domain(name) => name.to_string(),
    }
}

/// A flow's end for people: a part of the prefix asked about, where it is one.
pub(super) fn end(names: &Names<'_>, end: &End, target: &Target) -> String {
    let bound = names.bound();
    match end {
        End::Pod(pod) => bound.pod(*pod).display.to_string(),
        End::Domain(name) => name.to_string(),
        End::Address(address) => {
            if let Target::Addresses(cidr) = target
                && !cidr.is_host()
                && let Some(AtomKind::Addresses { low, high }) =
                    bound.atoms.get(bound.atoms.of_address(*address))
            {
                return AddrSet::range(low, high).intersect(&AddrSet::cidr(*cidr)).to_string();
            }
            address.to_string()
        }
    }
}

pub(super) fn sources(names: &Names<'_>, target: &Target) -> Vec<End> {
    match target {
        Target::Pods(pods) => pods.iter().map(|&pod| End::Pod(pod)).collect(),
        Target::Addresses(cidr) => addresses(names.bound(), *cidr),
        Target::Domain(name) => vec![End::Domain(name.clone())],
        Target::Service(_) => Vec::new(),
    }
}

/// One address of each atom that a prefix touches.
fn addresses(bound: &Bound, cidr: Cidr) -> Vec<End> {
    if cidr.is_host() {
        return vec![End::Address(cidr.network())];
    }
    let own = AddrSet::cidr(cidr);
    let mut found = Vec::new();
    for atom in bound.atoms.of_address(cidr.network())..bound.atoms.n_addresses() {
        let Some(AtomKind::Addresses { low, high }) = bound.atoms.get(atom) else { break };
        let shared = AddrSet::range(low, high).intersect(&own);
        match shared.cidrs().first() {
            Some(first) => found.push(End::Address(first.network())),
            None => break,
        }
    }
    found
}

/// The ends and ports that the destination stands for.
pub(super) fn destinations(
    names: &Names<'_>,
    target: &Target,
    question: &Question,
    explanation: &mut Explanation,
) -> Result<Vec<(End, ServicePoint)>, QueryError> {
    let Target::Service(idx) = target else {
        let ends = sources(names, target);
        let mut out = Vec::new();
        for end in ends {
            for point in points(names, &end, question)? {
                out.push((end.clone(), point));
            }
        }
        return Ok(out);
    };
    let Some(service) = names.services().get(*idx) else { return Ok(Vec::new()) };
    if let Some(domain) = &service.external_name {
        let text = format!("{} is the DNS name {domain}, outside the cluster", service.display());
        explanation.service = Some(ServiceStep { service: *idx, text, port: None });
        let end = End::Domain(domain.clone());
        return Ok(points(names, &end, question)?
            .into_iter()
            .map(|point| (end.clone(), point))
            .collect());
    }
    let wanted = |port: &ServicePortInfo| match &question.port {
        Port::Any => true,
        Port::Number(number) => port.port == *number && port.protocol == question.protocol,
        Port::Name(name) => {
            port.name.as_deref() == Some(name)
                && said(question).is_none_or(|protocol| protocol == port.protocol)
        }
    };
    let ports: Vec<(usize, &ServicePortInfo)> =
        service.ports.iter().enumerate().filter(|(_, port)| wanted(port)).collect();
    if ports.is_empty() {
        return Ok(no_such_port(*idx, service, question, explanation));
    }
    let mut out = Vec::new();
    let mut texts = Vec::new();
    for (_, port) in &ports {
        let backends = port
            .backends
            .iter()
            .map(|(end, number)| (end.clone(), ServicePoint::new(port.protocol, *number)));
        out.extend(backends);
        texts.push(port_text(names.bound(), service, port));
        for &pod in &port.without_port {
            let pod = &names.bound().pod(pod).display;
            explanation.notes.push(format!(
                "{pod} has no {} port named `{}` and is no backend",
                port.protocol, port.target
            ));
        }
    }
    if out.is_empty() {
        explanation.notes.push(format!(
            "{} has no backend: its selector matches no pod, or no endpoint is given",
            service.display()
        ));
    }
    let port = ports.first().map(|(at, _)| *at);
    explanation.service = Some(ServiceStep { service: *idx, text: texts.join("; "), port });
    Ok(out)
}

fn no_such_port(
    idx: usize,
    service: &ServiceInfo,
    question: &Question,
    explanation: &mut Explanation,
) -> Vec<(End, ServicePoint)> {
    let asked = match &question.port {
        Port::Number(number) => format!("{number}/{}", question.protocol),
        Port::Name(name) => format!("`{name}`"),
        Port::Any => "any".to_owned(),
    };
    if let (true, Port::Number(number)) = (service.headless, &question.port) {
        // A headless Service's name gives pod addresses, on which any port can be tried.
        let mut pods: Vec<End> = service
            .ports
            .iter()
            .flat_map(|port| port.backends.iter().map(|(end, _)| end.clone()))
            .collect();
        pods.dedup();
        let text = format!(
            "{} is headless: its name gives pod addresses, and port {asked} is used on them as it is",
            service.display()
        );
        explanation.service = Some(ServiceStep { service: idx, text, port: None });
        let point = ServicePoint::new(question.protocol, *number);
        return pods.into_iter().map(|end| (end, point)).collect();
    }
    let have: Vec<String> = service.ports.iter().map(declared).collect();
    let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
    let text = format!("{} has no port {asked}; it has {have}", service.display());
    explanation.service = Some(ServiceStep { service: idx, text, port: None });
    Vec::new()
}

fn declared(port: &ServicePortInfo) -> String {
    let name = port.name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
    format!("{name}{}/{}", port.port, port.protocol)
}

fn port_text(bound: &Bound, service: &ServiceInfo, port: &ServicePortInfo) -> String {
    let place = bound.symbolic.place(service.origin);
    let n = port.backends.len();
    let plural = if n == 1 { "" } else { "s" };
    if service.headless {
        return format!(
            "{} is headless: its name gives the addresses of {n} pod{plural}, port {} stays  {place}",
            service.display(),
            port.port
        );
    }
    let target = if port.target.parse::<u16>().is_ok() {
        format!("port {}", port.target)
    } else {
        format!("port `{}`", port.target)
    };
    format!("{}:{} goes to {target} of {n} backend{plural}  {place}", service.display(), port.port)
}

/// The protocol that a named port must have: TCP is also what is meant when none is given.
fn said(question: &Question) -> Option<Protocol> {
    (question.protocol != Protocol::Tcp).then_some(question.protocol)
}

/// The points that the question's port stands for on an end.
fn points(
    names: &Names<'_>,
    end: &End,
    question: &Question,
) -> Result<Vec<ServicePoint>, QueryError> {
    match &question.port {
        Port::Number(number) => Ok(vec![ServicePoint::new(question.protocol, *number)]),
        Port::Name(name) => {
            let End::Pod(pod) = end else {
                return Err(only_pods_name_ports(name));
            };
            named_port(names.bound().pod(*pod), name, said(question))
        }
        // Only a Service's DNS name comes here without a port; it stands for any, and domains are not told apart by port.
        Port::Any => Ok(vec![ServicePoint::new(question.protocol, 443)]),
    }
}

/// Why flows of one question end differently.
pub(super) fn mixed(to: &Target, flows: &[FlowExplanation]) -> String {
    let allowed: usize = flows
        .iter()
        .filter(|flow| flow.answer.verdict == Verdict::Allowed)
        .map(|flow| flow.to.len() * flow.from.len())
        .sum();
    let all: usize = flows.iter().map(|flow| flow.to.len() * flow.from.len()).sum();
    match to {
        Target::Service(_) => format!(
            "it depends on the backend that the Service picks: {allowed} of {all} flows are allowed"
        ),
        _ => {
            let dual = flows.iter().any(|flow| {
                flow.flow.family != flows.first().map_or(Family::V4, |first| first.flow.family)
            });
            let what = if dual { "the IP family" } else { "which of them it is" };
            format!("it depends on {what}: {allowed} of {all} flows are allowed")
        }
    }
}

/// Points that stand for all ports between two ends: one that passes and one that does not. Which ports pass is noted.
pub(super) fn every_port(
    names: &Names<'_>,
    from: &End,
    to: &End,
    family: Family,
    target: &Target,
    notes: &mut Vec<String>,
) -> Vec<ServicePoint> {
    let allowed = allowed_ports(names.bound(), from, to, family);
    let name = |end: &End| self::end(names, end, target);
    notes.push(format!("{} -> {}: {allowed} may pass", name(from), name(to)));
    let denied = PortSet::all().minus(&allowed);
    // Port 0 stands for no one; the next point of a range that begins there does.
    let first = |set: &PortSet| {
        let usable = set.edges().find(|point| point.port > 0 || point.protocol == Protocol::Other);
        usable.filter(|point| set.contains(*point))
    };
    // Of the ports that do not pass, one that the destination declares says most.
    let declared = match to {
        End::Pod(pod) => names.bound().pod(*pod).ports.iter(),
        _ => [].iter(),
    };
    let declared = declared
        .map(|&(_, protocol, number)| ServicePoint::new(protocol, number))
        .find(|point| denied.contains(*point));
    [first(&allowed), declared.or_else(|| first(&denied))].into_iter().flatten().collect()
}

/// Every port that a flow between two ends may use.
fn allowed_ports(bound: &Bound, from: &End, to: &End, family: Family) -> PortSet {
    let half = |direction: Direction, subject: &End, peer: &End| -> PortSet {
        let End::Pod(pod) = subject else { return PortSet::all() };
        let class = bound.class_of(*pod);
        let (Some(program), Some(atom)) = (class.program(direction), bound.peer_atom(peer, family))
        else {
            return PortSet::all();
        };
        let cells = bound.regions(bound.program(program));
        cells
            .into_iter()
            .find(|cell| cell.peers.contains(atom))
            .map_or_else(PortSet::empty, |cell| cell.allow)
    };
    half(Direction::Egress, from, to).intersect(&half(Direction::Ingress, to, from))
}

/// Pods that a policy selects in some class, for effects of edits.
pub(super) fn pods_of(bound: &Bound, keep: impl Fn(PodIdx) -> bool) -> Vec<PodIdx> {
    (0..)
        .zip(&bound.pods)
        .map(|(idx, _)| idx)
        .filter(|&idx| !bound.pod(idx).finished && keep(idx))
        .collect()
}
