use super::*;
use crate::Style;
use expect_test::expect;
use moat_model::{Diagnostic, Pos, Span, codes};

const PLAIN: Style = Style { color: false, width: 100 };
const COLOR: Style = Style { color: true, width: 100 };

const DB: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: b
spec:
  podSelctor: {}
  ingress:
  - ports:
    - port: 5432
    from:
    - podSelector: {}
    - ipBlock:
        cidr: 10.0.0.0/33
";

fn sources() -> Vec<(&'static str, &'static str)> {
    vec![("policies/db.yaml", DB), ("policies/a b.yaml", "")]
}

fn at(source: u32, line: u32, column: u32) -> Span {
    Span { source: SourceId(source), pos: Pos { line, column } }
}

fn invalid() -> Diagnostic {
    Diagnostic::error(
        codes::INVALID,
        at(0, 14, 15),
        "Invalid value: \"10.0.0.0/33\": must be a valid CIDR value",
    )
    .object("NetworkPolicy b/db")
    .path("spec.ingress[0].from[1].ipBlock.cidr")
    .help("use `10.0.0.0/32` for one address")
    .effect("netpol `b/db` still isolates its pods; this peer matches nothing")
}

fn unknown() -> Diagnostic {
    Diagnostic::warning(codes::UNKNOWN_FIELD, at(0, 7, 3), "unknown field `podSelctor`")
        .object("NetworkPolicy b/db")
        .path("spec.podSelctor")
        .help("did you mean `podSelector`?")
}

fn unreadable() -> Diagnostic {
    Diagnostic::error(
        codes::UNREADABLE_SOURCE,
        at(1, 0, 0),
        "cannot read `policies/a b.yaml`: permission denied",
    )
}

fn kind(kind: &str, line: u32) -> Diagnostic {
    Diagnostic::note(
        codes::UNSUPPORTED_KIND,
        at(0, line, 1),
        format!("kind `{kind}` is not interpreted"),
    )
    .object(format!("{kind} b/x"))
}

fn rules() -> Vec<RuleMeta> {
    let rule = |code, name: &str, severity, doc: &str, summary: &str| RuleMeta {
        code,
        name: name.to_owned(),
        summary: summary.to_owned(),
        doc: doc.to_owned(),
        severity,
        lifecycle: "stable",
    };
    vec![
        rule(
            codes::UNKNOWN_FIELD,
            "unknown-field",
            Severity::Warning,
            "## What it does\nReports a field that the API does not have: a slip in its name, or a field in the\nwrong place.\n\n\
             It is silent about `metadata`.\n\n\
             ## Why is this bad?\nThe API server ignores it unless validation is strict, and an ignored field often opens more than was meant.\n\n\
             ## Example\n```yaml\nspec:\n  podSelctor: {}\n```\n\n\
             ## References\n- Field validation:\n  <https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation>\n- Another\n",
            "Reports a field that the API does not have: a slip in its name, or a field in the wrong place.",
        ),
        rule(
            codes::INVALID,
            "invalid-value",
            Severity::Error,
            "## What it does\nReports a value.\n",
            "Reports a value.",
        ),
    ]
}

fn text(diagnostics: &[Diagnostic], style: Style) -> String {
    report(
        diagnostics,
        sources().as_slice(),
        &Counts { n_files: 2, n_used: 1, ..Counts::default() },
        style,
    )
}

