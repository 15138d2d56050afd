//! Reads stored objects by name, for the parts of the server that decide by what is stored: who somebody is, what they may do, what is admitted.

use crate::object::decode;
use moat_store::{Key, Resource, Store};
use serde_json::Value;

/// What is stored, as values.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    store: Store,
}

impl Lookup {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// An object of a resource (`pods`, `apps/deployments`) by its name.
    pub(crate) fn get(&self, resource: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let key = Key::new(&Resource::new(resource).ok()?, namespace, name).ok()?;
        self.store.get(&key).map(|object| decode(&object))
    }
}
