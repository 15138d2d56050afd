//! The `scale` subresource: the number of replicas as `autoscaling/v1` `Scale`, the same for all kinds that have replicas.

use super::admit::Account;
use super::apply::{is_apply, read as read_config};
use super::body::read;
use super::options::{Validation, WriteOptions};
use super::update::{change, read_patch};
use super::{Call, find_value};
use crate::api::{Api, Reply};
use crate::crd::Scale;
use crate::object::{child_mut, meta, number, text};
use crate::schema::{Schema, check};
use crate::status::{About, Cause, Status};
use crate::strategy::check::NEGATIVE;
use serde_json::{Value, json};

pub(super) fn get(api: &Api, call: &Call<'_>) -> Result<Reply, Status> {
    let (_, object) = find_value(api, call)?;
    Ok(Reply::json(200, &scale_of(&object, &places(call))))
}

pub(super) async fn write(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    if is_apply(call) {
        return apply(api, call, bytes).await;
    }
    let options = WriteOptions::of(call)?;
    let write = options.write(call);
    let patch = if call.verb == "patch" { Some(read_patch(call, bytes)?) } else { None };
    let whole = if patch.is_some() {
        Value::Null
    } else {
        read(call, bytes, "autoscaling/v1", "Scale")?.value
    };
    let schema = Schema::of_kind("autoscaling", "v1", "Scale");
    let places = places(call);
    let (object, _) = change(api, call, options.dry_run, Account::Of(&write), |old| {
        let scale = match &patch {
            Some(patch) => patch.apply(schema, &scale_of(old, &places))?,
            None => whole.clone(),
        };
        let own = meta(&scale, "name");
        if own != call.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({own}) does not match the name on the URL ({})",
                call.name
            )));
        }
        let replicas = scale.pointer("/spec/replicas").cloned().unwrap_or_else(|| 0.into());
        sound(call, &replicas)?;
        let mut new = old.clone();
        let version = scale["metadata"]["resourceVersion"].clone();
        child_mut(&mut new, "metadata").insert("resourceVersion".to_owned(), version);
        put(&mut new, &places.spec, replicas);
        Ok((new, Vec::new()))
    })
    .await?;
    Ok(Reply::json(200, &scale_of(&object.into_value(), &places)))
}

/// Server-side apply: what is applied of a scale is applied of the object itself, so its account of fields is one, and says by which part.
async fn apply(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    let options = WriteOptions::of(call)?;
    let (config, duplicates) = read_config(bytes)?;
    if let Some(path) = duplicates.first().filter(|_| options.validation == Validation::Strict) {
        let why = format!("error strict decoding YAML: duplicate field {path:?}");
        return Err(Status::bad_request(why));
    }
    fits(call, &config)?;
    let (write, places, stored) = (options.write(call), places(call), &call.served.stored);
    let mut parent = json!({
        "apiVersion": stored.api_version(), "kind": stored.kind, "metadata": { "name": call.name },
    });
    if let Some(namespace) = &call.namespace {
        parent["metadata"]["namespace"] = namespace.as_str().into();
    }
    if let Some(replicas) = config.pointer("/spec/replicas") {
        sound(call, replicas)?;
        put(&mut parent, &places.spec, replicas.clone());
    }
    let (object, _) = change(api, call, options.dry_run, Account::Done, |old| {
        let mut new = write.applied(Some(old), &parent, options.force)?;
        if new.pointer(&places.spec).is_none_or(Value::is_null) {
            // Who applies a scale without replicas gives them up; a scale always has a number.
            put(&mut new, &places.spec, 0.into());
        }
        let version = &config["metadata"]["resourceVersion"];
        if !version.is_null() {
            child_mut(&mut new, "metadata").insert("resourceVersion".to_owned(), version.clone());
        }
        Ok((new, Vec::new()))
    })
    .await?;
    Ok(Reply::json(200, &scale_of(&object.into_value(), &places)))
}

/// Whether a configuration is a scale of the object on the path.
fn fits(call: &Call<'_>, config: &Value) -> Result<(), Status> {
    const WANTED: &str = "autoscaling/v1";
    let version = text(config, "/apiVersion");
    if version != WANTED {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {WANTED}"
        )));
    }
    let (kind, name) = (text(config, "/kind"), meta(config, "name"));
    if kind != "Scale" {
        return Err(Status::bad_request(format!(
            "invalid object type: {version}, Kind={kind}, expected: {WANTED}, Kind=Scale"
        )));
    }
    if !name.is_empty() && name != call.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.name
        )));
    }
    let findings = check(Schema::of_kind("autoscaling", "v1", "Scale"), config);
    let undeclared = findings.unknown.first().map(|field| {
        let path = field.trim_start_matches("unknown field ").trim_matches('"');
        format!(".{path}: field not declared in schema")
    });
    match undeclared.or(findings.wrong_type) {
        None => Ok(()),
        Some(why) => Err(Status::unknown(format!(
            "failed to create typed patch object ({}/{}; {WANTED}, Kind=Scale): {why}",
            call.namespace.as_deref().unwrap_or_default(),
            call.name,
        ))),
    }
}

fn sound(call: &Call<'_>, replicas: &Value) -> Result<(), Status> {
    if replicas.as_i64().is_some_and(|replicas| 0 <= replicas) {
        return Ok(());
    }
    let cause = Cause::invalid("spec.replicas", replicas, NEGATIVE);
    let about = About { group: "autoscaling", resource: "Scale" };
    Err(Status::invalid(about, &call.name, &[cause]))
}

/// Where a kind has what a scale is made of.
fn places(call: &Call<'_>) -> Scale {
    let own = call.kind().custom.as_ref().and_then(|custom| custom.scale.clone());
    own.unwrap_or_else(|| Scale {
        spec: "/spec/replicas".to_owned(),
        status: "/status/replicas".to_owned(),
        selector: None,
    })
}

/// Sets a value at a pointer, making what is missing on the way.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let Some(last) = parts.pop() else { return };
    let mut inner = object;
    for part in parts {
        child_mut(inner, part);
        inner = &mut inner[part];
    }
    if let Some(map) = inner.as_object_mut() {
        map.insert(last.to_owned(), value);
    }
}

fn scale_of(object: &Value, places: &Scale) -> Value {
    let metadata = &object["metadata"];
    let mut own = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(field) {
            own[field] = value.clone();
        }
    }
    let selector = match &places.selector {
        Some(pointer) => text(object, pointer).to_owned(),
        None => selector_text(object),
    };
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": own,
        "spec": { "replicas": number(object, &places.spec).unwrap_or(0) },
        "status": { "replicas": number(object, &places.status).unwrap_or(0), "selector": selector },
    })
}

/// The selector as one text, which is what autoscalers read.
fn selector_text(object: &Value) -> String {
    let selector = &object["spec"]["selector"];
    // A ReplicationController's selector is the labels themselves.
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let mut terms: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for one in crate::object::list(selector, "/matchExpressions") {
        let values: Vec<&str> =
            crate::object::list(one, "/values").iter().filter_map(Value::as_str).collect();
        let key = text(one, "/key");
        terms.push(match text(one, "/operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.sort();
    terms.join(",")
}
