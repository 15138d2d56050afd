use crate::rows::records;
use crate::world::{DB, DENY, record, world};
use expect_test::expect;
use moat_flow::{Filter, Icmp, Reader, Record, Trouble, Writer};
use moat_ir::Direction::Ingress;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn written(records: &[Record]) -> String {
    let mut writer = Writer::new(Vec::new());
    for record in records {
        writer.write(record).unwrap();
    }
    String::from_utf8(writer.into_inner()).unwrap()
}

fn read(text: impl AsRef<[u8]>) -> Vec<Result<Record, Trouble>> {
    Reader::new(text.as_ref(), Filter::default()).collect()
}

fn told(text: impl AsRef<[u8]>) -> String {
    let mut out = String::new();
    for result in read(text) {
        match result {
            Ok(record) => writeln!(out, "{}", record.time).unwrap(),
            Err(trouble) => {
                writeln!(out, "{trouble}").unwrap();
                if let Some(help) = trouble.help() {
                    writeln!(out, "  help: {help}").unwrap();
                }
            }
        }
    }
    out
}

fn one() -> Record {
    record(&world(&[("db.yaml", DB)]), Ingress, "10.0.0.1", "10.0.0.2", 5432)
}

fn value() -> Value {
    serde_json::from_str(&written(&[one()])).unwrap()
}

