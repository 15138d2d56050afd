//! Values of a run. What comes from JSON stays there until it is looked at.

use crate::types::Type;
use jiff::Timestamp;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

/// A value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint`.
    Uint(u64),
    /// `double`.
    Double(f64),
    /// `string`.
    Text(Text<'a>),
    /// `bytes`.
    Bytes(Rc<[u8]>),
    /// A time.
    Timestamp(Timestamp),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// A list.
    List(List<'a>),
    /// A map or an object.
    Map(Map<'a>),
    /// An optional value.
    Optional(Option<Rc<Value<'a>>>),
    /// A type by its name.
    Type(Rc<str>),
    /// A value of a library.
    Opaque(Rc<Opaque>),
}

/// Text that is shared, so that to copy it costs nothing.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// Text of the expression or the object.
    Borrowed(&'a str),
    /// Text that was made.
    Shared(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

/// A list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// Elements in JSON, and the type of the list.
    Json(&'a [Json], &'a Type),
    /// Elements that were made.
    Made(Rc<Vec<Value<'a>>>),
}

/// A map or an object.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// Entries in JSON, and the type of the map or object.
    Json(&'a serde_json::Map<String, Json>, &'a Type),
    /// Entries that were made.
    Made(Rc<BTreeMap<Key, Value<'a>>>),
}

/// A key of a map. Numbers that are equal are one key, whatever their type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `bool`.
    Bool(bool),
    /// `int`, and `uint` where it fits.
    Int(i64),
    /// What is too large for an `int`.
    Uint(u64),
    /// `string`.
    Text(Rc<str>),
}

/// A value of a library.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Opaque {
    /// A URL in its parts.
    Url(crate::fns::url::Url),
    /// An address.
    Ip(std::net::IpAddr),
    /// A range of addresses, with the address as it was written.
    Cidr(std::net::IpAddr, u8),
    /// A quantity.
    Quantity(crate::fns::quantity::Quantity),
    /// A version.
    Semver(crate::fns::semver::Semver),
    /// A named format.
    Format(&'static str),
}

impl Value<'_> {
    /// A map of values by names.
    pub fn record(all: &[(&str, Self)]) -> Self {
        let entries = all.iter().map(|(name, value)| (Key::Text(Rc::from(*name)), value.clone()));
        Self::map(entries.collect())
    }
}

impl Value<'_> {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into().into())
    }

    pub(crate) fn list(all: Vec<Self>) -> Self {
        Self::List(List::Made(Rc::new(all)))
    }

    pub(crate) fn map(all: BTreeMap<Key, Self>) -> Self {
        Self::Map(Map::Made(Rc::new(all)))
    }

    pub(crate) fn some(value: Self) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// An optional value that may not be there.
    pub fn optional(value: Option<Self>) -> Self {
        Self::Optional(value.map(Rc::new))
    }

    /// The text of a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a `bool`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn opaque(value: Opaque) -> Self {
        Self::Opaque(Rc::new(value))
    }

    /// The key that a value is.
    pub(crate) fn key(&self) -> Option<Key> {
        Some(match self {
            Self::Bool(value) => Key::Bool(*value),
            Self::Int(value) => Key::Int(*value),
            Self::Uint(value) => i64::try_from(*value).map_or(Key::Uint(*value), Key::Int),
            #[allow(
                clippy::cast_possible_truncation,
                reason = "only whole numbers come here, and others are no keys"
            )]
            Self::Double(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                Key::Int(*value as i64)
            }
            Self::Text(text) => Key::Text(Rc::from(&**text)),
            _ => return None,
        })
    }

    /// The name of the value's type, which is what `type` answers.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Opaque(opaque) => match **opaque {
                Opaque::Url(_) => "kubernetes.URL",
                Opaque::Ip(_) => "net.IP",
                Opaque::Cidr(..) => "net.CIDR",
                Opaque::Quantity(_) => "kubernetes.Quantity",
                Opaque::Semver(_) => "kubernetes.Semver",
                Opaque::Format(_) => "kubernetes.NamedFormat",
            },
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Text::Borrowed(text))
    }
}

impl Key {
    pub(crate) fn value<'a>(&self) -> Value<'a> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::Text(text) => Value::Text(Text::Shared(Rc::clone(text))),
        }
    }
}
