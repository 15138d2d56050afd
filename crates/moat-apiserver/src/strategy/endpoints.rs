//! Addresses behind Services, in both of their kinds.

use super::{Generation, PLAIN, Strategy, check};
use crate::names::Rule;
use crate::object::{default, list, number, text};
use crate::status::Cause;
use serde_json::Value;
use std::net::IpAddr;

pub(super) const ENDPOINTS: Strategy = Strategy {
    default: |object| {
        let subsets = object.get_mut("subsets").and_then(Value::as_array_mut);
        for subset in subsets.into_iter().flatten() {
            let ports = subset.get_mut("ports").and_then(Value::as_array_mut);
            for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
                default(port, "protocol", "TCP");
            }
        }
    },
    validate: endpoints,
    ..PLAIN
};

pub(super) const SLICE: Strategy = Strategy {
    generation: Generation::Spec,
    default: |object| {
        let ports = object.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
            default(port, "name", "");
            default(port, "protocol", "TCP");
        }
        if let Some(map) = object.as_object_mut() {
            // Go writes both though there are none.
            map.entry("ports").or_insert(Value::Null);
            map.entry("endpoints").or_insert(Value::Null);
        }
    },
    validate: slice,
    validate_update: |new, old, causes| check::fixed(new, old, &["addressType"], causes),
    ..PLAIN
};

const ADDRESSES_MAX: usize = 100;
const ENDPOINTS_MAX: usize = 1000;

fn endpoints(object: &Value, causes: &mut Vec<Cause>) {
    for (n, subset) in list(object, "/subsets").iter().enumerate() {
        let path = format!("subsets[{n}]");
        let (ready, waiting) = (list(subset, "/addresses"), list(subset, "/notReadyAddresses"));
        if ready.is_empty() && waiting.is_empty() {
            let why = "must specify `addresses` or `notReadyAddresses`";
            causes.push(Cause::required(&path, why));
        }
        for (field, all) in [("addresses", ready), ("notReadyAddresses", waiting)] {
            for (m, one) in all.iter().enumerate() {
                address(one, &format!("{path}.{field}[{m}]"), causes);
            }
        }
        let ports = list(subset, "/ports");
        for (m, port) in ports.iter().enumerate() {
            let path = format!("{path}.ports[{m}]");
            let name = text(port, "/name");
            if !name.is_empty() {
                check::name(Rule::Label, name, &format!("{path}.name"), causes);
            } else if 1 < ports.len() {
                causes.push(Cause::required(format!("{path}.name"), ""));
            }
            let own = number(port, "/port").unwrap_or(0);
            check::port_number(own, &format!("{path}.port"), causes);
            check::protocol(port, &path, causes);
        }
    }
}

fn address(one: &Value, path: &str, causes: &mut Vec<Cause>) {
    let ip = text(one, "/ip");
    let parsed = check::ip(ip, &format!("{path}.ip"), causes);
    for (field, rule) in [("hostname", Rule::Label), ("nodeName", Rule::Subdomain)] {
        let name = text(one, &format!("/{field}"));
        if !name.is_empty() {
            check::name(rule, name, &format!("{path}.{field}"), causes);
        }
    }
    match parsed {
        None => {
            let why = "must be a valid IP address";
            causes.push(Cause::invalid(format!("{path}.ip"), &ip.into(), why));
        }
        Some(parsed) => reachable(parsed, &format!("{path}.ip"), causes),
    }
}

/// An address that can be somebody else's.
pub(super) fn reachable(ip: IpAddr, path: &str, causes: &mut Vec<Cause>) {
    let shown = Value::from(ip.to_string());
    let mut wrong = |why: &str| causes.push(Cause::invalid(path, &shown, why));
    if ip.is_unspecified() {
        wrong(&format!("may not be unspecified ({ip})"));
    }
    if ip.is_loopback() {
        wrong("may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (local, multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.segments()[0] & 0xff0f == 0xff02),
    };
    if local {
        wrong("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if multicast {
        wrong("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

fn slice(object: &Value, causes: &mut Vec<Cause>) {
    let kind = text(object, "/addressType");
    check::one_of(&object["addressType"], "addressType", &["FQDN", "IPv4", "IPv6"], causes);
    let mut seen = Vec::new();
    for (n, port) in list(object, "/ports").iter().enumerate() {
        let path = format!("ports[{n}]");
        let (name, field) = (text(port, "/name"), format!("{path}.name"));
        if !name.is_empty() {
            check::name(Rule::Label, name, &field, causes);
        }
        causes.extend(check::distinct(&mut seen, name, &field));
        check::protocol(port, &path, causes);
    }
    let all = list(object, "/endpoints");
    if ENDPOINTS_MAX < all.len() {
        let why = format!("Too many: {}: must have at most {ENDPOINTS_MAX} items", all.len());
        causes.push(Cause::field("FieldValueTooMany", "endpoints", why));
        return;
    }
    for (n, one) in all.iter().enumerate() {
        endpoint(one, kind, &format!("endpoints[{n}]"), causes);
    }
}

fn endpoint(one: &Value, kind: &str, path: &str, causes: &mut Vec<Cause>) {
    let addresses = list(one, "/addresses");
    let field = format!("{path}.addresses");
    if addresses.is_empty() {
        causes.push(Cause::required(&field, "must contain at least 1 address"));
    } else if ADDRESSES_MAX < addresses.len() {
        let n = addresses.len();
        let why = format!("Too many: {n}: must have at most {ADDRESSES_MAX} items");
        causes.push(Cause::field("FieldValueTooMany", &field, why));
    }
    for (m, address) in addresses.iter().enumerate() {
        let (own, path) = (address.as_str().unwrap_or_default(), format!("{field}[{m}]"));
        if kind == "FQDN" {
            check::name(Rule::Subdomain, own, &path, causes);
            continue;
        }
        let Some(ip) = check::ip(own, &path, causes) else { continue };
        if ip.is_ipv4() != (kind == "IPv4") && matches!(kind, "IPv4" | "IPv6") {
            let why = format!("must be an {kind} address");
            causes.push(Cause::invalid(&field, address, &why));
        }
        reachable(ip, &path, causes);
    }
    for (name, rule) in [("nodeName", Rule::Subdomain), ("hostname", Rule::Label)] {
        if let Some(value) = one[name].as_str() {
            check::name(rule, value, &format!("{path}.{name}"), causes);
        }
    }
}
