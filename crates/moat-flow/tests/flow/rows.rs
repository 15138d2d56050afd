//! Random records.

use crate::world::{NOON, ip};
use moat_flow::{End, Icmp, Name, PolicyRef, Record, RuleRef, TcpFlags, Time, Verdict, Why};
use moat_ir::Direction;
use proptest::prelude::*;
use std::net::IpAddr;
use std::sync::Arc;

fn shared(strategy: impl Strategy<Value = String>) -> impl Strategy<Value = Arc<str>> {
    strategy.prop_map(Into::into)
}

/// Names from a small pool, so that filters have something to find, and now and then anything that is text.
fn anything() -> impl Strategy<Value = Arc<str>> {
    shared(prop_oneof![4 => "[a-c]/[a-c]", 1 => "\\PC{0,8}", 1 => ".{0,8}"])
}

fn policy() -> impl Strategy<Value = Arc<str>> {
    shared(prop_oneof![4 => "netpol [a-c]/[a-c]", 1 => "cnp [a-c]", 1 => ".{0,6}"])
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..8u8).prop_map(|last| ip(&format!("10.0.0.{last}"))),
        (0..8u8).prop_map(|last| ip(&format!("fd00::{last:x}"))),
        any::<IpAddr>(),
    ]
}

fn end() -> impl Strategy<Value = End> {
    let name = prop_oneof![
        3 => anything().prop_map(Name::Pod),
        1 => shared("n[1-3]".boxed()).prop_map(Name::Node),
        1 => Just(Name::Outside),
    ];
    let port = prop_oneof![Just(None), Just(Some(80)), any::<u16>().prop_map(Some)];
    (address(), port, name).prop_map(|(address, port, name)| End { address, port, name })
}

fn why() -> impl Strategy<Value = Why> {
    let maybe = || proptest::option::of(anything());
    let rule = (policy(), anything(), maybe(), maybe(), maybe())
        .prop_map(|(policy, rule, name, peer, place)| RuleRef { policy, rule, name, peer, place });
    let isolating = (policy(), maybe()).prop_map(|(policy, place)| PolicyRef { policy, place });
    prop_oneof![
        proptest::collection::vec(rule, 1..4).prop_map(|rules| Why::Rules(rules.into())),
        proptest::collection::vec(isolating, 1..4).prop_map(|list| Why::Isolated(list.into())),
        Just(Why::Default),
        Just(Why::Unprogrammed),
        anything().prop_map(Why::UnknownReason),
        anything().prop_map(Why::UnknownPrefix),
    ]
}

/// Records, possible and impossible.
pub(crate) fn records() -> impl Strategy<Value = Record> {
    let head = (
        (0..3_600_000_000_000u64).prop_map(|nanos| Time::from_nanos(NOON * 1_000_000_000 + nanos)),
        anything(),
        proptest::sample::select(vec![None, Some(Direction::Ingress), Some(Direction::Egress)]),
        proptest::sample::select(vec![Verdict::Allowed, Verdict::Denied, Verdict::Unknown]),
        any::<bool>(),
        end(),
        end(),
    );
    let icmp = (any::<u8>(), any::<u8>(), any::<Option<u16>>()).prop_map(|(kind, code, id)| Icmp {
        kind,
        code,
        id,
    });
    let tail = (
        prop_oneof![Just(6), Just(17), Just(132), Just(1), Just(58), any::<u8>()],
        proptest::option::of(icmp),
        proptest::option::of(any::<u8>().prop_map(TcpFlags)),
        any::<u32>(),
        why(),
        any::<u64>(),
    );
    (head, tail).prop_map(
        |(
            (time, node, direction, verdict, staged, source, destination),
            (protocol_number, icmp, tcp_flags, length, why, epoch),
        )| Record {
            time,
            node,
            direction,
            verdict,
            staged,
            source,
            destination,
            protocol_number,
            icmp,
            tcp_flags,
            length,
            why,
            epoch,
        },
    )
}
