//! Who asks, and what they may do.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Who sent a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name: a certificate's common name, `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// What tells apart two who had the same name one after the other, where something does.
    pub uid: String,
    /// The groups: a certificate's organizations, and `system:authenticated`.
    pub groups: Vec<String>,
    /// What else is known, such as the pod that a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user who proved a name.
    pub fn authenticated(name: &str, groups: impl IntoIterator<Item = String>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().collect();
        groups.push("system:authenticated".to_owned());
        Self { name: name.to_owned(), groups, ..Self::default() }
    }

    /// Somebody who said no name.
    pub(crate) fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".to_owned()];
        Self { name: "system:anonymous".to_owned(), groups, ..Self::default() }
    }
}

/// What a request wants, as authorizers see it (upstream's `authorizer.Attributes`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the method's own word for other paths.
    pub verb: String,
    /// The API group.
    pub group: String,
    /// The plural, or nothing where a path is no resource.
    pub resource: String,
    /// The part of the object.
    pub subresource: String,
    /// The namespace, or nothing for all or none.
    pub namespace: String,
    /// The object's name, or nothing.
    pub name: String,
    /// The path, where it is no resource.
    pub path: String,
    /// Fields that objects of a list must have, as far as the selector asks for equality.
    pub fields: Vec<(String, String)>,
}

/// An authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may; the text, if any, says by what.
    Allow(String),
    /// It may not; the text, if any, is shown behind the refusal.
    Deny(String),
}

/// Decides who may do what; by RBAC unless [`crate::Options`] say otherwise.
pub trait Authorize: Send + Sync + fmt::Debug {
    /// Whether `user` may do `what`.
    fn authorize(&self, user: &User, what: &Attributes) -> Decision;

    /// What `user` may do in a namespace, as far as it can be listed.
    fn rules(&self, user: &User, namespace: &str) -> Rules {
        let _ = (user, namespace);
        let error = "this authorizer cannot list rules".to_owned();
        Rules { incomplete: true, error, ..Rules::default() }
    }

    /// The rules of a `Role` in a namespace or of a `ClusterRole`, as upstream's `PolicyRule`s; an error if there is no such role.
    fn role_rules(&self, kind: &str, namespace: &str, name: &str) -> Result<Vec<Value>, String> {
        let _ = (kind, namespace);
        Err(format!("this authorizer has no role {name:?}"))
    }
}

/// What somebody may do in a namespace, as `SelfSubjectRulesReview` tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Upstream's `ResourceRule`s.
    pub resources: Vec<Value>,
    /// Upstream's `NonResourceRule`s.
    pub paths: Vec<Value>,
    /// Whether there may be more.
    pub incomplete: bool,
    /// Why there may be more.
    pub error: String,
}

impl Attributes {
    /// The sentence of a refusal (upstream's `responsewriters.ForbiddenMessage`).
    pub(crate) fn refusal(&self, user: &User) -> String {
        let name = format!("User {:?}", user.name);
        if self.resource.is_empty() {
            return format!("{name} cannot {} path {:?}", self.verb, self.path);
        }
        let resource = if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        };
        let scope = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", self.namespace)
        };
        format!(
            "{name} cannot {} resource {resource:?} in API group {:?} {scope}",
            self.verb, self.group
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_what_was_wanted() {
        let jane = User::authenticated("jane", ["dev".to_owned()]);
        let mut what =
            Attributes { verb: "list".into(), resource: "pods".into(), ..Attributes::default() };
        assert_eq!(
            what.refusal(&jane),
            "User \"jane\" cannot list resource \"pods\" in API group \"\" at the cluster scope"
        );
        what.subresource = "log".into();
        what.namespace = "shop".into();
        assert_eq!(
            what.refusal(&jane),
            "User \"jane\" cannot list resource \"pods/log\" in API group \"\" in the namespace \"shop\""
        );
        let path =
            Attributes { verb: "get".into(), path: "/metrics".into(), ..Attributes::default() };
        assert_eq!(path.refusal(&jane), "User \"jane\" cannot get path \"/metrics\"");
    }
}
