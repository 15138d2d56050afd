//! A new node is not ready until somebody who looked says so, and gets no pods until then.

use crate::object::{child_mut, list, text};
use serde_json::{Value, json};

const TAINT: &str = "node.kubernetes.io/not-ready";

pub(super) fn not_ready(node: &mut Value) {
    let mut taints = list(node, "/spec/taints").to_vec();
    let is_it =
        |taint: &Value| text(taint, "/key") == TAINT && text(taint, "/effect") == "NoSchedule";
    if !taints.iter().any(is_it) {
        taints.push(json!({ "key": TAINT, "effect": "NoSchedule" }));
        child_mut(node, "spec").insert("taints".to_owned(), taints.into());
    }
}
