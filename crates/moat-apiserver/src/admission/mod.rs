//! What stands between an object that is well-formed and its being stored: small rules, each in a file of its own, over the request, the
//! object, and what is stored besides. They run in dry runs too.
//!
//! Upstream calls them admission plug-ins, and these are those of its that are on by default, as far as there is something for them to do.

mod certificate;
mod default_class;
mod in_use;
mod limit_ranger;
mod node_restriction;
mod node_taint;
mod pod_security;
mod policy;
mod priority;
mod quota;
mod rbac;
mod resources;
mod runtime_class;
mod service_account;
mod tolerations;

use crate::advice::Advice;
use crate::authorize::{Authorize, User};
use crate::kinds::{Kind, Subresource};
use crate::lookup::Lookup;
use crate::object::meta;
use crate::status::Status;
use serde_json::Value;

pub(crate) use node_restriction::{node_restriction, token};
pub(crate) use policy::{BINDING as POLICY_BINDING, Operation, POLICY, admit as policies};
pub(crate) use quota::is_counted;
pub use quota::{quota_counts, quota_used};

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
    pub(crate) advice: &'a Advice,
}

impl Request<'_> {
    /// The refusal of an object.
    fn forbidden(self, object: &Value, why: &str) -> Status {
        Status::forbidden(self.kind.about(), meta(object, "name"), why)
    }
}

/// Admits a new object, or a changed one (then `old` is what it was); it may be completed. The strings are warnings for the client.
pub(crate) fn admit(
    request: Request<'_>,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<Vec<String>, Status> {
    node_restriction(request, old, Some(new))?;
    certificate::certificate(request, old, new)?;
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    match request.subresource {
        None => {}
        Some(Subresource::Status) => return policies(request, operation, old, Some(new)),
        Some(Subresource::EphemeralContainers) => {
            let mut warnings = pod_security::admit(request, old, new)?;
            warnings.extend(policies(request, operation, old, Some(new))?);
            return Ok(warnings);
        }
        Some(Subresource::Resize) => {
            limit_ranger::check(request, &ranges(request), new)?;
            let warnings = policies(request, operation, old, Some(new))?;
            quota::check(request, old, new)?;
            return Ok(warnings);
        }
        Some(_) => return Ok(Vec::new()),
    }
    complete(request, old, new)?;
    rbac::escalation(request, old, new)?;
    let kind = (request.kind.group.as_str(), request.kind.kind.as_str());
    match kind {
        ("", "Pod") if old.is_none() => limit_ranger::check(request, &ranges(request), new)?,
        ("", "PersistentVolumeClaim") => limit_ranger::check(request, &ranges(request), new)?,
        ("scheduling.k8s.io", "PriorityClass") => priority::of_class(request, old, new)?,
        _ => {}
    }
    let mut warnings = pod_security::admit(request, old, new)?;
    warnings.extend(policies(request, operation, old, Some(new))?);
    // The last, because what it counts must not be refused by somebody else afterwards.
    quota::check(request, old, new)?;
    warnings.extend(request.advice.of(new));
    Ok(warnings)
}

/// Fills in what the cluster knows better than the client.
fn complete(request: Request<'_>, old: Option<&Value>, new: &mut Value) -> Result<(), Status> {
    let kind = (request.kind.group.as_str(), request.kind.kind.as_str());
    match (kind, old) {
        (("", "Pod"), None) => {
            limit_ranger::defaults(&ranges(request), new);
            service_account::service_account(request, new)?;
            priority::of_pod(request, None, new)?;
            tolerations::default_toleration_seconds(new);
            runtime_class::runtime_class(request, new)?;
            crate::strategy::pod::begin(new);
        }
        (("", "Pod"), Some(_)) => {
            priority::of_pod(request, old, new)?;
            // Who takes all tolerations away leaves these.
            tolerations::default_toleration_seconds(new);
        }
        (("", "Node"), None) => node_taint::not_ready(new),
        (("", "PersistentVolumeClaim"), None) => {
            default_class::of_claim(request, new);
            in_use::protect(new, "kubernetes.io/pvc-protection");
        }
        (("", "PersistentVolume"), None) => in_use::protect(new, "kubernetes.io/pv-protection"),
        (("networking.k8s.io", "Ingress"), None) => default_class::of_ingress(request, new),
        _ => {}
    }
    Ok(())
}

fn ranges(request: Request<'_>) -> Vec<Value> {
    request.lookup.list("limitranges", Some(request.namespace))
}
