//! Label selectors of workloads.

use crate::json::{list, text};
use serde_json::Value;
use std::collections::BTreeMap;

type Labels = BTreeMap<Box<str>, Box<str>>;

/// Whether plain labels, as Services and ReplicationControllers have them, are all there.
pub(crate) fn has_all(selector: &Value, labels: &Labels) -> bool {
    let mut wanted = selector.as_object().into_iter().flatten();
    wanted.all(|(key, value)| labels.get(key.as_str()).map(|own| &**own) == value.as_str())
}

/// Whether a `LabelSelector` selects labels; an operator that is not known selects nothing.
pub(crate) fn selects(selector: &Value, labels: &Labels) -> bool {
    has_all(selector.get("matchLabels").unwrap_or(&Value::Null), labels)
        && list(selector, "/matchExpressions").iter().all(|one| {
            let own = labels.get(text(one, "/key")).map(|own| &**own);
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
