//! Laws of the transcoder, for every message of its table.

use super::table::{Label, Message, Special, Type};
use super::*;
use serde_json::{Map, Value, json};

/// Bodies that upstream publishes, where they are at hand: `MOAT_KUBERNETES_TESTDATA=kubernetes/staging/src/k8s.io/api/testdata/HEAD`.
#[test]
fn upstreams_bodies_are_read_and_written_to_the_byte() {
    let Ok(directory) = std::env::var("MOAT_KUBERNETES_TESTDATA") else {
        eprintln!("NOT EXERCISED: MOAT_KUBERNETES_TESTDATA names no bodies of upstream's");
        return;
    };
    let (mut seen, mut bad) = (0, 0);
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "pb") {
            continue;
        }
        let body = std::fs::read(&path).unwrap();
        let json: Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        let text = |key: &str| json[key].as_str().unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        if !has_message(version, kind) {
            eprintln!("no message: {version} {kind}");
            continue;
        }
        seen += 1;
        match open(&body, version, kind) {
            Ok(own) if own == json => {}
            other => {
                bad += 1;
                eprintln!("{}: decoded differs:\n{}\n{json}", path.display(), other.unwrap());
            }
        }
        match seal(version, kind, json.as_object().unwrap()) {
            Ok(own) if own == body => {}
            other => {
                bad += 1;
                eprintln!("{}: encoded differs: {:?}", path.display(), other.map(|own| own.len()));
            }
        }
    }
    assert!(bad == 0 && 50 < seen, "{bad} of {seen} are wrong");
}

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound.max(1) as u64).unwrap()
    }

    /// A value of a type that is not its zero.
    fn value(&mut self, kind: Type, depth: usize) -> Value {
        let texts = ["a", "ü→", "x y", "\"\\\n", "0"];
        match kind {
            Type::Text => texts[self.below(texts.len())].into(),
            Type::Bytes => ["AA==", "/+8=", "aGVsbG8="][self.below(3)].into(),
            Type::Bool => true.into(),
            Type::Int32 => [1, -1, i32::MAX, i32::MIN, 300][self.below(5)].into(),
            Type::Int64 => [1, -1, i64::MAX, i64::MIN, 1 << 40][self.below(5)].into(),
            Type::Double => [0.5, -1e300, 3.0][self.below(3)].into(),
            Type::Message(at) => Value::Object(self.message(table::message(at).unwrap(), depth)),
            Type::Special(kind) => match kind {
                Special::IntOrString => {
                    [json!(80), json!("http"), json!(-1)][self.below(3)].clone()
                }
                Special::Quantity => ["100m", "1Gi", "-3"][self.below(3)].into(),
                Special::Time => {
                    ["2026-01-31T12:00:00Z", "1969-12-31T23:59:59Z"][self.below(2)].into()
                }
                Special::MicroTime => {
                    ["2026-01-31T12:00:00.123456Z", "1960-01-01T00:00:00.999999Z"][self.below(2)]
                        .into()
                }
                Special::Duration => ["1h0m3.5s", "250ms"][self.below(2)].into(),
                Special::Raw => {
                    [json!({"f:a": {".": {}}}), json!([1, "x"]), json!("t")][self.below(3)].clone()
                }
                Special::Strings => json!(["get", "list"]),
                Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStrings => {
                    let one = || json!({ "type": "string" });
                    match (self.below(2), kind) {
                        (0, Special::SchemaOrBool) => true.into(),
                        (0, Special::SchemaOrArray) => json!([one(), one()]),
                        (0, Special::SchemaOrStrings) => json!(["a", "b"]),
                        _ => one(),
                    }
                }
            },
        }
    }

    fn message(&mut self, message: &Message, depth: usize) -> Map<String, Value> {
        let mut map = Map::new();
        for field in &message.fields {
            // Below that, messages grow without end.
            let deep = 2 < depth && matches!(field.kind, Type::Message(_));
            if deep || self.below(3) == 0 {
                continue;
            }
            let value = self.value(field.kind, depth + 1);
            let value = match field.label {
                Label::List => {
                    (0..=self.below(2)).map(|_| self.value(field.kind, depth + 1)).collect()
                }
                Label::Map => json!({ "k": value, "": self.value(field.kind, depth + 1) }),
                Label::Value | Label::Pointer => value,
            };
            match value {
                Value::Object(own) if field.inline => map.extend(own),
                value => {
                    map.insert(field.json.to_owned(), value);
                }
            }
        }
        map
    }
}

/// Whether one value has all of another, and besides it nothing but zeros.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            whole.iter().all(|(key, value)| match part.get(key) {
                Some(part) => holds(value, part),
                None => is_zero(value),
            }) && part.keys().all(|key| whole.contains_key(key))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
        }
        _ => whole == part,
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().all(is_zero),
        Value::String(text) => matches!(text.as_str(), "" | "0" | "0s"),
        other => special::is_empty(other),
    }
}

