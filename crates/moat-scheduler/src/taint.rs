//! Taints of nodes and what pods tolerate.

use crate::read::{list, text};
use serde_json::Value;

/// A reason for pods to keep off a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Taint {
    /// Its key.
    pub key: Box<str>,
    /// Its value, often empty.
    pub value: Box<str>,
    /// How strong it is.
    pub effect: Effect,
}

/// How strong a taint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// New pods are refused.
    NoSchedule,
    /// New pods rather go elsewhere.
    PreferNoSchedule,
    /// New pods are refused and running ones are evicted.
    NoExecute,
    /// An effect that nobody knows; it keeps nobody off.
    Unknown,
}

/// Taints that a pod does not mind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    key: Box<str>,
    value: Box<str>,
    operator: Operator,
    effect: Option<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operator {
    Equal,
    Exists,
    Unknown,
}

impl Effect {
    fn read(text: &str) -> Self {
        match text {
            "NoSchedule" => Self::NoSchedule,
            "PreferNoSchedule" => Self::PreferNoSchedule,
            "NoExecute" => Self::NoExecute,
            _ => Self::Unknown,
        }
    }
}

impl Taint {
    /// Reads the taints of a node's `spec`.
    pub fn read_all(spec: &Value) -> Vec<Self> {
        let read = |one: &Value| Self {
            key: text(one, "key").into(),
            value: text(one, "value").into(),
            effect: Effect::read(text(one, "effect")),
        };
        list(spec, "taints").iter().map(read).collect()
    }

    /// The taint that `spec.unschedulable` amounts to.
    pub(crate) fn unschedulable() -> Self {
        Self {
            key: "node.kubernetes.io/unschedulable".into(),
            value: "".into(),
            effect: Effect::NoSchedule,
        }
    }
}

impl Toleration {
    /// Reads the tolerations of a pod's `spec`, in their order.
    pub fn read_all(spec: &Value) -> Vec<Self> {
        let read = |one: &Value| Self {
            key: text(one, "key").into(),
            value: text(one, "value").into(),
            operator: match text(one, "operator") {
                "" | "Equal" => Operator::Equal,
                "Exists" => Operator::Exists,
                _ => Operator::Unknown,
            },
            effect: Some(text(one, "effect")).filter(|text| !text.is_empty()).map(Effect::read),
        };
        list(spec, "tolerations").iter().map(read).collect()
    }

    /// Whether a taint is not minded.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && match self.operator {
                Operator::Equal => self.value == taint.value,
                Operator::Exists => true,
                Operator::Unknown => false,
            }
    }

    /// Whether it says anything about taints that are only a wish.
    pub(crate) fn is_of_wishes(&self) -> bool {
        self.effect.is_none_or(|effect| effect == Effect::PreferNoSchedule)
    }
}

/// The first taint that keeps a pod off.
pub(crate) fn untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
) -> Option<&'a Taint> {
    taints.iter().find(|taint| {
        matches!(taint.effect, Effect::NoSchedule | Effect::NoExecute)
            && !tolerations.iter().any(|one| one.tolerates(taint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tolerations_mean_what_upstream_means() {
        let taint = Taint { key: "k".into(), value: "v".into(), effect: Effect::NoSchedule };
        let cases = [
            (json!({"key": "k", "value": "v"}), true),
            (json!({"key": "k", "value": "w"}), false),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"operator": "Exists"}), true),
            (json!({"operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"operator": "Exists", "effect": "NoSchedule"}), true),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({"key": "k", "operator": "Like"}), false),
        ];
        for (one, want) in cases {
            let all = Toleration::read_all(&json!({"tolerations": [one]}));
            assert_eq!(all[0].tolerates(&taint), want, "{one}");
        }
    }
}
