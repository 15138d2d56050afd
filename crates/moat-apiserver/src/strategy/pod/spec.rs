//! Rules of a pod's spec, wherever it stands (upstream's `ValidatePodSpec`), in upstream's order, because users read them in a row.

use super::{containers, placement, resources, security, volumes};
use crate::names::Rule;
use crate::object::{list, number, text};
use crate::status::Cause;
use crate::strategy::check;
use serde_json::Value;

/// Where a spec stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::strategy) enum Stands<'a> {
    /// In a pod of this name.
    InPod(&'a str),
    /// In a template of pods.
    InTemplate,
}

const DNS_POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/// Checks the spec at a path.
pub(in crate::strategy) fn spec(
    spec: &Value,
    path: &str,
    stands: Stands<'_>,
    causes: &mut Vec<Cause>,
) {
    let at = |field: &str| format!("{path}.{field}");
    let all = volumes::volumes(spec, &at("volumes"), stands, causes);
    containers::all(spec, path, &all, stands, causes);
    if spec["resources"].is_object() {
        resources::of_pod(&spec["resources"], &at("resources"), causes);
    }
    host_ports_match(spec, path, stands, causes);
    let policies = ["Always", "OnFailure", "Never"];
    check::one_of(&spec["restartPolicy"], &at("restartPolicy"), &policies, causes);
    check::one_of(&spec["dnsPolicy"], &at("dnsPolicy"), &DNS_POLICIES, causes);
    check::labels(&spec["nodeSelector"], &at("nodeSelector"), causes);
    security::of_pod(spec, &at("securityContext"), causes);
    placement::affinity(&spec["affinity"], &at("affinity"), causes);
    dns_config(spec, &at("dnsConfig"), causes);
    for (n, gate) in list(spec, "/readinessGates").iter().enumerate() {
        let path = at(&format!("readinessGates[{n}].conditionType"));
        check::qualified(text(gate, "/conditionType"), &path, causes);
    }
    let mut seen = Vec::new();
    for (n, gate) in list(spec, "/schedulingGates").iter().enumerate() {
        let (name, path) = (text(gate, "/name"), at(&format!("schedulingGates[{n}]")));
        check::qualified(name, &path, causes);
        causes.extend(check::distinct(&mut seen, name, &path));
    }
    placement::spread(spec, &at("topologySpreadConstraints"), causes);
    host_users(spec, path, causes);
    names(spec, path, causes);
    placement::tolerations(spec, &at("tolerations"), causes);
    for (n, alias) in list(spec, "/hostAliases").iter().enumerate() {
        let path = at(&format!("hostAliases[{n}]"));
        check::ip(text(alias, "/ip"), &format!("{path}.ip"), causes);
        for (m, name) in list(alias, "/hostnames").iter().enumerate() {
            let path = format!("{path}.hostnames[{m}]");
            check::name(Rule::Subdomain, name.as_str().unwrap_or_default(), &path, causes);
        }
    }
    for field in ["priorityClassName", "runtimeClassName"] {
        named(spec, field, Rule::Subdomain, path, causes);
    }
    let policies = ["PreemptLowerPriority", "Never"];
    check::maybe_one_of(&spec["preemptionPolicy"], &at("preemptionPolicy"), &policies, causes);
    if spec["os"].is_object() {
        check::one_of(&spec["os"]["name"], &at("os.name"), &["linux", "windows"], causes);
    }
}

fn named(spec: &Value, field: &str, rule: Rule, path: &str, causes: &mut Vec<Cause>) {
    let name = spec[field].as_str().unwrap_or_default();
    if !name.is_empty() {
        check::name(rule, name, &format!("{path}.{field}"), causes);
    }
}

fn names(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    named(spec, "hostnameOverride", Rule::Subdomain, path, causes);
    named(spec, "serviceAccountName", Rule::Subdomain, path, causes);
    named(spec, "nodeName", Rule::Subdomain, path, causes);
    let limit = (1, i64::from(i32::MAX));
    let seconds = number(spec, "/activeDeadlineSeconds");
    check::between(seconds, &format!("{path}.activeDeadlineSeconds"), limit, causes);
    named(spec, "hostname", Rule::Label, path, causes);
    named(spec, "subdomain", Rule::Label, path, causes);
}

/// On the host's network a port is the host's.
fn host_ports_match(spec: &Value, path: &str, stands: Stands<'_>, causes: &mut Vec<Cause>) {
    if spec["hostNetwork"] != true {
        return;
    }
    for (n, container) in list(spec, "/containers").iter().enumerate() {
        for (m, port) in list(container, "/ports").iter().enumerate() {
            let host = number(port, "/hostPort").unwrap_or(0);
            let own = number(port, "/containerPort").unwrap_or(0);
            if host != own && (host != 0 || stands != Stands::InTemplate) {
                let path = format!("{path}.containers[{n}].ports[{m}].hostPort");
                let why = "must match `containerPort` when `hostNetwork` is true";
                causes.push(Cause::invalid(path, &host.into(), why));
            }
        }
    }
}

fn host_users(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if spec["hostUsers"] != false {
        return;
    }
    for (field, shown) in
        [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")]
    {
        if spec[field] == true {
            let why = "when `hostUsers` is false";
            causes.push(Cause::forbidden(format!("{path}.{shown}"), why));
        }
    }
}

fn dns_config(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let config = &spec["dnsConfig"];
    let servers = list(config, "/nameservers");
    if spec["dnsPolicy"] == "None" {
        if !config.is_object() {
            let why = "must provide `dnsConfig` when `dnsPolicy` is None";
            return causes.push(Cause::required(path, why));
        }
        if servers.is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return causes.push(Cause::required(format!("{path}.nameservers"), why));
        }
    }
    if 3 < servers.len() {
        let why = "must not have more than 3 nameservers";
        let path = format!("{path}.nameservers");
        causes.push(Cause::invalid(path, &config["nameservers"], why));
    }
    for (n, server) in servers.iter().enumerate() {
        let path = format!("{path}.nameservers[{n}]");
        check::ip(server.as_str().unwrap_or_default(), &path, causes);
    }
    let searches = list(config, "/searches");
    if 32 < searches.len() {
        let why = "must not have more than 32 search paths";
        let path = format!("{path}.searches");
        causes.push(Cause::invalid(path, &config["searches"], why));
    }
    for (n, search) in searches.iter().enumerate() {
        let search = search.as_str().unwrap_or_default();
        // Underscores are names of services.
        let plain = search.strip_suffix('.').unwrap_or(search).replace('_', "-");
        if search != "." {
            check::name(Rule::Subdomain, &plain, &format!("{path}.searches[{n}]"), causes);
        }
    }
    for (n, option) in list(config, "/options").iter().enumerate() {
        if text(option, "/name").is_empty() {
            causes.push(Cause::required(format!("{path}.options[{n}]"), "must not be empty"));
        }
    }
}