#[test]
fn this_is_the_form() {
    let bound = world(&[("db.yaml", DB), ("deny.yaml", DENY)]);
    let mut ping = record(&bound, Ingress, "203.0.113.9", "10.0.0.2", 80);
    ping.protocol_number = 1;
    ping.icmp = Some(Icmp { kind: 8, code: 0, id: Some(77) });
    (ping.source.port, ping.destination.port, ping.tcp_flags) = (None, None, None);
    expect![[r#"
        {"schema":"moat.dev/flow/v1","time":"2026-01-31T12:00:00.123456Z","node":"n1","direction":"ingress","verdict":"allowed","from":"shop/web","to":"shop/db","port":5432,"protocol":"TCP","source":{"kind":"pod","name":"shop/web","address":"10.0.0.1","port":43210},"destination":{"kind":"pod","name":"shop/db","address":"10.0.0.2","port":5432},"tcpFlags":"SYN","length":60,"rules":[{"policy":"netpol shop/db","rule":"ingress[0]","peer":"from[1]","place":"db.yaml:7"}],"epoch":1}
        {"schema":"moat.dev/flow/v1","time":"2026-01-31T12:00:00.123456Z","node":"n1","direction":"ingress","verdict":"denied","from":"203.0.113.9","to":"shop/db","protocol":"ICMP","source":{"kind":"outside","name":"outside","address":"203.0.113.9"},"destination":{"kind":"pod","name":"shop/db","address":"10.0.0.2"},"icmp":{"type":8,"code":0,"id":77},"length":60,"isolatedBy":[{"policy":"netpol shop/db","place":"db.yaml:1"},{"policy":"netpol shop/default-deny","place":"deny.yaml:1"}],"epoch":1}
    "#]]
    .assert_eq(&written(&[one(), ping]));
}

#[test]
fn unknown_fields_null_and_blank_lines_do_no_harm() {
    let mut value = value();
    value["later"] = json!({"deep": [1]});
    value["source"]["zone"] = json!("a");
    value["icmp"] = Value::Null;
    value["from"] = json!(17);
    let text = format!("\n{value}\r\n  \n{value}");
    let records: Vec<Record> = read(text).into_iter().map(Result::unwrap).collect();
    assert_eq!(records, [one(), one()]);
}

#[test]
fn a_torn_last_line_is_told_and_no_more() {
    let whole = written(&[one()]);
    for cut in 1..whole.len() - 1 {
        let text = format!("{whole}{}", &whole[..cut]);
        let results = read(&text);
        let [Ok(_), Err(Trouble::Torn { line: 2 })] = results.as_slice() else {
            panic!("cut at {cut}: {results:?}")
        };
    }
    // In the middle of a character, too; a whole line without its end is whole.
    let mut named = one();
    named.node = "é".into();
    let text = written(&[named]);
    let at = text.find('é').unwrap() + 1;
    assert!(matches!(read(&text.as_bytes()[..at]).as_slice(), [Err(Trouble::Torn { line: 1 })]));
    assert_eq!(read(text.trim_end()).len(), 1);
    assert!(read(text.trim_end())[0].is_ok());
    // Elsewhere a torn line is just no record.
    let text = format!("{}\n{whole}", &whole[..50]);
    expect![[r#"
        line 1: not valid JSON: it ends too early
          help: each line is one record as `moat flows -o jsonl` writes it
        2026-01-31T12:00:00.123456Z
    "#]]
    .assert_eq(&told(text));
}

#[test]
fn what_is_no_record_is_told_by_line_and_field() {
    let mut text = String::new();
    let mut line = |edit: &dyn Fn(&mut Value)| {
        let mut value = value();
        edit(&mut value);
        writeln!(text, "{value}").unwrap();
    };
    line(&|value| value["schema"] = json!("moat.dev/flow/v2"));
    line(&|value| value["time"] = json!("yesterday"));
    line(&|value| value["time"] = json!(1_769_860_800));
    line(&|value| drop(value.as_object_mut().unwrap().remove("verdict")));
    line(&|value| {
        let verdict = value.as_object_mut().unwrap().remove("verdict").unwrap();
        value["Verdict"] = verdict;
    });
    line(&|value| value["source"]["address"] = json!("10.0.0.256"));
    line(&|value| drop(value["destination"].as_object_mut().unwrap().remove("name")));
    line(&|value| value["destination"] = json!("shop/db"));
    line(&|value| value["rules"][0]["policy"] = json!(true));
    line(&|value| value["rules"] = json!(["shop/db"]));
    line(&|value| value["rules"] = json!([]));
    line(&|value| value["default"] = json!(true));
    line(&|value| value["staged"] = json!("no"));
    line(&|value| value["length"] = json!(-1));
    line(&|value| value["protocolNumber"] = json!(17));
    line(&|value| value["icmp"] = json!({"type": 300, "code": 0}));
    line(&|value| value["tcpFlags"] = json!("\u{1b}[31m"));
    text.push_str("[]\n17\nhello\n{\"node\":\"a\",\"node\":\"b\"}\n");
    let mut text = text.into_bytes();
    text.extend_from_slice(b"\"\xff\"\n");
    text.extend(std::iter::repeat_n(b' ', (1 << 20) + 5));
    text.push(b'\n');
    text.extend_from_slice(written(&[one()]).as_bytes());
    expect![[r#"
        line 1: `schema` is `moat.dev/flow/v2` and must be `moat.dev/flow/v1`
          help: records of another version are read by the `moat` that wrote them
        line 2: `time` is `yesterday` and must be a time after 1970 as RFC 3339 writes it, such as 2026-01-31T12:34:56Z
        line 3: `time` is 1769860800 and must be a time after 1970 as RFC 3339 writes it, such as 2026-01-31T12:34:56Z
        line 4: `verdict` is missing
        line 5: `verdict` is missing
          help: is `Verdict` meant to be `verdict`?
        line 6: `source.address` is `10.0.0.256` and must be an IPv4 or IPv6 address
        line 7: `destination.name` is missing
        line 8: `destination` is `shop/db` and must be an object
        line 9: `rules[0].policy` is true or false and must be a string
        line 10: `rules[0]` is `shop/db` and must be an object
        line 11: `rules` is missing, and no other field says why
          help: give one of `rules`, `isolatedBy`, `default`, `unprogrammed`, `unknownReason`, `unknownPrefix`
        line 12: `rules` is not the only field that says why
          help: give one of `rules`, `isolatedBy`, `default`, `unprogrammed`, `unknownReason`, `unknownPrefix`
        line 13: `staged` is `no` and must be true or false
        line 14: `length` is -1 and must be a whole number from 0 to 4294967295
        line 15: `protocolNumber` is 17, which is not TCP
        line 16: `icmp.type` is 300 and must be a whole number from 0 to 255
        line 17: `tcpFlags` is `\u{1b}[31m` and must be flags such as `SYN,ACK`
        line 18: not a JSON object
          help: each line is one record as `moat flows -o jsonl` writes it
        line 19: not a JSON object
          help: each line is one record as `moat flows -o jsonl` writes it
        line 20: not valid JSON: column 1
          help: each line is one record as `moat flows -o jsonl` writes it
        line 21: `schema` is missing
        line 22: not UTF-8 text
          help: each line is one record as `moat flows -o jsonl` writes it
        line 23: longer than 1048576 bytes
        2026-01-31T12:00:00.123456Z
    "#]].assert_eq(&told(text));
}

/// Every path to a field of a value, itself excepted.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => return,
    };
    for (key, child) in children {
        let path = format!("{at}/{key}");
        paths(child, &path, found);
        found.push(path);
    }
}

#[test]
fn every_field_of_a_wrong_type_is_named() {
    let (mut found, value) = (Vec::new(), value());
    paths(&value, "", &mut found);
    assert!(found.len() > 20);
    for path in found {
        let mut bad = value.clone();
        *bad.pointer_mut(&path).unwrap() = json!(1.5);
        let name = path[1..].replace("/0", "[0]").replace('/', ".");
        let results = read(format!("{bad}\n"));
        // These three are for other readers.
        if ["from", "to", "port"].contains(&name.as_str()) {
            assert!(matches!(results.as_slice(), [Ok(_)]), "{name}");
            continue;
        }
        let [Err(Trouble::Line { line: 1, field: Some(field), .. })] = results.as_slice() else {
            panic!("{name}: {results:?}")
        };
        assert_eq!(*field, name);
    }
}

#[test]
fn an_input_that_fails_ends_the_reading() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    let reader = Reader::new(std::io::BufReader::new(Broken), Filter::default());
    let results: Vec<_> = reader.collect();
    assert!(matches!(results.as_slice(), [Err(Trouble::Io(_))]), "{results:?}");
}

proptest! {
    #[test]
    fn reading_undoes_writing(records in proptest::collection::vec(records(), 0..5)) {
        let text = written(&records);
        prop_assert_eq!(text.lines().count(), records.len());
        let back: Vec<Record> = read(&text).into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(back, records);
    }

    #[test]
    fn damage_is_told_and_what_follows_is_read(record in records(), at: proptest::sample::Index, byte: u8) {
        let mut text = written(std::slice::from_ref(&record)).into_bytes();
        let end = text.len() - 1;
        if byte != b'\n' {
            text[at.index(end)] = byte;
        }
        text.extend_from_slice(written(std::slice::from_ref(&record)).as_bytes());
        let results = read(&text);
        prop_assert_eq!(results.len(), 2);
        prop_assert_eq!(results.last().unwrap().as_ref().unwrap(), &record);
    }
}
