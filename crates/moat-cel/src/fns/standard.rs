//! The standard library: sizes, conversions, optional values.

use super::Found;
use super::time;
use crate::error::Stop;
use crate::eval::Run;
use crate::value::{Opaque, Value};
use std::rc::Rc;

pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    member: bool,
    args: &[Value<'a>],
) -> Option<Found<'a>> {
    use Value as V;
    Some(match (name, args) {
        ("!_", [V::Bool(value)]) => Ok(V::Bool(!value)),
        ("-_", [V::Int(value)]) => {
            value.checked_neg().map(V::Int).ok_or_else(|| Stop::new("integer overflow"))
        }
        ("-_", [V::Double(value)]) => Ok(V::Double(-value)),
        ("size", [value]) => size(run, value)?,
        ("dyn", [value]) => Ok(value.clone()),
        ("type", [value]) => Ok(V::Type(value.type_name().into())),
        ("int", [value]) => int(run, value)?,
        ("uint", [value]) => uint(run, value)?,
        ("double", [value]) => double(run, value)?,
        ("bool", [V::Bool(value)]) => Ok(V::Bool(*value)),
        ("bool", [V::Text(text)]) => match &**text {
            "1" | "t" | "true" | "T" | "TRUE" | "True" => Ok(V::Bool(true)),
            "0" | "f" | "false" | "F" | "FALSE" | "False" => Ok(V::Bool(false)),
            other => Err(Stop::new(format!("type conversion error from '{other}' to 'bool'"))),
        },
        ("bytes", [V::Bytes(value)]) => Ok(V::Bytes(Rc::clone(value))),
        ("bytes", [V::Text(text)]) => run.read(text).map(|text| V::Bytes(text.as_bytes().into())),
        ("string", [V::Text(text)]) => Ok(V::Text(text.clone())),
        ("string", [V::Bytes(bytes)]) => run.pay_for(bytes.len()).and_then(|()| {
            let text = std::str::from_utf8(bytes);
            text.map(V::text)
                .map_err(|_| Stop::new("invalid UTF-8 in bytes, cannot convert to string"))
        }),
        ("string", [value]) => Ok(V::text(text_of(value)?)),
        ("timestamp", [V::Timestamp(time)]) => Ok(V::Timestamp(*time)),
        ("timestamp", [V::Int(seconds)]) => jiff::Timestamp::from_second(*seconds)
            .map(V::Timestamp)
            .map_err(|_| Stop::new("timestamp overflow")),
        ("timestamp", [V::Text(text)]) => {
            time::timestamp(text).map(V::Timestamp).ok_or_else(|| {
                Stop::new(format!(
                    "type conversion error from '{}' to 'google.protobuf.Timestamp'",
                    &**text
                ))
            })
        }
        ("duration", [V::Duration(span)]) => Ok(V::Duration(*span)),
        ("duration", [V::Int(nanos)]) => Ok(V::Duration(*nanos)),
        ("duration", [V::Text(text)]) => {
            time::go_duration(text).map(V::Duration).ok_or_else(|| {
                Stop::new(format!(
                    "type conversion error from '{}' to 'google.protobuf.Duration'",
                    &**text
                ))
            })
        }
        ("optional.none", []) => Ok(V::Optional(None)),
        ("optional.of", [value]) => Ok(V::some(value.clone())),
        ("optional.ofNonZeroValue", [value]) => {
            Ok(if is_zero(value) { V::Optional(None) } else { V::some(value.clone()) })
        }
        ("hasValue", [V::Optional(of)]) if member => Ok(V::Bool(of.is_some())),
        ("value", [V::Optional(of)]) if member => match of {
            Some(value) => Ok((**value).clone()),
            None => Err(Stop::new("optional.none() dereference")),
        },
        ("or", [V::Optional(of), other]) if member => {
            Ok(if of.is_some() { V::Optional(of.clone()) } else { other.clone() })
        }
        ("orValue", [V::Optional(of), other]) if member => {
            Ok(of.as_ref().map_or_else(|| other.clone(), |of| (**of).clone()))
        }
        ("optional.unwrap" | "unwrapOpt", [V::List(list)]) => {
            run.pay_each(list.len()).and_then(|()| {
                let mut all = Vec::new();
                for value in list.values() {
                    match value? {
                        V::Optional(of) => all.extend(of.map(|of| (*of).clone())),
                        _ => return Err(Stop::Overload),
                    }
                }
                Ok(V::list(all))
            })
        }
        _ => return None,
    })
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => {
            true
        }
        Value::Double(value) => *value == 0.0,
        Value::Text(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.len() == 0,
        Value::Map(map) => map.len() == 0,
        Value::Optional(of) => of.is_none(),
        _ => false,
    }
}

