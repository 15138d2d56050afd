//! Texts that are read as something else: amounts, times, bytes. What cannot be read is refused in the words of the type that reads it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moat_model::Quantity;

const QUANTITY: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// What is wrong with a text of a format.
pub(super) fn wrong(format: &str, text: &str) -> Option<String> {
    match format {
        "quantity" if Quantity::parse(text).is_none() => Some(QUANTITY.to_owned()),
        "date-time" if text.parse::<jiff::Timestamp>().is_err() => Some(time(text)),
        // Go's decoder passes over line breaks, and manifests have them.
        "byte" => STANDARD.decode(text.replace(['\r', '\n'], "")).err().map(|error| {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
                    text.len() / 4 * 4
                }
            };
            format!("illegal base64 data at input byte {at}")
        }),
        _ => None,
    }
}

/// Go names the part at which it could not go on; for what begins with no year at all that is the year.
fn time(text: &str) -> String {
    let part = if text.get(..4).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit())) {
        "-"
    } else {
        "2006"
    };
    let rest = if part == "-" { text.get(4..).unwrap_or_default() } else { text };
    format!(
        "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {rest:?} as {part:?}"
    )
}

#[cfg(test)]
mod tests {
    use super::wrong;

    #[test]
    fn texts_of_a_format_are_read_or_refused() {
        for (format, text) in [
            ("quantity", "100m"),
            ("quantity", "1Gi"),
            ("date-time", "2026-01-01T00:00:00Z"),
            ("date-time", "2026-01-01T00:00:00.000001Z"),
            ("date-time", "2026-01-01T02:00:00+02:00"),
            ("byte", "AAA="),
            ("byte", ""),
            ("", "anything"),
        ] {
            assert_eq!(wrong(format, text), None, "{format} {text}");
        }
        assert!(wrong("quantity", "abc").is_some());
        let why = r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#;
        assert_eq!(wrong("date-time", "x").as_deref(), Some(why));
        let why = "illegal base64 data at input byte 0";
        assert_eq!(wrong("byte", "%%%").as_deref(), Some(why));
    }
}
