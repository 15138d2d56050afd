//! `componentstatuses`: how the parts of the control plane do. Nothing is stored; each part is asked when a client asks.

use super::Call;
use super::options::ListOptions;
use super::send;
use crate::api::{Api, Reply};
use crate::negotiate::Form;
use crate::selector::Selector;
use crate::status::{About, Status};
use crate::table;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

/// A part of the control plane that runs beside the server.
#[derive(Clone)]
pub struct Component {
    name: &'static str,
    check: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Component {
    /// A part by upstream's name for it (`scheduler`, `controller-manager`), and how to ask it: an error says why it does not do well.
    pub fn new(
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { name, check: Arc::new(check) }
    }
}

/// Parts of every control plane.
const OTHERS: [&str; 2] = ["controller-manager", "scheduler"];
/// Upstream's name for the store.
const STORE: &str = "etcd-0";

fn all(api: &Api) -> Vec<Value> {
    let mut states: Vec<(&str, Result<(), String>)> =
        api.components.iter().map(|one| (one.name, (one.check)())).collect();
    for name in OTHERS {
        if !states.iter().any(|(known, _)| *known == name) {
            states.push((name, Err("it does not run in this process".to_owned())));
        }
    }
    let trouble = api.store.stats().trouble.map(|trouble| trouble.to_string());
    states.push((STORE, trouble.map_or(Ok(()), Err)));
    states.sort_by_key(|(name, _)| *name);
    states.into_iter().map(|(name, state)| status(name, state)).collect()
}

fn status(name: &str, state: Result<(), String>) -> Value {
    let (status, message) = match state {
        Ok(()) => ("True", "ok".to_owned()),
        Err(why) => ("False", why),
    };
    json!({
        "kind": "ComponentStatus", "apiVersion": "v1", "metadata": { "name": name },
        "conditions": [{ "type": "Healthy", "status": status, "message": message }],
    })
}

pub(super) fn answer(api: &Api, call: &Call<'_>) -> Result<Reply, Status> {
    let form = call.form()?;
    let mut found = all(api);
    if call.verb == "get" {
        call.query.only(&["resourceVersion", "includeObject", "pretty", "timeout"])?;
        let one = found.into_iter().find(|one| one["metadata"]["name"] == *call.name);
        // Upstream says it of the singular.
        let about = About { group: "", resource: "componentstatus" };
        let one = one.ok_or_else(|| Status::not_found(about, &call.name))?;
        return send::value(call, form, 200, one);
    }
    ListOptions::of(call)?;
    let text = |name| call.query.text(name).unwrap_or_default();
    let selector = Selector::parse(call.kind(), text("labelSelector"), text("fieldSelector"))?;
    found.retain(|one| selector.matches(one));
    let metadata = json!({});
    let body = match form {
        Form::Table => {
            let body = table::table(&call.served, &found, send::include(call)?, &metadata);
            return Ok(Reply::bytes(200, "application/json", body));
        }
        Form::Partial => {
            let items: Vec<Value> = found.iter().map(send::partial).collect();
            json!({ "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items })
        }
        Form::Object | Form::Discovery => {
            for map in found.iter_mut().filter_map(Value::as_object_mut) {
                map.retain(|key, _| !matches!(key.as_str(), "kind" | "apiVersion"));
            }
            json!({ "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": metadata, "items": found })
        }
    };
    Ok(Reply::json(200, &body))
}
