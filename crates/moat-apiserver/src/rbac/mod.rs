//! Role-based access control: who may do what, by the roles and bindings in the store.
//!
//! A decision looks up the bindings that name the user or one of the groups, for the cluster and for the namespace, and asks their rules.
//! Nothing is denied by a rule: what no rule allows is not allowed.

mod bootstrap;
mod controllers;
mod escalation;
mod gather;
mod index;
#[cfg(test)]
mod naive;
mod roles;
mod rule;

use crate::authorize::{Attributes, Authorize, Decision, Rules, User};
use crate::node::Nodes;
use index::{Index, View};
use moat_store::Store;

pub(crate) use bootstrap::{bootstrap, node_rules};
pub(crate) use escalation::{Write, may_bind, may_define};
pub(crate) use gather::gather;
pub(crate) use rule::Rule;

/// Members of this group may do everything, whatever is stored: they can repair what was broken.
const MASTERS: &str = "system:masters";

/// What nodes may besides depends on their pods.
const NOT_LISTED: &str = "node authorizer does not support user rule resolution";

/// The authorizer.
#[derive(Debug)]
pub(crate) struct Rbac {
    index: Index,
    nodes: Nodes,
}

impl Rbac {
    pub(crate) fn new(store: Store) -> Self {
        Self { index: Index::new(store.clone()), nodes: Nodes::new(store) }
    }
}

pub(crate) fn is_master(user: &User) -> bool {
    user.groups.iter().any(|group| group == MASTERS)
}

impl Authorize for Rbac {
    fn authorize(&self, user: &User, what: &Attributes) -> Decision {
        if is_master(user) {
            return Decision::Allow(String::new());
        }
        let node = self.nodes.authorize(user, what);
        if let Some(Decision::Allow(why)) = node {
            return Decision::Allow(why);
        }
        match (node, decide(&self.index.view(), user, what)) {
            (Some(Decision::Deny(first)), Decision::Deny(second)) => {
                let both: Vec<String> =
                    [first, second].into_iter().filter(|why| !why.is_empty()).collect();
                Decision::Deny(both.join(", "))
            }
            (_, decision) => decision,
        }
    }

    fn rules(&self, user: &User, namespace: &str) -> Rules {
        let (held, error) = if is_master(user) {
            (everything(), String::new())
        } else {
            held(&self.index.view(), user, namespace)
        };
        let error = match crate::node::identity(user) {
            Some(_) if error.is_empty() => NOT_LISTED.to_owned(),
            Some(_) => format!("[{NOT_LISTED}, {error}]"),
            None => error,
        };
        let (paths, resources): (Vec<&Rule>, Vec<&Rule>) =
            held.iter().partition(|rule| !rule.urls.is_empty());
        Rules {
            resources: resources.into_iter().map(Rule::to_json).collect(),
            paths: paths.into_iter().map(Rule::to_json).collect(),
            incomplete: !error.is_empty(),
            error,
        }
    }

    fn role_rules(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<serde_json::Value>, String> {
        let found = self.index.view().role(kind, namespace, name);
        let rules = found.ok_or_else(|| index::not_found(kind, name))?;
        Ok(rules.iter().map(Rule::to_json).collect())
    }
}

/// Whether a user may, by what a view holds.
fn decide(view: &View, user: &User, what: &Attributes) -> Decision {
    let mut missing = Vec::new();
    for grant in view.grants(user, &what.namespace) {
        match &grant.rules {
            Some(rules) if rules.iter().any(|rule| rule.allows(what)) => {
                return Decision::Allow(format!("RBAC: allowed by {}", grant.binding.why(user)));
            }
            Some(_) => {}
            None => missing.push(grant.binding.missing()),
        }
    }
    Decision::Deny(match errors(missing) {
        text if text.is_empty() => text,
        text => format!("RBAC: {text}"),
    })
}

/// All rules that a user has in a namespace, and what could not be found.
fn held(view: &View, user: &User, namespace: &str) -> (Vec<Rule>, String) {
    let (mut rules, mut missing) = (Vec::new(), Vec::new());
    for grant in view.grants(user, namespace) {
        match &grant.rules {
            Some(own) => rules.extend(own.iter().cloned()),
            None => missing.push(grant.binding.missing()),
        }
    }
    (rules, errors(missing))
}

/// Several errors as Go's aggregate prints them.
fn errors(mut all: Vec<String>) -> String {
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|one| seen.insert(one.clone()));
    match all.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// What `cluster-admin` may.
fn everything() -> Vec<Rule> {
    let star = || vec!["*".to_owned()];
    vec![
        Rule { groups: star(), resources: star(), verbs: star(), ..Rule::default() },
        Rule { urls: star(), verbs: star(), ..Rule::default() },
    ]
}
