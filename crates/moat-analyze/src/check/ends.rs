//! From the names of a test to pods, addresses and ports.

use super::{CheckError, Place, PortWord, Word};
use crate::query::{Names, Port, Target, only_pods_name_ports};
use moat_ir::{AtomKind, Bound, End, PodIdx, ServiceInfo, ServicePortInfo};
use moat_sets::{AddrSet, Labels, Protocol, ServicePoint};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Whom names mean.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) pods: BTreeSet<PodIdx>,
    /// Addresses that are no pod's.
    pub(super) addresses: AddrSet,
    domains: BTreeSet<Arc<str>>,
    services: Vec<(usize, Place)>,
}

/// Addresses that no rule tells apart, and one of them to ask about.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) part: AddrSet,
    pub(super) sample: IpAddr,
}

/// On which ports a destination is asked about.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Points(Vec<ServicePoint>),
    Any,
}

/// A destination.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) end: End,
    pub(super) ask: Ask,
    /// For people.
    pub(super) name: String,
}

/// Whom a test's sources are.
pub(super) fn sources(names: &Names<'_>, words: &[Word]) -> Result<Ends, CheckError> {
    let ends = resolve(names, words)?;
    for word in words {
        let what = match target(names, word) {
            Ok(Some(Target::Service(_))) => "is a Service, which opens no connections",
            Ok(Some(Target::Domain(_))) => "is a domain name, which is only a destination",
            _ => continue,
        };
        return Err(CheckError::new(
            word.place,
            format!("`{}` {what}", word.text),
            "name a pod, a workload or an address as the source",
        ));
    }
    Ok(ends)
}

/// What a name that is no pattern stands for.
fn target(names: &Names<'_>, word: &Word) -> Result<Option<Target>, CheckError> {
    if word.text == "outside" || word.text.contains(['*', '=']) {
        return Ok(None);
    }
    names.target(&word.text).map(Some).map_err(|error| CheckError::at(word.place, error))
}

fn resolve(names: &Names<'_>, words: &[Word]) -> Result<Ends, CheckError> {
    let mut ends = Ends {
        pods: BTreeSet::new(),
        addresses: AddrSet::empty(),
        domains: BTreeSet::new(),
        services: Vec::new(),
    };
    for word in words {
        match target(names, word)? {
            None if word.text == "outside" => ends.addresses = AddrSet::all(),
            None => ends.pods.extend(pattern(names.bound(), word)?),
            Some(Target::Pods(pods)) => ends.pods.extend(pods),
            Some(Target::Addresses(cidr)) => {
                ends.addresses = ends.addresses.union(&AddrSet::cidr(cidr));
            }
            Some(Target::Domain(name)) => {
                ends.domains.insert(name);
            }
            Some(Target::Service(idx)) => ends.services.push((idx, word.place)),
        }
    }
    Ok(ends)
}

/// The running pods that `ns/*`, `*/*` or `ns/key=value,…` mean.
fn pattern(bound: &Bound, word: &Word) -> Result<Vec<PodIdx>, CheckError> {
    let forms = "patterns are `ns/*`, `*/*`, `ns/key=value` and `*/key=value`";
    let bad = || CheckError::new(word.place, format!("`{}` is no pattern", word.text), forms);
    // A label's key may itself hold a `/`.
    let (namespace, pods) = word.text.split_once('/').ok_or_else(bad)?;
    let mut labels = Vec::new();
    if pods != "*" {
        for label in pods.split(',') {
            match label.split_once('=') {
                Some((key, value)) if !key.is_empty() && !label.contains('*') => {
                    labels.push((key, value));
                }
                _ => return Err(bad()),
            }
        }
    }
    if namespace.is_empty() || (namespace != "*" && namespace.contains(['*', '='])) {
        return Err(bad());
    }
    let own = |labels: &Labels, (key, value): &(&str, &str)| labels.get(key) == Some(*value);
    let within = |pod: PodIdx| namespace == "*" || bound.pod(pod).namespace.as_ref() == namespace;
    let all: Vec<PodIdx> = (0..)
        .zip(&bound.pods)
        .filter(|(idx, pod)| !pod.finished && within(*idx))
        .map(|(idx, _)| idx)
        .collect();
    let found: Vec<PodIdx> = all
        .iter()
        .copied()
        .filter(|&idx| labels.iter().all(|label| own(&bound.pod(idx).labels, label)))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let message = format!("`{}` selects no pod", word.text);
    if all.is_empty() {
        let near = moat_sets::nearest(namespace, bound.pods.iter().map(|pod| &*pod.namespace));
        let help = near.map_or_else(
            || "no pod runs in that namespace".to_owned(),
            |near| format!("did you mean `{near}/{pods}`?"),
        );
        return Err(CheckError::new(word.place, message, help));
    }
    let known: BTreeSet<String> = all
        .iter()
        .flat_map(|&idx| bound.pod(idx).labels.iter())
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let near = pods
        .split(',')
        .filter(|label| !known.contains(*label))
        .find_map(|label| moat_sets::nearest(label, known.iter().map(String::as_str)));
    let help = near.map_or_else(
        || "no pod has all these labels".to_owned(),
        |near| format!("did you mean `{namespace}/{near}`?"),
    );
    Err(CheckError::new(word.place, message, help))
}

