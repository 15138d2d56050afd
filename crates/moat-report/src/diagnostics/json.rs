//! Findings as data, with a stable schema: `moat.dev/v1`, kind `Diagnostics`.

use super::{RuleMeta, Sources, rule_of};
use moat_model::Diagnostic;
use serde::Serialize;
use serde_json::{Value, json};

/// One finding. Every field is always there; what is not known is `null`.
#[derive(Serialize)]
struct Item<'d> {
    code: String,
    name: Option<&'d str>,
    severity: &'static str,
    message: &'d str,
    file: Option<&'d str>,
    /// From 1.
    line: Option<u32>,
    /// In characters, from 1.
    column: Option<u32>,
    /// JSON path of the field in the object.
    path: Option<&'d str>,
    object: Option<&'d str>,
    help: Option<&'d str>,
    effect: Option<&'d str>,
    related: Option<Value>,
}

/// The findings as JSON, in the order given, none folded.
#[must_use]
pub fn json<S: Sources + ?Sized>(
    diagnostics: &[Diagnostic],
    sources: &S,
    rules: &[RuleMeta],
) -> Value {
    let items: Vec<Item<'_>> = diagnostics
        .iter()
        .map(|finding| {
            let pos = Some(finding.span.pos).filter(|pos| pos.line > 0);
            Item {
                code: finding.code.to_string(),
                name: rule_of(rules, finding.code).map(|rule| rule.name.as_str()),
                severity: finding.severity.name(),
                message: &finding.message,
                file: sources.name(finding.span.source),
                line: pos.map(|pos| pos.line),
                column: pos.map(|pos| pos.column),
                path: Some(finding.path.as_str()).filter(|path| !path.is_empty()),
                object: finding.object.as_deref(),
                help: finding.help.as_deref(),
                effect: finding.effect.as_deref(),
                related: finding.related.map(|(what, span)| {
                    json!({
                        "message": what,
                        "file": sources.name(span.source),
                        "line": span.pos.line,
                        "column": span.pos.column,
                    })
                }),
            }
        })
        .collect();
    json!({"apiVersion": "moat.dev/v1", "kind": "Diagnostics", "items": items})
}
