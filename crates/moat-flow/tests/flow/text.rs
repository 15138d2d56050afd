use crate::world::{DB, DENY, epochs, packet, record, world};
use expect_test::expect;
use moat_flow::{Ink, Look, Record, Why, attribute, line};
use moat_ir::Direction::{Egress, Ingress};
use std::fmt::Write as _;

fn some() -> Vec<Record> {
    let open = world(&[]);
    let one = world(&[("db.yaml", DB)]);
    let two = world(&[("db.yaml", DB), ("deny.yaml", DENY)]);
    let allowed = record(&two, Ingress, "10.0.0.1", "10.0.0.2", 5432);
    let staged = Record { staged: true, ..record(&two, Ingress, "10.0.1.3", "10.0.0.1", 80) };
    let mut ping = record(&one, Ingress, "203.0.113.9", "10.0.0.2", 80);
    ping.protocol_number = 1;
    let mut tunnel = record(&open, Egress, "10.0.0.1", "203.0.113.9", 80);
    tunnel.protocol_number = 47;
    let mut fragment = record(&open, Egress, "10.0.0.1", "10.0.0.2", 80);
    (fragment.protocol_number, fragment.destination.port) = (17, None);
    let six = record(&open, Egress, "fd00::1", "2001:db8::1", 443);
    let node = record(&open, Ingress, "192.0.2.1", "10.0.0.2", 8080);
    let Why::Rules(rules) = &allowed.why else { panic!("{allowed:?}") };
    let why = Why::Rules([&rules[..], &rules[..], &rules[..]].concat().into());
    let many = Record { why, ..allowed.clone() };
    let mut hostile = allowed.clone();
    hostile.source.name = moat_flow::Name::Pod("a/\u{1b}[2J\nb".into());
    let of = |prefix: &str| attribute(&epochs(&one), &packet(prefix, "10.0.0.1", "10.0.0.2", 80));
    vec![
        allowed,
        record(&one, Ingress, "10.0.0.1", "10.0.0.2", 80),
        record(&two, Ingress, "10.0.0.1", "10.0.0.2", 80),
        six,
        node,
        ping,
        tunnel,
        fragment,
        staged,
        many,
        of("moat1:ui:"),
        of("moat1:de:00000000000000aa"),
        of("DROP \u{7}"),
        hostile,
    ]
}

fn lines(look: Look<'_>) -> String {
    let mut out = String::new();
    for record in some() {
        writeln!(out, "{}", line(&record, look)).unwrap();
    }
    out
}

#[test]
fn a_line_each() {
    expect![[r#"
        12:00:00.123  ALLOWED  shop/web -> shop/db:5432/TCP           ingress: netpol shop/db ingress[0] from[1] (db.yaml:7)
        12:00:00.123  DENIED   shop/web -> shop/db:80/TCP             ingress: isolated by netpol shop/db (db.yaml:1)
        12:00:00.123  DENIED   shop/web -> shop/db:80/TCP             ingress: isolated by netpol shop/db (db.yaml:1), netpol shop/default-deny (deny.yaml:1)
        12:00:00.123  ALLOWED  shop/web -> [2001:db8::1]:443/TCP      egress: no policy applies
        12:00:00.123  ALLOWED  node n1 -> shop/db:8080/TCP            ingress: no policy applies
        12:00:00.123  DENIED   203.0.113.9 -> shop/db ICMP            ingress: isolated by netpol shop/db (db.yaml:1)
        12:00:00.123  ALLOWED  shop/web -> 203.0.113.9 protocol 47    egress: no policy applies
        12:00:00.123  ALLOWED  shop/web -> shop/db UDP without ports  egress: no policy applies
        12:00:00.123  STAGED   mon/probe -> shop/web:80/TCP           ingress would be denied: isolated by netpol shop/default-deny (deny.yaml:1)
        12:00:00.123  ALLOWED  shop/web -> shop/db:5432/TCP           ingress: netpol shop/db ingress[0] from[1] (db.yaml:7), netpol shop/db ingress[0] from[1] (db.yaml:7) and 1 more
        12:00:00.123  DENIED   shop/web -> shop/db:80/TCP             ingress: the node has not programmed this pod yet
        12:00:00.123  DENIED   shop/web -> shop/db:80/TCP             egress: for a reason that is not known any more (`moat1:de:00000000000000aa`)
        12:00:00.123  UNKNOWN  shop/web -> shop/db:80/TCP             unknown: the log prefix `DROP \u{7}` is not one of Moat's
        12:00:00.123  ALLOWED  a/\u{1b}[2J\nb -> shop/db:5432/TCP     ingress: netpol shop/db ingress[0] from[1] (db.yaml:7)
    "#]].assert_eq(&lines(Look::plain(100)));
}

#[test]
fn wider_terminals_have_wider_columns() {
    let text = lines(Look::plain(160));
    let first: Vec<&str> = text.lines().take(2).collect();
    expect![[r#"
        12:00:00.123  ALLOWED  shop/web -> shop/db:5432/TCP                                  ingress: netpol shop/db ingress[0] from[1] (db.yaml:7)
        12:00:00.123  DENIED   shop/web -> shop/db:80/TCP                                    ingress: isolated by netpol shop/db (db.yaml:1)"#]].assert_eq(&first.join("\n"));
}

#[test]
fn colours_are_only_around_words() {
    let ink = |ink: Ink, text: &str| format!("<{ink:?}>{text}</>");
    let text = lines(Look::new(100, &ink));
    let first: Vec<&str> = text.lines().take(2).collect();
    expect![[r#"
        <Dim>12:00:00.123</>  <Good>ALLOWED</>  shop/web -> shop/db:5432/TCP           ingress: netpol shop/db ingress[0] from[1] <Dim>(db.yaml:7)</>
        <Dim>12:00:00.123</>  <Bad>DENIED </>  shop/web -> shop/db:80/TCP             ingress: isolated by netpol shop/db <Dim>(db.yaml:1)</>"#]].assert_eq(&first.join("\n"));
    let mut plain = text.replace("</>", "");
    for ink in ["Good", "Bad", "Doubt", "Dim", "Bold"] {
        plain = plain.replace(&format!("<{ink}>"), "");
    }
    assert_eq!(plain, lines(Look::plain(100)));
}
