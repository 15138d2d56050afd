//! What a Job says about failures that are to be expected, and about success that comes before all indexes are done.

use super::indexes::Indexes;
use crate::json::{list, number, text};
use crate::pod::{ContainerStatus, Pod, PodItem};
use serde_json::Value;

/// What a failure means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It counts against the limits, as it does without a rule.
    Counts,
    /// It never was.
    Ignored,
    /// The pod's index is not tried again.
    Index,
    /// The Job has failed; why.
    Job(String),
}

/// What a pod's failure means by the first rule that it matches.
pub(super) fn failure(job: &Value, pod: &PodItem) -> Failure {
    for (at, rule) in list(job, "/spec/podFailurePolicy/rules").iter().enumerate() {
        let action = text(rule, "/action");
        let name = format!("{}/{}", pod.meta.namespace, pod.meta.name);
        let why = if let Some(codes) = rule.get("onExitCodes").filter(|one| !one.is_null()) {
            let Some((container, code)) = exit(&pod.value, codes) else { continue };
            format!(
                "Container {} for pod {name} failed with exit code {code} matching {action} rule at index {at}",
                container.name
            )
        } else {
            let Some(kind) = condition(&pod.value, list(rule, "/onPodConditions")) else {
                continue;
            };
            format!("Pod {name} has condition {kind} matching {action} rule at index {at}")
        };
        return match action {
            "FailJob" => Failure::Job(why),
            "FailIndex" => Failure::Index,
            "Ignore" => Failure::Ignored,
            _ => Failure::Counts,
        };
    }
    Failure::Counts
}

/// The first container that ended with a code of a rule.
fn exit<'a>(pod: &'a Pod, rule: &Value) -> Option<(&'a ContainerStatus, i64)> {
    let named = rule["containerName"].as_str();
    let among = |code: i64| list(rule, "/values").iter().any(|value| value.as_i64() == Some(code));
    let status = &pod.status;
    status.container_statuses.iter().chain(&status.init_container_statuses).find_map(|container| {
        let code = container.state.terminated.as_ref()?.exit_code;
        let matches = match text(rule, "/operator") {
            "In" => among(code),
            "NotIn" => !among(code),
            _ => false,
        };
        let is_named = named.is_none_or(|name| *container.name == *name);
        (code != 0 && is_named && matches).then_some((container, code))
    })
}

fn condition<'a>(pod: &'a Pod, patterns: &[Value]) -> Option<&'a str> {
    let found = pod.status.conditions.iter().find(|one| {
        patterns.iter().any(|pattern| {
            let status = pattern["status"].as_str().unwrap_or("True");
            *one.kind == *text(pattern, "/type") && *one.status == *status
        })
    });
    found.map(|one| &*one.kind)
}

/// Says by which rule a Job has succeeded although indexes are left.
pub(super) fn success(job: &Value, done: &Indexes, completions: i64) -> Option<String> {
    let rules = list(job, "/spec/successPolicy/rules");
    let at = rules.iter().position(|rule| {
        let count = number(rule, "/succeededCount");
        match rule["succeededIndexes"].as_str() {
            Some(wanted) => {
                let wanted = Indexes::parse(wanted, completions);
                let both = done.overlap(&wanted);
                0 < wanted.len()
                    && (both == wanted.len() || count.is_some_and(|count| count <= both))
            }
            None => count.is_some_and(|count| count <= done.len()),
        }
    });
    at.filter(|_| 0 < done.len()).map(|at| format!("Matched rules at index {at}"))
}
