use crate::rows::records;
use crate::world::{DB, NOON, record, world};
use expect_test::expect;
use moat_flow::{Filter, Flags, Name, Reader, Record, Time, Verdict};
use moat_ir::Direction::{Egress, Ingress};
use proptest::prelude::*;
use std::fmt::Write as _;

fn now() -> Time {
    Time::from_nanos((NOON + 3_600) * 1_000_000_000)
}

fn filter(flags: Flags<'_>) -> Filter {
    Filter::parse(&flags, now()).unwrap()
}

/// Conditions that a denied connection from `shop/web` (10.0.0.1) to `shop/db:80` by `netpol shop/db` meets, and others.
const MET: &[(&str, &[&str], &[&str])] = &[
    ("verdict", &["denied"], &["allowed", "unknown", "would-deny", "would-allow"]),
    (
        "from",
        &["shop/web", "shop/w*", "shop/*", "shop", "10.0.0.1", "10.0.0.0/24", "0.0.0.0/0"],
        &[
            "shop/db",
            "shop/x*",
            "mon",
            "web",
            "10.0.0.2",
            "10.0.1.0/24",
            "::/0",
            "outside",
            "shop/we",
            "sho",
            "n1",
        ],
    ),
    (
        "to",
        &[
            "shop/db",
            "shop",
            "10.0.0.2",
            "shop/db:80",
            "shop:80/tcp",
            "10.0.0.2:80",
            "[10.0.0.2]:80/TCP",
        ],
        &[
            "shop/web",
            "shop/db:81",
            "shop/db:80/UDP",
            "10.0.0.2/31:5432",
            "shop/db:icmp",
            "fd00::2",
            "[fd00::2]:80",
        ],
    ),
    ("direction", &["ingress"], &["egress"]),
    ("protocol", &["TCP", "tcp"], &["UDP", "SCTP", "icmp"]),
    ("port", &["80"], &["81", "43210"]),
    (
        "since",
        &["2h", "61m", "1h1s", "1d", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456Z"],
        &["1s", "59m", "2026-01-31T12:00:01Z", "0s"],
    ),
    ("policy", &["shop/db", "netpol shop/db"], &["shop/web", "db", "cnp shop/db", "netpol"]),
];

fn flags<'f>(name: &str, text: &'f str) -> Flags<'f> {
    let mut flags = Flags::default();
    let slot = match name {
        "verdict" => &mut flags.verdict,
        "from" => &mut flags.from,
        "to" => &mut flags.to,
        "direction" => &mut flags.direction,
        "protocol" => &mut flags.protocol,
        "port" => &mut flags.port,
        "since" => &mut flags.since,
        _ => &mut flags.policy,
    };
    *slot = Some(text);
    flags
}

#[test]
fn takes_what_meets_each_condition() {
    let denied = record(&world(&[("db.yaml", DB)]), Ingress, "10.0.0.1", "10.0.0.2", 80);
    assert_eq!(denied.verdict, Verdict::Denied);
    assert!(Filter::default().matches(&denied));
    for (name, met, unmet) in MET {
        for text in *met {
            assert!(filter(flags(name, text)).matches(&denied), "--{name} {text}");
        }
        for text in *unmet {
            assert!(!filter(flags(name, text)).matches(&denied), "--{name} {text}");
        }
    }
    let all =
        Flags { to: Some("shop/db:80/TCP"), verdict: Some("denied"), ..flags("from", "shop") };
    assert!(filter(all).matches(&denied));
    assert!(!filter(Flags { from: Some("mon"), ..all }).matches(&denied));
}

/// A workload is recorded as `ns/kind/name`, and asked for as in other questions: with its kind, or by its name alone.
#[test]
fn workloads_are_named_with_their_kinds_or_without() {
    let mut flow = record(&world(&[]), Ingress, "10.0.0.1", "10.0.0.2", 80);
    flow.source.name = Name::Pod("shop/deployment/web".into());
    for text in
        ["shop/deployment/web", "shop/web", "shop/w*", "shop/deployment/*", "shop/*", "shop"]
    {
        assert!(filter(flags("from", text)).matches(&flow), "{text}");
    }
    for text in [
        "shop/deployment",
        "shop/we",
        "shop/x*",
        "shop/statefulset/web",
        "mon/web",
        "deployment/web",
    ] {
        assert!(!filter(flags("from", text)).matches(&flow), "{text}");
    }
}

