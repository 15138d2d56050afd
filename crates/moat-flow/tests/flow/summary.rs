use crate::rows::records;
use crate::world::{DB, DENY, record, world};
use expect_test::expect;
use moat_flow::{Look, Record, Summary, Verdict, Why};
use moat_ir::Direction::{Egress, Ingress};
use proptest::prelude::*;

fn some() -> Summary {
    let (one, two) = (world(&[("db.yaml", DB)]), world(&[("db.yaml", DB), ("deny.yaml", DENY)]));
    let mut summary = Summary::default();
    let mut add = |n: usize, record: Record| (0..n).for_each(|_| summary.add(&record));
    add(7, record(&two, Egress, "10.0.0.1", "10.0.0.2", 80));
    add(2, record(&two, Ingress, "10.0.0.1", "10.0.0.2", 80));
    add(12, record(&two, Ingress, "203.0.113.9", "10.0.0.1", 443));
    add(2, record(&one, Ingress, "10.0.0.1", "10.0.0.2", 80));
    let denied = record(&one, Ingress, "10.0.1.3", "10.0.0.2", 22);
    add(3, Record { staged: true, ..denied.clone() });
    add(1, Record { why: Why::Unprogrammed, ..denied.clone() });
    add(1, Record { why: Why::UnknownReason("moat1:di:00".into()), ..denied.clone() });
    let why = Why::UnknownPrefix("x".into());
    add(4, Record { why, verdict: Verdict::Unknown, direction: None, ..denied });
    summary
}

#[test]
fn who_is_denied_most() {
    expect![[r#"
        DENIED  FLOW                             BY
            12  203.0.113.9 -> shop/web:443/TCP  netpol shop/default-deny
             2  shop/web -> shop/db:80/TCP       netpol shop/db
             2  shop/web -> shop/db:80/TCP       netpol shop/db, netpol shop/default-deny
             1  mon/probe -> shop/db:22/TCP      not known any more
             1  mon/probe -> shop/db:22/TCP      pod not programmed yet

        7 allowed, 17 denied, 1 denied before their pod was programmed, 3 would be denied by staged policies, 1 for reasons that are not known any more, 4 with a log prefix that is not Moat's
    "#]].assert_eq(&some().text(10, Look::plain(100)));
    expect![[r#"
        DENIED  FLOW                             BY
            12  203.0.113.9 -> shop/web:443/TCP  netpol shop/default-deny
        … 4 more

        7 allowed, 17 denied, 1 denied before their pod was programmed, 3 would be denied by staged policies, 1 for reasons that are not known any more, 4 with a log prefix that is not Moat's
    "#]].assert_eq(&some().text(1, Look::plain(100)));
    expect![[r#"
        0 allowed, 0 denied
    "#]]
    .assert_eq(&Summary::default().text(10, Look::plain(100)));
}

#[test]
fn as_data() {
    expect![[r#"
        {
          "apiVersion": "moat.dev/v1",
          "kind": "FlowSummary",
          "totals": {
            "allowed": 7,
            "denied": 17,
            "unprogrammed": 1,
            "wouldAllow": 0,
            "wouldDeny": 3,
            "unknownPrefix": 4,
            "unknownReason": 1
          },
          "denied": [
            {
              "source": {
                "kind": "outside",
                "name": "203.0.113.9"
              },
              "destination": {
                "kind": "pod",
                "name": "shop/web"
              },
              "port": 443,
              "protocol": "TCP",
              "protocolNumber": 6,
              "policy": "netpol shop/default-deny",
              "count": 12,
              "first": "2026-01-31T12:00:00.123456Z",
              "last": "2026-01-31T12:00:00.123456Z"
            }
          ],
          "moreRows": 4,
          "deniedBeyond": 0
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&some().data(1)).unwrap());
}

proptest! {
    #[test]
    fn every_record_is_counted_once(records in proptest::collection::vec(records(), 0..40)) {
        let mut summary = Summary::default();
        records.iter().for_each(|record| summary.add(record));
        let totals = summary.totals();
        let sum = totals.allowed + totals.denied + totals.unprogrammed
            + totals.would_allow + totals.would_deny + totals.unknown_prefix;
        prop_assert_eq!(sum, records.len() as u64);
        let denied = records
            .iter()
            .filter(|record| !record.staged && record.verdict == Verdict::Denied)
            .count();
        let rows = summary.top(usize::MAX);
        prop_assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), denied as u64);
        prop_assert!(rows.is_sorted_by(|a, b| a.count >= b.count));
    }
}