/// Whom a test's destinations are, with the ports to ask about.
pub(super) fn destinations(
    names: &Names<'_>,
    words: &[Word],
    ports: &[PortWord],
) -> Result<Vec<Destination>, CheckError> {
    let bound = names.bound();
    let ends = resolve(names, words)?;
    let mut out = Vec::new();
    for &pod in &ends.pods {
        let ask = if ports.is_empty() { Ask::Any } else { Ask::Points(on_pod(bound, pod, ports)?) };
        out.push(Destination { end: End::Pod(pod), ask, name: bound.pod(pod).display.to_string() });
    }
    for piece in pieces(bound, &ends.addresses) {
        let end = End::Address(piece.sample);
        out.push(Destination { end, ask: numbers(ports)?, name: piece.part.to_string() });
    }
    for domain in ends.domains {
        let name = domain.to_string();
        out.push(Destination { end: End::Domain(domain), ask: numbers(ports)?, name });
    }
    for (idx, place) in ends.services {
        if let Some(service) = names.services().get(idx) {
            out.extend(backends(bound, service, ports, place)?);
        }
    }
    Ok(out)
}

/// Ports where only numbers can be meant.
fn numbers(ports: &[PortWord]) -> Result<Ask, CheckError> {
    let mut points = Vec::new();
    for word in ports {
        match &word.port {
            Port::Number(number) => points.push(ServicePoint::new(word.protocol, *number)),
            Port::Any => {}
            Port::Name(name) => {
                return Err(CheckError::at(word.place, only_pods_name_ports(name)));
            }
        }
    }
    Ok(if points.is_empty() { Ask::Any } else { Ask::Points(points) })
}

fn on_pod(bound: &Bound, idx: PodIdx, ports: &[PortWord]) -> Result<Vec<ServicePoint>, CheckError> {
    let pod = bound.pod(idx);
    let mut points = Vec::new();
    for word in ports {
        match &word.port {
            Port::Number(number) => points.push(ServicePoint::new(word.protocol, *number)),
            Port::Any => {}
            Port::Name(name) => {
                let own = pod.ports.iter().filter(|(have, ..)| have.as_deref() == Some(name));
                let n_before = points.len();
                points
                    .extend(own.map(|&(_, protocol, number)| ServicePoint::new(protocol, number)));
                if points.len() == n_before {
                    let have: Vec<&str> =
                        pod.ports.iter().filter_map(|(name, ..)| name.as_deref()).collect();
                    let help = if have.is_empty() {
                        "it names no port; give the number".to_owned()
                    } else {
                        format!("it has {}", have.join(", "))
                    };
                    let message = format!("{} has no port named `{name}`", pod.display);
                    return Err(CheckError::new(word.place, message, help));
                }
            }
        }
    }
    Ok(points)
}

