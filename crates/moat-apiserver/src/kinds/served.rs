//! What is served at the moment: a snapshot that requests hold while they run, and that changes as a whole.

use super::conversion::{Conversion, stored_as};
use super::{Kind, api_version, built_in};
use crate::object::decode;
use moat_store::{InvalidKey, Key, Object, Resource};
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};

/// A kind in one version, and how its objects are stored.
#[derive(Debug)]
pub(crate) struct Served {
    /// As clients see it.
    pub(crate) kind: Arc<Kind>,
    /// As the store has it: the same kind, unless it is served in several versions.
    pub(crate) stored: Arc<Kind>,
    /// The name under which the store has its objects.
    pub(crate) resource: Resource,
    conversion: Conversion,
}

impl Served {
    /// What is sent to a part of a path of `other`, and never stored.
    pub(crate) fn of_body(kind: Kind, other: &Self) -> Self {
        let (kind, resource) = (Arc::new(kind), other.resource.clone());
        Self { stored: Arc::clone(&kind), kind, resource, conversion: Conversion::None }
    }

    pub(crate) fn key(&self, namespace: Option<&str>, name: &str) -> Result<Key, InvalidKey> {
        Key::new(&self.resource, namespace, name)
    }

    /// Whether stored bytes can be sent as they are.
    pub(crate) fn is_as_stored(&self) -> bool {
        matches!(self.conversion, Conversion::None)
    }

    /// A stored object as clients of this version see it.
    pub(crate) fn show(&self, object: &Object) -> Value {
        self.shown(decode(object))
    }

    /// A stored value as clients of this version see it.
    pub(crate) fn shown(&self, mut value: Value) -> Value {
        self.conversion.to_served(&self.kind, &mut value);
        value
    }

    /// What a client of this version sent, as it is stored.
    pub(crate) fn kept(&self, mut value: Value) -> Value {
        self.conversion.to_stored(&self.stored, &mut value);
        value
    }
}

/// All kinds at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot(Vec<Arc<Served>>);

impl Snapshot {
    /// The kinds of the table alone.
    pub(crate) fn built_in() -> Result<Self, InvalidKey> {
        let kinds = built_in();
        let served = |kind: &Arc<Kind>| {
            let (stored, conversion) = stored_as(&kinds, kind);
            let name = resource_name(&stored.group, &stored.plural);
            Ok(Arc::new(Served {
                kind: Arc::clone(kind),
                stored,
                resource: Resource::new(&name)?,
                conversion,
            }))
        };
        Ok(Self(kinds.iter().map(served).collect::<Result<_, _>>()?))
    }

    /// All of them, in the order of discovery.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.0.iter()
    }

    /// Groups in the order of discovery, each with its versions, the preferred one first.
    pub(crate) fn groups(&self) -> Vec<(&str, Vec<&str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for Kind { group, version, .. } in self.0.iter().map(|served| &*served.kind) {
            match groups.iter_mut().find(|(known, _)| known == group) {
                Some((_, versions)) if versions.contains(&version.as_str()) => {}
                Some((_, versions)) => versions.push(version),
                None => groups.push((group, vec![version])),
            }
        }
        groups
    }

    /// The kinds of one group and version.
    pub(crate) fn of_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Kind> {
        let all = self.0.iter().map(|served| &*served.kind);
        all.filter(move |kind| kind.group == group && kind.version == version)
    }

    fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Served>> {
        self.0.iter().find(|served| {
            let kind = &served.kind;
            kind.group == group && kind.version == version && kind.plural == plural
        })
    }
}

/// The name of a kind's objects in the store.
fn resource_name(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { api_version(group, plural) }
}

/// The kinds of a running server.
#[derive(Debug)]
pub(crate) struct Kinds(RwLock<Arc<Snapshot>>);

impl Kinds {
    pub(crate) fn built_in() -> Result<Self, InvalidKey> {
        Ok(Self(RwLock::new(Arc::new(Snapshot::built_in()?))))
    }

    /// What is served now.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The kind of a path.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Served>> {
        self.now().find(group, version, plural).cloned()
    }

    /// A kind by its name, in the version that is preferred.
    pub(crate) fn of(&self, group: &str, kind: &str) -> Option<Arc<Served>> {
        self.now().all().find(|served| served.kind.is(group, kind)).cloned()
    }
}
