//! Services: defaults and rules. What they are given is in the files beside.

mod allocate;
mod families;

pub(crate) use allocate::allocate;

use super::{PLAIN, Strategy, check};
use crate::names::Rule;
use crate::object::{child_mut, default, list, map_mut, number, text};
use crate::status::Cause;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub(super) const STRATEGY: Strategy = Strategy {
    names: Rule::Label,
    returns_deleted: true,
    default: defaults,
    update,
    validate,
    validate_update: |new, old, causes| {
        let port = |object: &Value| object["spec"]["healthCheckNodePort"].clone();
        if needs_health_port(&new["spec"])
            && needs_health_port(&old["spec"])
            && port(new) != port(old)
        {
            causes.push(Cause::forbidden("spec.healthCheckNodePort", check::IMMUTABLE));
        }
    },
    ..PLAIN
};

/// Whether balancers ask nodes on a port of its own which of them have endpoints.
fn needs_health_port(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

fn is_external(spec: &Map<String, Value>) -> bool {
    spec.get("type").is_some_and(|kind| kind == "ExternalName")
}

/// Whether a list has something in it.
fn list_of(spec: &Map<String, Value>, field: &str) -> bool {
    spec.get(field).and_then(Value::as_array).is_some_and(|items| !items.is_empty())
}

fn defaults(object: &mut Value) {
    let spec = child_mut(object, "spec");
    default(spec, "sessionAffinity", "None");
    default(spec, "type", "ClusterIP");
    if spec["sessionAffinity"] == "ClientIP" {
        let config = map_mut(map_mut(spec, "sessionAffinityConfig"), "clientIP");
        default(config, "timeoutSeconds", 10_800);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(port) = port.as_object_mut() else { continue };
        default(port, "protocol", "TCP");
        if let Some(own) = port.get("port").cloned() {
            default(port, "targetPort", own);
        }
    }
    if !is_external(spec) {
        default(spec, "internalTrafficPolicy", "Cluster");
    }
    let outside = list_of(spec, "externalIPs") && spec["type"] == "ClusterIP";
    if outside || matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if spec["type"] == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
    default(child_mut(object, "status"), "loadBalancer", json!({}));
}

/// An update that names no address keeps the one that there is (`patchAllocatedValues`).
fn update(new: &mut Value, old: &Value) {
    let external = is_external(child_mut(new, "spec"));
    let was_external = text(old, "/spec/type") == "ExternalName";
    let spec = child_mut(new, "spec");
    if external {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.shift_remove(field);
        }
        return;
    }
    if was_external {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if let Some(kept) = old["spec"].get(field) {
            default(spec, field, kept.clone());
        }
    }
    // Who names another address and knows of one alone means that one.
    if spec.get("clusterIP") != old["spec"].get("clusterIP")
        && spec.get("clusterIPs") == old["spec"].get("clusterIPs")
    {
        spec.insert("clusterIPs".to_owned(), json!([spec["clusterIP"]]));
    }
    let (needed, had) = (needs_health_port(&old["spec"]), old["spec"].get("healthCheckNodePort"));
    let needs = spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local";
    match had {
        Some(had) if needed && needs => default(spec, "healthCheckNodePort", had.clone()),
        _ if needed && !needs && spec.get("healthCheckNodePort") == had => {
            spec.shift_remove("healthCheckNodePort");
        }
        _ => {}
    }
    let keeps_ports = matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let same =
            |had: &&Value| had["port"] == port["port"] && had["protocol"] == port["protocol"];
        let had =
            list(old, "/spec/ports").iter().find(same).and_then(|had| had.get("nodePort")).cloned();
        let Some(port) = port.as_object_mut() else { continue };
        match had {
            Some(had) if keeps_ports => default(port, "nodePort", had),
            had if !keeps_ports && port.get("nodePort") == had.as_ref() => {
                port.shift_remove("nodePort");
            }
            _ => {}
        }
    }
}

