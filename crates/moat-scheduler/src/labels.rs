//! Labels and the selectors over them, in the form the plug-ins compare.

use crate::read::{list, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// Labels, ordered by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Vec<(Box<str>, Box<str>)>);

impl Labels {
    /// Reads a map of texts; what is no text is left out.
    pub fn read(map: &Value) -> Self {
        let map = map.as_object().into_iter().flatten();
        map.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(one, _)| (**one).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut all: Vec<(Box<str>, Box<str>)> =
            pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        all.sort();
        all.dedup_by(|later, first| later.0 == first.0);
        Self(all)
    }
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    /// The label's key.
    pub key: Box<str>,
    /// What must hold of its value.
    pub test: Test,
}

/// What a condition asks of a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Test {
    /// The value is one of these.
    In(Vec<Box<str>>),
    /// There is no value, or one that is none of these.
    NotIn(Vec<Box<str>>),
    /// There is a value.
    Exists,
    /// There is none.
    Absent,
    /// The value is a number greater than this.
    Greater(i64),
    /// The value is a number less than this.
    Less(i64),
}

impl Requirement {
    /// The value must be this one.
    pub fn equals(key: &str, value: &str) -> Self {
        Self { key: key.into(), test: Test::In(vec![value.into()]) }
    }

    /// Reads `{key, operator, values}` of label and node selectors.
    pub fn read(value: &Value) -> Result<Self, String> {
        let values = || {
            let all: Vec<Box<str>> =
                list(value, "values").iter().filter_map(Value::as_str).map(Box::from).collect();
            all
        };
        let number = || {
            let one = list(value, "values").first().and_then(Value::as_str).unwrap_or_default();
            one.parse().map_err(|_| format!("{one:?} is not a whole number"))
        };
        let test = match text(value, "operator") {
            "In" => Test::In(values()),
            "NotIn" => Test::NotIn(values()),
            "Exists" => Test::Exists,
            "DoesNotExist" => Test::Absent,
            "Gt" => Test::Greater(number()?),
            "Lt" => Test::Less(number()?),
            other => return Err(format!("{other:?} is not a valid label selector operator")),
        };
        Ok(Self { key: text(value, "key").into(), test })
    }

    pub(crate) fn holds(&self, value: Option<&str>) -> bool {
        let among =
            |all: &[Box<str>]| value.is_some_and(|value| all.iter().any(|one| **one == *value));
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::In(all) => among(all),
            Test::NotIn(all) => !among(all),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Greater(than) => number().is_some_and(|value| value > *than),
            Test::Less(than) => number().is_some_and(|value| value < *than),
        }
    }
}

/// A label selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Selector {
    /// None was given: it selects nothing.
    #[default]
    Nothing,
    /// All of these must hold; none of them means everything.
    All(Vec<Requirement>),
}

impl Selector {
    /// Reads a `LabelSelector`, or null, which selects nothing.
    pub fn read(value: &Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(Self::Nothing);
        }
        let mut all = Self::of_map(&value["matchLabels"]);
        for one in list(value, "matchExpressions") {
            all.push(Requirement::read(one)?);
        }
        all.sort();
        Ok(Self::All(all))
    }

    /// The conditions of a plain map: every key has its value.
    pub fn of_map(map: &Value) -> Vec<Requirement> {
        let map = map.as_object().into_iter().flatten();
        map.filter_map(|(key, value)| Some(Requirement::equals(key, value.as_str()?))).collect()
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(all) if all.is_empty())
    }

    /// Whether it selects something that has these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(all) => all.iter().all(|one| one.holds(labels.get(&one.key))),
        }
    }

    /// Also asks for this. What selects nothing goes on selecting nothing.
    pub fn and(&mut self, more: impl IntoIterator<Item = Requirement>) {
        if let Self::All(all) = self {
            all.extend(more);
            all.sort();
            all.dedup();
        }
    }
}

/// Which nodes a pod, or a volume, may be on: one of the terms must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct NodeSelector(Vec<NodeTerm>);

/// One alternative of a node selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeTerm {
    labels: Vec<Requirement>,
    fields: Vec<(bool, Box<str>)>,
}

impl NodeSelector {
    /// Reads a `NodeSelector`. Empty terms hold nowhere.
    pub fn read(value: &Value) -> Result<Self, String> {
        let terms = list(value, "nodeSelectorTerms").iter().map(NodeTerm::read);
        Ok(Self(terms.filter_map(Result::transpose).collect::<Result<_, _>>()?))
    }

