//! A difference as data, with a stable schema: `moat.dev/v1`, kind `Diff`.

use super::members;
use moat_analyze::diff::{Cause, Change, Diff, Kind, Workload};
use moat_ir::Bound;
use serde_json::{Map, Value, json};

/// The difference between two states.
#[must_use]
pub fn value(old: &Bound, new: &Bound, diff: &Diff) -> Value {
    let mut summary = Map::new();
    for kind in Kind::ALL {
        summary.insert(kind.name().to_owned(), json!(diff.pairs(kind)));
    }
    let policies = &diff.policies;
    summary.insert("workloadsNew".to_owned(), json!(diff.new.len()));
    summary.insert("workloadsGone".to_owned(), json!(diff.gone.len()));
    summary.insert(
        "policies".to_owned(),
        json!({"added": policies.added, "removed": policies.removed, "changed": policies.changed}),
    );
    let workloads = |list: &[Workload]| -> Vec<Value> { list.iter().map(workload).collect() };
    json!({
        "apiVersion": "moat.dev/v1",
        "kind": "Diff",
        "equal": diff.is_equal(),
        "summary": summary,
        "changes": diff.changes.iter().map(|one| change(old, new, one)).collect::<Vec<_>>(),
        "workloads": {"new": workloads(&diff.new), "gone": workloads(&diff.gone)},
    })
}

fn change(old: &Bound, new: &Bound, change: &Change) -> Value {
    json!({
        "change": change.kind.name(),
        "from": members(new, &change.from),
        "to": members(new, &change.to),
        "pairs": change.pairs,
        "before": change.before.to_string(),
        "after": change.after.to_string(),
        "added": change.added().to_string(),
        "removed": change.removed().to_string(),
        "by": change.by.iter().map(|one| cause(old, new, one)).collect::<Vec<_>>(),
    })
}

fn cause(old: &Bound, new: &Bound, cause: &Cause) -> Value {
    let mut out = Map::new();
    let symbolic = &if cause.new { new } else { old }.symbolic;
    if let Some(policy) = cause.policy {
        let policy = symbolic.policy(policy);
        out.insert("policy".to_owned(), json!(policy.id()));
        out.insert("kind".to_owned(), json!(policy.kind));
    }
    if let Some((direction, rule)) = cause.rule {
        out.insert("direction".to_owned(), json!(direction.name()));
        out.insert("rule".to_owned(), json!(rule));
    }
    if let Some(origin) = cause.origin {
        out.insert("file".to_owned(), json!(symbolic.file(origin)));
        out.insert("line".to_owned(), json!(origin.line));
    }
    out.insert("text".to_owned(), json!(cause.text));
    Value::Object(out)
}

fn workload(workload: &Workload) -> Value {
    json!({
        "name": workload.name.as_ref(),
        "reaches": workload.reaches,
        "reachesOutside": workload.reaches_outside,
        "reachedBy": workload.reached_by,
        "reachedFromOutside": workload.reached_from_outside,
    })
}
