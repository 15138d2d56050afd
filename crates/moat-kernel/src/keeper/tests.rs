//! The way of a change, in the kernel in memory: after each transaction every packet is judged by the old table or by the new one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure is the test's answer")]

#[path = "../../../moat-nft/tests/tables/mod.rs"]
mod tables;

use super::group::Groups;
use super::split::{Batch, Sequence, Splitter};
use moat_nft::fake::Fake;
use moat_nft::interp::{Fate, Packet, run};
use moat_nft::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Log, Name, Op, Rule, Set, SetKey, SetShape,
    Statement, States, Table, Verdict,
};
use moat_nft::plan::plan;
use moat_nft::way::Gates;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use tables::{Rng, like, table};

const HOOKS: [Hook; 5] =
    [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];

/// A step counts for one, and for one more for each two elements.
fn size(op: &Op) -> usize {
    match op {
        Op::AddElements(_, elements) | Op::DelElements(_, elements) => 1 + elements.len() / 2,
        _ => 1,
    }
}

fn sequence(limit: usize, old: Option<&Table>, new: &Table, shut: &Table) -> Option<Sequence> {
    let gates = gates();
    Splitter { limit, size: &size, gates: &gates }.sequence(old, new, &|| shut.clone()).ok()
}

/// All its transactions.
fn transactions(way: &Sequence) -> Vec<Vec<Op>> {
    way.now.iter().chain(&way.late).map(|Batch { ops, .. }| ops.clone()).collect()
}

fn packets(rng: &mut Rng, n: usize) -> Vec<Packet> {
    (0..n)
        .map(|_| {
            let v6 = rng.one_in(2);
            let mut address = || -> IpAddr { if v6 { rng.v6().into() } else { rng.v4().into() } };
            let (source, destination) = (address(), address());
            let protocol = rng.protocol();
            let mut state = States::default();
            match rng.below(4) {
                0 => state.invalid = true,
                1 => state.established = true,
                2 => state.related = true,
                _ => state.new = true,
            }
            Packet {
                source,
                destination,
                protocol,
                port: matches!(protocol, 6 | 17 | 132).then(|| rng.port()),
                icmpv6_type: (protocol == 58).then_some(135),
                input: "lo".into(),
                state,
                mark: u32::from(rng.port()),
            }
        })
        .collect()
}

fn fates(table: Option<&Table>, packets: &[Packet]) -> Vec<Vec<Fate>> {
    let none = Table::new("moat");
    let table = table.unwrap_or(&none);
    packets.iter().map(|packet| HOOKS.map(|hook| run(table, hook, packet)).to_vec()).collect()
}

/// Each hook judges by one table as a whole, and all hooks by the same.
fn old_or_new(now: &[Vec<Fate>], old: &[Vec<Fate>], new: &[Vec<Fate>]) -> Result<bool, usize> {
    if now == new {
        return Ok(true);
    }
    if now == old {
        return Ok(false);
    }
    Err(now.iter().zip(old).position(|(one, other)| one != other).unwrap_or(0))
}

#[test]
fn every_point_of_the_way_is_old_or_new() {
    let (mut n_ways, mut n_long, mut n_aliased, mut n_over) = (0, 0, 0, 0);
    for seed in 0..1500 {
        let mut rng = Rng::new(seed);
        let before = table(&mut rng);
        let after = like(&mut rng, &before);
        let probes = packets(&mut rng, 12);
        let (old, new) = (fates(Some(&before), &probes), fates(Some(&after), &probes));
        for limit in [6, 12, 25, 60, usize::MAX] {
            let Some(way) = sequence(limit, Some(&before), &after, &after) else {
                n_over += 1;
                continue;
            };
            // Of base chains of one hook and priority, the order is by name here and by age in the kernel: an alias has neither.
            let is_base = |name: &Name| after.chains.get(name).is_some_and(|c| c.base.is_some());
            if way.aliases.values().any(is_base) {
                continue;
            }
            let mut kernel = Fake::new("moat");
            kernel.apply(&plan(None, &before)).unwrap();
            let mut is_new = false;
            for (at, ops) in transactions(&way).iter().enumerate() {
                assert!(!ops.is_empty() && ops.iter().map(size).sum::<usize>() <= limit);
                kernel.apply(ops).unwrap_or_else(|error| {
                    panic!("seed {seed}, limit {limit}, transaction {at}: {error}\n{ops:#?}")
                });
                let now = fates(kernel.table(), &probes);
                match old_or_new(&now, &old, &new) {
                    // What is the same by both is no way back.
                    Ok(judged_new) if judged_new || !is_new || old == new => is_new |= judged_new,
                    Ok(_) => panic!("seed {seed}, limit {limit}: old again after {at}"),
                    Err(packet) => panic!(
                        "seed {seed}, limit {limit}, transaction {at}: {:?}",
                        probes.get(packet)
                    ),
                }
            }
            assert_eq!(kernel.table(), Some(&after), "seed {seed}, limit {limit}");
            n_ways += 1;
            n_long += usize::from(transactions(&way).len() > 3);
            n_aliased += usize::from(!way.aliases.is_empty());
        }
    }
    println!(
        "{n_ways} ways, {n_long} of more than 3 transactions, {n_aliased} by aliases, {n_over} impossible"
    );
    assert!(n_long > 500 && n_aliased > 300, "{n_long} {n_aliased}");
}

