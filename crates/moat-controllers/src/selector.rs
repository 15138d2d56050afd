//! Label selectors of workloads.

use crate::json::{list, text};
use moat_informer::Labels;
use serde_json::Value;

/// Whether plain labels, as Services and ReplicationControllers have them, are all there.
pub(crate) fn has_all(selector: &Value, labels: &Labels) -> bool {
    let mut wanted = selector.as_object().into_iter().flatten();
    wanted.all(|(key, value)| labels.get(key) == value.as_str())
}

/// Whether a `LabelSelector` selects labels; an operator that is not known selects nothing.
pub(crate) fn selects(selector: &Value, labels: &Labels) -> bool {
    has_all(selector.get("matchLabels").unwrap_or(&Value::Null), labels)
        && list(selector, "/matchExpressions").iter().all(|one| {
            let own = labels.get(text(one, "/key"));
            let among =
                || own.is_some_and(|own| list(one, "/values").iter().any(|value| value == own));
            match text(one, "/operator") {
                "In" => among(),
                "NotIn" => !among(),
                "Exists" => own.is_some(),
                "DoesNotExist" => own.is_none(),
                _ => false,
            }
        })
}
