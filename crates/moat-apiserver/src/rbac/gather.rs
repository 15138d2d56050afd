//! Aggregated ClusterRoles show in their rules what they gather. Decisions do not wait for this: the index gathers by itself.

use crate::api::Api;
use crate::object::{decode, encode, list};
use crate::status::Status;
use moat_store::{Expect, List, Scope, WriteError};
use serde_json::Value;
use std::sync::Arc;

/// Writes the rules of all ClusterRoles that gather others', until the server ends.
pub(crate) async fn gather(api: Arc<Api>) {
    let Some(served) = api.kinds.of("rbac.authorization.k8s.io", "ClusterRole") else { return };
    let mut closed = api.closed.clone();
    loop {
        let after = api.store.revision();
        let Ok(mut watch) = api.store.watch(&served.resource, Scope::All, after) else { return };
        // Whoever else writes at the same time makes an event, by which this is tried again.
        let _ = once(&api).await;
        tokio::select! {
            events = watch.next() => if events.is_err() && api.store.revision() == after { return },
            _ = closed.wait_for(|closed| *closed) => return,
        }
    }
}

/// Writes what is not as it should be.
pub(super) async fn once(api: &Api) -> Result<(), Status> {
    let Some(served) = api.kinds.of("rbac.authorization.k8s.io", "ClusterRole") else {
        return Ok(());
    };
    let page = api.store.list(&List::new(&served.resource, Scope::All));
    let page = page.map_err(|error| Status::unavailable(&error.to_string()))?;
    for stored in page.objects {
        let mut role = decode(&stored);
        if list(&role, "/aggregationRule/clusterRoleSelectors").is_empty() {
            continue;
        }
        let name = stored.path.name();
        let Ok(rules) = api.authorizer.role_rules("ClusterRole", "", name) else { continue };
        let rules = Value::from(rules);
        if role["rules"] == rules {
            continue;
        }
        role["rules"] = rules;
        let key = served.key(None, name).map_err(|error| Status::internal(&error.to_string()))?;
        let body = encode(&served.stored, &role);
        match api.store.update(key, body, Expect::Revision(stored.revision)).await {
            Ok(_) | Err(WriteError::Conflict { .. } | WriteError::NotFound) => {}
            Err(error) => return Err(Status::unavailable(&error.to_string())),
        }
    }
    Ok(())
}
