//! Endpoints that somebody wrote by hand for a Service that selects no pods, as slices: who reads slices alone finds them, too.

use super::{MANAGED_BY, NAME, OF_SERVICE};
use crate::context::{Context, SLICES, path as path_of, reach, work};
use crate::event::{Event, about};
use crate::json::{list, revision, text};
use moat_apiserver::{DeleteOptions, Status};
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Annotations that are about the Endpoints themselves.
const OWN_NOTES: [&str; 2] = [
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
];
/// Addresses of a subset that are mirrored (`--mirroring-max-endpoints-per-subset`).
const ADDRESSES_MAX: usize = 1000;

/// A slice that is to be there.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    family: &'static str,
    ports: Vec<Value>,
    endpoints: Vec<Value>,
}

/// What Endpoints are as slices, and how many addresses are none, or too many.
#[derive(Debug, Default, PartialEq)]
struct Mirrored {
    slices: Vec<Wanted>,
    n_bad: usize,
    n_left_out: usize,
}

pub(super) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("endpoint_slice_mirroring");
    for cache in [&context.endpoints, &context.services] {
        let into = queue.clone();
        cache.on_change(move |delta| {
            if let Some(last) = delta.last() {
                into.add(last.path.clone());
            }
        });
    }
    let into = queue.clone();
    context.slices.on_change(move |delta| {
        let own = delta.last().filter(|last| last.meta.label(MANAGED_BY) == Some(MANAGER));
        let Some(slice) = own else { return };
        let of = slice.meta.label(NAME).and_then(|name| path_of(&slice.meta.namespace, name));
        if let Some(path) = of {
            into.add(path);
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let (namespace, name) = (path.namespace().unwrap_or_default(), path.name());
    let mut old = context.slices.by(OF_SERVICE, &format!("{namespace}/{name}"));
    old.retain(|slice| slice.meta.label(MANAGED_BY) == Some(MANAGER) && !slice.meta.is_deleting());
    old.sort_by(|one, other| one.meta.name.cmp(&other.meta.name));
    let service = context.services.get(namespace, name);
    let selects_nothing =
        service.is_some_and(|service| service.value["spec"]["selector"].is_null());
    let endpoints = context.endpoints.get(namespace, name);
    let source = endpoints.filter(|one| selects_nothing && is_mirrored(one));
    let Some(source) = source else {
        for slice in old {
            remove(context, &slice).await?;
        }
        return Ok(Done::Ok);
    };
    let mirrored = mirror(list(&source.value, "/subsets"));
    tell(context, &source, &mirrored);
    let mut written = 0;
    for wanted in mirrored.slices {
        let same = |slice: &Arc<Item<Value>>| {
            slice.value["addressType"] == wanted.family
                && list(&slice.value, "/ports") == wanted.ports.as_slice()
        };
        let slice = old.iter().position(same).map(|at| old.remove(at));
        written = written.max(write(context, &source, slice.as_deref(), wanted).await?);
    }
    for slice in old {
        remove(context, &slice).await?;
    }
    reach(&context.slices, written).await;
    Ok(Done::Ok)
}

/// Whether Endpoints are to be seen as slices at all: some are locks of those who elect a leader.
fn is_mirrored(endpoints: &Item<Value>) -> bool {
    let notes = &endpoints.value["metadata"]["annotations"];
    !endpoints.meta.is_deleting()
        && endpoints.meta.label(SKIP) != Some("true")
        && notes.get(LEADER).is_none()
}

fn tell(context: &Context, source: &Item<Value>, mirrored: &Mirrored) {
    let tell = |reason: &'static str, message: String| {
        let about = about("v1", "Endpoints", &source.meta);
        let component = "endpoint-slice-mirroring-controller";
        context.tell(Event { about, component, warning: true, reason, message });
    };
    let (n_bad, n_all) = (mirrored.n_bad, mirrored.n_bad + mirrored.n_left_out);
    if 0 < n_bad {
        let message =
            format!("Skipped {n_bad} invalid IP addresses when mirroring to EndpointSlices");
        tell("InvalidIPAddress", message);
    }
    if n_bad < n_all {
        let message = format!(
            "A max of {ADDRESSES_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. {n_all} addresses were skipped"
        );
        tell("TooManyAddressesToMirror", message);
    }
}

async fn remove(context: &Context, slice: &Item<Value>) -> Result<(), Status> {
    let at = SLICES.at(&slice.meta.namespace, &slice.meta.name);
    match context.cluster.delete(at, &DeleteOptions::default()).await {
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}

/// Makes a slice, or one that is there into what is wanted. Returns the revision of what was written, 0 where nothing had to be.
async fn write(
    context: &Context,
    source: &Item<Value>,
    slice: Option<&Item<Value>>,
    wanted: Wanted,
) -> Result<u64, Status> {
    let namespace = &*source.meta.namespace;
    let object = object(source, wanted);
    let written = match slice {
        None => {
            // A namespace that goes takes nothing new, and has no use for it.
            match context.cluster.create(SLICES.at(namespace, ""), object).await {
                Err(status) if matches!(status.code, 403 | 404) => return Ok(0),
                made => made?,
            }
        }
        Some(slice) => {
            let Some(changed) = changed(&slice.value, &object) else { return Ok(0) };
            context.cluster.update(SLICES.at(namespace, &slice.meta.name), changed).await?
        }
    };
    Ok(revision(&written))
}

/// A slice as it is made for Endpoints.
fn object(source: &Item<Value>, wanted: Wanted) -> Value {
    let meta = &source.value["metadata"];
    let copy = |field: &str| meta[field].as_object().cloned().unwrap_or_default();
    let mut labels = copy("labels");
    labels.insert(NAME.to_owned(), (*source.meta.name).into());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    let mut metadata = json!({
        "generateName": format!("{}-", source.meta.name), "labels": labels,
        "ownerReferences": [{
            "apiVersion": "v1", "kind": "Endpoints", "name": source.meta.name, "uid": source.meta.uid,
            "controller": true, "blockOwnerDeletion": true,
        }],
    });
    let mut notes = copy("annotations");
    notes.retain(|key, _| !OWN_NOTES.contains(&key.as_str()));
    if !notes.is_empty() {
        metadata["annotations"] = notes.into();
    }
    let Wanted { family, ports, endpoints } = wanted;
    json!({ "metadata": metadata, "addressType": family, "endpoints": endpoints, "ports": ports })
}

/// A slice with what it has to have; nothing where it has it all.
fn changed(slice: &Value, object: &Value) -> Option<Value> {
    let mut new = slice.clone();
    for field in ["labels", "annotations", "ownerReferences"] {
        let wanted = &object["metadata"][field];
        if let Some(metadata) = new["metadata"].as_object_mut() {
            if wanted.is_null() {
                metadata.shift_remove(field);
            } else {
                metadata.insert(field.to_owned(), wanted.clone());
            }
        }
    }
    if !same_endpoints(list(slice, "/endpoints"), list(object, "/endpoints")) {
        new["endpoints"] = object["endpoints"].clone();
    }
    (new != *slice).then_some(new)
}

/// Endpoints of a slice have no order.
fn same_endpoints(one: &[Value], other: &[Value]) -> bool {
    let sorted = |all: &[Value]| {
        let mut all: Vec<String> = all.iter().map(Value::to_string).collect();
        all.sort();
        all
    };
    one == other || sorted(one) == sorted(other)
}

/// The slices of subsets. Subsets that say the same of the same addresses in pieces are put together first, as upstream does.
fn mirror(subsets: &[Value]) -> Mirrored {
    // For each port the addresses behind it, and for each list of addresses the ports in front of it.
    let mut by_port: Vec<(Value, BTreeMap<String, (Value, bool)>)> = Vec::new();
    for subset in subsets {
        let mut ports = list(subset, "/ports").to_vec();
        if ports.is_empty() {
            ports.push(Value::Null);
        }
        for port in ports {
            let at = by_port.iter().position(|(own, _)| *own == port).unwrap_or_else(|| {
                by_port.push((port, BTreeMap::new()));
                by_port.len() - 1
            });
            let Some((_, behind)) = by_port.get_mut(at) else { continue };
            for (field, ready) in [("/addresses", true), ("/notReadyAddresses", false)] {
                for address in list(subset, field) {
                    let slot = behind.entry(address.to_string());
                    let own = slot.or_insert_with(|| (address.clone(), ready));
                    own.1 &= ready;
                }
            }
        }
    }
    let mut groups: Vec<(Vec<Value>, BTreeMap<String, (Value, bool)>)> = Vec::new();
    for (port, behind) in by_port {
        match groups.iter_mut().find(|(_, own)| *own == behind) {
            Some((ports, _)) => ports.push(port),
            None => groups.push((vec![port], behind)),
        }
    }
    let mut mirrored = Mirrored::default();
    for (ports, behind) in groups {
        let ports: Vec<Value> = ports.iter().filter(|port| !port.is_null()).map(port_of).collect();
        let mut families: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
        let mut n = 0;
        // Those that are ready come first: where there are too many, the others are left out.
        let in_order = [true, false];
        let in_order =
            in_order.iter().flat_map(|ready| behind.values().filter(move |(_, own)| own == ready));
        for (address, ready) in in_order {
            if n == ADDRESSES_MAX {
                mirrored.n_left_out += 1;
                continue;
            }
            match text(address, "/ip").parse::<IpAddr>() {
                Err(_) => mirrored.n_bad += 1,
                Ok(ip) => {
                    n += 1;
                    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
                    families.entry(family).or_default().push(endpoint(address, ip, *ready));
                }
            }
        }
        let slices = families.into_iter().map(|(family, endpoints)| Wanted {
            family,
            ports: ports.clone(),
            endpoints,
        });
        mirrored.slices.extend(slices);
    }
    mirrored
}

fn port_of(port: &Value) -> Value {
    let mut own = Map::new();
    own.insert("name".to_owned(), port["name"].as_str().unwrap_or_default().into());
    own.insert("port".to_owned(), port["port"].clone());
    own.insert("protocol".to_owned(), port["protocol"].as_str().unwrap_or("TCP").into());
    if let Some(app) = port.get("appProtocol") {
        own.insert("appProtocol".to_owned(), app.clone());
    }
    own.into()
}

fn endpoint(address: &Value, ip: IpAddr, ready: bool) -> Value {
    let mut own = json!({ "addresses": [ip.to_string()], "conditions": { "ready": ready } });
    for field in ["hostname", "targetRef", "nodeName"] {
        if let Some(value) = address.get(field).filter(|value| !value.is_null()) {
            own[field] = value.clone();
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(slice: &Wanted) -> Vec<(String, bool)> {
        let of = |one: &Value| {
            (text(one, "/addresses/0").to_owned(), one["conditions"]["ready"] == true)
        };
        slice.endpoints.iter().map(of).collect()
    }

    #[test]
    fn subsets_become_slices_by_ports_and_family() {
        let subsets = json!([
            {
                "addresses": [{ "ip": "10.0.0.1", "hostname": "a" }, { "ip": "fd00::0:1" }],
                "notReadyAddresses": [{ "ip": "10.0.0.2", "nodeName": "n" }, { "ip": "nowhere" }],
                "ports": [{ "name": "http", "port": 80 }],
            },
            { "addresses": [{ "ip": "10.0.0.9" }] },
        ]);
        let mirrored = mirror(subsets.as_array().unwrap());
        assert_eq!((mirrored.slices.len(), mirrored.n_bad, mirrored.n_left_out), (3, 1, 0));
        let [four, six, bare] = &mirrored.slices[..] else { unreachable!() };
        assert_eq!(
            addresses(four),
            [("10.0.0.1".to_owned(), true), ("10.0.0.2".to_owned(), false)]
        );
        assert_eq!((four.family, six.family, bare.family), ("IPv4", "IPv6", "IPv4"));
        assert_eq!(addresses(six), [("fd00::1".to_owned(), true)]);
        assert_eq!(four.ports, [json!({ "name": "http", "port": 80, "protocol": "TCP" })]);
        assert_eq!(
            (&four.endpoints[0]["hostname"], &four.endpoints[1]["nodeName"]),
            (&json!("a"), &json!("n"))
        );
        assert_eq!((addresses(bare), bare.ports.len()), (vec![("10.0.0.9".to_owned(), true)], 0));
    }

    #[test]
    fn what_is_said_in_pieces_is_one_slice() {
        let one = json!([{ "ip": "10.0.0.1" }]);
        let subsets = json!([{ "addresses": one, "ports": [{ "port": 1 }] }, { "addresses": one, "ports": [{ "port": 2 }] }]);
        let mirrored = mirror(subsets.as_array().unwrap());
        assert_eq!((mirrored.slices.len(), mirrored.slices[0].ports.len()), (1, 2));
        // An address that is ready here and not there is not ready.
        let subsets = json!([{ "addresses": one, "ports": [{ "port": 1 }] }, { "notReadyAddresses": one, "ports": [{ "port": 1 }] }]);
        let mirrored = mirror(subsets.as_array().unwrap());
        assert_eq!(addresses(&mirrored.slices[0]), [("10.0.0.1".to_owned(), false)]);
        assert_eq!(mirror(&[]), Mirrored::default());
    }

    #[test]
    fn a_thousand_addresses_of_a_subset_are_mirrored_the_ready_ones_first() {
        let ip = |n: usize| json!({ "ip": format!("10.0.{}.{}", n / 200, n % 200) });
        let ready: Vec<Value> = (0..900).map(ip).collect();
        let not: Vec<Value> = (900..1200).map(ip).collect();
        let mirrored = mirror(&[json!({ "addresses": ready, "notReadyAddresses": not })]);
        assert_eq!((mirrored.slices[0].endpoints.len(), mirrored.n_left_out), (1000, 200));
        assert_eq!(addresses(&mirrored.slices[0]).iter().filter(|one| one.1).count(), 900);
    }
}
