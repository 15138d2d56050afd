//! JSON values as YAML, for people who read it and machines that read either.

use core::fmt::Write as _;
use serde_json::Value;

/// The value as a YAML document in block style.
#[must_use]
pub fn render(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                indent(depth, out);
                out.push_str(&text(key));
                out.push(':');
                entry(value, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(depth, out);
                out.push('-');
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        // The first key stands beside the dash.
                        let mut own = String::new();
                        block(item, depth + 1, &mut own);
                        out.push(' ');
                        out.push_str(own.trim_start());
                    }
                    _ => entry(item, depth, out),
                }
            }
        }
        _ => {
            indent(depth, out);
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

fn entry(value: &Value, depth: usize, out: &mut String) {
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        block(value, depth + 1, out);
    } else {
        out.push(' ');
        out.push_str(&scalar(value));
        out.push('\n');
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
        other => other.to_string(),
    }
}

/// Text is left bare only where no reader of YAML 1.1 or 1.2 can take it for anything else.
fn text(value: &str) -> String {
    let safe = |char: char| char.is_ascii_alphanumeric() || matches!(char, '/' | '_' | '-' | '.');
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let bare = value.starts_with(|char: char| char.is_ascii_alphabetic())
        && value.chars().all(safe)
        && !words.contains(&value.to_ascii_lowercase().as_str());
    if bare {
        return value.to_owned();
    }
    let mut out = String::from("\"");
    for char in value.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_looks_like_something_else_is_quoted() {
        let value = json!({
            "a": "yes", "b": "80", "c": "*", "d": "x: y", "e": "team/web", "f": [], "g": {}, "h": null, "i": 3,
            "no": "a\"b\\\n\u{1}", "list": [{"k": 1, "m": ["x"]}, ["y"], "z"],
        });
        expect_test::expect![[r#"
            a: "yes"
            b: "80"
            c: "*"
            d: "x: y"
            e: team/web
            f: []
            g: {}
            h: null
            i: 3
            "no": "a\"b\\\n\u0001"
            list:
              - k: 1
                m:
                  - x
              -
                - "y"
              - z
        "#]]
        .assert_eq(&render(&value));
    }
}
