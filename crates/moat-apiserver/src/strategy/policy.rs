//! NetworkPolicies: upstream's defaults. Rules will be those of the policy brain's own reader (`moat-model`).

use super::{PLAIN, Strategy};
use crate::object::{child_mut, default};
use serde_json::{Value, json};

pub(super) const NETWORK_POLICY: Strategy =
    Strategy { generation: true, default: network_policy, ..PLAIN };

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