/// The backends of a Service, with the ports that packets have after translation.
fn backends(
    bound: &Bound,
    service: &ServiceInfo,
    ports: &[PortWord],
    place: Place,
) -> Result<Vec<Destination>, CheckError> {
    if let Some(domain) = &service.external_name {
        let name = format!("{domain} (behind {})", service.display());
        return Ok(vec![Destination {
            end: End::Domain(domain.clone()),
            ask: numbers(ports)?,
            name,
        }]);
    }
    let behind = |port: &ServicePortInfo| -> Vec<(End, ServicePoint)> {
        let point = |number| ServicePoint::new(port.protocol, number);
        port.backends.iter().map(|(end, number)| (end.clone(), point(*number))).collect()
    };
    let mut found: Vec<(End, ServicePoint)> = Vec::new();
    if ports.is_empty() {
        found.extend(service.ports.iter().flat_map(behind));
    }
    for word in ports {
        let wanted = |port: &&ServicePortInfo| match &word.port {
            Port::Any => true,
            Port::Number(number) => port.port == *number && port.protocol == word.protocol,
            Port::Name(name) => port.name.as_deref() == Some(name),
        };
        let own: Vec<&ServicePortInfo> = service.ports.iter().filter(wanted).collect();
        match (&word.port, own.is_empty()) {
            (_, false) => found.extend(own.into_iter().flat_map(behind)),
            // A headless Service's name gives pod addresses, on which any port can be tried.
            (Port::Number(number), true) if service.headless => {
                let point = ServicePoint::new(word.protocol, *number);
                let mut pods: Vec<End> = Vec::new();
                for (end, _) in service.ports.iter().flat_map(|port| &port.backends) {
                    if !pods.contains(end) {
                        pods.push(end.clone());
                    }
                }
                found.extend(pods.into_iter().map(|end| (end, point)));
            }
            (asked, true) => {
                let asked = match asked {
                    Port::Number(number) => format!("{number}/{}", word.protocol),
                    Port::Name(name) => format!("`{name}`"),
                    Port::Any => "at all".to_owned(),
                };
                let have: Vec<String> = service
                    .ports
                    .iter()
                    .map(|port| format!("{}/{}", port.port, port.protocol))
                    .collect();
                let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
                return Err(CheckError::new(
                    word.place,
                    format!("{} has no port {asked}", service.display()),
                    format!("it has {have}"),
                ));
            }
        }
    }
    if found.is_empty() {
        return Err(CheckError::new(
            place,
            format!("{} has no backend, so there is nothing to test", service.display()),
            "its selector matches no pod with the port, or no endpoint is given",
        ));
    }
    let destination = |(end, point): (End, ServicePoint)| {
        let own = match &end {
            End::Pod(pod) => bound.pod(*pod).display.to_string(),
            End::Address(address) => address.to_string(),
            End::Domain(name) => name.to_string(),
        };
        let name = format!("{own} (behind {})", service.display());
        Destination { end, ask: Ask::Points(vec![point]), name }
    };
    Ok(found.into_iter().map(destination).collect())
}

/// A set of addresses, cut where rules tell them apart. Addresses of pods are left out: pods are asked about as such.
pub(super) fn pieces(bound: &Bound, set: &AddrSet) -> Vec<Piece> {
    let mut out = Vec::new();
    if set.is_empty() {
        return out;
    }
    for atom in 0..bound.atoms.n_addresses() {
        let Some(AtomKind::Addresses { low, high }) = bound.atoms.get(atom) else { break };
        let part = AddrSet::range(low, high).intersect(set);
        if let Some(sample) = sample(bound, &part) {
            out.push(Piece { part, sample });
        }
    }
    out
}

/// An address of the set that is no pod's and, where there is one, no node's: a node's reaches its own pods whatever the policies.
fn sample(bound: &Bound, set: &AddrSet) -> Option<IpAddr> {
    let mut node = None;
    for cidr in set.cidrs() {
        let mut address = Some(cidr.network());
        // Every step meets another known address, so their number bounds the search.
        while let Some(own) = address.filter(|&own| cidr.contains(own)) {
            if !bound.pod_by_address.contains_key(&own) {
                if !bound.node_by_address.contains_key(&own) {
                    return Some(own);
                }
                node = node.or(Some(own));
            }
            address = next(own);
        }
    }
    node
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(own) => own.to_bits().checked_add(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(own) => own.to_bits().checked_add(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

/// Every running pod.
pub(super) fn running(bound: &Bound) -> impl Iterator<Item = PodIdx> + '_ {
    (0..).zip(&bound.pods).filter(|(_, pod)| !pod.finished).map(|(idx, _)| idx)
}

/// The protocols whose ports are asked about one by one.
pub(super) const PROTOCOLS: [Protocol; 3] = Protocol::WITH_PORTS;
