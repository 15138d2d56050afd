use crate::support::{json_of, load_text, show};
use expect_test::{Expect, expect};
use moat_model::Pos;

#[expect(clippy::needless_pass_by_value, reason = "reads better at the calls")]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&show(&load_text(text)));
}

#[test]
fn documents() {
    assert_eq!(
        json_of("{\"a\": [1, -2, 1.5, 1e3, true, false, null, {}, []], \"b\": \"x\"}"),
        r#"{"a": [1, -2, float(1.5), 1000, true, false, null, {}, []], "b": "x"}"#
    );
    assert_eq!(
        json_of("\u{feff} \n[9223372036854775808, 18446744073709551616, 0]"),
        "[float(9223372036854775808), float(18446744073709551616), 0]"
    );
    assert_eq!(json_of("{\"a\":1}\n{\"a\":2} [3]\n\n"), r#"{"a": 1} | {"a": 2} | [3]"#);
    assert_eq!(json_of("---\n{\"a\":\"---\"}\n---\nb: 1\n"), r#"{"a": "---"} | {"b": 1}"#);
}

#[test]
fn strings() {
    assert_eq!(
        json_of(r#"["\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00é"]"#),
        "[\"\\\"\\\\/\\u{8}\\u{c}\\n\\r\\tAé😀é\"]"
    );
    // Halves of surrogate pairs, as in Go.
    assert_eq!(
        json_of(r#"["\ud83d", "\ude00x", "\ud83dA", "\ud83d\ud83d\ude00"]"#),
        "[\"\u{fffd}\", \"\u{fffd}x\", \"\u{fffd}A\", \"\u{fffd}😀\"]"
    );
}

#[test]
fn yaml_in_flow_style_is_read_too() {
    assert_eq!(json_of("{a: 1, 'b': [x, z],}"), r#"{"a": 1, "b": ["x", "z"]}"#);
    assert_eq!(json_of("[a]: 1".replace("[a]: 1", "{\"a\": 1 # x\n}").as_str()), r#"{"a": 1}"#);
    assert_eq!(json_of("{\"a\": 010, \"b\": yes}"), r#"{"a": 8, "b": true}"#);
}

#[test]
fn faults_have_places_and_paths() {
    check(
        "{\n  \"a\": [1, {\"b\": 2 \"c\": 3}]\n}\n",
        expect![[r#"
        error[MOAT002] x.yaml:2:20 a[1]: invalid JSON: expected `,` or `}`, found `"`
          help: add the missing comma or brace
    "#]],
    );
    check(
        "{\"a\": ",
        expect![[r#"
        error[MOAT002] x.yaml:1:7 a: invalid JSON: expected a value, found the end of the text
          help: the text is cut off; add what is missing
    "#]],
    );
    check(
        "[\"é\", \"b\nc\"",
        expect![[r#"
        error[MOAT002] x.yaml:1:9 [1]: invalid JSON: expected `"`, found the end of the line
          help: close the string; write a line break in it as `\n`
    "#]],
    );
    check(
        "{\"a\": \"\\q\"}",
        expect![[r"
        error[MOAT002] x.yaml:1:8 a: invalid JSON: a wrong escape
          help: double the backslash
    "]],
    );
    check(
        "{\n\t\"a\": 1\n\t\"b\": 2\n}",
        expect![[r#"
        error[MOAT002] x.yaml:3:2: invalid JSON: expected `,` or `}`, found `"`
          help: add the missing comma or brace
    "#]],
    );
}

#[test]
fn one_bad_line_hides_no_other() {
    check(
        "{\"a\": 1}\n{\"b\": }\n{\"c\": 3}\n",
        expect![[r#"
        x.yaml#0: {"a": 1}
        x.yaml#2: {"c": 3}
        error[MOAT002] x.yaml:2:7 b: invalid JSON: expected a value, found `}`
          help: put text in double quotes
    "#]],
    );
    check(
        "{\"a\": 1} x",
        expect![[r#"
        x.yaml#0: {"a": 1}
        error[MOAT002] x.yaml:1:10: invalid JSON: expected the end, `{` or `[`, found `x`
          help: put one object or list in a document
    "#]],
    );
    assert!(load_text(&"{\n".repeat(100_000)).diagnostics.len() <= 100);
}

#[test]
fn repeated_keys() {
    check(
        "{\"a\": 1,\n \"b\": {\"x\": 1, \"x\": 2}}",
        expect![[r#"
        x.yaml#0: {"a": 1, "b": {"x": 2}}
        warning[MOAT003] x.yaml:2:16 b.x: key `x` is already on line 2; the last one wins
          help: keep one of them; to give several values, use a list or mapping under one key
    "#]],
    );
}

#[test]
fn places() {
    let loaded = load_text("\n {\"é\": \"ü\",\r\n\"b\": [1,\n 2]}");
    let root = &loaded.documents[0].value;
    let at = |line, column| Pos { line, column };
    assert_eq!(
        (root.pos, root.entries()[0].key_pos, root.entries()[0].value.pos),
        (at(2, 2), at(2, 3), at(2, 8))
    );
    let list = root.get("b").unwrap();
    assert_eq!(
        (list.pos, list.items()[0].pos, list.items()[1].pos),
        (at(3, 6), at(3, 7), at(4, 2))
    );
}
