//! Labels and label selectors, with the reason why a selector does not match.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The labels of one object, sorted by key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Labels(Vec<(Arc<str>, Arc<str>)>);

impl Labels {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(have, _)| have.as_ref().cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value.as_ref())
    }

    /// Adds or replaces a label.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.0.binary_search_by(|(have, _)| have.as_ref().cmp(key)) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value.into();
                }
            }
            Err(at) => self.0.insert(at, (key.into(), value.into())),
        }
    }

    /// Removes a label.
    pub fn unset(&mut self, key: &str) {
        self.0.retain(|(have, _)| have.as_ref() != key);
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only the labels whose key `keep` accepts.
    #[must_use]
    pub fn project(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(key, _)| keep(key)).cloned().collect())
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Labels {
    /// A later value of the same key wins.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let map: BTreeMap<Arc<str>, Arc<str>> = pairs
            .into_iter()
            .map(|(key, value)| (key.as_ref().into(), value.as_ref().into()))
            .collect();
        Self(map.into_iter().collect())
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("<none>");
        }
        for (idx, (key, value)) in self.iter().enumerate() {
            if idx > 0 {
                f.write_str(",")?;
            }
            write!(f, "{key}={value}")?;
        }
        Ok(())
    }
}

/// `LabelSelectorRequirement.operator`; `matchLabels` entries are [`Operator::In`] with one value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Operator {
    /// The key is there and its value is one of the values.
    In,
    /// The key is missing, or its value is none of the values.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is missing.
    DoesNotExist,
}

/// One condition of a selector.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Requirement {
    /// The label key.
    pub key: Arc<str>,
    /// How the key's value is compared.
    pub operator: Operator,
    /// The values, sorted and without repetition; empty for `Exists` and `DoesNotExist`.
    pub values: Vec<Arc<str>>,
}

impl Requirement {
    /// A requirement; values are sorted and made unique.
    #[must_use]
    pub fn new(
        key: &str,
        operator: Operator,
        values: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        let mut values: Vec<Arc<str>> =
            values.into_iter().map(|value| value.as_ref().into()).collect();
        values.sort_unstable();
        values.dedup();
        Self { key: key.into(), operator, values }
    }

    /// Whether the labels meet this requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed =
            |value: &str| self.values.binary_search_by(|have| have.as_ref().cmp(value)).is_ok();
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.operator, self.values.as_slice()) {
            (Operator::In, [value]) => write!(f, "{}={value}", self.key),
            (Operator::NotIn, [value]) => write!(f, "{}!={value}", self.key),
            (Operator::In, values) => write!(f, "{} in ({})", self.key, values.join(",")),
            (Operator::NotIn, values) => write!(f, "{} notin ({})", self.key, values.join(",")),
            (Operator::Exists, _) => f.write_str(&self.key),
            (Operator::DoesNotExist, _) => write!(f, "!{}", self.key),
        }
    }
}

/// A label selector: all requirements must hold; without any it selects everything.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Selector(Vec<Requirement>);

/// A requirement that labels do not meet, and what they have instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmet<'s> {
    /// The requirement.
    pub requirement: &'s Requirement,
    /// The value the labels have for its key.
    pub found: Option<String>,
}

impl Selector {
    /// A selector of these requirements; order and repetition do not matter.
    #[must_use]
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_unstable();
        requirements.dedup();
        Self(requirements)
    }

    /// The selector that selects everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// A selector that demands exactly one label.
    #[must_use]
    pub fn label(key: &str, value: &str) -> Self {
        Self(vec![Requirement::new(key, Operator::In, [value])])
    }

    /// The requirements, sorted.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// Whether the selector has no requirement.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// The requirements that the labels do not meet; empty exactly when the selector matches.
    #[must_use]
    pub fn unmet<'s>(&'s self, labels: &Labels) -> Vec<Unmet<'s>> {
        self.0
            .iter()
            .filter(|requirement| !requirement.matches(labels))
            .map(|requirement| Unmet {
                requirement,
                found: labels.get(&requirement.key).map(str::to_owned),
            })
            .collect()
    }

    /// The changes to `labels` that would make this selector match: `(key, Some(value))` to set, `(key, None)` to remove.
    ///
    /// `None` when no change can, because requirements contradict each other.
    #[must_use]
    pub fn completion(&self, labels: &Labels) -> Option<Vec<(String, Option<String>)>> {
        let mut changed = labels.clone();
        let mut edits = BTreeMap::new();
        for requirement in self.0.iter().filter(|requirement| !requirement.matches(labels)) {
            let key = requirement.key.to_string();
            let want = match requirement.operator {
                Operator::In => Some(requirement.values.first()?.to_string()),
                Operator::Exists => Some("true".to_owned()),
                Operator::NotIn | Operator::DoesNotExist => None,
            };
            match &want {
                Some(value) => changed.set(&key, value),
                None => changed.unset(&key),
            }
            edits.insert(key, want);
        }
        self.matches(&changed).then(|| edits.into_iter().collect())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("<all>");
        }
        for (idx, requirement) in self.0.iter().enumerate() {
            if idx > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().copied().collect()
    }

    #[test]
    fn negative_operators_match_a_missing_key() {
        let none = labels(&[]);
        assert!(Requirement::new("a", Operator::NotIn, ["x"]).matches(&none));
        assert!(Requirement::new("a", Operator::DoesNotExist, [""; 0]).matches(&none));
        assert!(!Requirement::new("a", Operator::In, ["x"]).matches(&none));
        assert!(!Requirement::new("a", Operator::Exists, [""; 0]).matches(&none));
    }

    #[test]
    fn unmet_names_what_was_found() {
        let selector = Selector::new(vec![
            Requirement::new("env", Operator::In, ["prod"]),
            Requirement::new("app", Operator::In, ["web"]),
        ]);
        let have = labels(&[("env", "dev"), ("app", "web")]);
        let unmet = selector.unmet(&have);
        assert_eq!(unmet.len(), 1);
        assert_eq!(unmet[0].requirement.to_string(), "env=prod");
        assert_eq!(unmet[0].found.as_deref(), Some("dev"));
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        (0..3u8, 0..4u8, proptest::collection::vec(0..3u8, 1..3)).prop_map(
            |(key, operator, values)| {
                let operator =
                    [Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist]
                        [usize::from(operator)];
                let values = if matches!(operator, Operator::In | Operator::NotIn) {
                    values
                } else {
                    Vec::new()
                };
                Requirement::new(
                    &format!("k{key}"),
                    operator,
                    values.iter().map(|value| format!("v{value}")),
                )
            },
        )
    }

    proptest! {
        #[test]
        fn completion_matches_when_it_exists(
            requirements in proptest::collection::vec(requirement(), 0..4),
            have in proptest::collection::btree_map(0..3u8, 0..3u8, 0..3),
        ) {
            let selector = Selector::new(requirements);
            let mut labels: Labels = have.iter().map(|(key, value)| (format!("k{key}"), format!("v{value}"))).collect();
            prop_assert_eq!(selector.matches(&labels), selector.unmet(&labels).is_empty());
            if let Some(edits) = selector.completion(&labels) {
                for (key, value) in edits {
                    match value {
                        Some(value) => labels.set(&key, &value),
                        None => labels.unset(&key),
                    }
                }
                prop_assert!(selector.matches(&labels));
            }
        }
    }
}
