//! ValidatingAdmissionPolicies: rules in CEL that a cluster's owner sets for writes of any kind (`admission/plugin/policy/validating`).

mod compiled;
mod matching;

use super::Request;
use crate::object::{list, meta, text};
use crate::observe::audit::note;
use crate::status::Status;
use compiled::{Decision, compiled};
use serde_json::{Value, json};

pub(crate) use compiled::{BINDING, POLICY};

const GROUP: &str = "admissionregistration.k8s.io";
/// Bytes of a value in the audit log.
const ANNOTATION_MAX: usize = 10 << 10;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// Holds a write against all policies that are bound. Warnings are for the client. Errors: the first policy that denies it.
pub(crate) fn admit(
    request: Request<'_>,
    operation: Operation,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<Vec<String>, Status> {
    let resource = |plural: &str| format!("{GROUP}/{plural}");
    let bindings = resource("validatingadmissionpolicybindings");
    // Policies are not held against themselves: a wrong one could never be repaired.
    if request.lookup.count(&bindings) == 0 || request.kind.group == GROUP {
        return Ok(Vec::new());
    }
    let (mut warnings, mut denied) = (Vec::new(), None);
    let namespace = match request.namespace {
        "" => None,
        name => request.lookup.get("namespaces", None, name),
    };
    let write = matching::Write { request, operation, old, new, namespace: namespace.as_ref() };
    let bindings = request.lookup.list(&bindings, None);
    for policy in request.lookup.list(&resource("validatingadmissionpolicies"), None) {
        let name = meta(&policy, "name");
        let own = bindings.iter().filter(|one| text(one, "/spec/policyName") == name);
        let own: Vec<&Value> =
            own.filter(|one| write.matches(&one["spec"]["matchResources"], true)).collect();
        if own.is_empty() || !write.matches(&policy["spec"]["matchConstraints"], false) {
            continue;
        }
        // What does not depend on a binding is the same for all, as there are no parameters.
        let outcome = compiled(&policy).run(&write);
        for (key, value) in &outcome.annotations {
            let value: String = value.chars().take(ANNOTATION_MAX / 4).collect();
            note(&format!("{name}/{key}"), value);
        }
        for binding in own {
            for (at, decision) in outcome.denied.iter().enumerate() {
                let by = meta(binding, "name");
                for action in
                    list(binding, "/spec/validationActions").iter().filter_map(Value::as_str)
                {
                    match action {
                        "Deny" if denied.is_none() => {
                            denied = Some(refusal(&write, name, by, decision));
                        }
                        "Warn" => warnings.push(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{by}': {}",
                            decision.message
                        )),
                        "Audit" => {
                            let told = json!([{
                                "message": decision.message, "policy": name, "binding": by, "expressionIndex": at,
                                "validationActions": binding["spec"]["validationActions"],
                            }]);
                            note("validation.policy.admission.k8s.io/validation_failure", told.to_string());
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    denied.map_or(Ok(warnings), Err)
}

fn refusal(
    write: &matching::Write<'_>,
    policy: &str,
    binding: &str,
    decision: &Decision,
) -> Status {
    let message = format!(
        "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {}",
        decision.message
    );
    let object = write.new.or(write.old).map_or("", |object| meta(object, "name"));
    let name = if object.is_empty() { write.request.name } else { object };
    let mut status = Status::forbidden(write.request.kind.about(), name, &message);
    (status.reason, status.code) = match decision.reason.as_str() {
        "Unauthorized" => ("Unauthorized", 401),
        "Forbidden" => ("Forbidden", 403),
        "RequestEntityTooLarge" => ("RequestEntityTooLarge", 413),
        _ => ("Invalid", 422),
    };
    let causes = json!([{ "message": message }]);
    status.details.get_or_insert_default().insert("causes".to_owned(), causes);
    status
}
