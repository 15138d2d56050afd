//! Cells that several kinds have.

use crate::object::{list, number, text};
use serde_json::Value;

/// A text at a pointer, or what stands for nothing.
pub(super) fn or(object: &Value, pointer: &str, none: &str) -> Value {
    let found = text(object, pointer);
    if found.is_empty() { none.into() } else { found.into() }
}

/// A number at a pointer, 0 if it is missing.
pub(super) fn whole(object: &Value, pointer: &str) -> Value {
    number(object, pointer).unwrap_or(0).into()
}

/// A value that is a number or a text.
pub(super) fn plain(value: Option<&Value>, none: &str) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => none.to_owned(),
        Some(other) => other.to_string(),
    }
}

/// Names and images of containers.
pub(super) fn containers(object: &Value, pointer: &str) -> [Value; 2] {
    ["/name", "/image"].map(|field| {
        let all: Vec<&str> = list(object, pointer).iter().map(|one| text(one, field)).collect();
        all.join(",").into()
    })
}

/// Labels as `a=b,c=d`, sorted.
pub(super) fn labels(labels: &Value) -> String {
    let mut all: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    all.sort();
    if all.is_empty() { "<none>".to_owned() } else { all.join(",") }
}

/// A label selector as one text.
pub(super) fn selector(selector: &Value) -> String {
    let mut all: Vec<String> = Vec::new();
    let same = labels(&selector["matchLabels"]);
    if same != "<none>" {
        all.push(same);
    }
    for one in list(selector, "/matchExpressions") {
        let mut values: Vec<&str> = list(one, "/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let (key, values) = (text(one, "/key"), values.join(","));
        all.push(match text(one, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    if all.is_empty() { "<none>".to_owned() } else { all.join(",") }
}

/// Some of many, and how many more: `a,b,c + 2 more...`.
pub(super) fn some(all: &[String], max: usize) -> String {
    let first = all.iter().take(max).cloned().collect::<Vec<_>>().join(",");
    if max < all.len() { format!("{first} + {} more...", all.len() - max) } else { first }
}

/// Whether a condition holds.
pub(super) fn condition(object: &Value, kind: &str) -> bool {
    let all = list(object, "/status/conditions");
    all.iter().any(|one| one["type"] == kind && one["status"] == "True")
}
