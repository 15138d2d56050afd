//! The Node objects that the cluster registers, and the leases by which they say that they live.

use jiff::Timestamp;
use moat_sets::Cidr;
use serde_json::{Value, json};
use std::net::IpAddr;

/// On a node's label and annotation: that nothing runs on it. `kubectl get nodes` shows it as a role.
pub const ROLE: &str = "node-role.kubernetes.io/fake";
/// An annotation of a node: `"true"` and the fake node falls silent, as one does that lost its power.
pub const DOWN: &str = "moat.dev/fake-down";
/// How long a lease holds.
const LEASE_SECONDS: u32 = 40;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Pods on it get a status and no container.
    Fake,
    /// Pods are placed on it and wait for a node agent.
    Agentless,
}

/// What a node offers to pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// `8`, `500m`.
    pub cpu: String,
    /// `32Gi`.
    pub memory: String,
    /// How many pods.
    pub pods: u32,
}

impl Default for Capacity {
    /// 8 CPUs, 32 GiB and Kubernetes' 110 pods.
    fn default() -> Self {
        Self { cpu: "8".to_owned(), memory: "32Gi".to_owned(), pods: 110 }
    }
}

/// A node as it is to be registered.
#[derive(Clone, Debug)]
pub struct Spec<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub sort: Sort,
    /// Labels besides those that every node has.
    pub labels: &'a [(String, String)],
    /// What it offers.
    pub capacity: &'a Capacity,
    /// Its address.
    pub address: IpAddr,
    /// Its pods' addresses.
    pub pods: Cidr,
    /// The version that `kubectl get nodes` shows.
    pub version: &'a str,
}

fn second(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The architecture in Go's words, which the label `kubernetes.io/arch` uses.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// The object of a machine that joins, without addresses of pods: nobody routes to it.
pub fn joined(name: &str) -> Value {
    json!({
        "kind": "Node", "apiVersion": "v1", "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch(),
        } },
    })
}

/// The object without its status, as `create` takes it.
pub fn object(spec: &Spec<'_>) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": spec.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch(),
        "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": arch(),
    });
    if spec.sort == Sort::Fake {
        labels[ROLE] = "".into();
    }
    for (key, value) in spec.labels {
        labels[key.as_str()] = value.as_str().into();
    }
    json!({
        "kind": "Node", "apiVersion": "v1", "metadata": { "name": spec.name, "labels": labels },
        "spec": { "podCIDR": spec.pods.to_string(), "podCIDRs": [spec.pods.to_string()] },
    })
}

/// The status that the node reports, over what it reported before.
pub fn status(spec: &Spec<'_>, old: &Value, now: Timestamp) -> Value {
    let (reason, message, image, runtime) = match spec.sort {
        Sort::Fake => (
            "FakeNode",
            "a fake node: pods on it get a status, and no container runs",
            "none: a fake node, no container runs",
            "fake://",
        ),
        Sort::Agentless => (
            "NoNodeAgent",
            "pods are placed on this node and wait: this version of moat has no node agent that would start them",
            "none: no node agent yet",
            "none://",
        ),
    };
    let offered = json!({
        "cpu": spec.capacity.cpu, "memory": spec.capacity.memory, "pods": spec.capacity.pods.to_string(), "ephemeral-storage": "100Gi",
    });
    let stamp = second(now);
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        let before = old["conditions"].as_array().into_iter().flatten();
        let same = before.into_iter().find(|one| one["type"] == kind && one["status"] == status);
        let since = same.and_then(|one| one["lastTransitionTime"].as_str()).unwrap_or(&stamp);
        json!({
            "type": kind, "status": status, "lastHeartbeatTime": stamp, "lastTransitionTime": since, "reason": reason, "message": message,
        })
    };
    json!({
        "capacity": offered, "allocatable": offered,
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "nothing runs, so nothing is short"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "nothing runs, so nothing is short"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "nothing runs, so nothing is short"),
            condition("Ready", "True", reason, message),
        ],
        "addresses": [
            { "type": "InternalIP", "address": spec.address.to_string() },
            { "type": "Hostname", "address": spec.name },
        ],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 0 } },
        "nodeInfo": {
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "none", "osImage": image,
            "containerRuntimeVersion": format!("{runtime}{}", env!("CARGO_PKG_VERSION")),
            "kubeletVersion": spec.version, "kubeProxyVersion": spec.version, "operatingSystem": "linux", "architecture": arch(),
        },
        "images": [],
    })
}

/// A node's lease, held from now on.
pub fn lease(node: &str, uid: &str, now: Timestamp) -> Value {
    json!({
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": { "name": node, "namespace": "kube-node-lease", "ownerReferences": [
            { "apiVersion": "v1", "kind": "Node", "name": node, "uid": uid },
        ]},
        "spec": { "holderIdentity": node, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": micros(now) },
    })
}

/// A time as the API's `MicroTime`.
pub fn micros(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_that_it_is_fake_and_since_when_it_is_ready() {
        let capacity = Capacity::default();
        let labels = [("zone".to_owned(), "a".to_owned())];
        let spec = Spec {
            name: "fake-1",
            sort: Sort::Fake,
            labels: &labels,
            capacity: &capacity,
            address: "172.30.0.1".parse().unwrap(),
            pods: Cidr::parse("10.244.0.0/24").unwrap(),
            version: "v1.36.0",
        };
        let node = object(&spec);
        assert_eq!(node["metadata"]["labels"][ROLE], "");
        assert_eq!(node["metadata"]["labels"]["zone"], "a");
        assert_eq!(node["spec"]["podCIDRs"][0], "10.244.0.0/24");
        let first = status(&spec, &Value::Null, Timestamp::from_second(0).unwrap());
        let later = status(&spec, &first, Timestamp::from_second(60).unwrap());
        let ready = &later["conditions"][3];
        assert_eq!(ready["lastHeartbeatTime"], "1970-01-01T00:01:00Z");
        assert_eq!(ready["lastTransitionTime"], "1970-01-01T00:00:00Z");
        assert_eq!(
            micros(Timestamp::from_microsecond(1_500_000).unwrap()),
            "1970-01-01T00:00:01.500000Z"
        );
    }
}
