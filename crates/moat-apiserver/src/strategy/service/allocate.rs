//! The addresses and ports that Services are given.

use super::{families, is_external};
use crate::api::Api;
use crate::kinds::Served;
use crate::object::{child_mut, decode, list, number, text};
use crate::service_range::ServiceRange;
use crate::stamp::random;
use crate::status::{Cause, Status};
use crate::strategy::check;
use moat_store::{List, Scope};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Ports that nodes open for Services.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

const OUT_OF_RANGE: &str =
    "provided port is not in the valid range. The range of valid ports is 30000-32767";
const TAKEN: &str = "provided port is already allocated";

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
    let mut taken = Taken::of(api, served, &own);
    let invalid = |cause: Cause| Status::invalid(served.kind.about_kind(), &name, &[cause]);
    let spec = child_mut(object, "spec");
    if is_external(spec) {
        return Ok(());
    }
    families::settle(spec, old)
        .map_err(|causes| Status::invalid(served.kind.about_kind(), &name, &causes))?;
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
                invalid(Cause::invalid("spec.clusterIPs[0]", &text.into(), check::IP))
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
    node_ports(spec, &mut taken, invalid)?;
    health_port(spec, &mut taken)
}

/// The port on which nodes say whether they have endpoints.
fn health_port(spec: &mut Map<String, Value>, taken: &mut Taken) -> Result<(), Status> {
    if spec["type"] != "LoadBalancer" || spec.get("externalTrafficPolicy") != Some(&json!("Local"))
    {
        return Ok(());
    }
    let named = spec.get("healthCheckNodePort").and_then(Value::as_i64).filter(|port| *port != 0);
    let refuse = |port: i64, why: &str| {
        Err(Status::unknown(format!(
            "failed to allocate requested HealthCheck NodePort {port}: {why}"
        )))
    };
    let port = match named {
        Some(port) if !NODE_PORTS.contains(&port) => {
            return refuse(port, OUT_OF_RANGE);
        }
        Some(port) if taken.ports.contains(&port) => {
            return refuse(port, TAKEN);
        }
        Some(port) => port,
        None => taken.free_port().ok_or_else(|| {
            Status::unknown("failed to allocate a HealthCheck NodePort 0: range is full")
        })?,
    };
    taken.ports.insert(port);
    spec.insert("healthCheckNodePort".to_owned(), port.into());
    Ok(())
}

fn node_ports(
    spec: &mut Map<String, Value>,
    taken: &mut Taken,
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
                return Err(invalid(Cause::invalid(field, &node.into(), OUT_OF_RANGE)));
            }
            Some(node) if taken.ports.contains(&node) => {
                let field = format!("spec.ports[{at}].nodePort");
                return Err(invalid(Cause::invalid(field, &node.into(), TAKEN)));
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
            taken.ports.extend(number(&service, "/spec/healthCheckNodePort"));
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
