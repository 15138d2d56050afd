//! Reading fields of a decoded object, with the path of every finding.

use crate::diagnostic::{Diagnostic, codes};
use crate::value::{Data, SourceId, Span, Value};
use core::fmt::Write as _;
use moat_sets::nearest;

/// A step of a JSON path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'v> {
    Key(&'v str),
    Index(usize),
}

/// One object being read: where it is, whose it is, what was found.
#[derive(Debug)]
pub(crate) struct Reader<'v, 'd> {
    pub(crate) source: SourceId,
    pub(crate) object: String,
    path: Vec<Step<'v>>,
    diagnostics: &'d mut Vec<Diagnostic>,
    /// How many errors this object has had.
    pub(crate) n_errors: usize,
}

impl<'v, 'd> Reader<'v, 'd> {
    pub(crate) fn new(
        source: SourceId,
        object: String,
        diagnostics: &'d mut Vec<Diagnostic>,
    ) -> Self {
        Self { source, object, path: Vec::new(), diagnostics, n_errors: 0 }
    }

    pub(crate) fn span(&self, value: &Value) -> Span {
        Span { source: self.source, pos: value.pos }
    }

    /// Reads something one step deeper.
    pub(crate) fn step<T>(&mut self, step: Step<'v>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let out = read(self);
        self.path.pop();
        out
    }

    /// Reads a field when it is there and not null.
    pub(crate) fn field<T>(
        &mut self,
        of: &'v Value,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'v Value) -> T,
    ) -> Option<T> {
        let value = of.get(key).filter(|value| !value.is_null())?;
        Some(self.step(Step::Key(key), |reader| read(reader, value)))
    }

    /// Reads each item of a list; anything else is reported and read as an empty list. `null` items are read as empty mappings.
    pub(crate) fn each<T>(
        &mut self,
        value: &'v Value,
        mut read: impl FnMut(&mut Self, &'v Value) -> T,
    ) -> Vec<T> {
        if !matches!(value.data, Data::List(_)) {
            self.wrong_type(value, "a list");
        }
        value
            .items()
            .iter()
            .enumerate()
            .map(|(idx, item)| self.step(Step::Index(idx), |reader| read(reader, item)))
            .collect()
    }

    /// A string, or a report.
    pub(crate) fn string(&mut self, value: &'v Value) -> Option<&'v str> {
        if value.as_str().is_none() {
            self.wrong_type(value, "a string");
        }
        value.as_str()
    }

    /// The string in a field.
    pub(crate) fn string_field(&mut self, of: &'v Value, key: &'static str) -> Option<&'v str> {
        self.field(of, key, Self::string).flatten()
    }

    /// The boolean in a field.
    pub(crate) fn bool_field(&mut self, of: &'v Value, key: &'static str) -> Option<bool> {
        self.field(of, key, |reader, value| match value.data {
            Data::Bool(flag) => Some(flag),
            _ => {
                reader.wrong_type(value, "true or false");
                None
            }
        })
        .flatten()
    }

    /// The whole number in a field.
    pub(crate) fn int_field(&mut self, of: &'v Value, key: &'static str) -> Option<i64> {
        self.field(of, key, |reader, value| {
            if value.as_int().is_none() {
                reader.wrong_type(value, "a whole number");
            }
            value.as_int()
        })
        .flatten()
    }

    /// Reports every field of a mapping that the API does not have; a non-mapping is reported as a whole.
    pub(crate) fn known(&mut self, value: &'v Value, fields: &[&str]) {
        if value.is_null() {
            return;
        }
        if !matches!(value.data, Data::Map(_)) {
            self.wrong_type(value, "a mapping");
        }
        for entry in value.entries() {
            if fields.contains(&entry.key.as_ref()) {
                continue;
            }
            let mut finding = Diagnostic::warning(
                codes::UNKNOWN_FIELD,
                Span { source: self.source, pos: entry.key_pos },
                format!("unknown field `{}`", entry.key),
            )
            .effect("the field is ignored, as the API server does unless validation is strict");
            if let Some(near) = nearest(&entry.key, fields.iter().copied()) {
                finding = finding.help(format!("did you mean `{near}`?"));
            }
            self.path.push(Step::Key(&entry.key));
            self.push(finding);
            self.path.pop();
        }
    }

    pub(crate) fn wrong_type(&mut self, value: &Value, want: &str) {
        let mut finding = Diagnostic::error(
            codes::WRONG_TYPE,
            self.span(value),
            format!("want {want}, found {}", value.kind()),
        );
        let scalar = matches!(value.data, Data::Bool(_) | Data::Int(_) | Data::Float(_));
        if scalar && want == "a string" {
            // YAML 1.1, which Kubernetes reads, has booleans named `y`, `no`, `on`.
            finding = finding.help("put the value in quotes");
        }
        self.push(finding);
    }

    /// An error as the API server's validation words it.
    pub(crate) fn invalid(&mut self, value: &Value, message: impl Into<String>) {
        let finding = Diagnostic::error(codes::INVALID, self.span(value), message);
        self.push(finding);
    }

    /// An error on a field of `of`, whether it is there or not.
    pub(crate) fn invalid_field(
        &mut self,
        of: &'v Value,
        key: &'static str,
        message: impl Into<String>,
    ) {
        let at = of.get(key).unwrap_or(of);
        self.step(Step::Key(key), |reader| reader.invalid(at, message));
    }

    /// Records a finding at the present path.
    pub(crate) fn push(&mut self, finding: Diagnostic) {
        if finding.severity == crate::Severity::Error {
            self.n_errors += 1;
        }
        let path = self.path_text();
        self.diagnostics.push(finding.path(path).object(self.object.clone()));
    }

    fn path_text(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            let _ = match step {
                Step::Key(key) if text.is_empty() => write!(text, "{key}"),
                Step::Key(key) => write!(text, ".{key}"),
                Step::Index(idx) => write!(text, "[{idx}]"),
            };
        }
        text
    }
}
