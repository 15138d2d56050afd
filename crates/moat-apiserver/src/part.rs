//! Parts of stored objects, found without parsing the rest: what a list of ten thousand objects needs of each is little.
//!
//! Stored bytes were written by [`crate::object::encode`]: valid JSON without white space. These functions rely on that; of anything else they
//! find nothing or a wrong part, and never panic.

mod skip;

use serde_json::{Map, Value};
use std::borrow::Cow;

/// Which parts of a value are wanted.
#[derive(Debug)]
pub enum Keep {
    /// All of it.
    All,
    /// Nothing; as a field, not even that.
    Nothing,
    /// Of a map these fields and no others; of a list, these fields of its items.
    Fields(&'static [(&'static str, Keep)]),
    /// Of a map all fields, of these no more than this; of a list, so of its items.
    But(&'static [(&'static str, Keep)]),
}

/// The wanted parts of stored bytes, as a value: what is not wanted is as if it were not there.
pub fn pick(value: &[u8], keep: &Keep) -> Value {
    let all = || serde_json::from_slice(value).unwrap_or_default();
    let (named, others) = match keep {
        Keep::All => return all(),
        Keep::Nothing => return Value::Null,
        Keep::Fields(named) => (named, &Keep::Nothing),
        Keep::But(named) => (named, &Keep::All),
    };
    match value.first() {
        Some(b'{') => {
            let mut map = Map::new();
            for (key, inner) in fields(value) {
                let found = named.iter().find(|(name, _)| name.as_bytes() == key);
                match found.map_or(others, |(_, keep)| keep) {
                    Keep::Nothing => {}
                    keep => {
                        map.insert(unquoted(key), pick(inner, keep));
                    }
                }
            }
            Value::Object(map)
        }
        Some(b'[') => items(value).map(|item| pick(item, keep)).collect(),
        _ => all(),
    }
}

/// A key as it is, of what stands between its quotes.
fn unquoted(key: &[u8]) -> String {
    if key.contains(&b'\\') {
        let quoted = [b"\"", key, b"\""].concat();
        return serde_json::from_slice(&quoted).unwrap_or_default();
    }
    String::from_utf8_lossy(key).into_owned()
}

/// The bytes of a field's value in stored bytes.
pub fn field<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields(object).find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
}

/// The bytes of some fields' values in stored bytes, found on one way through them; nothing for those that are missing.
pub(crate) fn several<'a, const N: usize>(object: &'a [u8], names: [&str; N]) -> [&'a [u8]; N] {
    let mut found = [&b""[..]; N];
    let mut n_left = N;
    for (key, value) in fields(object) {
        let named = names.iter().zip(&mut found).find(|(name, _)| name.as_bytes() == key);
        if let Some((_, slot)) = named {
            *slot = value;
            n_left -= 1;
            if n_left == 0 {
                break;
            }
        }
    }
    found
}

/// The text that a part is, or nothing.
pub(crate) fn text(part: &[u8]) -> Cow<'_, str> {
    match part {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => String::from_utf8_lossy(inner),
        _ => Cow::Owned(serde_json::from_slice(part).unwrap_or_default()),
    }
}

/// The whole number that a part is.
pub(crate) fn number(part: &[u8]) -> Option<i64> {
    std::str::from_utf8(part).ok()?.parse().ok()
}

/// The fields of a stored object: keys as they are written between their quotes, and the bytes of their values.
pub fn fields(object: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = if object.first() == Some(&b'{') { 1 } else { object.len() };
    std::iter::from_fn(move || {
        if object.get(at) != Some(&b'"') {
            return None;
        }
        let colon = string_end(object, at + 1)?;
        let key = object.get(at + 1..colon.checked_sub(1)?)?;
        let end = value_end(object, colon + 1)?;
        let value = object.get(colon + 1..end)?;
        at = end + 1;
        Some((key, value))
    })
}

/// The items of a list.
pub(crate) fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = if list.first() == Some(&b'[') { 1 } else { list.len() };
    std::iter::from_fn(move || {
        if matches!(list.get(at), None | Some(b']')) {
            return None;
        }
        let end = value_end(list, at)?;
        let item = list.get(at..end)?;
        at = end + 1;
        Some(item)
    })
}

