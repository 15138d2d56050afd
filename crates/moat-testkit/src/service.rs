//! Services over wire objects, as the corpus means them: a destination that goes to every backend.

use crate::Json;
use crate::wire;

/// A pod behind a Service port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The port it is reached on.
    pub port: u16,
}

/// The backends of a Service port, given by number or name; none when the Service or its port does not exist.
#[must_use]
pub fn backends(
    objects: &[Json],
    namespace: &str,
    name: &str,
    port: &str,
    protocol: &str,
) -> Vec<Backend> {
    let Some(service) = wire::of_kind(objects, "Service")
        .find(|one| wire::namespace(one) == namespace && wire::name(one) == name)
    else {
        return Vec::new();
    };
    let spec = &service["spec"];
    let wanted = |one: &&Json| {
        let named = one["name"].as_str() == Some(port)
            || one["port"].as_u64().is_some_and(|number| number.to_string() == port);
        named && one["protocol"].as_str().unwrap_or("TCP") == protocol
    };
    let Some(found) = wire::items(&spec["ports"]).iter().find(wanted) else { return Vec::new() };
    let number = u16::try_from(found["port"].as_u64().unwrap()).unwrap();
    let Some(selector) = spec["selector"].as_object().filter(|selector| !selector.is_empty())
    else {
        return Vec::new();
    };
    let mut out = Vec::new();
    // A workload stands for its pods: `deployment/name`, with the labels and ports of its template.
    let workloads = wire::of_kind(objects, "Deployment").map(|one| {
        (&one["spec"]["template"], wire::namespace(one), format!("deployment/{}", wire::name(one)))
    });
    let pods = wire::of_kind(objects, "Pod")
        .map(|one| (one, wire::namespace(one), wire::name(one).to_owned()));
    for (pod, _, called) in pods.chain(workloads).filter(|(_, own, _)| *own == namespace) {
        if selector.iter().any(|(key, value)| pod["metadata"]["labels"].get(key) != Some(value)) {
            continue;
        }
        let target = match &found["targetPort"] {
            _ if spec["clusterIP"] == "None" => Some(number),
            Json::Null => Some(number),
            Json::String(port) => container_port(pod, port, protocol),
            other => other.as_u64().and_then(|number| u16::try_from(number).ok()),
        };
        if let Some(port) = target {
            out.push(Backend { namespace: namespace.to_owned(), name: called, port });
        }
    }
    out
}

/// The number of a pod's named port.
#[must_use]
pub fn container_port(pod: &Json, name: &str, protocol: &str) -> Option<u16> {
    let containers = wire::items(&pod["spec"]["containers"])
        .iter()
        .chain(wire::items(&pod["spec"]["initContainers"]));
    let mut ports = containers.flat_map(|container| wire::items(&container["ports"]));
    let found = ports.find(|port| {
        port["name"].as_str() == Some(name)
            && port["protocol"].as_str().unwrap_or("TCP") == protocol
    })?;
    u16::try_from(found["containerPort"].as_u64()?).ok()
}
