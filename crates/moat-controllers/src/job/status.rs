//! A Job's status: counts, pods that are not counted yet, conditions.

use crate::json::time;
use serde::{Deserialize, Serialize};

/// The status as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct JobStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) completion_time: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) active: i64,
    pub(super) ready: i64,
    pub(super) terminating: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) succeeded: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) failed: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) completed_indexes: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed_indexes: Option<String>,
    pub(super) uncounted_terminated_pods: Uncounted,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) conditions: Vec<Condition>,
}

/// Pods that ended and that the finalizer still holds, by uid. They are written here before the finalizer goes and counted after, so that no
/// pod is counted twice or never, wherever the controller stops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Uncounted {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) succeeded: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failed: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_probe_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_transition_time: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

impl JobStatus {
    /// A condition that is true.
    pub(super) fn holds(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|one| one.kind == kind && one.status == "True")
    }

    /// The condition by which it is finished.
    pub(super) fn finished(&self) -> Option<&Condition> {
        self.holds("Complete").or_else(|| self.holds("Failed"))
    }

    /// Sets a condition; whether it changed. None is added only to say that something is not so.
    pub(super) fn condition(
        &mut self,
        kind: &str,
        status: bool,
        reason: &str,
        message: &str,
        now: i64,
    ) -> bool {
        let condition = Condition {
            kind: kind.to_owned(),
            status: if status { "True" } else { "False" }.to_owned(),
            last_probe_time: Some(time(now)),
            last_transition_time: Some(time(now)),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        match self.conditions.iter_mut().find(|one| one.kind == kind) {
            Some(old)
                if (&old.status, &old.reason, &old.message)
                    == (&condition.status, &condition.reason, &condition.message) =>
            {
                false
            }
            Some(old) => {
                *old = condition;
                true
            }
            None if status => {
                self.conditions.push(condition);
                true
            }
            None => false,
        }
    }
}
