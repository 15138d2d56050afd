//! From the words of a question to ends and ports: `ns/pod`, `ns/kind/name`, `ns/svc/name`, addresses, domain names.

mod families;
mod port;
mod words;

pub(crate) use families::{families, shared_families};
pub use port::{destination, port};
pub(crate) use port::{named_port, only_pods_name_ports};

use moat_ir::{Bound, End, PodIdx, ServiceInfo};
use moat_sets::Cidr;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::sync::Arc;
use words::{is_domain, looks_like_address, misread, nearest, of_host};

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

impl Names<'_> {
    /// The end of a flow that an address is.
    #[must_use]
    pub fn end(&self, address: IpAddr) -> End {
        self.bound.pod_by_address.get(&address).map_or(End::Address(address), |&pod| End::Pod(pod))
    }
}
