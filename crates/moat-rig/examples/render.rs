//! How long a change takes from the event to the transaction, the kernel left out: `render PODS POLICIES NODES TIMES`.
#![allow(clippy::expect_used, reason = "a bench that cannot run has nobody to report to")]

use moat_bench::{World, change_label, change_policy};
use moat_compile::{Dialect, bind, compile};
use moat_nft::plan::plan;
use moat_nft::render::{Node, Settings, render};
use moat_rig::place::place;
use moat_sets::AddrSet;
use std::sync::Arc;
use std::time::Instant;

fn main() {
    let mut args = std::env::args().skip(1);
    let usage = "usage: render PODS POLICIES NODES TIMES";
    let mut number = || args.next().and_then(|text| text.parse::<usize>().ok()).expect(usage);
    let (n_pods, n_policies, n_nodes, n_times) = (number(), number(), number(), number());
    let mut world = World::text(n_pods, n_policies);
    place(&mut world.lowered.inventory, n_nodes);
    let name = world.lowered.inventory.nodes[0].name.clone();
    let bound = bind(
        Arc::new(compile(&world.lowered.policies, &[])),
        &world.lowered.inventory,
        Dialect::MOAT,
    );
    let pods = (0..)
        .zip(&bound.pods)
        .filter(|(_, pod)| pod.node.as_ref() == Some(&name))
        .map(|(idx, _)| idx)
        .collect();
    let node = Node { pods, pod_addresses: AddrSet::empty() };
    let settings = Settings::default();
    let start = Instant::now();
    let mut now = render(&bound, &node, &settings).table;
    println!(
        "render {:?}: {} pods here, {} programs in all, {} chains, {} elements",
        start.elapsed(),
        node.pods.len(),
        bound.programs.len(),
        now.chains.len(),
        now.sets.values().map(|set| set.elements.len()).sum::<usize>()
    );
    for step in 0..n_times {
        if step % 2 == 0 {
            change_label(&mut world.lowered, step / 2)
        } else {
            change_policy(&mut world.lowered, step / 2)
        }
        let start = Instant::now();
        let symbolic = Arc::new(compile(&world.lowered.policies, &[]));
        let compiled = start.elapsed();
        let bound = bind(symbolic, &world.lowered.inventory, Dialect::MOAT);
        let bound_at = start.elapsed();
        let next = render(&bound, &node, &settings).table;
        let rendered = start.elapsed();
        let ops = plan(Some(&now), &next);
        println!(
            "compile {compiled:?} bind {:?} render {:?} plan {:?}: {} ops, total {:?}",
            bound_at - compiled,
            rendered - bound_at,
            start.elapsed() - rendered,
            ops.len(),
            start.elapsed()
        );
        now = next;
    }
}
