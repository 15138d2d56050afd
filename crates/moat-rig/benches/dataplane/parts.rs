//! What each part of the rules costs: the same ruleset with parts left out or put elsewhere.

use crate::clock;
use crate::layout;
use crate::packet::{Lane, added, ratio, turns};
use crate::site::Sockets;
use crate::table::{Row, section};
use crate::worlds::{Cluster, quiet, size};
use moat_kernel::netns::Netns;
use moat_kernel::nft::{Nft, Ownership};
use moat_nft::model::{
    Element, Name, Op, Rule, Set, SetKey, SetShape, Statement, Table, Value, Verdict,
};
use moat_nft::plan::plan;
use moat_sets::Protocol;
use std::collections::BTreeMap;
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
        ("ours with exemptions only where denied", changed(late_exemptions)),
        (
            "  and the common chain in the base chain",
            changed(|table| {
                late_exemptions(table);
                inline(table);
            }),
        ),
        (
            "  and no rule about cut connections",
            changed(|table| {
                late_exemptions(table);
                inline(table);
                no_kill(table);
            }),
        ),
        ("ours with a set per row instead of a map", changed(rows)),
        ("only the common chain", changed(|table| keep(table, 1))),
        ("only the common chain and egress", changed(|table| keep(table, 2))),
        (
            "dispatch of both ends without groups",
            changed(|table| {
                for map in ["eg4", "in4"] {
                    let end = if map == "eg4" { Verdict::Return } else { Verdict::Accept };
                    for verdict in table.sets.get_mut(map).unwrap().elements.values_mut() {
                        *verdict = Some(end.clone());
                    }
                }
                late_exemptions(table);
                inline(table);
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
    element(runtime, "map of verdicts", &ours, &mut elements);
    element(runtime, "set per row", &changed(rows), &mut elements);
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

/// A plain set for each row of a group, instead of a map from peers to rows.
fn rows(table: &mut Table) {
    let maps: Vec<Name> =
        table.sets.keys().filter(|name| name.ends_with("_pods")).cloned().collect();
    for map in maps {
        let old = table.sets.remove(&map).unwrap();
        let mut by_verdict: BTreeMap<Verdict, Set> = BTreeMap::new();
        for (element, verdict) in old.elements {
            let shape = SetShape { key: old.key, interval: false, map: false, size: None };
            let set = by_verdict.entry(verdict.unwrap()).or_insert_with(|| Set::new(shape));
            set.elements.insert(element, None);
        }
        let sets: Vec<(Name, Verdict, Set)> = (0..)
            .zip(by_verdict)
            .map(|(at, (verdict, set))| (format!("{map}_{at}").into(), verdict, set))
            .collect();
        for chain in table.chains.values_mut() {
            let asks = |rule: &Rule| match &rule.statements[..] {
                [Statement::Vmap { key, map: own }] if *own == map => Some(key.clone()),
                _ => None,
            };
            let found =
                chain.rules.iter().enumerate().find_map(|(at, rule)| Some((at, asks(rule)?)));
            if let Some((at, key)) = found {
                let rule = |(name, verdict, _): &(Name, Verdict, Set)| {
                    let set = name.clone();
                    let lookup = Statement::Lookup { key: key.clone(), set, negate: false };
                    Rule::new(vec![lookup, Statement::Verdict(verdict.clone())])
                };
                chain.rules.splice(at..=at, sets.iter().map(rule));
            }
        }
        table.sets.extend(sets.into_iter().map(|(name, _, set)| (name, set)));
    }
}

fn rules(table: &mut Table, chain: &str) -> Vec<Rule> {
    std::mem::take(&mut table.chains.get_mut(chain).unwrap().rules)
}

fn no_kill(table: &mut Table) {
    for chain in table.chains.values_mut() {
        let kills =
            |rule: &Rule| matches!(rule.statements[..], [Statement::CtMarkMasked { .. }, ..]);
        chain.rules.retain(|rule| !kills(rule));
    }
}

/// What is always allowed is asked about only in chains that deny.
fn late_exemptions(table: &mut Table) {
    let common = rules(table, "common");
    let always = |rule: &Rule| {
        matches!(
            rule.statements[..],
            [Statement::Match { value: Value::States(_), .. } | Statement::CtMarkMasked { .. }, ..]
        )
    };
    let (kept, late): (Vec<Rule>, Vec<Rule>) = common.into_iter().partition(always);
    table.chains.get_mut("common").unwrap().rules = kept;
    for (name, chain) in &mut table.chains {
        if name.starts_with("deny_") || name.starts_with("closed_") {
            chain.rules.splice(0..0, late.clone());
        }
    }
}

/// The rules of the common chain stand in the base chain.
fn inline(table: &mut Table) {
    let common = table.chains["common"].rules.clone();
    let base = table.chains.get_mut("moat_forward").unwrap();
    base.rules.splice(0..1, common);
}

/// Only the first rules of the base chain.
fn keep(table: &mut Table, n_rules: usize) {
    let base = table.chains.get_mut("moat_forward").unwrap();
    base.rules.truncate(n_rules);
    base.rules.push(Rule::new(vec![layout::ACCEPT]));
}
