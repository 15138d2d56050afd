//! Reads mappings field by field and notes what is wrong, and which fields nobody asked for.

use moat_model::{Data, Pos, Value};
use std::collections::BTreeSet;

/// Notes errors with their places.
pub(super) struct Reader {
    file: String,
    pub(super) errors: Vec<String>,
}

impl Reader {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: vec![] }
    }

    pub(super) fn error(&mut self, pos: Pos, path: &str, why: &str) {
        let place = if pos.line == 0 {
            self.file.clone()
        } else {
            format!("{}:{}:{}", self.file, pos.line, pos.column)
        };
        let field = if path.is_empty() { String::new() } else { format!("{path}: ") };
        self.errors.push(format!("{place}: {field}{why}"));
    }
}

/// The fields of a mapping.
pub(super) struct Fields<'v> {
    value: &'v Value,
    path: String,
    used: BTreeSet<&'static str>,
}

impl<'v> Fields<'v> {
    /// The fields of a value; nothing, and an error, if it is no mapping.
    pub(super) fn of(reader: &mut Reader, value: &'v Value, path: &str) -> Option<Self> {
        if !matches!(value.data, Data::Map(_)) {
            reader.error(value.pos, path, &format!("must be a mapping, not {}", value.kind()));
            return None;
        }
        Some(Self { value, path: path.to_owned(), used: BTreeSet::new() })
    }

    fn path(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// The value of a field that is there and not null.
    pub(super) fn take(&mut self, field: &'static str) -> Option<&'v Value> {
        self.used.insert(field);
        self.value.get(field).filter(|value| !value.is_null())
    }

    /// Notes an error about a field, at the field if it is there.
    pub(super) fn wrong(&self, reader: &mut Reader, field: &str, why: &str) {
        let pos = self.value.get(field).map_or(self.value.pos, |value| value.pos);
        reader.error(pos, &self.path(field), why);
    }

    fn typed<T>(
        &mut self,
        reader: &mut Reader,
        field: &'static str,
        what: &str,
        read: impl Fn(&'v Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(field)?;
        let found = read(value);
        if found.is_none() {
            self.wrong(reader, field, &format!("must be {what}, not {}", value.kind()));
        }
        found
    }

    pub(super) fn text(&mut self, reader: &mut Reader, field: &'static str) -> Option<&'v str> {
        self.typed(reader, field, "a string", Value::as_str)
    }

    pub(super) fn bool(&mut self, reader: &mut Reader, field: &'static str) -> Option<bool> {
        self.typed(reader, field, "a boolean", |value| match value.data {
            Data::Bool(yes) => Some(yes),
            _ => None,
        })
    }

    /// A whole number within bounds.
    pub(super) fn int(
        &mut self,
        reader: &mut Reader,
        field: &'static str,
        min: i64,
        max: i64,
    ) -> Option<i64> {
        let number = self.typed(reader, field, "a whole number", Value::as_int)?;
        if !(min..=max).contains(&number) {
            self.wrong(reader, field, &format!("{number} is not in the range from {min} to {max}"));
            return None;
        }
        Some(number)
    }

    /// A list, and its path.
    pub(super) fn list(
        &mut self,
        reader: &mut Reader,
        field: &'static str,
    ) -> Option<(&'v [Value], String)> {
        let list = self.typed(reader, field, "a list", |value| match &value.data {
            Data::List(items) => Some(items.as_slice()),
            _ => None,
        })?;
        Some((list, self.path(field)))
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, reader: &mut Reader, field: &'static str) -> Vec<Box<str>> {
        let Some((items, path)) = self.list(reader, field) else { return vec![] };
        let mut all = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) => all.push(text.into()),
                None => {
                    let why = format!("must be a string, not {}", item.kind());
                    reader.error(item.pos, &format!("{path}[{at}]"), &why);
                }
            }
        }
        all
    }

    /// Notes fields that nobody asked for.
    pub(super) fn finish(self, reader: &mut Reader) {
        for entry in self.value.entries() {
            if !self.used.contains(&*entry.key) {
                reader.error(entry.key_pos, &self.path(&entry.key), "there is no such field");
            }
        }
    }
}

/// The same value without places, for those who read JSON.
pub(super) fn json(value: &Value) -> serde_json::Value {
    match &value.data {
        Data::Null => serde_json::Value::Null,
        Data::Bool(yes) => (*yes).into(),
        Data::Int(number) => (*number).into(),
        Data::Float(text) => text.parse::<f64>().map_or(serde_json::Value::Null, Into::into),
        Data::String(text) => (**text).into(),
        Data::List(items) => items.iter().map(json).collect(),
        Data::Map(entries) => {
            let pairs = entries.iter().map(|entry| (entry.key.to_string(), json(&entry.value)));
            serde_json::Value::Object(pairs.collect())
        }
    }
}
