//! Creates objects.

use super::admit::Account;
use super::options::WriteOptions;
use super::send::Made;
use super::{Call, admit, body, refused, send};
use crate::admission;
use crate::api::{Api, Reply};
use crate::kinds::Served;
use crate::object::{encode, meta};
use crate::status::Status;
use crate::strategy::allocates;
use moat_store::{Body, Key, Object, Write, WriteError};
use serde_json::{Value, json};
use std::sync::Arc;

/// How often another name is tried where a generated one is taken (upstream's number).
const NAME_TRIES: usize = 8;

pub(super) async fn create(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    let options = WriteOptions::of(call)?;
    let form = call.form()?;
    let (mut object, warnings) = body::object(call, bytes, options.validation)?;
    if !meta(&object, "resourceVersion").is_empty() {
        return Err(Status::unknown("resourceVersion should not be set on objects to be created"));
    }
    object = call.served.kept(object);
    body::stamp_kind(&call.served.stored, &mut object);
    let write = options.write(call);
    let generates = meta(&object, "name").is_empty() && !meta(&object, "generateName").is_empty();
    let mut tries = if generates { NAME_TRIES } else { 1 };
    let (created, more) = loop {
        tries -= 1;
        // The last try needs the object no more.
        let object = if tries == 0 { object.take() } else { object.clone() };
        let attempt = once(api, call, object, options.dry_run, Account::Of(&write)).await;
        match attempt {
            Err(status) if status.reason == "AlreadyExists" && 0 < tries => {}
            other => break other?,
        }
    };
    Ok(send::made(call, form, 201, created)?.warn(warnings).warn(more))
}

pub(super) async fn once(
    api: &Api,
    call: &Call<'_>,
    mut object: Value,
    dry_run: bool,
    account: Account<'_>,
) -> Result<(Made, Vec<String>), Status> {
    let kind = &*call.served.stored;
    if call.kind().custom.as_ref().is_some_and(|custom| custom.is_ending) {
        let mut status = Status::method_not_allowed(kind.about(), call.verb);
        "create not allowed while custom resource definition is terminating"
            .clone_into(&mut status.message);
        return Err(status);
    }
    admit::name(call, &mut object)?;
    let name = meta(&object, "name").to_owned();
    admit::lives(api, call, &name)?;
    admit::prepare_new(kind, &mut object, account);
    let _counting = if admission::is_counted(call.request(api)) {
        Some(api.counting.lock().await)
    } else {
        None
    };
    let warnings = admission::admit(call.request(api), None, &mut object)?;
    // Held until the Service is stored, so that nobody else is given its address.
    let held = if allocates(kind) { Some(api.allocation.lock().await) } else { None };
    let allocated =
        held.is_some().then(|| crate::strategy::allocate(api, &call.served, None, &mut object));
    admit::validate(&call.served, None, None, &object)?;
    allocated.transpose()?;
    let key = call
        .served
        .key(call.namespace.as_deref(), &name)
        .map_err(|error| super::bad_key(&error))?;
    if dry_run {
        return match api.store.get(&key) {
            Some(_) => Err(Status::already_exists(kind.about(), &name)),
            None => Ok((Made { value: object, stored: None }, warnings)),
        };
    }
    let body = encode(kind, &object);
    let stored = if kind.is("", "Namespace") {
        with_account(api, key, body, &name).await
    } else {
        api.store.create(key, body).await
    };
    let stored = stored.map_err(|error| match error {
        WriteError::Exists { .. } => Status::already_exists(kind.about(), &name),
        other => refused(call, &other),
    })?;
    drop(held);
    super::written(api, kind);
    Ok((Made { value: object, stored: Some(stored) }, warnings))
}

/// Creates a namespace with its default account, so that pods can be made in it as soon as anybody sees it.
async fn with_account(api: &Api, key: Key, body: Body, name: &str) -> Result<Object, WriteError> {
    let alone = Write::Create { key: key.clone(), body: body.clone() };
    let mut writes = vec![alone.clone()];
    let account = json!({ "metadata": { "name": "default" } });
    if let Some(served) = api.kinds.of("", "ServiceAccount")
        && let Ok((key, body)) = prepared(&served, Some(name), account)
    {
        writes.push(Write::Create { key, body });
    }
    let first = |mut objects: Vec<Option<Object>>| objects.swap_remove(0).ok_or(WriteError::Closed);
    match api.store.submit(writes).await {
        Ok(objects) => first(objects),
        // The account of a namespace of that name may be left from before.
        Err(refused) if 0 < refused.at => {
            let written = api.store.submit(vec![alone]).await;
            written.map_err(|refused| refused.error).and_then(first)
        }
        Err(refused) => Err(refused.error),
    }
}

/// Creates objects of the server's own, which are not there, in one transaction.
pub(crate) async fn create_all_as_server(
    api: &Api,
    objects: Vec<(Arc<Served>, Option<&str>, Value)>,
) -> Result<(), Status> {
    if objects.is_empty() {
        return Ok(());
    }
    let write = |(served, namespace, object): (Arc<Served>, Option<&str>, Value)| {
        let (key, body) = prepared(&served, namespace, object)?;
        Ok(Write::Create { key, body })
    };
    let writes: Vec<Write> = objects.into_iter().map(write).collect::<Result<_, Status>>()?;
    let written = api.store.submit(writes).await;
    written.map(|_| ()).map_err(|refused| Status::unavailable(&refused.error.to_string()))
}

/// Key and bytes of an object of the server's own.
fn prepared(
    served: &Served,
    namespace: Option<&str>,
    mut object: Value,
) -> Result<(Key, Body), Status> {
    let name = meta(&object, "name").to_owned();
    if let Some(namespace) = namespace {
        crate::object::meta_mut(&mut object).insert("namespace".to_owned(), namespace.into());
    }
    admit::prepare_new(&served.stored, &mut object, Account::Nobody);
    admit::validate(served, None, None, &object)?;
    let key = served.key(namespace, &name).map_err(|error| super::bad_key(&error))?;
    Ok((key, encode(&served.stored, &object)))
}

/// Creates an object of the server's own, if it is not there.
pub(crate) async fn create_as_server(
    api: &Api,
    served: &Served,
    namespace: Option<&str>,
    object: Value,
) -> Result<(), Status> {
    let (key, body) = prepared(served, namespace, object)?;
    match api.store.create(key, body).await {
        Ok(_) | Err(WriteError::Exists { .. }) => Ok(()),
        Err(error) => Err(Status::unavailable(&error.to_string())),
    }
}
