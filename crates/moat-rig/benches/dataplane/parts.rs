//! What each part of the rules costs: the same ruleset with parts left out or put elsewhere.

use crate::layout;
use crate::packet::{Lane, added, ratio, turns};
use crate::site::Sockets;
use crate::table::{Row, section};
use crate::worlds::{Cluster, quiet};
use moat_nft::model::{Rule, Statement, Table, Value, Verdict};
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
