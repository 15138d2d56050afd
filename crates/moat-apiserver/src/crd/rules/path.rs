//! Paths that a rule points to: `.spec.replicas`, `['any key']`.

use serde_json::Value;

/// Follows a path through a schema and writes it as errors have it. Errors: why it leads nowhere.
pub(super) fn normalized(text: &str, schema: &Value) -> Result<String, &'static str> {
    let (mut rest, mut here, mut out) = (text, schema, String::new());
    while !rest.is_empty() {
        let (name, after) = if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[', ']']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            (name.to_owned(), after)
        } else if let Some(after) = rest.strip_prefix("['") {
            quoted(after).ok_or("unexpected end of JSON path")?
        } else {
            return Err("expected [ or .");
        };
        if here["properties"].is_object() {
            here = here["properties"].get(&name).ok_or("does not refer to a valid field")?;
            out.push_str(&format!(".{name}"));
        } else if here["additionalProperties"].is_object() {
            here = &here["additionalProperties"];
            out.push_str(&format!("[{name}]"));
        } else {
            return Err("does not refer to a valid field");
        }
        rest = after;
    }
    Ok(out)
}

/// A name up to `']`, in which a backslash escapes, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, c)) = letters.next() {
        match c {
            '\'' => return Some((name, text.get(at + 1..)?.strip_prefix(']')?)),
            '\\' => name.push(match letters.next()?.1 {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                c @ ('\'' | '\\') => c,
                _ => return None,
            }),
            c => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::normalized;
    use serde_json::json;

    #[test]
    fn paths_lead_through_fields_and_keys() {
        let schema = json!({"properties": {
            "spec": {"properties": {"a.b": {"type": "string"}}},
            "map": {"additionalProperties": {"type": "string"}},
        }});
        for (path, want) in [
            (".spec", Some(".spec")),
            (".spec['a.b']", Some(".spec.a.b")),
            (".map.key", Some(".map[key]")),
            (".map['it\\'s']", Some(".map[it's]")),
            ("", Some("")),
            (".none", None),
            ("spec", None),
            (".spec[0]", None),
            (".map['a", None),
            (".map.a.b", None),
        ] {
            assert_eq!(normalized(path, &schema).ok().as_deref(), want, "{path}");
        }
    }
}
