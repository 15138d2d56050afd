use crate::world::{DB, DENY, PODS, bound, record, world};
use expect_test::expect;
use moat_flow::{Look, Record, Replay, Time, Verdict, Why, replay};
use moat_ir::Bound;
use moat_ir::Direction::{Egress, Ingress};
use std::sync::Arc;

const WEB: &str = "10.0.0.1";
const DATABASE: &str = "10.0.0.2";
const PROBE: &str = "10.0.1.3";

/// Both records of a connection that these policies let pass, or those up to the denial, so many seconds later.
fn connection(bound: &Arc<Bound>, from: &str, to: &str, port: u16, later: u64) -> Vec<Record> {
    let mut records = Vec::new();
    for direction in [Egress, Ingress] {
        let subject = if direction == Egress { from } else { to };
        if !bound.pod_by_address.contains_key(&subject.parse().unwrap()) {
            continue;
        }
        let mut record = record(bound, direction, from, to, port);
        record.time = Time::from_nanos((record.time.micros() + later * 1_000_000) * 1_000);
        let is_denied = record.verdict == Verdict::Denied;
        records.push(record);
        if is_denied {
            break;
        }
    }
    records
}

fn recorded(bound: &Arc<Bound>) -> Vec<Record> {
    let mut records = connection(bound, WEB, DATABASE, 5432, 0);
    records.extend(connection(bound, WEB, DATABASE, 5432, 90));
    records.extend(connection(bound, PROBE, DATABASE, 5432, 10));
    records.extend(connection(bound, WEB, "203.0.113.9", 443, 20));
    records.extend(connection(bound, "192.0.2.1", DATABASE, 8080, 30));
    records
}

fn plain(replay: &Replay) -> String {
    replay.text(Look::plain(100))
}

#[test]
fn the_same_policies_change_nothing() {
    for policies in [&[][..], &[("db.yaml", DB)], &[("db.yaml", DB), ("deny.yaml", DENY)]] {
        let bound = world(policies);
        // What a node sends to its own pods is never logged.
        let is_node = |record: &Record| record.source.name.kind() == "node";
        let records = recorded(&bound).into_iter().filter(|record| !is_node(record));
        let replay = replay(&bound, records);
        assert_eq!((replay.n_flows, replay.n_same), (3, 3), "{:#?}", replay.changes);
    }
}

