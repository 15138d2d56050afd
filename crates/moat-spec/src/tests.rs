//! One test per sentence that is easy to misread.

use super::*;
use Verdict::{Allowed, Denied};
use serde_json::{Value, json};

fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// A pod `namespace/name` labelled `app=<name>`, on node `n1`, with port 8080 named `web` over TCP.
fn pod(id: &str, ip: &str) -> Value {
    let (namespace, name) = id.split_once('/').unwrap();
    let ports = json!([{"name": "web", "containerPort": 8080}]);
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": ports}]},
        "status": {"podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "192.168.0.1"}})
}

fn host_pod(id: &str, node: &str, ip: &str) -> Value {
    let mut pod = pod(id, ip);
    pod["spec"]["hostNetwork"] = json!(true);
    pod["spec"]["nodeName"] = json!(node);
    pod["status"]["hostIP"] = json!(ip);
    pod
}

fn node(name: &str, ip: &str) -> Value {
    let addresses =
        json!([{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": ip}]);
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"name": name}}, "status": {"addresses": addresses}})
}

fn np(id: &str, spec: Value) -> Value {
    let (namespace, name) = id.split_once('/').unwrap();
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// A cluster policy for every pod.
fn cnp(name: &str, tier: &str, priority: i32, direction: &str, rules: Value) -> Value {
    json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": name},
        "spec": {"tier": tier, "priority": priority, "subject": {"namespaces": {}}, direction: rules}})
}

/// Pods a/web 10.0.0.1, a/db 10.0.0.2, b/web 10.0.1.1 on node n1, and what else is given.
fn world(more: impl IntoIterator<Item = Value>) -> World {
    let mut objects =
        vec![pod("a/web", "10.0.0.1"), pod("a/db", "10.0.0.2"), pod("b/web", "10.0.1.1")];
    objects.extend([
        node("n1", "192.168.0.1"),
        node("n2", "192.168.0.2"),
        namespace("b", json!({"team": "b"})),
    ]);
    objects.extend(more);
    World { objects }
}

fn end(text: &str) -> End {
    match (text.parse(), text.split_once('/')) {
        (Ok(address), _) => End::Address(address),
        (_, Some((namespace, name))) => {
            End::Pod { namespace: namespace.to_owned(), name: name.to_owned() }
        }
        _ => End::Domain(text.to_owned()),
    }
}

fn ask6(world: &World, flow: &str, family: Family) -> Answer {
    let words: Vec<&str> = flow.split(' ').collect();
    let (from, to) = (end(words[0]), end(words[1]));
    decide(
        world,
        &Flow { from, to, protocol: words[2].to_owned(), port: words[3].parse().unwrap(), family },
    )
}

/// Asks `from to protocol port`.
fn ask(world: &World, flow: &str) -> Answer {
    ask6(world, flow, Family::V4)
}

#[track_caller]
fn check(world: &World, expected: &[(&str, Verdict)]) {
    for (flow, verdict) in expected {
        assert_eq!(ask(world, flow).verdict, *verdict, "{flow}: {:?}", ask(world, flow));
    }
}

fn allowed(reason: Reason) -> Half {
    Half { verdict: Allowed, reason }
}

fn denied(reason: Reason) -> Half {
    Half { verdict: Denied, reason }
}

fn rules(of: &[(&str, usize)]) -> Reason {
    Reason::Rules(of.iter().map(|(id, index)| ((*id).to_owned(), *index)).collect())
}

//# "the default kubernetes policy is applied, which says that all pods can communicate with each other"
#[test]
fn nothing_applies_by_default() {
    let answer = ask(&world([]), "a/web b/web TCP 80");
    assert_eq!((answer.egress.reason, answer.ingress.reason), (Reason::Default, Reason::Default));
    let answer = ask(&world([]), "8.8.8.8 b/web TCP 80");
    assert_eq!((answer.verdict, answer.egress.reason), (Allowed, Reason::Unmanaged));
}

//# "If this field is empty then this NetworkPolicy does not allow any traffic (and serves solely to ensure that the pods it selects are
//# isolated by default)"
#[test]
fn empty_rules_isolate_and_an_empty_rule_allows_all() {
    for none in [json!({}), json!({"ingress": []}), json!({"ingress": null, "podSelector": {}})] {
        let answer = ask(&world([np("a/p", none)]), "b/web a/db TCP 80");
        assert_eq!(answer.ingress, denied(Reason::Isolated(vec!["np/a/p".to_owned()])));
    }
    for all in [json!([{}]), json!([{"from": []}]), json!([{"from": [], "ports": []}])] {
        let answer = ask(&world([np("a/p", json!({"ingress": all}))]), "8.8.8.8 a/db ICMP 0");
        assert_eq!(answer.ingress, allowed(rules(&[("np/a/p", 0)])));
    }
}

