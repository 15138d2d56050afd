//! The kinds that this server serves: one table, from which paths, discovery, OpenAPI, storage, columns and selectors follow.
//!
//! To add a kind, add a row to `table.rs` and run the tests; a kind with rules of its own gets a strategy in `strategy/`, one with columns of
//! its own a file in `table/`.

mod table;

use crate::status::About;
use moat_store::{InvalidKey, Key, Resource};

pub use table::BUILT_IN;

/// What can be done with a kind. A kind that is not stored is only asked: `create` is its one verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbs {
    /// All eight verbs.
    All,
    /// All but `deletecollection`: namespaces.
    NoDeleteCollection,
    /// `create` alone: reviews, which are answered and never stored.
    Create,
}

impl Verbs {
    /// The words, in the order of upstream's discovery.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::All => {
                &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
            }
            Self::NoDeleteCollection => {
                &["create", "delete", "get", "list", "patch", "update", "watch"]
            }
            Self::Create => &["create"],
        }
    }
}

/// A part of an object with a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// `status`: written by controllers; the rest of the object is ignored.
    Status,
    /// `scale`: the number of replicas, as `autoscaling/v1` `Scale`.
    Scale,
    /// `finalize`: a namespace's `spec.finalizers`.
    Finalize,
}

impl Subresource {
    /// Its last part of the path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Finalize => "finalize",
        }
    }

    /// What can be done with it.
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Status | Self::Scale => &["get", "patch", "update"],
            Self::Finalize => &["update"],
        }
    }
}

/// A kind of object.
#[derive(Debug)]
pub struct Kind {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The version in which it is served and stored.
    pub version: &'static str,
    /// `NetworkPolicy`.
    pub kind: &'static str,
    /// `networkpolicies`.
    pub plural: &'static str,
    /// `netpol`.
    pub short: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What can be done with it.
    pub verbs: Verbs,
    /// Parts with paths of their own.
    pub subresources: &'static [Subresource],
    /// `all`, for `kubectl get all`.
    pub categories: &'static [&'static str],
    /// Fields that a field selector may ask for, besides name and namespace.
    pub fields: &'static [&'static str],
}

impl Kind {
    /// What errors about its objects name.
    pub fn about(&self) -> About<'static> {
        About { group: self.group, resource: self.plural }
    }

    /// What errors about its rules name.
    pub fn about_kind(&self) -> About<'static> {
        About { group: self.group, resource: self.kind }
    }

    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// The kind's name in lower letters: what kubectl calls one object.
    pub fn singular(&self) -> String {
        self.kind.to_lowercase()
    }

    /// Whether it has a subresource.
    pub fn subresource(&self, name: &str) -> Option<Subresource> {
        self.subresources.iter().copied().find(|own| own.name() == name)
    }

    /// Whether objects of it are stored at all.
    pub fn is_stored(&self) -> bool {
        self.verbs != Verbs::Create
    }

    /// Group and kind for messages: `NetworkPolicy.networking.k8s.io`.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

/// `apps/v1`, or `v1` in the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// A kind with the name under which the store has its objects.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) kind: &'static Kind,
    pub(crate) resource: Resource,
}

impl Served {
    pub(crate) fn key(&self, namespace: Option<&str>, name: &str) -> Result<Key, InvalidKey> {
        Key::new(&self.resource, namespace, name)
    }
}

/// The kinds of a running server.
#[derive(Debug)]
pub(crate) struct Kinds(Vec<Served>);

impl Kinds {
    pub(crate) fn built_in() -> Result<Self, InvalidKey> {
        let served = |kind: &'static Kind| {
            let name = if kind.group.is_empty() {
                kind.plural.to_owned()
            } else {
                format!("{}/{}", kind.group, kind.plural)
            };
            Ok(Served { kind, resource: Resource::new(&name)? })
        };
        Ok(Self(BUILT_IN.iter().map(served).collect::<Result<_, _>>()?))
    }

    /// The kind of a path.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Served> {
        let same =
            |kind: &Kind| (kind.group, kind.version, kind.plural) == (group, version, plural);
        self.0.iter().find(|served| same(served.kind))
    }

    /// A kind of the table by its name.
    pub(crate) fn of(&self, group: &str, kind: &str) -> Option<&Served> {
        self.0.iter().find(|served| served.kind.is(group, kind))
    }
}

/// Groups in the order of discovery, each with its versions, the preferred one first.
pub(crate) fn groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for kind in BUILT_IN {
        match groups.iter_mut().find(|(group, _)| *group == kind.group) {
            Some((_, versions)) if versions.contains(&kind.version) => {}
            Some((_, versions)) => versions.push(kind.version),
            None => groups.push((kind.group, vec![kind.version])),
        }
    }
    groups
}

/// The kinds of one group and version.
pub(crate) fn of_version(group: &str, version: &str) -> impl Iterator<Item = &'static Kind> {
    BUILT_IN.iter().filter(move |kind| kind.group == group && kind.version == version)
}
