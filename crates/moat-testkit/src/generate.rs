//! Random worlds of valid wire objects. The bounds are in [`Settings`].
//!
//! Alphabets are tiny on purpose: label keys, values, ports and addresses must collide for rules to matter.

use crate::Json;
use crate::rng::Rng;
use crate::settings::Settings;
use serde_json::{Map, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A random world.
#[derive(Clone, Debug)]
pub struct World {
    /// What it was made from.
    pub seed: u64,
    /// Its objects, in any order.
    pub objects: Vec<Json>,
}

/// The world of a seed.
#[must_use]
pub fn world(seed: u64, settings: &Settings) -> World {
    let mut maker = Maker {
        rng: Rng::new(seed ^ 0x6d6f_6174_0000_0000),
        settings: *settings,
        addresses: Vec::new(),
        namespaces: Vec::new(),
        domains: false,
    };
    World { seed, objects: maker.world() }
}

/// Namespace names; `default` is what objects that name none are in.
const NAMESPACES: [&str; 4] = ["red", "default", "blue", "green"];
const POD_NAMES: [&str; 8] = ["web", "db", "api", "job", "dns", "log", "ui", "a"];
const PORT_NAMES: [&str; 3] = ["http", "dns", "admin"];
const NUMBERS: [u16; 8] = [80, 81, 8080, 53, 443, 9000, 1, 65535];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
/// Addresses that are no pod's and no node's.
const OUTSIDE: [&str; 6] =
    ["203.0.113.7", "10.0.9.9", "172.16.0.1", "2001:db8::7", "fd00::9:9", "8.8.8.8"];

/// What a selector selects.
#[derive(Clone, Copy, PartialEq)]
enum Selects {
    Pods,
    Namespaces,
    Nodes,
}

struct Node {
    name: String,
    addresses: Vec<IpAddr>,
}

struct Maker {
    rng: Rng,
    settings: Settings,
    /// Addresses around which prefixes are drawn.
    addresses: Vec<IpAddr>,
    namespaces: Vec<&'static str>,
    domains: bool,
}

impl Maker {
    fn world(&mut self) -> Vec<Json> {
        let settings = self.settings;
        self.domains = self.rng.one_in(settings.domains_one_in);
        self.addresses = OUTSIDE.iter().map(|text| text.parse().unwrap()).collect();
        let mut names = NAMESPACES;
        self.rng.shuffle(&mut names);
        self.namespaces = names[..self.rng.range(settings.namespaces)].to_vec();
        let mut objects = Vec::new();
        for name in self.namespaces.clone() {
            if !self.rng.one_in(settings.only_mentioned_one_in) {
                objects.push(self.namespace(name));
            }
        }
        let nodes = self.nodes();
        objects.extend(nodes.iter().map(|(_, object)| object.clone()));
        let nodes: Vec<Node> = nodes.into_iter().map(|(node, _)| node).collect();
        let mut taken = Vec::new();
        for idx in 0..self.rng.range(settings.pods) {
            let namespace = *self.rng.pick(&self.namespaces);
            let name = *self.rng.pick(&POD_NAMES);
            if !taken.contains(&(namespace, name)) {
                taken.push((namespace, name));
                objects.push(self.pod(namespace, name, idx, &nodes));
            }
        }
        for idx in 0..self.rng.range(settings.network_policies) {
            objects.push(self.network_policy(idx));
        }
        let mut priorities: Vec<u16> = vec![0, 1, 5, 10, 50, 99, 500, 1000];
        self.rng.shuffle(&mut priorities);
        for (idx, &priority) in
            priorities[..self.rng.range(settings.cluster_policies)].iter().enumerate()
        {
            objects.push(self.cluster_policy(idx, priority));
        }
        self.rng.shuffle(&mut objects);
        objects
    }

    fn namespace(&mut self, name: &str) -> Json {
        let mut labels = Map::new();
        if self.rng.eighths(6) {
            labels.insert("team".to_owned(), json!(*self.rng.pick(&["x", "y"])));
        }
        if self.rng.eighths(3) {
            labels.insert("env".to_owned(), json!("p"));
        }
        if self.rng.eighths(2) {
            labels.insert("kubernetes.io/metadata.name".to_owned(), json!(name));
        }
        let mut metadata = json!({"name": name});
        if !labels.is_empty() {
            metadata["labels"] = Json::Object(labels);
        }
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    }

    fn nodes(&mut self) -> Vec<(Node, Json)> {
        let count = self.rng.range(self.settings.nodes);
        (1..=count)
            .map(|idx| {
                let host = u8::try_from(idx).unwrap() + 10;
                let mut addresses = vec![IpAddr::V4(Ipv4Addr::new(192, 168, 1, host))];
                if self.rng.eighths(4) {
                    addresses.push(IpAddr::V6(Ipv6Addr::new(
                        0xfd01,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        u16::from(host),
                    )));
                }
                let mut list: Vec<Json> = addresses
                    .iter()
                    .map(|at| json!({"type": "InternalIP", "address": at.to_string()}))
                    .collect();
                let name = format!("node{idx}");
                if self.rng.eighths(3) {
                    list.insert(0, json!({"type": "Hostname", "address": name}));
                }
                let mut labels = Map::new();
                if self.rng.eighths(6) {
                    labels.insert("zone".to_owned(), json!(*self.rng.pick(&["a", "b"])));
                }
                if self.rng.eighths(3) {
                    labels.insert("role".to_owned(), json!(""));
                }
                let object = json!({
                    "apiVersion": "v1", "kind": "Node",
                    "metadata": {"name": name, "labels": labels},
                    "status": {"addresses": list},
                });
                self.addresses.extend(&addresses);
                (Node { name, addresses }, object)
            })
            .collect()
    }

    fn pod(&mut self, namespace: &str, name: &str, idx: usize, nodes: &[Node]) -> Json {
        let mut labels = Map::new();
        if self.rng.eighths(7) {
            labels.insert("app".to_owned(), json!(*self.rng.pick(&["a", "b", "c"])));
        }
        if self.rng.eighths(4) {
            labels.insert("tier".to_owned(), json!(*self.rng.pick(&["f", ""])));
        }
        let host_network = !nodes.is_empty() && self.rng.one_in(self.settings.host_network_one_in);
        let node = match self.rng.below(8) {
            // On a node that has no object.
            0 if !host_network => Some("ghost"),
            _ if nodes.is_empty() => None,
            _ => Some(self.rng.pick(nodes).name.as_str()),
        };
        let node =
            node.filter(|_| host_network || !self.rng.one_in(self.settings.unscheduled_one_in));
        let addresses =
            match nodes.iter().find(|have| host_network && Some(have.name.as_str()) == node) {
                Some(node) => node.addresses.clone(),
                None => self.pod_addresses(idx),
            };
        let ips: Vec<Json> =
            addresses.iter().map(|address| json!({"ip": address.to_string()})).collect();
        let mut status = json!({"phase": "Running", "podIP": ips[0]["ip"], "podIPs": ips});
        if host_network {
            status["hostIP"] = ips[0]["ip"].clone();
            status["hostIPs"] = json!(ips);
        } else {
            self.addresses.extend(&addresses);
        }
        let mut spec = self.containers();
        if let Some(node) = node {
            spec["nodeName"] = json!(node);
        }
        if host_network {
            spec["hostNetwork"] = json!(true);
        }
        let mut metadata = self.metadata(name, namespace);
        if !labels.is_empty() {
            metadata["labels"] = Json::Object(labels);
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
    }

    /// One or two addresses; neighbours differ in their last bits, so that short differences of prefixes matter.
    fn pod_addresses(&mut self, idx: usize) -> Vec<IpAddr> {
        let subnet = self.rng.below(3);
        let v4 = IpAddr::V4(Ipv4Addr::new(
            10,
            0,
            u8::try_from(subnet).unwrap(),
            u8::try_from(idx).unwrap() + 1,
        ));
        let (net, host) = (u16::try_from(subnet).unwrap(), u16::try_from(idx).unwrap() + 1);
        let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, net, host));
        match self.rng.below(8) {
            0..=2 => vec![v4],
            3..=5 => vec![v4, v6],
            6 => vec![v6, v4],
            _ => vec![v6],
        }
    }

    /// Metadata; objects of the default namespace may leave it out.
    fn metadata(&mut self, name: &str, namespace: &str) -> Json {
        if namespace == "default" && self.rng.eighths(3) {
            json!({"name": name})
        } else {
            json!({"name": name, "namespace": namespace})
        }
    }

    /// Containers, init containers and native sidecars. A name stands for one number per protocol within a pod.
    fn containers(&mut self) -> Json {
        let mut taken: Vec<(&str, &str)> = Vec::new();
        let mut list = |maker: &mut Self, n: usize, kind: &str| -> Vec<Json> {
            let mut out = Vec::new();
            for idx in 0..n {
                let mut ports: Vec<Json> = Vec::new();
                for _ in 0..maker.rng.below(3) {
                    let number = *maker.rng.pick(&NUMBERS);
                    let protocol = *maker.rng.pick(&["TCP", "TCP", "UDP", "SCTP"]);
                    let mut port = json!({"containerPort": number});
                    if protocol != "TCP" || maker.rng.eighths(4) {
                        port["protocol"] = json!(protocol);
                    }
                    let name = *maker.rng.pick(&PORT_NAMES);
                    // Names are unique in a container, and here also by protocol in a pod.
                    let again = ports.iter().any(|port| port["name"] == name);
                    if maker.rng.eighths(7) && !again && !taken.contains(&(name, protocol)) {
                        taken.push((name, protocol));
                        port["name"] = json!(name);
                    }
                    ports.push(port);
                }
                let mut container = json!({"name": format!("{kind}{idx}"), "image": "x"});
                if !ports.is_empty() {
                    container["ports"] = json!(ports);
                }
                if kind == "init" && maker.rng.eighths(4) {
                    container["restartPolicy"] = json!("Always");
                }
                out.push(container);
            }
            out
        };
        let n = self.rng.range((1, 2));
        let mut spec = json!({"containers": list(self, n, "main")});
        if self.rng.eighths(3) {
            let n = self.rng.range((1, 2));
            spec["initContainers"] = json!(list(self, n, "init"));
        }
        spec
    }

    fn selector(&mut self, selects: Selects) -> Json {
        match self.rng.below(10) {
            0 | 1 => json!({}),
            2 => json!({"matchLabels": {}, "matchExpressions": []}),
            3..=5 => json!({"matchLabels": self.match_labels(selects, 1)}),
            6 => json!({"matchLabels": self.match_labels(selects, 2)}),
            7 | 8 => {
                let n = self.rng.range((1, 2));
                let list: Vec<Json> = (0..n).map(|_| self.expression(selects)).collect();
                json!({"matchExpressions": list})
            }
            _ => {
                json!({"matchLabels": self.match_labels(selects, 1), "matchExpressions": [self.expression(selects)]})
            }
        }
    }

    fn key(&mut self, selects: Selects) -> &'static str {
        match selects {
            Selects::Pods => *self.rng.pick(&["app", "app", "tier"]),
            Selects::Namespaces => {
                *self.rng.pick(&["team", "team", "env", "kubernetes.io/metadata.name"])
            }
            Selects::Nodes => *self.rng.pick(&["zone", "zone", "role"]),
        }
    }

    fn label(&mut self, key: &str) -> &'static str {
        match key {
            "app" => *self.rng.pick(&["a", "b", "c"]),
            "tier" => *self.rng.pick(&["f", ""]),
            "team" => *self.rng.pick(&["x", "y"]),
            "env" => *self.rng.pick(&["p", "q"]),
            "zone" => *self.rng.pick(&["a", "b"]),
            "role" => "",
            _ => *self.rng.pick(&NAMESPACES),
        }
    }

    fn match_labels(&mut self, selects: Selects, n: usize) -> Json {
        let mut labels = Map::new();
        for _ in 0..n {
            let key = self.key(selects);
            labels.insert(key.to_owned(), json!(self.label(key)));
        }
        Json::Object(labels)
    }

    fn expression(&mut self, selects: Selects) -> Json {
        let key = self.key(selects);
        let operator = *self.rng.pick(&["In", "NotIn", "NotIn", "Exists", "DoesNotExist"]);
        let mut expression = json!({"key": key, "operator": operator});
        if operator.ends_with("In") {
            let n = self.rng.range((1, 2));
            let values: Vec<&str> = (0..n).map(|_| self.label(key)).collect();
            expression["values"] = json!(values);
        } else if self.rng.eighths(2) {
            expression["values"] = json!([]);
        }
        expression
    }

    /// A prefix around a known address, as (network, length).
    fn prefix(&mut self) -> (IpAddr, u8) {
        let address = *self.rng.pick(&self.addresses);
        let length = match address {
            IpAddr::V4(_) => *self.rng.pick(&[0, 8, 16, 24, 28, 30, 31, 32, 32]),
            IpAddr::V6(_) => *self.rng.pick(&[0, 8, 32, 64, 96, 112, 126, 127, 128]),
        };
        (network(address, length), length)
    }

    fn ip_block(&mut self) -> Json {
        let (base, length) = self.prefix();
        let mut block = json!({"cidr": format!("{base}/{length}")});
        let most = if base.is_ipv4() { 32 } else { 128 };
        if length < most && self.rng.eighths(5) {
            let n = self.rng.range((1, 2));
            let holes: Vec<String> = (0..n)
                .map(|_| {
                    let inside: Vec<IpAddr> = self
                        .addresses
                        .iter()
                        .copied()
                        .filter(|&at| at.is_ipv4() == base.is_ipv4() && network(at, length) == base)
                        .collect();
                    let address = *self.rng.pick(&inside);
                    let longer = if self.rng.eighths(4) {
                        most
                    } else {
                        length
                            + 1
                            + u8::try_from(self.rng.below(usize::from(most - length))).unwrap()
                    };
                    format!("{}/{longer}", network(address, longer))
                })
                .collect();
            block["except"] = json!(holes);
        } else if self.rng.one_in(8) {
            block["except"] = json!([]);
        }
        block
    }

    fn network_policy(&mut self, idx: usize) -> Json {
        let namespace = *self.rng.pick(&self.namespaces);
        let mut spec = json!({});
        // A missing selector is valid and selects every pod of the namespace.
        if !self.rng.one_in(12) {
            spec["podSelector"] = self.selector(Selects::Pods);
        }
        match self.rng.below(12) {
            0..=2 => {}
            3 => spec["policyTypes"] = json!([]),
            4..=6 => spec["policyTypes"] = json!(["Ingress"]),
            7..=8 => spec["policyTypes"] = json!(["Egress"]),
            9..=10 => spec["policyTypes"] = json!(["Ingress", "Egress"]),
            _ => spec["policyTypes"] = json!(["Egress", "Ingress"]),
        }
        for (list, peers) in [("ingress", "from"), ("egress", "to")] {
            match self.rng.below(10) {
                0 | 1 => {}
                2 => spec[list] = json!([]),
                3 => spec[list] = json!([{}]),
                4 => spec[list] = Json::Null,
                _ => {
                    let n = self.rng.range(self.settings.rules);
                    spec[list] = (0..n).map(|_| self.rule(peers)).collect();
                }
            }
        }
        // Names repeat over namespaces, and their order is not the order of the objects.
        let metadata = self.metadata(&format!("p{}", (idx * 5 + 3) % 7), namespace);
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})
    }

    fn rule(&mut self, peers: &str) -> Json {
        let mut rule = json!({});
        match self.rng.below(8) {
            0 => {}
            1 => rule[peers] = json!([]),
            _ => {
                let n = self.rng.range(self.settings.peers);
                rule[peers] = (0..n).map(|_| self.peer()).collect();
            }
        }
        match self.rng.below(8) {
            0..=2 => {}
            3 => rule["ports"] = json!([]),
            _ => {
                let n = self.rng.range(self.settings.ports);
                rule["ports"] = (0..n).map(|_| self.port()).collect();
            }
        }
        rule
    }

    fn peer(&mut self) -> Json {
        match self.rng.below(8) {
            0 | 1 => json!({"podSelector": self.selector(Selects::Pods)}),
            2 => json!({"namespaceSelector": self.selector(Selects::Namespaces)}),
            3 | 4 => {
                json!({"namespaceSelector": self.selector(Selects::Namespaces), "podSelector": self.selector(Selects::Pods)})
            }
            _ => json!({"ipBlock": self.ip_block()}),
        }
    }

    fn port(&mut self) -> Json {
        let mut port = json!({});
        if self.rng.eighths(5) {
            port["protocol"] = json!(*self.rng.pick(&PROTOCOLS));
        }
        match self.rng.below(8) {
            0 => {}
            1..=3 => port["port"] = json!(*self.rng.pick(&NUMBERS)),
            4 | 5 => port["port"] = json!(*self.rng.pick(&PORT_NAMES)),
            _ => {
                let (low, high) = self.port_range();
                port["port"] = json!(low);
                port["endPort"] = json!(high);
            }
        }
        port
    }

    /// A range of ports: one port, a few, or up to the last.
    fn port_range(&mut self) -> (u16, u16) {
        let low = *self.rng.pick(&NUMBERS);
        let high = match self.rng.below(4) {
            0 => low,
            1 => low.saturating_add(2),
            2 => (*self.rng.pick(&NUMBERS)).max(low),
            _ => u16::MAX,
        };
        (low, high)
    }

    fn cluster_policy(&mut self, idx: usize, priority: u16) -> Json {
        let tier = *self.rng.pick(&["Admin", "Baseline"]);
        let mut spec =
            json!({"tier": tier, "priority": priority, "subject": self.pods_or_namespaces()});
        for (list, peers) in [("ingress", "from"), ("egress", "to")] {
            match self.rng.below(6) {
                0 => {}
                1 => spec[list] = json!([]),
                _ => {
                    let n = self.rng.range(self.settings.rules);
                    spec[list] = (0..n).map(|_| self.cluster_rule(peers)).collect();
                }
            }
        }
        json!({
            "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
            "metadata": {"name": format!("c{}", (idx * 3 + 2) % 5)}, "spec": spec,
        })
    }

    fn pods_or_namespaces(&mut self) -> Json {
        if self.rng.eighths(4) {
            json!({"namespaces": self.selector(Selects::Namespaces)})
        } else {
            json!({"pods": {"namespaceSelector": self.selector(Selects::Namespaces), "podSelector": self.selector(Selects::Pods)}})
        }
    }

    fn cluster_rule(&mut self, peers: &str) -> Json {
        let action = *self.rng.pick(&["Accept", "Deny", "Pass"]);
        let mut rule = json!({"action": action});
        if self.rng.eighths(3) {
            rule["name"] = json!("r");
        }
        let n = self.rng.range(self.settings.peers);
        rule[peers] = (0..n)
            .map(|_| match self.rng.below(8) {
                _ if peers == "from" => self.pods_or_namespaces(),
                0 if self.domains && action == "Accept" => {
                    let pool = ["api.example.com", "*.example.com", "*.com", "example.org"];
                    let n = self.rng.range((1, 2));
                    let names: Vec<&str> = (0..n).map(|_| *self.rng.pick(&pool)).collect();
                    json!({"domainNames": names})
                }
                0..=3 => {
                    let n = self.rng.range((1, 2));
                    let list: Vec<String> = (0..n)
                        .map(|_| self.prefix())
                        .map(|(base, length)| format!("{base}/{length}"))
                        .collect();
                    json!({"networks": list})
                }
                4 => json!({"nodes": self.selector(Selects::Nodes)}),
                _ => self.pods_or_namespaces(),
            })
            .collect();
        if self.rng.eighths(5) {
            let n = self.rng.range(self.settings.ports);
            rule["protocols"] = (0..n).map(|_| self.cluster_port()).collect();
        }
        rule
    }

    fn cluster_port(&mut self) -> Json {
        let protocol = *self.rng.pick(&["tcp", "tcp", "udp", "sctp"]);
        match self.rng.below(8) {
            0 => json!({protocol: {}}),
            1..=3 => json!({protocol: {"destinationPort": {"number": *self.rng.pick(&NUMBERS)}}}),
            4 | 5 => json!({"destinationNamedPort": *self.rng.pick(&PORT_NAMES)}),
            _ => match self.port_range() {
                // A range of one port is refused.
                (low, high) if low == high => {
                    json!({protocol: {"destinationPort": {"number": low}}})
                }
                (low, high) => {
                    json!({protocol: {"destinationPort": {"range": {"start": low, "end": high}}}})
                }
            },
        }
    }
}

/// The first address of the prefix around an address.
fn network(address: IpAddr, length: u8) -> IpAddr {
    moat_sets::Cidr::new(address, length).network()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;
    use moat_model::{Severity, codes};

    #[test]
    fn the_same_seed_gives_the_same_world() {
        assert_eq!(world(7, &Settings::DEFAULT).objects, world(7, &Settings::DEFAULT).objects);
        assert_ne!(world(7, &Settings::DEFAULT).objects, world(8, &Settings::DEFAULT).objects);
    }

    #[test]
    fn every_world_is_valid() {
        for seed in 0..300 {
            let world = world(seed, &Settings::DEFAULT);
            let lowered = engine::lower(&world.objects);
            // Policies of one name in one namespace may meet; the last one counts.
            let bad = |found: &&moat_model::Diagnostic| {
                found.severity != Severity::Note && found.code != codes::DUPLICATE_OBJECT
            };
            let found: Vec<_> = lowered.diagnostics.iter().filter(bad).collect();
            assert!(found.is_empty(), "seed {seed}: {found:#?}");
            assert!(lowered.inventory.taints.is_empty(), "seed {seed}");
        }
    }
}
