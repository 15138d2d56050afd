//! Whatever clients send, the decoders answer: no panic, no memory beyond what was sent.

use crate::kinds::built_in;
use crate::patch::{Patch, PatchKind};
use crate::query::Query;
use crate::schema::Schema;
use crate::selector::Selector;
use crate::{json, route, yaml};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any value of few levels, with the keys that decoders look for.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        prop::sample::select(vec![
            "",
            "a",
            "name",
            "replace",
            "delete",
            "merge",
            "retainKeys",
            "$patch",
            "/spec/containers/0",
            "/-",
            "~2",
            "\u{0}",
            "ä"
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "op",
        "path",
        "value",
        "from",
        "metadata",
        "name",
        "labels",
        "spec",
        "containers",
        "env",
        "ports",
        "containerPort",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$deleteFromPrimitiveList/finalizers",
        "finalizers",
        "ownerReferences",
        "uid",
        "",
    ]);
    leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..5).prop_map(|pairs| {
                pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }),
        ]
    })
}

/// Text out of the marks that parsers trip over.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a",
        "b",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "'",
        "\n",
        " ",
        "  ",
        "- ",
        "&x ",
        "*x",
        "<<: ",
        "!",
        "!!binary ",
        "|\n",
        ">\n",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "? ",
        "1e999",
        "0x",
        "-",
        ".",
        "null",
        "~",
        "\\u",
        "\\ud800",
        "\t",
        "in (",
        "notin (",
        ")",
        "=",
        "==",
        "!=",
        ">",
        "<",
        "/",
        "api",
        "apis",
        "v1",
        "namespaces",
        "%2e",
        "%",
        "&",
        "\u{feff}",
    ]);
    prop_oneof![
        prop::collection::vec(word, 0..40).prop_map(|words| words.concat()),
        any::<String>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_are_json_or_yaml_or_neither(bytes in prop_oneof![text().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..64)]) {
        if let Ok((value, _)) = json::parse(&bytes) {
            // What was read is written and read as the same.
            let (again, _) = json::parse(value.to_string().as_bytes()).unwrap();
            prop_assert_eq!(&again, &value);
        }
        if let Ok((value, _)) = yaml::parse(&bytes) {
            prop_assert!(value.to_string().len() <= 64 * (bytes.len() + 64), "{} from {}", value.to_string().len(), bytes.len());
        }
    }

    #[test]
    fn patches_make_objects_or_errors(kind in 0..3_u8, patch in value(), object in value()) {
        let kind = [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic][usize::from(kind)];
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": object});
        if let Ok(read) = Patch::new(kind, patch.clone()) {
            for schema in [Schema::of_kind("", "v1", "Pod"), Schema::of_kind("none", "v1", "None")] {
                if let Ok(made) = read.apply(schema, &object) {
                    let bound = 64 * (patch.to_string().len() + object.to_string().len() + 64);
                    prop_assert!(made.to_string().len() <= bound);
                }
            }
        }
    }

    #[test]
    fn selectors_queries_and_paths_are_read_or_refused(labels in text(), fields in text(), object in value()) {
        let _ = route::route(&labels);
        let query = Query::parse(&fields);
        let (_, _, _) = (query.get("watch"), query.switch("watch").is_ok(), query.number("limit").is_ok());
        for kind in built_in().iter().take(3) {
            if let Ok(selector) = Selector::parse(kind, &labels, &fields) {
                let _ = selector.matches(&json!({"metadata": {"labels": object}}));
            }
        }
    }
}
