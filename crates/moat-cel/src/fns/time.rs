//! Times and spans of time, in the forms of RFC 3339 and of Go.

use super::Found;
use crate::error::Stop;
use crate::eval::Run;
use crate::value::Value;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

/// A time, or a day.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let day: Date = text.parse().ok()?;
    (text.len() == 10)
        .then(|| day.to_zoned(TimeZone::UTC).ok())
        .flatten()
        .map(|zoned| zoned.timestamp())
}

/// A span as Go writes it, or as the format `duration` of schemas takes it (`2 days`, `1w`).
pub(crate) fn duration(text: &str) -> Option<i64> {
    go_duration(text).or_else(|| {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(digits);
        let unit: i64 = match unit.trim() {
            "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
            "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
            "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000_000_000,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000_000_000,
            "d" | "day" | "days" => 86_400_000_000_000,
            "w" | "week" | "weeks" => 604_800_000_000_000,
            _ => return None,
        };
        number.parse::<i64>().ok()?.checked_mul(unit)
    })
}

/// `1h30m`, `-1.5s`, `300ms`, `0`.
pub(crate) fn go_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let units = [
            ("ns", 1),
            ("us", 1_000),
            ("µs", 1_000),
            ("μs", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000_i128),
        ];
        let (unit, size) = units.into_iter().find(|(unit, _)| after.starts_with(unit))?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || 18 < whole.len() || part.contains('.') {
            return None;
        }
        let digits =
            |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
        total += digits(whole)?.checked_mul(size)?;
        let part = &part[..part.len().min(15)];
        total += digits(part)? * size / 10_i128.pow(u32::try_from(part.len()).ok()?);
        rest = &after[unit.len()..];
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// A span in seconds, as `string` says it.
pub(super) fn seconds(span: i64) -> String {
    let (whole, part) = (span.unsigned_abs() / 1_000_000_000, span.unsigned_abs() % 1_000_000_000);
    let sign = if span < 0 { "-" } else { "" };
    let text = format!("{sign}{whole}.{part:09}");
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

pub(crate) fn add(time: Timestamp, span: i64) -> Option<Timestamp> {
    time.checked_add(SignedDuration::from_nanos(span)).ok()
}

fn zoned(time: Timestamp, zone: Option<&str>) -> Result<Zoned, Stop> {
    let Some(name) = zone else { return Ok(time.to_zoned(TimeZone::UTC)) };
    if matches!(name, "" | "UTC" | "Z") {
        return Ok(time.to_zoned(TimeZone::UTC));
    }
    let offset = || {
        let (sign, rest) = match name.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, name.strip_prefix('+').unwrap_or(name)),
        };
        let (hours, minutes) = rest.split_once(':')?;
        let seconds = hours
            .parse::<i32>()
            .ok()?
            .checked_mul(3600)?
            .checked_add(minutes.parse::<i32>().ok()?.checked_mul(60)?)?;
        Offset::from_seconds(sign * seconds).ok()
    };
    // There are no names of zones here, because their rules change and would have to come along.
    let offset = offset().ok_or_else(|| Stop::new(format!("unknown time zone {name}")))?;
    Ok(time.to_zoned(TimeZone::fixed(offset)))
}

pub(super) fn call<'a>(
    _: &mut Run<'a>,
    name: &str,
    _: bool,
    args: &[Value<'a>],
) -> Option<Found<'a>> {
    if let [Value::Duration(span)] = args {
        return Some(Ok(Value::Int(match name {
            "getHours" => span / 3_600_000_000_000,
            "getMinutes" => span / 60_000_000_000,
            "getSeconds" => span / 1_000_000_000,
            "getMilliseconds" => span / 1_000_000 % 1000,
            _ => return None,
        })));
    }
    let (time, zone) = match args {
        [Value::Timestamp(time)] => (time, None),
        [Value::Timestamp(time), Value::Text(zone)] => (time, Some(&**zone)),
        _ => return None,
    };
    let part: fn(&Zoned) -> i64 = match name {
        "getFullYear" => |time| time.year().into(),
        "getMonth" => |time| i64::from(time.month()) - 1,
        "getDayOfYear" => |time| i64::from(time.day_of_year()) - 1,
        "getDayOfMonth" => |time| i64::from(time.day()) - 1,
        "getDate" => |time| time.day().into(),
        "getDayOfWeek" => |time| time.weekday().to_sunday_zero_offset().into(),
        "getHours" => |time| time.hour().into(),
        "getMinutes" => |time| time.minute().into(),
        "getSeconds" => |time| time.second().into(),
        "getMilliseconds" => |time| time.millisecond().into(),
        _ => return None,
    };
    Some(zoned(*time, zone).map(|time| Value::Int(part(&time))))
}
