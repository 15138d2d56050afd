//! Who asks, and what they may do.

use std::fmt;

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name: a certificate's common name.
    pub name: String,
    /// The groups: a certificate's organizations, and `system:authenticated`.
    pub groups: Vec<String>,
}

impl User {
    /// A user who proved a name.
    pub fn authenticated(name: &str, groups: impl IntoIterator<Item = String>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().collect();
        groups.push("system:authenticated".to_owned());
        Self { name: name.to_owned(), groups }
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
}

/// An authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow,
    /// It may not; the text, if any, is shown behind the refusal.
    Deny(String),
}

/// Decides who may do what. RBAC will be one of these.
pub trait Authorize: Send + Sync + fmt::Debug {
    /// Whether `user` may do `what`.
    fn authorize(&self, user: &User, what: &Attributes) -> Decision;
}

/// Allows everything to `system:masters`, and discovery to every user that has a name, as upstream's bootstrap roles do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Masters;

/// Paths that upstream's `system:discovery` and `system:public-info-viewer` open.
const OPEN: &[&str] = &["/api", "/apis", "/openapi", "/healthz", "/livez", "/readyz", "/version"];

impl Authorize for Masters {
    fn authorize(&self, user: &User, what: &Attributes) -> Decision {
        let below = |open: &str| {
            what.path
                .strip_prefix(open)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let discovery =
            what.resource.is_empty() && what.verb == "get" && OPEN.iter().any(|open| below(open));
        // Every user may ask who they are and what they may do (`system:basic-user`).
        let asks = what.verb == "create"
            && matches!(
                what.resource.as_str(),
                "selfsubjectaccessreviews" | "selfsubjectreviews" | "selfsubjectrulesreviews"
            );
        if discovery || asks || user.groups.iter().any(|group| group == "system:masters") {
            Decision::Allow
        } else {
            Decision::Deny(String::new())
        }
    }
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
    fn only_masters_see_objects_and_everybody_sees_the_api() {
        let jane = User::authenticated("jane", ["dev".to_owned()]);
        let root = User::authenticated("root", ["system:masters".to_owned()]);
        let pods =
            Attributes { verb: "list".into(), resource: "pods".into(), ..Attributes::default() };
        assert_eq!(Masters.authorize(&root, &pods), Decision::Allow);
        assert_eq!(Masters.authorize(&jane, &pods), Decision::Deny(String::new()));
        let path = |path: &str| Attributes {
            verb: "get".into(),
            path: path.into(),
            ..Attributes::default()
        };
        assert_eq!(Masters.authorize(&jane, &path("/apis/apps/v1")), Decision::Allow);
        assert_eq!(Masters.authorize(&jane, &path("/apisx")), Decision::Deny(String::new()));
        assert_eq!(Masters.authorize(&jane, &path("/metrics")), Decision::Deny(String::new()));
        assert_eq!(
            pods.refusal(&jane),
            "User \"jane\" cannot list resource \"pods\" in API group \"\" at the cluster scope"
        );
    }
}
