//! Findings as SARIF 2.1.0, for code scanning services and editors.

use super::markdown::{Block, sections};
use super::{Lines, RuleMeta, Sources, token};
use moat_model::{Diagnostic, Severity};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The name under which relative paths are resolved; the viewer knows where the repository is.
const ROOT: &str = "%SRCROOT%";

/// One SARIF log with one run: every rule, every finding in the order given, none folded. `version` is the program's.
#[must_use]
pub fn sarif<S: Sources + ?Sized>(
    diagnostics: &[Diagnostic],
    sources: &S,
    rules: &[RuleMeta],
    version: &str,
) -> Value {
    let mut lines = Lines::new(sources);
    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    let results: Vec<Value> =
        diagnostics.iter().map(|finding| result(finding, &mut lines, rules, &mut seen)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "moat",
                "version": version,
                "semanticVersion": version,
                "informationUri": "https://github.com/moat-dev/moat",
                "rules": rules.iter().map(rule).collect::<Vec<_>>(),
            }},
            "invocations": [{"executionSuccessful": true}],
            "originalUriBaseIds": {ROOT: {"description": {"text": "The directory that paths are relative to: where moat was started."}}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(rule: &RuleMeta) -> Value {
    json!({
        "id": rule.code.to_string(),
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": full_description(rule)},
        "help": {"text": rule.doc, "markdown": rule.doc},
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {"tags": ["kubernetes", "network-policy"]},
    })
}

/// What it does and why that matters: the words of the first two sections.
fn full_description(rule: &RuleMeta) -> String {
    let words: Vec<String> = sections(&rule.doc)
        .into_iter()
        .take(2)
        .flat_map(|section| section.blocks)
        .filter_map(|block| match block {
            Block::Paragraph(words) | Block::Item(words) => Some(words),
            Block::Code(_) => None,
        })
        .collect();
    if words.is_empty() { rule.summary.clone() } else { words.join(" ") }
}

fn result<S: Sources + ?Sized>(
    finding: &Diagnostic,
    lines: &mut Lines<'_, S>,
    rules: &[RuleMeta],
    seen: &mut BTreeMap<u64, u32>,
) -> Value {
    let mut text = finding.message.clone();
    for (word, advice) in [("help", &finding.help), ("effect", &finding.effect)] {
        if let Some(advice) = advice {
            text.push_str(&format!("\n{word}: {advice}"));
        }
    }
    let mut result = Map::new();
    result.insert("ruleId".to_owned(), finding.code.to_string().into());
    if let Some(index) = rules.iter().position(|rule| rule.code == finding.code) {
        result.insert("ruleIndex".to_owned(), index.into());
    }
    result.insert("level".to_owned(), level(finding.severity).into());
    result.insert("message".to_owned(), json!({"text": text}));
    result.insert(
        "locations".to_owned(),
        Value::Array(location(finding, lines).into_iter().collect()),
    );
    result.insert(
        "partialFingerprints".to_owned(),
        json!({"moatFinding/v1": fingerprint(finding, lines.sources, seen)}),
    );
    if let Some((what, span)) = finding.related
        && let Some(name) = lines.sources.name(span.source)
    {
        let physical = json!({
            "artifactLocation": artifact(name),
            "region": {"startLine": span.pos.line.max(1), "startColumn": span.pos.column.max(1)},
        });
        result.insert(
            "relatedLocations".to_owned(),
            json!([{"id": 1, "message": {"text": what}, "physicalLocation": physical}]),
        );
    }
    if !finding.path.is_empty() {
        result.insert("properties".to_owned(), json!({"path": finding.path}));
    }
    Value::Object(result)
}

fn location<S: Sources + ?Sized>(finding: &Diagnostic, lines: &mut Lines<'_, S>) -> Option<Value> {
    let mut location = Map::new();
    if let Some(name) = lines.sources.name(finding.span.source) {
        let mut physical = Map::new();
        physical.insert("artifactLocation".to_owned(), artifact(name));
        if let Some(region) = region(finding, lines) {
            physical.insert("region".to_owned(), region);
        }
        location.insert("physicalLocation".to_owned(), Value::Object(physical));
    }
    if let Some(object) = &finding.object {
        let name = object.rsplit(['/', ' ']).next().unwrap_or(object);
        location.insert(
            "logicalLocations".to_owned(),
            json!([{"name": name, "fullyQualifiedName": object, "kind": "object"}]),
        );
    }
    (!location.is_empty()).then_some(Value::Object(location))
}

fn region<S: Sources + ?Sized>(finding: &Diagnostic, lines: &mut Lines<'_, S>) -> Option<Value> {
    let pos = Some(finding.span.pos).filter(|pos| pos.line > 0)?;
    let chars: Vec<char> =
        lines.get(finding.span.source, pos.line).unwrap_or_default().chars().collect();
    let start = pos.column.max(1);
    let end = token::end(&chars, (start - 1) as usize);
    // The end is the column after the token, columns from 1.
    let end_column = u32::try_from(end + 1).unwrap_or(start).max(start);
    Some(
        json!({"startLine": pos.line, "startColumn": start, "endLine": pos.line, "endColumn": end_column}),
    )
}

fn artifact(name: &str) -> Value {
    let uri = uri(name);
    if uri.starts_with("file:") {
        json!({"uri": uri})
    } else {
        json!({"uri": uri, "uriBaseId": ROOT})
    }
}

/// A path as a URI: absolute ones as `file://`, and everything but unreserved characters and `/` percent-encoded.
fn uri(name: &str) -> String {
    let name = name.strip_prefix("./").unwrap_or(name);
    let mut uri = if name.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// What stays the same when lines move and messages are reworded: code, file, object and path, and a count for repetitions.
fn fingerprint<S: Sources + ?Sized>(
    finding: &Diagnostic,
    sources: &S,
    seen: &mut BTreeMap<u64, u32>,
) -> String {
    let code = finding.code.to_string();
    let file = sources.name(finding.span.source).unwrap_or_default();
    let parts = [code.as_str(), file, finding.object.as_deref().unwrap_or_default(), &finding.path];
    let hash = fnv1a(parts.iter().flat_map(|part| part.bytes().chain([0])));
    let nth = seen.entry(hash).and_modify(|n| *n += 1).or_insert(1);
    format!("{hash:016x}:{nth}")
}

/// FNV-1a in 64 bits: the standard library's hashes may change with its version, and fingerprints must not.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::{fnv1a, uri};

    #[test]
    fn uris_are_percent_encoded() {
        assert_eq!(uri("policies/db.yaml"), "policies/db.yaml");
        assert_eq!(uri("./a b/ü%.yaml"), "a%20b/%C3%BC%25.yaml");
        assert_eq!(uri("/tmp/x.yaml"), "file:///tmp/x.yaml");
        assert_eq!(uri("main:deploy/x.yaml"), "main%3Adeploy/x.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
    }
}
