//! Which addresses stand behind a Service, and into which slices they go.

use crate::json::{list, text};
use crate::pod::{Pod, PodItem};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Endpoints of one slice, as upstream has it.
pub(crate) const PER_SLICE: usize = 100;

/// Ports of a slice, as they stand in it; slices of a Service differ where pods give a name different numbers.
type Ports = Vec<Value>;

/// The endpoints of a Service: by family and ports, by the pod's uid.
pub(crate) type Desired = BTreeMap<(&'static str, String), (Ports, BTreeMap<Box<str>, Value>)>;

pub(crate) fn desired(service: &Value, pods: &[PodItem]) -> Desired {
    let mut all = Desired::new();
    let spec = &service["spec"];
    let mut families: Vec<&str> =
        list(spec, "/ipFamilies").iter().filter_map(Value::as_str).collect();
    if families.is_empty() {
        families = vec!["IPv4"];
    }
    let publishes = spec["publishNotReadyAddresses"] == true;
    for pod in pods {
        let value = &pod.value;
        if value.is_over() || value.status.pod_ip.is_empty() {
            continue;
        }
        let ports = ports(spec, value);
        let key = Value::from(ports.clone()).to_string();
        let terminating = pod.meta.is_deleting();
        let serving = value.is_ready();
        let ready = publishes || serving && !terminating;
        for family in ["IPv4", "IPv6"] {
            if !families.contains(&family) {
                continue;
            }
            let six = family == "IPv6";
            let own = value.status.pod_ips.iter().map(|one| &*one.ip);
            let Some(address) =
                own.chain([&*value.status.pod_ip]).find(|ip| ip.contains(':') == six)
            else {
                continue;
            };
            let mut endpoint = json!({
                "addresses": [address],
                "conditions": { "ready": ready, "serving": serving, "terminating": terminating },
                "targetRef": { "kind": "Pod", "namespace": pod.meta.namespace, "name": pod.meta.name, "uid": pod.meta.uid },
            });
            if !value.spec.node_name.is_empty() {
                endpoint["nodeName"] = (*value.spec.node_name).into();
            }
            // A name of its own in the Service's domain.
            if !value.spec.hostname.is_empty()
                && *value.spec.subdomain == *text(service, "/metadata/name")
            {
                endpoint["hostname"] = (*value.spec.hostname).into();
            }
            let slot = all
                .entry((family, key.clone()))
                .or_insert_with(|| (ports.clone(), BTreeMap::new()));
            slot.1.insert(pod.meta.uid.clone(), endpoint);
        }
    }
    all
}

/// The Service's ports with the numbers that a pod gives them; those it has no number for are left out.
fn ports(spec: &Value, pod: &Pod) -> Ports {
    let mut found = Vec::new();
    for port in list(spec, "/ports") {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let number = match &port["targetPort"] {
            Value::String(name) => pod
                .spec
                .containers
                .iter()
                .flat_map(|container| &container.ports)
                .find(|own| *own.name == **name && *own.protocol == *protocol)
                .map(|own| own.container_port),
            Value::Number(number) => number.as_i64(),
            _ => port["port"].as_i64(),
        };
        let Some(number) = number else { continue };
        let mut one = json!({ "name": port["name"].as_str().unwrap_or_default(), "port": number, "protocol": protocol });
        if let Some(app) = port.get("appProtocol") {
            one["appProtocol"] = app.clone();
        }
        found.push(one);
    }
    found
}

/// What to do with slices.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// Family, ports and endpoints of new ones.
    pub(crate) create: Vec<(&'static str, Ports, Vec<Value>)>,
    /// Which of the old ones get which endpoints.
    pub(crate) update: Vec<(usize, Vec<Value>)>,
    /// Which of the old ones go.
    pub(crate) delete: Vec<usize>,
}

/// Keeps endpoints in the slices in which they are, fills slices that have room, and makes as few new ones as it can.
pub(crate) fn arrange(mut desired: Desired, slices: &[&Value]) -> Changes {
    let mut changes = Changes::default();
    let mut kept: Vec<Option<((&'static str, String), Vec<Value>)>> = Vec::new();
    for slice in slices {
        let family = if slice["addressType"] == "IPv6" { "IPv6" } else { "IPv4" };
        let key = (family, Value::from(list(slice, "/ports").to_vec()).to_string());
        let Some((_, wanted)) = desired.get_mut(&key) else {
            kept.push(None);
            continue;
        };
        let own = list(slice, "/endpoints").iter();
        let stay: Vec<Value> =
            own.filter_map(|one| wanted.remove(text(one, "/targetRef/uid"))).collect();
        kept.push(Some((key, stay)));
    }
    for (at, slice) in slices.iter().enumerate() {
        let Some((key, stay)) = kept.get_mut(at).and_then(Option::as_mut) else {
            changes.delete.push(at);
            continue;
        };
        if let Some((_, wanted)) = desired.get_mut(key) {
            while stay.len() < PER_SLICE
                && let Some((_, endpoint)) = wanted.pop_first()
            {
                stay.push(endpoint);
            }
        }
        if stay.is_empty() {
            changes.delete.push(at);
        } else if list(slice, "/endpoints") != stay.as_slice() {
            changes.update.push((at, std::mem::take(stay)));
        }
    }
    for ((family, _), (ports, wanted)) in desired {
        let rest: Vec<Value> = wanted.into_values().collect();
        for chunk in rest.chunks(PER_SLICE) {
            changes.create.push((family, ports.clone(), chunk.to_vec()));
        }
    }
    changes
}

/// The subsets of the old `Endpoints` kind: of the Service's first family, at most a thousand addresses.
pub(crate) fn subsets(service: &Value, desired: &Desired) -> Vec<Value> {
    const MAX: usize = 1000;
    let first = list(service, "/spec/ipFamilies").first().and_then(Value::as_str).unwrap_or("IPv4");
    let mut left = MAX;
    let mut all = Vec::new();
    for ((family, _), (ports, endpoints)) in desired {
        if *family != first {
            continue;
        }
        let (mut ready, mut not) = (Vec::new(), Vec::new());
        for endpoint in endpoints.values().take(left) {
            let mut address = json!({ "ip": endpoint["addresses"][0] });
            for field in ["hostname", "nodeName", "targetRef"] {
                if let Some(value) = endpoint.get(field) {
                    address[field] = value.clone();
                }
            }
            let conditions = &endpoint["conditions"];
            if conditions["ready"] == true {
                ready.push(address);
            } else if conditions["terminating"] != true {
                not.push(address);
            }
        }
        left -= (ready.len() + not.len()).min(left);
        let mut subset = Map::new();
        for (field, addresses) in [("addresses", ready), ("notReadyAddresses", not)] {
            if !addresses.is_empty() {
                subset.insert(field.to_owned(), addresses.into());
            }
        }
        if subset.is_empty() {
            continue;
        }
        let ports: Vec<Value> = ports
            .iter()
            .map(|port| {
                let mut port = port.clone();
                if port["name"] == ""
                    && let Some(map) = port.as_object_mut()
                {
                    map.shift_remove("name");
                }
                port
            })
            .collect();
        if !ports.is_empty() {
            subset.insert("ports".to_owned(), ports.into());
        }
        all.push(Value::Object(subset));
    }
    all
}
