//! Every pod runs under a ServiceAccount that exists, and finds a token of it in its containers unless the pod or the account says no.

use super::Request;
use crate::object::{at, child_mut, list, meta, text};
use crate::part::Keep;
use crate::stamp::suffix;
use crate::status::Status;
use serde_json::{Map, Value, json};

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
const ONLY_NAMED: &str = "kubernetes.io/enforce-mountable-secrets";
/// What is read of an account.
static KEEP: Keep = Keep::But(&[("metadata", Keep::But(&[("managedFields", Keep::Nothing)]))]);

pub(super) fn service_account(request: Request<'_>, pod: &mut Value) -> Result<(), Status> {
    if pod["metadata"]["annotations"].get(MIRROR).is_some() {
        return mirror(request, pod);
    }
    let name = match text(pod, "/spec/serviceAccountName") {
        "" => "default".to_owned(),
        name => name.to_owned(),
    };
    let account = request.lookup.parts("serviceaccounts", Some(request.namespace), &name, &KEEP);
    let account = account.ok_or_else(|| {
        let place = format!("{}/{name}", request.namespace);
        let why =
            format!("error looking up service account {place}: serviceaccount {name:?} not found");
        request.forbidden(pod, &why)
    })?;
    let spec = child_mut(pod, "spec");
    // The old name of the field is written beside the new one, for whoever still reads it.
    for field in ["serviceAccountName", "serviceAccount"] {
        spec.insert(field.to_owned(), name.as_str().into());
    }
    let own = |object: &Value| object.get("automountServiceAccountToken").and_then(Value::as_bool);
    if own(&pod["spec"]).or_else(|| own(&account)).unwrap_or(true) {
        mount(pod);
    }
    if list(pod, "/spec/imagePullSecrets").is_empty() {
        let secrets: Vec<Value> = list(&account, "/imagePullSecrets")
            .iter()
            .map(|secret| json!({ "name": text(secret, "/name") }))
            .collect();
        if !secrets.is_empty() {
            child_mut(pod, "spec").insert("imagePullSecrets".to_owned(), secrets.into());
        }
    }
    let strict = account["metadata"]["annotations"][ONLY_NAMED].as_str().unwrap_or_default();
    if matches!(strict, "1" | "t" | "T" | "true" | "TRUE" | "True") {
        only_named(pod, &account).map_err(|why| request.forbidden(pod, &why))?;
    }
    Ok(())
}

/// A pod that a node made of a file of its own has nothing to do with accounts.
fn mirror(request: Request<'_>, pod: &Value) -> Result<(), Status> {
    let spec = &pod["spec"];
    let secret = |volume: &Value| volume.get("secret").is_some();
    let projected = |volume: &Value| {
        let sources = list(volume, "/projected/sources");
        sources.iter().any(|source| source.get("serviceAccountToken").is_some())
    };
    let volumes = list(spec, "/volumes");
    let why = if !text(spec, "/serviceAccountName").is_empty() {
        "a mirror pod may not reference service accounts"
    } else if volumes.iter().any(secret)
        || !list(spec, "/imagePullSecrets").is_empty()
        || containers(spec).any(|(_, container)| secrets_of(container).next().is_some())
    {
        "a mirror pod may not reference secrets"
    } else if volumes.iter().any(projected) {
        "a mirror pod may not use ServiceAccountToken volume projections"
    } else {
        return Ok(());
    };
    Err(request.forbidden(pod, why))
}

/// Mounts the account's token, the cluster's certificate and the namespace's name where clients look for them.
fn mount(pod: &mut Value) {
    let known = list(pod, "/spec/volumes").iter().map(|volume| text(volume, "/name"));
    let known = known.filter(|name| name.starts_with(VOLUME)).map(str::to_owned).next();
    let volume = known.clone().unwrap_or_else(|| format!("{VOLUME}{}", suffix()));
    let mut mounted = false;
    let spec = child_mut(pod, "spec");
    for field in ["initContainers", "containers"] {
        let all = spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten();
        for container in all.filter_map(Value::as_object_mut) {
            let mounts = list_mut(container, "volumeMounts");
            if mounts.iter().any(|mount| text(mount, "/mountPath") == MOUNT) {
                continue;
            }
            mounts.push(json!({ "name": volume, "readOnly": true, "mountPath": MOUNT }));
            mounted = true;
        }
    }
    if mounted && known.is_none() {
        // One literal: a value that is put into another one by name is copied.
        let projected = json!({ "name": volume, "projected": { "sources": [
            // Upstream's number: by it the server knows tokens that a client may hold longer than it should.
            { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
            { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
            { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } }] } },
        ], "defaultMode": 420 } });
        list_mut(spec, "volumes").push(projected);
    }
}

/// The list at a field of a map, made if it is missing.
fn list_mut<'a>(map: &'a mut Map<String, Value>, field: &str) -> &'a mut Vec<Value> {
    let slot = map.entry(field).or_insert(Value::Null);
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    match slot {
        Value::Array(items) => items,
        _ => unreachable!("it was made a list above"),
    }
}

/// The containers with the word that messages have for them.
fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    let of = |field, word| list(spec, field).iter().map(move |container| (word, container));
    of("/initContainers", "init container").chain(of("/containers", "container"))
}

/// The Secrets that a container's environment names, each with the name of the variable if it is one.
fn secrets_of(container: &Value) -> impl Iterator<Item = (Option<&str>, &str)> {
    let one = list(container, "/env").iter().filter_map(|env| {
        let secret = at(env, "/valueFrom/secretKeyRef/name")?.as_str()?;
        Some((Some(text(env, "/name")), secret))
    });
    let all = list(container, "/envFrom").iter();
    one.chain(all.filter_map(|from| Some((None, at(from, "/secretRef/name")?.as_str()?))))
}

/// An account may be held to the Secrets that it lists.
fn only_named(pod: &Value, account: &Value) -> Result<(), String> {
    let names = |pointer| list(account, pointer).iter().map(|secret| text(secret, "/name"));
    let secrets: Vec<&str> = names("/secrets").collect();
    let own = meta(account, "name");
    let because = format!("is not allowed because service account {own} does not reference that");
    for volume in list(pod, "/spec/volumes") {
        let secret = at(volume, "/secret/secretName").and_then(Value::as_str);
        if let Some(secret) = secret.filter(|secret| !secrets.contains(secret)) {
            return Err(format!("volume with secret.secretName=\"{secret}\" {because} secret"));
        }
    }
    for (word, container) in containers(&pod["spec"]) {
        let name = text(container, "/name");
        for (variable, secret) in secrets_of(container) {
            if secrets.contains(&secret) {
                continue;
            }
            let with = match variable {
                Some(variable) => format!("with envVar {variable}"),
                None => "with envFrom".to_owned(),
            };
            return Err(format!(
                "{word} {name} {with} referencing secret.secretName=\"{secret}\" {because} secret"
            ));
        }
    }
    let pulls: Vec<&str> = names("/imagePullSecrets").collect();
    for (at, secret) in list(pod, "/spec/imagePullSecrets").iter().enumerate() {
        let secret = text(secret, "/name");
        if !pulls.contains(&secret) {
            return Err(format!(
                "imagePullSecrets[{at}].name=\"{secret}\" {because} imagePullSecret"
            ));
        }
    }
    Ok(())
}
