//! From the words of a question to ends and ports: `ns/pod`, `ns/kind/name`, `ns/svc/name`, addresses, domain names.

use moat_ir::{Bound, End, PodIdx, PodInfo, ServiceInfo};
use moat_sets::{Cidr, Protocol, ServicePoint};
use rustc_hash::FxHashMap;
use std::net::{IpAddr, Ipv6Addr};
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
        self.find(text).map_err(|miss| self.told(text, miss, true))
    }

    /// The pods that a name stands for: a Service means those behind it.
    pub fn pods(&self, text: &str) -> Result<Vec<PodIdx>, QueryError> {
        match self.find(text).map_err(|miss| self.told(text, miss, false))? {
            Target::Pods(pods) => Ok(pods),
            Target::Service(idx) => {
                let pod = |(end, _): &(End, u16)| match end {
                    End::Pod(pod) => Some(*pod),
                    _ => None,
                };
                let ports = self.services.get(idx).into_iter().flat_map(|service| &service.ports);
                let mut pods: Vec<PodIdx> =
                    ports.flat_map(|port| port.backends.iter().filter_map(pod)).collect();
                pods.sort_unstable();
                pods.dedup();
                if pods.is_empty() {
                    return Err(QueryError::new(format!("`{text}` has no pod behind it"))
                        .help(POD_FORMS.to_owned()));
                }
                Ok(pods)
            }
            Target::Addresses(_) | Target::Domain(_) => {
                Err(QueryError::new(format!("`{text}` is no pod, workload or Service"))
                    .help(POD_FORMS.to_owned()))
            }
        }
    }

    fn told(&self, text: &str, miss: Miss, outside: bool) -> QueryError {
        match miss {
            Miss::Unknown => self.unknown(text, outside),
            Miss::Said(error) => error,
        }
    }

    fn find(&self, text: &str) -> Result<Target, Miss> {
        // An object may lack its name, but no one can ask for it.
        if text.is_empty() || text.ends_with('/') {
            return Err(Miss::Unknown);
        }
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
                .help("an IPv4 address has four numbers of 0 to 255, a CIDR a length of 0 to 32 (IPv4) or 128 (IPv6)".to_owned()).into());
        }
        if let Some(domain) = text.strip_prefix("domain/").filter(|domain| !domain.is_empty()) {
            return Ok(Target::Domain(domain.to_ascii_lowercase().into()));
        }
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [name] => self.named(text, &self.namespace, name),
            [namespace, name] => match self.named(text, namespace, name) {
                // What no namespace of that name has may be `kind/name`, as kubectl takes it.
                Err(Miss::Unknown) if is_kind(namespace) => {
                    self.kind(&self.namespace, namespace, name)
                }
                found => found,
            },
            [namespace, kind, name] => self.kind(namespace, kind, name),
            _ => Err(Miss::Unknown),
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

    fn named(&self, text: &str, namespace: &str, name: &str) -> Result<Target, Miss> {
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
            [] => Err(Miss::Unknown),
            kinds => {
                let names: Vec<String> =
                    kinds.iter().map(|kind| format!("`{namespace}/{kind}/{name}`")).collect();
                Err(QueryError::new(format!("`{text}` is more than one workload"))
                    .help(format!("say which: {}", names.join(" or ")))
                    .into())
            }
        }
    }

    fn kind(&self, namespace: &str, kind: &str, name: &str) -> Result<Target, Miss> {
        let kind = canonical_kind(kind);
        if kind == "svc" {
            let found = self.by_service.get(&(namespace, name));
            return found.map(|&service| Target::Service(service)).ok_or(Miss::Unknown);
        }
        if kind == "pod" {
            return match self.by_display.get(format!("{namespace}/{name}").as_str()) {
                Some(&pod) => Ok(Target::Pods(vec![pod])),
                None => Err(Miss::Unknown),
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
        if pods.is_empty() { Err(Miss::Unknown) } else { Ok(Target::Pods(pods)) }
    }

    /// Why nothing has this name; `outside` when a domain name or an address would do as well.
    fn unknown(&self, text: &str, outside: bool) -> QueryError {
        if let Some(error) = misread(text) {
            return error;
        }
        let error = QueryError::new(format!("nothing here is called `{text}`"));
        let services: Vec<String> = self.services.iter().map(ServiceInfo::display).collect();
        let names = self
            .bound
            .pods
            .iter()
            .map(|pod| pod.display.as_ref())
            .chain(services.iter().map(String::as_str))
            // Objects without a name are other findings' matter.
            .filter(|name| !name.ends_with('/'));
        let mut near: Vec<String> = nearest(text, names).into_iter().map(str::to_owned).collect();
        if outside && is_domain(text) {
            near.truncate(2);
            near.push(of_host(text));
        }
        if near.is_empty() {
            let forms = if outside { FORMS } else { POD_FORMS };
            return error.help(forms.to_owned());
        }
        let near: Vec<String> = near.into_iter().map(|name| format!("`{name}`")).collect();
        error.help(format!("did you mean {}?", near.join(" or ")))
    }
}

/// How ends of flows are named.
const FORMS: &str =
    "name a pod `ns/pod`, a workload `ns/kind/name`, a Service `ns/svc/name`, or an address";
/// How pods are named.
const POD_FORMS: &str =
    "name a pod `ns/pod`, a workload `ns/kind/name`, or a Service `ns/svc/name`";

/// Why a name finds nothing.
enum Miss {
    /// Nothing has it; the help is made only when it is needed.
    Unknown,
    Said(QueryError),
}

impl From<QueryError> for Miss {
    fn from(error: QueryError) -> Self {
        Self::Said(error)
    }
}

/// What is wrong with a text that cannot be a name of anything.
fn misread(text: &str) -> Option<QueryError> {
    if text.trim().is_empty() {
        return Some(QueryError::new("the name is empty".to_owned()).help(FORMS.to_owned()));
    }
    if let Some(error) = url(text) {
        return Some(error);
    }
    if text.contains(['*', '=']) {
        return Some(
            QueryError::new(format!("`{text}` is a pattern, and one name is asked for"))
                .help("`moat test` takes patterns, and `moat reach --namespace NS` shows all pods of a namespace".to_owned()),
        );
    }
    // No name has a colon.
    let (name, port) = text.split_once(':').filter(|(name, _)| !name.is_empty())?;
    Some(
        QueryError::new(format!("`{text}` has a port, and only a destination has one"))
            .help(format!("write `{name}`: FROM takes no port, because connections leave from any; in flows and tests `{port}` belongs in `port`")),
    )
}

/// A URL is no name, but says which name is meant.
fn url(text: &str) -> Option<QueryError> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, Some(port)),
        _ => (authority, None),
    };
    let port = port.or(match scheme {
        "https" | "wss" => Some("443"),
        "http" | "ws" => Some("80"),
        _ => None,
    });
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let error = QueryError::new(format!("`{text}` is a URL, not a name"));
    Some(if host.is_empty() {
        error.help(FORMS.to_owned())
    } else {
        error.help(format!("write `{}{port}`", of_host(host)))
    })
}

