//! Reads stored objects by name, for the parts of the server that decide by what is stored: who somebody is, what they may do, what is admitted.

use crate::object::decode;
use crate::part::{Keep, pick};
use moat_store::{Key, List, Object, Resource, Scope, Store};
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// Parts that are kept for the next who wants them: every pod asks for the same few.
const PARTS_MAX: usize = 512;
/// Bytes of the largest object of which parts are kept.
const KEPT_BYTES_MAX: usize = 4 << 10;

/// What is stored, as values.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    store: Store,
    /// By the revision of the object, which no other object has or had, and by where it is written what is wanted of it.
    parts: Arc<Mutex<FxHashMap<(u64, usize), Arc<Value>>>>,
}

impl Lookup {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, parts: Arc::default() }
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
        keep: &'static Keep,
    ) -> Option<Arc<Value>> {
        let key = Key::new(&Resource::new(resource).ok()?, namespace, name).ok()?;
        self.store.get(&key).map(|object| self.picked(&object, keep))
    }

    /// Parts of all objects of a resource, in a namespace if there is one. None if they cannot be read.
    pub(crate) fn all_parts(
        &self,
        resource: &str,
        namespace: Option<&str>,
        keep: &'static Keep,
    ) -> Vec<Arc<Value>> {
        self.read(resource, namespace, None, |object| self.picked(object, keep))
    }

    fn picked(&self, object: &Object, keep: &'static Keep) -> Arc<Value> {
        let key = (object.revision, std::ptr::from_ref(keep).addr());
        let lock = || self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(&key) {
            return Arc::clone(found);
        }
        let parts = Arc::new(pick(&object.value, keep));
        if object.value.len() <= KEPT_BYTES_MAX {
            let mut all = lock();
            if PARTS_MAX <= all.len() {
                all.clear();
            }
            all.insert(key, Arc::clone(&parts));
        }
        parts
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

#[cfg(test)]
mod tests {
    use super::*;
    use moat_store::{Body, Expect, Options, Write};
    use serde_json::json;

    static NAMES: Keep = Keep::Fields(&[("name", Keep::All)]);
    static NUMBERS: Keep = Keep::Fields(&[("n", Keep::All)]);

    #[test]
    fn parts_that_are_kept_are_those_of_the_object_as_it_is() {
        let store = Store::in_memory(Options::default());
        let lookup = Lookup::new(store.clone());
        let key = Key::new(&Resource::new("c").unwrap(), None, "a").unwrap();
        let body = |n: usize, more: usize| {
            Body::whole(json!({"name": "a", "n": n, "x": "y".repeat(more)}).to_string())
        };
        store.submit(vec![Write::Create { key: key.clone(), body: body(0, 0) }]).wait().unwrap();
        for n in 1..2 * PARTS_MAX {
            for _ in 0..2 {
                let (names, numbers) = (
                    lookup.parts("c", None, "a", &NAMES).unwrap(),
                    lookup.all_parts("c", None, &NUMBERS).remove(0),
                );
                assert_eq!((&*names, &*numbers), (&json!({"name": "a"}), &json!({"n": n - 1})));
            }
            assert!(lookup.parts.lock().unwrap().len() <= PARTS_MAX);
            let expect = Expect::Exists;
            let more = if n % 3 == 0 { KEPT_BYTES_MAX } else { 0 };
            let write = Write::Update { key: key.clone(), body: body(n, more), expect };
            store.submit(vec![write]).wait().unwrap();
        }
    }
}
