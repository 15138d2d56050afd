//! The wire objects that policies talk about, and what an end of a flow is among them.

use crate::cluster_network_policy::ClusterNetworkPolicy;
use crate::selector::{Labels, Selector, selects};
use crate::{End, Family, Question, World};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;

/// The world, read.
pub(crate) struct Cluster {
    namespaces: Vec<Namespace>,
    pods: Vec<Pod>,
    nodes: Vec<Node>,
    pub(crate) network_policies: Vec<NetworkPolicy>,
    pub(crate) cluster_network_policies: Vec<ClusterNetworkPolicy>,
}

/// What an end of a flow is. Nothing is set for an end that does not exist or has completed.
#[derive(Default)]
pub(crate) struct Party<'c> {
    /// The pod, unless it uses the host's network.
    pub(crate) pod: Option<&'c Pod>,
    /// The node of a pod that uses the host's network.
    node: Option<&'c str>,
    /// The packet's address on this side.
    pub(crate) address: Option<IpAddr>,
    pub(crate) domain: Option<&'c str>,
}

pub(crate) fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// The namespace of a pod or a NetworkPolicy. ObjectMeta.namespace:
//# "An empty namespace is equivalent to the "default" namespace"
pub(crate) fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().filter(|given| !given.is_empty()).unwrap_or("default")
}

/// Whether the traffic goes to the port that its destination pod calls by this name.
pub(crate) fn has_named_port(called: &str, question: Question) -> bool {
    let Some(spec) = question.to.pod.and_then(|pod| pod.spec.as_ref()) else { return false };
    // An init container with restart policy `Always`:
    //# "This lifecycle differs from normal init containers and is often referred to as a "sidecar"
    //# container."
    let init = spec.init_containers.iter().flatten();
    let sidecars = init.filter(|init| init.restart_policy.as_deref() == Some("Always"));
    spec.containers.iter().chain(sidecars).flat_map(|it| it.ports.iter().flatten()).any(|port| {
        // ContainerPort.protocol:
        //# "Must be UDP, TCP, or SCTP. Defaults to "TCP"."
        port.name.as_deref() == Some(called)
            && port.protocol.as_deref().unwrap_or("TCP") == question.flow.protocol
            && port.container_port == i32::from(question.flow.port)
    })
}

fn uses_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false)
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn pod_addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let listed = status.pod_ips.iter().flatten().map(|listed| &listed.ip);
    listed.chain(&status.pod_ip).filter_map(|address| address.parse().ok()).collect()
}

fn host_addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let listed = status.host_ips.iter().flatten().map(|listed| &listed.ip);
    listed.chain(&status.host_ip).filter_map(|address| address.parse().ok()).collect()
}

