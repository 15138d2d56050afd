//! What nodes may: their own objects, and of others only what the pods need that are bound to them (`plugin/pkg/auth/authorizer/node`).
//!
//! RBAC cannot say "the Secrets of your pods". So this authorizer stands before it, and says why it has nothing for a node; what roles allow
//! besides, they allow.

mod graph;

use crate::authorize::{Attributes, Decision, User};
use crate::lookup::Lookup;
use crate::object::text;
use crate::rbac::{Rule, node_rules};
use graph::{Graph, Part};
use moat_store::Store;

/// The group of nodes, and what their names begin with.
const GROUP: &str = "system:nodes";
const PREFIX: &str = "system:node:";

/// The node that a user is; an empty name where only the group says so.
pub(crate) fn identity(user: &User) -> Option<&str> {
    let node = user.name.strip_prefix(PREFIX)?;
    user.groups.iter().any(|group| group == GROUP).then_some(node)
}

/// The authorizer.
#[derive(Debug)]
pub(crate) struct Nodes {
    graph: Graph,
    lookup: Lookup,
    rules: Vec<Rule>,
}

/// `Ok` if it may, else why this authorizer does not say so.
type Answer = Result<(), String>;

fn only(allowed: bool, why: &str) -> Answer {
    if allowed { Ok(()) } else { Err(why.to_owned()) }
}

impl Nodes {
    pub(crate) fn new(store: Store) -> Self {
        Self { graph: Graph::new(store.clone()), lookup: Lookup::new(store), rules: node_rules() }
    }

    /// Decides for nodes; of others it has no opinion.
    pub(crate) fn authorize(&self, user: &User, what: &Attributes) -> Option<Decision> {
        let node = identity(user)?;
        if node.is_empty() {
            return Some(Decision::Deny(format!("unknown node for user {:?}", user.name)));
        }
        Some(match self.decide(node, what) {
            Ok(()) => Decision::Allow(String::new()),
            Err(why) => Decision::Deny(why),
        })
    }

    fn decide(&self, node: &str, what: &Attributes) -> Answer {
        match (what.group.as_str(), what.resource.as_str()) {
            ("", "secrets") => self.read(node, Part::Secret, what),
            ("", "configmaps") => self.read(node, Part::ConfigMap, what),
            ("", "persistentvolumeclaims") if what.subresource == "status" => {
                only(
                    matches!(what.verb.as_str(), "update" | "patch"),
                    "can only get/update/patch this type",
                )?;
                self.related(node, Part::Claim, what)
            }
            ("", "persistentvolumeclaims") => {
                get(what)?;
                self.related(node, Part::Claim, what)
            }
            ("", "persistentvolumes") => {
                get(what)?;
                self.volume(node, what)
            }
            ("storage.k8s.io", "volumeattachments") => {
                get(what)?;
                let found = self.lookup.get("storage.k8s.io/volumeattachments", None, &what.name);
                let own = found.is_some_and(|found| text(&found, "/spec/nodeName") == node);
                only(own, &unrelated(node))
            }
            ("", "serviceaccounts") => self.account(node, what),
            ("coordination.k8s.io", "leases") => lease(node, what),
            ("storage.k8s.io", "csinodes") => own_named(node, what, "CSINode"),
            ("", "nodes") => own_node(node, what),
            ("", "pods") => self.pod(node, what),
            _ => only(self.rules.iter().any(|rule| rule.allows(what)), ""),
        }
    }

    fn related(&self, node: &str, part: Part, what: &Attributes) -> Answer {
        only(!what.name.is_empty(), "No Object name found")?;
        only(self.graph.has(node, part, &what.namespace, &what.name), &unrelated(node))
    }

    fn read(&self, node: &str, part: Part, what: &Attributes) -> Answer {
        let reads = matches!(what.verb.as_str(), "get" | "list" | "watch");
        only(reads, "can only read resources of this type")?;
        only(what.subresource.is_empty(), "cannot read subresource")?;
        only(!what.namespace.is_empty(), "can only read namespaced object of this type")?;
        self.related(node, part, what)
    }

    /// A volume is a node's if the claim that it is bound to is.
    fn volume(&self, node: &str, what: &Attributes) -> Answer {
        let found = self.lookup.get("persistentvolumes", None, &what.name).unwrap_or_default();
        let (namespace, name) =
            (text(&found, "/spec/claimRef/namespace"), text(&found, "/spec/claimRef/name"));
        let own = !name.is_empty() && self.graph.has(node, Part::Claim, namespace, name);
        only(own, &unrelated(node))
    }

    fn account(&self, node: &str, what: &Attributes) -> Answer {
        if what.verb == "get" && what.subresource.is_empty() {
            return self.read(node, Part::Account, what);
        }
        let creates = what.verb == "create" && !what.name.is_empty();
        only(creates, "can only create tokens for individual service accounts")?;
        only(what.subresource == "token", "can only create token subresource of serviceaccount")?;
        self.related(node, Part::Account, what)
    }

    fn pod(&self, node: &str, what: &Attributes) -> Answer {
        match (what.subresource.as_str(), what.verb.as_str()) {
            ("", "get") => self.related(node, Part::Pod, what),
            ("", "list" | "watch") => {
                let own =
                    |(field, value): &(String, String)| field == "spec.nodeName" && value == node;
                if what.fields.iter().any(own) {
                    return Ok(());
                }
                only(
                    !what.name.is_empty(),
                    "can only list/watch pods with spec.nodeName field selector",
                )?;
                self.related(node, Part::Pod, what)
            }
            // Which ones is the NodeRestriction admission's to say.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => {
                Ok(())
            }
            _ => Err(String::new()),
        }
    }
}

fn unrelated(node: &str) -> String {
    format!("no relationship found between node '{node}' and this object")
}

fn get(what: &Attributes) -> Answer {
    only(what.verb == "get", "can only get individual resources of this type")?;
    only(what.subresource.is_empty(), "cannot get subresource")
}

fn lease(node: &str, what: &Attributes) -> Answer {
    let known = matches!(what.verb.as_str(), "get" | "create" | "update" | "patch" | "delete");
    only(known, "can only get, create, update, patch, or delete a node lease")?;
    let home = what.namespace == "kube-node-lease";
    only(home, "can only access leases in the \"kube-node-lease\" system namespace")?;
    let own = what.verb == "create" || what.name == node;
    only(own, "can only access node lease with the same name as the requesting node")
}

fn own_named(node: &str, what: &Attributes, kind: &str) -> Answer {
    let known = matches!(what.verb.as_str(), "get" | "create" | "update" | "patch" | "delete");
    only(known, &format!("can only get, create, update, patch, or delete a {kind}"))?;
    only(what.subresource.is_empty(), &format!("cannot authorize {kind} subresources"))?;
    let own = what.verb == "create" || what.name == node;
    only(own, &format!("can only access {kind} with the same name as the requesting node"))
}

fn own_node(node: &str, what: &Attributes) -> Answer {
    match (what.subresource.as_str(), what.verb.as_str()) {
        // Whose it is, the NodeRestriction admission says.
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") if what.name == node => Ok(()),
        ("", "get" | "list" | "watch") if what.name.is_empty() => {
            Err(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch") => {
            Err(format!("node '{node}' cannot read '{}', only its own Node object", what.name))
        }
        _ => Err(String::new()),
    }
}
