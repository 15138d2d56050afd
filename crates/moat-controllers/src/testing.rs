//! Objects as caches have them, for tests.

use moat_informer::{Item, Meta};
use moat_store::Path;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

pub(crate) fn item<T: DeserializeOwned>(object: &Value) -> Arc<Item<T>> {
    let meta = Meta::deserialize(&object["metadata"]).unwrap();
    let namespace = (!meta.namespace.is_empty()).then_some(&*meta.namespace);
    let path = Path::new(namespace, &meta.name).unwrap();
    Arc::new(Item { path, revision: 1, meta, value: T::deserialize(object).unwrap() })
}
