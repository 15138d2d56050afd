//! Policies: upstream's defaults, and the rules by which every other part of the product reads them (`moat-model`), so that what is stored
//! here is never refused there.

use super::{Generation, PLAIN, Strategy, check};
use crate::object::{child_mut, default, list};
use crate::status::Cause;
use moat_model::{Options, SourceId, codes, lower};
use serde_json::{Value, json};

pub(super) const NETWORK_POLICY: Strategy = Strategy {
    generation: Generation::Spec,
    default: network_policy,
    validate: check_network_policy,
    ..PLAIN
};
pub(super) const CLUSTER_NETWORK_POLICY: Strategy =
    Strategy { generation: Generation::Spec, validate, ..PLAIN };

fn check_network_policy(object: &Value, causes: &mut Vec<Cause>) {
    validate(object, causes);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (n, rule) in list(object, &format!("/spec/{rules}")).iter().enumerate() {
            for (m, peer) in list(rule, &format!("/{peers}")).iter().enumerate() {
                strict_block(
                    &peer["ipBlock"],
                    &format!("spec.{rules}[{n}].{peers}[{m}].ipBlock"),
                    causes,
                );
            }
        }
    }
}

/// What the reader takes with a warning, because older servers let it in, is not let in here.
fn strict_block(block: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut check = |value: &Value, path: String| {
        let text = value.as_str().unwrap_or_default();
        let is_new = !causes.iter().any(|cause| cause.field == path);
        if let Some(why) = check::wrong_cidr(text).filter(|_| is_new && !text.is_empty()) {
            causes.push(Cause::invalid(path, value, why));
        }
    };
    check(&block["cidr"], format!("{path}.cidr"));
    for (n, except) in list(block, "/except").iter().enumerate() {
        check(except, format!("{path}.except[{n}]"));
    }
}

/// The reader's own findings, which are in upstream's words already; the word before the first colon is the machine's reason.
fn validate(object: &Value, causes: &mut Vec<Cause>) {
    let value = moat_model::Value::from(object);
    let lowered = lower([(SourceId(0), &value)], &[], &Options::default());
    for found in lowered.diagnostics {
        if found.code != codes::INVALID && found.code != codes::WRONG_TYPE {
            continue;
        }
        // Names and labels are checked for every kind alike.
        if found.path.starts_with("metadata") {
            continue;
        }
        let word = found.message.split(':').next().unwrap_or_default();
        let reason = match word {
            "Required value" => "FieldValueRequired",
            "Unsupported value" => "FieldValueNotSupported",
            "Forbidden" => "FieldValueForbidden",
            "Duplicate value" => "FieldValueDuplicate",
            "Too long" => "FieldValueTooLong",
            "Too many" => "FieldValueTooMany",
            _ => "FieldValueInvalid",
        };
        // The reader says more about prefixes than upstream does.
        let message = match found.message.split_once("2001:db8::/64)") {
            Some((upstreams, _)) => format!("{upstreams}2001:db8::/64)"),
            None => found.message,
        };
        causes.push(Cause::field(reason, found.path, message));
    }
}

//= k8s NetworkPolicySpec.policyTypes
//# If this field is not specified, it will default based on the existence of ingress or egress rules
fn network_policy(object: &mut Value) {
    let spec = child_mut(object, "spec");
    default(spec, "podSelector", json!({}));
    for field in ["ingress", "egress"] {
        for rule in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            for port in rule.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(port) = port.as_object_mut() {
                    default(port, "protocol", "TCP");
                }
            }
        }
    }
    let egress =
        spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    let empty = spec.get("policyTypes").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if empty {
        spec.insert("policyTypes".to_owned(), types);
    }
}
