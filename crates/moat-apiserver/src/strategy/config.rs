//! ConfigMaps, Secrets, StorageClasses.

use super::{PLAIN, Strategy, check};
use crate::names::Rule;
use crate::object::{child_mut, default, text};
use crate::status::Cause;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(super) const CONFIG_MAP: Strategy =
    Strategy { validate: config_map, validate_update: immutable, ..PLAIN };
pub(super) const SECRET: Strategy = Strategy {
    default: secret_defaults,
    validate: secret,
    validate_update: secret_update,
    ..PLAIN
};

/// Bytes of one Secret or ConfigMap (`MaxSecretSize`).
const BYTES_MAX: usize = 1 << 20;
fn keys(object: &Value, field: &str, causes: &mut Vec<Cause>) -> usize {
    let mut bytes = 0;
    for (key, value) in object[field].as_object().into_iter().flatten() {
        check::config_key(key, &format!("{field}[{key}]"), causes);
        bytes += value.as_str().map_or(0, str::len);
    }
    bytes
}

fn config_map(object: &Value, causes: &mut Vec<Cause>) {
    let bytes = keys(object, "data", causes) + keys(object, "binaryData", causes);
    for key in object["data"].as_object().into_iter().flatten().map(|(key, _)| key) {
        if object["binaryData"].get(key).is_some() {
            causes.push(Cause::invalid(
                format!("data[{key}]"),
                &key.as_str().into(),
                "duplicate of key present in binaryData",
            ));
        }
    }
    too_long(bytes, "", causes);
}

fn too_long(bytes: usize, field: &str, causes: &mut Vec<Cause>) {
    if BYTES_MAX < bytes {
        let why = format!("Too long: may not be more than {BYTES_MAX} bytes");
        causes.push(Cause::field("FieldValueTooLong", field, why));
    }
}

/// `stringData` is written and never read.
fn secret_defaults(object: &mut Value) {
    let texts = object.as_object_mut().and_then(|map| map.shift_remove("stringData"));
    if let Some(Value::Object(texts)) = texts {
        let data = child_mut(object, "data");
        for (key, value) in texts {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
        }
    }
    if let Some(map) = object.as_object_mut() {
        default(map, "type", "Opaque");
    }
}

fn secret(object: &Value, causes: &mut Vec<Cause>) {
    let bytes = keys(object, "data", causes);
    too_long(bytes / 4 * 3, "data", causes);
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        if STANDARD.decode(value.as_str().unwrap_or_default()).is_err() {
            causes.push(Cause::invalid(format!("data[{key}]"), &"".into(), "must be base64"));
        }
    }
    of_type(object, causes);
}

/// What a Secret of a well-known type must have.
fn of_type(object: &Value, causes: &mut Vec<Cause>) {
    let has = |key: &str| object["data"].get(key).is_some();
    let must = |key: &str| Cause::required(format!("data[{key}]"), "");
    match object["type"].as_str().unwrap_or_default() {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if object["metadata"]["annotations"][key].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::required(format!("metadata.annotations[{key}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" => json_at(object, ".dockercfg", causes),
        "kubernetes.io/dockerconfigjson" => json_at(object, ".dockerconfigjson", causes),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            causes.extend([must("username"), must("password")]);
        }
        "kubernetes.io/ssh-auth"
            if object["data"]["ssh-privatekey"].as_str().unwrap_or_default().is_empty() =>
        {
            causes.push(must("ssh-privatekey"));
        }
        "kubernetes.io/tls" => {
            causes.extend(["tls.crt", "tls.key"].into_iter().filter(|key| !has(key)).map(must));
        }
        _ => {}
    }
}

fn json_at(object: &Value, key: &str, causes: &mut Vec<Cause>) {
    let field = format!("data[{key}]");
    let Some(text) = object["data"].get(key).and_then(Value::as_str) else {
        return causes.push(Cause::required(field, ""));
    };
    let bytes = STANDARD.decode(text).unwrap_or_default();
    let parsed: Result<serde_json::Map<String, Value>, _> = serde_json::from_slice(&bytes);
    if let Err(error) = parsed {
        // The two sentences that people meet are Go's.
        let why = if error.is_eof() {
            "unexpected end of JSON input".to_owned()
        } else {
            error.to_string()
        };
        causes.push(Cause::invalid(field, &"<secret contents redacted>".into(), &why));
    }
}

fn secret_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    check::fixed(new, old, &["type"], causes);
    immutable(new, old, causes);
}

fn immutable(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if old["immutable"] != true {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    if new["immutable"] != true {
        causes.push(Cause::forbidden("immutable", why));
    }
    for field in ["data", "binaryData"] {
        if new[field] != old[field] {
            causes.push(Cause::forbidden(field, why));
        }
    }
}
/// Parts of the API that are elsewhere are not supported: a client that made one would wait for it for ever.
pub(crate) const API_SERVICE: Strategy =
    Strategy { names: Rule::Path, status_at_create: true, validate: api_service, ..PLAIN };

fn api_service(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let (group, version) = (text(spec, "/group"), text(spec, "/version"));
    let name = crate::object::meta(object, "name");
    if name != format!("{version}.{group}") {
        let why = "must be `spec.version+\".\"+spec.group`";
        causes.push(Cause::invalid("metadata.name", &name.into(), why));
    }
    if !spec["service"].is_null() {
        let why = "API servers besides this one are not supported by it";
        causes.push(Cause::forbidden("spec.service", why));
    }
    for field in ["groupPriorityMinimum", "versionPriority"] {
        if spec[field].as_i64().is_none_or(|priority| priority <= 0) {
            let place = format!("spec.{field}");
            causes.push(Cause::invalid(place, &spec[field], "must be positive"));
        }
    }
}