#[test]
fn ends_that_are_no_pods() {
    let bound = world(&[]);
    let from_node = record(&bound, Ingress, "192.0.2.1", "10.0.0.2", 80);
    let outwards = record(&bound, Egress, "10.0.0.1", "203.0.113.9", 443);
    assert!(filter(flags("from", "n1")).matches(&from_node));
    assert!(!filter(flags("from", "outside")).matches(&from_node));
    assert!(filter(flags("to", "outside")).matches(&outwards));
    assert!(filter(flags("to", "203.0.113.0/24:443")).matches(&outwards));
    // A staged verdict is no verdict on a packet.
    let staged = Record { staged: true, ..from_node };
    assert!(!filter(flags("verdict", "allowed")).matches(&staged));
    assert!(filter(flags("verdict", "would-allow")).matches(&staged));
}

#[test]
fn errors_say_how_to_mend_them() {
    let mut out = String::new();
    let mut told = |flags: Flags<'_>| {
        let error = Filter::parse(&flags, now()).unwrap_err();
        writeln!(out, "{error}\n  help: {}", error.help).unwrap();
    };
    for (name, text) in [
        ("verdict", "deny"),
        ("from", ""),
        ("from", "shop/web:80"),
        ("from", "10.0.0.300"),
        ("from", "10.0.0.0/33"),
        ("from", "shop/"),
        ("from", "web*"),
        ("from", "shop/w*b"),
        ("to", "shop web"),
        ("to", "shop/db:http"),
        ("to", "shop/db:"),
        ("to", "shop/db:0"),
        ("to", "shop/db:70000/TCP"),
        ("to", "shop/db:80/HTTP"),
        ("to", "fd00::2::80"),
        ("direction", "in"),
        ("protocol", "http"),
        ("port", "http"),
        ("port", "99999999999999999999"),
        ("since", "yesterday"),
        ("since", "5"),
        ("since", "m"),
        ("since", "999999999999999999d"),
        ("policy", ""),
        ("policy", "a b c"),
    ] {
        told(flags(name, text));
    }
    told(Flags { port: Some("81"), ..flags("to", "shop/db:80") });
    told(Flags { protocol: Some("UDP"), ..flags("to", "shop/db:80/TCP") });
    told(Flags { protocol: Some("ICMP"), ..flags("port", "80") });
    expect![[r#"
        --verdict: `deny` is no verdict
          help: use allowed or denied; would-allow or would-deny for staged policies
        --from: `` names no one
          help: write `ns/pod`, `ns/prefix*`, a namespace, a node, an address, a CIDR or `outside`
        --from: `shop/web:80` has a port, and source ports are of no use here
          help: write `--from shop/web`; for the destination's port `--port 80`
        --from: `10.0.0.300` is no address or CIDR
          help: write `ns/pod`, `ns/prefix*`, a namespace, a node, an address, a CIDR or `outside`
        --from: `10.0.0.0/33` is no address or CIDR: prefix length must be 0 to 32
          help: write `ns/pod`, `ns/prefix*`, a namespace, a node, an address, a CIDR or `outside`
        --from: `shop/` names no one
          help: write `ns/pod`, `ns/prefix*`, a namespace, a node, an address, a CIDR or `outside`
        --from: `web*` has `*` where none can be
          help: `*` ends the name of a pod: `ns/web-*`; `ns` alone means all its pods
        --from: `shop/w*b` has `*` where none can be
          help: `*` ends the name of a pod: `ns/web-*`; `ns` alone means all its pods
        --to: `shop web` names no one
          help: write `ns/pod`, `ns/prefix*`, a namespace, a node, an address, a CIDR or `outside`
        --to: `http` is no port number
          help: records have numbers, not names: write one from 1 to 65535
        --to: `` is no port number
          help: records have numbers, not names: write one from 1 to 65535
        --to: port `0` is out of range
          help: ports are 1 to 65535
        --to: port `70000` is out of range
          help: ports are 1 to 65535
        --to: `HTTP` is no protocol
          help: use TCP, UDP, SCTP or ICMP
        --to: `fd00::2::80` is no address or CIDR
          help: write `ns/pod`, `ns/prefix*`, a namespace, a node, an address, a CIDR or `outside`
        --direction: `in` is no direction
          help: use ingress or egress
        --protocol: `http` is no protocol
          help: use TCP, UDP, SCTP or ICMP
        --port: `http` is no port number
          help: records have numbers, not names: write one from 1 to 65535
        --port: port `99999999999999999999` is out of range
          help: ports are 1 to 65535
        --since: `yesterday` is no time
          help: write how long ago, such as `30s`, `5m`, `1h30m` or `2d`, or a time such as `2026-01-31T12:00:00Z`
        --since: `5` is no time
          help: write how long ago, such as `30s`, `5m`, `1h30m` or `2d`, or a time such as `2026-01-31T12:00:00Z`
        --since: `m` is no time
          help: write how long ago, such as `30s`, `5m`, `1h30m` or `2d`, or a time such as `2026-01-31T12:00:00Z`
        --since: `999999999999999999d` is no time
          help: write how long ago, such as `30s`, `5m`, `1h30m` or `2d`, or a time such as `2026-01-31T12:00:00Z`
        --policy: `` names no policy
          help: write `ns/name`, or `name` of a cluster policy
        --policy: `a b c` names no policy
          help: write `ns/name`, or `name` of a cluster policy
        --port: says 81, and --to says 80
          help: give it once
        --protocol: says UDP, and --to says TCP
          help: give it once
        --port: ICMP has no ports
          help: leave the port out
    "#]].assert_eq(&out);
}

fn some_filter() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let one: Vec<(&str, &str)> = vec![
        ("verdict", "allowed"),
        ("verdict", "denied"),
        ("verdict", "would-deny"),
        ("from", "a"),
        ("from", "a/b"),
        ("from", "a/*"),
        ("from", "n1"),
        ("from", "outside"),
        ("from", "10.0.0.0/30"),
        ("to", "b"),
        ("to", "b:80"),
        ("to", "fd00::/16"),
        ("direction", "ingress"),
        ("protocol", "udp"),
        ("protocol", "icmp"),
        ("port", "80"),
        ("since", "30m"),
        ("policy", "a/b"),
        ("policy", "cnp a"),
    ];
    proptest::collection::vec(proptest::sample::select(one), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What is read through a filter is what it takes of what is read without one; more flags take no more.
    #[test]
    fn filters_agree_with_themselves(
        records in proptest::collection::vec(records(), 1..12),
        chosen in some_filter(),
    ) {
        let filters: Vec<Filter> =
            chosen.iter().map(|(name, text)| filter(flags(name, text))).collect();
        let mut all = Flags::default();
        for (name, text) in &chosen {
            let slot = match *name {
                "verdict" => &mut all.verdict,
                "from" => &mut all.from,
                "to" => &mut all.to,
                "direction" => &mut all.direction,
                "protocol" => &mut all.protocol,
                "port" => &mut all.port,
                "since" => &mut all.since,
                _ => &mut all.policy,
            };
            // Of a flag that is given twice the first counts, here as there.
            slot.get_or_insert(text);
        }
        let text = crate::json::written(&records);
        let names: Vec<&str> = chosen.iter().map(|(name, _)| *name).collect();
        let first = |at: usize| names.iter().position(|name| *name == names[at]) == Some(at);
        let expected: Vec<&Record> = records
            .iter()
            .filter(|record| {
                filters.iter().enumerate().all(|(at, filter)| !first(at) || filter.matches(record))
            })
            .collect();
        // Contradictions are refused.
        if let Ok(all) = Filter::parse(&all, now()) {
            let read: Vec<Record> =
                Reader::new(text.as_bytes(), all.clone()).map(Result::unwrap).collect();
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), expected);
            for record in &records {
                prop_assert_eq!(all.matches(record), read.contains(record));
            }
        }
    }
}