/// The name of a host as questions take it.
fn of_host(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        _ if host.starts_with('[') || host.parse::<IpAddr>().is_ok() => host.to_owned(),
        [service, namespace, "svc", ..] => format!("{namespace}/svc/{service}"),
        _ => format!("domain/{host}"),
    }
}

/// Whether a text looks like the name of a host with its domain.
fn is_domain(text: &str) -> bool {
    let word = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let letters =
        |label: &str| label.len() > 1 && label.bytes().all(|byte| byte.is_ascii_alphabetic());
    text.split('.').all(word) && text.rsplit_once('.').is_some_and(|(_, last)| letters(last))
}

/// The points that a port's name stands for on a pod; a protocol, when said, is one that the port must have.
pub(crate) fn named_port(
    pod: &PodInfo,
    name: &str,
    protocol: Option<Protocol>,
) -> Result<Vec<ServicePoint>, QueryError> {
    let found: Vec<ServicePoint> = pod
        .ports
        .iter()
        .filter(|(have, own, _)| {
            have.as_deref() == Some(name) && protocol.is_none_or(|protocol| protocol == *own)
        })
        .map(|&(_, protocol, number)| ServicePoint::new(protocol, number))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let declared: Vec<String> = pod
        .ports
        .iter()
        .map(|(name, protocol, number)| match name {
            Some(name) => format!("{name} {number}/{protocol}"),
            None => format!("{number}/{protocol}"),
        })
        .collect();
    let of = protocol.map(|protocol| format!("{protocol} ")).unwrap_or_default();
    Err(QueryError::new(format!("{} has no {of}port named `{name}`", pod.display)).help(
        if declared.is_empty() {
            "it declares no port; give the port's number".to_owned()
        } else {
            format!("it declares {}", declared.join(", "))
        },
    ))
}

/// A port's name where nothing can have one.
pub(crate) fn only_pods_name_ports(name: &str) -> QueryError {
    QueryError::new(format!("`{name}` is a port name, and only pods and Services have named ports"))
        .help("give the port's number".to_owned())
}