/// A table as the renderer makes it: dispatch by address, gates behind, groups with sets of their own.
fn dispatching(rng: &mut Rng, n_pods: u8) -> Table {
    let mut table = Table::new("moat");
    let verdict = |verdict| Rule::new(vec![Statement::Verdict(verdict)]);
    let base = Base { kind: BaseKind::Filter, hook: Hook::Forward, priority: -5, accept: true };
    let jump = |name: &str| verdict(Verdict::Jump(name.into()));
    let mut chain = |name: &str, base, rules| {
        table.chains.insert(name.into(), Chain { base, rules });
    };
    chain("forward", Some(base), vec![jump("from_pod"), jump("to_pod")]);
    for (side, field, map, back) in
        [("from_pod", Field::SourceV4, "eg4", true), ("to_pod", Field::DestinationV4, "in4", false)]
    {
        let closed: Name = format!("closed_{side}").into();
        let dispatch = Statement::Vmap { key: vec![field], map: map.into() };
        let local = Statement::Lookup { key: vec![field], set: "local".into(), negate: false };
        let gate = Rule::new(vec![local, Statement::Verdict(Verdict::Goto(closed.clone()))]);
        table.chains.insert(
            side.into(),
            Chain { base: None, rules: vec![Rule::new(vec![dispatch]), gate] },
        );
        table.chains.insert(closed, Chain { base: None, rules: vec![verdict(Verdict::Drop)] });
        let mut elements =
            Set::new(SetShape { key: SetKey::V4, interval: false, map: true, size: None });
        for pod in 0..n_pods {
            if rng.one_in(5) {
                continue;
            }
            let group: Name = format!("group_{side}_{}", rng.below(4)).into();
            elements
                .elements
                .insert(Element::V4([10, 0, 0, pod].into()), Some(Verdict::Goto(group.clone())));
            if table.chains.contains_key(&group) {
                continue;
            }
            let peers: Name = format!("{group}_peers").into();
            let mut set =
                Set::new(SetShape { key: SetKey::V4, interval: false, map: false, size: None });
            for _ in 0..rng.below(12) {
                set.elements.insert(Element::V4(rng.v4()), None);
            }
            table.sets.insert(peers.clone(), set);
            let peer = if back { Field::DestinationV4 } else { Field::SourceV4 };
            let known = Statement::Lookup { key: vec![peer], set: peers, negate: false };
            let end = if back { Verdict::Return } else { Verdict::Accept };
            let log =
                Log { prefix: format!("{group}").into(), group: 1, snaplen: 0, queue_threshold: 1 };
            let rules = vec![
                Rule::new(vec![known, Statement::Log(log), Statement::Verdict(end)]),
                verdict(Verdict::Drop),
            ];
            table.chains.insert(group, Chain { base: None, rules });
        }
        table.sets.insert(map.into(), elements);
    }
    let mut local = Set::new(SetShape { key: SetKey::V4, interval: true, map: false, size: None });
    local.elements.insert(Element::RangeV4([10, 0, 0, 0].into(), [10, 0, 0, 255].into()), None);
    table.sets.insert("local".into(), local);
    table
}

fn gates() -> Gates {
    let to = |name: &str| Some(Verdict::Goto(name.into()));
    [("eg4".into(), to("closed_from_pod")), ("in4".into(), to("closed_to_pod"))].into()
}

