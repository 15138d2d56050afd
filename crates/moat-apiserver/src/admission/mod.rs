//! What stands between an object that is well-formed and its being stored: small rules, each in a file of its own, over the request, the
//! object, and what is stored besides. They run in dry runs too.

mod rbac;

use crate::authorize::{Authorize, User};
use crate::kinds::{Kind, Subresource};
use crate::lookup::Lookup;
use crate::status::Status;
use serde_json::Value;

/// A write that is to be admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) user: &'a User,
    pub(crate) kind: &'a Kind,
    pub(crate) subresource: Option<Subresource>,
    pub(crate) namespace: &'a str,
    /// The name in the path; a new object has none there.
    pub(crate) name: &'a str,
    pub(crate) authorizer: &'a dyn Authorize,
    pub(crate) lookup: &'a Lookup,
}

/// Admits a new object, or a changed one (then `old` is what it was); it may be completed. The strings are warnings for the client.
pub(crate) fn admit(
    request: Request<'_>,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<Vec<String>, Status> {
    rbac::escalation(request, old, new)?;
    Ok(Vec::new())
}
