//! `serviceaccounts/NAME/token`: makes a token for an account, bound to a pod, a Secret or a node if the request says so.

use super::options::WriteOptions;
use super::{Call, body};
use crate::api::{Api, Reply};
use crate::authn::service_account::{Bound, ISSUER, claims};
use crate::kinds::{Kind, Served};
use crate::lookup::Lookup;
use crate::object::{child_mut, list, meta, meta_mut, number, text};
use crate::stamp::{after_seconds, now};
use crate::status::{About, Cause, Status};
use serde_json::{Value, json};
use std::sync::Arc;

/// What errors about the request name.
const ABOUT: About<'static> = About { group: "authentication.k8s.io", resource: "TokenRequest" };

/// How long a token holds where the request does not say, and the bounds of what it may say.
const SECONDS: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;

pub(super) fn create(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    let options = WriteOptions::of(call)?;
    let kind = Kind::of_body(ABOUT.group, "v1", ABOUT.resource);
    let served = Arc::new(Served::of_body(kind, &call.served));
    let asked = Call { served, subresource: None, ..call.clone() };
    let (mut request, warnings) = body::object(&asked, bytes, options.validation)?;
    body::stamp_kind(asked.kind(), &mut request);
    let namespace = call.namespace.as_deref().unwrap_or_default();
    same_place(&request, namespace, &call.name)?;
    crate::admission::token(call.request(api), &request)?;
    let lookup = &api.lookup;
    let account = lookup
        .get("serviceaccounts", Some(namespace), &call.name)
        .ok_or_else(|| call.not_found())?;
    let (uid, wanted) = (meta(&account, "uid"), meta(&request, "uid"));
    if !wanted.is_empty() && wanted != uid {
        let why = format!(
            "the UID in the token request ({wanted}) does not match the UID of the service account ({uid})"
        );
        return Err(Status::conflict(ABOUT, &call.name, &why));
    }
    let metadata = meta_mut(&mut request);
    let known = [("name", call.name.as_str()), ("namespace", namespace), ("uid", uid)];
    for (field, value) in known.into_iter().chain([("creationTimestamp", now().as_str())]) {
        metadata.insert(field.to_owned(), value.into());
    }
    let seconds = number(&request, "/spec/expirationSeconds").unwrap_or(SECONDS);
    within_bounds(seconds)?;
    let mut audiences: Vec<String> = list(&request, "/spec/audiences")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    let (pod, secret, node) = bound(lookup, &request, namespace, &call.name)?;
    let bound = Bound { pod: pod.as_ref(), secret: secret.as_ref(), node: node.as_ref() };
    let time = jiff::Timestamp::now().as_second();
    let token = api
        .authenticator
        .key
        .sign(&claims(&account, &bound, &audiences, time, seconds))
        .map_err(|why| Status::internal(&format!("failed to generate token: {why}")))?;
    let spec = child_mut(&mut request, "spec");
    spec.insert("audiences".to_owned(), json!(audiences));
    spec.insert("expirationSeconds".to_owned(), seconds.into());
    spec.entry("boundObjectRef").or_insert(Value::Null);
    request["status"] = json!({ "token": token, "expirationTimestamp": after_seconds(seconds) });
    Ok(Reply::json(201, &request).warn(warnings))
}

/// What the request says of itself must be what the path says.
fn same_place(request: &Value, namespace: &str, name: &str) -> Result<(), Status> {
    for (field, value) in [("name", name), ("namespace", namespace)] {
        let own = meta(request, field);
        if !own.is_empty() && own != value {
            let why = format!("must match the service account {field} if specified");
            let cause = Cause::invalid(format!("metadata.{field}"), &own.into(), &why);
            return Err(Status::invalid(ABOUT, name, &[cause]));
        }
    }
    Ok(())
}

fn within_bounds(seconds: i64) -> Result<(), Status> {
    let why = if seconds < SECONDS_MIN {
        "may not specify a duration less than 10 minutes"
    } else if SECONDS_MAX < seconds {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let cause = Cause::invalid("spec.expirationSeconds", &seconds.into(), why);
    Err(Status::invalid(ABOUT, "", &[cause]))
}

type Three = (Option<Value>, Option<Value>, Option<Value>);

/// The pod, Secret and node that the token is to be bound to.
fn bound(
    lookup: &Lookup,
    request: &Value,
    namespace: &str,
    account: &str,
) -> Result<Three, Status> {
    let reference = &request["spec"]["boundObjectRef"];
    if reference.is_null() {
        return Ok((None, None, None));
    }
    let of = |field: &str| text(reference, field);
    let (version, kind, name) = (of("/apiVersion"), of("/kind"), of("/name"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let (resource, place) = match (group, kind) {
        ("", "Pod") => ("pods", Some(namespace)),
        ("", "Secret") => ("secrets", Some(namespace)),
        ("", "Node") => ("nodes", None),
        _ => {
            let what = format!("{group}/{version}, Kind={kind}");
            return Err(Status::bad_request(format!("cannot bind token to object of type {what}")));
        }
    };
    let found = lookup
        .get(resource, place, name)
        .ok_or_else(|| Status::not_found(About { group: "", resource }, name))?;
    if kind == "Pod" && text(&found, "/spec/serviceAccountName") != account {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    let (uid, wanted) = (meta(&found, "uid"), of("/uid"));
    if !wanted.is_empty() && wanted != uid {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(About { group: "", resource: kind }, name, &why));
    }
    Ok(match kind {
        "Secret" => (None, Some(found), None),
        "Node" => (None, None, Some(found)),
        _ => {
            // The pod's node is told too; one that is gone by its name alone.
            let name = text(&found, "/spec/nodeName").to_owned();
            let node = (!name.is_empty()).then(|| {
                lookup
                    .get("nodes", None, &name)
                    .unwrap_or_else(|| json!({ "metadata": { "name": name } }))
            });
            (Some(found), None, node)
        }
    })
}
