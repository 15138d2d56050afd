//! Nodes, Services, Endpoints, EndpointSlices and Ingresses.

use super::selector::match_labels;
use super::{NULL, meta};
use crate::inventory::{Endpoint, Entrance, Node, Service, ServicePort, TargetPort};
use crate::read::Reader;
use crate::validate;
use crate::value::{Data, Value};
use moat_sets::{Cidr, Protocol, Selector};
use std::net::IpAddr;
use std::sync::Arc;

/// Reads a Node; the second part is the prefixes its pods' addresses come from.
pub(super) fn node<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    name: Arc<str>,
) -> (Node, Vec<Cidr>) {
    let meta = meta::read(reader, value);
    let addresses = value.at(&["status", "addresses"]).unwrap_or(&NULL).items();
    let addresses =
        addresses.iter().filter_map(|item| item.get("address")?.as_str()?.parse().ok()).collect();
    let spec = value.get("spec").unwrap_or(&NULL);
    let cidrs = spec.get("podCIDRs").unwrap_or(&NULL).items().iter().chain(spec.get("podCIDR"));
    let mut cidrs: Vec<Cidr> = cidrs.filter_map(|item| Cidr::parse(item.as_str()?).ok()).collect();
    cidrs.sort_unstable();
    cidrs.dedup();
    (Node { name, span: reader.span(value), labels: meta.labels, addresses }, cidrs)
}

/// Reads a Service.
pub(super) fn service<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    namespace: Arc<str>,
    name: Arc<str>,
) -> Service {
    reader.known(value, &["apiVersion", "kind", "metadata", "spec", "status"]);
    meta::read(reader, value);
    let span = reader.span(value);
    let spec = value.get("spec").unwrap_or(&NULL);
    reader.step(crate::read::Step::Key("spec"), |reader| {
        let kind = reader.string_field(spec, "type").unwrap_or("ClusterIP");
        //# selector: "If empty or not present, the service is assumed to have an external process managing its endpoints"
        let selector = reader
            .field(spec, "selector", match_labels)
            .filter(|found| !found.is_empty())
            .map(Selector::new);
        let headless = spec.get("clusterIP").unwrap_or(&NULL).as_str() == Some("None");
        let ips = ["clusterIPs", "externalIPs"]
            .into_iter()
            .flat_map(|key| spec.get(key).unwrap_or(&NULL).items());
        let balancers = value
            .at(&["status", "loadBalancer", "ingress"])
            .unwrap_or(&NULL)
            .items()
            .iter()
            .filter_map(|item| item.get("ip"));
        let mut addresses: Vec<IpAddr> = ips
            .chain(spec.get("clusterIP"))
            .chain(spec.get("loadBalancerIP"))
            .chain(balancers)
            .filter_map(|item| item.as_str()?.parse().ok())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let ports = reader
            .field(spec, "ports", |reader, list| reader.each(list, service_port))
            .unwrap_or_default();
        Service {
            namespace,
            name,
            span,
            selector: selector.filter(|_| kind != "ExternalName"),
            headless,
            external_name: reader
                .string_field(spec, "externalName")
                .filter(|_| kind == "ExternalName")
                .map(Into::into),
            addresses,
            ports: ports.into_iter().flatten().collect(),
            external: matches!(kind, "NodePort" | "LoadBalancer"),
            endpoints: Vec::new(),
        }
    })
}

fn service_port<'v>(reader: &mut Reader<'v, '_>, value: &'v Value) -> Option<ServicePort> {
    reader.known(value, &["name", "protocol", "appProtocol", "port", "targetPort", "nodePort"]);
    let number = reader.int_field(value, "port").unwrap_or(0);
    if let Some(reason) = validate::port_number(number) {
        reader.invalid_field(value, "port", format!("Invalid value: {number}: {reason}"));
        return None;
    }
    let port = u16::try_from(number).ok()?;
    let protocol = match reader.string_field(value, "protocol") {
        None => Protocol::Tcp,
        Some(text) => {
            match Protocol::WITH_PORTS.into_iter().find(|protocol| protocol.name() == text) {
                Some(protocol) => protocol,
                None => {
                    let message = format!(
                        "Unsupported value: \"{text}\": supported values: \"SCTP\", \"TCP\", \"UDP\""
                    );
                    reader.invalid_field(value, "protocol", message);
                    return None;
                }
            }
        }
    };
    //# targetPort: "If this is not specified, the value of the 'port' field is used (an identity map)."
    let target = match value.get("targetPort").map(|target| &target.data) {
        None | Some(Data::Null) => TargetPort::Number(port),
        Some(Data::Int(0)) => TargetPort::Number(port),
        Some(Data::Int(number)) => match u16::try_from(*number) {
            Ok(number) => TargetPort::Number(number),
            Err(_) => {
                reader.invalid_field(
                    value,
                    "targetPort",
                    format!("Invalid value: {number}: must be between 1 and 65535, inclusive"),
                );
                return None;
            }
        },
        Some(Data::String(name)) => match name.parse() {
            // A quoted number is a port name to the API server, which refuses it; people mean the number.
            Ok(number) => {
                reader.invalid_field(
                    value,
                    "targetPort",
                    format!("Invalid value: \"{name}\": must contain at least one letter (a-z)"),
                );
                TargetPort::Number(number)
            }
            Err(_) => TargetPort::Name(name.as_ref().into()),
        },
        Some(_) => {
            reader.field(value, "targetPort", |reader, at| {
                reader.wrong_type(at, "a port number or a port name");
            });
            return None;
        }
    };
    let node_port = reader
        .int_field(value, "nodePort")
        .and_then(|number| u16::try_from(number).ok())
        .filter(|&number| number > 0);
    Some(ServicePort {
        name: reader.string_field(value, "name").map(Into::into),
        protocol,
        port,
        target,
        node_port,
    })
}

