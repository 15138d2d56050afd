//! JSON values as YAML that every YAML reader takes for the same values.

use serde_json::Value;

/// The value as a YAML document.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(value, 0, &mut out),
        Value::Array(list) if !list.is_empty() => block(value, 0, &mut out),
        _ => {
            scalar(value, &mut out);
            out.push('\n');
        }
    }
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                pad(indent, out);
                text(key, out);
                out.push(':');
                nested(value, indent + 2, out);
            }
        }
        Value::Array(list) => {
            for value in list {
                pad(indent, out);
                out.push('-');
                match value {
                    // The first key of a mapping stands on the dash's line.
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        block(value, indent + 2, &mut inner);
                        out.push(' ');
                        out.push_str(inner.trim_start_matches(' '));
                    }
                    _ => nested(value, indent + 2, out),
                }
            }
        }
        _ => {}
    }
}

fn nested(value: &Value, indent: usize, out: &mut String) {
    let is_block = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        block(value, indent, out);
    } else {
        out.push(' ');
        scalar(value, out);
        out.push('\n');
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(core::iter::repeat_n(' ', indent));
}

fn scalar(value: &Value, out: &mut String) {
    match value {
        Value::String(string) => text(string, out),
        // The empty collections, numbers, booleans and null are written alike in both languages.
        other => out.push_str(&other.to_string()),
    }
}

/// Text is bare only where no reader can take it for something else.
fn text(string: &str, out: &mut String) {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    let first = string.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let special = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&string.to_ascii_lowercase().as_str());
    if first && !special && string.bytes().all(word) {
        out.push_str(string);
    } else {
        // A JSON string is a YAML double-quoted string.
        out.push_str(&Value::String(string.to_owned()).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nests_and_quotes() {
        let value = json!({"a": [{"b": 1, "c": []}, "yes", "10.0.0.0/8"], "d": {}, "e": "x\ny", "f": [[1, 2]]});
        assert_eq!(to_string(&value), "a:\n  - b: 1\n    c: []\n  - \"yes\"\n  - \"10.0.0.0/8\"\nd: {}\ne: \"x\\ny\"\nf:\n  -\n    - 1\n    - 2\n");
    }
}