/// The addresses of a node; those of one type, or all.
fn node_addresses(node: &Node, of_type: Option<&str>) -> Vec<IpAddr> {
    let all = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let wanted = all.filter(|address| of_type.is_none_or(|of_type| address.type_ == of_type));
    wanted.filter_map(|address| address.address.parse().ok()).collect()
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn read(world: &World) -> Self {
        let mut pods: Vec<Pod> = of_kind(world, "v1 Pod");
        // Nothing runs in a completed pod.
        let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
        pods.retain(|pod| !matches!(phase(pod).as_deref(), Some("Succeeded" | "Failed")));
        let cluster_policies = "policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy";
        Self {
            namespaces: of_kind(world, "v1 Namespace"),
            pods,
            nodes: of_kind(world, "v1 Node"),
            network_policies: of_kind(world, "networking.k8s.io/v1 NetworkPolicy"),
            cluster_network_policies: of_kind(world, cluster_policies),
        }
    }

    /// What an end is.
    pub(crate) fn party<'c>(&'c self, end: &'c End, family: Family) -> Party<'c> {
        let mut pods = self.pods.iter();
        let id = |pod: &Pod| format!("{}/{}", namespace(&pod.metadata), name(&pod.metadata));
        let pod = match end {
            End::Pod { namespace, name } => {
                pods.find(|pod| id(pod) == format!("{namespace}/{name}"))
            }
            End::Address(address) => {
                pods.find(|pod| !uses_host_network(pod) && pod_addresses(pod).contains(address))
            }
            End::Domain(_) => None,
        };
        let (party, addresses) = match (end, pod) {
            // What policies are to hostNetwork pods is undefined. Moat: no selector sees them, and
            // they are their node's address.
            (_, Some(pod)) if uses_host_network(pod) => {
                let internal = self.node_of(pod).map(|it| node_addresses(it, Some("InternalIP")));
                let addresses = [host_addresses(pod), internal.unwrap_or_default()].concat();
                (Party { node: node_name(pod), ..Party::default() }, addresses)
            }
            (_, Some(pod)) => (Party { pod: Some(pod), ..Party::default() }, pod_addresses(pod)),
            (End::Address(it), None) => return Party { address: Some(*it), ..Party::default() },
            (End::Domain(it), None) => return Party { domain: Some(it), ..Party::default() },
            (End::Pod { .. }, None) => return Party::default(),
        };
        let of_family = |it: &IpAddr| it.is_ipv4() == (family == Family::V4);
        Party { address: addresses.into_iter().find(of_family), ..party }
    }

    fn node_of(&self, pod: &Pod) -> Option<&Node> {
        self.nodes.iter().find(|node| node_name(pod) == Some(name(&node.metadata)))
    }

    /// Whether traffic from this party, which is no pod, comes from the node that the pod runs on.
    pub(crate) fn is_own_node(&self, from: &Party, pod: &Pod) -> bool {
        let listed = self.node_of(pod).map(|node| node_addresses(node, None)).unwrap_or_default();
        let own = [listed, host_addresses(pod)].concat();
        let by_address = from.address.is_some_and(|address| own.contains(&address));
        from.node.map_or(by_address, |node| node_name(pod) == Some(node))
    }

    /// Whether the party is a node that the selector selects.
    pub(crate) fn is_node(&self, party: &Party, selector: &Selector) -> bool {
        let selected = |it: &&Node| selects(selector, it.metadata.labels.as_ref());
        //# "It selects the nodeIPs as the peer type by matching on the IPs present in the
        //# node.Status.Addresses field of the node."
        let is_party = |it: &Node| {
            let by_address = party.address.is_some_and(|at| node_addresses(it, None).contains(&at));
            by_address || party.node == Some(name(&it.metadata))
        };
        self.nodes.iter().filter(selected).any(is_party)
    }

    /// Whether the party is a pod that these selectors select by its namespace and by itself.
    pub(crate) fn is_pod(&self, party: &Party, namespaces: &Selector, pods: &Selector) -> bool {
        party.pod.is_some_and(|pod| {
            selects(namespaces, Some(&self.namespace_labels(pod)))
                && selects(pods, pod.metadata.labels.as_ref())
        })
    }

    /// The labels of the pod's namespace, whether or not the world has an object for it.
    fn namespace_labels(&self, pod: &Pod) -> Labels {
        let called = namespace(&pod.metadata);
        let object = self.namespaces.iter().find(|object| name(&object.metadata) == called);
        let labels = object.and_then(|object| object.metadata.labels.clone());
        // The concepts page: "The Kubernetes control plane sets an immutable label
        // kubernetes.io/metadata.name on all namespaces, the value of the label is the namespace
        // name."
        let default = ("kubernetes.io/metadata.name".to_owned(), called.to_owned());
        labels.unwrap_or_default().into_iter().chain([default]).collect()
    }
}

/// The objects whose `apiVersion` and `kind` are these.
fn of_kind<'w, T: Deserialize<'w>>(world: &'w World, kind: &str) -> Vec<T> {
    let text = |object: &'w Value, key| object.get(key).and_then(Value::as_str);
    let ours =
        |it: &&'w Value| kind.split_once(' ') == text(it, "apiVersion").zip(text(it, "kind"));
    world.objects.iter().filter(ours).filter_map(|object| T::deserialize(object).ok()).collect()
}