fn validate(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let kind = text(spec, "/type");
    let headless = spec["clusterIP"] == "None";
    let ports = list(spec, "/ports");
    if ports.is_empty() && kind != "ExternalName" && !headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let why = format!("may not be set to 'None' for {kind} services");
            causes.push(Cause::invalid("spec.clusterIPs[0]", &"None".into(), &why));
        }
        "ExternalName" => external(spec, causes),
        _ => {}
    }
    let mut names = Vec::new();
    for (at, port) in ports.iter().enumerate() {
        own_port(port, 1 < ports.len(), &mut names, &format!("spec.ports[{at}]"), causes);
    }
    check::labels(&spec["selector"], "spec.selector", causes);
    let path = "spec.sessionAffinity";
    check::one_of(&spec["sessionAffinity"], path, &["ClientIP", "None"], causes);
    affinity(spec, causes);
    for (at, ip) in list(spec, "/externalIPs").iter().enumerate() {
        let path = format!("spec.externalIPs[{at}]");
        if let Some(ip) = check::ip(ip.as_str().unwrap_or_default(), &path, causes) {
            super::endpoints::reachable(ip, &path, causes);
        }
    }
    let known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    check::one_of(&spec["type"], "spec.type", &known, causes);
    distinct_ports(kind, ports, causes);
    let ranges = list(spec, "/loadBalancerSourceRanges");
    if !ranges.is_empty() && kind != "LoadBalancer" {
        let why = "may only be used when `type` is 'LoadBalancer'";
        causes.push(Cause::forbidden("spec.LoadBalancerSourceRanges", why));
    }
    for (at, range) in ranges.iter().enumerate() {
        let path = format!("spec.LoadBalancerSourceRanges[{at}]");
        check::cidr(range.as_str().unwrap_or_default().trim(), &path, causes);
    }
    if !spec["allocateLoadBalancerNodePorts"].is_null() && kind != "LoadBalancer" {
        let why = "may only be used when `type` is 'LoadBalancer'";
        causes.push(Cause::forbidden("spec.allocateLoadBalancerNodePorts", why));
    }
    traffic(spec, kind, causes);
}

fn external(spec: &Value, causes: &mut Vec<Cause>) {
    let name = text(spec, "/externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    } else {
        check::name(Rule::Subdomain, name, "spec.externalName", causes);
    }
}

fn own_port<'a>(
    port: &'a Value,
    several: bool,
    names: &mut Vec<&'a str>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let (name, field) = (text(port, "/name"), format!("{path}.name"));
    if !name.is_empty() {
        check::name(Rule::Label, name, &field, causes);
        causes.extend(check::distinct(names, name, &field));
    } else if several {
        causes.push(Cause::required(field, ""));
    }
    let own = number(port, "/port").unwrap_or(0);
    check::port_number(own, &format!("{path}.port"), causes);
    check::protocol(port, path, causes);
    check::port(&port["targetPort"], &format!("{path}.targetPort"), causes);
    if let Some(protocol) = port["appProtocol"].as_str() {
        check::qualified(protocol, &format!("{path}.appProtocol"), causes);
    }
}

fn affinity(spec: &Value, causes: &mut Vec<Cause>) {
    let config = &spec["sessionAffinityConfig"];
    if spec["sessionAffinity"] == "None" && config.is_object() {
        let why = "must not be set when session affinity is None";
        causes.push(Cause::forbidden("spec.sessionAffinityConfig", why));
    }
    if let Some(seconds) = number(config, "/clientIP/timeoutSeconds")
        && !(1..=86_400).contains(&seconds)
    {
        let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        let why = "must be greater than 0 and less than 86400";
        causes.push(Cause::invalid(path, &seconds.into(), why));
    }
}

fn distinct_ports(kind: &str, ports: &[Value], causes: &mut Vec<Cause>) {
    let mut nodes = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let Some(node) = number(port, "/nodePort").filter(|node| *node != 0) else { continue };
        let path = format!("spec.ports[{at}].nodePort");
        if kind == "ClusterIP" {
            let why = "may not be used when `type` is 'ClusterIP'";
            causes.push(Cause::forbidden(&path, why));
        }
        if !nodes.insert((node, text(port, "/protocol"))) {
            causes.push(Cause::duplicate(&path, &node.into()));
        }
    }
    let mut numbers = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let own = number(port, "/port").unwrap_or(0);
        if !numbers.insert((own, text(port, "/protocol"))) {
            // As upstream shows it: a structure of Go's, with the two fields that are compared.
            let shown = json!({
                "Name": "", "Protocol": port["protocol"], "AppProtocol": null, "Port": own, "TargetPort": 0, "NodePort": 0,
            });
            causes.push(Cause::duplicate(format!("spec.ports[{at}]"), &shown));
        }
    }
}

fn traffic(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let policy = &spec["externalTrafficPolicy"];
    let outside = matches!(kind, "LoadBalancer" | "NodePort")
        || kind == "ClusterIP" && !list(spec, "/externalIPs").is_empty();
    if outside {
        let path = "spec.externalTrafficPolicy";
        check::one_of(policy, path, &["Cluster", "Local"], causes);
    } else if policy.as_str().is_some_and(|policy| !policy.is_empty()) {
        let why = "may only be set for externally-accessible services";
        causes.push(Cause::invalid("spec.externalTrafficPolicy", policy, why));
    }
    let port = &spec["healthCheckNodePort"];
    match port.as_i64().unwrap_or(0) {
        0 => {}
        own if needs_health_port(spec) => {
            check::port_number(own, "spec.healthCheckNodePort", causes);
        }
        _ => {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            causes.push(Cause::invalid("spec.healthCheckNodePort", port, why));
        }
    }
    let policy = &spec["internalTrafficPolicy"];
    check::maybe_one_of(policy, "spec.internalTrafficPolicy", &["Cluster", "Local"], causes);
    let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    let path = "spec.trafficDistribution";
    check::maybe_one_of(&spec["trafficDistribution"], path, &known, causes);
}