/// Whether a word is a kind, as [`canonical_kind`] knows it.
fn is_kind(word: &str) -> bool {
    matches!(
        canonical_kind(word),
        "svc"
            | "pod"
            | "deployment"
            | "replicaset"
            | "replicationcontroller"
            | "statefulset"
            | "daemonset"
            | "job"
            | "cronjob"
    )
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
    if let Some(error) = url(text) {
        return Err(error);
    }
    if let Some(error) = without_brackets(text) {
        return Err(error);
    }
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

/// An IPv6 address with a port, or what may be one, must stand in brackets: no guess is better than a wrong one.
fn without_brackets(text: &str) -> Option<QueryError> {
    let (address, rest) = text.rsplit_once(':')?;
    address.parse::<Ipv6Addr>().ok()?;
    let (_, protocol) = port(rest).ok()?;
    if text.parse::<Ipv6Addr>().is_err() && Cidr::parse(text).is_err() {
        return Some(
            QueryError::new(format!("`{text}` has a port after an IPv6 address without brackets"))
                .help(format!("write `[{address}]:{rest}`")),
        );
    }
    // `::1` and `2001:db8::1` never come here: what is before their last group is no address.
    let is_port = rest.parse::<u16>().is_ok() && !rest.starts_with('0');
    is_port.then(|| {
        QueryError::new(format!(
            "`{text}` may be an address, or {protocol} port {rest} of `{address}`"
        ))
        .help(format!("write `[{text}]` for the address, `[{address}]:{rest}` for the port"))
    })
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
        Err(_) if is_range(port) => {
            return Err(QueryError::new(format!("`{port}` is a range of ports"))
                .help("ask about one port, or leave it out to ask about every port".to_owned()));
        }
        Err(_) => Port::Name(port.to_owned()),
    };
    Ok((port, protocol))
}

/// `80-90`: no port name is all digits and a dash.
fn is_range(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(low, high)| number(low) && number(high))
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

    fn help(text: &str) -> String {
        let error = destination(text).unwrap_err();
        format!("{}; {}", error.message, error.help.unwrap_or_default())
    }

    #[test]
    fn addresses_with_colons_are_never_guessed() {
        expect_test::expect!["`fd00::1:80` may be an address, or TCP port 80 of `fd00::1`; write `[fd00::1:80]` for the address, `[fd00::1]:80` for the port"].assert_eq(&help("fd00::1:80"));
        expect_test::expect!["`fd00::1:53/UDP` has a port after an IPv6 address without brackets; write `[fd00::1]:53/UDP`"].assert_eq(&help("fd00::1:53/UDP"));
        expect_test::expect!["`fd00::1:http` has a port after an IPv6 address without brackets; write `[fd00::1]:http`"].assert_eq(&help("fd00::1:http"));
        for text in [
            "::1",
            "fd00::1",
            "2001:db8:0:0:0:0:0:1",
            "fd00::1:ab",
            "fd00::1:8080:0",
            "fd00::1:80/112",
            "::ffff:10.0.0.1",
            "[fd00::1:80]",
        ] {
            assert_eq!(destination(text).unwrap(), (text, Port::Any, Protocol::Tcp), "{text}");
        }
    }

    #[test]
    fn urls_say_which_name_is_meant() {
        let said = |text: &str| destination(text).unwrap_err().help.unwrap();
        assert_eq!(said("https://example.com"), "write `domain/example.com:443`");
        assert_eq!(said("http://me@example.com:8080/a?b#c"), "write `domain/example.com:8080`");
        assert_eq!(said("https://api.shop.svc.cluster.local"), "write `shop/svc/api:443`");
        assert_eq!(said("http://[fd00::1]/"), "write `[fd00::1]:80`");
        assert_eq!(said("tcp://10.0.0.1:5"), "write `10.0.0.1:5`");
        assert_eq!(said("postgres://db"), "write `domain/db`");
    }

    #[test]
    fn domains_are_known_by_their_looks() {
        for text in ["example.com", "a-b.c.example.io"] {
            assert!(is_domain(text), "{text}");
        }
        for text in ["web", "10.0.0", "v1.2", "a/b.com", "a..com", ".com", "x.y"] {
            assert!(!is_domain(text), "{text}");
        }
    }

    #[test]
    fn ranges_are_no_ports() {
        assert_eq!(destination("a/b:80-90").unwrap_err().message, "`80-90` is a range of ports");
        assert_eq!(port("a-1").unwrap().0, Port::Name("a-1".into()));
    }
}
