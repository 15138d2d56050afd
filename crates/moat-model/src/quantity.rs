//! Quantities of resources, exact to the billionth, which is the finest the API knows.

use serde_json::Value;

/// An amount of a resource. Sums are exact; only [`Quantity::value`] and [`Quantity::milli`] round, and they round up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

/// Billionths in one.
const NANO: i128 = 1_000_000_000;
/// The largest amount the API keeps; what is larger becomes it.
const MAX: i128 = 9_223_372_036_854_775_807 * NANO;
/// Digits behind the point that are kept; what follows only decides whether to round up.
const FRACTION_MAX: usize = 19;

impl Quantity {
    /// Reads the API's notation: `100m`, `1.5Gi`, `12e6`. Nothing if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let (twos, tens) = scale(suffix)?;
        let nanos = amount(whole, fraction, twos, tens).unwrap_or(MAX).min(MAX);
        Some(Self(if negative { -nanos } else { nanos }))
    }

    /// Reads a JSON value: text, or a plain number.
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// What is left; below nothing if there was less.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The API's notation, by powers of two (`Ki`) or of ten (`k`, `m`): the largest suffix that loses nothing.
    pub fn show(self, twos: bool) -> String {
        let exact = |unit: i128| self.0 % unit == 0;
        if twos && exact(NANO) && NANO * 1024 <= self.0.abs() {
            for (at, suffix) in ["Ei", "Pi", "Ti", "Gi", "Mi", "Ki"].into_iter().enumerate() {
                let unit = NANO << (60 - 10 * at);
                if self.0 != 0 && exact(unit) {
                    return format!("{}{suffix}", self.0 / unit);
                }
            }
        }
        let tens = [
            ("E", 27),
            ("P", 24),
            ("T", 21),
            ("G", 18),
            ("M", 15),
            ("k", 12),
            ("", 9),
            ("m", 6),
            ("u", 3),
            ("n", 0),
        ];
        // Powers of two have no names for thousands, and upstream falls back to those of ten only below one.
        for (suffix, power) in tens.into_iter().filter(|(_, power)| !twos || *power <= 9) {
            let unit = 10_i128.pow(power);
            if self.0 != 0 && exact(unit) {
                return format!("{}{suffix}", self.0 / unit);
            }
        }
        "0".to_owned()
    }

    /// A quantity as the API writes it, whatever way it was written in: `0.5` is `500m`, `1024Mi` is `1Gi`. Nothing if it is none.
    pub fn canonical(text: &str) -> Option<String> {
        let amount = Self::parse(text)?;
        let end = text.rfind(|c: char| c.is_ascii_alphabetic()).filter(|_| amount.0 != 0);
        let exponent = end
            .and_then(|at| text.get(at..))
            .is_some_and(|rest| rest.starts_with(['e', 'E']) && 1 < rest.len());
        let shown = amount.show(Self::counts_by_twos(text));
        if !exponent {
            return Some(shown);
        }
        // Who writes exponents reads them.
        let digits = shown.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let power = match shown.get(digits.len()..).unwrap_or_default() {
            "n" => "e-9",
            "u" => "e-6",
            "m" => "e-3",
            "k" => "e3",
            "M" => "e6",
            "G" => "e9",
            "T" => "e12",
            "P" => "e15",
            "E" => "e18",
            _ => "",
        };
        Some(format!("{digits}{power}"))
    }

    /// How many times another amount it is, as near as a number with a point comes.
    #[allow(clippy::cast_precision_loss, reason = "it is compared and shown with few digits")]
    pub fn ratio(self, other: Self) -> f64 {
        self.0 as f64 / other.0 as f64
    }

    /// Whether a text counts by powers of two: sums are shown as their first part is written.
    pub fn counts_by_twos(text: &str) -> bool {
        text.ends_with('i')
    }

    /// So many whole units.
    pub const fn whole(units: i64) -> Self {
        Self(units as i128 * NANO)
    }

    /// So many thousandths.
    pub const fn thousandths(units: i64) -> Self {
        Self(units as i128 * 1_000_000)
    }

    /// Whole units, rounded up.
    pub fn value(self) -> i64 {
        self.rounded(NANO)
    }

    /// Thousandths, rounded up: how processors are counted.
    pub fn milli(self) -> i64 {
        self.rounded(1_000_000)
    }

    /// Rounding is away from zero, as upstream has it.
    fn rounded(self, unit: i128) -> i64 {
        let up = self.0.unsigned_abs().div_ceil(unit.unsigned_abs());
        let up = i64::try_from(up).unwrap_or(i64::MAX);
        if self.0 < 0 { -up } else { up }
    }
}

impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

/// Powers of two and of ten that a suffix stands for.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            // Beyond sixty digits everything is either the largest amount or the smallest.
            let size = digits.parse::<i32>().unwrap_or(60).min(60);
            (0, if exponent.starts_with('-') { -size } else { size })
        }
    })
}

/// Billionths, rounded up; nothing if there are more than can be counted.
fn amount(whole: &str, fraction: &str, twos: u32, tens: i32) -> Option<i128> {
    let (kept, dropped) = fraction.split_at(fraction.len().min(FRACTION_MAX));
    let mut number: i128 = 0;
    for digit in whole.bytes().chain(kept.bytes()) {
        number = number.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let number = number.checked_mul(1 << twos)?;
    let power = tens + 9 - i32::try_from(kept.len()).ok()?;
    let rest = i128::from(dropped.bytes().any(|digit| digit != b'0'));
    let size = power.unsigned_abs();
    if power >= 0 {
        return if number == 0 {
            Some(rest)
        } else {
            number.checked_mul(10_i128.checked_pow(size)?)
        };
    }
    match 10_i128.checked_pow(size) {
        Some(by) => Some(number / by + i128::from(number % by + rest > 0)),
        None => Some(i128::from(number + rest > 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        let cases = [
            ("0", 0, 0),
            ("1", 1, 1000),
            ("100m", 1, 100),
            ("1.5", 2, 1500),
            (".5", 1, 500),
            ("5.", 5, 5000),
            ("0.1", 1, 100),
            ("1n", 1, 1),
            ("1u", 1, 1),
            ("1001u", 1, 2),
            ("1Ki", 1024, 1_024_000),
            ("1.1Ki", 1127, 1_126_400),
            ("0.5Gi", 536_870_912, 536_870_912_000),
            ("128Mi", 134_217_728, 134_217_728_000),
            ("12e6", 12_000_000, 12_000_000_000),
            ("12E6", 12_000_000, 12_000_000_000),
            ("1e-3", 1, 1),
            ("1E", 1_000_000_000_000_000_000, i64::MAX),
            ("7Ei", 8_070_450_532_247_928_832, i64::MAX),
            ("9Ei", i64::MAX, i64::MAX),
            ("100000000000000000000000000000000000000000000", i64::MAX, i64::MAX),
            ("1e999", i64::MAX, i64::MAX),
            ("1e-999", 1, 1),
            ("0.00000000000000000000000000000001", 1, 1),
            ("+2", 2, 2000),
            ("-1.5", -2, -1500),
        ];
        for (text, value, milli) in cases {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!((quantity.value(), quantity.milli()), (value, milli), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in
            ["", "m", ".", "1.2.3", "1 Gi", "1gi", "1K", "e3", "1e", "1e+", "--1", "0x1", "١"]
        {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_as_short_as_they_can_be() {
        let cases = [
            ("0", "0"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("2000", "2k"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1000Ki", "1000Ki"),
            ("100u", "100u"),
            ("-2", "-2"),
            ("12e6", "12M"),
        ];
        for (text, want) in cases {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!(quantity.show(Quantity::counts_by_twos(text)), want, "{text}");
        }
    }

    #[test]
    fn every_way_to_write_an_amount_has_one_that_is_kept() {
        for (text, want) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("1.1Ki", "1126400m"),
            ("1e3", "1e3"),
            ("12000E3", "12e6"),
            ("5e-1", "500e-3"),
            ("1E", "1E"),
            ("0e3", "0"),
            ("0Gi", "0"),
            ("-0.5", "-500m"),
        ] {
            assert_eq!(Quantity::canonical(text).as_deref(), Some(want), "{text}");
        }
        assert_eq!(Quantity::canonical("x"), None);
    }

    #[test]
    fn sums_round_only_at_the_end() {
        let mut sum = Quantity::default();
        for _ in 0..10 {
            sum += Quantity::parse("100u").unwrap();
        }
        assert_eq!(sum.milli(), 1, "ten times a tenth of a thousandth is one, not ten");
    }
}
