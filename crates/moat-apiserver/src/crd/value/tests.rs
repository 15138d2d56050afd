//! The sentences of each rule, and a naive reading of schemas beside the real one.

use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;

fn told(schema: &Value, value: &Value) -> Vec<String> {
    let mut causes = Vec::new();
    check(schema, value, "", &mut causes);
    causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

fn say(schema: Value, value: Value, want: Expect) {
    want.assert_eq(&told(&json!({"properties": {"x": schema}}), &json!({"x": value})).join("\n"));
}

#[test]
fn each_rule_has_upstreams_sentence() {
    say(
        json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}),
        json!(1),
        expect![["x: Invalid value: 1: x in body should be greater than 1"]],
    );
    say(
        json!({"type": "number", "maximum": 1.5}),
        json!(2),
        expect![["x: Invalid value: 2: x in body should be less than or equal to 1.5"]],
    );
    say(
        json!({"type": "number", "multipleOf": 0.5}),
        json!(0.7),
        expect![["x: Invalid value: 0.7: x in body should be a multiple of 0.5"]],
    );
    say(
        json!({"type": "string", "minLength": 2}),
        json!("é"),
        expect![[r#"x: Invalid value: "é": x in body should be at least 2 chars long"#]],
    );
    say(
        json!({"type": "string", "format": "date-time"}),
        json!("now"),
        expect![[r#"x: Invalid value: "now": x in body must be of type date-time: "now""#]],
    );
    say(
        json!({"type": "array", "minItems": 1}),
        json!([]),
        expect![["x: Invalid value: 0: x in body should have at least 1 items"]],
    );
    say(
        json!({"type": "object", "maxProperties": 1}),
        json!({"a": 1, "b": 2}),
        expect![["x: Too many: 2: must have at most 1 items"]],
    );
    say(
        json!({"type": "array", "x-kubernetes-list-type": "set"}),
        json!(["a", "a"]),
        expect![[r#"x[1]: Duplicate value: "a""#]],
    );
    say(
        json!({"not": {"enum": [1]}}),
        json!(1),
        expect![[r#"<nil>: Invalid value: "": "x" must not validate the schema (not)"#]],
    );
    say(
        json!({"anyOf": [{"minimum": 5}, {"maximum": 1}]}),
        json!(3),
        expect![[r#"
        <nil>: Invalid value: "": "x" must validate at least one schema (anyOf)
        x: Invalid value: 3: x in body should be greater than or equal to 5"#]],
    );
    say(json!({"type": "string", "nullable": true}), Value::Null, expect![[""]]);
    say(json!({"type": "integer"}), json!(2.0), expect![[""]]);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..4i64).prop_map(Value::from),
        Just(json!(0.5)),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!({"type": "string", "maxLength": 1})),
        Just(json!({"type": "string", "pattern": "^a"})),
        Just(json!({"type": "integer", "minimum": 0})),
        Just(json!({"type": "boolean", "nullable": true})),
        Just(json!({"x-kubernetes-int-or-string": true})),
        Just(json!({"enum": ["a", 1, null]})),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let fields = prop::collection::btree_map("[abc]", inner.clone(), 0..3);
        let fields = fields.prop_map(|map| Value::Object(map.into_iter().collect()));
        prop_oneof![
            inner.clone().prop_map(|items| json!({"type": "array", "items": items, "maxItems": 1})),
            inner.clone().prop_map(|any| json!({"type": "object", "additionalProperties": any})),
            fields.clone().prop_map(|fields| json!({"type": "object", "properties": fields})),
            (fields, "[abc]").prop_map(
                |(fields, name)| json!({"type": "object", "properties": fields, "required": [name]})
            ),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"allOf": all})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"anyOf": all})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"oneOf": all})),
            inner.prop_map(|inner| json!({"not": inner})),
        ]
    })
}

/// The rules once more, as a yes or no and without places.
fn is_fine(schema: &Value, value: &Value) -> bool {
    if value.is_null() && schema["nullable"] == true {
        return true;
    }
    let number = value.as_f64();
    let type_fine = match schema["type"].as_str() {
        _ if schema["x-kubernetes-int-or-string"] == true => {
            value.is_string() || number.is_some_and(|n| n.fract() == 0.0)
        }
        Some("string") => value.is_string(),
        Some("integer") => number.is_some_and(|n| n.fract() == 0.0),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    let all = |word: &str| schema[word].as_array().cloned().unwrap_or_default();
    let n_fine = |word: &str| all(word).iter().filter(|one| is_fine(one, value)).count();
    let text_fine = value.as_str().is_none_or(|text| {
        schema["maxLength"].as_u64().is_none_or(|max| text.chars().count() as u64 <= max)
            && (schema["pattern"].is_null() || text.starts_with('a'))
    });
    let fields_fine = value.as_object().is_none_or(|map| {
        all("required").iter().all(|name| map.contains_key(name.as_str().unwrap()))
            && map.iter().all(|(key, inner)| {
                let below =
                    schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
                is_fine(below, inner)
            })
    });
    let items_fine = value.as_array().is_none_or(|items| {
        schema["maxItems"].as_u64().is_none_or(|max| items.len() as u64 <= max)
            && items.iter().all(|item| is_fine(&schema["items"], item))
    });
    type_fine
        && (schema["enum"].is_null() || all("enum").contains(value))
        && number.zip(schema["minimum"].as_f64()).is_none_or(|(n, min)| min <= n)
        && text_fine
        && fields_fine
        && items_fine
        && n_fine("allOf") == all("allOf").len()
        && (all("anyOf").is_empty() || 0 < n_fine("anyOf"))
        && (all("oneOf").is_empty() || 1 == n_fine("oneOf"))
        && (schema["not"].is_null() || !is_fine(&schema["not"], value))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn a_naive_reading_agrees(schema in any_schema(), value in any_value()) {
        prop_assert_eq!(told(&schema, &value).is_empty(), is_fine(&schema, &value), "{} {}", schema, value);
    }

    /// Anything may come as a schema and as an object: nothing falls over, and what was filled stays as it is.
    #[test]
    fn anything_is_walked(schema in any_value(), own in any_schema(), value in any_value()) {
        for schema in [&schema, &own] {
            told(schema, &value);
            let mut causes = Vec::new();
            super::super::structural::check(schema, "s", &mut causes);
            let mut filled = value.clone();
            super::super::fill::fill(schema, &mut filled);
            let once = filled.clone();
            prop_assert!(super::super::fill::fill(schema, &mut filled).is_empty());
            prop_assert_eq!(filled, once);
        }
    }
}

#[test]
fn many_alternatives_of_many_items_end() {
    let all: Vec<Value> = (0..2000).map(|_| json!({"minimum": 1})).collect();
    let schema = json!({"type": "array", "items": {"allOf": all}});
    let items: Value = (0..2000).map(|_| json!(1)).collect();
    assert!(told(&schema, &items)[0].contains("too large to be held against its schema"));
}
