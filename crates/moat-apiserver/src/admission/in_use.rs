//! Claims and volumes do not go while somebody uses them: a finalizer holds them, which controllers take away (`StorageObjectInUseProtection`).

use crate::object::{finalizers, meta_mut};
use serde_json::Value;

pub(super) fn protect(object: &mut Value, finalizer: &str) {
    let mut all: Vec<Value> = finalizers(object).into_iter().map(Value::from).collect();
    if !all.iter().any(|one| one == finalizer) {
        all.push(finalizer.into());
        meta_mut(object).insert("finalizers".to_owned(), all.into());
    }
}
