//! All small worlds: two namespaces of two pods, few policies, every form the API gives a field.

use crate::Json;
use crate::exhaust::{self, Choices};
use crate::point::{End, Flow};
use moat_sets::{Family, Protocol};
use serde_json::json;

/// Namespaces `a` (team x) and `b` (team y), each with pods `p` (app p) and `q` (app q). The port name `http` is 80 on `p` and
/// 81 on `q`.
#[must_use]
pub fn base() -> Vec<Json> {
    let mut objects = Vec::new();
    for (subnet, (namespace, team)) in [("a", "x"), ("b", "y")].into_iter().enumerate() {
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"team": team}}}));
        for (host, (name, number)) in [("p", 80), ("q", 81)].into_iter().enumerate() {
            let ip = format!("10.0.{subnet}.{}", host + 1);
            objects.push(json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "x", "ports": [{"name": "http", "containerPort": number}]}]},
                "status": {"podIP": ip, "podIPs": [{"ip": ip}]},
            }));
        }
    }
    objects
}

/// Flows between all ends of a small world: its four pods and one outside address.
#[must_use]
pub fn flows(points: &[(Protocol, u16)]) -> Vec<Flow> {
    let pods = ["a", "b"].into_iter().flat_map(|namespace| {
        ["p", "q"].map(|name| End::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
    });
    let ends: Vec<End> = pods.chain([End::Address("10.0.1.9".parse().unwrap())]).collect();
    let mut out = Vec::new();
    for from in &ends {
        for to in &ends {
            if !matches!((from, to), (End::Address(_), End::Address(_))) {
                let flow = |&(protocol, port): &(Protocol, u16)| Flow {
                    from: from.clone(),
                    to: to.clone(),
                    protocol,
                    port,
                    family: Family::V4,
                };
                out.extend(points.iter().map(flow));
            }
        }
    }
    out
}

/// Points for [`one_policy`]: the ports 80 to 82 of TCP, two of UDP, and ICMP.
pub const POINTS: [(Protocol, u16); 6] = [
    (Protocol::Tcp, 80),
    (Protocol::Tcp, 81),
    (Protocol::Tcp, 82),
    (Protocol::Udp, 80),
    (Protocol::Udp, 82),
    (Protocol::Other, 0),
];

fn policy(name: &str, spec: &Json) -> Json {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "a"}, "spec": spec})
}

fn set_types(spec: &mut Json, choices: &mut Choices) {
    let forms = [
        None,
        Some(json!([])),
        Some(json!(["Ingress"])),
        Some(json!(["Egress"])),
        Some(json!(["Ingress", "Egress"])),
    ];
    if let Some(types) = choices.pick(&forms) {
        spec["policyTypes"] = types.clone();
    }
}

/// One policy in `a`: every subject, `policyTypes`, rule list, peer and port form; both directions share the rule.
#[must_use]
pub fn one_policy() -> Vec<Vec<Json>> {
    exhaust::all(|choices| {
        let mut spec = json!({});
        if let Some(subject) =
            choices.pick(&[None, Some(json!({})), Some(json!({"matchLabels": {"app": "p"}}))])
        {
            spec["podSelector"] = subject.clone();
        }
        set_types(&mut spec, choices);
        let (ingress, egress) = (choices.below(4), choices.below(4));
        let rule = (ingress == 3 || egress == 3).then(|| {
            let peers = choices.pick(&[
                None,
                Some(json!([])),
                Some(json!([{"podSelector": {"matchLabels": {"app": "q"}}}])),
                Some(json!([{"namespaceSelector": {"matchLabels": {"team": "y"}}}])),
                Some(json!([{"namespaceSelector": {"matchLabels": {"team": "y"}}, "podSelector": {"matchLabels": {"app": "q"}}}])),
                Some(json!([{"namespaceSelector": {"matchLabels": {"team": "y"}}}, {"podSelector": {"matchLabels": {"app": "q"}}}])),
                Some(json!([{"ipBlock": {"cidr": "10.0.0.0/15", "except": ["10.0.1.0/30"]}}])),
            ]).clone();
            let ports = choices.pick(&[
                None,
                Some(json!([])),
                Some(json!([{"port": 80}])),
                Some(json!([{"port": "http"}])),
                Some(json!([{"protocol": "UDP"}])),
                Some(json!([{"port": 81, "endPort": 82}, {"protocol": "UDP", "port": 80}])),
            ]).clone();
            (peers, ports)
        });
        for (list, form, key) in [("ingress", ingress, "from"), ("egress", egress, "to")] {
            let rules = match form {
                0 => continue,
                1 => json!([]),
                2 => json!([{}]),
                _ => {
                    let mut one = json!({});
                    let (peers, ports) = rule.clone().unwrap();
                    peers.into_iter().for_each(|peers| one[key] = peers);
                    ports.into_iter().for_each(|ports| one["ports"] = ports);
                    json!([one])
                }
            };
            spec[list] = rules;
        }
        let mut objects = base();
        objects.push(policy("one", &spec));
        objects
    })
}