//# "policies that contain an egress section are assumed to affect egress, and all policies (whether or not they contain an ingress
//# section) are assumed to affect ingress"
#[test]
fn policy_types_default_by_the_number_of_egress_rules() {
    let of = |spec| {
        let world = world([np("a/p", spec)]);
        (
            ask(&world, "a/db b/web TCP 80").egress.verdict,
            ask(&world, "b/web a/db TCP 80").ingress.verdict,
        )
    };
    let nowhere = json!([{"to": [{"podSelector": {"matchLabels": {"no": "one"}}}]}]);
    assert_eq!(of(json!({"egress": []})), (Allowed, Denied));
    assert_eq!(of(json!({"egress": nowhere.clone()})), (Denied, Denied));
    assert_eq!(of(json!({"egress": nowhere, "policyTypes": []})), (Denied, Denied));
    assert_eq!(of(json!({"policyTypes": ["Egress"]})), (Denied, Allowed));
    //# "If you want to write an egress-only policy, you must explicitly specify policyTypes [ "Egress" ]."
    assert_eq!(
        of(json!({"policyTypes": ["Egress"], "egress": [{}], "ingress": []})),
        (Allowed, Allowed)
    );
}

//# "the NetworkPolicyPeer as a whole selects the pods matching podSelector in the namespaces selected by namespaceSelector"
//# "Otherwise it selects the pods matching podSelector in the policy's own namespace."
#[test]
fn one_peer_is_and_two_peers_are_or() {
    let (team, web) =
        (json!({"matchLabels": {"team": "b"}}), json!({"matchLabels": {"app": "web"}}));
    let more = |from| {
        world([
            pod("b/other", "10.0.1.2"),
            np(
                "a/p",
                json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": from}]}),
            ),
        ])
    };
    let both = more(json!([{"namespaceSelector": team, "podSelector": web}]));
    check(
        &both,
        &[
            ("b/web a/db TCP 80", Allowed),
            ("b/other a/db TCP 80", Denied),
            ("a/web a/db TCP 80", Denied),
        ],
    );
    let either = more(json!([{"namespaceSelector": team}, {"podSelector": web}]));
    check(
        &either,
        &[
            ("b/web a/db TCP 80", Allowed),
            ("b/other a/db TCP 80", Allowed),
            ("a/web a/db TCP 80", Allowed),
        ],
    );
    let own = more(json!([{"podSelector": {}}]));
    check(
        &own,
        &[
            ("b/web a/db TCP 80", Denied),
            ("a/web a/db TCP 80", Allowed),
            ("8.8.8.8 a/db TCP 80", Denied),
        ],
    );
    check(
        &more(json!([{"namespaceSelector": {}}])),
        &[("b/web a/db TCP 80", Allowed), ("8.8.8.8 a/db TCP 80", Denied)],
    );
    check(&more(json!([{}])), &[("b/web a/db TCP 80", Denied)]);
}

//# "The operator is DoesNotExist or NotIn and Labels does not have the Requirement's key."
#[test]
fn not_in_selects_what_lacks_the_key() {
    for (requirement, verdict) in [
        (json!({"key": "app", "operator": "In", "values": ["x", "web"]}), Allowed),
        (json!({"key": "zone", "operator": "In", "values": ["x"]}), Denied),
        (json!({"key": "app", "operator": "NotIn", "values": ["x", "web"]}), Denied),
        (json!({"key": "zone", "operator": "NotIn", "values": ["x"]}), Allowed),
        (json!({"key": "app", "operator": "Exists"}), Allowed),
        (json!({"key": "zone", "operator": "Exists"}), Denied),
        (json!({"key": "app", "operator": "DoesNotExist"}), Denied),
        (json!({"key": "zone", "operator": "DoesNotExist"}), Allowed),
    ] {
        let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [requirement]});
        check(
            &world([np("a/p", json!({"ingress": [{"from": [{"podSelector": selector}]}]}))]),
            &[("a/web a/db TCP 80", verdict)],
        );
    }
}

