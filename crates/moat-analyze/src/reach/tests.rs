use super::*;
use moat_ir::{End as FlowEnd, Flow, Verdict};
use moat_model::{SourceId, Value as Tree};
use moat_sets::{Family, Protocol};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

const APPS: [&str; 3] = ["web", "db", "dns"];
const TEAMS: [&str; 2] = ["a", "b"];
const TIERS: [&str; 2] = ["Admin", "Baseline"];

/// A world from objects.
pub(super) fn world(objects: &[Json], dialect: &str) -> Bound {
    let trees: Vec<Tree> = objects.iter().map(Tree::from).collect();
    let lowered = moat_model::lower(
        trees.iter().map(|tree| (SourceId(0), tree)),
        &[],
        &moat_model::Options::default(),
    );
    let symbolic = moat_compile::compile(&lowered.policies, &["world.yaml".into()]);
    moat_compile::bind(
        Arc::new(symbolic),
        &lowered.inventory,
        moat_compile::Dialect::named(dialect).unwrap(),
    )
}

pub(super) fn namespace(name: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}})
}

pub(super) fn pod(namespace: &str, name: &str, app: &str, ips: &[&str]) -> Json {
    let ips: Vec<Json> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"name": "web", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": ips.first().map_or(&Json::Null, |ip| &ip["ip"]), "podIPs": ips},
    })
}

