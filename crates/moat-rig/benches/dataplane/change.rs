//! How long a change takes from the event to the kernel's word that it holds, and what a first load costs.

use crate::clock::{self, quantile, show};
use crate::table::{Row, section};
use crate::worlds::{Cluster, size};
use moat_bench::{change_label, change_policy};
use moat_compile::{Dialect, bind, compile};
use moat_kernel::netns::Netns;
use moat_kernel::nft::{Nft, Ownership};
use moat_nft::model::{Element, Table};
use moat_nft::plan::plan;
use moat_nft::render::Settings;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;

const N_CHANGES: usize = 40;

pub(crate) fn run(runtime: &Runtime) {
    load(runtime);
    let spread = Cluster::spread(10_000, 1_000, 100);
    changes(runtime, "2 policies a namespace", spread);
    let dense = Cluster::dense(10_000, 1_000, 100);
    changes(runtime, "12 policies a namespace", dense);
}

/// The parts of a change, in order.
const PARTS: [&str; 5] = ["compile", "bind", "render", "plan", "apply"];

fn changes(runtime: &Runtime, what: &str, mut cluster: Cluster) {
    let settings = Settings::default();
    let netns = Netns::new().unwrap();
    // The pod and the policy that change concern the node.
    let (n_pods, n_policies) = (cluster.bound().pods.len(), cluster.lowered.policies.len());
    let pods = &mut cluster.placed.inventory.pods;
    let here = pods.iter().position(|pod| pod.node.as_deref() == Some(cluster.node)).unwrap();
    pods.swap(here, n_pods / 2);
    let namespace = pods[n_pods / 2].namespace.clone();
    let near = cluster.lowered.policies.iter().position(|policy| policy.id.namespace == namespace);
    cluster.lowered.policies.swap(near.unwrap(), n_policies / 2);
    cluster.lowered.inventory = cluster.placed.inventory.clone();
    cluster.placed = cluster.placed.under(&cluster.lowered, &[]);
    runtime.block_on(async {
        let nft = Nft::open(&netns, "moat", Ownership::Plain).unwrap();
        let mut now = cluster.render(&settings).table;
        nft.apply(&plan(None, &now), None).await.unwrap();
        let (n_chains, n_elements) = size(&now);
        let (peer_at, peer) = peer(&cluster, &now);
        let n_programs = cluster.bound().programs.len();
        section(&format!(
            "one change, event to kernel commit, {n_pods} pods, {n_policies} policies ({what}), {} pods here; \
             {n_programs} programs, {n_chains} chains, {n_elements} elements",
            cluster.node().pods.len()
        ));
        for kind in ["a peer pod's address", "a pod's label", "a policy"] {
            let mut parts: [Vec<f64>; 5] = Default::default();
            let (mut wall, mut cpu, mut n_ops) = (Vec::new(), Vec::new(), 0);
            for step in 0..N_CHANGES {
                match kind {
                    "a policy" => change_policy(&mut cluster.lowered, step),
                    "a pod's label" => change_label(&mut cluster.lowered, step),
                    // As when it is made anew: one that is in use here, and back.
                    _ => {
                        let own = if step % 2 == 0 { [192, 0, 2, 1].into() } else { peer };
                        cluster.lowered.inventory.pods[peer_at].addresses = vec![own];
                    }
                }
                let (start, start_cpu) = (Instant::now(), clock::process());
                let mut last = start_cpu;
                let mut lap = |part: usize, parts: &mut [Vec<f64>; 5]| {
                    let now = clock::process();
                    parts[part].push(now - last);
                    last = now;
                };
                let symbolic = Arc::new(compile(&cluster.lowered.policies, &[]));
                lap(0, &mut parts);
                let bound = bind(symbolic, &cluster.lowered.inventory, Dialect::MOAT);
                let old = core::mem::replace(&mut cluster.placed.bound, Arc::new(bound));
                lap(1, &mut parts);
                let next = cluster.render(&settings).table;
                lap(2, &mut parts);
                let ops = plan(Some(&now), &next);
                lap(3, &mut parts);
                if !ops.is_empty() {
                    nft.apply(&ops, None).await.unwrap();
                }
                lap(4, &mut parts);
                wall.push(start.elapsed().as_secs_f64());
                cpu.push(clock::process() - start_cpu);
                n_ops += ops.len();
                // What it took to forget the old state is no part of the way to the kernel.
                drop(old);
                now = next;
            }
            if n_ops == 0 {
                println!("{kind}: changes nothing here");
                continue;
            }
            for (share, name, goal) in [(0.5, "p50", 1e-3), (0.99, "p99", 10e-3)] {
                let (took, work) = (quantile(&wall, share), quantile(&cpu, share));
                Row {
                    what: format!("{kind}, {name}, wall"),
                    value: show(took),
                    goal: format!("at most {}", show(goal)),
                    met: Some(took <= goal),
                    note: format!("CPU {}; {} steps on average", show(work), n_ops / N_CHANGES),
                    ..Row::default()
                }
                .print();
            }
            for (part, times) in PARTS.iter().zip(&parts) {
                Row {
                    what: format!("  {part}, CPU"),
                    value: show(quantile(times, 0.5)),
                    note: format!("p99 {}", show(quantile(times, 0.99))),
                    ..Row::default()
                }
                .print();
            }
        }
    });
}

