//! What a client names: kinds by group, version and plural, and places of objects.

use crate::kinds::Served;
use std::borrow::Cow;
use std::fmt;

/// Group, version and plural of a kind: what a path names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvr {
    /// The API group; empty for the core.
    pub group: Cow<'static, str>,
    /// The version.
    pub version: Cow<'static, str>,
    /// The plural.
    pub plural: Cow<'static, str>,
}

impl Gvr {
    /// Of words that are known when the program is compiled.
    pub const fn new(group: &'static str, version: &'static str, plural: &'static str) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            plural: Cow::Borrowed(plural),
        }
    }

    /// An object, or all of them where the name is empty; without a namespace, those of all namespaces or of none.
    pub fn at<'a>(&'a self, namespace: &'a str, name: &'a str) -> At<'a> {
        At { gvr: self, namespace, name, subresource: "" }
    }

    pub(super) fn is_namespaces(&self) -> bool {
        self.group.is_empty() && self.plural == "namespaces"
    }
}

impl fmt::Display for Gvr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.plural)
        } else {
            write!(f, "{}.{}", self.plural, self.group)
        }
    }
}

/// A place: a kind, and as much of a path as is meant.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The kind.
    pub gvr: &'a Gvr,
    /// The namespace; empty for all or none.
    pub namespace: &'a str,
    /// The object's name; empty for all, and for one that is created.
    pub name: &'a str,
    /// The part of the object; empty for the whole.
    pub subresource: &'a str,
}

impl<'a> At<'a> {
    /// A part of the object.
    #[must_use]
    pub fn part(self, subresource: &'a str) -> Self {
        Self { subresource, ..self }
    }
}

/// A kind that is served, with what a client must know to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedKind {
    /// Group, version, plural.
    pub gvr: Gvr,
    /// `Deployment`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl ServedKind {
    pub(super) fn of(served: &Served) -> Self {
        let kind = &served.kind;
        Self {
            gvr: Gvr {
                group: kind.group.clone().into(),
                version: kind.version.clone().into(),
                plural: kind.plural.clone().into(),
            },
            kind: kind.kind.clone(),
            namespaced: kind.namespaced,
        }
    }
}
