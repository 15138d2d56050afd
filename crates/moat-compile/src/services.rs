//! Services resolved to the pods behind them.

use crate::compile::{index, origin};
use moat_ir::{Bound, End, PodIdx, ServiceInfo, ServicePortInfo};
use moat_model::inventory::{Inventory, Service, ServicePort, TargetPort};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Resolves every Service of the inventory against the pods of a bound form of the same inventory.
#[must_use]
pub fn services(inventory: &Inventory, bound: &Bound) -> Vec<ServiceInfo> {
    let mut by_namespace: FxHashMap<&str, Vec<PodIdx>> = FxHashMap::default();
    for (idx, pod) in bound.pods.iter().enumerate().filter(|(_, pod)| !pod.finished) {
        by_namespace.entry(&pod.namespace).or_default().push(index(idx));
    }
    inventory
        .services
        .iter()
        .map(|service| {
            let own = by_namespace.get(service.namespace.as_ref()).map_or(&[][..], Vec::as_slice);
            //# selector: "Route service traffic to pods with label keys and values matching this selector."
            let selected: Vec<PodIdx> = match &service.selector {
                Some(selector) => own
                    .iter()
                    .copied()
                    .filter(|&pod| selector.matches(&bound.pod(pod).labels))
                    .collect(),
                None => Vec::new(),
            };
            let ports = service
                .ports
                .iter()
                .map(|port| service_port(service, port, &selected, bound))
                .collect();
            ServiceInfo {
                namespace: service.namespace.clone(),
                name: service.name.clone(),
                origin: origin(service.span),
                headless: service.headless,
                external_name: service.external_name.clone(),
                addresses: service.addresses.clone(),
                external: service.external,
                entrances: inventory
                    .entrances
                    .iter()
                    .filter(|door| {
                        door.namespace == service.namespace && door.service == service.name
                    })
                    .map(|door| {
                        format!(
                            "ingress {}/{} ({}{})",
                            door.namespace, door.name, door.host, door.path
                        )
                        .into()
                    })
                    .collect(),
                ports,
            }
        })
        .collect()
}

fn service_port(
    service: &Service,
    port: &ServicePort,
    selected: &[PodIdx],
    bound: &Bound,
) -> ServicePortInfo {
    let mut backends = Vec::new();
    let mut without_port = Vec::new();
    for &pod in selected {
        let target = match &port.target {
            // The DNS name of a headless Service gives pod addresses; nothing translates the port a client uses.
            _ if service.headless => Some(port.port),
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => bound
                .pod(pod)
                .ports
                .iter()
                .find(|(have, protocol, _)| {
                    have.as_ref() == Some(name) && *protocol == port.protocol
                })
                .map(|&(_, _, number)| number),
        };
        match target {
            Some(number) => backends.push((End::Pod(pod), number)),
            None => without_port.push(pod),
        }
    }
    for endpoint in &service.endpoints {
        let same_name = endpoint.port_name == port.name
            || (endpoint.port_name.is_none() && service.ports.len() == 1);
        if same_name && endpoint.protocol == port.protocol {
            let end = bound
                .pod_by_address
                .get(&endpoint.address)
                .map_or(End::Address(endpoint.address), |&pod| End::Pod(pod));
            backends.push((end, endpoint.port));
        }
    }
    let target: Arc<str> = match &port.target {
        TargetPort::Number(number) => number.to_string().into(),
        TargetPort::Name(name) => name.clone(),
    };
    ServicePortInfo {
        name: port.name.clone(),
        protocol: port.protocol,
        port: port.port,
        node_port: port.node_port,
        target,
        backends,
        without_port,
    }
}
