//! Selectors of lists and watches: labels by upstream's whole grammar, fields by the table of kinds.

use crate::kinds::Kind;
use crate::object::at;
use crate::part::field;
use crate::status::Status;
use serde_json::Value;

/// Which objects of a scope are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

impl Selector {
    /// Reads both selectors of a query.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Status> {
        let bad = |why: String| Status::bad_request(format!("unable to parse requirement: {why}"));
        let labels = Labels { rest: labels }.all().map_err(bad)?;
        let mut all = Vec::new();
        for term in fields.split(',').filter(|term| !term.is_empty()) {
            let (field, equal, value) = if let Some((field, value)) = term.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = term.split_once('=') {
                (field, true, value.strip_prefix('=').unwrap_or(value))
            } else {
                return Err(Status::bad_request(format!(
                    "invalid selector: '{fields}'; can't understand '{term}'"
                )));
            };
            let known = matches!(field, "metadata.name" | "metadata.namespace");
            if !known && !kind.fields.iter().any(|own| own == field) {
                return Err(Status::bad_request(unknown(kind, field)));
            }
            all.push((field.to_owned(), equal, value.to_owned()));
        }
        Ok(Self { labels, fields: all })
    }

    /// Whether everything is meant.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The one name that is meant, if there is one.
    pub(crate) fn name(&self) -> Option<&str> {
        let found = self.fields.iter().find(|(field, equal, _)| *equal && field == "metadata.name");
        found.map(|(_, _, name)| name.as_str())
    }

    /// Whether an object is meant.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.holds(|pointer| at(object, pointer).cloned())
    }

    /// Whether a stored object is meant, of which no more is read than what the selector names.
    pub(crate) fn matches_stored(&self, object: &[u8]) -> bool {
        self.holds(|pointer| {
            let part = pointer.split('/').skip(1).try_fold(object, field);
            part.and_then(|part| serde_json::from_slice(part).ok())
        })
    }

    /// Whether it holds of an object of which the value at a pointer is known.
    fn holds(&self, at: impl Fn(&str) -> Option<Value>) -> bool {
        if !self.labels.is_empty() {
            let labels = at("/metadata/labels").unwrap_or_default();
            if !self.labels.iter().all(|one| one.test.matches(labels[&one.key].as_str())) {
                return false;
            }
        }
        let mut fields = self.fields.iter();
        fields.all(|(field, equal, value)| (value_of(&at, field) == *value) == *equal)
    }
}

