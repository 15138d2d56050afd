//! The wire objects that policies talk about, and what an end of a flow is among them.

use crate::cluster_network_policy::ClusterNetworkPolicy;
use crate::selector::{Labels, selects};
use crate::{End, Family, World};
use k8s_openapi::api::core::v1::{Container, Namespace, Node, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize;
use std::net::IpAddr;

/// The world, read.
pub(crate) struct Cluster {
    namespaces: Vec<Namespace>,
    pods: Vec<Pod>,
    nodes: Vec<Node>,
    pub(crate) network_policies: Vec<NetworkPolicy>,
    pub(crate) cluster_network_policies: Vec<ClusterNetworkPolicy>,
}

/// What an end of a flow is. Nothing is set for an end that does not exist or whose pod has completed.
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

pub(crate) fn namespace(meta: &ObjectMeta) -> &str {
    or_default(meta.namespace.as_deref().unwrap_or_default())
}

/// Whether some port of this pod has this name, protocol and number.
pub(crate) fn has_named_port(pod: &Pod, port_name: &str, protocol: &str, number: u16) -> bool {
    let Some(spec) = &pod.spec else { return false };
    //# "this init container will be continually restarted on exit until all regular containers have terminated ... often referred to
    //# as a "sidecar" container"
    let is_sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(is_sidecar);
    spec.containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .any(|port| {
            port.name.as_deref() == Some(port_name)
            // ContainerPort.protocol:
            //# "Protocol for port. Must be UDP, TCP, or SCTP. Defaults to "TCP"."
            && port.protocol.as_deref().unwrap_or("TCP") == protocol
            && port.container_port == i32::from(number)
        })
}

fn or_default(namespace: &str) -> &str {
    if namespace.is_empty() { "default" } else { namespace }
}

fn uses_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false)
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// PodStatus.phase:
//# "Succeeded: All containers in the pod have terminated in success, and will not be restarted.
//#  Failed: All containers in the pod have terminated"
fn has_completed(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn pod_addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let listed = status.pod_ips.iter().flatten().map(|ip| &ip.ip);
    listed.chain(&status.pod_ip).filter_map(|ip| ip.parse().ok()).collect()
}

fn host_addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let listed = status.host_ips.iter().flatten().map(|ip| &ip.ip);
    listed.chain(&status.host_ip).filter_map(|ip| ip.parse().ok()).collect()
}

/// The addresses of a node; of one type, or of all types.
fn node_addresses(node: &Node, of_type: Option<&str>) -> Vec<IpAddr> {
    let all = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let wanted = all.filter(|address| of_type.is_none_or(|of_type| address.type_ == of_type));
    wanted.filter_map(|address| address.address.parse().ok()).collect()
}

fn of_family(addresses: Vec<IpAddr>, family: Family) -> Option<IpAddr> {
    addresses.into_iter().find(|address| address.is_ipv4() == (family == Family::V4))
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn read(world: &World) -> Self {
        Self {
            namespaces: of_kind(world, "v1", "Namespace"),
            pods: of_kind(world, "v1", "Pod"),
            nodes: of_kind(world, "v1", "Node"),
            network_policies: of_kind(world, "networking.k8s.io/v1", "NetworkPolicy"),
            cluster_network_policies: of_kind(
                world,
                "policy.networking.k8s.io/v1alpha2",
                "ClusterNetworkPolicy",
            ),
        }
    }

    /// What an end is.
    pub(crate) fn party<'c>(&'c self, end: &'c End, family: Family) -> Party<'c> {
        match end {
            End::Pod { namespace: of, name: called } => {
                let found = self.pods.iter().find(|pod| {
                    namespace(&pod.metadata) == or_default(of) && name(&pod.metadata) == called
                });
                found.map(|pod| self.pod(pod, family)).unwrap_or_default()
            }
            End::Address(address) => {
                let live =
                    self.pods.iter().filter(|pod| !uses_host_network(pod) && !has_completed(pod));
                match live.into_iter().find(|pod| pod_addresses(pod).contains(address)) {
                    Some(pod) => self.pod(pod, family),
                    None => Party { address: Some(*address), ..Party::default() },
                }
            }
            End::Domain(domain) => Party { domain: Some(domain), ..Party::default() },
        }
    }

    fn pod<'c>(&'c self, pod: &'c Pod, family: Family) -> Party<'c> {
        if has_completed(pod) {
            return Party::default();
        }
        if !uses_host_network(pod) {
            return Party {
                pod: Some(pod),
                address: of_family(pod_addresses(pod), family),
                ..Party::default()
            };
        }
        // What policies are to hostNetwork pods is undefined. Moat: they are their node's address, and no selector sees them.
        let node = node_name(pod);
        let internal = || {
            self.node(node?)
                .and_then(|node| of_family(node_addresses(node, Some("InternalIP")), family))
        };
        Party {
            node,
            address: of_family(host_addresses(pod), family).or_else(internal),
            ..Party::default()
        }
    }

    fn node(&self, called: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| name(&node.metadata) == called)
    }

    /// Whether traffic from this party comes from the node that the pod runs on.
    pub(crate) fn is_own_node(&self, from: &Party, pod: &Pod) -> bool {
        match (from.pod, from.node, from.address) {
            (Some(_), _, _) => false,
            (None, Some(node), _) => node_name(pod) == Some(node),
            (None, None, Some(address)) => {
                let node = node_name(pod).and_then(|called| self.node(called));
                host_addresses(pod).contains(&address)
                    || node.is_some_and(|node| node_addresses(node, None).contains(&address))
            }
            (None, None, None) => false,
        }
    }

    /// Whether the party is a node that the selector selects.
    pub(crate) fn is_selected_node(&self, party: &Party, selector: &LabelSelector) -> bool {
        let selected =
            |node: &&Node| selects(selector, &node.metadata.labels.clone().unwrap_or_default());
        self.nodes.iter().filter(selected).any(|node| {
            //# "It selects the nodeIPs as the peer type by matching on the IPs present in the node.Status.Addresses field of the node."
            let by_address =
                party.address.is_some_and(|address| node_addresses(node, None).contains(&address));
            party.pod.is_none() && (by_address || party.node == Some(name(&node.metadata)))
        })
    }

    pub(crate) fn pod_labels(pod: &Pod) -> Labels {
        pod.metadata.labels.clone().unwrap_or_default()
    }

    /// The labels of the pod's namespace, whether or not the world has an object for it.
    pub(crate) fn namespace_labels(&self, pod: &Pod) -> Labels {
        let called = namespace(&pod.metadata);
        let object = self.namespaces.iter().find(|namespace| name(&namespace.metadata) == called);
        let mut labels =
            object.and_then(|namespace| namespace.metadata.labels.clone()).unwrap_or_default();
        // The concepts page: "The Kubernetes control plane sets an immutable label kubernetes.io/metadata.name on all namespaces, the
        // value of the label is the namespace name."
        labels.insert("kubernetes.io/metadata.name".to_owned(), called.to_owned());
        labels
    }
}

fn of_kind<'w, T: Deserialize<'w>>(world: &'w World, api_version: &str, kind: &str) -> Vec<T> {
    let text = |object: &'w serde_json::Value, field| {
        object.get(field).and_then(serde_json::Value::as_str)
    };
    let ours = world.objects.iter().filter(|object| {
        text(object, "apiVersion") == Some(api_version) && text(object, "kind") == Some(kind)
    });
    ours.filter_map(|object| T::deserialize(object).ok()).collect()
}