#[test]
fn findings_show_their_source_line() {
    expect![[r#"
        error[MOAT001]: cannot read `policies/a b.yaml`: permission denied
         --> policies/a b.yaml

        warning[MOAT006]: unknown field `podSelctor`
         --> policies/db.yaml:7:3   NetworkPolicy b/db   spec.podSelctor
          |
        7 |   podSelctor: {}
          |   ^^^^^^^^^^
        help: did you mean `podSelector`?

        error[MOAT008]: Invalid value: "10.0.0.0/33": must be a valid CIDR value
          --> policies/db.yaml:14:15   NetworkPolicy b/db   spec.ingress[0].from[1].ipBlock.cidr
           |
        14 |         cidr: 10.0.0.0/33
           |               ^^^^^^^^^^^
        help: use `10.0.0.0/32` for one address
        effect: netpol `b/db` still isolates its pods; this peer matches nothing

        2 errors, 1 warning in 2 files (1 object: 1 used)
    "#]]
    .assert_eq(&text(&[unreadable(), unknown(), invalid()], PLAIN));
}

#[test]
fn colour_only_when_asked() {
    assert!(!text(&[invalid(), kind("A", 1)], PLAIN).contains('\u{1b}'));
    expect![[r#"
        <ESC>[31;1merror[MOAT008]<ESC>[0m<ESC>[1m: Invalid value: "10.0.0.0/33": must be a valid CIDR value<ESC>[0m
          <ESC>[2m--><ESC>[0m policies/db.yaml:14:15   NetworkPolicy b/db   spec.ingress[0].from[1].ipBlock.cidr
        <ESC>[2m   |<ESC>[0m
        <ESC>[2m14 |<ESC>[0m         cidr: 10.0.0.0/33
        <ESC>[2m   |<ESC>[0m               <ESC>[31;1m^^^^^^^^^^^<ESC>[0m
        <ESC>[1mhelp<ESC>[0m: use `10.0.0.0/32` for one address
        <ESC>[1meffect<ESC>[0m: netpol `b/db` still isolates its pods; this peer matches nothing

        <ESC>[1mnote[MOAT005]<ESC>[0m: kind `A` is not interpreted<ESC>[2m (at policies/db.yaml:1)<ESC>[0m

        1 error in 2 files (1 object: 1 used)
    "#]]
    .assert_eq(&text(&[invalid(), kind("A", 1)], COLOR).replace('\u{1b}', "<ESC>"));
}

#[test]
fn notes_that_say_the_same_are_one_line() {
    let mut notes: Vec<Diagnostic> = (1..=1000).map(|line| kind("Database", line)).collect();
    notes.push(kind("Queue", 9));
    notes.push(Diagnostic::note(
        codes::SKIPPED_FILE,
        Span { source: SourceId(9), ..Span::default() },
        "passed over",
    ));
    expect![[r#"
        note[MOAT005]: kind `Database` is not interpreted (1000 objects, first at policies/db.yaml:1)
        note[MOAT005]: kind `Queue` is not interpreted (at policies/db.yaml:9)
        note[MOAT013]: passed over

        no errors, no warnings in 2 files (1 object: 1 used)
    "#]]
    .assert_eq(&text(&notes, PLAIN));
}

#[test]
fn many_different_notes_are_counted() {
    let notes: Vec<Diagnostic> = (0..1000).map(|idx| kind(&format!("Kind{idx}"), 1)).collect();
    let text = text(&notes, PLAIN);
    assert_eq!(text.lines().count(), 13, "{text}");
    assert!(
        text.contains("note[MOAT005]: 990 more notes of this kind; `-o json` lists all\n"),
        "{text}"
    );
}

#[test]
fn advice_that_not_all_notes_share_is_left_out() {
    let notes = [kind("A", 1).effect("same").help("one"), kind("A", 2).effect("same").help("two")];
    expect![[r#"
        note[MOAT005]: kind `A` is not interpreted (2 objects, first at policies/db.yaml:1)
        effect: same

        no errors, no warnings in 2 files (1 object: 1 used)
    "#]]
    .assert_eq(&text(&notes, PLAIN));
}

#[test]
fn input_cannot_control_the_terminal() {
    let text = text(
        &[Diagnostic::warning(codes::INVALID, at(0, 1, 1), "a\u{1b}[2Jb\nc").object("x\u{202e}y")],
        PLAIN,
    );
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    assert!(text.starts_with("warning[MOAT008]: a\u{fffd}[2Jb c\n"), "{text}");
}

#[test]
fn positions_count_every_kind_of_line_break() {
    let sources = [("x.yaml", "a: 1\rb: 2\r\nc: 3\nd: 4")];
    let finding = Diagnostic::error(codes::INVALID, at(0, 3, 4), "m");
    let text = report(&[finding], sources.as_slice(), &Counts::default(), PLAIN);
    assert!(text.contains("3 | c: 3\n  |    ^\n"), "{text}");
}

#[test]
fn json_items_have_every_field() {
    let value = json(&[invalid(), unreadable()], sources().as_slice(), &rules());
    expect![[r#"
        {
          "apiVersion": "moat.dev/v1",
          "kind": "Diagnostics",
          "items": [
            {
              "code": "MOAT008",
              "name": "invalid-value",
              "severity": "error",
              "message": "Invalid value: \"10.0.0.0/33\": must be a valid CIDR value",
              "file": "policies/db.yaml",
              "line": 14,
              "column": 15,
              "path": "spec.ingress[0].from[1].ipBlock.cidr",
              "object": "NetworkPolicy b/db",
              "help": "use `10.0.0.0/32` for one address",
              "effect": "netpol `b/db` still isolates its pods; this peer matches nothing",
              "related": null
            },
            {
              "code": "MOAT001",
              "name": null,
              "severity": "error",
              "message": "cannot read `policies/a b.yaml`: permission denied",
              "file": "policies/a b.yaml",
              "line": null,
              "column": null,
              "path": null,
              "object": null,
              "help": null,
              "effect": null,
              "related": null
            }
          ]
        }
    "#]]
    .assert_eq(&format!("{value:#}\n"));
}

#[test]
fn sarif_log() {
    let value = sarif(
        &[unknown(), unreadable(), invalid(), invalid()],
        sources().as_slice(),
        &rules(),
        "0.1.0",
    );
    expect![[r###"
        {
          "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
          "version": "2.1.0",
          "runs": [
            {
              "tool": {
                "driver": {
                  "name": "moat",
                  "version": "0.1.0",
                  "semanticVersion": "0.1.0",
                  "informationUri": "https://github.com/moat-dev/moat",
                  "rules": [
                    {
                      "id": "MOAT006",
                      "name": "unknown-field",
                      "shortDescription": {
                        "text": "Reports a field that the API does not have: a slip in its name, or a field in the wrong place."
                      },
                      "fullDescription": {
                        "text": "Reports a field that the API does not have: a slip in its name, or a field in the wrong place. It is silent about `metadata`. The API server ignores it unless validation is strict, and an ignored field often opens more than was meant."
                      },
                      "help": {
                        "text": "## What it does\nReports a field that the API does not have: a slip in its name, or a field in the\nwrong place.\n\nIt is silent about `metadata`.\n\n## Why is this bad?\nThe API server ignores it unless validation is strict, and an ignored field often opens more than was meant.\n\n## Example\n```yaml\nspec:\n  podSelctor: {}\n```\n\n## References\n- Field validation:\n  <https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation>\n- Another\n",
                        "markdown": "## What it does\nReports a field that the API does not have: a slip in its name, or a field in the\nwrong place.\n\nIt is silent about `metadata`.\n\n## Why is this bad?\nThe API server ignores it unless validation is strict, and an ignored field often opens more than was meant.\n\n## Example\n```yaml\nspec:\n  podSelctor: {}\n```\n\n## References\n- Field validation:\n  <https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation>\n- Another\n"
                      },
                      "defaultConfiguration": {
                        "level": "warning"
                      },
                      "properties": {
                        "tags": [
                          "kubernetes",
                          "network-policy"
                        ]
                      }
                    },
                    {
                      "id": "MOAT008",
                      "name": "invalid-value",
                      "shortDescription": {
                        "text": "Reports a value."
                      },
                      "fullDescription": {
                        "text": "Reports a value."
                      },
                      "help": {
                        "text": "## What it does\nReports a value.\n",
                        "markdown": "## What it does\nReports a value.\n"
                      },
                      "defaultConfiguration": {
                        "level": "error"
                      },
                      "properties": {
                        "tags": [
                          "kubernetes",
                          "network-policy"
                        ]
                      }
                    }
                  ]
                }
              },
              "invocations": [
                {
                  "executionSuccessful": true
                }
              ],
              "originalUriBaseIds": {
                "%SRCROOT%": {
                  "description": {
                    "text": "The directory that paths are relative to: where moat was started."
                  }
                }
              },
              "columnKind": "unicodeCodePoints",
              "results": [
                {
                  "ruleId": "MOAT006",
                  "ruleIndex": 0,
                  "level": "warning",
                  "message": {
                    "text": "unknown field `podSelctor`\nhelp: did you mean `podSelector`?"
                  },
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "policies/db.yaml",
                          "uriBaseId": "%SRCROOT%"
                        },
                        "region": {
                          "startLine": 7,
                          "startColumn": 3,
                          "endLine": 7,
                          "endColumn": 13
                        }
                      },
                      "logicalLocations": [
                        {
                          "name": "db",
                          "fullyQualifiedName": "NetworkPolicy b/db",
                          "kind": "object"
                        }
                      ]
                    }
                  ],
                  "partialFingerprints": {
                    "moatFinding/v1": "285c9363124aae17:1"
                  },
                  "properties": {
                    "path": "spec.podSelctor"
                  }
                },
                {
                  "ruleId": "MOAT001",
                  "level": "error",
                  "message": {
                    "text": "cannot read `policies/a b.yaml`: permission denied"
                  },
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "policies/a%20b.yaml",
                          "uriBaseId": "%SRCROOT%"
                        }
                      }
                    }
                  ],
                  "partialFingerprints": {
                    "moatFinding/v1": "499b562089f9b4be:1"
                  }
                },
                {
                  "ruleId": "MOAT008",
                  "ruleIndex": 1,
                  "level": "error",
                  "message": {
                    "text": "Invalid value: \"10.0.0.0/33\": must be a valid CIDR value\nhelp: use `10.0.0.0/32` for one address\neffect: netpol `b/db` still isolates its pods; this peer matches nothing"
                  },
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "policies/db.yaml",
                          "uriBaseId": "%SRCROOT%"
                        },
                        "region": {
                          "startLine": 14,
                          "startColumn": 15,
                          "endLine": 14,
                          "endColumn": 26
                        }
                      },
                      "logicalLocations": [
                        {
                          "name": "db",
                          "fullyQualifiedName": "NetworkPolicy b/db",
                          "kind": "object"
                        }
                      ]
                    }
                  ],
                  "partialFingerprints": {
                    "moatFinding/v1": "6a233374e0f6a4ca:1"
                  },
                  "properties": {
                    "path": "spec.ingress[0].from[1].ipBlock.cidr"
                  }
                },
                {
                  "ruleId": "MOAT008",
                  "ruleIndex": 1,
                  "level": "error",
                  "message": {
                    "text": "Invalid value: \"10.0.0.0/33\": must be a valid CIDR value\nhelp: use `10.0.0.0/32` for one address\neffect: netpol `b/db` still isolates its pods; this peer matches nothing"
                  },
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "policies/db.yaml",
                          "uriBaseId": "%SRCROOT%"
                        },
                        "region": {
                          "startLine": 14,
                          "startColumn": 15,
                          "endLine": 14,
                          "endColumn": 26
                        }
                      },
                      "logicalLocations": [
                        {
                          "name": "db",
                          "fullyQualifiedName": "NetworkPolicy b/db",
                          "kind": "object"
                        }
                      ]
                    }
                  ],
                  "partialFingerprints": {
                    "moatFinding/v1": "6a233374e0f6a4ca:2"
                  },
                  "properties": {
                    "path": "spec.ingress[0].from[1].ipBlock.cidr"
                  }
                }
              ]
            }
          ]
        }
    "###]]
    .assert_eq(&format!("{value:#}\n"));
}

#[test]
fn fingerprints_do_not_change_when_lines_move() {
    let fingerprint = |finding: Diagnostic| {
        let value = sarif(&[finding], sources().as_slice(), &[], "0");
        value.pointer("/runs/0/results/0/partialFingerprints").unwrap().clone()
    };
    let moved = Diagnostic { span: at(0, 99, 1), message: "other words".to_owned(), ..invalid() };
    assert_eq!(fingerprint(moved), fingerprint(invalid()));
    assert_ne!(fingerprint(invalid().path("spec.ingress[1]")), fingerprint(invalid()));
}

#[test]
fn the_page_of_a_rule() {
    expect![[r#"
        MOAT006 unknown-field   warning, stable

        What it does
          Reports a field that the API does not have: a slip in its name, or a
          field in the wrong place.

          It is silent about `metadata`.

        Why is this bad?
          The API server ignores it unless validation is strict, and an
          ignored field often opens more than was meant.

        Example
              spec:
                podSelctor: {}

        References
          - Field validation:
            https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
          - Another
    "#]]
    .assert_eq(&rule_page(&rules()[0], Style { width: 70, ..PLAIN }));
}
