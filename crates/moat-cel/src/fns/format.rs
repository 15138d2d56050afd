//! `format`: text with places for values.

use super::Found;
use super::standard::{double_text, text_of};
use crate::error::Stop;
use crate::eval::Run;
use crate::value::{List, Value};

/// Digits behind the point.
const PRECISION_MAX: usize = 100;
/// Levels of nested values that are shown.
const DEPTH_MAX: usize = 64;

pub(super) fn format<'a>(run: &mut Run<'a>, text: &str, values: &List<'a>) -> Found<'a> {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    let mut next = 0;
    while let Some(c) = letters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if letters.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let precision =
            match letters.next_if_eq(&'.') {
                None => None,
                Some(_) => {
                    let mut digits = String::new();
                    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                        digits.push(digit);
                    }
                    let precision = digits.parse::<usize>().ok().filter(|n| *n <= PRECISION_MAX);
                    Some(precision.ok_or_else(|| {
                        Stop::new("could not parse formatting clause: bad precision")
                    })?)
                }
            };
        let verb = letters.next().ok_or_else(|| {
            Stop::new("could not parse formatting clause: unexpected end of string")
        })?;
        let value =
            values.get(next).ok_or_else(|| Stop::new(format!("index {next} out of range")))??;
        next += 1;
        let made = clause(run, verb, precision, &value)?;
        run.pay_for(made.len())?;
        out.push_str(&made);
    }
    Ok(Value::text(out))
}

fn clause<'a>(
    run: &mut Run<'a>,
    verb: char,
    precision: Option<usize>,
    value: &Value<'a>,
) -> Result<String, Stop> {
    use Value as V;
    let wrong = |what: &str| {
        Stop::new(format!(
            "error during formatting: {what} clause can not be used on {}",
            value.type_name()
        ))
    };
    Ok(match (verb, value) {
        ('s', value) => shown(run, value, 0)?,
        ('d', V::Int(n)) => n.to_string(),
        ('d', V::Uint(n)) => n.to_string(),
        ('d', V::Double(n)) if !n.is_finite() => special(*n),
        ('d', _) => return Err(wrong("decimal")),
        ('f' | 'e', value) => {
            let number = match value {
                V::Double(n) => *n,
                #[allow(clippy::cast_precision_loss, reason = "it is shown with few digits")]
                V::Int(n) => *n as f64,
                #[allow(clippy::cast_precision_loss, reason = "it is shown with few digits")]
                V::Uint(n) => *n as f64,
                _ => return Err(wrong("fixed-point")),
            };
            let digits = precision.unwrap_or(6);
            if !number.is_finite() {
                special(number)
            } else if verb == 'f' {
                format!("{number:.digits$}")
            } else {
                scientific(number, digits)
            }
        }
        ('b', V::Bool(value)) => u8::from(*value).to_string(),
        ('b', V::Uint(n)) => format!("{n:b}"),
        ('b', V::Int(n)) => signed(*n, |n| format!("{n:b}")),
        ('b', _) => return Err(wrong("binary")),
        ('o', V::Uint(n)) => format!("{n:o}"),
        ('o', V::Int(n)) => signed(*n, |n| format!("{n:o}")),
        ('o', _) => return Err(wrong("octal")),
        ('x', V::Uint(n)) => format!("{n:x}"),
        ('x', V::Int(n)) => signed(*n, |n| format!("{n:x}")),
        ('X', V::Uint(n)) => format!("{n:X}"),
        ('X', V::Int(n)) => signed(*n, |n| format!("{n:X}")),
        ('x' | 'X', V::Text(text)) => bytes(run, text.as_bytes(), verb)?,
        ('x' | 'X', V::Bytes(all)) => bytes(run, all, verb)?,
        ('x' | 'X', _) => return Err(wrong("hexadecimal")),
        (other, _) => {
            return Err(Stop::new(format!(
                "could not parse formatting clause: unrecognized formatting clause {other:?}"
            )));
        }
    })
}

fn signed(n: i64, digits: fn(u64) -> String) -> String {
    let sign = if n < 0 { "-" } else { "" };
    format!("{sign}{}", digits(n.unsigned_abs()))
}

fn bytes(run: &mut Run<'_>, all: &[u8], verb: char) -> Result<String, Stop> {
    run.pay_for(all.len())?;
    let digits = all.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let lower: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    Ok(if verb == 'X' { lower.to_uppercase() } else { lower })
}

fn special(number: f64) -> String {
    match (number.is_nan(), 0.0 < number) {
        (true, _) => "NaN".to_owned(),
        (_, true) => "Infinity".to_owned(),
        _ => "-Infinity".to_owned(),
    }
}

fn scientific(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{mantissa}e{sign}{power:0>2}")
}

/// What `%s` shows.
fn shown<'a>(run: &mut Run<'a>, value: &Value<'a>, depth: usize) -> Result<String, Stop> {
    run.pay(1)?;
    if DEPTH_MAX <= depth {
        return Err(Stop::new("values are nested too deep to be shown"));
    }
    let made = match value {
        Value::Null => "null".to_owned(),
        Value::Double(number) if number.is_finite() => double_text(*number),
        Value::Double(number) => special(*number),
        Value::Type(name) => name.to_string(),
        Value::Bytes(all) => String::from_utf8_lossy(all).into_owned(),
        Value::List(list) => {
            let all: Result<Vec<String>, Stop> =
                list.values().map(|value| value.and_then(|value| shown(run, &value, depth + 1))).collect();
            format!("[{}]", all?.join(", "))
        }
        Value::Map(map) => {
            let mut all = Vec::new();
            for (key, value) in map.entries()? {
                all.push(format!("{}: {}", shown(run, &key, depth + 1)?, shown(run, &value, depth + 1)?));
            }
            all.sort_unstable();
            format!("{{{}}}", all.join(", "))
        }
        other => text_of(other).ok_or_else(|| {
            let kind = other.type_name();
            Stop::new(format!("error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given {kind}"))
        })?,
    };
    run.pay_for(made.len())?;
    Ok(made)
}
