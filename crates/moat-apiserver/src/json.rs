//! Reads JSON bodies and says which keys occur twice, which a plain parser loses.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::fmt;

/// A body, and the paths of keys that occur more than once in their object; the last one counts, as upstream has it.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let node = Node { place: Place::TOP, duplicates: &mut duplicates };
    let value = node.deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok((value, duplicates))
}

/// A place in a value, on the way to it: nothing is written down until somebody wants to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Top,
    Field(&'a str),
    /// A key of a map, which is data and no field.
    Key(&'a str),
    Item(usize),
}

impl<'a> Place<'a> {
    /// The value itself.
    pub(crate) const TOP: Place<'static> = Place { above: None, step: Step::Top };

    pub(crate) fn field(&'a self, name: &'a str) -> Self {
        Self { above: Some(self), step: Step::Field(name) }
    }

    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self { above: Some(self), step: Step::Key(key) }
    }

    pub(crate) fn item(&'a self, at: usize) -> Self {
        Self { above: Some(self), step: Step::Item(at) }
    }

    /// `spec.ports[0].name`.
    pub(crate) fn path(&self) -> String {
        let above = self.above.map(Place::path).unwrap_or_default();
        match self.step {
            Step::Top => above,
            Step::Field(name) | Step::Key(name) => join(&above, name),
            Step::Item(at) => format!("{above}[{at}]"),
        }
    }

    /// `spec.ports.name`: the fields alone, as Go's decoder names a place.
    pub(crate) fn names(&self) -> String {
        let above = self.above.map(Place::names).unwrap_or_default();
        match self.step {
            Step::Top | Step::Item(_) | Step::Key(_) => above,
            Step::Field(name) => join(&above, name),
        }
    }
}

struct Node<'a> {
    place: Place<'a>,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let place = self.place.item(items.len());
            match access.next_element_seed(Node { place, duplicates: &mut *self.duplicates })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let place = self.place.field(&key);
            let n_before = self.duplicates.len();
            let value =
                access.next_value_seed(Node { place, duplicates: &mut *self.duplicates })?;
            match map.entry(key) {
                Entry::Vacant(slot) => {
                    slot.insert(value);
                }
                Entry::Occupied(mut slot) => {
                    // It stands before what is inside it.
                    self.duplicates.insert(n_before, self.place.field(slot.key()).path());
                    slot.insert(value);
                }
            }
        }
        if map.len() > KEYS_MAX {
            return Err(A::Error::custom(format!("an object of more than {KEYS_MAX} keys")));
        }
        Ok(Value::Object(map))
    }
}

/// Keys of one object. A body of 3 MiB cannot have more that mean something.
const KEYS_MAX: usize = 1 << 20;

/// The path of a field in an object: `spec.replicas`, or `replicas` at the top.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_occur_twice_are_named_with_their_place() {
        let (value, twice) = parse(br#"{"a":{"b":1,"b":2},"c":[{"d":1,"d":2}],"a":3}"#).unwrap();
        assert_eq!(value.to_string(), r#"{"a":3,"c":[{"d":2}]}"#);
        assert_eq!(twice, ["a.b", "c[0].d", "a"]);
        let (_, twice) = parse(br#"{"a":1,"a":{"b":1,"b":2}}"#).unwrap();
        assert_eq!(twice, ["a", "a.b"]);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "{", "[1,", "{} x", "nul", "\"a", "1e999"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err());
    }
}
