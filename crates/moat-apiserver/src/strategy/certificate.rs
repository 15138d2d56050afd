//! Requests for certificates: rules (certificates.k8s.io/v1 `CertificateSigningRequest`).

use super::{PLAIN, Strategy};
use crate::certificate_request::Requested;
use crate::names::Rule;
use crate::object::{list, number, text};
use crate::status::Cause;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) const REQUEST: Strategy = Strategy {
    // Upstream asks nothing of the names of requests.
    names: Rule::Path,
    returns_deleted: true,
    default: super::workload::status,
    validate,
    validate_update,
    ..PLAIN
};

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
const SECONDS_MIN: i64 = 600;
/// Conditions that are only said by who approves.
const OF_APPROVAL: [&str; 2] = ["Approved", "Denied"];

/// The request that a `CertificateSigningRequest` holds, PEM.
pub fn pem(object: &Value) -> Option<String> {
    let bytes = STANDARD.decode(text(object, "/spec/request")).ok()?;
    String::from_utf8(bytes).ok()
}

fn validate(object: &Value, causes: &mut Vec<Cause>) {
    let request = &object["spec"]["request"];
    let read = pem(object).ok_or_else(|| "PEM block type must be CERTIFICATE REQUEST".to_owned());
    if let Err(why) = read.and_then(|pem| Requested::read(&pem)) {
        causes.push(Cause::invalid("spec.request", request, &why));
    }
    let usages = list(object, "/spec/usages");
    if usages.is_empty() {
        causes.push(Cause::required("spec.usages", ""));
    }
    let mut seen = BTreeSet::new();
    for (at, usage) in usages.iter().enumerate() {
        let own = usage.as_str().unwrap_or_default();
        if !USAGES.contains(&own) {
            causes.push(Cause::not_supported(format!("spec.usages[{at}]"), usage, USAGES));
        }
        if !seen.insert(own) {
            let message = format!("Duplicate value: {usage}");
            causes.push(Cause::field("FieldValueDuplicate", format!("spec.usages[{at}]"), message));
        }
    }
    let signer = text(object, "/spec/signerName");
    if signer.is_empty() {
        causes.push(Cause::required("spec.signerName", ""));
    } else if signer == "kubernetes.io/legacy-unknown" {
        let why = "the legacy signerName is not allowed via this API version";
        causes.push(Cause::invalid("spec.signerName", &signer.into(), why));
    } else if !signer
        .split_once('/')
        .is_some_and(|(domain, path)| domain.contains('.') && !path.is_empty())
    {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        causes.push(Cause::invalid("spec.signerName", &signer.into(), why));
    }
    if let Some(seconds) =
        number(object, "/spec/expirationSeconds").filter(|seconds| *seconds < SECONDS_MIN)
    {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        causes.push(Cause::invalid("spec.expirationSeconds", &seconds.into(), why));
    }
    conditions(object, causes);
}

fn conditions(object: &Value, causes: &mut Vec<Cause>) {
    const AT: &str = "status.conditions";
    let mut seen = BTreeSet::new();
    for (at, one) in list(object, "/status/conditions").iter().enumerate() {
        let (kind, status) = (text(one, "/type"), text(one, "/status"));
        if kind.is_empty() {
            causes.push(Cause::required(format!("{AT}[{at}].type"), ""));
        }
        match status {
            "" => causes.push(Cause::required(format!("{AT}[{at}].status"), "")),
            "True" => {}
            // Nobody takes back what was said of a request.
            _ if OF_APPROVAL.contains(&kind) || kind == "Failed" => {
                causes.push(Cause::not_supported(
                    format!("{AT}[{at}].status"),
                    &one["status"],
                    &["True"],
                ));
            }
            "False" | "Unknown" => {}
            _ => causes.push(Cause::not_supported(
                format!("{AT}[{at}].status"),
                &one["status"],
                &["False", "True", "Unknown"],
            )),
        }
        if !seen.insert(kind) {
            let message = format!("Duplicate value: {kind:?}");
            causes.push(Cause::field("FieldValueDuplicate", format!("{AT}[{at}].type"), message));
        }
    }
    if OF_APPROVAL.iter().all(|kind| seen.contains(kind)) {
        let why = "Approved and Denied conditions are mutually exclusive";
        causes.push(Cause::invalid(AT, &"Denied".into(), why));
    }
}

fn validate_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for kind in ["Approved", "Denied", "Failed"] {
        let has = |object: &Value| {
            list(object, "/status/conditions").iter().any(|one| text(one, "/type") == kind)
        };
        if has(old) && !has(new) {
            let why = format!("updates may not remove a condition of type {kind:?}");
            causes.push(Cause::forbidden("status.conditions", &why));
        }
    }
    let (had, has) = (text(old, "/status/certificate"), text(new, "/status/certificate"));
    if !had.is_empty() && had != has {
        let why = "updates may not modify existing certificate content";
        causes.push(Cause::forbidden("status.certificate", why));
    }
}

/// What of a changed status a writer of one part may have changed: who approves says so, and who signs signs.
pub(crate) fn own_part(approval: bool, old: &Value, new: &mut Value) {
    let conditions = |object: &Value, of_approval: bool| -> Vec<Value> {
        let all = list(object, "/status/conditions").iter();
        all.filter(|one| OF_APPROVAL.contains(&text(one, "/type")) == of_approval)
            .cloned()
            .collect()
    };
    let (from_approval, from_rest) = if approval { (&*new, old) } else { (old, &*new) };
    let mut kept = conditions(from_approval, true);
    kept.extend(conditions(from_rest, false));
    let mut status = from_rest["status"].as_object().cloned().unwrap_or_default();
    if kept.is_empty() {
        status.shift_remove("conditions");
    } else {
        let now = crate::stamp::now();
        for one in kept.iter_mut().filter_map(Value::as_object_mut) {
            for field in ["lastUpdateTime", "lastTransitionTime"] {
                if one.get(field).is_none_or(Value::is_null) {
                    one.insert(field.to_owned(), now.as_str().into());
                }
            }
        }
        status.insert("conditions".to_owned(), kept.into());
    }
    if let Some(map) = new.as_object_mut() {
        map.insert("status".to_owned(), Value::Object(status));
    }
}
