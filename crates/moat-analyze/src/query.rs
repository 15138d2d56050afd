//! From the words of a question to ends and ports: `ns/pod`, `ns/kind/name`, `ns/svc/name`, addresses, domain names.

use moat_ir::{Bound, End, PodIdx, ServiceInfo};
use moat_sets::{Cidr, Protocol};
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What a name in a question stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Pods: one, or all of a workload.
    Pods(Vec<PodIdx>),
    /// A Service: its index in the table.
    Service(usize),
    /// An address, or all addresses of a prefix.
    Addresses(Cidr),
    /// A domain name.
    Domain(Arc<str>),
}

/// A destination port in a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Port {
    /// A number.
    Number(u16),
    /// A container port or Service port name.
    Name(String),
    /// Not said: every port is asked about.
    Any,
}

/// Why a question cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryError {
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl QueryError {
    fn new(message: String) -> Self {
        Self { message, help: None }
    }

    fn help(mut self, help: String) -> Self {
        self.help = Some(help);
        self
    }
}

/// Looks names up.
#[derive(Debug)]
pub struct Names<'b> {
    bound: &'b Bound,
    services: &'b [ServiceInfo],
    /// Namespace of names without one.
    namespace: String,
    by_display: FxHashMap<&'b str, PodIdx>,
    /// Pods by namespace and name of their workload, workloads by their own.
    by_workload: FxHashMap<(&'b str, &'b str), Vec<PodIdx>>,
    by_service: FxHashMap<(&'b str, &'b str), usize>,
    by_service_address: FxHashMap<IpAddr, usize>,
}

impl<'b> Names<'b> {
    /// An index over a bound form and its Services. `namespace` is meant by names that give none.
    #[must_use]
    pub fn new(bound: &'b Bound, services: &'b [ServiceInfo], namespace: &str) -> Self {
        let by_display =
            bound.pods.iter().zip(0..).map(|(pod, idx)| (pod.display.as_ref(), idx)).collect();
        let mut by_workload: FxHashMap<(&str, &str), Vec<PodIdx>> = FxHashMap::default();
        for (pod, idx) in bound.pods.iter().zip(0..) {
            let name = match &pod.owner {
                _ if pod.kind.as_ref() != "pod" => &pod.name,
                Some((_, owner)) => owner,
                None => continue,
            };
            by_workload.entry((pod.namespace.as_ref(), name.as_ref())).or_default().push(idx);
        }
        let by_service = services
            .iter()
            .enumerate()
            .map(|(idx, service)| ((service.namespace.as_ref(), service.name.as_ref()), idx))
            .collect();
        let by_service_address = services
            .iter()
            .enumerate()
            .flat_map(|(idx, service)| service.addresses.iter().map(move |&address| (address, idx)))
            .collect();
        Self {
            bound,
            services,
            namespace: namespace.to_owned(),
            by_display,
            by_workload,
            by_service,
            by_service_address,
        }
    }

