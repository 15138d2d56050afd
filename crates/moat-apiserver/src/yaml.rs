//! YAML bodies, read as every manifest is, and YAML answers.

use moat_load::{Input, load};
use moat_model::{Data, Severity, codes};
use serde_json::{Map, Number, Value};

/// One document, and the paths of keys that occur more than once. Aliases and depth are bounded by the loader.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "yaml: the body is not UTF-8".to_owned())?;
    let loaded = load(&[Input::Text { name: "body".to_owned(), text: text.to_owned() }]);
    let mut duplicates = Vec::new();
    for finding in loaded.diagnostics {
        if finding.code == codes::DUPLICATE_KEY {
            duplicates.push(finding.path);
        } else if finding.severity == Severity::Error {
            return Err(format!("yaml: line {}: {}", finding.span.pos.line, finding.message));
        }
    }
    let mut documents = loaded.documents.into_iter();
    match (documents.next(), documents.next()) {
        (None, _) => Ok((Value::Null, duplicates)),
        (Some(document), None) => Ok((json_of_document(document.value)?, duplicates)),
        (Some(_), Some(_)) => Err("yaml: more than one document in a body".to_owned()),
    }
}

/// A document that was loaded, as JSON.
///
/// Errors: a number that JSON does not have, such as `.inf`, with its line.
pub fn json_of_document(value: moat_model::Value) -> Result<Value, String> {
    Ok(match value.data {
        Data::Null => Value::Null,
        Data::Bool(flag) => flag.into(),
        Data::Int(whole) => whole.into(),
        Data::Float(text) => text
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| format!("yaml: line {}: {text} is no number", value.pos.line))?,
        Data::String(text) => Value::String(text.into()),
        Data::List(items) => items.into_iter().map(json_of_document).collect::<Result<_, _>>()?,
        Data::Map(entries) => {
            let mut map = Map::new();
            for entry in entries {
                map.insert(entry.key.into(), json_of_document(entry.value)?);
            }
            Value::Object(map)
        }
    })
}

/// Writes a value, keys in order, as Go's writer does.
pub(crate) fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => object(map, 0, &mut text),
        Value::Array(items) if !items.is_empty() => list(items, 0, &mut text),
        other => {
            text += &leaf(other);
            text.push('\n');
        }
    }
    text
}

fn object(map: &Map<String, Value>, depth: usize, text: &mut String) {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    for (at, (key, value)) in entries.into_iter().enumerate() {
        // The first entry of an item stands behind its dash.
        if 0 < at || text.is_empty() || text.ends_with('\n') {
            text.push_str(&"  ".repeat(depth));
        }
        text.push_str(&scalar(key));
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                object(inner, depth + 1, text);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                list(items, depth, text);
            }
            other => {
                text.push(' ');
                text.push_str(&leaf(other));
                text.push('\n');
            }
        }
    }
}

fn list(items: &[Value], depth: usize, text: &mut String) {
    for (at, item) in items.iter().enumerate() {
        if 0 < at || text.is_empty() || text.ends_with('\n') {
            text.push_str(&"  ".repeat(depth));
        }
        text.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => object(inner, depth + 1, text),
            Value::Array(inner) if !inner.is_empty() => list(inner, depth + 1, text),
            other => {
                text.push_str(&leaf(other));
                text.push('\n');
            }
        }
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A text, plain where nobody can take it for anything else.
fn scalar(text: &str) -> String {
    let letter =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/');
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(letter)
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        );
    if plain { text.to_owned() } else { quoted(text) }
}

/// JSON's quotes are YAML's, but for two line breaks and letters that YAML cannot print.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for letter in Value::from(text).to_string().chars() {
        match letter {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                out += &format!("\\u{:04x}", u32::from(letter));
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_written_is_read_as_it_was() {
        let value = json!({
            "a": [1, -2.5, "x", "yes", "1", "", null, true, [], {}, [[1], {"b": "c: d"}]],
            "k: #": {"z": "a\nb", "y": "\u{2028}\u{7f}ü\"", "~": "- x"}, "1": "0x10", "null": "2026-01-01",
        });
        assert_eq!(parse(write(&value).as_bytes()), Ok((value, Vec::new())));
    }

    #[test]
    fn keys_that_occur_twice_are_named_and_bombs_are_refused() {
        let (value, twice) = parse(b"a: {b: 1, b: 2}\n").unwrap();
        assert_eq!((value, twice), (json!({"a": {"b": 2}}), vec!["a.b".to_owned()]));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let of = level - 1;
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{of}"); 10].join(", "));
        }
        assert!(parse(bomb.as_bytes()).unwrap_err().contains("aliases make more than"));
        assert!(parse("[".repeat(10_000).as_bytes()).is_err());
        assert!(parse(b"a: 1\n---\nb: 2\n").unwrap_err().contains("more than one document"));
        assert!(parse(b"a: b: c").is_err() && parse(b"\xff").is_err());
    }
}
