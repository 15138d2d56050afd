//! The metadata that controllers decide by.

use serde::Deserialize;
use std::collections::BTreeMap;

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
    pub labels: BTreeMap<Box<str>, Box<str>>,
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

impl Meta {
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
        self.labels.get(key).map(|value| &**value)
    }
}
