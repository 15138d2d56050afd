//! A JSON value to the bytes of a message, as gogo's generated code writes it: fields in the order of their numbers, zeros included.

use super::table::{Field, Label, Message, Special, Type, message};
use super::{DEPTH_MAX, Wrong, special};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Appends a message.
pub(super) fn encode(
    message: &Message,
    map: &Map<String, Value>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Wrong> {
    if DEPTH_MAX < depth {
        return Err(format!("an object of more than {DEPTH_MAX} levels"));
    }
    for field in &message.fields {
        one(field, map, out, depth).map_err(|why| {
            if why.contains(": ") { why } else { format!("{}.{}: {why}", message.name, field.json) }
        })?;
    }
    Ok(())
}

fn one(
    field: &Field,
    map: &Map<String, Value>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Wrong> {
    if field.inline {
        let Type::Message(at) = field.kind else { return Ok(()) };
        let below = message(at).ok_or_else(|| "an unknown message".to_owned())?;
        return lengthened(field.number, out, |out| encode(below, map, out, depth + 1));
    }
    let value = map.get(field.json).filter(|value| !value.is_null());
    match (field.label, value) {
        (Label::List, Some(value)) => {
            for item in value.as_array().ok_or_else(|| "no list".to_owned())? {
                put(field.number, field.kind, item, out, depth)?;
            }
        }
        (Label::Map, Some(value)) => {
            let map = value.as_object().ok_or_else(|| "no map".to_owned())?;
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (key, value) in entries {
                lengthened(field.number, out, |out| {
                    bytes(1, key.as_bytes(), out);
                    put(2, field.kind, value, out, depth)
                })?;
            }
        }
        (_, Some(value)) => put(field.number, field.kind, value, out, depth)?,
        (Label::Value, None) => match field.kind {
            Type::Bytes | Type::Special(Special::Strings) => {}
            kind => put(field.number, kind, &Value::Null, out, depth)?,
        },
        (_, None) => {}
    }
    Ok(())
}

/// A tag and a value; null is the type's zero.
pub(super) fn put(
    number: u32,
    kind: Type,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Wrong> {
    let null = value.is_null();
    match kind {
        Type::Text => match value.as_str() {
            Some(text) => bytes(number, text.as_bytes(), out),
            None if null => bytes(number, &[], out),
            None => return Err("no text".to_owned()),
        },
        Type::Bytes => match value.as_str() {
            Some(text) => {
                let text = STANDARD.decode(text).map_err(|_| "no base64".to_owned())?;
                bytes(number, &text, out);
            }
            None if null => bytes(number, &[], out),
            None => return Err("no base64".to_owned()),
        },
        Type::Bool => match value.as_bool() {
            None if !null => return Err("no boolean".to_owned()),
            flag => varint_field(number, u64::from(flag.unwrap_or(false)), out),
        },
        Type::Int32 | Type::Int64 => match value.as_i64() {
            None if !null => return Err("no whole number".to_owned()),
            whole => varint_field(number, whole.unwrap_or(0).cast_unsigned(), out),
        },
        Type::Double => match value.as_f64() {
            None if !null => return Err("no number".to_owned()),
            real => {
                varint(u64::from(number) << 3 | 1, out);
                out.extend_from_slice(&real.unwrap_or(0.0).to_le_bytes());
            }
        },
        Type::Message(at) => {
            let below = message(at).ok_or_else(|| "an unknown message".to_owned())?;
            let empty = Map::new();
            let map = match value {
                Value::Object(map) => map,
                Value::Null => &empty,
                _ => return Err("no object".to_owned()),
            };
            return lengthened(number, out, |out| encode(below, map, out, depth + 1));
        }
        Type::Special(kind) => {
            return lengthened(number, out, |out| special::encode(kind, value, out, depth + 1));
        }
    }
    Ok(())
}

/// A field whose length is known when it is written.
pub(super) fn lengthened(
    number: u32,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    varint(u64::from(number) << 3 | 2, out);
    let start = out.len();
    write(out)?;
    let end = out.len();
    varint((end - start) as u64, out);
    let digits = out.len() - end;
    if let Some(tail) = out.get_mut(start..) {
        tail.rotate_right(digits);
    }
    Ok(())
}

pub(crate) fn bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(crate) fn varint_field(number: u32, value: u64, out: &mut Vec<u8>) {
    varint(u64::from(number) << 3, out);
    varint(value, out);
}

pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while 0x80 <= value {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
