use super::*;
use crate::query::Names;
use moat_ir::{Bound, End, Flow, PodIdx, Verdict};
use moat_model::{SourceId, Value as Tree};
use moat_sets::{Family, ServicePoint};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn bound(objects: &[Json]) -> Bound {
    let trees: Vec<Tree> = objects.iter().map(Tree::from).collect();
    let lowered = moat_model::lower(
        trees.iter().map(|tree| (SourceId(0), tree)),
        &[],
        &moat_model::Options::default(),
    );
    let symbolic = moat_compile::compile(&lowered.policies, &["world.yaml".into()]);
    moat_compile::bind(Arc::new(symbolic), &lowered.inventory, moat_compile::Dialect::MOAT)
}

/// Two namespaces of two pods with addresses; `a/p` and `b/p` name port 80 `http`.
fn base() -> Vec<Json> {
    let mut objects = Vec::new();
    for (subnet, namespace) in ["a", "b"].into_iter().enumerate() {
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"team": namespace}}}));
        for (host, name) in ["p", "q"].into_iter().enumerate() {
            let ports = if name == "p" {
                json!([{"name": "http", "containerPort": 80}])
            } else {
                json!([])
            };
            objects.push(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "i", "ports": ports}]},
                "status": {"podIP": format!("10.0.{subnet}.{host}"), "podIPs": [{"ip": format!("10.0.{subnet}.{host}")}]},
            }));
        }
    }
    objects
}

