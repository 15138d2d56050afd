//! Reviews: questions about users that are answered and never stored.

use super::options::WriteOptions;
use super::{Call, body};
use crate::api::{Api, Reply};
use crate::authorize::{Attributes, Decision, User};
use crate::object::{list, text};
use crate::stamp::now;
use crate::status::{Cause, Status};
use serde_json::{Value, json};

pub(super) fn review(api: &Api, call: &Call<'_>, bytes: &[u8]) -> Result<Reply, Status> {
    let options = WriteOptions::of(call)?;
    let (mut object, warnings) = body::object(call, bytes, options.validation)?;
    body::stamp_kind(call.kind(), &mut object);
    let kind = call.kind();
    object["status"] = if kind.kind == "SelfSubjectReview" {
        object["metadata"] = json!({ "creationTimestamp": now() });
        json!({ "userInfo": { "username": call.user.name, "groups": call.user.groups } })
    } else {
        let (user, what) = question(call, &object)?;
        match api.authorizer.authorize(&user, &what) {
            Decision::Allow => json!({ "allowed": true }),
            Decision::Deny(why) if why.is_empty() => json!({ "allowed": false }),
            Decision::Deny(why) => json!({ "allowed": false, "reason": why }),
        }
    };
    Ok(Reply::json(201, &object).warn(warnings))
}

/// Who is asked about, and what they would do.
fn question(call: &Call<'_>, object: &Value) -> Result<(User, Attributes), Status> {
    let spec = &object["spec"];
    let of = |pointer: &str| text(spec, pointer).to_owned();
    let what = match (spec.get("resourceAttributes"), spec.get("nonResourceAttributes")) {
        (Some(_), None) => Attributes {
            verb: of("/resourceAttributes/verb"),
            group: of("/resourceAttributes/group"),
            resource: of("/resourceAttributes/resource"),
            subresource: of("/resourceAttributes/subresource"),
            namespace: of("/resourceAttributes/namespace"),
            name: of("/resourceAttributes/name"),
            path: String::new(),
        },
        (None, Some(_)) => Attributes {
            verb: of("/nonResourceAttributes/verb"),
            path: of("/nonResourceAttributes/path"),
            ..Attributes::default()
        },
        _ => {
            let cause = Cause::invalid(
                "spec.resourceAttributes",
                &spec["resourceAttributes"],
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            );
            return Err(Status::invalid(call.kind().about_kind(), "", &[cause]));
        }
    };
    let user = if call.kind().kind == "SelfSubjectAccessReview" {
        call.user.clone()
    } else {
        let groups = list(spec, "/groups").iter().filter_map(Value::as_str).map(str::to_owned);
        User { name: of("/user"), groups: groups.collect() }
    };
    Ok((user, what))
}
