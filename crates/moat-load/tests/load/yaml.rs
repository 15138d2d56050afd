use crate::support::{json_of, load_text, show};
use expect_test::{Expect, expect};
use moat_load::excerpt;
use moat_model::{Data, Pos, Value};

#[expect(clippy::needless_pass_by_value, reason = "reads better at the calls")]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&show(&load_text(text)));
}

#[test]
fn a_manifest() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  labels: {app: \"web\", 'tier': front}\nspec:\n  containers:\n  - name: c\n    ports:\n      - containerPort: 80\n        protocol: TCP\n    args: [-v, '2']\n";
    check(
        text,
        expect![[r#"
        x.yaml#0: {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}}, "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP"}], "args": ["-v", "2"]}]}}
    "#]],
    );
}

#[test]
fn scalars_mean_what_they_mean_to_kubectl() {
    assert_eq!(
        json_of(
            "[yes, 'yes', 0x1F, 0777, 1_000, 1.5, 80.0, ~, 2001-01-01, 10.0.0.0/8, \"1\", 99999999999999999999]"
        ),
        r#"[true, "yes", 31, 511, 1000, float(1.5), 80, null, "2001-01-01", "10.0.0.0/8", "1", float(99999999999999999999)]"#
    );
    assert_eq!(
        json_of("a:\nb: |\n  x\n  y\nc: >-\n  x\n  y\n"),
        r#"{"a": null, "b": "x\ny\n", "c": "x y"}"#
    );
    assert_eq!(
        json_of("[!!str 80, !!int \"80\", !!float 1, !foo 80, ! x, !!binary aGk=, !!bool yes]"),
        r#"["80", 80, 1, "80", "x", "aGk=", true]"#
    );
    check(
        "a: [1, !!int x]",
        expect![[r"
        error[MOAT002] x.yaml:1:8 a[1]: `x` is not a whole number, which its tag `!!int` says
          help: remove the tag, or correct the value
    "]],
    );
}

#[test]
fn keys_become_text() {
    assert_eq!(
        json_of("80: a\ntrue: b\nyes no: c\n1.10: d\n0x10: e\n"),
        r#"{"80": "a", "true": "b", "yes no": "c", "1.1": "d", "16": "e"}"#
    );
    check(
        "a:\n  ~: 1\n",
        expect![[r"
        error[MOAT002] x.yaml:2:3 a: a key must be text, not nothing
          help: give the key a name, or quote it to use it as text
    "]],
    );
    check(
        "? [a]\n: 1\n",
        expect![[r"
        error[MOAT002] x.yaml:1:3: a key must be text, not a list
          help: quote a text that starts with a bracket or a brace
    "]],
    );
}

#[test]
fn repeated_keys_are_reported_and_the_last_wins() {
    check(
        "spec:\n  rules:\n  - a: 1\n    b: 2\n    a: 3\n",
        expect![[r#"
        x.yaml#0: {"spec": {"rules": [{"b": 2, "a": 3}]}}
        warning[MOAT003] x.yaml:5:5 spec.rules[0].a: key `a` is already on line 3; the last one wins
          help: keep one of them; to give several values, use a list or mapping under one key
    "#]],
    );
    // Also in a mapping too long for the comparison of all with all.
    let many = (0..100).fold(String::new(), |text, n| text + &format!("k{n}: 0\n"));
    let loaded = load_text(&format!("{many}k7: 1\n\"k7\": 2\n80: 1\n0x50: 2\n"));
    assert_eq!(loaded.diagnostics.len(), 2);
    assert_eq!(loaded.documents[0].value.entries().len(), 101);
    assert_eq!(loaded.documents[0].value.get("k7").unwrap().as_int(), Some(2));
    assert_eq!(loaded.documents[0].value.get("80").unwrap().as_int(), Some(2));
}

#[test]
fn anchors_aliases_and_merge_keys() {
    assert_eq!(
        json_of("a: &x [1, &y b]\nc: *x\n*y : *y\n"),
        r#"{"a": [1, "b"], "c": [1, "b"], "b": "b"}"#
    );
    let base = "base: &base {a: 1, b: 1}\nmore: &more {b: 2, c: 2}\n";
    // What comes later in the text wins, and of a list of mappings the first.
    assert!(
        json_of(&format!("{base}x: {{<<: *base, a: 9}}")).ends_with(r#""x": {"b": 1, "a": 9}}"#)
    );
    assert!(
        json_of(&format!("{base}x: {{a: 9, <<: *base}}")).ends_with(r#""x": {"a": 1, "b": 1}}"#)
    );
    assert!(
        json_of(&format!("{base}x: {{<<: [*base, *more]}}"))
            .ends_with(r#""x": {"c": 2, "a": 1, "b": 1}}"#)
    );
    assert_eq!(json_of("\"<<\": 1"), r#"{"<<": 1}"#);
    check(
        "a:\n  <<: [1]\n",
        expect![[r"
        error[MOAT002] x.yaml:2:7 a.<<: a merge key `<<` needs a mapping or a list of mappings
          help: give it an alias of a mapping, such as `<<: *defaults`
    "]],
    );
    check(
        "a: &a [*a]",
        expect![[r"
        error[MOAT002] x.yaml:1:8 a[0]: an alias stands inside what it names
          help: a value cannot contain itself; write the inner part out
    "]],
    );
    check(
        "a: &a 1\n---\nb: *a\n",
        expect![[r#"
        x.yaml#0: {"a": 1}
        error[MOAT002] x.yaml:3:4 b: an alias of an anchor that is not defined before it
          help: define `&name` first, or quote text that starts with `*`
    "#]],
    );
}

#[test]
fn one_bad_document_hides_no_other() {
    check(
        "a: 1\n---\nb: {\n---\n# nothing\n---\nc: 'x\n...\n---\nd: 4\n--- e\n",
        expect![[r#"
        x.yaml#0: {"a": 1}
        x.yaml#4: {"d": 4}
        x.yaml#5: "e"
        error[MOAT002] x.yaml:4:1 b: a value is missing here
          help: close what `{` or `[` opens before this, and remove a stray comma
        error[MOAT002] x.yaml:7:4 c: a quote is not closed
          help: close it, and indent the lines on which a quoted text goes on
    "#]],
    );
}

#[test]
fn empty_documents_are_dropped() {
    for text in [
        "",
        "\n",
        "# x\n",
        "---\n",
        "---\n---\n# x\n...\n",
        "null\n",
        "\u{feff}",
        "%YAML 1.1\n---\n",
    ] {
        assert_eq!(show(&load_text(text)), "", "{text:?}");
    }
}

#[test]
fn line_ends_and_marks() {
    assert_eq!(
        json_of("\u{feff}a: 1\r\nb:\r\n  - 2\r\n---\r\nc: |\r\n  x\r\n"),
        r#"{"a": 1, "b": [2]} | {"c": "x\n"}"#
    );
    assert_eq!(json_of("a: 1\n\u{feff}---\nb: 2\n"), r#"{"a": 1} | {"b": 2}"#);
    assert_eq!(json_of("a: 1\r---\rb: 2\r"), r#"{"a": 1} | {"b": 2}"#);
    let loaded = load_text("a: 1\rb: 2\r\n---\r\nc: @\r\n");
    assert_eq!(loaded.diagnostics[0].span.pos, Pos { line: 4, column: 4 });
    assert_eq!(excerpt(&loaded.sources[0], loaded.diagnostics[0].span.pos), Some("c: @"));
}

#[test]
fn tabs_are_named() {
    for (text, line, column) in [
        ("a:\n\tb: c\n", 2, 1),
        ("a: b\n\tc: d\n", 2, 1),
        ("x: 1\n---\na:\n  - b\n\t- c\n", 5, 1),
        ("a:\n  b:\n  \tc: d\n", 3, 3),
        ("a:\n  - b: 1\n  \t c: 2\n", 3, 3),
    ] {
        let loaded = load_text(text);
        let finding = &loaded.diagnostics[0];
        assert_eq!(finding.message, "a tab in the indentation", "{text:?}");
        assert_eq!(finding.span.pos, Pos { line, column }, "{text:?}");
        assert_eq!(
            finding.help.as_deref(),
            Some("indent with spaces: YAML does not allow tabs there")
        );
    }
}

#[test]
fn tabs_before_nested_values_are_named() {
    for (text, line, column, message) in [
        ("a: 1\nb:\t- c\n", 2, 3, "a tab after `:`"),
        ("é:\t\tb: 1\n", 1, 3, "a tab after `:`"),
        ("- a\n-\t- b\n", 2, 2, "a tab after `-`"),
    ] {
        let finding = &load_text(text).diagnostics[0];
        assert_eq!(finding.message, message, "{text:?}");
        assert_eq!(finding.span.pos, Pos { line, column }, "{text:?}");
    }
}

#[test]
fn templates_are_named() {
    let help = "  help: render it first, such as `helm template … | moat … -f -`\n";
    for (text, pos) in [
        ("kind: Pod\nmetadata:\n  name: {{ .Values.name }}\n", "3:9"),
        ("{{- if .Values.on }}\nkind: Pod\n{{- end }}\n", "1:1"),
        (
            "# {{ a comment }}\nmetadata:\n{{ include \"x\" . | indent 2 }}\n---\n{{ more }}\n",
            "3:1",
        ),
        ("{% if x %}\nkind: Pod\n{% endif %}\n", "1:1"),
        ("a: b\n  {{ x }}: c\n", "2:3"),
    ] {
        assert_eq!(
            show(&load_text(text)),
            format!("error[MOAT012] x.yaml:{pos}: a template, not a manifest\n{help}"),
            "{text:?}"
        );
    }
    assert_eq!(json_of("a: \"{{ fine }}\"\n"), r#"{"a": "{{ fine }}"}"#);
}

#[test]
fn errors_are_written_for_people() {
    check(
        "a: b: c\n",
        expect![[r#"
        error[MOAT002] x.yaml:1:5: a `key: value` cannot stand here
          help: quote a value that contains `: `, or correct the indentation of this line or the next one
    "#]],
    );
    check(
        "spec:\n    a: 1\n  b: 2\n",
        expect![[r#"
        error[MOAT002] x.yaml:3:3: this line does not line up with its mapping
          help: start all keys of one mapping in the same column
    "#]],
    );
    check(
        "x: 1\ny\nz: 2\n",
        expect![[r#"
        error[MOAT002] x.yaml:3:1: the text before this is neither a `key: value` nor a list item
          help: add the `:` after the key
    "#]],
    );
    check(
        "a: @x\n",
        expect![[r"
        error[MOAT002] x.yaml:1:4 a: a value cannot start with `@`
          help: quote it
    "]],
    );
    check(
        "a: \"\\q\"\n",
        expect![[r"
        error[MOAT002] x.yaml:1:4 a: a wrong escape in a double-quoted text
          help: double the backslash, or use single quotes
    "]],
    );
    check(
        "a: \"x\" y\n",
        expect![[r#"
        error[MOAT002] x.yaml:1:8 a: text after the closing quote
          help: quote all of the value, and write a quote inside it as `\"`
    "#]],
    );
    check(
        "- a\n- [b, c\n- d\n",
        expect![[r#"
        error[MOAT002] x.yaml:4:1 [1][2]: expected `,` or `]` in the list
          help: close the list that `[` opens; quote text that starts with `[`
    "#]],
    );
    check(
        "a: - b\n",
        expect![[r"
        error[MOAT002] x.yaml:1:4 a: a list item cannot stand here
          help: put the items on the lines after their key
    "]],
    );
}

#[test]
fn places() {
    let text = "# x\nmetadata:\n  é: ü\n  b: [1,\n    {c: \"d\"}]\n---\ne:\n- f\n";
    let loaded = load_text(text);
    let root = &loaded.documents[0].value;
    let at = |line, column| Pos { line, column };
    assert_eq!(root.pos, at(2, 1));
    let metadata = root.get("metadata").unwrap();
    assert_eq!((metadata.pos, root.entries()[0].key_pos), (at(3, 3), at(2, 1)));
    assert_eq!(metadata.get("é").unwrap().pos, at(3, 6));
    let list = metadata.get("b").unwrap();
    assert_eq!((list.pos, list.items()[1].pos), (at(4, 6), at(5, 5)));
    assert_eq!(list.items()[1].get("c").unwrap().pos, at(5, 9));
    assert_eq!(loaded.documents[1].value.get("e").unwrap().items()[0].pos, at(8, 3));
    assert_eq!(
        loaded.documents[1].value.get("e").unwrap().items()[0],
        Value { pos: at(8, 3), data: Data::String("f".into()) }
    );
    let source = &loaded.sources[0];
    assert_eq!(excerpt(source, at(5, 9)), Some("    {c: \"d\"}]"));
    assert_eq!(excerpt(source, at(0, 1)), None);
    assert_eq!(excerpt(source, at(99, 1)), None);
}