    /// Whether a node is meant.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.0.iter().any(|term| term.matches(name, labels))
    }

    /// The only nodes that can match, if every term names some; `Some` of nothing means that the terms exclude each other.
    pub fn names(&self) -> Option<BTreeSet<&str>> {
        let mut all = BTreeSet::new();
        if self.0.is_empty() {
            return None;
        }
        for term in &self.0 {
            let mut named = term.fields.iter().filter(|(equal, _)| *equal).map(|(_, name)| &**name);
            let first = named.next()?;
            if named.all(|name| name == first) {
                all.insert(first);
            }
        }
        Some(all)
    }
}

impl NodeTerm {
    /// Reads a term; nothing if it is empty.
    pub fn read(value: &Value) -> Result<Option<Self>, String> {
        let labels: Vec<Requirement> = list(value, "matchExpressions")
            .iter()
            .map(Requirement::read)
            .collect::<Result<_, _>>()?;
        let mut fields = Vec::new();
        for one in list(value, "matchFields") {
            let (key, values) = (text(one, "key"), list(one, "values"));
            let [Value::String(name)] = values else {
                return Err("a field takes one value".to_owned());
            };
            let equal = match text(one, "operator") {
                "In" => true,
                "NotIn" => false,
                other => return Err(format!("{other:?} is not a valid field selector operator")),
            };
            if key != "metadata.name" {
                return Err(format!("field {key:?} is not known: only \"metadata.name\""));
            }
            fields.push((equal, name.as_str().into()));
        }
        let empty = labels.is_empty() && fields.is_empty();
        Ok((!empty).then_some(Self { labels, fields }))
    }

    /// Whether the term holds of a node.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.labels.iter().all(|one| one.holds(labels.get(&one.key)))
            && self.fields.iter().all(|(equal, one)| (**one == *name) == *equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_missing_selector_selects_nothing_and_an_empty_one_everything() {
        let labels = Labels::read(&json!({"a": "1"}));
        assert!(!Selector::read(&Value::Null).unwrap().matches(&labels));
        let all = Selector::read(&json!({})).unwrap();
        assert!(all.matches(&labels) && all.is_everything());
    }

    #[test]
    fn every_operator_means_what_upstream_means() {
        let labels = Labels::read(&json!({"a": "5", "b": ""}));
        let ok = |one: Value| Requirement::read(&one).map(|one| one.holds(labels.get(&one.key)));
        let cases = [
            (json!({"key": "a", "operator": "In", "values": ["4", "5"]}), true),
            (json!({"key": "c", "operator": "In", "values": [""]}), false),
            (json!({"key": "a", "operator": "NotIn", "values": ["5"]}), false),
            (json!({"key": "c", "operator": "NotIn", "values": ["5"]}), true),
            (json!({"key": "b", "operator": "Exists"}), true),
            (json!({"key": "b", "operator": "DoesNotExist"}), false),
            (json!({"key": "a", "operator": "Gt", "values": ["4"]}), true),
            (json!({"key": "a", "operator": "Lt", "values": ["5"]}), false),
            (json!({"key": "b", "operator": "Gt", "values": ["4"]}), false),
        ];
        for (one, want) in cases {
            assert_eq!(ok(one.clone()), Ok(want), "{one}");
        }
        assert!(ok(json!({"key": "a", "operator": "Like"})).is_err());
        assert!(ok(json!({"key": "a", "operator": "Gt", "values": ["x"]})).is_err());
    }

    #[test]
    fn names_of_a_node_selector_are_known_only_if_every_term_has_one() {
        let named = |name: &str| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]});
        let read = |terms: Value| NodeSelector::read(&json!({"nodeSelectorTerms": terms})).unwrap();
        let both = read(json!([named("n1"), named("n2")]));
        assert_eq!(both.names().unwrap().into_iter().collect::<Vec<_>>(), ["n1", "n2"]);
        let label = json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]});
        assert!(read(json!([named("n1"), label])).names().is_none());
        let two = json!({"matchFields": [
            {"key": "metadata.name", "operator": "In", "values": ["n1"]},
            {"key": "metadata.name", "operator": "In", "values": ["n2"]}]});
        assert!(read(json!([two])).names().unwrap().is_empty());
        assert!(
            !read(json!([{}])).matches("n1", &Labels::default()),
            "an empty term holds nowhere"
        );
    }
}