/// Upstream has two sentences: one of the kinds that have fields of their own, one of those that have none.
fn unknown(kind: &Kind, field: &str) -> String {
    if kind.fields.is_empty() {
        format!(
            "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )
    } else {
        format!("field label not supported: {field}")
    }
}

/// A field as selectors compare it: as text, and as Go's zero value where it is missing.
fn value_of(at: impl Fn(&str) -> Option<Value>, field: &str) -> String {
    if field == "status.podIPs" {
        let ips = at("/status/podIPs").unwrap_or_default();
        let ips: Vec<&str> =
            ips.as_array().into_iter().flatten().filter_map(|ip| ip["ip"].as_str()).collect();
        return ips.join(",");
    }
    // `source` of an event is its component.
    let path = match field {
        "source" => "/source/component".to_owned(),
        "spec.hostNetwork" => "/spec/hostNetwork".to_owned(),
        "status.successful" => "/status/succeeded".to_owned(),
        _ => format!("/{}", field.replace('.', "/")),
    };
    match at(&path) {
        Some(Value::String(text)) => text,
        Some(Value::Bool(yes)) => yes.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        _ => match field {
            "spec.hostNetwork" | "spec.unschedulable" => "false".to_owned(),
            "status.replicas" | "status.successful" => "0".to_owned(),
            _ => String::new(),
        },
    }
}

impl Test {
    fn matches(&self, value: Option<&str>) -> bool {
        match self {
            Self::In(all) => value.is_some_and(|value| all.iter().any(|one| one == value)),
            Self::NotIn(all) => !value.is_some_and(|value| all.iter().any(|one| one == value)),
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Greater(than) => {
                value.and_then(|value| value.parse().ok()).is_some_and(|value: i64| *than < value)
            }
            Self::Less(than) => {
                value.and_then(|value| value.parse().ok()).is_some_and(|value: i64| value < *than)
            }
        }
    }
}

/// Whether a `LabelSelector` object selects labels. An operator that is not known selects nothing.
pub(crate) fn matches_labels(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    let met = |one: &Value| {
        let values = || {
            let all = one["values"].as_array().into_iter().flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let test = match one["operator"].as_str() {
            Some("In") => Test::In(values()),
            Some("NotIn") => Test::NotIn(values()),
            Some("Exists") => Test::Exists,
            Some("DoesNotExist") => Test::Absent,
            _ => return false,
        };
        test.matches(one["key"].as_str().and_then(|key| labels[key].as_str()))
    };
    equal && selector["matchExpressions"].as_array().into_iter().flatten().all(met)
}

/// Reads label selectors: `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1`.
struct Labels<'a> {
    rest: &'a str,
}

impl<'a> Labels<'a> {
    fn all(mut self) -> Result<Vec<Requirement>, String> {
        let mut all = Vec::new();
        if self.skip().is_empty() {
            return Ok(all);
        }
        loop {
            all.push(self.one()?);
            if self.skip().is_empty() {
                return Ok(all);
            }
            if !self.eat(",") {
                return Err(format!("found '{}', expected: ',' or 'end of string'", self.rest));
            }
        }
    }

    fn one(&mut self) -> Result<Requirement, String> {
        if self.eat("!") {
            return Ok(Requirement { key: self.key()?, test: Test::Absent });
        }
        let key = self.key()?;
        self.skip();
        let test = if self.eat("!=") {
            Test::NotIn(vec![self.value()?])
        } else if self.eat("==") || self.eat("=") {
            Test::In(vec![self.value()?])
        } else if self.eat(">") {
            Test::Greater(self.whole()?)
        } else if self.eat("<") {
            Test::Less(self.whole()?)
        } else if self.rest.is_empty() || self.rest.starts_with(',') {
            Test::Exists
        } else {
            match self.word() {
                "in" => Test::In(self.values()?),
                "notin" => Test::NotIn(self.values()?),
                other => {
                    return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"));
                }
            }
        };
        Ok(Requirement { key, test })
    }

    fn skip(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.skip().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.skip();
        let end =
            rest.find(|c: char| c.is_whitespace() || ",()=!<>".contains(c)).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    fn key(&mut self) -> Result<String, String> {
        let word = self.word();
        let name = word.rsplit_once('/').map_or(word, |(_, name)| name);
        if name.is_empty() || !crate::names::is_label_word(name) {
            return Err(format!("found '{word}', expected: identifier"));
        }
        Ok(word.to_owned())
    }

    fn value(&mut self) -> Result<String, String> {
        let word = self.word();
        if word.is_empty() || crate::names::is_label_word(word) {
            Ok(word.to_owned())
        } else {
            Err(format!("values[0][]: Invalid value: {word:?}: {}", crate::names::LABEL_VALUE))
        }
    }

    fn whole(&mut self) -> Result<i64, String> {
        let word = self.word();
        word.parse().map_err(|_| {
            format!("values[0][]: Invalid value: {word:?}: for 'Gt', 'Lt' operators, the value must be an integer")
        })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if !self.eat("(") {
            return Err(format!("found '{}', expected: '('", self.rest));
        }
        let mut values = vec![self.value()?];
        while self.eat(",") {
            values.push(self.value()?);
        }
        if self.eat(")") {
            Ok(values)
        } else {
            Err(format!("found '{}', expected: ',' or ')'", self.rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(name: &str) -> std::sync::Arc<Kind> {
        crate::kinds::built_in().into_iter().find(|kind| kind.kind == name).unwrap()
    }

    #[test]
    fn labels_are_selected_by_the_whole_grammar() {
        let object =
            json!({"metadata": {"labels": {"app": "web", "tier": "", "n": "5", "x.io/y": "z"}}});
        let cases = [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            ("app!=web", false),
            ("none!=web", true),
            ("app in (db, web)", true),
            ("app notin (db,web)", false),
            ("none notin (a)", true),
            ("app", true),
            ("!app", false),
            ("!none", true),
            ("n>4", true),
            ("n<5", false),
            ("app=web,tier=,x.io/y=z", true),
            (" app in (web) , n > 1 ", true),
            ("tier=", true),
            ("app=", false),
        ];
        for (text, want) in cases {
            let selector = Selector::parse(&kind("Pod"), text, "").unwrap();
            assert_eq!(selector.matches(&object), want, "{text}");
            assert_eq!(selector.matches_stored(object.to_string().as_bytes()), want, "{text}");
        }
        for text in ["a b", "=a", "a in", "a in ()x", "a>b", "a=b,,", "a=-"] {
            assert_eq!(Selector::parse(&kind("Pod"), text, "").unwrap_err().code, 400, "{text}");
        }
    }

    #[test]
    fn fields_are_selected_as_the_kind_allows() {
        let object = json!({
            "metadata": {"name": "a"}, "spec": {"nodeName": "n1"},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
        });
        let ok = |text: &str| {
            let selector = Selector::parse(&kind("Pod"), "", text).unwrap();
            let found = selector.matches(&object);
            assert_eq!(selector.matches_stored(object.to_string().as_bytes()), found, "{text}");
            found
        };
        assert!(ok("spec.nodeName=n1,status.phase!=Failed"));
        assert!(ok("status.podIPs!=10.0.0.1,spec.schedulerName="));
        assert!(!ok("spec.hostNetwork=true"));
        assert!(ok("spec.hostNetwork=false"));
        assert!(!ok("metadata.name==b"));
        let message = |name: &str| Selector::parse(&kind(name), "", "foo=1").unwrap_err().message;
        assert_eq!(message("Pod"), "field label not supported: foo");
        assert_eq!(
            message("ConfigMap"),
            "\"foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
    }
}