#[test]
fn every_message_comes_back_as_it_was_written() {
    let mut dice = Dice(1);
    for message in table::all() {
        for _ in 0..4 {
            let map = dice.message(message, 0);
            let mut bytes = Vec::new();
            encode::encode(message, &map, &mut bytes, 0).unwrap();
            let back = decode::decode(message, &bytes, 0).unwrap();
            let (whole, part) = (Value::Object(back.clone()), Value::Object(map));
            assert!(holds(&whole, &part), "{}:\n{part}\n{whole}", message.name);
            let mut again = Vec::new();
            encode::encode(message, &back, &mut again, 0).unwrap();
            assert!(again == bytes, "{}: {whole}", message.name);
        }
    }
}

/// Whatever is read can be written, and is read again as the same.
fn read_any(bytes: &[u8], version: &str, kind: &str) {
    let Ok(value) = open(bytes, version, kind) else { return };
    let (version, kind) = (value["apiVersion"].as_str().unwrap(), value["kind"].as_str().unwrap());
    let sealed = seal(version, kind, value.as_object().unwrap())
        .unwrap_or_else(|why| panic!("{why}: {value}\n{bytes:?}"));
    assert_eq!(open(&sealed, version, kind), Ok(value));
}

#[test]
fn no_bytes_are_too_strange() {
    let mut dice = Dice(2);
    for message in table::all() {
        let (version, kind) = message.name.rsplit_once('.').unwrap();
        let own = |name: &str| message.fields.iter().any(|field| field.json == name);
        // A message with such fields is never a body of its own.
        if own("apiVersion") || own("kind") {
            continue;
        }
        let map = dice.message(message, 1);
        let sealed = seal(version, kind, &map).unwrap();
        for _ in 0..24 {
            let mut bytes = sealed.clone();
            match dice.below(4) {
                0 => bytes.truncate(dice.below(bytes.len())),
                1 => {
                    let (at, letter) = (dice.below(bytes.len()), dice.below(256));
                    bytes[at] = u8::try_from(letter).unwrap();
                }
                2 => {
                    for _ in 0..4 {
                        let at = dice.below(bytes.len());
                        bytes[at] ^= 1 << dice.below(8);
                    }
                }
                _ => {
                    let from = dice.below(bytes.len());
                    let piece = bytes[from..(from + dice.below(32)).min(bytes.len())].to_vec();
                    let at = dice.below(bytes.len());
                    bytes.splice(at..at, piece);
                }
            }
            read_any(&bytes, version, kind);
        }
        let noise: Vec<u8> =
            b"k8s\0".iter().copied().chain((0..64).map(|_| dice.roll().to_le_bytes()[0])).collect();
        read_any(&noise, version, kind);
    }
}

#[test]
fn a_message_cannot_nest_without_end() {
    let message = table::find("apiextensions.k8s.io/v1", "JSONSchemaProps").unwrap();
    let not = message.fields.iter().find(|field| field.json == "not").unwrap().number;
    let mut bytes = Vec::new();
    for _ in 0..2_000 {
        let inner = std::mem::take(&mut bytes);
        encode::bytes(not, &inner, &mut bytes);
    }
    assert_eq!(
        decode::decode(message, &bytes, 0),
        Err("a message of more than 100 levels".to_owned())
    );
    // The same with bodies in raw values.
    let mut body = b"k8s\0".to_vec();
    for _ in 0..2_000 {
        let mut raw = Vec::new();
        encode::bytes(2, &body, &mut raw);
        let mut next = b"k8s\0".to_vec();
        encode::bytes(1, b"\x0a\x07apps/v1\x12\x12ControllerRevision", &mut next);
        encode::bytes(2, &raw, &mut next);
        body = next;
    }
    assert!(open(&body, "apps/v1", "ControllerRevision").is_err());
}

#[test]
fn bodies_that_are_no_messages_are_told_so_in_upstreams_words() {
    let words = |body: &[u8]| open(body, "v1", "Namespace").unwrap_err();
    assert_eq!(words(b""), "empty data");
    assert_eq!(
        words(b"{}"),
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    );
    assert_eq!(words(b"k8s\0"), "empty body");
    assert_eq!(words(b"k8s\0\x12\x05ab"), "unexpected EOF");
    assert_eq!(
        words(b"k8s\0\x0a\x05\x12\x03Foo"),
        "no kind \"Foo\" is registered for version \"v1\" in protobuf"
    );
}

#[test]
fn fields_of_later_versions_are_dropped() {
    let mut body = seal("v1", "Namespace", &Map::new()).unwrap();
    let known = open(&body, "v1", "Namespace").unwrap();
    // Field 99 of the envelope, as a number, bytes, eight and four bytes, and a group.
    body.extend([
        0x98, 0x06, 7, 0x9a, 0x06, 1, 9, 0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0x9d, 0x06, 1, 2, 3, 4,
    ]);
    body.extend([0x9b, 0x06, 0x08, 1, 0x9c, 0x06]);
    assert_eq!(open(&body, "v1", "Namespace"), Ok(known));
}
