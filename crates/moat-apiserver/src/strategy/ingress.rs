//! Ingresses and their classes.

use super::{Generation, PLAIN, Strategy, check};
use crate::names::Rule;
use crate::object::{list, number, text};
use crate::status::Cause;
use serde_json::Value;
use std::net::IpAddr;

pub(super) const INGRESS: Strategy =
    Strategy { generation: Generation::Spec, default: super::balancer, validate: ingress, ..PLAIN };
pub(super) const CLASS: Strategy = Strategy {
    generation: Generation::Spec,
    default: |object| {
        let parameters = object.pointer_mut("/spec/parameters").and_then(Value::as_object_mut);
        if let Some(map) = parameters {
            crate::object::default(map, "scope", "Cluster");
        }
    },
    validate: class,
    validate_update: |new, old, causes| check::fixed(new, old, &["spec.controller"], causes),
    ..PLAIN
};

const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn ingress(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let rules = list(spec, "/rules");
    if rules.is_empty() && !spec["defaultBackend"].is_object() {
        let why = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &spec["rules"], why));
    }
    if spec["defaultBackend"].is_object() {
        backend(&spec["defaultBackend"], "spec.defaultBackend", causes);
    }
    for (n, rule) in rules.iter().enumerate() {
        let path = format!("spec.rules[{n}]");
        let host = text(rule, "/host");
        if host.parse::<IpAddr>().is_ok() {
            let why = "must be a DNS name, not an IP address";
            causes.push(Cause::invalid(format!("{path}.host"), &host.into(), why));
        }
        if !host.is_empty() {
            is_host(host, &format!("{path}.host"), causes);
        }
        if rule["http"].is_object() {
            check::required(&rule["http"], "paths", &format!("{path}.http"), causes);
        }
        for (m, one) in list(rule, "/http/paths").iter().enumerate() {
            http_path(one, &format!("{path}.http.paths[{m}]"), causes);
        }
    }
    for (n, tls) in list(spec, "/tls").iter().enumerate() {
        let path = format!("spec.tls[{n}]");
        for (m, host) in list(tls, "/hosts").iter().enumerate() {
            is_host(host.as_str().unwrap_or_default(), &format!("{path}.hosts[{m}]"), causes);
        }
        let secret = text(tls, "/secretName");
        if !secret.is_empty() {
            check::name(Rule::Subdomain, secret, &format!("{path}.secretName"), causes);
        }
    }
    if let Some(class) = spec["ingressClassName"].as_str() {
        check::name(Rule::Subdomain, class, "spec.ingressClassName", causes);
    }
}

fn is_host(host: &str, path: &str, causes: &mut Vec<Cause>) {
    if !host.contains('*') {
        return check::name(Rule::Subdomain, host, path, causes);
    }
    let good = host
        .strip_prefix("*.")
        .is_some_and(|rest| crate::names::check(Rule::Subdomain, rest, false).is_empty());
    if !good {
        causes.push(Cause::invalid(path, &host.into(), WILDCARD));
    }
}

fn http_path(one: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (kind, own) = (&one["pathType"], text(one, "/path"));
    let mut wrong =
        |why: &str| causes.push(Cause::invalid(format!("{path}.path"), &own.into(), why));
    match kind.as_str() {
        None => {
            let why = "pathType must be specified";
            return causes.push(Cause::required(format!("{path}.pathType"), why));
        }
        Some("Exact" | "Prefix") => {
            if !own.starts_with('/') {
                wrong("must be an absolute path");
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if own.contains(part) {
                    wrong(&format!("must not contain '{part}'"));
                }
            }
            for end in ["/..", "/."] {
                if own.ends_with(end) {
                    wrong(&format!("cannot end with '{end}'"));
                }
            }
        }
        Some("ImplementationSpecific") => {
            if !own.is_empty() && !own.starts_with('/') {
                wrong("must be an absolute path");
            }
        }
        Some(_) => {
            let known = ["Exact", "ImplementationSpecific", "Prefix"];
            causes.push(Cause::not_supported(format!("{path}.pathType"), kind, &known));
        }
    }
    backend(&one["backend"], &format!("{path}.backend"), causes);
}

fn backend(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (service, resource) = (own["service"].is_object(), own["resource"].is_object());
    let mut wrong = |why: &str| causes.push(Cause::invalid(path, &"".into(), why));
    match (service, resource) {
        (true, true) => return wrong("cannot set both resource and service backends"),
        (false, false) => return wrong("resource or service backend is required"),
        (false, true) => {
            for field in ["kind", "name"] {
                check::required(&own["resource"], field, &format!("{path}.resource"), causes);
            }
            return;
        }
        (true, false) => {}
    }
    let service = &own["service"];
    if check::required(service, "name", &format!("{path}.service"), causes) {
        let name = text(service, "/name");
        check::name(Rule::Label, name, &format!("{path}.service.name"), causes);
    }
    let port = format!("{path}.service.port");
    let name = text(service, "/port/name");
    match (name.is_empty(), number(service, "/port/number").unwrap_or(0)) {
        (false, 0) => check::port_name(name, &format!("{port}.name"), causes),
        (false, _) => {
            let why = "cannot set both port name & port number";
            causes.push(Cause::invalid(path, &"".into(), why));
        }
        (true, 0) => causes.push(Cause::required(path, "port name or number is required")),
        (true, number) => check::port_number(number, &format!("{port}.number"), causes),
    }
}

fn class(object: &Value, causes: &mut Vec<Cause>) {
    let controller = text(object, "/spec/controller");
    let path = "spec.controller";
    if controller.is_empty() {
        return causes.push(Cause::required(path, ""));
    }
    match controller.split_once('/') {
        Some((domain, rest)) if !rest.is_empty() => {
            check::name(Rule::Subdomain, domain, path, causes);
        }
        _ => {
            let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            causes.push(Cause::invalid(path, &controller.into(), why));
        }
    }
    let parameters = &object["spec"]["parameters"];
    if parameters.is_object() {
        for field in ["kind", "name"] {
            check::required(parameters, field, "spec.parameters", causes);
        }
    }
}
