//! Answers: an object, a list of them, or one event, in the form that is wanted.

use super::Call;
use crate::api::Reply;
use crate::kinds::Served;
use crate::negotiate::Form;
use crate::object::decode;
use crate::status::Status;
use crate::table::{Include, table};
use moat_store::Object;
use serde_json::{Map, Value, json};

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
    value(call, form, code, &decode(object))
}

/// Answers with an object as it is stored, but for its form.
pub(super) fn value(
    call: &Call<'_>,
    form: Form,
    code: u16,
    object: &Value,
) -> Result<Reply, Status> {
    if call.local.is_some() {
        return Ok(Reply { value: Some(object.clone()), ..Reply::json(code, &Value::Null) });
    }
    let body = match form {
        Form::Table => {
            let version = object["metadata"]["resourceVersion"].clone();
            let metadata =
                if version.is_null() { json!({}) } else { json!({ "resourceVersion": version }) };
            table(&call.served, std::slice::from_ref(object), include(call)?, metadata)
        }
        Form::Partial => partial(&call.served.shown(object.clone())),
        Form::Object | Form::Discovery => call.served.shown(object.clone()),
    };
    Ok(Reply::json(code, &body))
}

/// The metadata of an object, as an object of its own.
pub(crate) fn partial(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}

/// Answers with a list.
pub(super) fn list(
    call: &Call<'_>,
    form: Form,
    objects: &[Object],
    metadata: Map<String, Value>,
) -> Result<Reply, Status> {
    match form {
        Form::Table => {
            let values: Vec<Value> = objects.iter().map(decode).collect();
            let body = table(&call.served, &values, include(call)?, Value::Object(metadata));
            Ok(Reply::json(200, &body))
        }
        Form::Partial => {
            let items: Vec<Value> =
                objects.iter().map(|object| partial(&call.served.show(object))).collect();
            let body = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items,
            });
            Ok(Reply::json(200, &body))
        }
        Form::Object | Form::Discovery => {
            let bytes = joined(&call.served, objects, &Value::Object(metadata));
            Ok(Reply::bytes(200, "application/json", bytes))
        }
    }
}

/// Stored bytes one after the other: a list costs a copy and no parsing.
fn joined(served: &Served, objects: &[Object], metadata: &Value) -> Vec<u8> {
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        served.kind.list,
        served.kind.api_version()
    );
    let size: usize = objects.iter().map(|object| object.value.len() + 1).sum();
    let mut bytes = Vec::with_capacity(head.len() + size + 2);
    bytes.extend_from_slice(head.as_bytes());
    for (at, object) in objects.iter().enumerate() {
        if 0 < at {
            bytes.push(b',');
        }
        if served.is_as_stored() {
            bytes.extend_from_slice(&object.value);
        } else {
            bytes.extend_from_slice(served.show(object).to_string().as_bytes());
        }
    }
    bytes.extend_from_slice(b"]}");
    bytes
}
