//! The end of a definition: its objects go first, and who holds one of them holds the definition.

use super::register::{key, refresh};
use super::settle::{condition, say};
use super::{FINALIZER, GROUP, KIND};
use crate::api::Api;
use crate::kinds::{Kind, Kinds};
use crate::object::{decode, encode, finalizers, is_deleting, meta_mut, text};
use crate::stamp::now;
use moat_store::{Expect, List, Object, Resource, Scope, Store, WriteError};
use serde_json::Value;
use std::sync::{Arc, PoisonError};

/// Begins to take down a definition, if nobody does yet.
pub(super) fn start(api: &Api, name: &str) {
    let begun =
        api.kinds.ending.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    if !begun {
        return;
    }
    let (store, kinds, name) = (api.store.clone(), Arc::clone(&api.kinds), name.to_owned());
    let mut server = api.closed.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = run(&store, &kinds, &name) => {}
            _ = server.wait_for(|closed| *closed) => {}
        }
        kinds.ending.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        refresh(&kinds, &store);
    });
}

async fn run(store: &Store, kinds: &Kinds, name: &str) {
    let Some(of_definitions) = kinds.of(GROUP, KIND) else { return };
    let kind = &of_definitions.stored;
    let Some(key) = key(name) else { return };
    loop {
        let Some(found) = store.get(&key) else { return };
        let mut definition = decode(&found);
        if !is_deleting(&definition) || !finalizers(&definition).contains(&FINALIZER) {
            return;
        }
        if condition(&definition, "Terminating") != Some("True") {
            let why = "CustomResource deletion is in progress".to_owned();
            say(&mut definition, "Terminating", ("True", "InstanceDeletionInProgress", why));
            let written = store
                .update(key.clone(), encode(kind, &definition), Expect::Revision(found.revision))
                .await;
            if is_final(written.as_ref().err()) {
                return;
            }
            continue;
        }
        let group = text(&definition, "/spec/group");
        let plural = text(&definition, "/status/acceptedNames/plural");
        let own = kinds.now().all().any(|served| {
            served.kind.custom.is_some()
                && served.kind.group == group
                && served.kind.plural == plural
        });
        let resource = Resource::new(&format!("{group}/{plural}")).ok().filter(|_| own);
        if let Some(resource) = resource {
            let Ok(page) = store.list(&List::new(&resource, Scope::All)) else { return };
            if !page.objects.is_empty() {
                for object in &page.objects {
                    if is_final(remove(store, &resource, object).await.as_ref()) {
                        return;
                    }
                }
                // What was just removed is the first event; then somebody lets go of what is left.
                let Ok(mut watch) = store.watch(&resource, Scope::All, page.revision) else {
                    continue;
                };
                if watch.next().await.is_err() {
                    continue;
                }
                continue;
            }
        }
        if is_final(release(store, kind, &key, &found, definition).await.as_ref()) {
            return;
        }
    }
}

/// Whether the store takes no more writes.
fn is_final(error: Option<&WriteError>) -> bool {
    matches!(error, Some(WriteError::Unavailable(_) | WriteError::Closed))
}

/// Removes an object, or marks it where somebody holds it.
async fn remove(store: &Store, resource: &Resource, object: &Object) -> Option<WriteError> {
    let key = moat_store::Key::new(resource, object.path.namespace(), object.path.name()).ok()?;
    let mut value = decode(object);
    let expect = Expect::Revision(object.revision);
    if finalizers(&value).is_empty() {
        return store.delete(key, None, expect).await.err();
    }
    if is_deleting(&value) {
        return None;
    }
    let metadata = meta_mut(&mut value);
    metadata.insert("deletionTimestamp".to_owned(), now().into());
    metadata.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
    let (group, version) = text(&value, "/apiVersion").split_once('/')?;
    let kind = Kind::of_body(group, version, text(&value, "/kind"));
    store.update(key, encode(&kind, &value), expect).await.err()
}

/// Lets go of a definition without objects.
async fn release(
    store: &Store,
    kind: &Kind,
    key: &moat_store::Key,
    found: &Object,
    mut definition: Value,
) -> Option<WriteError> {
    say(
        &mut definition,
        "Terminating",
        ("False", "InstanceDeletionCompleted", "removed all instances".to_owned()),
    );
    let left: Vec<Value> = finalizers(&definition)
        .into_iter()
        .filter(|one| *one != FINALIZER)
        .map(Value::from)
        .collect();
    let (done, expect) = (left.is_empty(), Expect::Revision(found.revision));
    let metadata = meta_mut(&mut definition);
    if done {
        metadata.shift_remove("finalizers");
        return store.delete(key.clone(), Some(encode(kind, &definition)), expect).await.err();
    }
    metadata.insert("finalizers".to_owned(), left.into());
    store.update(key.clone(), encode(kind, &definition), expect).await.err()
}
