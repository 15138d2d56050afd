//! Services: defaults, rules, and the addresses and ports that they are given.

use super::{PLAIN, Strategy, check};
use crate::api::Api;
use crate::kinds::Served;
use crate::names::Rule;
use crate::object::{child_mut, decode, default, list, map_mut, number, text};
use crate::service_range::ServiceRange;
use crate::stamp::random;
use crate::status::{Cause, Status};
use moat_store::{List, Scope};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Ports that nodes open for Services.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

pub(super) const STRATEGY: Strategy = Strategy {
    names: Rule::Label,
    returns_deleted: true,
    default: defaults,
    update,
    validate,
    ..PLAIN
};

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
    families(spec, causes);
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

/// Families of addresses: this cluster has IPv4.
fn families(spec: &Value, causes: &mut Vec<Cause>) {
    for (at, family) in list(spec, "/ipFamilies").iter().enumerate() {
        let path = format!("spec.ipFamilies[{at}]");
        if family == "IPv6" {
            let why = "not configured on this cluster";
            causes.push(Cause::invalid(path, family, why));
        } else {
            check::maybe_one_of(family, &path, &["IPv4", "IPv6"], causes);
        }
    }
    let policy = &spec["ipFamilyPolicy"];
    let known = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    check::maybe_one_of(policy, "spec.ipFamilyPolicy", &known, causes);
    if policy == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        causes.push(Cause::invalid("spec.ipFamilyPolicy", policy, why));
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
    let policy = &spec["internalTrafficPolicy"];
    check::maybe_one_of(policy, "spec.internalTrafficPolicy", &["Cluster", "Local"], causes);
    let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    let path = "spec.trafficDistribution";
    check::maybe_one_of(&spec["trafficDistribution"], path, &known, causes);
}

/// Gives a Service the address and node ports that it needs and does not name. The caller holds the lock of all Services.
///
/// Errors: what it names is another's, or nothing is left.
pub(crate) fn allocate(
    api: &Api,
    served: &Served,
    old: Option<&Value>,
    object: &mut Value,
) -> Result<(), Status> {
    let name = crate::object::meta(object, "name").to_owned();
    let own = (crate::object::meta(object, "namespace").to_owned(), name.clone());
    let taken = Taken::of(api, served, &own);
    let invalid = |cause: Cause| Status::invalid(served.kind.about_kind(), &name, &[cause]);
    let spec = child_mut(object, "spec");
    if is_external(spec) {
        return Ok(());
    }
    let wanted = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let had = old.map(|old| text(old, "/spec/clusterIP")).filter(|had| !had.is_empty());
    if let Some(had) = had.filter(|had| *had != wanted) {
        let why = format!("may not change once set: was {had:?}");
        return Err(invalid(Cause::invalid("spec.clusterIPs[0]", &json!([wanted]), &why)));
    }
    let address = match wanted.as_str() {
        "" => taken
            .free(api.services)
            .ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))?
            .to_string(),
        "None" => "None".to_owned(),
        text => {
            let parsed: Result<Ipv4Addr, _> = text.parse();
            let address = parsed.map_err(|_| {
                invalid(Cause::invalid(
                    "spec.clusterIPs[0]",
                    &text.into(),
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                ))
            })?;
            if !api.services.contains(address) {
                let why = format!(
                    "failed to allocate IP {text}: the provided network does not match the current range"
                );
                return Err(invalid(Cause::invalid("spec.clusterIPs", &json!([text]), &why)));
            }
            if taken.addresses.contains(&address) {
                let why = format!("failed to allocate IP {text}: provided IP is already allocated");
                return Err(invalid(Cause::invalid("spec.clusterIPs", &json!([text]), &why)));
            }
            text.to_owned()
        }
    };
    spec.insert("clusterIP".to_owned(), address.clone().into());
    spec.insert("clusterIPs".to_owned(), json!([address]));
    default(spec, "ipFamilies", json!(["IPv4"]));
    default(spec, "ipFamilyPolicy", "SingleStack");
    node_ports(spec, taken, invalid)
}

fn node_ports(
    spec: &mut Map<String, Value>,
    mut taken: Taken,
    invalid: impl Fn(Cause) -> Status,
) -> Result<(), Status> {
    let wants = spec["type"] == "NodePort"
        || spec["type"] == "LoadBalancer"
            && spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    let ports =
        spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().enumerate();
    for (at, port) in ports {
        let Some(port) = port.as_object_mut() else { continue };
        let named = port.get("nodePort").and_then(Value::as_i64).filter(|node| *node != 0);
        match named {
            Some(node) if !NODE_PORTS.contains(&node) => {
                let field = format!("spec.ports[{at}].nodePort");
                let why = "provided port is not in the valid range. The range of valid ports is 30000-32767";
                return Err(invalid(Cause::invalid(field, &node.into(), why)));
            }
            Some(node) if taken.ports.contains(&node) => {
                let field = format!("spec.ports[{at}].nodePort");
                return Err(invalid(Cause::invalid(
                    field,
                    &node.into(),
                    "provided port is already allocated",
                )));
            }
            Some(node) => {
                taken.ports.insert(node);
            }
            None if wants => {
                let free = taken.free_port().ok_or_else(|| {
                    Status::internal("failed to allocate a nodePort: range is full")
                })?;
                taken.ports.insert(free);
                port.insert("nodePort".to_owned(), free.into());
            }
            None => {}
        }
    }
    Ok(())
}

/// What other Services have.
struct Taken {
    addresses: BTreeSet<Ipv4Addr>,
    ports: BTreeSet<i64>,
}

impl Taken {
    fn of(api: &Api, served: &Served, own: &(String, String)) -> Self {
        let page = api.store.list(&List::new(&served.resource, Scope::All));
        let mut taken =
            Self { addresses: BTreeSet::from([api.services.first()]), ports: BTreeSet::new() };
        let others = page.map(|page| page.objects).unwrap_or_default();
        for object in &others {
            if object.path.namespace() == Some(&own.0) && object.path.name() == own.1 {
                continue;
            }
            let service = decode(object);
            taken.addresses.extend(text(&service, "/spec/clusterIP").parse::<Ipv4Addr>());
            taken.ports.extend(
                list(&service, "/spec/ports").iter().filter_map(|port| port["nodePort"].as_i64()),
            );
        }
        taken
    }

    /// A free address from a random place on, so that one that was given back is not given to somebody else at once.
    fn free(&self, range: ServiceRange) -> Option<Ipv4Addr> {
        let n = range.n_addresses();
        let start = u32::from_le_bytes(random()) % n;
        (0..n)
            .map(|step| range.address((start + step) % n))
            .find(|one| !self.addresses.contains(one))
    }

    fn free_port(&self) -> Option<i64> {
        let n = NODE_PORTS.end() - NODE_PORTS.start() + 1;
        let start = i64::from(u16::from_le_bytes(random())) % n;
        (0..n)
            .map(|step| NODE_PORTS.start() + (start + step) % n)
            .find(|port| !self.ports.contains(port))
    }
}
