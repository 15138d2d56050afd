//! Columns that a definition asks for: the part of kubectl's JSONPath that upstream allows there.

use crate::object::text;
use crate::table::ago;
use serde_json::{Number, Value};

/// A column besides the name.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    path: Path,
}

/// The columns of a version: its own, or the age.
pub(super) fn of(all: &[Value]) -> Vec<Column> {
    if all.is_empty() {
        let words = Path::parse(".metadata.creationTimestamp").unwrap_or_default();
        return vec![Column {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: String::new(),
            priority: 0,
            path: words,
        }];
    }
    let column = |one: &Value| {
        let of = |pointer| text(one, pointer).to_owned();
        Column {
            name: of("/name"),
            kind: of("/type"),
            format: of("/format"),
            description: of("/description"),
            priority: one["priority"].as_i64().unwrap_or(0),
            // One that cannot be read was refused with its definition.
            path: Path::parse(text(one, "/jsonPath")).unwrap_or_default(),
        }
    };
    all.iter().map(column).collect()
}

impl Column {
    /// The cell of an object.
    pub(crate) fn cell(&self, object: &Value) -> Value {
        let Some(value) = self.path.first(object) else { return Value::Null };
        match (self.kind.as_str(), value) {
            ("string", Value::String(_)) => value.clone(),
            ("string", Value::Null) => Value::Null,
            ("string", other) => other.to_string().into(),
            ("integer", Value::Number(number)) => number.as_i64().or(whole(number)).into(),
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
            ("date", Value::String(when)) => match when.parse::<jiff::Timestamp>() {
                Ok(_) => ago(when).into(),
                Err(_) => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a cell shows a whole number, whatever came")]
fn whole(number: &Number) -> Option<i64> {
    number.as_f64().map(|float| float as i64)
}

/// A path into an object.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    At(i64),
    All,
    /// `?(@.type=="Ready")`: a path, whether it must be equal, and what to.
    Where(Vec<String>, bool, Value),
}

impl Path {
    /// Reads a path. Errors: what is not in the part that is known, said so.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let mut steps = Vec::new();
        if !rest.starts_with(['.', '[']) {
            return Err(format!("{text:?} does not begin with a dot"));
        }
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() && steps.is_empty() {
                    break;
                }
                let (name, after) = name(after);
                if name == "*" {
                    steps.push(Step::All);
                } else if !name.is_empty() {
                    steps.push(Step::Field(name));
                } else if !after.starts_with('[') {
                    return Err(format!("{text:?} has an empty name, or looks at every level"));
                }
                rest = after;
            } else if let Some(after) = rest.strip_prefix('[') {
                let (inner, after) =
                    bracket(after).ok_or_else(|| format!("unterminated array in {text:?}"))?;
                steps.push(step(inner).ok_or_else(|| {
                    format!("[{inner}] is not supported in a column or a selectable field")
                })?);
                rest = after;
            } else {
                return Err(format!("{text:?} cannot be read at {rest:?}"));
            }
        }
        Ok(Self(steps))
    }

    /// The names of a path that has nothing else.
    pub(crate) fn names(&self) -> Option<Vec<&str>> {
        let mut names = Vec::new();
        for step in &self.0 {
            let Step::Field(name) = step else { return None };
            names.push(name.as_str());
        }
        Some(names)
    }

    /// The first value that the path leads to.
    fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        let mut found = vec![object];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.of(value)).collect();
        }
        found.into_iter().next()
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let all = value.as_array().map_or(&[][..], Vec::as_slice);
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::At(at) => {
                let n = i64::try_from(all.len()).unwrap_or(i64::MAX);
                let at = if *at < 0 { at.saturating_add(n) } else { *at };
                usize::try_from(at).ok().and_then(|at| all.get(at)).into_iter().collect()
            }
            Self::All => match value {
                Value::Object(map) => map.values().collect(),
                _ => all.iter().collect(),
            },
            Self::Where(path, equal, wanted) => all
                .iter()
                .filter(|item| {
                    let found = path.iter().try_fold(*item, |value, name| value.get(name));
                    found.is_some_and(|found| (found == wanted) == *equal)
                })
                .collect(),
        }
    }
}

/// A name up to the next dot or bracket; a backslash makes a dot part of it.
fn name(text: &str) -> (String, &str) {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => return (name, &text[at..]),
            _ => {
                name.push(c);
                escaped = false;
            }
        }
    }
    (name, "")
}

/// What is in a bracket; brackets inside quotes are text.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, ']') => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

fn step(inner: &str) -> Option<Step> {
    let inner = inner.trim();
    if inner == "*" || inner == ":" {
        return Some(Step::All);
    }
    if let Some(name) = unquoted(inner) {
        return Some(Step::Field(name.replace('\\', "")));
    }
    if let Ok(at) = inner.parse() {
        return Some(Step::At(at));
    }
    let filter = inner.strip_prefix("?(")?.strip_suffix(')')?.trim();
    let (left, equal, right) = match (filter.split_once("=="), filter.split_once("!=")) {
        (Some((left, right)), _) => (left, true, right),
        (None, Some((left, right))) => (left, false, right),
        (None, None) => return None,
    };
    let path = Path::parse(left.trim().strip_prefix('@')?).ok()?;
    let path = path.names()?.into_iter().map(str::to_owned).collect();
    let right = right.trim();
    let value = match unquoted(right) {
        Some(text) => text.into(),
        None => serde_json::from_str(right)
            .ok()
            .filter(|value: &Value| !value.is_object() && !value.is_array())?,
    };
    Some(Step::Where(path, equal, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_to_values() {
        let object = json!({
            "spec": {"n": 3, "a.b": "dot", "list": [{"name": "x", "v": 1}, {"name": "y", "v": 2}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        });
        for (path, want) in [
            (".spec.n", Some(json!(3))),
            (".spec.a\\.b", Some(json!("dot"))),
            (".spec['a.b']", Some(json!("dot"))),
            (".spec.list[1].v", Some(json!(2))),
            (".spec.list[-1].v", Some(json!(2))),
            (".spec.list[*].name", Some(json!("x"))),
            (".status.conditions[?(@.type==\"Ready\")].status", Some(json!("True"))),
            (".status.conditions[?(@.type == 'Other')].status", Some(json!("False"))),
            (".status.conditions[?(@.type==\"None\")].status", None),
            (".nothing.here", None),
        ] {
            assert_eq!(Path::parse(path).unwrap().first(&object), want.as_ref(), "{path}");
        }
        for path in ["spec", ".spec[", ".spec[?(@.a>1)]", ".spec[1:2]", ".spec..a", ""] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }
}
