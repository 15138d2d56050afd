//! What policies are about: namespaces, pods, nodes, Services.

use crate::value::Span;
use core::fmt;
use moat_sets::{Cidr, Labels, Protocol, Selector};
use std::net::IpAddr;
use std::sync::Arc;

/// Everything read that is not a policy.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Namespaces, those only mentioned included, sorted by name.
    pub namespaces: Vec<Namespace>,
    /// Pods, and workloads as classes of pods, sorted by namespace, kind and name.
    pub pods: Vec<Pod>,
    /// Nodes, sorted by name.
    pub nodes: Vec<Node>,
    /// Services, sorted by namespace and name.
    pub services: Vec<Service>,
    /// Ways in from outside that Ingress objects name, sorted.
    pub entrances: Vec<Entrance>,
    /// The prefixes that pod addresses come from, as far as known; empty when not.
    pub pod_cidrs: Vec<Cidr>,
    /// What could not be read or is not interpreted, and could change verdicts.
    pub taints: Vec<Taint>,
}

/// A namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespace {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels, `kubernetes.io/metadata.name` always among them.
    pub labels: Labels,
    /// Where it was read; `None` when it was only mentioned by another object.
    pub span: Option<Span>,
}

/// What a pod entry was read from.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum PodKind {
    /// A Pod object.
    Pod,
    /// Pods that a workload would make: the lower-case kind, such as `deployment`.
    Workload(Arc<str>),
}

/// Where a pod is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Runs, or will run.
    Active,
    /// Succeeded or Failed: has no traffic.
    Finished,
}

/// A pod, or a class of pods that a workload would make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// What it was read from.
    pub kind: PodKind,
    /// Its name, or its workload's.
    pub name: Arc<str>,
    /// Where its object starts.
    pub span: Span,
    /// Its labels.
    pub labels: Labels,
    /// The node it is on, when known.
    pub node: Option<Arc<str>>,
    /// Whether it shares its node's network.
    pub host_network: bool,
    /// Its addresses (its node's, for hostNetwork), at most one per family; empty when not known.
    pub addresses: Vec<IpAddr>,
    /// Its container ports, those of native sidecars included.
    pub ports: Vec<NamedPort>,
    /// Its life phase.
    pub phase: Phase,
    /// The workload it belongs to: lower-case kind and name.
    pub owner: Option<(Arc<str>, Arc<str>)>,
    /// How many pods a workload asks for; 1 for a Pod.
    pub replicas: u32,
}

impl Pod {
    /// Whether this entry stands for all pods of a workload.
    #[must_use]
    pub fn is_workload(&self) -> bool {
        self.kind != PodKind::Pod
    }
}

impl fmt::Display for Pod {
    /// `ns/pod`, or `ns/kind/name` for a workload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            PodKind::Pod => write!(f, "{}/{}", self.namespace, self.name),
            PodKind::Workload(kind) => write!(f, "{}/{kind}/{}", self.namespace, self.name),
        }
    }
}

/// A declared container port.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NamedPort {
    /// Its name, when it has one.
    pub name: Option<Arc<str>>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Where it was read.
    pub span: Span,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Where it was read.
    pub span: Span,
    /// Its pods; `None` when endpoints are given by hand or it is an ExternalName.
    pub selector: Option<Selector>,
    /// Whether `clusterIP` is `None`: names resolve to pod addresses and ports are not translated.
    pub headless: bool,
    /// The DNS name an ExternalName stands for.
    pub external_name: Option<Arc<str>>,
    /// Its own addresses: cluster IPs, external IPs, load balancer IPs.
    pub addresses: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Whether the outside world can enter by it: NodePort or LoadBalancer.
    pub external: bool,
    /// Backend addresses with ports, from Endpoints and EndpointSlices, for Services without selector.
    pub endpoints: Vec<Endpoint>,
}

/// A backend given by Endpoints or an EndpointSlice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// The backend's address.
    pub address: IpAddr,
    /// The Service port's name.
    pub port_name: Option<Arc<str>>,
    /// The protocol.
    pub protocol: Protocol,
    /// The backend's port.
    pub port: u16,
}

/// A port of a Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServicePort {
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Its protocol.
    pub protocol: Protocol,
    /// The Service's port.
    pub port: u16,
    /// The pod's port.
    pub target: TargetPort,
    /// The port on every node.
    pub node_port: Option<u16>,
}

/// The pod's port behind a Service port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetPort {
    /// A number.
    Number(u16),
    /// A container port name, looked up on each pod.
    Name(Arc<str>),
}

/// A way in from outside the cluster that an Ingress object names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entrance {
    /// The Ingress's namespace.
    pub namespace: Arc<str>,
    /// The Ingress's name.
    pub name: Arc<str>,
    /// Where it was read.
    pub span: Span,
    /// The host, `*` for any.
    pub host: String,
    /// The path.
    pub path: String,
    /// The Service behind it.
    pub service: Arc<str>,
    /// The Service's port: number or name.
    pub port: String,
}

/// Which verdicts a taint can change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TaintScope {
    /// Any.
    Everything,
    /// Those about pods of a namespace.
    Namespace(Arc<str>),
}

/// Something that could change verdicts and is not part of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Taint {
    /// Which verdicts it could change.
    pub scope: TaintScope,
    /// Where it is.
    pub span: Span,
    /// What it is, in words.
    pub what: String,
}
