//! What each part of the rules costs: the same ruleset with parts left out or put elsewhere.

use crate::clock;
use crate::layout;
use crate::packet::{Lane, added, ratio, turns};
use crate::site::Sockets;
use crate::table::{Row, section};
use crate::worlds::{Cluster, quiet, size};
use moat_kernel::netns::Netns;
use moat_kernel::nft::{Nft, Ownership};
use moat_nft::model::{Element, Name, Op, Rule, Set, SetKey, SetShape, Statement, Table, Verdict};
use moat_nft::plan::plan;
use moat_nft::render::gates;
use moat_nft::way::gate;
use moat_sets::Protocol;
use tokio::runtime::Runtime;

pub(crate) fn run(runtime: &Runtime) {
    let cluster = Cluster::dense(10_000, 1_000, 100);
    let (from, to) = cluster.pair(&[Protocol::Tcp, Protocol::Udp], 8080);
    let ends = (cluster.address(from), cluster.address(to));
    let ours = cluster.render(&quiet()).table;
    let changed = |change: fn(&mut Table)| {
        let mut table = ours.clone();
        change(&mut table);
        table
    };
    let lanes = [
        ("conntrack accept only", layout::conntrack()),
        ("ours", ours.clone()),
        ("ours without the rule about cut connections", changed(no_kill)),
        ("ours with a map of verdicts instead of a set per row", changed(maps)),
        ("ours without sizes of hash tables", changed(unsized_sets)),
        ("only what comes before dispatch", changed(|table| keep(table, 2))),
        ("only that and egress", changed(|table| keep(table, 3))),
        (
            "dispatch of both ends without groups",
            changed(|table| {
                for (name, set) in &mut table.sets {
                    let end =
                        if name.starts_with("eg4_") { Verdict::Return } else { Verdict::Accept };
                    if gate(&gates(), name).is_some() {
                        set.elements.values_mut().for_each(|verdict| *verdict = Some(end.clone()));
                    }
                }
            }),
        ),
    ];
    let lanes = lanes.map(|(name, table)| Lane::new(runtime, name, ends, 8080, &table));
    section("parts of the rules, 10k pods, 1k policies, no log, both ends are local");
    let first = turns(&lanes, 41, 4000, true, Sockets::first_packet);
    let udp = turns(&lanes, 41, 2000, true, Sockets::udp_round);
    for (what, all, packets) in [("first packet", &first, 1.0), ("established", &udp, 2.0)] {
        for (at, lane) in lanes.iter().enumerate() {
            Row {
                what: format!("{what}: {}", lane.name),
                value: format!("{:+.0} ns", added(all, at) / packets * 1e9),
                ratio: Some(ratio(all, at)),
                ..Row::default()
            }
            .print();
        }
    }
    let mut elements = Vec::new();
    element(runtime, "map of verdicts", &changed(maps), &mut elements);
    element(runtime, "set per row", &ours, &mut elements);
    elements.iter().for_each(Row::print);
}

/// What one element costs: with a verdict the kernel looks at all of the table again, without one it does not.
fn element(runtime: &Runtime, what: &str, table: &Table, row: &mut Vec<Row>) {
    let large =
        |(_, set): &(&Name, &Set)| (set.elements.len(), set.key == SetKey::V4 && !set.interval);
    let (name, set) = table.sets.iter().filter(|own| large(own).1).max_by_key(large).unwrap();
    let verdict = set.elements.values().next().cloned().unwrap();
    let elements = vec![(Element::V4([192, 0, 2, 1].into()), verdict)];
    let [add, remove] = [
        vec![Op::AddElements(name.clone(), elements.clone())],
        vec![Op::DelElements(name.clone(), elements)],
    ];
    let netns = Netns::new().unwrap();
    let took = runtime.block_on(async {
        let nft = Nft::open(&netns, &table.name, Ownership::Plain).unwrap();
        let mut generation = nft.apply(&plan(None, table), None).await.unwrap();
        let mut all = Vec::new();
        for _ in 0..50 {
            for (ops, adds) in [(&add, true), (&remove, false)] {
                let start = clock::process();
                generation = nft.apply(ops, Some(generation)).await.unwrap();
                if adds {
                    all.push(clock::process() - start);
                }
            }
        }
        clock::median(&all)
    });
    let (n_chains, n_elements) = size(table);
    row.push(Row {
        what: format!("one element added, kernel and netlink: {what}"),
        value: clock::show(took),
        note: format!("{n_chains} chains, {n_elements} elements"),
        ..Row::default()
    });
}

/// A map from peers to rows for each group, instead of a plain set for each row.
fn maps(table: &mut Table) {
    let groups: Vec<Name> = table.chains.keys().cloned().collect();
    for group in groups {
        let Some(chain) = table.chains.get_mut(&group) else { continue };
        let shape = SetShape { key: SetKey::V4, interval: false, map: true, size: None };
        let mut map = Set::new(shape);
        let mut asked = None;
        chain.rules.retain(|rule| match &rule.statements[..] {
            [Statement::Lookup { key, set, negate: false }, Statement::Verdict(to)]
                if set.starts_with(&format!("{group}_")) =>
            {
                let Some(own) = table.sets.remove(set) else { return true };
                map.key = own.key;
                map.elements.extend(own.elements.into_keys().map(|peer| (peer, Some(to.clone()))));
                asked = Some(key.clone());
                false
            }
            _ => true,
        });
        if let Some(key) = asked {
            let name: Name = format!("{group}_pods").into();
            chain.rules.insert(0, Rule::new(vec![Statement::Vmap { key, map: name.clone() }]));
            table.sets.insert(name, map);
        }
    }
}

fn unsized_sets(table: &mut Table) {
    table.sets.values_mut().for_each(|set| set.size = None);
}

fn no_kill(table: &mut Table) {
    for chain in table.chains.values_mut() {
        let kills =
            |rule: &Rule| matches!(rule.statements[..], [Statement::CtMarkMasked { .. }, ..]);
        chain.rules.retain(|rule| !kills(rule));
    }
}

/// Only the first rules of the base chain.
fn keep(table: &mut Table, n_rules: usize) {
    let base = table.chains.get_mut("moat_forward").unwrap();
    base.rules.truncate(n_rules);
    base.rules.push(Rule::new(vec![layout::ACCEPT]));
}
