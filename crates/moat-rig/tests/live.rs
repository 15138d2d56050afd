//! Worlds in real namespaces: the kernel holds exactly the rules that were rendered.
//!
//! Runs without root in a user namespace of its own; where the kernel refuses that, it says so and fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_bench::World;
use moat_load::Input;
use moat_nft::render::Settings;
use moat_rig::live::Live;
use moat_rig::placed::Placed;
use moat_rig::verify::judge::Judgement;
use moat_rig::verify::questions::Scope;
use moat_rig::verify::run::{Listening, ask, verify};
use moat_testkit::settings::{Settings as Bounds, seeds};
use moat_testkit::{engine, generate};

fn main() -> std::process::ExitCode {
    if let Err(refused) = moat_kernel::sandbox::enter() {
        eprintln!("NOT EXERCISED: no packet was sent: {refused}");
        return std::process::ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (first, count) = seeds(12);
    for seed in first..first + count {
        runtime.block_on(held(seed));
    }
    println!("test the_kernel_holds_what_was_rendered ... ok");
    runtime.block_on(closed_alone());
    println!("test what_is_too_large_is_closed_alone ... ok");
    println!("2 passed, 0 failed");
    std::process::ExitCode::SUCCESS
}

async fn held(seed: u64) {
    let objects = generate::world(seed, &Bounds::DEFAULT).objects;
    let scope = Scope { pods_per_class: usize::MAX, ..Scope::default() };
    let nodes = 1 + usize::try_from(seed % 3).unwrap();
    let placed = Placed::new(engine::lower(&objects), &[], nodes, &scope);
    let start = std::time::Instant::now();
    let mut live = Live::new(placed, Settings::default(), |_| ())
        .await
        .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let built = start.elapsed();
    let drift = live.drift().await.unwrap();
    assert!(
        drift.is_empty(),
        "seed {seed}: {}",
        drift
            .iter()
            .map(|(_, t)| t.as_ref().map_or_else(String::new, moat_nft::print::text))
            .collect::<String>()
    );
    println!(
        "seed {seed}: {} pods on {} nodes, built in {built:?}",
        live.net.pods.len(),
        live.net.nodes.len()
    );
}

/// A policy that needs more elements than are allowed: its pod is closed, reported, and nobody else notices.
async fn closed_alone() {
    let mut text = String::from("{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n");
    for at in 0..12 {
        text.push_str(&format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: p{at}, namespace: a, labels: {{at: '{at}'}}}}, \
             spec: {{containers: [{{name: c, image: i, ports: [{{containerPort: 80}}]}}]}}}}\n"
        ));
    }
    for (name, subject, peers) in [("large", 0, "1, 2, 3, 4, 5, 6, 7, 8"), ("small", 1, "2, 3")] {
        let peers: Vec<String> = peers.split(", ").map(|at| format!("'{at}'")).collect();
        text.push_str(&format!(
            "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: a}}, \
             spec: {{podSelector: {{matchLabels: {{at: '{subject}'}}}}, ingress: [{{from: [{{podSelector: \
             {{matchExpressions: [{{key: at, operator: In, values: [{}]}}]}}}}]}}]}}}}\n",
            peers.join(", ")
        ));
    }
    let world = World::read(&[Input::Text { name: "a.yaml".into(), text }]);
    assert_eq!(world.lowered.diagnostics, []);
    let scope = Scope { pods_per_class: usize::MAX, ..Scope::default() };
    let placed = Placed::new(world.lowered, &[], 2, &scope);
    let settings = Settings { elements_max: 4, ..Settings::default() };
    let live = Live::new(placed, settings, |_| ()).await.unwrap();
    let refused: Vec<String> = live
        .refused
        .iter()
        .flat_map(|own| &own.policies)
        .map(|&idx| live.placed.bound.symbolic.policy(idx).to_string())
        .collect();
    assert_eq!(refused, ["netpol a/large"]);
    let probes = moat_rig::probe::Settings::default();
    let questions = ask(&live, &scope);
    let found = verify(&live, questions, &probes, Listening::Declared, |_| ()).await.unwrap();
    let (mut n_closed, mut n_agreed) = (0, 0);
    for (question, observed, judgement) in found.answers {
        match judgement {
            Judgement::Agreed => n_agreed += 1,
            Judgement::NotExercised(why) if why.contains("closed") => n_closed += 1,
            Judgement::NotExercised(_) | Judgement::LeftOpen => {}
            Judgement::Disagreed(why) => panic!("{question:?} {observed:?}: {why:?}"),
        }
    }
    assert!(n_closed > 10 && n_agreed > 100, "{n_closed} {n_agreed}");
}