    /// The Services.
    #[must_use]
    pub fn services(&self) -> &'b [ServiceInfo] {
        self.services
    }

    /// The bound form.
    #[must_use]
    pub fn bound(&self) -> &'b Bound {
        self.bound
    }

    /// What a name stands for.
    pub fn target(&self, text: &str) -> Result<Target, QueryError> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(self.address(address));
        }
        if let Ok(cidr) = Cidr::parse(bare) {
            return Ok(if cidr.is_host() {
                self.address(cidr.network())
            } else {
                Target::Addresses(cidr)
            });
        }
        if looks_like_address(bare) {
            return Err(QueryError::new(format!("`{text}` is no valid address or CIDR"))
                .help("an IPv4 address has four numbers of 0 to 255, a CIDR a length of 0 to 32 (IPv4) or 128 (IPv6)".to_owned()));
        }
        if let Some(domain) = text.strip_prefix("domain/") {
            return Ok(Target::Domain(domain.to_ascii_lowercase().into()));
        }
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [name] => self.named(text, &self.namespace, name),
            [namespace, name] => self.named(text, namespace, name),
            [namespace, kind, name] => self.kind(text, namespace, kind, name),
            _ => Err(self.unknown(text)),
        }
    }

    /// An address: a pod's, a Service's, or one outside.
    fn address(&self, address: IpAddr) -> Target {
        if let Some(&pod) = self.bound.pod_by_address.get(&address) {
            return Target::Pods(vec![pod]);
        }
        match self.by_service_address.get(&address) {
            Some(&service) => Target::Service(service),
            None => Target::Addresses(Cidr::host(address)),
        }
    }

    fn named(&self, text: &str, namespace: &str, name: &str) -> Result<Target, QueryError> {
        if let Some(&pod) = self.by_display.get(format!("{namespace}/{name}").as_str()) {
            return Ok(Target::Pods(vec![pod]));
        }
        // A bare name of a workload is clear when only one workload has it.
        let found = self.by_workload.get(&(namespace, name)).map_or(&[][..], Vec::as_slice);
        let kind = |pod: PodIdx| -> &Arc<str> {
            let pod = self.bound.pod(pod);
            pod.owner
                .as_ref()
                .filter(|_| pod.kind.as_ref() == "pod")
                .map_or(&pod.kind, |(kind, _)| kind)
        };
        let mut kinds: Vec<&Arc<str>> = found.iter().map(|&pod| kind(pod)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        match kinds.as_slice() {
            [_] => Ok(Target::Pods(found.to_vec())),
            [] => Err(self.unknown(text)),
            kinds => {
                let names: Vec<String> =
                    kinds.iter().map(|kind| format!("`{namespace}/{kind}/{name}`")).collect();
                Err(QueryError::new(format!("`{text}` is more than one workload"))
                    .help(format!("say which: {}", names.join(" or "))))
            }
        }
    }

    fn kind(
        &self,
        text: &str,
        namespace: &str,
        kind: &str,
        name: &str,
    ) -> Result<Target, QueryError> {
        let kind = canonical_kind(kind);
        if kind == "svc" {
            let found = self.by_service.get(&(namespace, name));
            return found
                .map(|&service| Target::Service(service))
                .ok_or_else(|| self.unknown(text));
        }
        if kind == "pod" {
            return match self.by_display.get(format!("{namespace}/{name}").as_str()) {
                Some(&pod) => Ok(Target::Pods(vec![pod])),
                None => Err(self.unknown(text)),
            };
        }
        if let Some(&pod) = self.by_display.get(format!("{namespace}/{kind}/{name}").as_str()) {
            return Ok(Target::Pods(vec![pod]));
        }
        let owned = |pod: &&PodIdx| {
            self.bound.pod(**pod).owner.as_ref().is_some_and(|(own, _)| own.as_ref() == kind)
        };
        let pods: Vec<PodIdx> = self
            .by_workload
            .get(&(namespace, name))
            .into_iter()
            .flatten()
            .filter(owned)
            .copied()
            .collect();
        if pods.is_empty() { Err(self.unknown(text)) } else { Ok(Target::Pods(pods)) }
    }

    fn unknown(&self, text: &str) -> QueryError {
        let error = QueryError::new(format!("nothing here is called `{text}`"));
        let services: Vec<String> = self.services.iter().map(ServiceInfo::display).collect();
        let names = self
            .bound
            .pods
            .iter()
            .map(|pod| pod.display.as_ref())
            .chain(services.iter().map(String::as_str));
        let near = nearest(text, names);
        if near.is_empty() {
            return error.help("name a pod `ns/pod`, a workload `ns/kind/name`, a Service `ns/svc/name`, or an address".to_owned());
        }
        let near: Vec<String> = near.into_iter().map(|name| format!("`{name}`")).collect();
        error.help(format!("did you mean {}?", near.join(" or ")))
    }
}

fn canonical_kind(kind: &str) -> &str {
    match kind {
        "service" | "services" => "svc",
        "po" | "pods" => "pod",
        "deploy" | "deployments" => "deployment",
        "rs" | "replicasets" => "replicaset",
        "rc" | "replicationcontrollers" => "replicationcontroller",
        "sts" | "statefulsets" => "statefulset",
        "ds" | "daemonsets" => "daemonset",
        "jobs" => "job",
        "cj" | "cronjobs" => "cronjob",
        other => other,
    }
}

fn looks_like_address(text: &str) -> bool {
    let digits_and_dots =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'/'))
            && text.contains('.');
    digits_and_dots || text.matches(':').count() >= 2
}

/// Up to three names that share most with `text`.
fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut scored: Vec<(usize, &str)> =
        names.filter_map(|name| Some((likeness(text, name)?, name))).collect();
    scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// How alike two names are: their last parts a few slips apart, or sharing most pairs of letters; `None` when they are strangers.
