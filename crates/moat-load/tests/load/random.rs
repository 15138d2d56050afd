use crate::support::{load_text, show};
use moat_load::{Loaded, excerpt};
use moat_model::{Data, Value};
use proptest::prelude::*;

const MANIFEST: &str = include_str!("../manifest.yaml");

const INDICATORS: &[u8] = b"\t -:{}[]#&*!|>'\"%@`\n,?~";

/// What holds of every result: places are in the text, paths and messages are there, nothing is too deep.
fn check(loaded: &Loaded) {
    for finding in &loaded.diagnostics {
        assert!(!finding.message.is_empty() && !finding.message.ends_with('.'));
        assert!(finding.help.is_some(), "{finding:?}");
    }
    for document in &loaded.documents {
        assert!(!document.value.is_null());
        let source = &loaded.sources[document.source.0 as usize];
        assert!(excerpt(source, document.value.pos).is_some(), "{:?}", document.value.pos);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_loads(text in any::<String>()) {
        check(&load_text(&text));
    }

    #[test]
    fn any_text_of_indicators_loads(text in "[-?:,\\[\\]{}#&*!|>'\"%@` \n\t\ra1~<.\\\\é]{0,80}") {
        check(&load_text(&text));
    }

    #[test]
    fn any_mutation_of_a_manifest_loads(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..6)) {
        let mut bytes = MANIFEST.as_bytes().to_vec();
        for (at, what, byte) in edits {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                _ => bytes[at] = INDICATORS[usize::from(byte) % INDICATORS.len()],
            }
        }
        check(&load_text(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn yaml_round_trips(value in value()) {
        for flow in [false, true] {
            let mut text = String::new();
            emit(&value, 0, flow, &mut text);
            let loaded = load_text(&text);
            prop_assert!(loaded.diagnostics.is_empty(), "{text}\n{}", show(&loaded));
            prop_assert_eq!(loaded.documents.len(), 1);
            prop_assert!(same(&loaded.documents[0].value, &value), "{}\n{}", text, show(&loaded));
        }
    }
}

/// A mapping of anything, with distinct keys.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[a-z.:/0-9-]{0,12}",
        Just("yes".to_owned()),
        Just("0x1F".to_owned())
    ]
    .prop_map(|text| text.replace('\0', "0"));
    let of = |data: Data| Value { data, ..Value::NULL };
    let leaf = prop_oneof![
        Just(Data::Null),
        any::<bool>().prop_map(Data::Bool),
        any::<i64>().prop_map(Data::Int),
        (any::<i32>(), 1..1000u16)
            .prop_map(|(whole, part)| Data::Float(format!("{whole}.{part}5").into())),
        text.clone().prop_map(|text| Data::String(text.into())),
    ]
    .prop_map(of);
    let tree = leaf.prop_recursive(5, 60, 6, move |inner| {
        let list = prop::collection::vec(inner.clone(), 0..5).prop_map(Data::List);
        let map = prop::collection::btree_map(text.clone(), inner, 0..5).prop_map(map);
        prop_oneof![list, map].prop_map(of)
    });
    prop::collection::btree_map("[a-z]{1,8}", tree, 1..5).prop_map(move |entries| of(map(entries)))
}

fn map(entries: std::collections::BTreeMap<String, Value>) -> Data {
    let entry = |(key, value): (String, Value)| moat_model::Entry {
        key: key.into(),
        key_pos: Value::NULL.pos,
        value,
    };
    Data::Map(entries.into_iter().map(entry).collect())
}

/// Writes YAML: block style with quoted text, or flow style.
fn emit(value: &Value, indent: usize, flow: bool, out: &mut String) {
    let pad = " ".repeat(indent);
    match &value.data {
        Data::Null => out.push('~'),
        Data::Bool(flag) => out.push_str(&flag.to_string()),
        Data::Int(number) => out.push_str(&number.to_string()),
        Data::Float(number) => out.push_str(number),
        Data::String(text) => quote(text, out),
        Data::List(items) if flow || items.is_empty() => {
            out.push('[');
            for item in items {
                emit(item, indent, true, out);
                out.push_str(", ");
            }
            out.push(']');
        }
        Data::Map(entries) if flow || entries.is_empty() => {
            out.push('{');
            for entry in entries {
                quote(&entry.key, out);
                out.push_str(": ");
                emit(&entry.value, indent, true, out);
                out.push_str(", ");
            }
            out.push('}');
        }
        Data::List(items) => {
            for item in items {
                out.push_str(&format!("\n{pad}- "));
                emit(item, indent + 2, false, out);
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                out.push_str(&format!("\n{pad}"));
                quote(&entry.key, out);
                out.push_str(": ");
                emit(&entry.value, indent + 2, false, out);
            }
        }
    }
}

fn quote(text: &str, out: &mut String) {
    let is_simple = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_simple
        && !matches!(text, "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null")
    {
        return out.push_str(text);
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || c == '\u{feff}' || c == '\u{2028}' || c == '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn same(a: &Value, b: &Value) -> bool {
    match (&a.data, &b.data) {
        (Data::List(a), Data::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Data::Map(a), Data::Map(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| a.key == b.key && same(&a.value, &b.value))
        }
        (a, b) => a == b,
    }
}
