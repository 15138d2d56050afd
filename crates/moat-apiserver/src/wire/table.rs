//! The table of messages: which field number is which JSON field. It is data (`data/protobuf.txt.gz`), unpacked at first use.
//!
//! A line `= v1.Pod` begins a message, named by its group, version and kind. The others are its fields: number, JSON name, type, flags. Flags:
//! `*` a list, `%` a map by text, `?` a pointer in Go (so that missing differs from zero), `i` its fields are written among the owner's, `o`
//! Go's `omitempty`, `z` Go's `omitzero`.

use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::LazyLock;

const PACKED: &[u8] = include_bytes!("../../data/protobuf.txt.gz");

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::new();
    // A test reads them, so a build that passed its tests cannot fail here.
    let _ = GzDecoder::new(PACKED).read_to_string(&mut text);
    text
});

static TABLE: LazyLock<Vec<Message>> = LazyLock::new(|| read(&TEXT));

static NAMES: LazyLock<BTreeMap<&'static str, usize>> =
    LazyLock::new(|| TABLE.iter().enumerate().map(|(at, message)| (message.name, at)).collect());

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    /// In the order of their numbers.
    pub(super) fields: Vec<Field>,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) json: &'static str,
    pub(super) kind: Type,
    pub(super) label: Label,
    pub(super) inline: bool,
    pub(super) omit_empty: bool,
    pub(super) omit_zero: bool,
}

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// Always, at least as its zero.
    Value,
    /// At most once.
    Pointer,
    List,
    Map,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Bytes,
    Bool,
    Int32,
    Int64,
    Double,
    Message(usize),
    Special(Special),
}

/// Messages that JSON writes in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    IntOrString,
    Quantity,
    Time,
    MicroTime,
    Duration,
    /// Bytes that are JSON themselves.
    Raw,
    /// A list of texts that is a message of its own: `Verbs`, `ExtraValue`.
    Strings,
    SchemaOrArray,
    SchemaOrBool,
    SchemaOrStrings,
}

/// The message of a kind.
pub(super) fn find(api_version: &str, kind: &str) -> Option<&'static Message> {
    NAMES.get(format!("{api_version}.{kind}").as_str()).and_then(|at| TABLE.get(*at))
}

/// The place of a message in the table, by its whole name.
pub(super) fn index(name: &str) -> Option<usize> {
    NAMES.get(name).copied()
}

/// The message that a field refers to.
pub(super) fn message(at: usize) -> Option<&'static Message> {
    TABLE.get(at)
}

/// All messages.
pub(super) fn all() -> &'static [Message] {
    &TABLE
}

fn read(text: &'static str) -> Vec<Message> {
    let names: BTreeMap<&str, usize> =
        text.lines().filter_map(|line| line.strip_prefix("= ")).zip(0..).collect();
    let mut messages: Vec<Message> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("= ") {
            messages.push(Message { name, fields: Vec::new() });
        } else if let (Some(message), Some(field)) = (messages.last_mut(), field(line, &names)) {
            message.fields.push(field);
        }
    }
    messages
}

fn field(line: &'static str, names: &BTreeMap<&str, usize>) -> Option<Field> {
    let mut words = line.split(' ');
    let (number, json, kind, flags) =
        (words.next()?.parse().ok()?, words.next()?, words.next()?, words.next()?);
    let kind = match kind {
        "string" => Type::Text,
        "bytes" => Type::Bytes,
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "double" => Type::Double,
        "IntOrString" => Type::Special(Special::IntOrString),
        "Quantity" => Type::Special(Special::Quantity),
        "Time" => Type::Special(Special::Time),
        "MicroTime" => Type::Special(Special::MicroTime),
        "Duration" => Type::Special(Special::Duration),
        "Raw" => Type::Special(Special::Raw),
        "Strings" => Type::Special(Special::Strings),
        "SchemaOrArray" => Type::Special(Special::SchemaOrArray),
        "SchemaOrBool" => Type::Special(Special::SchemaOrBool),
        "SchemaOrStrings" => Type::Special(Special::SchemaOrStrings),
        name => Type::Message(*names.get(name)?),
    };
    let label = match flags {
        _ if flags.contains('*') => Label::List,
        _ if flags.contains('%') => Label::Map,
        _ if flags.contains('?') => Label::Pointer,
        _ => Label::Value,
    };
    let flag = |letter| flags.contains(letter);
    Some(Field {
        number,
        json,
        kind,
        label,
        inline: flag('i'),
        omit_empty: flag('o'),
        omit_zero: flag('z'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let fields: usize = all().iter().map(|message| message.fields.len()).sum();
        assert_eq!(all().len() + fields, TEXT.lines().count());
        assert!(600 < all().len(), "{}", all().len());
        for message in all() {
            assert!(message.fields.is_sorted_by_key(|field| field.number), "{}", message.name);
        }
    }
}