/// Points for [`two_policies`] and [`tiers`].
pub const FEW_POINTS: [(Protocol, u16); 3] =
    [(Protocol::Tcp, 80), (Protocol::Tcp, 81), (Protocol::Udp, 80)];

/// Two policies in `a`, each with a choice of subject, types and rule lists.
#[must_use]
pub fn two_policies() -> Vec<Vec<Json>> {
    let specs = exhaust::all(|choices| {
        let mut spec = json!({"podSelector": choices.pick(&[json!({}), json!({"matchLabels": {"app": "p"}})]).clone()});
        if let Some(types) = choices.pick(&[
            None,
            Some(json!(["Ingress"])),
            Some(json!(["Egress"])),
            Some(json!(["Ingress", "Egress"])),
        ]) {
            spec["policyTypes"] = types.clone();
        }
        for (list, key) in [("ingress", "from"), ("egress", "to")] {
            let rules = [
                None,
                Some(json!([])),
                Some(json!([{"ports": [{"port": 80}]}])),
                Some(json!([{key: [{"podSelector": {}}]}])),
            ];
            if let Some(rules) = choices.pick(&rules) {
                spec[list] = rules.clone();
            }
        }
        spec
    });
    let mut worlds = Vec::new();
    for (idx, first) in specs.iter().enumerate() {
        // The order of two policies is another test's matter.
        for second in &specs[idx..] {
            let mut objects = base();
            objects.push(policy("one", first));
            objects.push(policy("two", second));
            worlds.push(objects);
        }
    }
    worlds
}

/// Two Admin rules, a NetworkPolicy and a Baseline rule, each there or not, of every action.
#[must_use]
pub fn tiers() -> Vec<Vec<Json>> {
    let peers = [
        json!([{"namespaces": {"matchLabels": {"team": "y"}}}]),
        json!([{"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "q"}}}}]),
    ];
    exhaust::all(|choices| {
        let mut objects = base();
        let mut cluster = |choices: &mut Choices, name: &str, tier: &str, priority: u16| {
            if choices.below(2) == 0 {
                return;
            }
            let action = *choices.pick(&["Accept", "Deny", "Pass"]);
            let rule = json!([{"action": action, "from": choices.pick(&peers).clone(), "protocols": [{"tcp": {"destinationPort": {"number": 80}}}]}]);
            objects.push(json!({
                "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": name},
                "spec": {"tier": tier, "priority": priority, "subject": {"namespaces": {}}, "ingress": rule},
            }));
        };
        // Names and priorities order the two differently.
        cluster(choices, "z-first", "Admin", 1);
        cluster(choices, "a-second", "Admin", 2);
        cluster(choices, "baseline", "Baseline", 1);
        let rules = [
            None,
            Some(json!([])),
            Some(json!([{}])),
            Some(json!([{"from": [{"podSelector": {}}]}])),
        ];
        if let Some(rules) = choices.pick(&rules) {
            objects.push(policy("np", &json!({"podSelector": {"matchLabels": {"app": "p"}}, "policyTypes": ["Ingress"], "ingress": rules.clone()})));
        }
        objects
    })
}
