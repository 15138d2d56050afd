//! Which writes a policy is for.

use super::{Operation, Request};
use crate::object::{list, text};
use crate::selector::matches_labels;
use serde_json::{Value, json};

/// A write and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write<'a> {
    pub(super) request: Request<'a>,
    pub(super) operation: Operation,
    pub(super) old: Option<&'a Value>,
    pub(super) new: Option<&'a Value>,
    pub(super) namespace: Option<&'a Value>,
}

impl Write<'_> {
    /// Whether `MatchResources` mean the write. Without rules a binding means whatever its policy means.
    pub(super) fn matches(&self, resources: &Value, without_rules: bool) -> bool {
        let rules = list(resources, "/resourceRules");
        (rules.is_empty() && without_rules || rules.iter().any(|rule| self.fits(rule)))
            && !list(resources, "/excludeResourceRules").iter().any(|rule| self.fits(rule))
            && self.namespace_fits(&resources["namespaceSelector"])
            && self.object_fits(&resources["objectSelector"])
    }

    fn fits(&self, rule: &Value) -> bool {
        let has =
            |field: &str, own: &str| list(rule, field).iter().any(|one| one == "*" || one == own);
        let kind = self.request.kind;
        let sub = self.request.subresource.map_or("", |sub| sub.name());
        let resource = list(rule, "/resources").iter().filter_map(Value::as_str).any(|pattern| {
            let (resource, part) = pattern.split_once('/').unwrap_or((pattern, ""));
            (resource == "*" || resource == kind.plural) && (part == "*" || part == sub)
        });
        let scope = match text(rule, "/scope") {
            "Namespaced" => kind.namespaced,
            "Cluster" => !kind.namespaced,
            _ => true,
        };
        let names = list(rule, "/resourceNames");
        let name = self.name();
        resource
            && scope
            && has("/operations", self.operation.word())
            && has("/apiGroups", &kind.group)
            && has("/apiVersions", &kind.version)
            && (names.is_empty() || names.iter().any(|one| one == name))
    }

    fn name(&self) -> &str {
        let own = self.new.or(self.old).map_or("", |object| text(object, "/metadata/name"));
        if own.is_empty() { self.request.name } else { own }
    }

    /// The labels of the namespace; what is in none is always meant, and a namespace is judged by its own.
    fn namespace_fits(&self, selector: &Value) -> bool {
        if is_empty(selector) {
            return true;
        }
        if self.request.kind.is("", "Namespace") {
            let own = self.new.or(self.old).unwrap_or(&Value::Null);
            return matches_labels(selector, &own["metadata"]["labels"]);
        }
        match self.namespace {
            Some(namespace) => matches_labels(selector, &namespace["metadata"]["labels"]),
            None => true,
        }
    }

    fn object_fits(&self, selector: &Value) -> bool {
        let fits = |object: &&Value| matches_labels(selector, &object["metadata"]["labels"]);
        is_empty(selector) || self.new.iter().chain(self.old.iter()).any(fits)
    }

    /// The request as expressions see it.
    pub(super) fn to_json(self) -> Value {
        let (kind, user) = (self.request.kind, self.request.user);
        let gvk = json!({ "group": kind.group, "version": kind.version, "kind": kind.kind });
        let gvr = json!({ "group": kind.group, "version": kind.version, "resource": kind.plural });
        let sub = self.request.subresource.map_or("", |sub| sub.name());
        let mut request = json!({
            "kind": gvk, "resource": gvr, "requestKind": gvk, "requestResource": gvr, "operation": self.operation.word(),
            "name": self.name(), "userInfo": { "username": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra },
        });
        if !sub.is_empty() {
            request["subResource"] = sub.into();
            request["requestSubResource"] = sub.into();
        }
        if !self.request.namespace.is_empty() {
            request["namespace"] = self.request.namespace.into();
        }
        request
    }
}

fn is_empty(selector: &Value) -> bool {
    selector.as_object().is_none_or(serde_json::Map::is_empty)
}