#[test]
fn says_what_would_change_and_why() {
    let then = world(&[]);
    let now = world(&[("db.yaml", DB), ("deny.yaml", DENY)]);
    expect![[r#"
        NOW DENIED     mon/probe -> shop/db:5432/TCP  2 records, 2026-01-31T12:00:10Z
            then  allowed    egress: no policy applies; ingress: no policy applies
            now   denied     ingress: isolated by netpol shop/db (db.yaml:1), netpol shop/default-deny (deny.yaml:1)

        8 records in 4 flows: 1 would change, 3 would not, 0 cannot be decided
    "#]].assert_eq(&plain(&replay(&now, recorded(&then).into_iter())));
    expect![[r#"
        NOW ALLOWED    mon/probe -> shop/db:5432/TCP  2 records, 2026-01-31T12:00:10Z
            then  denied     ingress: isolated by netpol shop/db (db.yaml:1), netpol shop/default-deny (deny.yaml:1)
            now   allowed    egress: no policy applies; ingress: no policy applies
        NOW ALLOWED    node n1 -> shop/db:8080/TCP  1 record, 2026-01-31T12:00:30Z
            then  denied     ingress: isolated by netpol shop/db (db.yaml:1), netpol shop/default-deny (deny.yaml:1)
            now   allowed    ingress: a node always reaches its own pods

        8 records in 4 flows: 2 would change, 2 would not, 0 cannot be decided
    "#]].assert_eq(&plain(&replay(&then, recorded(&now).into_iter())));
}

#[test]
fn as_data() {
    let then = world(&[]);
    let now = world(&[("db.yaml", DB)]);
    let replay = replay(&now, connection(&then, PROBE, DATABASE, 80, 0).into_iter());
    expect![[r#"
        {
          "apiVersion": "moat.dev/v1",
          "kind": "FlowReplay",
          "records": 2,
          "flows": 1,
          "same": 0,
          "changes": [
            {
              "source": {
                "kind": "pod",
                "name": "mon/probe",
                "address": "10.0.1.3"
              },
              "destination": {
                "kind": "pod",
                "name": "shop/db",
                "address": "10.0.0.2"
              },
              "port": 80,
              "protocol": "TCP",
              "protocolNumber": 6,
              "records": 2,
              "first": "2026-01-31T12:00:00.123456Z",
              "last": "2026-01-31T12:00:00.123456Z",
              "then": {
                "verdict": "allowed",
                "reasons": [
                  "egress: no policy applies",
                  "ingress: no policy applies"
                ]
              },
              "now": {
                "verdict": "denied",
                "reasons": [
                  "ingress: isolated by netpol shop/db (db.yaml:1)"
                ]
              },
              "notes": []
            }
          ],
          "undecided": [],
          "skipped": {
            "staged": 0,
            "unprogrammed": 0,
            "unknown": 0
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&replay.data()).unwrap());
}

#[test]
fn the_order_of_records_does_not_matter() {
    let (then, now) = (world(&[("db.yaml", DB)]), world(&[("deny.yaml", DENY)]));
    let records = recorded(&then);
    let expected = replay(&now, records.iter().cloned());
    assert_eq!(replay(&now, records.into_iter().rev()), expected);
}

#[test]
fn pods_that_are_gone_cannot_be_decided() {
    let then = world(&[]);
    let without = PODS.replace("name: db, namespace: shop", "name: db2, namespace: shop");
    let taken = PODS.replace("name: db, namespace: shop", "name: db2, namespace: mon");
    let gone = taken.replace("10.0.0.2", "10.0.0.77");
    for (pods, n_undecided) in [(&without, 0), (&taken, 1), (&gone, 1)] {
        let now = bound(&[("pods.yaml", pods), ("deny.yaml", DENY)]);
        let replay = replay(&now, connection(&then, WEB, DATABASE, 5432, 0).into_iter());
        assert_eq!(replay.undecided.len(), n_undecided);
    }
    let text = |pods: &str| {
        let now = bound(&[("pods.yaml", pods), ("deny.yaml", DENY)]);
        plain(&replay(&now, connection(&then, WEB, DATABASE, 5432, 0).into_iter()))
    };
    expect![[r#"
        NOW DENIED     shop/web -> shop/db:5432/TCP  2 records, 2026-01-31T12:00:00Z
            then  allowed    egress: no policy applies; ingress: no policy applies
            now   denied     ingress: isolated by netpol shop/default-deny (deny.yaml:1)
            note  shop/db is not there any more; shop/db2 has its address now and was asked about instead

        2 records in 1 flow: 1 would change, 0 would not, 0 cannot be decided
        ---
        NOT DECIDED    shop/web -> shop/db:5432/TCP  2 records, 2026-01-31T12:00:00Z
            cannot be decided: shop/db is not there any more; mon/db2 has its address now

        2 records in 1 flow: 0 would change, 0 would not, 1 cannot be decided
        ---
        NOT DECIDED    shop/web -> shop/db:5432/TCP  2 records, 2026-01-31T12:00:00Z
            cannot be decided: shop/db is not there any more

        2 records in 1 flow: 0 would change, 0 would not, 1 cannot be decided
    "#]].assert_eq(&[text(&without), text(&taken), text(&gone)].join("---\n"));
}

#[test]
fn records_that_are_no_verdicts_of_policies_are_left_out() {
    let bound = world(&[]);
    let [egress, ingress] = connection(&bound, WEB, DATABASE, 80, 0).try_into().unwrap();
    let records = vec![
        Record { staged: true, verdict: Verdict::Denied, ..egress.clone() },
        Record { why: Why::Unprogrammed, verdict: Verdict::Denied, ..ingress.clone() },
        Record {
            why: Why::UnknownPrefix("x".into()),
            verdict: Verdict::Unknown,
            direction: None,
            ..ingress.clone()
        },
        egress,
        ingress,
    ];
    let replay = replay(&bound, records.into_iter());
    assert_eq!(
        (replay.skipped.staged, replay.skipped.unprogrammed, replay.skipped.unknown),
        (1, 1, 1)
    );
    assert_eq!((replay.n_records, replay.n_flows, replay.n_same), (5, 1, 1));
    expect![[r#"
        5 records in 1 flow: 0 would change, 1 would not, 0 cannot be decided
        left out: 1 record of staged policies, 1 record of pods that were not programmed yet, 1 record of no known verdict
    "#]].assert_eq(&plain(&replay));
}

#[test]
fn either_direction_denies_and_the_last_word_counts() {
    let (open, closed) = (world(&[]), world(&[("deny.yaml", DENY)]));
    // Denied by ingress: the record of egress is an allowance.
    let denied = connection(&closed, WEB, DATABASE, 80, 0);
    assert_eq!(denied.len(), 2);
    let opened = replay(&open, denied.iter().cloned());
    assert_eq!(opened.changes.len(), 1);
    // Later it was allowed.
    let both = denied.into_iter().chain(connection(&open, WEB, DATABASE, 80, 60));
    let mixed = replay(&closed, both);
    let [change] = mixed.changes.as_slice() else { panic!("{mixed:?}") };
    assert_eq!(change.then.verdict, moat_ir::Verdict::Allowed);
    assert_eq!(change.notes, ["the records differ over time; the last ones count"]);
}

#[test]
fn a_direction_without_records_is_told() {
    let (open, closed) = (world(&[]), world(&[("deny.yaml", DENY)]));
    let egress = record(&open, Egress, WEB, DATABASE, 80);
    let replay = replay(&closed, [egress].into_iter());
    let [change] = replay.changes.as_slice() else { panic!("{replay:?}") };
    assert_eq!(change.notes, ["no record of ingress: it may not have been allowed before either"]);
}

#[test]
fn a_packet_without_ports_cannot_be_decided() {
    let bound = world(&[]);
    let mut fragment = record(&bound, Egress, WEB, DATABASE, 80);
    fragment.destination.port = None;
    let replay = replay(&bound, [fragment].into_iter());
    assert_eq!(replay.undecided[0].because, "the log has no TCP port of it");
}
