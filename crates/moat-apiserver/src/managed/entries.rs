//! `metadata.managedFields`: who owns which fields.

use super::set::Set;
use crate::object::{meta_mut, text};
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// How a manager came to own its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// Who a manager is. The same name is another manager for another operation or another part of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: String,
}

impl Who {
    /// Whether two are one. Who applies stays the same in another version.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// As messages name them.
    pub(super) fn shown(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {:?}", self.subresource);
        }
        if self.operation == Operation::Update {
            text += &format!(" using {}", self.api_version);
        }
        text
    }
}

/// One manager's fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) who: Who,
    pub(super) time: String,
    /// As `fieldsV1`: most writes never have to look into it.
    pub(super) fields: Value,
}

impl Entry {
    pub(super) fn set(&self) -> Set {
        Set::from_json(&self.fields).unwrap_or_default()
    }

    /// Takes fields away, if it has any of them.
    pub(super) fn take(&mut self, gone: &Set) {
        if gone.meets(&self.fields) {
            self.fields = self.set().difference(gone).into_json();
        }
    }

    /// Adds fields.
    pub(super) fn add(&mut self, more: Set) {
        if !more.is_within(&self.fields) {
            self.fields = self.set().union(more).into_json();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.as_object().is_none_or(Map::is_empty)
    }

    fn read(value: &Value) -> Option<Self> {
        let operation = match text(value, "/operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let api_version = text(value, "/apiVersion").to_owned();
        if api_version.is_empty() || value["fieldsType"] != "FieldsV1" {
            return None;
        }
        let fields = value.get("fieldsV1").filter(|fields| !fields.is_null()).cloned();
        Some(Self {
            who: Who {
                manager: text(value, "/manager").to_owned(),
                operation,
                api_version,
                subresource: text(value, "/subresource").to_owned(),
            },
            time: text(value, "/time").to_owned(),
            fields: fields.unwrap_or_else(|| Value::Object(Map::new())),
        })
    }

    fn write(self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| {
            if value != "" {
                map.insert(key.to_owned(), value);
            }
        };
        put("manager", self.who.manager.into());
        put("operation", format!("{:?}", self.who.operation).into());
        put("apiVersion", self.who.api_version.into());
        put("time", self.time.into());
        put("fieldsType", "FieldsV1".into());
        put("fieldsV1", self.fields);
        put("subresource", self.who.subresource.into());
        Value::Object(map)
    }

    /// The order in which upstream writes them.
    fn order(&self, other: &Self) -> Ordering {
        let (own, others) = (&self.who, &other.who);
        own.operation
            .cmp(&others.operation)
            .then_with(|| self.time.cmp(&other.time))
            .then_with(|| own.manager.cmp(&others.manager))
            .then_with(|| own.api_version.cmp(&others.api_version))
            .then_with(|| own.subresource.cmp(&others.subresource))
    }
}

/// The entries of an object, if all of them can be read.
pub(super) fn read(object: &Value) -> Option<Vec<Entry>> {
    match &object["metadata"]["managedFields"] {
        Value::Null => Some(Vec::new()),
        Value::Array(entries) => entries
            .iter()
            .map(|entry| {
                let entry = Entry::read(entry)?;
                Set::from_json(&entry.fields)?;
                Some(entry)
            })
            .collect(),
        _ => None,
    }
}

/// The entries that were stored; they were read before they were.
pub(super) fn stored(object: &Value) -> Vec<Entry> {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().filter_map(Entry::read).collect()
}

/// Writes entries into an object.
pub(super) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.is_empty());
    let metadata = meta_mut(object);
    if entries.is_empty() {
        metadata.shift_remove("managedFields");
        return;
    }
    entries.sort_by(Entry::order);
    let entries: Vec<Value> = entries.into_iter().map(Entry::write).collect();
    metadata.insert("managedFields".to_owned(), entries.into());
}

/// Whether a writer asks to forget all of it: a list with nothing in it, or with one empty entry.
pub(super) fn is_reset(object: &Value) -> bool {
    match object["metadata"]["managedFields"].as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(|map| map.values().all(Value::is_null)),
        _ => false,
    }
}
