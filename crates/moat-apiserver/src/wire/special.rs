//! Messages that JSON writes in a way of its own.

use super::decode::nested;
use super::encode::{bytes, put, varint_field};
use super::reader::{Reader, Wire};
use super::table::{self, Special, Type};
use super::{Wrong, envelope};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The year one, where Go's time begins.
const BEGIN: i64 = -62_135_596_800;

/// Fields 1, 2 and 3 of a message, as far as it has them.
#[derive(Default)]
struct Parts<'a> {
    numbers: [Option<u64>; 3],
    texts: [Vec<&'a [u8]>; 3],
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Wrong> {
        let mut parts = Self::default();
        let mut reader = Reader(bytes);
        while let Some((number, wire)) = reader.next()? {
            let Some(at) = usize::try_from(number).ok().and_then(|number| number.checked_sub(1))
            else {
                continue;
            };
            match wire {
                Wire::Varint(value) => {
                    if let Some(slot) = parts.numbers.get_mut(at) {
                        *slot = Some(value);
                    }
                }
                Wire::Bytes(bytes) => {
                    if let Some(slot) = parts.texts.get_mut(at) {
                        slot.push(bytes);
                    }
                }
                _ if at < 3 => {
                    return Err(format!(
                        "proto: wrong wireType = {} for field {number}",
                        wire.number()
                    ));
                }
                _ => {}
            }
        }
        Ok(parts)
    }

    fn number(&self, at: usize) -> u64 {
        self.numbers.get(at).copied().flatten().unwrap_or(0)
    }

    fn bytes(&self, at: usize) -> Option<&'a [u8]> {
        self.texts.get(at).and_then(|all| all.last().copied())
    }

    fn text(&self, at: usize) -> String {
        String::from_utf8_lossy(self.bytes(at).unwrap_or_default()).into_owned()
    }
}

/// A number as Go's `int32` takes it from a longer one.
pub(super) fn low_half(number: u64) -> i32 {
    let bytes = number.to_le_bytes();
    i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn schema() -> Result<Type, Wrong> {
    table::index("apiextensions.k8s.io/v1.JSONSchemaProps")
        .map(Type::Message)
        .ok_or_else(|| "an unknown message".to_owned())
}

pub(super) fn decode(kind: Special, bytes: &[u8], depth: usize) -> Result<Value, Wrong> {
    let parts = Parts::read(bytes)?;
    let texts = |at: usize| -> Value {
        let all = parts.texts.get(at).map(Vec::as_slice).unwrap_or_default();
        all.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    };
    Ok(match kind {
        Special::IntOrString => match parts.number(0) {
            0 => low_half(parts.number(1)).into(),
            1 => parts.text(2).into(),
            _ => return Err("impossible IntOrString.Type".to_owned()),
        },
        Special::Quantity => match parts.text(0) {
            text if text.is_empty() => "0".into(),
            text => text.into(),
        },
        Special::Time | Special::MicroTime if bytes.is_empty() => Value::Null,
        Special::Time => time(parts.number(0).cast_signed(), 0)?
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
            .into(),
        Special::MicroTime => {
            let nanos = low_half(parts.number(1)) / 1000 * 1000;
            time(parts.number(0).cast_signed(), nanos)?
                .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
                .to_string()
                .into()
        }
        Special::Duration => duration(parts.number(0).cast_signed()).into(),
        Special::Raw => match parts.bytes(0) {
            None | Some([]) => Value::Null,
            Some(raw) => envelope::raw(raw, depth)?,
        },
        Special::Strings => texts(0),
        Special::SchemaOrArray => {
            let many = parts.texts.get(1).map(Vec::as_slice).unwrap_or_default();
            match parts.bytes(0) {
                _ if !many.is_empty() => {
                    let kind = schema()?;
                    many.iter().map(|one| nested(kind, one, depth)).collect::<Result<_, _>>()?
                }
                Some(one) => nested(schema()?, one, depth)?,
                None => Value::Null,
            }
        }
        Special::SchemaOrBool => match parts.bytes(1) {
            Some(one) => nested(schema()?, one, depth)?,
            None => (parts.number(0) != 0).into(),
        },
        Special::SchemaOrStrings => match (parts.bytes(0), texts(1)) {
            (_, many) if !is_empty(&many) => many,
            (Some(one), _) => nested(schema()?, one, depth)?,
            _ => Value::Null,
        },
    })
}

fn time(seconds: i64, nanos: i32) -> Result<Timestamp, Wrong> {
    let time = Timestamp::new(seconds, nanos)
        .map_err(|_| format!("a time out of range: {seconds} seconds"))?;
    // Years before 1 and after 9999 have no text in JSON.
    if (BEGIN..=253_402_300_799).contains(&seconds) {
        Ok(time)
    } else {
        Err(format!("a time out of range: {seconds} seconds"))
    }
}

/// As Go writes durations: `1h0m3.5s`.
fn duration(nanos: i64) -> String {
    let size = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let fraction = |whole: u64, rest: u64, digits: usize| {
        let text = format!("{whole}.{rest:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", fraction(size / 1_000, size % 1_000, 3)),
        1_000_000..1_000_000_000 => {
            format!("{sign}{}ms", fraction(size / 1_000_000, size % 1_000_000, 6))
        }
        _ => {
            let seconds = size / 1_000_000_000;
            let last = fraction(seconds % 60, size % 1_000_000_000, 9);
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => format!("{sign}{last}s"),
                (0, minutes) => format!("{sign}{minutes}m{last}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{last}s"),
            }
        }
    }
}