fn size<'a>(run: &mut Run<'a>, value: &Value<'a>) -> Option<Found<'a>> {
    let n = match value {
        // Characters, not bytes.
        Value::Text(text) => match run.read(text) {
            Ok(text) => text.chars().count(),
            Err(stop) => return Some(Err(stop)),
        },
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return None,
    };
    Some(Ok(Value::Int(i64::try_from(n).unwrap_or(i64::MAX))))
}

/// Text that is a number is short.
fn number<T: std::str::FromStr>(run: &mut Run<'_>, text: &str, to: &str) -> Result<T, Stop> {
    run.pay_for(text.len())?;
    text.parse().map_err(|_| Stop::new(format!("type conversion error from '{text}' to '{to}'")))
}

#[allow(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn int<'a>(run: &mut Run<'a>, value: &Value<'a>) -> Option<Found<'a>> {
    let overflow = || Stop::new("integer overflow");
    Some(
        match value {
            Value::Int(value) => Ok(*value),
            Value::Uint(value) => i64::try_from(*value).map_err(|_| overflow()),
            Value::Double(value) => {
                if value.abs() < 9.223_372_036_854_775e18 {
                    Ok(*value as i64)
                } else {
                    Err(overflow())
                }
            }
            Value::Text(text) => number(run, text, "int"),
            Value::Timestamp(time) => Ok(time.as_second()),
            _ => return None,
        }
        .map(Value::Int),
    )
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
fn uint<'a>(run: &mut Run<'a>, value: &Value<'a>) -> Option<Found<'a>> {
    let overflow = || Stop::new("unsigned integer overflow");
    Some(
        match value {
            Value::Uint(value) => Ok(*value),
            Value::Int(value) => u64::try_from(*value).map_err(|_| overflow()),
            Value::Double(value) => {
                if (0.0..1.844_674_407_370_955e19).contains(value) {
                    Ok(*value as u64)
                } else {
                    Err(overflow())
                }
            }
            Value::Text(text) => number(run, text, "uint"),
            _ => return None,
        }
        .map(Value::Uint),
    )
}

#[allow(clippy::cast_precision_loss, reason = "as upstream converts them")]
fn double<'a>(run: &mut Run<'a>, value: &Value<'a>) -> Option<Found<'a>> {
    Some(
        match value {
            Value::Double(value) => Ok(*value),
            Value::Int(value) => Ok(*value as f64),
            Value::Uint(value) => Ok(*value as f64),
            Value::Text(text) => number(run, text, "double"),
            _ => return None,
        }
        .map(Value::Double),
    )
}

/// What `string` makes of a value.
pub(super) fn text_of(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Text(text) => text.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => double_text(*value),
        Value::Timestamp(time) => time.to_string(),
        Value::Duration(span) => time::seconds(*span),
        Value::Opaque(opaque) => match &**opaque {
            Opaque::Ip(ip) => ip.to_string(),
            Opaque::Cidr(ip, length) => format!("{ip}/{length}"),
            _ => return None,
        },
        _ => return None,
    })
}

/// A number as Go writes it with the fewest digits.
pub(super) fn double_text(value: f64) -> String {
    if value.is_infinite() {
        return if 0.0 < value { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{value:e}");
        if let Some((digits, power)) = text.split_once('e') {
            let (sign, power) = match power.strip_prefix('-') {
                Some(power) => ('-', power),
                None => ('+', power),
            };
            return format!("{digits}e{sign}{power:0>2}");
        }
    }
    value.to_string()
}