// "The Kubernetes control plane sets an immutable label kubernetes.io/metadata.name on all namespaces"
#[test]
fn every_namespace_has_its_name_as_label() {
    let from = |name: &str| json!([{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}]}]);
    let lie = namespace("c", json!({"kubernetes.io/metadata.name": "b"}));
    let world = world([
        lie,
        pod("c/web", "10.0.2.1"),
        np("a/p", json!({"ingress": from("b")})),
        np("b/p", json!({"ingress": from("a")})),
    ]);
    check(
        &world,
        &[
            ("b/web a/db TCP 80", Allowed),
            ("c/web a/db TCP 80", Denied),
            ("a/db b/web TCP 80", Allowed),
        ],
    );
}

//# "In this case, the ingress rules for each are combined additively."
#[test]
fn policies_add_up_and_all_matching_rules_are_named() {
    let web = json!({"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]});
    let policies = [
        np("a/z", json!({"ingress": [{}]})),
        np("a/b", json!({"ingress": [{"from": [{"ipBlock": {"cidr": "1.1.1.1/32"}}]}, web]})),
    ];
    let world = world(policies.into_iter().chain([np("a/m", json!({})), np("b/other", json!({}))]));
    assert_eq!(
        ask(&world, "a/web a/db TCP 80").ingress.reason,
        rules(&[("np/a/b", 1), ("np/a/z", 0)])
    );
}

// ObjectMeta: "An empty namespace is equivalent to the "default" namespace"
#[test]
fn no_namespace_is_default() {
    let mut objects = [pod("x/web", "10.0.3.1"), np("x/p", json!({}))];
    objects
        .iter_mut()
        .for_each(|object| drop(object["metadata"].as_object_mut().unwrap().remove("namespace")));
    let answer = ask(&world(objects), "a/web default/web TCP 80");
    assert_eq!(answer.ingress.reason, Reason::Isolated(vec!["np/default/p".to_owned()]));
}

//# "If not specified, this field defaults to TCP." "If this field is not provided, this matches all port names and numbers."
//# "endPort indicates that the range of ports from port to endPort if set, inclusive, should be allowed by the policy."
#[test]
fn ports() {
    let of = |ports| world([np("a/p", json!({"ingress": [{"ports": ports}]}))]);
    check(
        &of(json!([{"port": 80}])),
        &[
            ("b/web a/db TCP 80", Allowed),
            ("b/web a/db UDP 80", Denied),
            ("b/web a/db TCP 81", Denied),
        ],
    );
    check(
        &of(json!([{}])),
        &[
            ("b/web a/db TCP 9", Allowed),
            ("b/web a/db UDP 9", Denied),
            ("b/web a/db ICMP 0", Denied),
        ],
    );
    check(
        &of(json!([{"protocol": "SCTP"}])),
        &[("b/web a/db SCTP 9", Allowed), ("b/web a/db TCP 9", Denied)],
    );
    let range = of(json!([{"protocol": "UDP", "port": 10, "endPort": 12}]));
    check(
        &range,
        &[
            ("b/web a/db UDP 9", Denied),
            ("b/web a/db UDP 10", Allowed),
            ("b/web a/db UDP 12", Allowed),
            ("b/web a/db UDP 13", Denied),
        ],
    );
    //# "protocol represents the protocol (TCP, UDP, or SCTP) which traffic must match."
    check(&of(json!([{"protocol": "ICMP"}])), &[("b/web a/db ICMP 0", Denied)]);
    //# "This field cannot be defined if the port field is not defined"
    check(&of(json!([{"endPort": 12}])), &[("b/web a/db TCP 10", Denied)]);
}

//# "This can either be a numerical or named port on a pod. ... If present, only traffic on the specified protocol AND port will be
//# matched."
#[test]
fn named_ports_are_the_destinations() {
    let mut other = pod("b/other", "10.0.1.2");
    let sidecar = json!({"name": "s", "restartPolicy": "Always", "ports": [{"name": "web", "containerPort": 90}]});
    let init = json!({"name": "i", "ports": [{"name": "web", "containerPort": 91}]});
    other["spec"]["containers"][0]["ports"] =
        json!([{"name": "web", "containerPort": 70, "protocol": "UDP"}]);
    other["spec"]["initContainers"] = json!([sidecar, init]);
    let egress = json!({"policyTypes": ["Egress"], "egress": [{"ports": [{"port": "web"}]}]});
    let world = world([other, np("a/p", egress)]);
    check(
        &world,
        &[
            ("a/web b/web TCP 8080", Allowed),
            ("a/web b/web UDP 8080", Denied),
            ("a/web b/web TCP 80", Denied),
        ],
    );
    check(
        &world,
        &[
            ("a/web b/other TCP 90", Allowed),
            ("a/web b/other TCP 91", Denied),
            ("a/web b/other TCP 8080", Denied),
        ],
    );
    check(
        &world,
        &[
            ("a/web b/other UDP 70", Denied),
            ("a/web b/other TCP 70", Denied),
            ("a/web 8.8.8.8 TCP 8080", Denied),
        ],
    );
}

//# "The except entry describes CIDRs that should not be included within this rule."
#[test]
fn blocks_match_the_packets_address_even_of_pods() {
    let block = json!({"cidr": "10.9.9.9/8", "except": ["10.0.1.0/24"]});
    let world = world([np("a/p", json!({"ingress": [{"from": [{"ipBlock": block}]}]}))]);
    check(
        &world,
        &[
            ("a/web a/db TCP 80", Allowed),
            ("b/web a/db TCP 80", Denied),
            ("10.77.0.1 a/db TCP 80", Allowed),
        ],
    );
    check(&world, &[("11.0.0.1 a/db TCP 80", Denied), ("10.0.1.77 a/db TCP 80", Denied)]);
}

//# "Valid examples are "192.168.1.0/24" or "2001:db8::/64""
#[test]
fn blocks_are_of_one_family() {
    let of = |cidr| {
        let mut dual = pod("b/dual", "10.0.1.5");
        dual["status"]["podIPs"] = json!([{"ip": "10.0.1.5"}, {"ip": "2001:db8::5"}]);
        let world = world([
            dual,
            np(
                "a/p",
                json!({"ingress": [{"from": [{"ipBlock": {"cidr": cidr, "except": ["2001:db8::8/125"]}}]}]}),
            ),
        ]);
        let verdict = |flow, family| ask6(&world, flow, family).verdict;
        [
            verdict("b/dual a/db TCP 80", Family::V4),
            verdict("b/dual a/db TCP 80", Family::V6),
            verdict("b/web a/db TCP 80", Family::V6),
            verdict("2001:db8::9 a/db TCP 80", Family::V6),
        ]
    };
    assert_eq!(of("0.0.0.0/0"), [Allowed, Denied, Denied, Denied]);
    assert_eq!(of("::/0"), [Denied, Allowed, Denied, Denied]);
    assert_eq!(of("2001:db8::/129"), [Denied; 4]);
}

// Moat: "as peers they are their node's address"
#[test]
fn host_network_pods_are_node_addresses() {
    let from = |peers| {
        world([
            host_pod("b/agent", "n2", "192.168.0.2"),
            np("a/p", json!({"ingress": [{"from": peers}]})),
            np("b/p", json!({})),
        ])
    };
    check(
        &from(json!([{"namespaceSelector": {}, "podSelector": {}}])),
        &[("b/agent a/db TCP 80", Denied), ("a/db b/agent TCP 80", Allowed)],
    );
    let block = from(json!([{"ipBlock": {"cidr": "192.168.0.2/32"}}]));
    check(&block, &[("b/agent a/db TCP 80", Allowed), ("192.168.0.2 a/db TCP 80", Allowed)]);
    assert_eq!(ask(&block, "a/db b/agent TCP 80").ingress.reason, Reason::Unmanaged);
    let mut unknown = block;
    unknown
        .objects
        .iter_mut()
        .filter(|object| object["metadata"]["name"] == "agent")
        .for_each(|pod| pod["status"] = json!({}));
    check(&unknown, &[("b/agent a/db TCP 80", Allowed)]);
}

//# "OR if the traffic source is the pod's local node"
#[test]
fn the_own_node_is_always_allowed() {
    let deny = cnp("deny", "Admin", 1, "ingress", json!([{"action": "Deny", "from": [{}]}]));
    let hosts = [host_pod("b/here", "n1", "192.168.0.1"), host_pod("b/there", "n2", "192.168.0.2")];
    let mut world = world(
        hosts.into_iter().chain([deny, np("a/p", json!({"policyTypes": ["Ingress", "Egress"]}))]),
    );
    world
        .objects
        .iter_mut()
        .filter(|object| object["metadata"]["name"] == "db")
        .for_each(|pod| pod["status"]["hostIP"] = json!(null));
    for from in ["b/here", "192.168.0.1"] {
        let answer = ask(&world, &format!("{from} a/db TCP 80"));
        assert_eq!(
            (answer.egress.reason, answer.ingress.reason),
            (Reason::Unmanaged, Reason::Exempt("own-node".to_owned()))
        );
    }
    // Other nodes are ordinary sources, and the way back is ordinary egress.
    check(
        &world,
        &[
            ("b/there a/db TCP 80", Denied),
            ("192.168.0.2 a/db TCP 80", Denied),
            ("a/db 192.168.0.1 TCP 80", Denied),
        ],
    );
}

// "a Pod cannot block access to itself"
#[test]
fn a_pod_always_reaches_itself() {
    let deny = |direction, field: &str| {
        cnp(
            direction,
            "Admin",
            1,
            direction,
            json!([{"action": "Deny", field: [{"namespaces": {}}]}]),
        )
    };
    let world = world([
        deny("ingress", "from"),
        deny("egress", "to"),
        np("a/p", json!({"policyTypes": ["Ingress", "Egress"]})),
    ]);
    for flow in ["a/web a/web TCP 80", "a/web 10.0.0.1 TCP 80"] {
        let itself = allowed(Reason::Exempt("self".to_owned()));
        assert_eq!(
            ask(&world, flow),
            Answer { verdict: Allowed, egress: itself.clone(), ingress: itself }
        );
    }
}

//# "selects all pods in the namespaces selected by namespaceSelector"
#[test]
fn the_address_of_a_pod_is_the_pod() {
    let mut done = pod("b/done", "10.0.1.9");
    done["status"]["phase"] = json!("Succeeded");
    let world =
        world([done, np("a/p", json!({"ingress": [{"from": [{"namespaceSelector": {}}]}]}))]);
    check(
        &world,
        &[
            ("10.0.1.1 a/db TCP 80", Allowed),
            ("10.0.1.9 a/db TCP 80", Denied),
            ("8.8.8.8 10.0.0.2 TCP 80", Denied),
        ],
    );
}

//# "Policies with lower priority values have higher precedence" "If any element matches the source of incoming traffic then the
//# specified action is applied."
#[test]
fn cluster_policies_apply_in_order() {
    let one = |action: &str| json!([{"action": action, "from": [{"namespaces": {"matchLabels": {"team": "b"}}}]}]);
    let policies = [
        cnp("b", "Admin", 5, "ingress", one("Accept")),
        cnp("a", "Admin", 5, "ingress", one("Deny")),
    ];
    let world1 = world(policies.clone().into_iter().chain([np("a/p", json!({}))]));
    assert_eq!(ask(&world1, "b/web a/db TCP 80").ingress, denied(rules(&[("cnp/a", 0)])));
    assert_eq!(ask(&world1, "a/web a/db TCP 80").ingress.verdict, Denied);
    let world2 = world(
        policies
            .into_iter()
            .chain([cnp("z", "Admin", 4, "ingress", one("Accept")), np("a/p", json!({}))]),
    );
    //# "No further ingress ClusterNetworkPolicy or NetworkPolicy rules will be processed."
    assert_eq!(ask(&world2, "b/web a/db TCP 80").ingress, allowed(rules(&[("cnp/z", 0)])));
}

//# "Pass: Skips all further ClusterNetworkPolicy rules in the current tier for the selected traffic, and passes evaluation to the next
//# tier."
//# "v1.NetworkPolicy always makes a final decision for selected pods."
#[test]
fn pass_leaves_the_tier_and_network_policies_are_final() {
    let all = |action: &str| json!({"action": action, "from": [{"namespaces": {}}]});
    let admin = cnp("admin", "Admin", 1, "ingress", json!([all("Pass"), all("Deny")]));
    let baseline = cnp("base", "Baseline", 1, "ingress", json!([all("Deny")]));
    let world1 = world([
        admin,
        baseline,
        np("a/p", json!({"ingress": [{}], "podSelector": {"matchLabels": {"app": "db"}}})),
    ]);
    assert_eq!(ask(&world1, "b/web a/db TCP 80").ingress, allowed(rules(&[("np/a/p", 0)])));
    assert_eq!(ask(&world1, "b/web a/web TCP 80").ingress, denied(rules(&[("cnp/base", 0)])));
    let world2 = world([
        cnp("base", "Baseline", 1, "ingress", json!([all("Pass"), all("Deny")])),
        np("a/p", json!({})),
    ]);
    check(&world2, &[("a/web b/web TCP 80", Allowed), ("b/web a/web TCP 80", Denied)]);
}

//# "Pods is used to select pods via namespace AND pod selectors."
//# "Note that host-networked pods are not included in this type of peer."
#[test]
fn cluster_subjects_and_pod_peers() {
    let pods = |team, app| json!({"pods": {"namespaceSelector": {"matchLabels": team}, "podSelector": {"matchLabels": app}}});
    let mut policy = cnp(
        "p",
        "Admin",
        1,
        "ingress",
        json!([{"action": "Deny", "from": [pods(json!({"team": "b"}), json!({"app": "web"}))]}]),
    );
    policy["spec"]["subject"] = pods(json!({}), json!({"app": "db"}));
    let world =
        world([policy, pod("b/other", "10.0.1.2"), host_pod("b/agent", "n2", "192.168.0.2")]);
    check(
        &world,
        &[
            ("b/web a/db TCP 80", Denied),
            ("b/web a/web TCP 80", Allowed),
            ("b/other a/db TCP 80", Allowed),
        ],
    );
    check(&world, &[("a/web a/db TCP 80", Allowed), ("b/agent a/db TCP 80", Allowed)]);
}

//# "note that cluster-internal traffic will be checked against the rule as well"
//# "Networks matches both regular IP traffic and ICMP traffic to/from the specified CIDRs."
#[test]
fn networks_match_pods_and_icmp() {
    let world = world([cnp(
        "p",
        "Admin",
        1,
        "egress",
        json!([{"action": "Deny", "to": [{"networks": ["10.0.1.0/24", "2001:db8::/32"]}]}]),
    )]);
    check(
        &world,
        &[
            ("a/web b/web TCP 80", Denied),
            ("a/web 10.0.1.77 ICMP 0", Denied),
            ("a/web a/db TCP 80", Allowed),
        ],
    );
    assert_eq!(ask6(&world, "a/web 2001:db8::1 TCP 80", Family::V6).verdict, Denied);
}

//# "It selects the nodeIPs as the peer type by matching on the IPs present in the node.Status.Addresses field of the node."
#[test]
fn nodes_are_their_addresses_and_host_network_pods() {
    let to = |selector| json!([{"action": "Deny", "to": [{"nodes": selector}]}]);
    let hosts = [host_pod("b/agent", "n2", "192.168.0.2"), host_pod("b/here", "n1", "192.168.0.1")];
    let world1 = world(hosts.clone().into_iter().chain([cnp(
        "p",
        "Admin",
        1,
        "egress",
        to(json!({"matchLabels": {"name": "n2"}})),
    )]));
    check(
        &world1,
        &[
            ("a/web b/agent TCP 80", Denied),
            ("a/web 192.168.0.2 TCP 80", Denied),
            ("a/web b/web TCP 80", Allowed),
        ],
    );
    check(
        &world1,
        &[
            ("a/web b/here TCP 80", Allowed),
            ("a/web 192.168.0.1 TCP 80", Allowed),
            ("a/web 8.8.8.8 TCP 80", Allowed),
        ],
    );
    //# "if present but empty, it selects all Nodes"
    check(
        &world(hosts.into_iter().chain([cnp("p", "Admin", 1, "egress", to(json!({})))])),
        &[("a/web b/here TCP 80", Denied)],
    );
}

//# "'*', the wildcard specifier, matches one or more entire labels. It does not support partial matches."
#[test]
fn domain_names() {
    let rules =
        json!([{"action": "Accept", "to": [{"domainNames": ["*.kubernetes.io", "example.com."]}]}]);
    let deny = np("a/p", json!({"policyTypes": ["Egress"]}));
    let world1 = world([cnp("p", "Admin", 1, "egress", rules), deny.clone()]);
    check(
        &world1,
        &[
            ("a/web www.kubernetes.io TCP 443", Allowed),
            ("a/web latest.blog.Kubernetes.io TCP 443", Allowed),
        ],
    );
    check(
        &world1,
        &[("a/web kubernetes.io TCP 443", Denied), ("a/web my-kubernetes.io TCP 443", Denied)],
    );
    check(
        &world1,
        &[
            ("a/web example.com TCP 443", Allowed),
            ("a/web www.example.com TCP 443", Denied),
            ("a/web 8.8.8.8 TCP 443", Denied),
        ],
    );
    //# "DomainNames is only supported for Accept rules."
    let refused = json!([{"action": "Pass", "to": [{"domainNames": ["example.com"]}]}]);
    check(&world([cnp("p", "Admin", 1, "egress", refused)]), &[("a/web 8.8.8.8 TCP 443", Denied)]);
    // A name has no address that a block could hold; only a rule for all destinations matches.
    let block = json!({"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]});
    check(&world([np("a/p", block)]), &[("a/web example.com TCP 443", Denied)]);
    check(
        &world([deny, np("a/q", json!({"egress": [{}]}))]),
        &[("a/web example.com TCP 443", Allowed)],
    );
}

//# "If unspecified, protocol-specific attributes will not be used to match traffic."
//# "PortRange defines an inclusive range of ports from the assigned Start value to End value."
#[test]
fn cluster_protocols() {
    let of = |protocols| {
        world([cnp(
            "p",
            "Admin",
            1,
            "ingress",
            json!([{"action": "Deny", "from": [{"namespaces": {}}], "protocols": protocols}]),
        )])
    };
    check(&of(json!(null)), &[("b/web a/db TCP 80", Denied), ("b/web a/db ICMP 0", Denied)]);
    let list = of(
        json!([{"tcp": {"destinationPort": {"number": 80}}}, {"udp": {"destinationPort": {"range": {"start": 5, "end": 7}}}}, {"sctp": {}}]),
    );
    check(
        &list,
        &[
            ("b/web a/db TCP 80", Denied),
            ("b/web a/db TCP 5", Allowed),
            ("b/web a/db UDP 80", Allowed),
            ("b/web a/db ICMP 80", Allowed),
        ],
    );
    check(
        &list,
        &[
            ("b/web a/db UDP 5", Denied),
            ("b/web a/db UDP 7", Denied),
            ("b/web a/db UDP 8", Allowed),
            ("b/web a/db SCTP 9", Denied),
        ],
    );
    //# "DestinationNamedPort selects a destination port on a pod based on the ContainerPort name."
    let named = of(json!([{"destinationNamedPort": "web"}]));
    check(
        &named,
        &[
            ("b/web a/db TCP 8080", Denied),
            ("b/web a/db UDP 8080", Allowed),
            ("b/web a/db TCP 80", Allowed),
        ],
    );
}

//# "For "Accept" rules, "fail closed" means: "treat the rule as matching no traffic". For "Deny" and "Pass" rules, "fail closed" means:
//# "treat the rule as a 'Deny all' rule"."
#[test]
fn unknown_peers_fail_closed() {
    let of = |action: &str, peer: Value| {
        let rule = json!({"action": action, "from": [{"namespaces": {}}, peer], "protocols": [{"tcp": {"destinationPort": {"number": 80}}}]});
        let last = json!({"action": "Accept", "from": [{"namespaces": {}}]});
        ask(&world([cnp("p", "Admin", 1, "ingress", json!([rule, last]))]), "b/web a/db UDP 53")
            .ingress
    };
    for unknown in [
        json!({}),
        json!({"planets": ["mars"]}),
        json!({"networks": ["10.0.0.0/8"]}),
        json!({"namespaces": "all"}),
    ] {
        assert_eq!(of("Accept", unknown.clone()), allowed(rules(&[("cnp/p", 1)])));
        assert_eq!(of("Deny", unknown.clone()), denied(rules(&[("cnp/p", 0)])));
        assert_eq!(of("Pass", unknown), denied(rules(&[("cnp/p", 0)])));
    }
    let accept = json!([{"action": "Accept", "from": [{"namespaces": {}}, {}]}]);
    check(
        &world([cnp("p", "Admin", 1, "ingress", accept), np("a/p", json!({}))]),
        &[("b/web a/db TCP 80", Denied)],
    );
}

//# "CNPs with no ingress rules do not affect ingress traffic."
#[test]
fn cluster_policies_do_not_isolate() {
    let answer = ask(
        &world([cnp(
            "p",
            "Admin",
            1,
            "egress",
            json!([{"action": "Accept", "to": [{"networks": ["9.9.9.9/32"]}]}]),
        )]),
        "a/web b/web TCP 80",
    );
    assert_eq!((answer.egress.reason, answer.ingress.reason), (Reason::Default, Reason::Default));
}
