//! The wire objects that policies talk about, and what an end of a flow is among them.

use crate::cluster_network_policy::ClusterNetworkPolicy;
use crate::selector::{Labels, selects};
use crate::{End, Family, Traffic, World};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
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
    or_default(meta.namespace.as_deref().unwrap_or_default())
}

/// Whether the traffic goes to the port that its destination pod calls by this name.
pub(crate) fn has_named_port(called: &str, traffic: Traffic) -> bool {
    let Some(spec) = traffic.to.pod.and_then(|pod| pod.spec.as_ref()) else { return false };
    // An init container with restart policy `Always`:
    //# "This lifecycle differs from normal init containers and is often referred to as a "sidecar"
    //# container."
    let init = spec.init_containers.iter().flatten();
    let sidecars = init.filter(|init| init.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(sidecars);
    containers.flat_map(|container| container.ports.iter().flatten()).any(|port| {
        // ContainerPort.protocol:
        //# "Must be UDP, TCP, or SCTP. Defaults to "TCP"."
        port.name.as_deref() == Some(called)
            && port.protocol.as_deref().unwrap_or("TCP") == traffic.protocol
            && port.container_port == i32::from(traffic.port)
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

/// Whether it is over with the pod: PodStatus.phase says so.
fn has_completed(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
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

fn of_family(addresses: Vec<IpAddr>, family: Family) -> Option<IpAddr> {
    addresses.into_iter().find(|address| address.is_ipv4() == (family == Family::V4))
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn read(world: &World) -> Self {
        let mut pods: Vec<Pod> = of_kind(world, "v1", "Pod");
        pods.retain(|pod| !has_completed(pod));
        let cluster_policies = "policy.networking.k8s.io/v1alpha2";
        Self {
            namespaces: of_kind(world, "v1", "Namespace"),
            pods,
            nodes: of_kind(world, "v1", "Node"),
            network_policies: of_kind(world, "networking.k8s.io/v1", "NetworkPolicy"),
            cluster_network_policies: of_kind(world, cluster_policies, "ClusterNetworkPolicy"),
        }
    }

    /// What an end is.
    pub(crate) fn party<'c>(&'c self, end: &'c End, family: Family) -> Party<'c> {
        let mut pods = self.pods.iter();
        let pod = match end {
            End::Pod { namespace: of, name: called } => pods.find(|pod| {
                namespace(&pod.metadata) == or_default(of) && name(&pod.metadata) == called
            }),
            End::Address(address) => {
                pods.find(|pod| !uses_host_network(pod) && pod_addresses(pod).contains(address))
            }
            End::Domain(_) => None,
        };
        match (end, pod) {
            // What policies are to hostNetwork pods is undefined. Moat: no selector sees them, and
            // they are their node's address.
            (_, Some(pod)) if uses_host_network(pod) => {
                let node = node_name(pod).and_then(|called| self.node(called));
                let internal = node.map(|node| node_addresses(node, Some("InternalIP")));
                let addresses = [host_addresses(pod), internal.unwrap_or_default()].concat();
                let address = of_family(addresses, family);
                Party { node: node_name(pod), address, ..Party::default() }
            }
            (_, Some(pod)) => {
                let address = of_family(pod_addresses(pod), family);
                Party { pod: Some(pod), address, ..Party::default() }
            }
            (End::Address(address), None) => Party { address: Some(*address), ..Party::default() },
            (End::Domain(domain), None) => Party { domain: Some(domain), ..Party::default() },
            (End::Pod { .. }, None) => Party::default(),
        }
    }

    fn node(&self, called: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| name(&node.metadata) == called)
    }

    /// Whether traffic from this party comes from the node that the pod runs on.
    pub(crate) fn is_own_node(&self, from: &Party, pod: &Pod) -> bool {
        if from.pod.is_some() || from.node.is_some() {
            return from.node.is_some() && from.node == node_name(pod);
        }
        let node = node_name(pod).and_then(|called| self.node(called));
        let listed = node.map(|node| node_addresses(node, None)).unwrap_or_default();
        let own = [listed, host_addresses(pod)].concat();
        from.address.is_some_and(|address| own.contains(&address))
    }

    /// Whether the party is a node that the selector selects.
    pub(crate) fn is_selected_node(&self, party: &Party, selector: &LabelSelector) -> bool {
        party.pod.is_none()
            && self.nodes.iter().any(|node| {
                //# "It selects the nodeIPs as the peer type by matching on the IPs present in the
                //# node.Status.Addresses field of the node."
                let addresses = node_addresses(node, None);
                let by_address = party.address.is_some_and(|address| addresses.contains(&address));
                let is_node = by_address || party.node == Some(name(&node.metadata));
                is_node && selects(selector, &node.metadata.labels.clone().unwrap_or_default())
            })
    }

    pub(crate) fn pod_labels(pod: &Pod) -> Labels {
        pod.metadata.labels.clone().unwrap_or_default()
    }

    /// The labels of the pod's namespace, whether or not the world has an object for it.
    pub(crate) fn namespace_labels(&self, pod: &Pod) -> Labels {
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

fn of_kind<'w, T: Deserialize<'w>>(world: &'w World, api_version: &str, kind: &str) -> Vec<T> {
    let ours = |object: &&serde_json::Value| {
        object.get("apiVersion").is_some_and(|found| found == api_version)
            && object.get("kind").is_some_and(|found| found == kind)
    };
    world.objects.iter().filter(ours).filter_map(|object| T::deserialize(object).ok()).collect()
}
