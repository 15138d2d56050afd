//! What real packets said, as data: schema `moat.dev/verify/v1`.

use super::Report;
use serde_json::{Value, json};

/// The whole report.
#[must_use]
pub fn value(report: &Report) -> Value {
    let agreed: Vec<Value> = report
        .agreed
        .iter()
        .map(|row| {
            json!({
                "protocol": row.protocol,
                "connected": row.connected,
                "refused": row.refused,
                "dropped": row.dropped,
            })
        })
        .collect();
    let not_exercised: Vec<Value> = report
        .not_exercised
        .iter()
        .map(|row| json!({"protocol": row.protocol, "questions": row.count, "why": row.why}))
        .collect();
    let disagreements: Vec<Value> = report
        .disagreements
        .iter()
        .map(|found| {
            json!({
                "question": found.question,
                "expected": found.expected,
                "seen": found.seen,
                "wrong": found.wrong,
                "reasons": found.reasons,
            })
        })
        .collect();
    json!({
        "schema": "moat.dev/verify/v1",
        "agrees": report.disagreements.is_empty(),
        "pods": report.n_pods,
        "podsLeftOut": report.n_left_out,
        "nodes": report.n_nodes,
        "outsideAddresses": report.n_outside,
        "probes": report.n_probes,
        "agreed": agreed,
        "leftOpen": report.n_open,
        "notExercised": not_exercised,
        "disagreements": disagreements,
        "log": {"records": report.n_records, "lost": report.n_lost},
        "notes": report.notes,
        "closed": report.refused,
        "milliseconds": {"build": report.build_ms, "probe": report.probe_ms},
    })
}