#[test]
fn a_first_load_is_closed_until_it_is_new() {
    let mut n_split = 0;
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let after = dispatching(&mut rng, 8);
        let groups = Groups::of(&after, &gates());
        let shut = groups.close(&after, &gates(), &groups.names());
        let probes = packets(&mut rng, 40);
        let new = fates(Some(&after), &probes);
        for limit in [34, 45, 60, usize::MAX] {
            let Some(way) = sequence(limit, None, &after, &shut) else { continue };
            let mut kernel = Fake::new("moat");
            for ops in &transactions(&way) {
                kernel.apply(ops).unwrap();
                let now = fates(kernel.table(), &probes);
                for ((now, new), probe) in now.iter().zip(&new).zip(&probes) {
                    let local = |address: IpAddr| matches!(address, IpAddr::V4(own) if own.octets().starts_with(&[10, 0, 0]));
                    let ok = now == new || now.iter().any(|fate| !fate.accepted);
                    assert!(ok, "seed {seed}, limit {limit}: {probe:?}");
                    if !local(probe.source) && !local(probe.destination) {
                        assert!(now.iter().all(|fate| fate.accepted), "the node itself is cut off");
                    }
                }
            }
            assert_eq!(kernel.table(), Some(&after), "seed {seed}, limit {limit}");
            n_split += usize::from(transactions(&way).len() > 1);
        }
    }
    assert!(n_split > 200, "{n_split}");
}

#[test]
fn changes_of_dispatching_tables() {
    let mut n_split = 0;
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let (before, after) = (dispatching(&mut rng, 8), dispatching(&mut rng, 8));
        let groups = Groups::of(&after, &gates());
        let shut = groups.close(&after, &gates(), &groups.names());
        let probes = packets(&mut rng, 40);
        let (old, new) = (fates(Some(&before), &probes), fates(Some(&after), &probes));
        for limit in [10, 20, 40, usize::MAX] {
            let Some(way) = sequence(limit, Some(&before), &after, &shut) else { continue };
            let mut kernel = Fake::new("moat");
            kernel.apply(&plan(None, &before)).unwrap();
            for ops in &transactions(&way) {
                kernel.apply(ops).unwrap();
                let now = fates(kernel.table(), &probes);
                assert!(old_or_new(&now, &old, &new).is_ok(), "seed {seed}, limit {limit}");
                // Whoever dies here is followed by one who goes on from what is there, with another limit.
                let left = kernel.table().cloned().unwrap();
                let limit = 12;
                if let Some(rest) = sequence(limit, Some(&left), &after, &shut) {
                    let mut next = kernel.clone();
                    for ops in &transactions(&rest) {
                        next.apply(ops).unwrap();
                        let now = fates(next.table(), &probes);
                        assert!(old_or_new(&now, &old, &new).is_ok(), "seed {seed}, after a death");
                    }
                    assert_eq!(next.table(), Some(&after));
                }
            }
            assert_eq!(kernel.table(), Some(&after), "seed {seed}, limit {limit}");
            n_split += usize::from(transactions(&way).len() > 2);
        }
    }
    assert!(n_split > 200, "{n_split}");
}

#[test]
fn a_closed_group_takes_nothing_else_along() {
    for seed in 0..500 {
        let mut rng = Rng::new(seed);
        let table = dispatching(&mut rng, 8);
        let gates = gates();
        let groups = Groups::of(&table, &gates);
        let all = groups.names();
        let closed: BTreeSet<Name> = all.iter().filter(|_| rng.one_in(3)).cloned().collect();
        let shut = groups.close(&table, &gates, &closed);
        for probe in packets(&mut rng, 60) {
            let (before, after) =
                (run(&table, Hook::Forward, &probe), run(&shut, Hook::Forward, &probe));
            let of = |map: &str, address: IpAddr| match (
                address,
                table.sets[map].elements.get(&key(address)),
            ) {
                (_, Some(Some(Verdict::Goto(chain)))) => closed.contains(chain),
                _ => false,
            };
            if of("eg4", probe.source) || of("in4", probe.destination) {
                assert!(!after.accepted);
            } else {
                assert_eq!(before, after);
            }
        }
        assert_eq!(groups.close(&table, &gates, &BTreeSet::new()), table);
        for name in &closed {
            assert!(!shut.chains.contains_key(name), "seed {seed}");
        }
    }
}

fn key(address: IpAddr) -> Element {
    match address {
        IpAddr::V4(own) => Element::V4(own),
        IpAddr::V6(_) => Element::V4(Ipv4Addr::UNSPECIFIED),
    }
}