/// A pod of another node whose address is in a map of peers.
fn peer(cluster: &Cluster, table: &Table) -> (usize, IpAddr) {
    let known = |address: &IpAddr| match address {
        IpAddr::V4(own) => table.sets.iter().any(|(name, set)| {
            name.ends_with("_pods") && set.elements.contains_key(&Element::V4(*own))
        }),
        IpAddr::V6(_) => false,
    };
    let pods = cluster.lowered.inventory.pods.iter().enumerate();
    pods.filter(|(_, pod)| pod.node.as_deref() != Some(cluster.node))
        .find_map(|(at, pod)| Some((at, *pod.addresses.iter().find(|own| known(own))?)))
        .expect("a node's pods have peers elsewhere")
}

/// The first load of a node that has about a hundred thousand elements.
fn load(runtime: &Runtime) {
    let cluster = Cluster::dense(10_000, 1_000, 100);
    let settings = Settings::default();
    let mut node = cluster.node();
    let mut rendered = cluster.render(&settings);
    // Fewer pods, until their elements are not more than needed.
    while size(&rendered.table).1 > 110_000 && node.pods.len() > 1 {
        node.pods.truncate(node.pods.len() * 9 / 10);
        rendered = moat_nft::render::render(cluster.bound(), &node, &settings);
    }
    let (n_chains, n_elements) = size(&rendered.table);
    section(&format!(
        "first load, {} pods here, {n_chains} chains, {n_elements} elements",
        node.pods.len()
    ));
    let mut all: [Vec<f64>; 4] = Default::default();
    for _ in 0..5 {
        let netns = Netns::new().unwrap();
        let start = clock::process();
        let table = moat_nft::render::render(cluster.bound(), &node, &settings).table;
        let rendered = clock::process();
        let ops = plan(None, &table);
        let planned = clock::process();
        let applied = runtime.block_on(async {
            let nft = Nft::open(&netns, "moat", Ownership::Plain).unwrap();
            nft.apply(&ops, None).await.unwrap();
            clock::process()
        });
        let times = [rendered - start, planned - rendered, applied - planned, applied - start];
        for (all, time) in all.iter_mut().zip(times) {
            all.push(time);
        }
    }
    let scale = 100_000.0 / n_elements as f64;
    let [render, plan, apply, whole] = all.map(|times| quantile(&times, 0.5) * scale);
    Row {
        what: "100k elements: render, plan and apply, CPU".to_owned(),
        value: show(whole),
        goal: "at most 500 ms".to_owned(),
        met: Some(whole <= 0.5),
        note: format!(
            "render {}, plan {}, apply {}; scaled by {scale:.2}",
            show(render),
            show(plan),
            show(apply)
        ),
        ..Row::default()
    }
    .print();
}