fn nanoseconds(text: &str) -> Option<i64> {
    let duration: SignedDuration = text.replace("µs", "us").parse().ok()?;
    i64::try_from(duration.as_nanos()).ok()
}

pub(super) fn encode(
    kind: Special,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Wrong> {
    let text = || value.as_str().ok_or_else(|| "no text".to_owned());
    match kind {
        Special::IntOrString => {
            let whole = value.as_i64().or_else(|| value.is_null().then_some(0));
            varint_field(1, u64::from(whole.is_none()), out);
            varint_field(2, whole.unwrap_or(0).cast_unsigned(), out);
            bytes(3, if whole.is_none() { text()?.as_bytes() } else { &[] }, out);
        }
        Special::Quantity => match value {
            Value::Null => bytes(1, b"0", out),
            Value::Number(number) => bytes(1, number.to_string().as_bytes(), out),
            _ => bytes(1, text()?.as_bytes(), out),
        },
        Special::Time | Special::MicroTime => {
            if value.is_null() {
                return Ok(());
            }
            let time: Timestamp = text()?.parse().map_err(|_| "no time".to_owned())?;
            let nanos =
                if kind == Special::MicroTime { i64::from(time.subsec_nanosecond()) } else { 0 };
            // Before 1970 the rest counts from the second before.
            let (seconds, nanos) = if nanos < 0 {
                (time.as_second() - 1, nanos + 1_000_000_000)
            } else {
                (time.as_second(), nanos)
            };
            let seconds = if kind == Special::Time && time.subsec_nanosecond() < 0 {
                time.as_second() - 1
            } else {
                seconds
            };
            varint_field(1, seconds.cast_unsigned(), out);
            varint_field(2, (nanos / 1000 * 1000).cast_unsigned(), out);
        }
        Special::Duration => {
            let nanos = if value.is_null() {
                0
            } else {
                nanoseconds(text()?).ok_or_else(|| "no duration".to_owned())?
            };
            varint_field(1, nanos.cast_unsigned(), out);
        }
        Special::Raw => {
            if !value.is_null() {
                bytes(1, value.to_string().as_bytes(), out);
            }
        }
        Special::Strings => {
            for item in value.as_array().map(Vec::as_slice).unwrap_or_default() {
                put(1, Type::Text, item, out, depth)?;
            }
        }
        Special::SchemaOrArray => match value {
            Value::Null => {}
            Value::Array(many) => {
                for one in many {
                    put(2, schema()?, one, out, depth)?;
                }
            }
            one => put(1, schema()?, one, out, depth)?,
        },
        Special::SchemaOrBool => match value {
            Value::Bool(flag) => varint_field(1, u64::from(*flag), out),
            Value::Null => varint_field(1, 0, out),
            one => {
                varint_field(1, 1, out);
                put(2, schema()?, one, out, depth)?;
            }
        },
        Special::SchemaOrStrings => match value {
            Value::Null => {}
            Value::Array(many) => {
                for one in many {
                    put(2, Type::Text, one, out, depth)?;
                }
            }
            one => put(1, schema()?, one, out, depth)?,
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them_and_read_back() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (300_000_000_000, "5m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_500_000_000, "-1.5s"),
        ] {
            assert_eq!(duration(nanos), text);
            assert_eq!(nanoseconds(text), Some(nanos), "{text}");
        }
    }
}
