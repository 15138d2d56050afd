//! Answers: an object, a list of them, or one event, in the form that is wanted.

use super::Call;
use crate::api::Reply;
use crate::chunks;
use crate::kinds::Kind;
use crate::negotiate::Form;
use crate::object::{decode, meta_mut, put};
use crate::part::field;
use crate::status::Status;
use crate::table::{Include, Rows, table};
use bytes::Bytes;
use moat_store::Object;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Which part of its object a row of a table has.
pub(super) fn include(call: &Call<'_>) -> Result<Include, Status> {
    match call.query.text("includeObject") {
        None | Some("Metadata") => Ok(Include::Metadata),
        Some("None") => Ok(Include::None),
        Some("Object") => Ok(Include::Object),
        Some(other) => Err(Status::bad_request(format!(
            "cannot be decoded as TableOptions: includeObject {other:?} is not one of None, Metadata, Object"
        ))),
    }
}

/// Answers with an object as it is stored.
pub(super) fn stored(
    call: &Call<'_>,
    form: Form,
    code: u16,
    object: &Object,
) -> Result<Reply, Status> {
    if call.local.is_none() && form == Form::Object && call.served.is_as_stored() {
        return Ok(Reply::bytes(code, "application/json", object.value.clone()));
    }
    value(call, form, code, decode(object))
}

/// An object that was written, or would have been.
#[derive(Debug)]
pub(super) struct Made {
    /// As it was given to the store, which adds the revision.
    pub(super) value: Value,
    /// As the store has it; none in a dry run.
    pub(super) stored: Option<Object>,
}

impl Made {
    /// The object with its revision, where a decoded one has it.
    pub(super) fn into_value(self) -> Value {
        let mut value = self.value;
        if let Some(stored) = self.stored {
            let revision = stored.revision.to_string().into();
            meta_mut(&mut value).shift_insert(0, "resourceVersion".to_owned(), revision);
        }
        value
    }
}

/// Answers with an object that was written: with the stored bytes, if they are what is wanted.
pub(super) fn made(call: &Call<'_>, form: Form, code: u16, made: Made) -> Result<Reply, Status> {
    match &made.stored {
        Some(object) if call.local.is_none() => stored(call, form, code, object),
        _ => value(call, form, code, made.into_value()),
    }
}

/// Answers with an object as it is stored, but for its form.
pub(super) fn value(
    call: &Call<'_>,
    form: Form,
    code: u16,
    object: Value,
) -> Result<Reply, Status> {
    if call.local.is_some() {
        let empty = Reply::bytes(code, "application/json", Bytes::new());
        return Ok(Reply { value: Some(object), ..empty });
    }
    let body = match form {
        Form::Table => {
            let version = object["metadata"]["resourceVersion"].clone();
            let metadata =
                if version.is_null() { json!({}) } else { json!({ "resourceVersion": version }) };
            let include = include(call)?;
            let body = table(&call.served, &[object], include, &metadata);
            return Ok(Reply::bytes(code, "application/json", body));
        }
        Form::Partial => partial(&call.served.shown(object)),
        Form::Object | Form::Discovery => call.served.shown(object),
    };
    Ok(Reply::json(code, &body))
}

/// The metadata of an object, as an object of its own.
pub(crate) fn partial(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}

/// The same of stored bytes, which are not parsed.
pub(crate) fn put_partial(object: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":",
    );
    out.extend_from_slice(field(object, "metadata").unwrap_or(b"{}"));
    out.push(b'}');
}

/// Answers with a list, which is made while it is sent.
pub(super) fn list(
    call: &Call<'_>,
    form: Form,
    objects: Vec<Object>,
    metadata: Map<String, Value>,
) -> Result<Reply, Status> {
    let (served, metadata) = (Arc::clone(&call.served), Value::Object(metadata));
    let as_stored = served.is_as_stored();
    let body = match form {
        Form::Table => {
            let include = include(call)?;
            let head = Rows::new(&served, include).head(&metadata);
            chunks::list(head, objects, None, move |object, out| {
                Rows::new(&served, include).row(object, out);
            })
        }
        Form::Partial => {
            let head = head("PartialObjectMetadataList", "meta.k8s.io/v1", &metadata);
            chunks::list(head, objects, None, move |object, out| {
                if as_stored {
                    put_partial(&object.value, out);
                } else {
                    put(&partial(&served.show(object)), out);
                }
            })
        }
        Form::Object | Form::Discovery => {
            let head = head(&served.kind.list, &served.kind.api_version(), &metadata);
            // Stored bytes one after the other, with commas between them: a list costs a copy and no parsing.
            let typed = typed(&served.stored);
            let sum: usize =
                objects.iter().map(|object| item(&object.value, &typed).len() + 2).sum();
            let size = head.len() + sum + 2 - usize::from(!objects.is_empty());
            let size = as_stored.then_some(size as u64);
            chunks::list(head, objects, size, move |object, out| {
                if as_stored {
                    out.push(b'{');
                    out.extend_from_slice(item(&object.value, &typed));
                    return;
                }
                let mut shown = served.show(object);
                if let Some(map) = shown.as_object_mut().filter(|_| !typed.is_empty()) {
                    map.retain(|key, _| !matches!(key.as_str(), "kind" | "apiVersion"));
                }
                put(&shown, out);
            })
        }
    };
    Ok(Reply { body, ..Reply::bytes(200, "application/json", Bytes::new()) })
}

/// What every stored object of a kind begins with and items of a list do not say, because the list does. Kinds that clients define say it
/// everywhere, as upstream: nothing then.
fn typed(kind: &Kind) -> String {
    if kind.custom.is_some() {
        return String::new();
    }
    format!(r#"{{"kind":"{}","apiVersion":"{}","#, kind.kind, kind.api_version())
}

/// Stored bytes as an item of a list, after the brace.
fn item<'a>(object: &'a [u8], typed: &str) -> &'a [u8] {
    let rest = if typed.is_empty() { None } else { object.strip_prefix(typed.as_bytes()) };
    rest.or_else(|| object.strip_prefix(b"{")).unwrap_or(object)
}

/// A list before its first item.
fn head(kind: &str, api_version: &str, metadata: &Value) -> Vec<u8> {
    format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata},"items":["#)
        .into_bytes()
}
