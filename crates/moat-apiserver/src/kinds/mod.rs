//! The kinds that this server serves, from which paths, discovery, OpenAPI, storage, columns and selectors follow.
//!
//! Those of the server itself are rows of `table.rs`; what is served may change while it runs (`served.rs`). One kind may be served in several
//! versions, of which one is stored (`conversion.rs`). To add a kind, add a row and run the tests; a kind with rules of its own gets a strategy
//! in `strategy/`, one with columns of its own a file in `table/`.

mod absent;
mod conversion;
mod event;
mod served;
mod table;

use crate::crd::Custom;
use crate::schema::Schema;
use crate::status::About;
use std::sync::Arc;

pub(crate) use absent::absent;
pub(crate) use conversion::OtherForm;
pub(crate) use served::{Kinds, Served, Snapshot};
use table::BUILT_IN;

/// What can be done with a kind. A kind that is not stored is only asked: `create` is its one verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbs {
    /// All eight verbs.
    All,
    /// All but `deletecollection`: namespaces.
    NoDeleteCollection,
    /// `create` alone: reviews, which are answered and never stored.
    Create,
    /// `get` and `list`: what is looked up when it is asked for, and never stored.
    Read,
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
            Self::Read => &["get", "list"],
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
    /// `approval`: whether a request for a certificate is approved.
    Approval,
    /// `binding`: the node of a pod, said once by a scheduler.
    Binding,
    /// `ephemeralcontainers`: containers that are added to a pod while it runs.
    EphemeralContainers,
    /// `eviction`: the deletion of a pod, where its disruption budget allows it.
    Eviction,
    /// `finalize`: a namespace's `spec.finalizers`.
    Finalize,
    /// `resize`: what the containers of a pod ask for and may use.
    Resize,
    /// `token`: makes a token for a ServiceAccount.
    Token,
}

impl Subresource {
    /// Whether it is a path of a part of the spec, by which nothing else can be changed.
    pub(crate) fn is_part(self) -> bool {
        matches!(self, Self::EphemeralContainers | Self::Resize)
    }

    /// Its last part of the path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Approval => "approval",
            Self::Binding => "binding",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Eviction => "eviction",
            Self::Finalize => "finalize",
            Self::Resize => "resize",
            Self::Token => "token",
        }
    }

    /// What can be done with it.
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Approval
            | Self::EphemeralContainers
            | Self::Resize
            | Self::Status
            | Self::Scale => &["get", "patch", "update"],
            Self::Binding | Self::Eviction | Self::Token => &["create"],
            Self::Finalize => &["update"],
        }
    }

    /// Group, version and kind of what is read and written there, where it is another kind than the object's.
    pub fn own_kind(self) -> Option<[&'static str; 3]> {
        match self {
            Self::Scale => Some(["autoscaling", "v1", "Scale"]),
            Self::Token => Some(["authentication.k8s.io", "v1", "TokenRequest"]),
            Self::Binding => Some(["", "v1", "Binding"]),
            Self::Eviction => Some(["policy", "v1", "Eviction"]),
            Self::Approval
            | Self::EphemeralContainers
            | Self::Finalize
            | Self::Resize
            | Self::Status => None,
        }
    }
}

/// A kind of object, in one version.
#[derive(Clone, Debug)]
pub struct Kind {
    /// The API group; empty for the core.
    pub group: String,
    /// The version in which it is served.
    pub version: String,
    /// `NetworkPolicy`.
    pub kind: String,
    /// `NetworkPolicyList`.
    pub list: String,
    /// `networkpolicies`.
    pub plural: String,
    /// `networkpolicy`: what kubectl calls one object.
    pub singular: String,
    /// `netpol`.
    pub short: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What can be done with it.
    pub verbs: Verbs,
    /// Parts with paths of their own.
    pub subresources: Vec<Subresource>,
    /// `all`, for `kubectl get all`.
    pub categories: Vec<String>,
    /// Fields that a field selector may ask for, besides name and namespace.
    pub fields: Vec<String>,
    /// What its definition says, if a client defined it.
    pub(crate) custom: Option<Arc<Custom>>,
}

/// A row of the table of kinds.
#[derive(Debug)]
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    verbs: Verbs,
    subresources: &'static [Subresource],
    categories: &'static [&'static str],
    fields: &'static [&'static str],
}

impl From<&Row> for Kind {
    fn from(row: &Row) -> Self {
        let all = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            group: row.group.to_owned(),
            version: row.version.to_owned(),
            kind: row.kind.to_owned(),
            list: format!("{}List", row.kind),
            plural: row.plural.to_owned(),
            singular: row.kind.to_lowercase(),
            short: all(row.short),
            namespaced: row.namespaced,
            verbs: row.verbs,
            subresources: row.subresources.to_vec(),
            categories: all(row.categories),
            fields: all(row.fields),
            custom: None,
        }
    }
}

impl Kind {
    /// A kind that is only sent to a part of another's path.
    pub(crate) fn of_body(group: &str, version: &str, kind: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            list: String::new(),
            plural: String::new(),
            singular: kind.to_lowercase(),
            short: Vec::new(),
            namespaced: true,
            verbs: Verbs::Create,
            subresources: Vec::new(),
            categories: Vec::new(),
            fields: Vec::new(),
            custom: None,
        }
    }

    /// What whoever uses the kind is told, if it is on its way out.
    pub(crate) fn deprecation(&self) -> Vec<String> {
        if self.is("", "ComponentStatus") {
            return vec!["v1 ComponentStatus is deprecated in v1.19+".to_owned()];
        }
        if self.is("", "Endpoints") {
            return vec![
                "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
                    .to_owned(),
            ];
        }
        self.custom.as_ref().and_then(|custom| custom.warning.clone()).into_iter().collect()
    }

    /// What errors about its objects name.
    pub fn about(&self) -> About<'_> {
        About { group: &self.group, resource: &self.plural }
    }

    /// What errors about its rules name.
    pub fn about_kind(&self) -> About<'_> {
        About { group: &self.group, resource: &self.kind }
    }

    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Whether it has a subresource.
    pub fn subresource(&self, name: &str) -> Option<Subresource> {
        self.subresources.iter().copied().find(|own| own.name() == name)
    }

    /// Whether objects of it are stored at all.
    pub fn is_stored(&self) -> bool {
        !matches!(self.verbs, Verbs::Create | Verbs::Read)
    }

    /// Whether it is the kind of a group and a name.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// The type of its objects.
    pub(crate) fn schema(&self) -> Schema<'_> {
        match &self.custom {
            Some(custom) => custom.schema(),
            None => Schema::of_kind(&self.group, &self.version, &self.kind),
        }
    }
}

/// `apps/v1`, or `v1` in the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// The kinds that every server has.
pub fn built_in() -> Vec<Arc<Kind>> {
    BUILT_IN.iter().map(|row| Arc::new(Kind::from(row))).collect()
}
