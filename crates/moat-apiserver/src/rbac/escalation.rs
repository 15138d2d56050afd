//! Nobody gives what they do not have: who writes a role must hold all that it allows, who writes a binding all that its role allows.

use super::rule::{Rule, beyond, quoted};
use super::{everything, is_master};
use crate::authorize::{Attributes, Authorize, Decision, User};
use crate::kinds::Kind;
use crate::object::{list, meta, meta_mut, text};
use crate::status::Status;
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";

/// A write of a role or binding: who writes it, where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) authorizer: &'a dyn Authorize,
    pub(crate) user: &'a User,
    pub(crate) kind: &'a Kind,
    pub(crate) namespace: &'a str,
    /// The name in the path; a new object has none there.
    pub(crate) name: &'a str,
}

impl Write<'_> {
    fn forbidden(self, object: &Value, why: &str) -> Status {
        Status::forbidden(self.kind.about(), meta(object, "name"), why)
    }

    fn may(self, verb: &str, resource: &str, name: &str) -> bool {
        let what = Attributes {
            verb: verb.to_owned(),
            group: GROUP.to_owned(),
            resource: resource.to_owned(),
            namespace: self.namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        matches!(self.authorizer.authorize(self.user, &what), Decision::Allow(_))
    }

    /// That the user holds rules; else what is missing, in upstream's words.
    fn holds(self, wanted: &[Rule]) -> Result<(), String> {
        let held = self.authorizer.rules(self.user, self.namespace);
        let rules: Vec<Rule> = held.resources.iter().chain(&held.paths).map(Rule::of).collect();
        let missing = beyond(&rules, wanted);
        if missing.is_empty() {
            return Ok(());
        }
        let mut why = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            self.user.name,
            quoted(&self.user.groups),
            missing.join("\n")
        );
        if !held.error.is_empty() {
            why += &format!("; resolution errors: [{}]", held.error);
        }
        Err(why)
    }
}

/// Whether a role may be written as it is.
pub(crate) fn may_define(write: Write<'_>, old: Option<&Value>, new: &Value) -> Result<(), Status> {
    if is_master(write.user)
        || old.is_some_and(|old| only_ownership(old, new))
        || write.may("escalate", &write.kind.plural, write.name)
    {
        return Ok(());
    }
    write.holds(&Rule::all(new)).map_err(|why| write.forbidden(new, &why))?;
    let gathers = |role: &Value| !list(role, "/aggregationRule/clusterRoleSelectors").is_empty();
    if (gathers(new) || old.is_some_and(gathers)) && write.holds(&everything()).is_err() {
        let why = "must have cluster-admin privileges to use the aggregationRule";
        return Err(write.forbidden(new, why));
    }
    Ok(())
}

/// Whether a binding may be written as it is.
pub(crate) fn may_bind(write: Write<'_>, old: Option<&Value>, new: &Value) -> Result<(), Status> {
    let (kind, role) = (text(new, "/roleRef/kind"), text(new, "/roleRef/name"));
    let resource = match kind {
        "ClusterRole" => "clusterroles",
        "Role" => "roles",
        // Validation refuses it, and says why.
        _ => return Ok(()),
    };
    if is_master(write.user)
        || old.is_some_and(|old| only_ownership(old, new))
        || write.may("bind", resource, role)
    {
        return Ok(());
    }
    let about = crate::status::About { group: GROUP, resource };
    let rules = write
        .authorizer
        .role_rules(kind, write.namespace, role)
        .map_err(|_| Status::not_found(about, role))?;
    let rules: Vec<Rule> = rules.iter().map(Rule::of).collect();
    write.holds(&rules).map_err(|why| write.forbidden(new, &why))
}

/// Whether a change is only about who owns and holds the object, which the garbage collector must be able to write.
fn only_ownership(old: &Value, new: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        for field in ["finalizers", "ownerReferences", "resourceVersion", "managedFields"] {
            meta_mut(&mut object).shift_remove(field);
        }
        object
    };
    rest(old) == rest(new)
}