fn policy(namespace: &str, name: &str, spec: &Json) -> Json {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

fn words(texts: &[&str]) -> Vec<Word> {
    texts.iter().map(|text| Word { text: (*text).to_owned(), place: Place::default() }).collect()
}

fn test(assertion: Assertion, from: &[&str], to: &[&str], ports: &[&str]) -> Test {
    let ports = ports.iter().map(|text| {
        let (port, protocol) = crate::query::port(text).unwrap();
        PortWord { port, protocol, place: Place::default() }
    });
    Test {
        name: "test".to_owned(),
        assertion,
        from: words(from),
        to: words(to),
        ports: ports.collect(),
        place: Place::default(),
    }
}

/// Runs a test in both ways, which must agree.
fn outcome(bound: &Bound, test: &Test) -> Result<bool, CheckError> {
    let names = Names::new(bound, &[], "a");
    let mut recorder = Recorder::new(&bound.symbolic);
    let failures = run(&names, test, &mut recorder)?;
    assert_eq!(passes(&names, test).unwrap(), failures.is_empty(), "{test:?}");
    Ok(failures.is_empty())
}

fn message(bound: &Bound, test: &Test) -> String {
    let error = outcome(bound, test).unwrap_err();
    format!("{}; {}", error.message, error.help.unwrap_or_default())
}

#[test]
fn every_assertion_on_an_open_and_a_closed_network() {
    let open = bound(&base());
    let mut objects = base();
    objects.push(policy("a", "deny", &json!({"podSelector": {}, "policyTypes": ["Ingress"]})));
    let closed = bound(&objects);
    for (assertion, from, on_open, on_closed) in [
        (Assertion::Allow, &["b/p"][..], true, false),
        (Assertion::Deny, &["b/p"], false, true),
        (Assertion::Only, &["b/p"], false, false),
        (Assertion::Only, &["*/*"], false, false),
        (Assertion::Only, &["*/*", "outside"], true, false),
        (Assertion::Only, &[], false, true),
        (Assertion::AtMost, &["b/p"], false, true),
        (Assertion::AtMost, &["*/*"], false, true),
        (Assertion::AtMost, &["*/*", "0.0.0.0/1"], false, true),
    ] {
        let test = test(assertion, from, &["a/p"], &["80"]);
        assert_eq!(outcome(&open, &test), Ok(on_open), "open: {test:?}");
        assert_eq!(outcome(&closed, &test), Ok(on_closed), "closed: {test:?}");
    }
}

#[test]
fn a_test_that_asks_nothing_is_an_error() {
    let bound = bound(&base());
    for (from, to, ports, want) in [
        ("a/x", "a/p", "80", "nothing here is called `a/x`; did you mean `a/p` or `a/q` or `b/p`?"),
        ("c/*", "a/p", "80", "`c/*` selects no pod; did you mean `a/*`?"),
        ("a/app=pp", "a/p", "80", "`a/app=pp` selects no pod; did you mean `a/app=p`?"),
        (
            "a/*x",
            "a/p",
            "80",
            "`a/*x` is no pattern; patterns are `ns/*`, `*/*`, `ns/key=value` and `*/key=value`",
        ),
        ("b/p", "a/p", "https", "a/p has no port named `https`; it has http"),
        ("b/p", "a/q", "http", "a/q has no port named `http`; it names no port; give the number"),
        (
            "b/p",
            "192.0.2.1",
            "http",
            "`http` is a port name, and only pods and Services have named ports; give the port's number",
        ),
        (
            "domain/x.org",
            "a/p",
            "80",
            "`domain/x.org` is a domain name, which is only a destination; name a pod, a workload or an address as the source",
        ),
        (
            "a/p",
            "a/p",
            "80",
            "no flow is left to test; sources and destinations are the same single pod, or share no IP family",
        ),
    ] {
        let asked = test(Assertion::Deny, &[from], &[to], &[ports]);
        assert_eq!(message(&bound, &asked), want);
    }
    let asked = test(Assertion::AtMost, &["*/*", "outside"], &["a/p"], &["80"]);
    assert_eq!(message(&bound, &asked), "no flow is left to test; everybody is on the list");
}
#[test]
fn coverage_counts_rules_and_isolations_that_decide() {
    let mut objects = base();
    objects.push(policy(
        "a",
        "some",
        &json!({"podSelector": {"matchLabels": {"app": "p"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}]}, {"ports": [{"port": 81}]}]}),
    ));
    objects.push(policy("b", "none", &json!({"podSelector": {}, "policyTypes": ["Egress"]})));
    let bound = bound(&objects);
    let names = Names::new(&bound, &[], "a");
    let mut recorder = Recorder::new(&bound.symbolic);
    let mut ask = |test: &Test| assert_eq!(run(&names, test, &mut recorder), Ok(Vec::new()));
    ask(&test(Assertion::Allow, &["a/q"], &["a/p"], &["80"]));
    assert_eq!(recorder.uncovered_rules(), [1]);
    assert_eq!(recorder.uncovered_isolations(&bound.symbolic).len(), 2);
    let mut ask = |test: &Test| assert_eq!(run(&names, test, &mut recorder), Ok(Vec::new()));
    ask(&test(Assertion::Deny, &["b/q"], &["a/p"], &["80"]));
    ask(&test(Assertion::Allow, &["192.0.2.1"], &["a/p"], &["81"]));
    assert_eq!(recorder.uncovered_rules(), [0; 0]);
    assert_eq!(recorder.uncovered_isolations(&bound.symbolic), [0; 0]);
}

#[test]
fn failures_alike_are_one_and_name_the_nearest_rule() {
    let mut objects = base();
    objects.push(policy("a", "p", &json!({"podSelector": {}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}], "ports": [{"port": 81}]}]})));
    let bound = bound(&objects);
    let names = Names::new(&bound, &[], "a");
    let mut recorder = Recorder::new(&bound.symbolic);
    let asked = test(Assertion::Allow, &["b/*"], &["a/*"], &["80"]);
    let failures = run(&names, &asked, &mut recorder).unwrap();
    let [failure] = failures.as_slice() else { panic!("{failures:?}") };
    assert_eq!((failure.sources(&bound), failure.to.len()), (vec!["b/p".into(), "b/q".into()], 2));
    assert_eq!(failure.near.len(), 1);
}

/// Ports that rules of the random worlds tell apart, and one that none names.
const POINTS: [(Protocol, u16); 5] = [
    (Protocol::Tcp, 80),
    (Protocol::Tcp, 81),
    (Protocol::Tcp, 9),
    (Protocol::Udp, 80),
    (Protocol::Other, 0),
];

