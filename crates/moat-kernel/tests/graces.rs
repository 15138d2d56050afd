//! That a grace is one: it does not end while a packet is on its way that was so when it began.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a case fails by panicking")]

mod harness;

use harness::{Case, block_on, main as run};
use moat_kernel::grace::{calm, quick};
use moat_kernel::link::Links;
use moat_kernel::netns::Netns;
use moat_kernel::nft::{Nft, Ownership};
use moat_nft::model::{
    Base, BaseKind, Chain, Element, Field, Hook, Name, Op, Rule, Set, SetKey, SetShape, Statement,
    Table, Verdict,
};
use moat_nft::plan::plan;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let cases: [Case; 3] = [
        ("without_a_grace_packets_meet_both", without_a_grace_packets_meet_both),
        ("a_quick_grace_waits_for_packets", a_quick_grace_waits_for_packets),
        ("a_calm_grace_waits_for_packets", a_calm_grace_waits_for_packets),
    ];
    run(&cases)
}

/// The control: what the others must not find is found.
fn without_a_grace_packets_meet_both() {
    let met = meet_both(|| {});
    assert!(met > 0, "nothing was in flight, so that nothing was tested");
}

fn a_quick_grace_waits_for_packets() {
    assert_eq!(meet_both(|| quick().unwrap()), 0);
}

fn a_calm_grace_waits_for_packets() {
    assert_eq!(meet_both(calm), 0);
}

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How many packets met a set before a change and another set after a later one, with a grace between the two.
///
/// A packet is looked for in the first set, walks for about as long as ten thousand rules take, and is let through if it is not in the
/// second set. Its address leaves the first set, and after the grace the second: who met the first as it was finishes before the second
/// changes.
fn meet_both(grace: impl Fn()) -> usize {
    let netns = Netns::new().unwrap();
    block_on(async {
        Links::open(&netns).unwrap().up_loopback().await.unwrap();
    });
    let (receiver, sender) = netns
        .run(|| (UdpSocket::bind((LOCAL, 9)).unwrap(), UdpSocket::bind((LOCAL, 0)).unwrap()))
        .unwrap();
    receiver.set_nonblocking(true).unwrap();
    sender.connect((LOCAL, 9)).unwrap();
    let (table, first, second) = table();
    let own = || vec![(Element::V4(LOCAL), None)];
    let stop = AtomicBool::new(false);
    // Before the first packet, for without rules all arrive.
    block_on(async {
        let nft = Nft::open(&netns, "t", Ownership::Plain).unwrap();
        nft.apply(&plan(None, &table), None).await.unwrap();
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Who is dropped is told so.
                let _dropped = sender.send(b"x");
            }
        });
        block_on(async {
            let nft = Nft::open(&netns, "t", Ownership::Plain).unwrap();
            let mut now = nft.generation().await.unwrap();
            let mut arrived = 0;
            let from = Instant::now();
            while from.elapsed() < Duration::from_secs(2) {
                for (op, waits) in [
                    (Op::DelElements(first.clone(), own()), true),
                    (Op::DelElements(second.clone(), own()), true),
                    (Op::AddElements(second.clone(), own()), false),
                    (Op::AddElements(first.clone(), own()), false),
                ] {
                    now = nft.apply(&[op], Some(now)).await.unwrap();
                    if waits {
                        grace();
                    }
                }
                while receiver.recv(&mut [0; 8]).is_ok() {
                    arrived += 1;
                }
            }
            stop.store(true, Ordering::Relaxed);
            arrived
        })
    })
}

/// The table with its two sets.
fn table() -> (Table, Name, Name) {
    let (first, second): (Name, Name) = ("first".into(), "second".into());
    let mut table = Table::new("t");
    let shape = SetShape { key: SetKey::V4, interval: false, map: false, size: Some(8) };
    for name in [&first, &second] {
        let mut set = Set::new(shape);
        set.elements.insert(Element::V4(LOCAL), None);
        table.sets.insert(name.clone(), set);
    }
    let lookup = |set: &Name, negate| Statement::Lookup {
        key: vec![Field::DestinationV4],
        set: set.clone(),
        negate,
    };
    let jump = |chain: &str| Rule::new(vec![Statement::Verdict(Verdict::Jump(chain.into()))]);
    let drop = Statement::Verdict(Verdict::Drop);
    let base = Base { kind: BaseKind::Filter, hook: Hook::Output, priority: 0, accept: true };
    let rules = vec![
        Rule::new(vec![lookup(&first, true), drop.clone()]),
        jump("long"),
        Rule::new(vec![lookup(&second, false), drop]),
    ];
    table.chains.insert("out".into(), Chain { base: Some(base), rules });
    table.chains.insert("long".into(), Chain { base: None, rules: vec![jump("short"); 100] });
    let count = Rule::new(vec![Statement::Counter]);
    table.chains.insert("short".into(), Chain { base: None, rules: vec![count; 100] });
    (table, first, second)
}
