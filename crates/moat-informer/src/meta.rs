//! The metadata that controllers decide by.

use moat_apiserver::fields;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::fmt;

/// Metadata of an object, without what nobody decides by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The name.
    pub name: Box<str>,
    /// The namespace, or nothing.
    pub namespace: Box<str>,
    /// The identity.
    pub uid: Box<str>,
    /// `resourceVersion`.
    pub resource_version: Box<str>,
    /// How often the spec changed.
    pub generation: i64,
    /// When it was made.
    pub creation_timestamp: Box<str>,
    /// When it has to be gone, if it goes.
    pub deletion_timestamp: Option<Box<str>>,
    /// Labels.
    pub labels: Labels,
    /// Who has to let go before it goes.
    pub finalizers: Vec<Box<str>>,
    /// Whose it is.
    pub owner_references: Vec<Owner>,
}

/// An owner of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// `apps/v1`.
    pub api_version: Box<str>,
    /// `ReplicaSet`.
    pub kind: Box<str>,
    /// The name.
    pub name: Box<str>,
    /// The identity, by which owners are told apart.
    pub uid: Box<str>,
    /// Whether it is the one that manages the object.
    pub controller: bool,
    /// Whether the owner cannot go, foreground, before this object.
    pub block_owner_deletion: bool,
}

/// Labels. There are few of them and many who hold them, so they take no more room than they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(
    /// Sorted by key.
    Box<[(Box<str>, Box<str>)]>,
);

impl Labels {
    /// A label's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(own, _)| (**own).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// Sets a label.
    pub fn insert(&mut self, key: Box<str>, value: Box<str>) {
        let all = std::mem::take(&mut self.0).into_vec();
        *self = all.into_iter().chain([(key, value)]).collect();
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

impl FromIterator<(Box<str>, Box<str>)> for Labels {
    /// Of labels with the same key the last counts.
    fn from_iter<I: IntoIterator<Item = (Box<str>, Box<str>)>>(labels: I) -> Self {
        let mut all: Vec<(Box<str>, Box<str>)> = labels.into_iter().collect();
        all.reverse();
        all.sort_by(|(left, _), (right, _)| left.cmp(right));
        all.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Self(all.into_boxed_slice())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut all = Vec::new();
                while let Some(label) = map.next_entry()? {
                    all.push(label);
                }
                Ok(all.into_iter().collect())
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Meta {
    /// Of stored metadata. The account of fields, which can be most of it, is skipped and not parsed.
    pub(crate) fn read(metadata: &[u8]) -> Option<Self> {
        fn of<'a, T: Deserialize<'a>>(part: &'a [u8]) -> Option<T> {
            serde_json::from_slice(part).ok()
        }
        let mut meta = Self::default();
        for (key, part) in fields(metadata) {
            match key {
                b"name" => meta.name = of(part)?,
                b"namespace" => meta.namespace = of(part)?,
                b"uid" => meta.uid = of(part)?,
                b"resourceVersion" => meta.resource_version = of(part)?,
                b"generation" => meta.generation = of(part)?,
                b"creationTimestamp" => meta.creation_timestamp = of(part)?,
                b"deletionTimestamp" => meta.deletion_timestamp = of(part)?,
                b"labels" => meta.labels = of(part)?,
                b"finalizers" => meta.finalizers = of(part)?,
                b"ownerReferences" => meta.owner_references = of(part)?,
                _ => {}
            }
        }
        Some(meta)
    }

    /// The owner that manages it.
    pub fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Whether somebody asked for its deletion.
    pub fn is_deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Whether a finalizer holds it.
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|one| &**one == name)
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_metadata_is_read_as_if_it_were_parsed() {
        let text = r#"{"name":"a\"b","namespace":"n","uid":"u","resourceVersion":"7","generation":3,"creationTimestamp":"t","labels":{"k":"v","a":"b"},"managedFields":[{"manager":"m","fieldsV1":{"f:labels":{}}}],"finalizers":["x/y"],"deletionTimestamp":"d","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"o","controller":true,"blockOwnerDeletion":true}]}"#;
        let parsed: Meta = serde_json::from_str(text).unwrap();
        assert_eq!(Meta::read(text.as_bytes()), Some(parsed.clone()));
        assert_eq!((&*parsed.name, parsed.labels.get("a")), ("a\"b", Some("b")));
        for wrong in [r#"{"name":7}"#, r#"{"labels":["a"]}"#, r#"{"finalizers":{}}"#] {
            assert_eq!(Meta::read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn labels_are_found_by_key_and_the_last_of_a_key_counts() {
        let labels: Labels = serde_json::from_str(r#"{"b":"1","a":"2","b":"3","c":""}"#).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3"), ("c", "")]);
        assert_eq!((labels.get("b"), labels.get("d")), (Some("3"), None));
        let mut labels = labels;
        labels.insert("b".into(), "4".into());
        labels.insert("0".into(), "5".into());
        assert_eq!(
            labels.iter().collect::<Vec<_>>(),
            [("0", "5"), ("a", "2"), ("b", "4"), ("c", "")]
        );
    }
}