/// Reads Endpoints: the Service of the same name gets these backends.
pub(super) fn endpoints(value: &Value) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for subset in value.get("subsets").unwrap_or(&NULL).items() {
        for address in subset.get("addresses").unwrap_or(&NULL).items() {
            let ip = address.get("ip").and_then(Value::as_str);
            found.extend(backends(ip, subset.get("ports").unwrap_or(&NULL)));
        }
    }
    found
}

/// Reads an EndpointSlice; the second part is the Service it belongs to.
pub(super) fn endpoint_slice(value: &Value) -> (Vec<Endpoint>, Option<&str>) {
    let mut found = Vec::new();
    for endpoint in value.get("endpoints").unwrap_or(&NULL).items() {
        for address in endpoint.get("addresses").unwrap_or(&NULL).items() {
            found.extend(backends(address.as_str(), value.get("ports").unwrap_or(&NULL)));
        }
    }
    (found, value.at(&["metadata", "labels", "kubernetes.io/service-name"]).and_then(Value::as_str))
}

fn backends(ip: Option<&str>, ports: &Value) -> Vec<Endpoint> {
    let Some(address) = ip.and_then(|text| text.parse().ok()) else { return Vec::new() };
    ports
        .items()
        .iter()
        .filter_map(|port| {
            Some(Endpoint {
                address,
                port_name: port.get("name").and_then(Value::as_str).map(Into::into),
                protocol: port
                    .get("protocol")
                    .and_then(Value::as_str)
                    .map_or(Some(Protocol::Tcp), Protocol::parse)?,
                port: u16::try_from(port.get("port")?.as_int()?).ok()?,
            })
        })
        .collect()
}

/// Reads an Ingress as the ways in it names.
pub(super) fn ingress<'v>(
    reader: &mut Reader<'v, '_>,
    value: &'v Value,
    namespace: &Arc<str>,
    name: &Arc<str>,
) -> Vec<Entrance> {
    reader.known(value, &["apiVersion", "kind", "metadata", "spec", "status"]);
    meta::read(reader, value);
    let span = reader.span(value);
    let spec = value.get("spec").unwrap_or(&NULL);
    let entrance = |host: &str, path: &str, backend: &Value| {
        let service = backend.get("service").unwrap_or(&NULL);
        let port = service.get("port").unwrap_or(&NULL);
        let port = port.get("number").and_then(Value::as_int).map(|number| number.to_string());
        let port = port
            .or_else(|| service.at(&["port", "name"])?.as_str().map(str::to_owned))
            .unwrap_or_default();
        Some(Entrance {
            namespace: namespace.clone(),
            name: name.clone(),
            span,
            host: host.to_owned(),
            path: path.to_owned(),
            service: service.get("name")?.as_str()?.into(),
            port,
        })
    };
    let mut found: Vec<Entrance> = spec
        .get("defaultBackend")
        .and_then(|backend| entrance("*", "/", backend))
        .into_iter()
        .collect();
    for rule in spec.get("rules").unwrap_or(&NULL).items() {
        let host = rule.get("host").and_then(Value::as_str).unwrap_or("*");
        for path in rule.at(&["http", "paths"]).unwrap_or(&NULL).items() {
            let text = path.get("path").and_then(Value::as_str).unwrap_or("/");
            found.extend(path.get("backend").and_then(|backend| entrance(host, text, backend)));
        }
    }
    found
}
