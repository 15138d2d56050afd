//! A pod stays five minutes on a node that is not ready or not reachable, unless it says otherwise.

use crate::object::{child_mut, list, text};
use serde_json::{Value, json};

const SECONDS: i64 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(super) fn default_toleration_seconds(pod: &mut Value) {
    let mut all = list(pod, "/spec/tolerations").to_vec();
    let before = all.len();
    for taint in TAINTS {
        let tolerated = all.iter().any(|one| {
            let (key, effect) = (text(one, "/key"), text(one, "/effect"));
            (key == taint || key.is_empty()) && matches!(effect, "NoExecute" | "")
        });
        if !tolerated {
            all.push(json!({
                "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
            }));
        }
    }
    if before < all.len() {
        child_mut(pod, "spec").insert("tolerations".to_owned(), all.into());
    }
}
