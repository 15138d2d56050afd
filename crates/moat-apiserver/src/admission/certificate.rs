//! Requests for certificates: they are of who made them; who approves and who signs may do so for the signer; some names are never given.

use super::Request;
use crate::authorize::{Attributes, Decision};
use crate::certificate_request::Requested;
use crate::kinds::Subresource;
use crate::object::{child_mut, list, text};
use crate::status::Status;
use crate::strategy::certificate::{own_part, pem};
use serde_json::{Value, json};

/// The signer whose certificates this server takes from clients.
const CLIENTS: &str = "kubernetes.io/kube-apiserver-client";

pub(super) fn certificate(
    request: Request<'_>,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<(), Status> {
    if !request.kind.is("certificates.k8s.io", "CertificateSigningRequest") {
        return Ok(());
    }
    match (old, request.subresource) {
        (None, _) => {
            asked_by(request, new);
            allowed_subject(request, new)
        }
        (Some(old), Some(Subresource::Approval)) => {
            own_part(true, old, new);
            may(request, "approve", new)
        }
        (Some(old), Some(_)) => {
            own_part(false, old, new);
            let failed = |object: &Value| {
                list(object, "/status/conditions").iter().any(|one| text(one, "/type") == "Failed")
            };
            let signs = old["status"]["certificate"] != new["status"]["certificate"];
            if signs || failed(old) != failed(new) { may(request, "sign", new) } else { Ok(()) }
        }
        // What was asked for is not changed afterwards; somebody may have approved it.
        (Some(old), None) => {
            if let Some(map) = new.as_object_mut() {
                map.insert("spec".to_owned(), old["spec"].clone());
            }
            Ok(())
        }
    }
}

fn asked_by(request: Request<'_>, new: &mut Value) {
    let user = request.user;
    let spec = child_mut(new, "spec");
    for field in ["username", "uid", "groups", "extra"] {
        spec.shift_remove(field);
    }
    spec.insert("username".to_owned(), user.name.as_str().into());
    if !user.uid.is_empty() {
        spec.insert("uid".to_owned(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        spec.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(user.extra));
    }
}

/// Nobody becomes a master by a certificate: it could not be taken back.
fn allowed_subject(request: Request<'_>, new: &Value) -> Result<(), Status> {
    if text(new, "/spec/signerName") != CLIENTS {
        return Ok(());
    }
    // One that cannot be read is refused by its rules.
    let asked = pem(new).and_then(|pem| Requested::read(&pem).ok()).unwrap_or_default();
    if asked.organizations.iter().any(|group| group == "system:masters") {
        let why = format!("use of {CLIENTS} signer with system:masters group is not allowed");
        return Err(request.forbidden(new, &why));
    }
    Ok(())
}

fn may(request: Request<'_>, verb: &str, new: &Value) -> Result<(), Status> {
    let signer = text(new, "/spec/signerName");
    let domain = signer.split('/').next().unwrap_or_default();
    let allowed = [signer.to_owned(), format!("{domain}/*")].into_iter().any(|name| {
        let what = Attributes {
            verb: verb.to_owned(),
            group: "certificates.k8s.io".to_owned(),
            resource: "signers".to_owned(),
            name,
            ..Attributes::default()
        };
        matches!(request.authorizer.authorize(request.user, &what), Decision::Allow(_))
    });
    if allowed {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(request.forbidden(new, &why))
}
