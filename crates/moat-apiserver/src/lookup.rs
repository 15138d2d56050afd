//! Reads stored objects by name, for the parts of the server that decide by what is stored: who somebody is, what they may do, what is admitted.

use crate::object::decode;
use crate::part::{Keep, pick};
use moat_store::{Key, List, Object, Resource, Scope, Store};
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

    /// Parts of an object, without parsing the rest.
    pub(crate) fn parts(
        &self,
        resource: &str,
        namespace: Option<&str>,
        name: &str,
        keep: &Keep,
    ) -> Option<Value> {
        let key = Key::new(&Resource::new(resource).ok()?, namespace, name).ok()?;
        self.store.get(&key).map(|object| pick(&object.value, keep))
    }

    /// Parts of all objects of a resource, in a namespace if there is one. None if they cannot be read.
    pub(crate) fn all_parts(
        &self,
        resource: &str,
        namespace: Option<&str>,
        keep: &Keep,
    ) -> Vec<Value> {
        self.read(resource, namespace, None, |object| pick(&object.value, keep))
    }

    /// Whether a namespace has no object of a resource.
    pub(crate) fn has_none(&self, resource: &str, namespace: &str) -> bool {
        self.read(resource, Some(namespace), Some(1), |_| ()).is_empty()
    }

    /// All objects of a resource, in a namespace if there is one. None if they cannot be read.
    pub(crate) fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Value> {
        self.read(resource, namespace, None, decode)
    }

    fn read<T>(
        &self,
        resource: &str,
        namespace: Option<&str>,
        limit: Option<usize>,
        read: impl Fn(&Object) -> T,
    ) -> Vec<T> {
        let Ok(resource) = Resource::new(resource) else { return Vec::new() };
        let scope = namespace.map_or(Scope::All, |namespace| Scope::Namespace(namespace.into()));
        let page = self.store.list(&List { limit, ..List::new(&resource, scope) });
        page.map(|page| page.objects.iter().map(read).collect()).unwrap_or_default()
    }

    /// How many objects of a resource there are.
    pub(crate) fn count(&self, resource: &str) -> usize {
        Resource::new(resource).map_or(0, |resource| self.store.count(&resource))
    }
}
