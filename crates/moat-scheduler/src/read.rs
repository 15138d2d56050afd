//! Reads fields of JSON objects, and gathers what could not be read.

use serde_json::Value;

/// The text at a field, or an empty one.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a field, or an empty one.
pub(crate) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of a list.
pub(crate) fn texts(value: &Value, field: &str) -> Vec<Box<str>> {
    list(value, field).iter().filter_map(Value::as_str).map(Box::from).collect()
}

/// The whole number at a field; what does not fit is cut to the nearest that does.
pub(crate) fn whole(value: &Value, field: &str) -> Option<i32> {
    let number = value.get(field)?.as_i64()?;
    Some(i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX }))
}

/// A point in time, in nanoseconds.
pub(crate) fn instant(value: &Value, field: &str) -> Option<i128> {
    let time: jiff::Timestamp = value.get(field)?.as_str()?.parse().ok()?;
    Some(time.as_nanosecond())
}

/// What of an object cannot be understood. Such a pod is not scheduled, and its event says why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<String>);

impl Problems {
    /// The value, or its default and a note of what is wrong at a place.
    pub(crate) fn or_default<T: Default>(&mut self, place: &str, read: Result<T, String>) -> T {
        read.unwrap_or_else(|why| {
            self.0.push(format!("{place}: {why}"));
            T::default()
        })
    }
}
