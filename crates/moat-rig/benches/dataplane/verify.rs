//! How long a world takes to be built in namespaces and asked about with real packets: 30 pods, 10 ports each, all pairs.

use crate::clock::show;
use crate::table::{Row, section};
use moat_bench::World;
use moat_load::Input;
use moat_nft::render::Settings;
use moat_rig::live::Live;
use moat_rig::placed::Placed;
use moat_rig::verify::judge::Judgement;
use moat_rig::verify::questions::Scope;
use moat_rig::verify::run::{Listening, Verified, ask, verify};
use moat_sets::Protocol;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const N_PODS: usize = 30;
const N_NODES: usize = 2;
const PORTS: std::ops::Range<u16> = 8000..8010;

pub(crate) fn run(runtime: &Runtime) {
    let world = World::read(&[Input::Text { name: "world.yaml".into(), text: manifests() }]);
    assert_eq!(world.lowered.diagnostics, []);
    let protocols = vec![Protocol::Tcp];
    let scope = Scope { pods_per_class: usize::MAX, protocols, ..Scope::default() };
    let placed = Placed::new(world.lowered, &[], N_NODES, &scope);
    section(&format!("moat verify: {N_PODS} pods on {N_NODES} nodes, {} ports", PORTS.len()));
    let start = Instant::now();
    let (built, found): (Duration, Verified) = runtime.block_on(async {
        let live = Live::new(placed, Settings::default(), |_| ()).await.unwrap();
        let built = start.elapsed();
        let questions = ask(&live, &scope);
        let settings = moat_rig::probe::Settings::default();
        (built, verify(&live, questions, &settings, Listening::Declared, |_| ()).await.unwrap())
    });
    let took = start.elapsed();
    let agrees = |judgement: &Judgement| matches!(judgement, Judgement::Agreed);
    assert!(found.answers.iter().all(|(_, _, judgement)| agrees(judgement)), "all agree");
    Row {
        what: "all pairs and ports, other ports and ends too, wall".to_owned(),
        value: show(took.as_secs_f64()),
        goal: "at most 10 s".to_owned(),
        met: Some(took <= Duration::from_secs(10)),
        note: format!(
            "built in {}; {} probes, all agree; {} records, {} lost",
            show(built.as_secs_f64()),
            found.answers.len(),
            found.log.len(),
            found.n_lost
        ),
        ..Row::default()
    }
    .print();
}

/// Three namespaces of ten pods, and a few policies of each kind.
fn manifests() -> String {
    let mut text = String::new();
    let ports: Vec<String> = PORTS.map(|port| format!("{{containerPort: {port}}}")).collect();
    let ports = ports.join(", ");
    for n in 0..3 {
        let _ = writeln!(
            text,
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: ns{n}, labels: {{n: \"{n}\"}}}}}}\n---"
        );
    }
    for at in 0..N_PODS {
        let (namespace, app) = (at % 3, at / 3);
        let _ = writeln!(
            text,
            "{{apiVersion: v1, kind: Pod, metadata: {{name: pod{at}, namespace: ns{namespace}, labels: {{app: a{app}, half: h{}}}}}, spec: {{containers: [{{name: c, image: i, ports: [{ports}]}}]}}}}\n---",
            app % 2
        );
    }
    let policies = [
        ("ns0", "{podSelector: {}, policyTypes: [Ingress]}"),
        (
            "ns0",
            "{podSelector: {matchLabels: {half: h0}}, ingress: [{from: [{namespaceSelector: {matchLabels: {n: \"1\"}}}], ports: [{port: 8000, endPort: 8004}]}]}",
        ),
        (
            "ns1",
            "{podSelector: {matchLabels: {half: h1}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: 8003}, {port: 8007}]}]}",
        ),
        (
            "ns2",
            "{podSelector: {matchLabels: {app: a3}}, ingress: [{from: [{podSelector: {matchLabels: {half: h0}}}]}, {ports: [{port: 8009}]}]}",
        ),
    ];
    for (at, (namespace, spec)) in policies.iter().enumerate() {
        let _ = writeln!(
            text,
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p{at}, namespace: {namespace}}}, spec: {spec}}}\n---"
        );
    }
    text
}
