//! What a plain scalar means: as `kubectl` reads it, which is YAML 1.1 with exceptions.
//!
//! `kubectl` converts YAML to JSON with `sigs.k8s.io/yaml`, whose `goyaml.v2/resolve.go` knows these words besides numbers:
//! `{true, yaml_BOOL_TAG, []string{"y", "Y", "yes", "Yes", "YES"}}`, `{"true", "True", "TRUE"}`, `{"on", "On", "ON"}`,
//! `{false, yaml_BOOL_TAG, []string{"n", "N", "no", "No", "NO"}}`, `{"false", "False", "FALSE"}`, `{"off", "Off", "OFF"}`,
//! `{nil, yaml_NULL_TAG, []string{"", "~", "null", "Null", "NULL"}}`, and `.nan`, `.inf`, `+.inf`, `-.inf` in three cases.
//! Integers are `strings.Replace(in, "_", "", -1)` then `strconv.ParseInt(plain, 0, 64)`: `0x`, `0o`, `0b` and a leading 0 for
//! octal. Floats match `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`. Timestamps stay text. The way through JSON
//! makes whole floats integers: `80.0` is the port 80.

use moat_model::Data;
use std::borrow::Cow;

/// The meaning of a plain scalar.
pub(crate) fn resolve(text: &str) -> Data {
    let found = match text.as_bytes().first() {
        None => Some(Data::Null),
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => {
            word(text)
        }
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(text),
        Some(_) => None,
    };
    found.unwrap_or_else(|| Data::String(text.into()))
}

/// A number of JSON or a decimal one of YAML: whole ones that fit become integers.
pub(crate) fn decimal(text: &str) -> Data {
    if let Ok(number) = text.parse() {
        return Data::Int(number);
    }
    match text.parse::<f64>() {
        // Up to here every whole float is exact, so that nothing as written is lost.
        Ok(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
            Data::Int(number as i64)
        }
        _ => Data::Float(text.into()),
    }
}

/// The text of a key that is no string; `None` for null, which no JSON key can be.
pub(crate) fn key_text(data: Data) -> Option<Box<str>> {
    Some(match data {
        Data::String(text) => text,
        Data::Bool(true) => "true".into(),
        Data::Bool(false) => "false".into(),
        Data::Int(number) => number.to_string().into(),
        Data::Float(text) => float_key(&text),
        Data::Null | Data::List(_) | Data::Map(_) => return None,
    })
}

fn word(text: &str) -> Option<Data> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Data::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Data::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Data::Null,
        _ => return None,
    })
}

fn number(text: &str) -> Option<Data> {
    if let Some(rest) = text.strip_prefix(['+', '-']).unwrap_or(text).strip_prefix('.')
        && (matches!(rest, "inf" | "Inf" | "INF")
            || (matches!(rest, "nan" | "NaN" | "NAN") && text.starts_with('.')))
    {
        return Some(Data::Float(text.into()));
    }
    // A float that starts with its point may have no underscores: Go parses that one as written.
    let plain = if text.contains('_') && !text.starts_with('.') {
        Cow::from(text.replace('_', ""))
    } else {
        text.into()
    };
    if let Some(number) = integer(&plain) {
        return Some(number);
    }
    (is_yaml_style_float(&plain) && plain.parse::<f64>().is_ok_and(f64::is_finite))
        .then(|| decimal(&plain))
}

/// Go's `ParseInt(plain, 0, 64)`, then `ParseUint`.
fn integer(plain: &str) -> Option<Data> {
    let (sign, digits) = match plain.as_bytes().first()? {
        b'+' => ("", &plain[1..]),
        b'-' => ("-", &plain[1..]),
        _ => ("", plain),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Rust would take a second sign.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let number = if sign.is_empty() { magnitude } else { -magnitude };
    match i64::try_from(number) {
        Ok(number) => Some(Data::Int(number)),
        Err(_) if number > 0 && plain.starts_with(|c: char| c.is_ascii_digit()) => {
            Some(Data::Float(number.to_string().into()))
        }
        Err(_) => None,
    }
}

fn is_yaml_style_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
        }
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// `strconv.FormatFloat(typedKey, 'g', -1, 32)`, as `sigs.k8s.io/yaml` makes keys of floats.
fn float_key(text: &str) -> Box<str> {
    let number = match text.parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, reason = "the key is made of 32 bits, as in Go")]
        Ok(number) => number as f32,
        Err(_) => return text.to_ascii_lowercase().trim_start_matches('+').into(),
    };
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return text.into() };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs()).into()
        }
        _ => number.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(text: &str) -> Data {
        Data::Float(text.into())
    }

    #[test]
    fn words() {
        for text in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] {
            assert_eq!(resolve(text), Data::Bool(true), "{text}");
        }
        for text in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] {
            assert_eq!(resolve(text), Data::Bool(false), "{text}");
        }
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(resolve(text), Data::Null, "{text}");
        }
        for text in ["yEs", "tRue", "nUll", "~x", "oN", "nil", "none", "x"] {
            assert_eq!(resolve(text), Data::String(text.into()), "{text}");
        }
    }

    #[test]
    fn integers() {
        for (text, number) in [
            ("0", 0),
            ("80", 80),
            ("-1", -1),
            ("+12", 12),
            ("0777", 511),
            ("0o17", 15),
            ("0x1F", 31),
            ("0XfF", 255),
            ("-0x10", -16),
            ("0b101", 5),
            ("-0b101", -5),
            ("1_000", 1000),
            ("08", 8),
            ("80.0", 80),
            ("1e3", 1000),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(resolve(text), Data::Int(number), "{text}");
        }
    }

    #[test]
    fn floats_stay_as_written() {
        for text in
            ["1.5", "-.5", ".5", "1.5e-3", "1e300", ".inf", "-.Inf", "+.INF", ".nan", ".NaN"]
        {
            assert_eq!(resolve(text), float(text), "{text}");
        }
        assert_eq!(resolve("9223372036854775808"), float("9223372036854775808"));
        assert_eq!(resolve("99999999999999999999999"), float("99999999999999999999999"));
    }

    #[test]
    fn what_looks_like_a_number_and_is_none() {
        for text in [
            "10.0.0.0/8",
            "1.2.3",
            "0x",
            "0xg",
            "0o8",
            "--1",
            "+-1",
            "-",
            "+",
            ".",
            "..",
            "1e",
            "e1",
            ".e1",
            "1e400",
            "2001-01-01",
            "2001-12-14T21:59:43Z",
            "1:30",
            "-.nan",
            "+.nan",
            "1e+",
            "5m",
            "100Mi",
            "- 1",
            "0x-1",
            "_1",
        ] {
            assert_eq!(resolve(text), Data::String(text.into()), "{text}");
        }
    }

    #[test]
    fn keys() {
        let key = |text: &str| key_text(resolve(text));
        for (text, expected) in [
            ("app", "app"),
            ("80", "80"),
            ("0x10", "16"),
            ("yes", "true"),
            ("Off", "false"),
            ("1.10", "1.1"),
            ("1e-7", "1e-07"),
            ("1e30", "1e+30"),
            (".INF", ".inf"),
            ("+.inf", ".inf"),
            ("-.Inf", "-.inf"),
            ("1.0", "1"),
        ] {
            assert_eq!(key(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(key("~"), None);
    }
}
