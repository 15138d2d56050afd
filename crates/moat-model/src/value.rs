//! A decoded document: JSON's data model, with the place in its source of every value.
//!
//! The loader makes these from YAML and JSON; the embedded API server makes them from request bodies, without places.

/// Index of a source (a file, standard input) in the loader's table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct SourceId(pub u32);

/// A place in a source: 1-based line and column (in characters); line 0 means unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Pos {
    /// Line, from 1; 0 when unknown.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A place in a named source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Span {
    /// Which source.
    pub source: SourceId,
    /// Where in it.
    pub pos: Pos,
}

/// A value and where it starts.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// Where the value starts.
    pub pos: Pos,
    /// What it is.
    pub data: Data,
}

/// The data model of JSON.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number, as written.
    Float(Box<str>),
    /// Text.
    String(Box<str>),
    /// A list.
    List(Vec<Value>),
    /// A mapping, in source order; the loader has reported and dropped repeated keys (the last one wins, as in the API server).
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The key.
    pub key: Box<str>,
    /// Where the key starts.
    pub key_pos: Pos,
    /// The value.
    pub value: Value,
}

impl Value {
    /// Nothing, nowhere: stands in for a missing field.
    pub const NULL: Value = Value { pos: Pos { line: 0, column: 0 }, data: Data::Null };

    /// The value of a key, when this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries().iter().find(|entry| entry.key.as_ref() == key).map(|entry| &entry.value)
    }

    /// The value behind a path of keys.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The entries of a mapping; none for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The text, when this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, when this is a whole number.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self.data {
            Data::Int(number) => Some(number),
            _ => None,
        }
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// Whether this is a list, or nothing.
    #[must_use]
    pub fn is_list_or_null(&self) -> bool {
        matches!(self.data, Data::List(_) | Data::Null)
    }

    /// Whether this is a mapping, or nothing.
    #[must_use]
    pub fn is_map_or_null(&self) -> bool {
        matches!(self.data, Data::Map(_) | Data::Null)
    }

    /// What kind of value this is, in words for a message.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "a boolean",
            Data::Int(_) | Data::Float(_) => "a number",
            Data::String(_) => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }
}
