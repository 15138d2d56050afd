//! Formats by name, with the API server's words for what does not have one.

use super::{Found, url};
use crate::error::Stop;
use crate::eval::Run;
use crate::value::{Opaque, Value};
use base64::Engine;
use moat_model::validate;

const NAMES: &[&str] = &[
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

fn known(name: &str) -> Option<&'static str> {
    NAMES.iter().copied().find(|one| *one == name)
}

pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    member: bool,
    args: &[Value<'a>],
) -> Option<Found<'a>> {
    let format = |name: &'static str| Value::opaque(Opaque::Format(name));
    match (name, args) {
        ("format.named", [Value::Text(name)]) => Some(Ok(Value::optional(known(name).map(format)))),
        (name, []) => known(name.strip_prefix("format.")?).map(|name| Ok(format(name))),
        ("validate", [Value::Opaque(of), Value::Text(text)]) if member => {
            let Opaque::Format(format) = **of else { return None };
            Some(validated(run, format, text))
        }
        _ => None,
    }
}

fn validated<'a>(run: &mut Run<'a>, format: &str, text: &str) -> Found<'a> {
    run.pay_for(text.len())?;
    let wrong = check(format, text).ok_or(Stop::Overload)?;
    Ok(Value::optional(wrong.map(|why| Value::list(vec![Value::text(why)]))))
}

/// What is wrong with a text. `None` where there is no such format.
fn check(format: &str, text: &str) -> Option<Option<String>> {
    // What is generated ends with letters that follow, so a prefix may end with a dash.
    let prefix = text
        .strip_suffix('-')
        .filter(|rest| !rest.is_empty())
        .map_or_else(|| text.to_owned(), |rest| format!("{rest}a"));
    let said = |right: bool, why: &str| (!right).then(|| why.to_owned());
    Some(match format {
        "dns1123Label" => validate::dns_label(text),
        "dns1123LabelPrefix" => validate::dns_label(&prefix),
        "dns1123Subdomain" => validate::subdomain(text),
        "dns1123SubdomainPrefix" => validate::subdomain(&prefix),
        "dns1035Label" => validate::dns_1035_label(text),
        "dns1035LabelPrefix" => validate::dns_1035_label(&prefix),
        "qualifiedName" => validate::label_key(text),
        "labelValue" => validate::label_value(text),
        "uri" => url::Url::parse(text).err(),
        "uuid" => said(is_uuid(text), "does not match the UUID format"),
        "byte" => {
            said(base64::engine::general_purpose::STANDARD.decode(text).is_ok(), "invalid base64")
        }
        "date" => {
            said(text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(), "invalid date")
        }
        "datetime" => said(text.parse::<jiff::Timestamp>().is_ok(), "invalid datetime"),
        _ => return None,
    })
}

fn is_uuid(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = text.bytes().filter(|byte| *byte == b'-').count();
    digits == 32 && digits + dashes == text.len() && (dashes == 0 || dashes == 4)
}