/// What the words of an assertion say, asked one flow at a time.
fn naive(
    bound: &Bound,
    assertion: Assertion,
    from: &[PodIdx],
    to: PodIdx,
    port: Option<u16>,
) -> bool {
    let points: Vec<ServicePoint> = match port {
        Some(port) => vec![ServicePoint::new(Protocol::Tcp, port)],
        None => {
            POINTS.into_iter().map(|(protocol, port)| ServicePoint::new(protocol, port)).collect()
        }
    };
    let passes = |from: End, point: &ServicePoint| {
        let flow = Flow { from, to: End::Pod(to), point: *point, family: Family::V4 };
        bound.decide(&flow).verdict == Verdict::Allowed
    };
    let any = |from: &End| points.iter().any(|point| passes(from.clone(), point));
    let listed = || from.iter().filter(|&&pod| pod != to).map(|&pod| End::Pod(pod));
    let outside =
        ["10.0.0.200", "10.0.1.200", "192.0.2.1"].map(|text| End::Address(text.parse().unwrap()));
    let pods = (0..4).filter(|pod| *pod != to && !from.contains(pod)).map(End::Pod);
    let mut others = pods.chain(outside);
    match assertion {
        Assertion::Allow => listed().all(|end| any(&end)),
        Assertion::Deny => !listed().any(|end| any(&end)),
        Assertion::Only => listed().all(|end| any(&end)) && !others.any(|end| any(&end)),
        Assertion::AtMost => !others.any(|end| any(&end)),
    }
}

fn peers() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json!([])),
        Just(json!([{"podSelector": {"matchLabels": {"app": "q"}}}])),
        Just(json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}}])),
        Just(json!([{"ipBlock": {"cidr": "10.0.0.0/24"}}])),
        Just(json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/15"]}}])),
    ]
}

fn rule(key: &'static str) -> impl Strategy<Value = Json> {
    let ports = prop_oneof![
        Just(json!([])),
        Just(json!([{"port": 80}])),
        Just(json!([{"port": "http"}])),
        Just(json!([{"port": 80, "endPort": 81}, {"protocol": "UDP"}])),
    ];
    (peers(), ports).prop_map(move |(peers, ports)| json!({key: peers, "ports": ports}))
}

fn spec() -> impl Strategy<Value = Json> {
    let subject = prop_oneof![Just(json!({})), Just(json!({"matchLabels": {"app": "p"}}))];
    let ingress = proptest::option::of(proptest::collection::vec(rule("from"), 0..3));
    let egress = proptest::option::of(proptest::collection::vec(rule("to"), 0..3));
    (subject, ingress, egress).prop_map(|(subject, ingress, egress)| {
        let mut spec = json!({"podSelector": subject});
        if let Some(rules) = ingress {
            spec["ingress"] = rules.into();
        }
        if let Some(rules) = egress {
            spec["egress"] = rules.into();
        }
        spec
    })
}

proptest! {
    #[test]
    fn assertions_mean_what_their_words_say(
        specs in proptest::collection::vec((prop_oneof![Just("a"), Just("b")], spec()), 0..4),
        from in proptest::sample::subsequence(vec![0_u32, 1, 2, 3], 1..4),
        to in 0_u32..4,
        port in proptest::option::of(prop_oneof![Just(80_u16), Just(81), Just(9)]),
        assertion in proptest::sample::select(Assertion::ALL.to_vec()),
    ) {
        let mut objects = base();
        for (idx, (namespace, spec)) in specs.iter().enumerate() {
            objects.push(policy(namespace, &format!("n{idx}"), spec));
        }
        let bound = bound(&objects);
        prop_assume!(from != [to] || matches!(assertion, Assertion::AtMost | Assertion::Only));
        let name = |pod: PodIdx| bound.pod(pod).display.to_string();
        let sources: Vec<String> = from.iter().map(|&pod| name(pod)).collect();
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let ports: Vec<String> = port.iter().map(ToString::to_string).collect();
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        let asked = test(assertion, &sources, &[&name(to)], &ports);
        prop_assert_eq!(outcome(&bound, &asked), Ok(naive(&bound, assertion, &from, to, port)));
    }
}