fn likeness(text: &str, name: &str) -> Option<usize> {
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let pairs = |name: &str| -> Vec<(u8, u8)> { name.bytes().zip(name.bytes().skip(1)).collect() };
    let (own, other) = (last(text), last(name));
    let slips = moat_sets::mistakes(&own, &other).map(|mistakes| 8usize.saturating_sub(mistakes));
    let (own, other) = (pairs(&own), pairs(&other));
    let shared = own.iter().filter(|pair| other.contains(pair)).count();
    let alike = shared * 2 >= own.len().max(other.len()) && shared > 0;
    let whole = pairs(text).iter().filter(|pair| pairs(name).contains(pair)).count();
    (alike || slips.is_some()).then_some(shared.max(slips.unwrap_or(0)) * 4 + whole)
}

/// Takes `TO:PORT[/PROTOCOL]` apart.
pub fn destination(text: &str) -> Result<(&str, Port, Protocol), QueryError> {
    // The port is what follows the last colon; an IPv6 address with a port stands in brackets.
    let (target, port) = match text.rsplit_once(':') {
        Some((target, port)) if target.ends_with(']') || !target.contains(':') => (target, port),
        _ => return Ok((text, Port::Any, Protocol::Tcp)),
    };
    if port.is_empty() {
        return Err(QueryError::new(format!("`{text}` has no port after the colon"))
            .help("write `TO:PORT` or `TO:PORT/PROTOCOL`, such as `shop/db:5432/TCP`".to_owned()));
    }
    let (port, protocol) = self::port(port)?;
    Ok((target, port, protocol))
}

/// Takes `PORT[/PROTOCOL]` apart; `ICMP` needs no port.
pub fn port(text: &str) -> Result<(Port, Protocol), QueryError> {
    if text.eq_ignore_ascii_case("icmp") {
        return Ok((Port::Number(0), Protocol::Other));
    }
    let (port, protocol) = match text.split_once('/') {
        Some((port, protocol)) => (port, Some(protocol)),
        None => (text, None),
    };
    let protocol = match protocol {
        None => Protocol::Tcp,
        Some(text) => Protocol::parse(text).ok_or_else(|| {
            QueryError::new(format!("`{text}` is no protocol"))
                .help("use TCP, UDP, SCTP or ICMP".to_owned())
        })?,
    };
    let port = match port.parse::<u32>() {
        Ok(0) if protocol == Protocol::Other => Port::Number(0),
        Ok(number) => match u16::try_from(number) {
            Ok(number) if number > 0 => Port::Number(number),
            _ => {
                return Err(QueryError::new(format!("port `{number}` is out of range"))
                    .help("ports are 1 to 65535".to_owned()));
            }
        },
        Err(_) if port.is_empty() && protocol == Protocol::Other => Port::Number(0),
        Err(_) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(QueryError::new(format!("port `{port}` is out of range"))
                .help("ports are 1 to 65535".to_owned()));
        }
        Err(_) if port.is_empty() || port.starts_with('-') => {
            return Err(QueryError::new(format!("`{text}` is no port")).help(
                "write a number or a name, with a protocol if not TCP: `53/UDP`".to_owned(),
            ));
        }
        Err(_) => Port::Name(port.to_owned()),
    };
    Ok((port, protocol))
}

impl Names<'_> {
    /// The end of a flow that an address is.
    #[must_use]
    pub fn end(&self, address: IpAddr) -> End {
        self.bound.pod_by_address.get(&address).map_or(End::Address(address), |&pod| End::Pod(pod))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        assert_eq!(destination("a/b:80").unwrap(), ("a/b", Port::Number(80), Protocol::Tcp));
        assert_eq!(destination("a/b:53/udp").unwrap(), ("a/b", Port::Number(53), Protocol::Udp));
        assert_eq!(
            destination("a/b:http").unwrap(),
            ("a/b", Port::Name("http".into()), Protocol::Tcp)
        );
        assert_eq!(
            destination("[2001:db8::1]:80").unwrap(),
            ("[2001:db8::1]", Port::Number(80), Protocol::Tcp)
        );
        assert_eq!(destination("2001:db8::1").unwrap(), ("2001:db8::1", Port::Any, Protocol::Tcp));
        assert_eq!(destination("a/b").unwrap(), ("a/b", Port::Any, Protocol::Tcp));
        assert_eq!(destination("a/b:0/ICMP").unwrap(), ("a/b", Port::Number(0), Protocol::Other));
        for bad in ["a/b:70000", "a/b:0", "a/b:", "a/b:80/xyz", "a/b:99999999999", "a/b:-1"] {
            assert!(destination(bad).is_err(), "{bad}");
        }
    }
}
