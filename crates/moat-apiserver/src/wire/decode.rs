//! A message's bytes to the JSON that Go would write of it.

use super::reader::{Reader, Wire};
use super::table::{Field, Label, Message, Type, message};
use super::{DEPTH_MAX, Wrong, special};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};
use std::borrow::Cow;

/// What was read of one field.
#[derive(Debug)]
enum Slot<'a> {
    Missing,
    /// A message whose bytes come in parts is all of them: parts merge.
    Message(Cow<'a, [u8]>),
    Value(Value),
    List(Vec<Value>),
    Map(Map<String, Value>),
}

/// Decodes a message.
pub(super) fn decode(
    message: &Message,
    bytes: &[u8],
    depth: usize,
) -> Result<Map<String, Value>, Wrong> {
    if DEPTH_MAX < depth {
        return Err(format!("a message of more than {DEPTH_MAX} levels"));
    }
    let mut slots: Vec<Slot<'_>> = message.fields.iter().map(|_| Slot::Missing).collect();
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        let found = message.fields.binary_search_by_key(&number, |field| field.number);
        // Fields of later versions are not ours to keep.
        let Ok(at) = found else { continue };
        if let (Some(field), Some(slot)) = (message.fields.get(at), slots.get_mut(at)) {
            put(message, field, wire, slot, depth)?;
        }
    }
    let mut map = Map::new();
    for (field, slot) in message.fields.iter().zip(slots) {
        write(field, slot, &mut map, depth)?;
    }
    Ok(map)
}

fn put<'a>(
    message: &Message,
    field: &Field,
    wire: Wire<'a>,
    slot: &mut Slot<'a>,
    depth: usize,
) -> Result<(), Wrong> {
    let wrong = || {
        format!(
            "proto: wrong wireType = {} for field {}.{}",
            wire.number(),
            message.name,
            field.json
        )
    };
    match field.label {
        Label::Map => {
            let Wire::Bytes(bytes) = wire else { return Err(wrong()) };
            let (key, value) = entry(field, bytes, depth)?;
            if !matches!(slot, Slot::Map(_)) {
                *slot = Slot::Map(Map::new());
            }
            if let Slot::Map(map) = slot {
                map.insert(key, value);
            }
        }
        Label::List => {
            if !matches!(slot, Slot::List(_)) {
                *slot = Slot::List(Vec::new());
            }
            let Slot::List(list) = slot else { return Ok(()) };
            match (field.kind, wire) {
                // Numbers may come packed in one field.
                (Type::Int32 | Type::Int64 | Type::Bool, Wire::Bytes(bytes)) => {
                    let mut packed = Reader(bytes);
                    while !packed.0.is_empty() {
                        list.push(
                            scalar(field.kind, Wire::Varint(packed.varint()?)).ok_or_else(wrong)?,
                        );
                    }
                }
                (Type::Message(_) | Type::Special(_), Wire::Bytes(bytes)) => {
                    list.push(nested(field.kind, bytes, depth)?);
                }
                _ => list.push(scalar(field.kind, wire).ok_or_else(wrong)?),
            }
        }
        Label::Value | Label::Pointer => match (field.kind, wire) {
            (Type::Message(_) | Type::Special(_), Wire::Bytes(bytes)) => match slot {
                Slot::Message(before) => before.to_mut().extend_from_slice(bytes),
                _ => *slot = Slot::Message(Cow::Borrowed(bytes)),
            },
            _ => *slot = Slot::Value(scalar(field.kind, wire).ok_or_else(wrong)?),
        },
    }
    Ok(())
}

/// A map's entry is a message of a key and a value.
fn entry(field: &Field, bytes: &[u8], depth: usize) -> Result<(String, Value), Wrong> {
    let (mut key, mut value) = (String::new(), None);
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        let wrong =
            || format!("proto: wrong wireType = {} for an entry of {}", wire.number(), field.json);
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = String::from_utf8_lossy(bytes).into_owned(),
            (1, _) => return Err(wrong()),
            (2, Wire::Bytes(bytes))
                if matches!(field.kind, Type::Message(_) | Type::Special(_)) =>
            {
                value = Some(nested(field.kind, bytes, depth)?);
            }
            (2, wire) => value = Some(scalar(field.kind, wire).ok_or_else(wrong)?),
            _ => {}
        }
    }
    let value = match value {
        Some(value) => value,
        None => zero(field.kind, depth)?,
    };
    Ok((key, value))
}

fn scalar(kind: Type, wire: Wire<'_>) -> Option<Value> {
    Some(match (kind, wire) {
        (Type::Text, Wire::Bytes(bytes)) => String::from_utf8_lossy(bytes).into(),
        (Type::Bytes, Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Type::Bool, Wire::Varint(number)) => (number != 0).into(),
        // Negative numbers come in ten bytes; Go keeps the low half of a longer one.
        (Type::Int32, Wire::Varint(number)) => special::low_half(number).into(),
        (Type::Int64, Wire::Varint(number)) => number.cast_signed().into(),
        (Type::Double, Wire::Fixed64(bits)) => {
            Number::from_f64(f64::from_bits(bits)).map(Value::Number)?
        }
        _ => return None,
    })
}

pub(super) fn nested(kind: Type, bytes: &[u8], depth: usize) -> Result<Value, Wrong> {
    match kind {
        Type::Message(at) => {
            let below = message(at).ok_or_else(|| "an unknown message".to_owned())?;
            decode(below, bytes, depth + 1).map(Value::Object)
        }
        Type::Special(kind) => special::decode(kind, bytes, depth + 1),
        _ => Err("a value that is no message".to_owned()),
    }
}

/// What Go has where nothing came.
fn zero(kind: Type, depth: usize) -> Result<Value, Wrong> {
    Ok(match kind {
        Type::Text => "".into(),
        Type::Bytes => Value::Null,
        Type::Bool => false.into(),
        Type::Int32 | Type::Int64 => 0.into(),
        Type::Double => 0.0.into(),
        // A list that nobody made.
        Type::Special(super::table::Special::Strings) => Value::Null,
        kind => nested(kind, &[], depth)?,
    })
}

/// Writes a field as Go's JSON encoder does: zeros and empty ones only where their tags do not omit them.
fn write(
    field: &Field,
    slot: Slot<'_>,
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Wrong> {
    let missing = matches!(slot, Slot::Missing);
    let value = match slot {
        Slot::Missing if field.label == Label::Value => zero(field.kind, depth)?,
        Slot::Missing => Value::Null,
        Slot::Value(value) => value,
        Slot::List(list) => Value::Array(list),
        Slot::Map(map) => Value::Object(map),
        Slot::Message(bytes) => nested(field.kind, &bytes, depth)?,
    };
    if field.inline {
        if let Value::Object(own) = value {
            map.extend(own);
        }
        return Ok(());
    }
    let omitted = match (field.label, field.kind) {
        (Label::Pointer, _) => missing && field.omit_empty,
        // Go omits no struct for being empty.
        (Label::Value, Type::Message(_)) => field.omit_zero && value == zero(field.kind, depth)?,
        (Label::Value, Type::Special(super::table::Special::Strings)) => {
            field.omit_empty && special::is_empty(&value)
        }
        (Label::Value, Type::Special(_)) => field.omit_zero && value == zero(field.kind, depth)?,
        _ => field.omit_empty && special::is_empty(&value),
    };
    if !omitted {
        map.insert(field.json.to_owned(), value);
    }
    Ok(())
}
