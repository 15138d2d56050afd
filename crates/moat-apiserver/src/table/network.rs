//! Rows of Services, endpoints, Ingresses, policies.

use super::cells::{labels, or, plain, selector, some};
use super::{Columns, age, shown, wide};
use crate::object::{list, meta, number, text};
use crate::part::Keep;
use serde_json::Value;

pub(super) const SERVICE: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Type"),
        shown("Cluster-IP"),
        shown("External-IP"),
        shown("Port(s)"),
        shown("Age"),
        wide("Selector"),
    ],
    reads: Keep::All,
    cells: |object| {
        let ports: Vec<String> = list(object, "/spec/ports").iter().map(port).collect();
        let ports = if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") };
        vec![
            meta(object, "name").into(),
            text(object, "/spec/type").into(),
            or(object, "/spec/clusterIP", "<none>"),
            external(object).into(),
            ports.into(),
            age(object),
            labels(&object["spec"]["selector"]).into(),
        ]
    },
};

fn port(port: &Value) -> String {
    let (own, protocol) = (number(port, "/port").unwrap_or(0), text(port, "/protocol"));
    match number(port, "/nodePort").filter(|node| 0 < *node) {
        Some(node) => format!("{own}:{node}/{protocol}"),
        None => format!("{own}/{protocol}"),
    }
}

fn external(object: &Value) -> String {
    let given: Vec<&str> =
        list(object, "/spec/externalIPs").iter().filter_map(Value::as_str).collect();
    let balanced = balancers(object);
    match text(object, "/spec/type") {
        "ClusterIP" | "NodePort" if given.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => given.join(","),
        "LoadBalancer" => {
            let all: Vec<&str> = balanced.iter().map(String::as_str).chain(given).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => text(object, "/spec/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn balancers(object: &Value) -> Vec<String> {
    let all = list(object, "/status/loadBalancer/ingress").iter();
    all.map(|one| {
        if text(one, "/ip").is_empty() { text(one, "/hostname") } else { text(one, "/ip") }
            .to_owned()
    })
    .collect()
}

pub(super) const ENDPOINTS: Columns = Columns {
    columns: &[shown("Name"), shown("Endpoints"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        let mut all = Vec::new();
        for subset in list(object, "/subsets") {
            let addresses = || list(subset, "/addresses").iter().map(|one| text(one, "/ip"));
            let ports = list(subset, "/ports");
            if ports.is_empty() {
                all.extend(addresses().map(str::to_owned));
            }
            for port in ports {
                let port = number(port, "/port").unwrap_or(0);
                all.extend(addresses().map(|ip| {
                    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
                }));
            }
        }
        let shown = if all.is_empty() { "<none>".to_owned() } else { some(&all, 3) };
        vec![meta(object, "name").into(), shown.into(), age(object)]
    },
};

pub(super) const ENDPOINT_SLICE: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("AddressType"),
        shown("Ports"),
        shown("Endpoints"),
        shown("Age"),
    ],
    reads: Keep::All,
    cells: |object| {
        let port = |one: &Value| plain(one.get("port").or_else(|| one.get("name")), "*");
        let ports: Vec<String> = list(object, "/ports").iter().map(port).collect();
        let addresses: Vec<String> = list(object, "/endpoints")
            .iter()
            .flat_map(|one| list(one, "/addresses"))
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect();
        let unset =
            |all: &[String]| if all.is_empty() { "<unset>".to_owned() } else { some(all, 3) };
        vec![
            meta(object, "name").into(),
            text(object, "/addressType").into(),
            unset(&ports).into(),
            unset(&addresses).into(),
            age(object),
        ]
    },
};

pub(super) const INGRESS: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Class"),
        shown("Hosts"),
        shown("Address"),
        shown("Ports"),
        shown("Age"),
    ],
    reads: Keep::All,
    cells: |object| {
        let rules = list(object, "/spec/rules").iter().map(|rule| text(rule, "/host").to_owned());
        let hosts: Vec<String> = rules.filter(|host| !host.is_empty()).collect();
        vec![
            meta(object, "name").into(),
            or(object, "/spec/ingressClassName", "<none>"),
            if hosts.is_empty() { "*".into() } else { some(&hosts, 3).into() },
            balancers(object).join(",").into(),
            if list(object, "/spec/tls").is_empty() { "80".into() } else { "80, 443".into() },
            age(object),
        ]
    },
};

pub(super) const INGRESS_CLASS: Columns = Columns {
    columns: &[shown("Name"), shown("Controller"), shown("Parameters"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        let parameters = &object["spec"]["parameters"];
        let shown = if parameters.is_object() {
            let (group, kind, name) = (
                text(parameters, "/apiGroup"),
                text(parameters, "/kind"),
                text(parameters, "/name"),
            );
            if group.is_empty() {
                format!("{kind}/{name}")
            } else {
                format!("{kind}.{group}/{name}")
            }
        } else {
            "<none>".to_owned()
        };
        vec![
            meta(object, "name").into(),
            text(object, "/spec/controller").into(),
            shown.into(),
            age(object),
        ]
    },
};

pub(super) const NETWORK_POLICY: Columns = Columns {
    columns: &[shown("Name"), shown("Pod-Selector"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        vec![
            meta(object, "name").into(),
            selector(&object["spec"]["podSelector"]).into(),
            age(object),
        ]
    },
};

/// Upstream's CRD prints tier and priority.
pub(super) const CLUSTER_NETWORK_POLICY: Columns = Columns {
    columns: &[shown("Name"), shown("Tier"), shown("Priority"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        vec![
            meta(object, "name").into(),
            text(object, "/spec/tier").into(),
            plain(object.pointer("/spec/priority"), "").into(),
            age(object),
        ]
    },
};
