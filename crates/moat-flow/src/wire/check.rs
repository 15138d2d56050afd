//! What is wrong with a line that is no record: the field, and what it must be.
//!
//! Lines are read by types alone, which is fast but names no field when one is wrong. Only a line that they refuse comes here.

use super::words::Written;
use super::{EndKind, Fault};
use crate::packet::TcpFlags;
use crate::record::Verdict;
use crate::time::Time;
use moat_ir::Direction;
use moat_sets::{Protocol, mistakes};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// A field of an object.
struct Field {
    name: &'static str,
    needed: bool,
    kind: Kind,
}

/// What a field must be.
enum Kind {
    Text,
    /// A string of a fixed form: whether it is one, and what that is.
    Word(fn(&str) -> bool, &'static str),
    /// A whole number up to this one.
    Number(u64),
    Bool,
    Object(&'static [Field]),
    List(&'static [Field]),
}

const fn needed(name: &'static str, kind: Kind) -> Field {
    Field { name, needed: true, kind }
}

const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, needed: false, kind }
}

const fn word<T: Written>() -> Kind {
    Kind::Word(|text| T::read(text).is_some(), T::WHAT)
}

const BYTE: Kind = Kind::Number(u8::MAX as u64);
const SHORT: Kind = Kind::Number(u16::MAX as u64);
const ADDRESS: Kind = Kind::Word(|text| text.parse::<IpAddr>().is_ok(), "an IPv4 or IPv6 address");

const RECORD: &[Field] = &[
    needed("schema", Kind::Text),
    needed("time", word::<Time>()),
    needed("node", Kind::Text),
    needed("direction", word::<Option<Direction>>()),
    needed("verdict", word::<Verdict>()),
    optional("staged", Kind::Bool),
    optional("unprogrammed", Kind::Bool),
    needed("protocol", word::<Protocol>()),
    optional("protocolNumber", BYTE),
    needed("source", Kind::Object(END)),
    needed("destination", Kind::Object(END)),
    optional("icmp", Kind::Object(ICMP)),
    optional("tcpFlags", word::<TcpFlags>()),
    needed("length", Kind::Number(u32::MAX as u64)),
    optional("rules", Kind::List(RULE)),
    optional("isolatedBy", Kind::List(POLICY)),
    optional("default", Kind::Bool),
    optional("unknownReason", Kind::Text),
    optional("unknownPrefix", Kind::Text),
    needed("epoch", Kind::Number(u64::MAX)),
];

const END: &[Field] = &[
    needed("kind", word::<EndKind>()),
    needed("name", Kind::Text),
    needed("address", ADDRESS),
    optional("port", SHORT),
];

const ICMP: &[Field] = &[needed("type", BYTE), needed("code", BYTE), optional("id", SHORT)];

const RULE: &[Field] = &[
    needed("policy", Kind::Text),
    needed("rule", Kind::Text),
    optional("name", Kind::Text),
    optional("peer", Kind::Text),
    optional("place", Kind::Text),
];

const POLICY: &[Field] = &[needed("policy", Kind::Text), optional("place", Kind::Text)];

/// What is wrong with a line, when it is a field.
pub(crate) fn fault(line: &str) -> Option<Fault> {
    let Ok(Value::Object(object)) = serde_json::from_str(line) else { return None };
    of_object(RECORD, &object, "")
}

fn of_object(fields: &[Field], object: &Map<String, Value>, within: &str) -> Option<Fault> {
    fields.iter().find_map(|field| {
        let path = format!("{within}{}", field.name);
        match object.get(field.name) {
            None if field.needed => {
                let near = object.keys().find(|key| {
                    !fields.iter().any(|field| field.name == *key)
                        && mistakes(key, field.name).is_some()
                });
                let help = near.map(|near| format!("is `{near}` meant to be `{}`?", field.name));
                Some(Fault { field: path, message: "is missing".to_owned(), help })
            }
            // A field that may be missing may as well be null, unless it is a flag.
            None => None,
            Some(Value::Null) if !field.needed && !matches!(field.kind, Kind::Bool) => None,
            Some(value) => of_value(&field.kind, value, &path),
        }
    })
}

fn of_value(kind: &Kind, value: &Value, path: &str) -> Option<Fault> {
    let must = match (kind, value) {
        (Kind::Text, Value::String(_)) | (Kind::Bool, Value::Bool(_)) => return None,
        (Kind::Text, _) => "a string".to_owned(),
        (Kind::Bool, _) => "true or false".to_owned(),
        (Kind::Word(is, _), Value::String(text)) if is(text) => return None,
        (Kind::Word(_, what), _) => (*what).to_owned(),
        (Kind::Number(most), Value::Number(number))
            if number.as_u64().is_some_and(|number| number <= *most) =>
        {
            return None;
        }
        (Kind::Number(most), _) => format!("a whole number from 0 to {most}"),
        (Kind::Object(fields), Value::Object(object)) => {
            return of_object(fields, object, &format!("{path}."));
        }
        (Kind::Object(_), _) => "an object".to_owned(),
        (Kind::List(fields), Value::Array(items)) => {
            return items.iter().enumerate().find_map(|(at, item)| match item {
                Value::Object(object) => of_object(fields, object, &format!("{path}[{at}].")),
                _ => Some(wrong(item, &format!("{path}[{at}]"), "an object")),
            });
        }
        (Kind::List(_), _) => "a list".to_owned(),
    };
    Some(wrong(value, path, &must))
}

fn wrong(value: &Value, path: &str, must: &str) -> Fault {
    let is = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() <= 40 => {
            format!("`{}`", crate::text::clean(text))
        }
        Value::String(_) => "another string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    Fault { field: path.to_owned(), message: format!("is {is} and must be {must}"), help: None }
}