pub(super) fn policy(namespace: &str, name: &str, spec: &Json) -> Json {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

pub(super) fn rows(bound: &Bound, options: &Options) -> String {
    let mut out = String::new();
    let matrix = matrix(bound, options);
    let _ = matrix.flat_rows(|source, destination, protocol, ports| {
        out.push_str(&format!("{source},{destination},{protocol},{ports}\n"));
    });
    out
}

#[test]
fn rows_name_pods_outside_and_ports() {
    let bound = world(
        &[
            namespace("a"),
            pod("a", "web", "web", &["10.0.0.2"]),
            pod("a", "db", "db", &["10.0.0.3"]),
            policy(
                "a",
                "db",
                &json!({
                    "podSelector": {"matchLabels": {"app": "db"}},
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}, {"port": 8000, "endPort": 9000}]}],
                    "egress": [{"to": [{"ipBlock": {"cidr": "192.168.0.0/16"}}], "ports": [{"port": 53, "protocol": "UDP"}]}],
                }),
            ),
        ],
        "moat",
    );
    expect_test::expect![[r"
        0.0.0.0/0 ::/0,a/web,SCTP,*
        0.0.0.0/0 ::/0,a/web,TCP,*
        0.0.0.0/0 ::/0,a/web,UDP,*
        a/db,192.168.0.0/16,UDP,53
        a/web,0.0.0.0/0 ::/0,SCTP,*
        a/web,0.0.0.0/0 ::/0,TCP,*
        a/web,0.0.0.0/0 ::/0,UDP,*
        a/web,a/db,TCP,5432,8000-9000
    "]]
    .assert_eq(&rows(&bound, &Options::default()));
}

/// Small worlds: dual and single stack, host network, unknown addresses and nodes, named ports, blocks, cluster policies.
fn objects() -> impl Strategy<Value = Vec<Json>> {
    let ips = prop_oneof![
        Just(vec![]),
        (1..6u8).prop_map(|ip| vec![format!("10.0.0.{ip}")]),
        (1..6u8).prop_map(|ip| vec![format!("fd00::{ip}")]),
        (1..6u8).prop_map(|ip| vec![format!("10.0.0.{ip}"), format!("fd00::{ip}")]),
    ];
    let pods = proptest::collection::vec((0..2usize, 0..3usize, ips, 0..6u8, 0..3u8), 1..7)
        .prop_map(|pods| {
            let mut out = Vec::new();
            for (at, (namespace, app, ips, host, node)) in pods.into_iter().enumerate() {
                let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
                let mut object = pod(["a", "b"][namespace], &format!("p{at}"), APPS[app], &ips);
                object["spec"]["hostNetwork"] = json!(host == 0);
                if host == 1 {
                    object["status"]["phase"] = json!("Succeeded");
                }
                if node > 0 {
                    object["spec"]["nodeName"] = json!(format!("n{node}"));
                }
                out.push(object);
            }
            out
        });
    let peer = prop_oneof![
        (0..3usize).prop_map(|app| json!({"podSelector": {"matchLabels": {"app": APPS[app]}}})),
        (0..2usize)
            .prop_map(|team| json!({"namespaceSelector": {"matchLabels": {"team": TEAMS[team]}}})),
        Just(json!({"namespaceSelector": {}})),
        Just(json!({"ipBlock": {"cidr": "10.0.0.0/30"}})),
        Just(json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.2/32"]}})),
        Just(json!({"ipBlock": {"cidr": "fd00::/126"}})),
    ];
    let port = prop_oneof![
        Just(json!({"port": 80})),
        Just(json!({"port": 79, "endPort": 90})),
        Just(json!({"port": 53, "protocol": "UDP"})),
        Just(json!({"protocol": "SCTP"})),
        Just(json!({"port": "web"})),
    ];
    let rule = (proptest::collection::vec(peer, 0..3), proptest::collection::vec(port, 0..3));
    let spec =
        (proptest::option::of(0..3usize), 1..4u8, proptest::collection::vec(rule.clone(), 0..3), proptest::collection::vec(rule, 0..3))
            .prop_map(|(app, types, ingress, egress)| {
                let rules = |rules: Vec<(Vec<Json>, Vec<Json>)>, peers: &str| -> Vec<Json> {
                    rules.into_iter().map(|(list, ports)| json!({peers: list, "ports": ports})).collect()
                };
                let types: Vec<&str> =
                    ["Ingress", "Egress"].into_iter().enumerate().filter(|(at, _)| types & (1 << at) != 0).map(|(_, t)| t).collect();
                let mut spec = json!({
                    "podSelector": app.map_or(json!({}), |app| json!({"matchLabels": {"app": APPS[app]}})),
                    "policyTypes": types,
                });
                if types.contains(&"Ingress") {
                    spec["ingress"] = json!(rules(ingress, "from"));
                }
                if types.contains(&"Egress") {
                    spec["egress"] = json!(rules(egress, "to"));
                }
                spec
            });
    let policies = proptest::collection::vec((0..2usize, spec), 0..5).prop_map(|specs| {
        specs
            .into_iter()
            .enumerate()
            .map(|(at, (ns, spec))| policy(["a", "b"][ns], &format!("np{at}"), &spec))
            .collect::<Vec<_>>()
    });
    let admin = proptest::collection::vec((0..3usize, 0..3usize, 0..3u8, 0..2u8), 0..3).prop_map(|rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(at, (action, app, peer, tier))| {
                let to = match peer {
                    0 => json!([{"namespaces": {}}]),
                    1 => json!([{"networks": ["10.0.0.0/30"]}]),
                    _ => json!([{"domainNames": ["*.example.com"]}]),
                };
                let action = if peer == 2 { "Accept" } else { ["Accept", "Deny", "Pass"][action] };
                json!({
                    "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
                    "metadata": {"name": format!("cnp{at}")},
                    "spec": {
                        "tier": TIERS[usize::from(tier)], "priority": at,
                        "subject": {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": APPS[app]}}}},
                        "egress": [{"action": action, "to": to}],
                    },
                })
            })
            .collect::<Vec<_>>()
    });
    (pods, policies, admin).prop_map(|(pods, policies, admin)| {
        [namespace("a"), namespace("b")]
            .into_iter()
            .chain(pods)
            .chain(policies)
            .chain(admin)
            .collect()
    })
}

/// Every pair of pods, and of pods and addresses, asked one flow at a time.
fn by_decide(bound: &Bound) -> (BTreeMap<(String, String), Vec<(Protocol, u16)>>, u64) {
    let points: Vec<moat_sets::ServicePoint> = [
        (Protocol::Tcp, [1, 79, 80, 90, 91, 8080]),
        (Protocol::Udp, [1, 52, 53, 54, 80, 65535]),
        (Protocol::Sctp, [1, 2, 80, 81, 90, 8080]),
    ]
    .into_iter()
    .flat_map(|(protocol, ports)| ports.map(|port| moat_sets::ServicePoint::new(protocol, port)))
    .chain([moat_sets::ServicePoint::new(Protocol::Other, 0)])
    .collect();
    let mut out: BTreeMap<(String, String), Vec<(Protocol, u16)>> = BTreeMap::new();
    let mut undefined = 0;
    let pods: Vec<PodIdx> = (0..u32::try_from(bound.pods.len()).unwrap())
        .filter(|&pod| !bound.pod(pod).finished)
        .collect();
    for &from in &pods {
        for &to in pods.iter().filter(|&&to| to != from) {
            let (a, b) = (bound.class_of(from).atoms, bound.class_of(to).atoms);
            let mut families: Vec<Family> = Family::BOTH
                .into_iter()
                .zip([0, 1])
                .filter(|&(_, at)| a[at].is_some() && b[at].is_some())
                .map(|(family, _)| family)
                .collect();
            if families.is_empty() {
                families.push(Family::V4);
            }
            let mut doubt = false;
            for &point in &points {
                let verdicts: Vec<Verdict> = families
                    .iter()
                    .map(|&family| {
                        bound
                            .decide(&Flow {
                                from: FlowEnd::Pod(from),
                                to: FlowEnd::Pod(to),
                                point,
                                family,
                            })
                            .verdict
                    })
                    .collect();
                if verdicts.contains(&Verdict::Allowed) {
                    if point.protocol != Protocol::Other {
                        let key = (
                            bound.pod(from).display.to_string(),
                            bound.pod(to).display.to_string(),
                        );
                        out.entry(key).or_default().push((point.protocol, point.port));
                    }
                } else if verdicts.contains(&Verdict::Undefined) {
                    doubt = true;
                }
            }
            undefined += u64::from(doubt);
        }
    }
    for address in
        ["9.9.9.9", "10.0.0.1", "10.0.0.2", "10.0.0.7", "fd00::1", "fd00::9", "2001:db8::1"]
    {
        let ip: std::net::IpAddr = address.parse().unwrap();
        for &pod in &pods {
            for &point in &points[..points.len() - 1] {
                let family = Family::of(ip);
                // A node's own address is exempt for pods on it; rows of the outside do not speak of nodes.
                let into =
                    Flow { from: FlowEnd::Address(ip), to: FlowEnd::Pod(pod), point, family };
                let out_of =
                    Flow { from: FlowEnd::Pod(pod), to: FlowEnd::Address(ip), point, family };
                let name = bound.pod(pod).display.to_string();
                if bound.decide(&into).ingress.verdict == Verdict::Allowed
                    && !bound.node_by_address.contains_key(&ip)
                {
                    out.entry((address.to_owned(), name.clone()))
                        .or_default()
                        .push((point.protocol, point.port));
                }
                if bound.decide(&out_of).verdict == Verdict::Allowed {
                    out.entry((name, address.to_owned()))
                        .or_default()
                        .push((point.protocol, point.port));
                }
            }
        }
    }
    out.values_mut().for_each(|ports| ports.sort_unstable());
    (out, undefined)
}

fn by_rows(bound: &Bound) -> (BTreeMap<(String, String), Vec<(Protocol, u16)>>, u64) {
    let mut out: BTreeMap<(String, String), Vec<(Protocol, u16)>> = BTreeMap::new();
    let mut pods_only = Tally::default();
    let matrix = matrix(bound, &Options::default());
    let probes = [1, 2, 52, 53, 54, 79, 80, 81, 90, 91, 8080, 65535];
    let relevant = |protocol: Protocol, port: u16| match protocol {
        Protocol::Tcp => [1, 79, 80, 90, 91, 8080].contains(&port),
        Protocol::Udp => [1, 52, 53, 54, 80, 65535].contains(&port),
        _ => [1, 2, 80, 81, 90, 8080].contains(&port),
    };
    let mut lines: Vec<String> = Vec::new();
    let mut scan = matrix.scan();
    for source in 0..u32::try_from(matrix.ends().len()).unwrap() {
        let (cells, mut values) = scan.row(source);
        for &(destination, value) in cells {
            let value = values.get(value);
            let ends = [source, destination].map(|end| matrix.ends()[end as usize].clone());
            if let [End::Pod(_), End::Pod(_)] = ends {
                pods_only.count(value);
            }
            let names = ends.clone().map(|end| match end {
                End::Pod(pod) => vec![bound.pod(pod).display.to_string()],
                End::Outside(cidrs) => [
                    "9.9.9.9",
                    "10.0.0.1",
                    "10.0.0.2",
                    "10.0.0.7",
                    "fd00::1",
                    "fd00::9",
                    "2001:db8::1",
                ]
                .into_iter()
                .filter(|address| {
                    let nodes = &bound.node_by_address;
                    let ip = address.parse().unwrap();
                    let source = matches!(ends[0], End::Outside(_));
                    let skipped =
                        cidrs.starts_with("domain:") || (source && nodes.contains_key(&ip));
                    !skipped
                        && cidrs
                            .split(' ')
                            .any(|cidr| moat_sets::Cidr::parse(cidr).unwrap().contains(ip))
                })
                .map(str::to_owned)
                .collect(),
            });
            for from in &names[0] {
                for to in &names[1] {
                    for (protocol, text) in &value.texts {
                        for port in probes.into_iter().filter(|&port| relevant(*protocol, port)) {
                            let inside = text.as_ref() == "*"
                                || text.split(',').any(|part| {
                                    let (low, high) = part.split_once('-').unwrap_or((part, part));
                                    (low.parse::<u16>().unwrap()..=high.parse().unwrap())
                                        .contains(&port)
                                });
                            if inside {
                                out.entry((from.clone(), to.clone()))
                                    .or_default()
                                    .push((*protocol, port));
                            }
                        }
                    }
                }
            }
        }
    }
    let _ = matrix.flat_rows(|source, destination, protocol, ports| {
        lines.push(format!("{source},{destination},{protocol},{ports}"));
    });
    assert!(lines.is_sorted(), "{lines:#?}");
    out.values_mut().for_each(|ports| ports.sort_unstable());
    (out, pods_only.undefined)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn rows_say_what_single_flows_say(objects in objects(), dialect in 0..3usize) {
        let bound = world(&objects, ["moat", "spec", "cilium"][dialect]);
        let (want, doubts) = by_decide(&bound);
        let (have, counted) = by_rows(&bound);
        prop_assert_eq!(have, want);
        prop_assert_eq!(counted, doubts);
    }

    #[test]
    fn columns_are_rows_read_the_other_way(objects in objects()) {
        let bound = world(&objects, "moat");
        let matrix = matrix(&bound, &Options::default());
        let (mut forth, mut back) = (Vec::new(), Vec::new());
        let mut scan = matrix.scan();
        for pod in 0..u32::try_from(bound.pods.len()).unwrap() {
            let Some(end) = matrix.end_of(pod) else { continue };
            let is_pod = |peer: EndId| matches!(matrix.ends()[peer as usize], End::Pod(_));
            forth.extend(scan.peers(Direction::Egress, pod).0.iter().filter(|cell| is_pod(cell.0)).map(|&(peer, value)| (end, peer, value)));
            back.extend(scan.peers(Direction::Ingress, pod).0.iter().filter(|cell| is_pod(cell.0)).map(|&(peer, value)| (peer, end, value)));
        }
        forth.sort_unstable();
        back.sort_unstable();
        prop_assert_eq!(forth, back);
    }

    #[test]
    fn every_pair_is_on_exactly_one_line(objects in objects(), asked in 0..4usize) {
        let mut bound = world(&objects, "moat");
        bound.own_node_exempt = false;
        let options = match asked {
            0 => Options::default(),
            1 => Options { namespaces: vec!["a".into()], ..Options::default() },
            2 => Options { namespaces: vec!["a".into()], direction: Some(Direction::Ingress), ..Options::default() },
            _ => Options { namespaces: vec!["a".into()], direction: Some(Direction::Egress), ports: Some(PortSet::range(Protocol::Tcp, 80, 80)), ..Options::default() },
        };
        let matrix = matrix(&bound, &options);
        let is_domain = |end: EndId| matrix.name(end).starts_with("domain:");
        let mut rows: BTreeMap<(EndId, EndId), PortSet> = BTreeMap::new();
        let mut scan = matrix.scan();
        for source in 0..u32::try_from(matrix.ends().len()).unwrap() {
            let (cells, mut values) = scan.row(source);
            for &(destination, value) in cells.iter().filter(|cell| !is_domain(cell.0)) {
                let value = values.get(value);
                if !value.texts.is_empty() {
                    rows.insert((source, destination), value.allow.clone());
                }
            }
        }
        let grouped = matrix.grouped();
        let ends = |node: &NodeId| match &grouped.nodes[*node as usize] {
            Node::Group(pods) => pods.iter().map(|&pod| matrix.end_of(pod).unwrap()).collect(),
            Node::Outside(end) => vec![*end],
        };
        let mut lines: BTreeMap<(EndId, EndId), PortSet> = BTreeMap::new();
        for line in &grouped.lines {
            let mut n_pairs = 0;
            for from in line.sources.iter().flat_map(ends) {
                for to in line.destinations.iter().flat_map(ends).filter(|&to| to != from) {
                    n_pairs += 1;
                    if !is_domain(to) {
                        prop_assert!(lines.insert((from, to), line.ports.clone()).is_none());
                    }
                }
            }
            prop_assert_eq!(n_pairs, line.n_pairs);
        }
        prop_assert_eq!(lines, rows);
        let by_lines: u64 = grouped.lines.iter().map(|line| line.n_pairs).sum();
        let by_cells: u64 = grouped.cells(&matrix).values().map(|(_, n_pairs)| n_pairs).sum();
        prop_assert_eq!((grouped.summary.pairs, by_cells), (by_lines, by_lines));
    }
}
