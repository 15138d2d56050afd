//! Random worlds: what the scheduler decides is what a naive reading of the rules decides.

use crate::common::naive::{World, name};
use crate::common::worlds;
use moat_scheduler::{Pod, Profile, Snapshot, Turn, Verdict, explain, place, preempt};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn config() -> ProptestConfig {
    let cases =
        std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Schedules pods one after another, and calls a check before each is put where it goes.
fn run(
    nodes: Vec<Value>,
    pods: &[Value],
    check: &mut dyn FnMut(&World, &Snapshot, &Value, Result<&str, &mut moat_scheduler::Diagnosis>),
) {
    let mut snapshot = Snapshot::default();
    for node in &nodes {
        snapshot.set_node(node);
    }
    let mut world = World { nodes, pods: vec![] };
    let mut turn = Turn::seeded(7);
    for pod in pods {
        match place(&snapshot, &Profile::default(), &Pod::read(pod), &mut turn) {
            Ok(placement) => {
                check(&world, &snapshot, pod, Ok(&placement.node));
                let mut there = pod.clone();
                there["spec"]["nodeName"] = placement.node.to_string().into();
                snapshot.set_pod(Arc::new(Pod::read(&there)));
                world.pods.push(there);
            }
            Err(mut diagnosis) => check(&world, &snapshot, pod, Err(&mut diagnosis)),
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_pod_is_on_a_node_that_fits_and_pending_only_if_none_does(
        nodes in worlds::nodes(), pods in worlds::pods(14)
    ) {
        run(nodes, &pods, &mut |world, _, pod, outcome| match outcome {
            Ok(node) => {
                let node = world.nodes.iter().find(|one| name(one) == node).unwrap();
                assert!(world.fits(pod, node), "{pod} on {node}\n{world:?}");
            }
            Err(diagnosis) => {
                for node in &world.nodes {
                    assert!(!world.fits(pod, node), "{pod} on {node}: {}\n{world:?}", diagnosis.message());
                }
            }
        });
    }

    #[test]
    fn the_chosen_node_is_a_best_one_and_scores_are_those_of_the_rules(
        nodes in worlds::nodes(), pods in worlds::pods(14)
    ) {
        run(nodes, &pods, &mut |world, snapshot, pod, outcome| {
            let report = explain(snapshot, &Pod::read(pod), &Profile::default());
            let fitting: Vec<&Value> = world.nodes.iter().filter(|node| world.fits(pod, node)).collect();
            let want: BTreeMap<&str, i64> = if fitting.is_empty() {
                BTreeMap::new()
            } else {
                fitting.iter().map(|node| name(node)).zip(world.totals(pod, &fitting)).collect()
            };
            let got: BTreeMap<&str, i64> =
                report.nodes.iter().filter_map(|node| Some((node.node.as_str(), node.total?))).collect();
            assert_eq!(got, want, "{pod}\n{world:?}");
            if let Ok(chosen) = outcome {
                assert_eq!(want[chosen], *want.values().max().unwrap());
                let verdict = report.nodes.iter().find(|one| one.node == chosen).unwrap().verdict;
                assert!(matches!(verdict, Verdict::Chosen | Verdict::Tied));
            }
        });
    }

    #[test]
    fn preemption_takes_only_less_important_pods_and_none_that_could_stay(
        nodes in worlds::nodes(), pods in worlds::pods(16), priority in 1..6_i64
    ) {
        let mut pods = pods;
        if let Some(last) = pods.last_mut() {
            last["spec"]["priority"] = priority.into();
        }
        run(nodes, &pods, &mut |world, snapshot, pod, outcome| {
            let Err(diagnosis) = outcome else { return };
            let read = Pod::read(pod);
            let found = preempt(snapshot, &Profile::default(), &read, diagnosis, &mut Turn::seeded(3));
            let rank = |pod: &Value| pod["spec"]["priority"].as_i64().unwrap();
            let evicted = |world: &World, gone: &dyn Fn(&Value) -> bool| World {
                nodes: world.nodes.clone(),
                pods: world.pods.iter().filter(|one| !gone(one)).cloned().collect(),
            };
            let Some(found) = found else {
                assert!(!diagnosis.preemption.is_empty());
                // Taking every less important pod off a node would not help either, unless affinity is in the way,
                // of which upstream says that no eviction helps.
                for node in &world.nodes {
                    let lesser = |one: &Value| rank(one) < rank(pod) && one["spec"]["nodeName"] == name(node);
                    let helps = evicted(world, &lesser).fits(pod, node);
                    let affine = pod.pointer("/spec/affinity/podAffinity").is_some();
                    assert!(!helps || affine, "{pod} on {node}\n{world:?}");
                }
                return;
            };
            let node = world.nodes.iter().find(|one| name(one) == &*found.node).unwrap();
            let names: Vec<&str> = found.victims.iter().map(|one| one.name()).collect();
            assert!(!names.is_empty());
            for one in world.pods.iter().filter(|one| names.contains(&name(one))) {
                assert!(rank(one) < rank(pod));
                assert_eq!(one["spec"]["nodeName"], name(node));
            }
            assert!(evicted(world, &|one| names.contains(&name(one))).fits(pod, node), "{pod}\n{world:?}");
            // With required affinity a victim's return can help, so that only then more pods make it fit.
            if pod.pointer("/spec/affinity/podAffinity").is_none() && pod["spec"]["topologySpreadConstraints"].is_null() {
                for kept in &names {
                    let without = evicted(world, &|one| names.contains(&name(one)) && name(one) != *kept);
                    assert!(!without.fits(pod, node), "{kept} could stay: {pod}\n{world:?}");
                }
            }
        });
    }
}

/// One change of a history.
#[derive(Clone, Debug)]
enum Step {
    SetNode(usize, Value),
    RemoveNode(usize),
    SetPod(usize, Value, Option<usize>),
    RemovePod(usize),
    Nominate(usize, usize),
    Withdraw(usize),
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..5_usize)
            .prop_flat_map(|at| worlds::node(at).prop_map(move |node| Step::SetNode(at, node))),
        (0..5_usize).prop_map(Step::RemoveNode),
        ((0..8_usize), weighted_node()).prop_flat_map(
            |(at, node)| worlds::pod(at).prop_map(move |pod| Step::SetPod(at, pod, node))
        ),
        ((0..8_usize), weighted_node()).prop_flat_map(
            |(at, node)| worlds::pod(at).prop_map(move |pod| Step::SetPod(at, pod, node))
        ),
        (0..8_usize).prop_map(Step::RemovePod),
        ((0..8_usize), (0..5_usize)).prop_map(|(pod, node)| Step::Nominate(pod, node)),
        (0..8_usize).prop_map(Step::Withdraw),
    ];
    proptest::collection::vec(step, 0..60)
}

fn weighted_node() -> impl Strategy<Value = Option<usize>> {
    proptest::option::weighted(0.8, 0..5_usize)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happened_the_snapshot_is_that_of_what_there_is(steps in history()) {
        let mut snapshot = Snapshot::default();
        let mut nodes: BTreeMap<usize, Value> = BTreeMap::new();
        let mut pods: BTreeMap<String, Value> = BTreeMap::new();
        let mut waiting: BTreeMap<usize, usize> = BTreeMap::new();
        let waits = |at: usize| Arc::new(Pod::read(&json!({"metadata": {"namespace": "w", "name": format!("w{at}")}})));
        for step in steps {
            match step {
                Step::SetNode(at, mut node) => {
                    node["status"]["images"] = json!([{"names": [format!("i{}", at % 2)], "sizeBytes": 1 << 29}]);
                    snapshot.set_node(&node);
                    nodes.insert(at, node);
                }
                Step::RemoveNode(at) => {
                    snapshot.remove_node(&format!("n{at}"));
                    nodes.remove(&at);
                }
                Step::SetPod(at, mut pod, node) => {
                    if let Some(node) = node {
                        pod["spec"]["nodeName"] = format!("n{node}").into();
                    }
                    pod["metadata"]["namespace"] = "default".into();
                    let read = Pod::read(&pod);
                    snapshot.set_pod(Arc::new(read));
                    pods.insert(format!("default/p{at}"), pod);
                }
                Step::RemovePod(at) => {
                    snapshot.remove_pod(&format!("default/p{at}"));
                    pods.remove(&format!("default/p{at}"));
                }
                Step::Nominate(pod, node) => {
                    snapshot.nominate(waits(pod), &format!("n{node}"));
                    waiting.insert(pod, node);
                }
                Step::Withdraw(pod) => {
                    snapshot.withdraw(&format!("w/w{pod}"));
                    waiting.remove(&pod);
                }
            }
        }
        let mut rebuilt = Snapshot::default();
        for node in nodes.values().rev() {
            rebuilt.set_node(node);
        }
        pods.values().for_each(|pod| rebuilt.set_pod(Arc::new(Pod::read(pod))));
        waiting.iter().for_each(|(pod, node)| rebuilt.nominate(waits(*pod), &format!("n{node}")));
        prop_assert_eq!(snapshot.canonical(), rebuilt.canonical());
        let next = Pod::read(&json!({"metadata": {"namespace": "default", "name": "next", "labels": {"app": "a1"}},
            "spec": {"containers": [{"image": "i1"}]}}));
        let explained = |snapshot: &Snapshot| explain(snapshot, &next, &Profile::default());
        prop_assert_eq!(explained(&snapshot), explained(&rebuilt));
    }
}
