//! Reviews: questions about users that are answered and never stored.

use super::options::WriteOptions;
use super::{Call, body};
use crate::api::{Api, Reply};
use crate::authn::service_account::ISSUER;
use crate::authorize::{Attributes, Decision, User};
use crate::object::{list, meta_mut, text};
use crate::stamp::now;
use crate::status::{Cause, Status};
use serde_json::{Map, Value, json};

pub(super) fn review(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    let options = WriteOptions::of(call)?;
    let (mut object, warnings) = body::object(call, bytes, options.validation)?;
    body::stamp_kind(call.kind(), &mut object);
    let status = match call.kind().kind.as_str() {
        "SelfSubjectReview" => {
            object["metadata"] = json!({ "creationTimestamp": now() });
            json!({ "userInfo": user_info(call.user) })
        }
        "TokenReview" => token(api, &object)?,
        "SelfSubjectRulesReview" => rules(api, call, &object)?,
        _ => {
            let (user, what) = question(call, &object)?;
            match api.authorizer.authorize(&user, &what) {
                Decision::Allow(why) => answer(true, why),
                Decision::Deny(why) => answer(false, why),
            }
        }
    };
    meta_mut(&mut object);
    object["status"] = status;
    Ok(Reply::json(201, &object).warn(warnings))
}

fn answer(allowed: bool, why: String) -> Value {
    if why.is_empty() {
        json!({ "allowed": allowed })
    } else {
        json!({ "allowed": allowed, "reason": why })
    }
}

/// A user as reviews show them; what is empty is left out.
fn user_info(user: &User) -> Value {
    let mut info = Map::new();
    for (field, value) in [("username", &user.name), ("uid", &user.uid)] {
        if !value.is_empty() {
            info.insert(field.to_owned(), value.as_str().into());
        }
    }
    if !user.groups.is_empty() {
        info.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        info.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(info)
}

/// Whom a token stands for.
fn token(api: &Api, object: &Value) -> Result<Value, Status> {
    let token = text(object, "/spec/token");
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let mut audiences: Vec<String> = strings(&object["spec"], "/audiences");
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    Ok(match api.authenticator.token(token, &audiences) {
        Ok(known) => {
            // A token without audiences is for this server, and so for whatever this server is asked.
            let common = if known.audiences.is_empty() { audiences } else { known.audiences };
            json!({ "authenticated": true, "user": user_info(&known.user), "audiences": common })
        }
        Err(why) => json!({ "user": {}, "error": why }),
    })
}

/// What the user may do in a namespace.
fn rules(api: &Api, call: &Call<'_>, object: &Value) -> Result<Value, Status> {
    let namespace = text(object, "/spec/namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let found = api.authorizer.rules(call.user, namespace);
    let mut status = json!({
        "resourceRules": found.resources, "nonResourceRules": found.paths, "incomplete": found.incomplete,
    });
    if !found.error.is_empty() {
        status["evaluationError"] = found.error.into();
    }
    Ok(status)
}

/// Who is asked about, and what they would do.
fn question(call: &Call<'_>, object: &Value) -> Result<(User, Attributes), Status> {
    let (spec, kind) = (&object["spec"], call.kind().kind.as_str());
    let of = |pointer: &str| text(spec, pointer).to_owned();
    let mut causes = Vec::new();
    let (resource, path) = (spec.get("resourceAttributes"), spec.get("nonResourceAttributes"));
    let what = match path {
        None => Attributes {
            verb: of("/resourceAttributes/verb"),
            group: of("/resourceAttributes/group"),
            resource: of("/resourceAttributes/resource"),
            subresource: of("/resourceAttributes/subresource"),
            namespace: of("/resourceAttributes/namespace"),
            name: of("/resourceAttributes/name"),
            ..Attributes::default()
        },
        Some(_) => Attributes {
            verb: of("/nonResourceAttributes/verb"),
            path: of("/nonResourceAttributes/path"),
            ..Attributes::default()
        },
    };
    if let (Some(_), Some(path)) = (resource, path) {
        let why = "cannot be specified in combination with resourceAttributes";
        causes.push(Cause::invalid("spec.nonResourceAttributes", path, why));
    } else if resource.is_none() && path.is_none() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        causes.push(Cause::invalid("spec.resourceAttributes", &Value::Null, why));
    }
    let user = if kind == "SelfSubjectAccessReview" {
        call.user.clone()
    } else {
        asked(spec, &mut causes)
    };
    if kind == "LocalSubjectAccessReview" {
        let own = call.namespace.as_deref().unwrap_or_default();
        if resource.is_some() && what.namespace != own {
            let field = "spec.resourceAttributes.namespace";
            let value = Value::from(what.namespace.as_str());
            causes.push(Cause::invalid(field, &value, "must match metadata.namespace"));
        }
        if let Some(path) = path {
            let why = "disallowed on this kind of request";
            causes.push(Cause::invalid("spec.nonResourceAttributes", path, why));
        }
    }
    if causes.is_empty() {
        Ok((user, what))
    } else {
        Err(Status::invalid(call.kind().about_kind(), "", &causes))
    }
}

/// The user that a review names.
fn asked(spec: &Value, causes: &mut Vec<Cause>) -> User {
    let user = User {
        name: text(spec, "/user").to_owned(),
        uid: text(spec, "/uid").to_owned(),
        groups: strings(spec, "/groups"),
        extra: serde_json::from_value(spec["extra"].clone()).unwrap_or_default(),
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let why = "at least one of user or group must be specified";
        causes.push(Cause::invalid("spec.user", &"".into(), why));
    }
    user
}

fn strings(object: &Value, pointer: &str) -> Vec<String> {
    list(object, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
