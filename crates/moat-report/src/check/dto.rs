//! Test results as data, with a stable schema: `moat.dev/v1`, kind `TestReport`.

use super::{Report, sentence};
use crate::explain::{half_value, policy_value, rule_name};
use moat_analyze::check::{Failure, Recorder};
use moat_analyze::explain::halves;
use moat_ir::RuleIdx;
use serde_json::{Value, json};

/// The report as JSON.
#[must_use]
pub fn value(report: &Report<'_>) -> Value {
    let symbolic = &report.bound.symbolic;
    let rules = |rules: &[RuleIdx]| -> Vec<Value> {
        rules.iter().map(|&rule| rule_value(report, rule)).collect()
    };
    let policies = |policies: &[u32]| -> Vec<Value> {
        policies.iter().map(|&policy| policy_value(report.bound, policy)).collect()
    };
    let tests: Vec<Value> = report
        .runs()
        .map(|(test, failures)| {
            let failures: Vec<Value> =
                failures.iter().map(|failure| failure_value(report, failure)).collect();
            json!({
                "name": test.name,
                "assertion": test.assertion.name(),
                "file": report.file(test.place),
                "line": test.place.line,
                "passed": failures.is_empty(),
                "failures": failures,
            })
        })
        .collect();
    let recorder = report.recorder;
    json!({
        "apiVersion": "moat.dev/v1",
        "kind": "TestReport",
        "summary": {
            "tests": report.tests.len(),
            "passed": report.tests.len() - report.n_failed(),
            "failed": report.n_failed(),
        },
        "tests": tests,
        "coverage": {
            "rules": recorder.n_rules(),
            "uncoveredRules": rules(&recorder.uncovered_rules()),
            "isolations": Recorder::n_isolations(symbolic),
            "uncoveredIsolations": policies(&recorder.uncovered_isolations(symbolic)),
        },
        "mutation": report.mutation.map(|mutation| json!({
            "mutants": mutation.n_mutants,
            "survivingRules": rules(&mutation.rules),
            "survivingPolicies": policies(&mutation.policies),
        })),
        "caveats": report.caveats,
    })
}

fn failure_value(report: &Report<'_>, failure: &Failure) -> Value {
    let bound = report.bound;
    let mut value = json!({
        "message": sentence(bound, failure),
        "from": failure.sources(bound),
        "to": failure.to,
        "ports": failure.ports.to_string(),
        "verdict": failure.answer.verdict.name(),
    });
    if let Some(map) = value.as_object_mut() {
        for (direction, half) in halves(&failure.answer) {
            let half = half_value(bound, (direction, half), &failure.near);
            map.insert(direction.name().to_owned(), half);
        }
    }
    value
}

fn rule_value(report: &Report<'_>, rule: RuleIdx) -> Value {
    let symbolic = &report.bound.symbolic;
    let info = symbolic.rule(rule);
    let policy = symbolic.policy(info.policy);
    json!({
        "text": rule_name(symbolic, rule),
        "policy": policy.id(),
        "kind": policy.kind,
        "direction": info.direction.name(),
        "rule": info.index,
        "file": symbolic.file(info.origin),
        "line": info.origin.line,
    })
}