/// The place after the value that begins at one.
fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    match bytes.get(start)? {
        b'"' => string_end(bytes, start + 1),
        b'{' | b'[' => skip::end(bytes, start),
        _ => {
            let rest = bytes.get(start..)?;
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']');
            Some(start + rest.iter().position(ends).unwrap_or(rest.len()))
        }
    }
}

/// The place after the quote that ends a string, of which the first letter is at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        // Eight letters at a time, as long as there is neither a quote nor a backslash among them.
        while let Some(eight) = bytes.get(at..at + 8).and_then(|part| part.try_into().ok()) {
            let word = u64::from_le_bytes(eight);
            let found =
                zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
            if found != 0 {
                at += (found.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

const ONES: u64 = u64::from_le_bytes([1; 8]);

/// A word whose lowest bit is in the first byte of another that is zero; none where there is no zero.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-z\"\\\\{}\\[\\],:]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("[a-e]|[a-z\"\\\\{}]{0,12}", inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn fields_and_items_are_those_of_the_parsed_value(value in values()) {
            let text = value.to_string();
            let bytes = text.as_bytes();
            let own: Vec<(String, Value)> = fields(bytes)
                .map(|(key, value)| {
                    let quoted = [b"\"", key, b"\""].concat();
                    (serde_json::from_slice(&quoted).unwrap(), serde_json::from_slice(value).unwrap())
                })
                .collect();
            let wanted: Vec<(String, Value)> =
                value.as_object().cloned().unwrap_or_default().into_iter().collect();
            // A number may lose its last bit on the way through text; the same number does so in both.
            let through = |value: &Value| serde_json::from_str::<Value>(&value.to_string()).unwrap();
            let wanted: Vec<(String, Value)> =
                wanted.iter().map(|(key, value)| (key.clone(), through(value))).collect();
            prop_assert_eq!(own, wanted);
            let own: Vec<Value> = items(bytes).map(|item| serde_json::from_slice(item).unwrap()).collect();
            let wanted = value.as_array().cloned().unwrap_or_default();
            prop_assert_eq!(own, wanted.iter().map(through).collect::<Vec<_>>());
            prop_assert_eq!(pick(bytes, &Keep::All), through(&value));
            prop_assert_eq!(pick(bytes, &Keep::But(&[])), through(&value));
        }

        #[test]
        fn texts_and_numbers_are_those_of_the_parsed_value(value in values()) {
            let bytes = value.to_string();
            prop_assert_eq!(text(bytes.as_bytes()), value.as_str().unwrap_or_default());
            prop_assert_eq!(number(bytes.as_bytes()), value.as_i64());
        }

        #[test]
        fn several_fields_are_found_as_each_alone(value in values()) {
            let bytes = value.to_string();
            let names = ["a", "missing", "c", "b"];
            let each = names.map(|name| field(bytes.as_bytes(), name).unwrap_or_default());
            prop_assert_eq!(several(bytes.as_bytes(), names), each);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for start in [&b""[..], b"{\"", b"[", b"{\"a\":{", b"{\"a\":\"\\"] {
                let all = [start, &bytes].concat();
                let _ = (fields(&all).count(), items(&all).count());
            }
        }
    }

    #[test]
    fn what_is_picked_is_as_if_the_rest_were_not_there() {
        const KEEP: Keep = Keep::Fields(&[
            ("name", Keep::All),
            (
                "spec",
                Keep::Fields(&[
                    ("list", Keep::Fields(&[("a", Keep::All)])),
                    ("none", Keep::Fields(&[])),
                ]),
            ),
        ]);
        const BUT: Keep = Keep::But(&[("name", Keep::Nothing), ("spec", KEEP)]);
        let value = json!({
            "kind": "K", "name": {"x": [1, "}\"{"]},
            "spec": {"list": [{"a": 1, "b": 2}, {"b": 3}, 7], "none": {"z": 1}, "other": [[]]},
        });
        let picked = pick(value.to_string().as_bytes(), &KEEP);
        assert_eq!(
            picked,
            json!({"name": {"x": [1, "}\"{"]}, "spec": {"list": [{"a": 1}, {}, 7], "none": {}}})
        );
        assert_eq!(field(value.to_string().as_bytes(), "kind"), Some(&b"\"K\""[..]));
        let picked = pick(value.to_string().as_bytes(), &BUT);
        assert_eq!(picked, json!({"kind": "K", "spec": {}}));
    }
}
