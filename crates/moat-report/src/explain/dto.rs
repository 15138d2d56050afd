//! Explanations as data, with a stable schema: `moat.dev/v1`, kind `Explanation`; and one line a flow.

use super::clause_text;
use moat_analyze::explain::{Explanation, FlowExplanation, NearMiss, halves};
use moat_ir::{Answer, Bound, ClauseIdx, Direction, Exemption, Half, HalfReason, Then};
use serde::Serialize;
use serde_json::{Value, json};

/// The explanation as JSON.
#[must_use]
pub fn explanation(bound: &Bound, explanation: &Explanation, caveats: &[String]) -> Value {
    let flows: Vec<Value> = explanation.flows.iter().map(|flow| flow_value(bound, flow)).collect();
    json!({
        "apiVersion": "moat.dev/v1",
        "kind": "Explanation",
        "verdict": explanation.verdict.name(),
        "from": explanation.from,
        "to": explanation.to,
        "anyPort": explanation.any_port,
        "service": explanation.service.as_ref().map(|service| json!({"text": service.text})),
        "flows": flows,
        "implementationDefined": explanation.elsewhere.as_ref().map(|elsewhere| {
            let verdicts: serde_json::Map<String, Value> = elsewhere
                .verdicts
                .iter()
                .map(|(dialect, verdict)| ((*dialect).to_owned(), verdict.name().into()))
                .collect();
            json!({"verdicts": verdicts, "because": elsewhere.because})
        }),
        "notes": explanation.notes,
        "caveats": caveats,
    })
}

fn flow_value(bound: &Bound, flow: &FlowExplanation) -> Value {
    let mut value = json!({
        "from": flow.from,
        "to": flow.to,
        "protocol": flow.flow.point.protocol.name(),
        "port": flow.flow.point.port,
        "family": flow.flow.family.to_string(),
        "verdict": flow.answer.verdict.name(),
    });
    for (direction, half) in halves(&flow.answer) {
        let mut one = half_value(bound, (direction, half), &flow.near);
        let edits: Vec<Value> = flow
            .edits
            .iter()
            .filter(|edit| edit.direction == direction)
            .map(|edit| {
                let examples: Vec<Value> = edit
                    .opened
                    .examples
                    .iter()
                    .map(|(from, to, ports)| json!({"from": from, "to": to, "ports": ports}))
                    .collect();
                json!({
                    "text": edit.text,
                    "place": edit.place,
                    "yaml": edit.yaml,
                    "opens": {
                        "pairs": edit.opened.n_pairs,
                        "examples": examples,
                        "sideEffects": edit.opened.side_effects,
                    },
                })
            })
            .collect();
        if let Some(map) = one.as_object_mut().filter(|_| !edits.is_empty()) {
            map.insert("edits".to_owned(), Value::Array(edits));
        }
        if let Some(map) = value.as_object_mut() {
            map.insert(direction.name().to_owned(), one);
        }
    }
    value
}

/// One direction of an answer, with the rules that come nearest.
pub(crate) fn half_value(
    bound: &Bound,
    (direction, half): (Direction, &Half),
    near: &[NearMiss],
) -> Value {
    let mut value = serde_json::to_value(half_line(bound, half)).unwrap_or_default();
    let near: Vec<Value> = near
        .iter()
        .filter(|miss| miss.direction == direction)
        .map(|miss| {
            let lacks: Vec<String> = miss.lacks.iter().map(ToString::to_string).collect();
            json!({"rule": rule_line(bound, miss.clause), "lacks": lacks})
        })
        .collect();
    if let Some(map) = value.as_object_mut().filter(|_| !near.is_empty()) {
        map.insert("nearest".to_owned(), Value::Array(near));
    }
    value
}

/// A policy.
pub(crate) fn policy_value(bound: &Bound, policy: u32) -> Value {
    serde_json::to_value(policy_line(bound, policy)).unwrap_or_default()
}

/// One direction of an answer.
#[derive(Debug, Serialize)]
struct HalfLine<'b> {
    verdict: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleLine<'b>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    isolated: Vec<PolicyLine<'b>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doubts: Vec<RuleLine<'b>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ambiguous: Vec<PolicyLine<'b>>,
}

#[derive(Debug, Serialize)]
struct RuleLine<'b> {
    policy: String,
    kind: &'static str,
    direction: &'static str,
    rule: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'b str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<u32>,
    action: &'static str,
    means: String,
    file: &'b str,
    line: u32,
}

#[derive(Debug, Serialize)]
struct PolicyLine<'b> {
    policy: String,
    kind: &'static str,
    file: &'b str,
    line: u32,
}

fn rule_line(bound: &Bound, clause: ClauseIdx) -> RuleLine<'_> {
    let symbolic = &bound.symbolic;
    let sym = symbolic.clause(clause);
    let rule = symbolic.rule(sym.rule);
    let policy = symbolic.policy(rule.policy);
    RuleLine {
        policy: policy.id(),
        kind: policy.kind,
        direction: rule.direction.name(),
        rule: rule.index,
        name: rule.name.as_deref(),
        peer: sym.peer_index,
        action: match sym.then {
            Then::Allow => "Accept",
            Then::Deny => "Deny",
            Then::Pass => "Pass",
        },
        means: clause_text(symbolic, clause),
        file: symbolic.file(rule.origin),
        line: rule.origin.line,
    }
}

fn policy_line(bound: &Bound, policy: u32) -> PolicyLine<'_> {
    let policy = bound.symbolic.policy(policy);
    PolicyLine {
        policy: policy.id(),
        kind: policy.kind,
        file: bound.symbolic.file(policy.origin),
        line: policy.origin.line,
    }
}

fn half_line<'b>(bound: &'b Bound, half: &Half) -> HalfLine<'b> {
    let mut line = HalfLine {
        verdict: half.verdict.name(),
        reason: "",
        rules: Vec::new(),
        isolated: Vec::new(),
        doubts: half.doubts.iter().map(|&clause| rule_line(bound, clause)).collect(),
        ambiguous: half.ambiguous.iter().map(|&policy| policy_line(bound, policy)).collect(),
    };
    line.reason = match &half.reason {
        HalfReason::Unmanaged => "unmanaged",
        HalfReason::Exempt(Exemption::SamePod) => "same-pod",
        HalfReason::Exempt(Exemption::OwnNode) => "own-node",
        HalfReason::Default => "default",
        HalfReason::Rules(rules) => {
            line.rules = rules.iter().map(|rule| rule_line(bound, rule.clause)).collect();
            "rules"
        }
        HalfReason::Isolated(policies) => {
            line.isolated = policies.iter().map(|&policy| policy_line(bound, policy)).collect();
            "isolated"
        }
    };
    line
}

/// One line of `explain --flows -o jsonl`.
#[derive(Debug, Serialize)]
pub struct FlowLine<'b> {
    verdict: &'static str,
    egress: HalfLine<'b>,
    ingress: HalfLine<'b>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'b str>,
}

/// The line for an answer.
#[must_use]
pub fn flow_line<'b>(
    bound: &'b Bound,
    answer: &Answer,
    verdict: &'static str,
    note: Option<&'b str>,
) -> FlowLine<'b> {
    FlowLine {
        verdict,
        egress: half_line(bound, &answer.egress),
        ingress: half_line(bound, &answer.ingress),
        note,
    }
}
