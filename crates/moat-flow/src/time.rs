//! Points in time as RFC 3339 writes them, in UTC, to the microsecond.

use core::fmt;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z; never after the year 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(u64);

const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400;

impl Time {
    /// From nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos / 1_000)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn micros(self) -> u64 {
        self.0
    }

    /// As much earlier; 1970-01-01T00:00:00Z at the earliest.
    #[must_use]
    pub fn earlier(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds.saturating_mul(SECOND)))
    }

    /// The time of day to the millisecond: `12:34:56.789`.
    #[must_use]
    pub fn of_day(self) -> String {
        let (hour, minute, second) = self.clock();
        format!("{hour:02}:{minute:02}:{second:02}.{:03}", self.0 % SECOND / 1_000)
    }

    fn clock(self) -> (u64, u64, u64) {
        let seconds = self.0 / SECOND % DAY;
        (seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }

    /// Reads a time as RFC 3339 writes it, with any offset and any number of digits behind the second; what is finer than a
    /// microsecond is cut off. `None` for anything else, and for times before 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<u64> {
            bytes.get(from..to)?.iter().try_fold(0, |sum, byte| {
                byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
            })
        };
        let is =
            |at: usize, one: u8| bytes.get(at).is_some_and(|byte| byte.to_ascii_uppercase() == one);
        if !(is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':')) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        // A leap second is :60, and becomes the second after it.
        if year < 1 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        if day < 1 || day > days_in(year, month) {
            return None;
        }
        let mut at = 19;
        let mut micros = 0;
        if is(at, b'.') {
            at += 1;
            let first = at;
            let mut worth = SECOND / 10;
            while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
                micros += u64::from(digit - b'0') * worth;
                worth /= 10;
                at += 1;
            }
            if at == first {
                return None;
            }
        }
        let offset = if is(at, b'Z') && bytes.len() == at + 1 {
            0
        } else if (is(at, b'+') || is(at, b'-')) && is(at + 3, b':') && bytes.len() == at + 6 {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::try_from(hours * 3_600 + minutes * 60).ok()?;
            if is(at, b'+') { seconds } else { -seconds }
        } else {
            return None;
        };
        let days = days_before(year, month, day)?;
        let seconds =
            (days * DAY + hour * 3_600 + minute * 60 + second).checked_add_signed(-offset)?;
        (seconds < END).then(|| Self(seconds * SECOND + micros))
    }
}

/// Seconds until 10000-01-01T00:00:00Z, which RFC 3339 cannot write.
const END: u64 = 253_402_300_800;

impl fmt::Display for Time {
    /// `2026-01-31T12:34:56.000789Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0 / SECOND / DAY);
        let (hour, minute, second) = self.clock();
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        // One buffer and one write: every record that is written has a time.
        let mut put = |at: usize, n_digits: usize, mut number: u64| {
            for slot in text.iter_mut().skip(at).take(n_digits).rev() {
                *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
                number /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, hour);
        put(14, 2, minute);
        put(17, 2, second);
        put(20, 6, self.0 % SECOND);
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

fn days_in(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 0000-03-01, where the arithmetic starts, to 1970-01-01.
const EPOCH: u64 = 719_468;
/// Days of the 400 years after which the calendar repeats.
const ERA: u64 = 146_097;

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap day is the last:
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    (era * ERA + day_of_era).checked_sub(EPOCH)
}

/// The date so many days after 1970-01-01: `civil_from_days` of the same source.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH;
    let (era, of_era) = (days / ERA, days % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}
