use super::*;
use moat_ir::Verdict;
use moat_model::{SourceId, Value as Tree};
use moat_sets::{Protocol, ServicePoint};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn world(objects: &[Json], dialect: &str) -> Bound {
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

fn namespace(name: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}})
}

fn workload(namespace: &str, name: &str, app: &str, replicas: u8) -> Json {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": app}},
            "template": {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    })
}

fn policy(namespace: &str, name: &str, spec: &Json) -> Json {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

fn lines(old: &Bound, new: &Bound) -> String {
    let side = |group: &Group| match group {
        Group::Pods(pods) => {
            pods.iter().map(|&pod| new.pod(pod).display.to_string()).collect::<Vec<_>>().join(",")
        }
        Group::Addresses(set) => set.to_string(),
        Group::Domain(name) => name.to_string(),
    };
    let mut out = String::new();
    for change in diff(old, new).changes {
        let kind = change.kind.name();
        out.push_str(&format!(
            "{kind} {} -> {} {} => {}\n",
            side(&change.from),
            side(&change.to),
            change.before,
            change.after
        ));
        change.by.iter().for_each(|cause| out.push_str(&format!("  {}\n", cause.text)));
    }
    out
}

fn shop() -> Vec<Json> {
    ["web", "api", "db"]
        .into_iter()
        .map(|app| workload("shop", app, app, 1))
        .chain([namespace("shop")])
        .collect()
}

fn db(rules: &Json) -> Json {
    policy(
        "shop",
        "db",
        &json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"], "ingress": rules}),
    )
}

#[test]
fn a_policy_that_isolates_closes_and_its_rules_open() {
    let before = world(&shop(), "moat");
    let deny = world(&[shop(), vec![db(&json!([]))]].concat(), "moat");
    let some = world(
        &[shop(), vec![db(&json!([{"from": [{"podSelector": {}}], "ports": [{"port": 5432}]}]))]]
            .concat(),
        "moat",
    );
    let more = json!([{"from": [{"podSelector": {}}], "ports": [{"port": 5432}]}, {"from": [{"podSelector": {}}], "ports": [{"port": 80}]}]);
    let more = world(&[shop(), vec![db(&more)]].concat(), "moat");
    let text = [
        lines(&before, &deny),
        lines(&deny, &before),
        lines(&deny, &some),
        lines(&some, &more),
        lines(&more, &deny),
    ]
    .join("--\n");
    expect_test::expect![[r#"
        closed shop/deployment/api,shop/deployment/web -> shop/deployment/db all ports => no port
          by netpol shop/db (isolates)
        closed 0.0.0.0/0 ::/0 -> shop/deployment/db all ports => no port
          by netpol shop/db (isolates)
        --
        opened shop/deployment/api,shop/deployment/web -> shop/deployment/db no port => all ports
          the destination is no longer isolated (netpol shop/db gone)
        opened 0.0.0.0/0 ::/0 -> shop/deployment/db no port => all ports
          the destination is no longer isolated (netpol shop/db gone)
        --
        opened shop/deployment/api,shop/deployment/web -> shop/deployment/db no port => TCP 5432
          by netpol shop/db ingress[0]
        --
        widened shop/deployment/api,shop/deployment/web -> shop/deployment/db TCP 5432 => TCP 80,5432
          by netpol shop/db ingress[1]
        --
        closed shop/deployment/api,shop/deployment/web -> shop/deployment/db TCP 80,5432 => no port
          no longer by netpol shop/db ingress[1] (changed)
    "#]].assert_eq(&text);
}

#[test]
fn a_rule_that_may_match_is_the_cause_of_doubt() {
    let client = json!({"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]});
    let block = json!({"from": [{"ipBlock": {"cidr": "10.0.0.5/32"}}], "ports": [{"port": 80}]});
    let with = |rules: Json| world(&[shop(), vec![db(&rules)]].concat(), "moat");
    let (before, after) = (with(json!([client])), with(json!([client, block])));
    let text = [lines(&before, &after), lines(&after, &before)].join("--\n");
    expect_test::expect![[r#"
        opened 10.0.0.5/32 -> shop/deployment/db no port => TCP 80
          by netpol shop/db ingress[1]
        changed shop/deployment/api,shop/deployment/web -> shop/deployment/db no port => perhaps TCP 80
          perhaps by netpol shop/db ingress[1]
        --
        closed 10.0.0.5/32 -> shop/deployment/db TCP 80 => no port
          no longer by netpol shop/db ingress[1] (changed)
        changed shop/deployment/api,shop/deployment/web -> shop/deployment/db perhaps TCP 80 => no port
          no longer perhaps by netpol shop/db ingress[1] (changed)
    "#]].assert_eq(&text);
}

#[test]
fn the_policy_that_is_responsible_for_most_comes_first() {
    let own = ["api", "db", "web"].map(|app| {
        policy(
            "shop",
            &format!("a-{app}"),
            &json!({"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"]}),
        )
    });
    let all = policy("shop", "deny-all", &json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
    let (before, after) =
        (world(&shop(), "moat"), world(&[shop(), own.to_vec(), vec![all]].concat(), "moat"));
    expect_test::expect![[r#"
        closed shop/deployment/api,shop/deployment/db,shop/deployment/web -> shop/deployment/api,shop/deployment/db,shop/deployment/web all ports => no port
          by netpol shop/deny-all (isolates)
          by netpol shop/a-api (isolates)
          by netpol shop/a-db (isolates)
          by netpol shop/a-web (isolates)
        closed 0.0.0.0/0 ::/0 -> shop/deployment/api,shop/deployment/db,shop/deployment/web all ports => no port
          by netpol shop/deny-all (isolates)
          by netpol shop/a-api (isolates)
          by netpol shop/a-db (isolates)
          by netpol shop/a-web (isolates)
    "#]].assert_eq(&lines(&before, &after));
}

#[test]
fn closing_everything_is_one_line_within_and_one_without() {
    let deny = policy("shop", "deny", &json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
    let (before, after) = (world(&shop(), "moat"), world(&[shop(), vec![deny]].concat(), "moat"));
    expect_test::expect![[r#"
        closed shop/deployment/api,shop/deployment/db,shop/deployment/web -> shop/deployment/api,shop/deployment/db,shop/deployment/web all ports => no port
          by netpol shop/deny (isolates)
        closed 0.0.0.0/0 ::/0 -> shop/deployment/api,shop/deployment/db,shop/deployment/web all ports => no port
          by netpol shop/deny (isolates)
    "#]].assert_eq(&lines(&before, &after));
    assert_eq!(diff(&before, &after).pairs(Kind::Closed), 6 + 3);
}

#[test]
fn the_same_policy_written_otherwise_is_no_difference() {
    let a = db(&json!([{"from": [{"podSelector": {}}], "ports": [{"port": 80}, {"port": 81}]}]));
    let b = db(
        &json!([{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}, {"from": [{"podSelector": {}}], "ports": [{"port": 81}]}]),
    );
    let diff = diff(
        &world(&[shop(), vec![a]].concat(), "moat"),
        &world(&[shop(), vec![b]].concat(), "moat"),
    );
    assert!(diff.is_equal());
    assert_eq!(diff.policies.changed, ["netpol shop/db"]);
}

#[test]
fn workloads_come_and_go() {
    let mut objects = shop();
    let before = world(&objects, "moat");
    objects[0] = workload("shop", "cache", "cache", 2);
    let diff = diff(&before, &world(&objects, "moat"));
    let names = |list: &[Workload]| {
        list.iter()
            .map(|one| format!("{} {} {}", one.name, one.reaches, one.reached_by))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&diff.new), names(&diff.gone)),
        (vec!["shop/deployment/cache 2 2".to_owned()], vec!["shop/deployment/web 2 2".to_owned()])
    );
    assert!(diff.changes.is_empty());
}

/// Two small worlds of mostly the same pods.
fn two_worlds() -> impl Strategy<Value = (Vec<Json>, Vec<Json>)> {
    let apps = ["web", "db", "dns"];
    let pod = (0..2usize, 0..3usize, 0..4u8, 0..5u8, 0..3u8, 0..8u8);
    let pods = proptest::collection::vec((pod.clone(), proptest::option::weighted(0.2, pod)), 1..6);
    let make =
        move |at: usize, (ns, app, ips, host, node, finished): (usize, usize, u8, u8, u8, u8)| {
            let at = u8::try_from(at).unwrap();
            let (v4, v6) = (format!("10.0.0.{}", at + 1), format!("fd00::{}", at + 1));
            let ips: Vec<Json> = match ips {
                0 => vec![],
                1 => vec![json!({"ip": v4})],
                2 => vec![json!({"ip": v6})],
                _ => vec![json!({"ip": v4}), json!({"ip": v6})],
            };
            let mut pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("p{at}"), "namespace": (["a", "b"][ns]), "labels": {"app": (apps[app])}},
                "spec": {"hostNetwork": host == 0, "containers": [{"name": "c", "image": "i", "ports": [{"name": "web", "containerPort": 8080}]}]},
                "status": {"phase": (if finished == 0 { "Succeeded" } else { "Running" }), "podIP": ips.first().map_or(&Json::Null, |ip| &ip["ip"]), "podIPs": ips},
            });
            if node > 0 {
                pod["spec"]["nodeName"] = json!(format!("n{node}"));
            }
            pod
        };
    let peer = prop_oneof![
        (0..3usize)
            .prop_map(move |app| json!({"podSelector": {"matchLabels": {"app": apps[app]}}})),
        Just(json!({"namespaceSelector": {"matchLabels": {"team": "a"}}})),
        Just(json!({"namespaceSelector": {}})),
        Just(json!({"ipBlock": {"cidr": "10.0.0.0/30"}})),
        Just(json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.2/32"]}})),
        Just(json!({"ipBlock": {"cidr": "fd00::/126"}})),
    ];
    let port = prop_oneof![
        Just(json!({"port": 80})),
        Just(json!({"port": 79, "endPort": 90})),
        Just(json!({"port": 53, "protocol": "UDP"})),
        Just(json!({"port": "web"})),
    ];
    let rule = (proptest::collection::vec(peer, 0..3), proptest::collection::vec(port, 0..3));
    let spec = (0..2usize, proptest::option::of(0..3usize), 1..4u8, proptest::collection::vec(rule, 0..3)).prop_map(move |(ns, app, types, rules)| {
        let list = |peers: &str| -> Vec<Json> { rules.iter().map(|(list, ports)| json!({peers: list, "ports": ports})).collect() };
        let mut spec = json!({"podSelector": app.map_or(json!({}), |app| json!({"matchLabels": {"app": apps[app]}})), "policyTypes": []});
        if types & 1 != 0 {
            spec["policyTypes"].as_array_mut().unwrap().push(json!("Ingress"));
            spec["ingress"] = json!(list("from"));
        }
        if types & 2 != 0 {
            spec["policyTypes"].as_array_mut().unwrap().push(json!("Egress"));
            spec["egress"] = json!(list("to"));
        }
        (["a", "b"][ns], spec)
    });
    let cluster = (0..3usize, 0..3u8).prop_map(|(action, peer)| {
        let to = match peer {
            0 => json!([{"namespaces": {}}]),
            1 => json!([{"networks": ["10.0.0.0/30"]}]),
            _ => json!([{"domainNames": ["*.example.com"]}]),
        };
        json!({"action": if peer == 2 { "Accept" } else { ["Accept", "Deny", "Pass"][action] }, "to": to})
    });
    let policies = proptest::collection::vec((spec, 0..3u8), 0..5);
    let cluster = proptest::collection::vec((cluster, 0..3u8), 0..3);
    (pods, policies, cluster).prop_map(move |(pods, policies, cluster)| {
        let mut both = [vec![namespace("a"), namespace("b")], vec![namespace("a"), namespace("b")]];
        for (at, (pod, other)) in pods.into_iter().enumerate() {
            both[0].push(make(at, pod));
            both[1].push(make(at, other.unwrap_or(pod)));
        }
        for (at, ((ns, spec), sides)) in policies.into_iter().enumerate() {
            let one = policy(ns, &format!("np{at}"), &spec);
            (0..2).filter(|side| sides != *side).for_each(|side| both[usize::from(side)].push(one.clone()));
        }
        for (at, (rule, sides)) in cluster.into_iter().enumerate() {
            let one = json!({
                "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": format!("cnp{at}")},
                "spec": {"tier": "Admin", "priority": at, "subject": {"namespaces": {"matchLabels": {"team": "a"}}}, "egress": [rule]},
            });
            (0..2).filter(|side| sides != *side).for_each(|side| both[usize::from(side)].push(one.clone()));
        }
        let [old, new] = both;
        (old, new)
    })
}

fn points() -> impl Iterator<Item = ServicePoint> {
    let numbered =
        [(Protocol::Tcp, [1, 79, 80, 90, 91, 8080]), (Protocol::Udp, [1, 52, 53, 54, 80, 65535])];
    let numbered = numbered
        .into_iter()
        .flat_map(|(protocol, ports)| ports.map(|port| ServicePoint::new(protocol, port)));
    numbered.chain([ServicePoint::new(Protocol::Sctp, 7), ServicePoint::new(Protocol::Other, 0)])
}

/// The verdict by any family that both ends have.
fn verdict(bound: &Bound, from: &End, to: &End, point: ServicePoint) -> Verdict {
    let has = |end: &End, family: Family| match end {
        End::Pod(pod) => bound.class_of(*pod).atom(family).is_some(),
        End::Address(address) => Family::of(*address) == family,
        End::Domain(_) => family == Family::V4,
    };
    let outside = |end: &End| !matches!(end, End::Pod(_));
    let mut families: Vec<Family> = if outside(from) || outside(to) {
        Family::BOTH
            .into_iter()
            .filter(|&family| {
                (!outside(from) || has(from, family)) && (!outside(to) || has(to, family))
            })
            .collect()
    } else {
        Family::BOTH.into_iter().filter(|&family| has(from, family) && has(to, family)).collect()
    };
    if families.is_empty() {
        families.push(Family::V4);
    }
    let of = |family| {
        let answer = bound.decide(&Flow { from: from.clone(), to: to.clone(), point, family });
        // Addresses of nodes count as any address outside.
        if outside(from) { answer.ingress.verdict } else { answer.verdict }
    };
    let all: Vec<Verdict> = families.into_iter().map(of).collect();
    [Verdict::Allowed, Verdict::Undefined]
        .into_iter()
        .find(|verdict| all.contains(verdict))
        .unwrap_or(Verdict::Denied)
}

fn says(ports: &Ports, point: ServicePoint) -> Verdict {
    match (ports.allow.contains(point), ports.undefined.contains(point)) {
        (true, _) => Verdict::Allowed,
        (_, true) => Verdict::Undefined,
        _ => Verdict::Denied,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn nothing_differs_from_itself((objects, _) in two_worlds()) {
        let bound = world(&objects, "moat");
        prop_assert!(diff(&bound, &bound).is_equal());
    }

    #[test]
    fn changes_say_what_single_flows_say((old, new) in two_worlds(), dialect in 0..3usize) {
        let dialect = ["moat", "spec", "cilium"][dialect];
        let (old, new) = (world(&old, dialect), world(&new, dialect));
        let diff = diff(&old, &new);
        let (pods, appeared, vanished) = match_pods(&old, &new);
        prop_assert_eq!((diff.new.len(), diff.gone.len()), (appeared.len(), vanished.len()));
        let was = |end: &End| match end {
            End::Pod(after) => End::Pod(pods.iter().find(|pod| pod.1 == *after).unwrap().0),
            other => other.clone(),
        };
        let outside = ["9.9.9.9", "10.0.0.1", "10.0.0.2", "10.0.0.7", "fd00::1", "fd00::9"].map(|ip| End::Address(ip.parse().unwrap()));
        // Names that no policy names are somewhere among the addresses.
        let named = [&old, &new].into_iter().any(|bound| !bound.atoms.domains.is_empty());
        let ends: Vec<End> =
            pods.iter().map(|&(_, after)| End::Pod(after)).chain(outside).chain(named.then(|| End::Domain("*.example.com".into()))).collect();
        let is_in = |group: &Group, end: &End| match (group, end) {
            (Group::Pods(pods), End::Pod(pod)) => pods.contains(pod),
            (Group::Addresses(set), End::Address(address)) => set.contains(*address),
            (Group::Domain(name), End::Domain(own)) => name == own,
            _ => false,
        };
        for change in &diff.changes {
            prop_assert!(!change.by.is_empty(), "{change:?}");
        }
        for from in ends.iter().filter(|end| !matches!(end, End::Domain(_))) {
            for to in ends.iter().filter(|&to| to != from) {
                if ![from, to].into_iter().any(|end| matches!(end, End::Pod(_))) {
                    continue;
                }
                // A node's own address is exempt for pods on it; changes of the outside do not speak of nodes.
                if matches!(from, End::Address(ip) if [&old, &new].into_iter().any(|bound| bound.node_by_address.contains_key(ip))) {
                    continue;
                }
                let mine: Vec<&Change> = diff.changes.iter().filter(|change| is_in(&change.from, from) && is_in(&change.to, to)).collect();
                prop_assert!(mine.len() < 2, "{from:?} {to:?} {mine:?}");
                for point in points() {
                    let (before, after) = (verdict(&old, &was(from), &was(to), point), verdict(&new, from, to, point));
                    match mine.first() {
                        Some(change) => prop_assert_eq!((says(&change.before, point), says(&change.after, point)), (before, after), "{:?} {:?} {}", from, to, point),
                        None if matches!(to, End::Domain(_)) => prop_assert_eq!(before == Verdict::Allowed, after == Verdict::Allowed),
                        None => prop_assert_eq!(before, after, "{:?} {:?} {}", from, to, point),
                    }
                }
            }
        }
    }
}
