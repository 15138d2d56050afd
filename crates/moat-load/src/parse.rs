//! From sources to documents: which parser, in which order, with which budget.

use crate::limits::MAX_ALIAS_NODES_TOTAL;
use crate::split::{self, Chunk};
use crate::tree::Parsed;
use crate::{Source, explain, json, source_id, yaml};
use moat_model::{SourceId, codes};
use rayon::prelude::*;

/// Parses every chunk of every source; the result is in their order.
pub(crate) fn parse_all(sources: &[Source]) -> Vec<(SourceId, Parsed)> {
    let chunks: Vec<Vec<(SourceId, Chunk<'_>)>> = sources
        .par_iter()
        .enumerate()
        .map(|(idx, source)| {
            split::split(&source.text).into_iter().map(|chunk| (source_id(idx), chunk)).collect()
        })
        .collect();
    let chunks: Vec<(SourceId, Chunk<'_>)> = chunks.into_iter().flatten().collect();
    // Documents with aliases draw on one budget, so that they have to go one after the other. They are few.
    let mut parsed: Vec<Option<Parsed>> = chunks
        .par_iter()
        .with_min_len(8)
        .map(|(_, chunk)| (!yaml::may_alias(chunk.text)).then(|| parse(*chunk, &mut 0)))
        .collect();
    let mut budget = MAX_ALIAS_NODES_TOTAL;
    for (parsed, (_, chunk)) in parsed.iter_mut().zip(&chunks) {
        if parsed.is_none() {
            *parsed = Some(parse(*chunk, &mut budget));
        }
    }
    chunks
        .into_iter()
        .zip(parsed)
        .map(|((source, _), parsed)| (source, parsed.unwrap_or_default()))
        .collect()
}

/// Parses a chunk as what it looks like, and turns faults into findings.
fn parse(chunk: Chunk<'_>, budget: &mut u64) -> Parsed {
    let mut parsed = match json_start(chunk.text) {
        None => yaml::parse(chunk.text, chunk.line, budget),
        Some(start) => {
            let as_json = json::parse(chunk.text, start, chunk.line);
            // YAML in flow style looks like JSON; so does a template.
            if as_json.faults.iter().all(|fault| fault.code == codes::LIMIT) {
                as_json
            } else {
                let as_yaml = yaml::parse(chunk.text, chunk.line, budget);
                if is_better(&as_yaml, &as_json, !has_quoted_start(&chunk.text[start..])) {
                    as_yaml
                } else {
                    as_json
                }
            }
        }
    };
    let faults = std::mem::take(&mut parsed.faults);
    parsed.diagnostics.extend(faults.into_iter().map(|fault| explain::explain(fault, chunk)));
    parsed.diagnostics.sort_by_key(|finding| finding.span.pos);
    parsed
}

/// The offset of the `{` or `[` that a chunk starts with, blanks and the document marker aside.
fn json_start(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    let body = body.strip_prefix("---").unwrap_or(body).trim_start();
    body.starts_with(['{', '[']).then(|| text.len() - body.len())
}

/// Whether a text is JSON as far as its first key or item tells.
fn has_quoted_start(text: &str) -> bool {
    text.trim_start_matches(|c: char| matches!(c, '{' | '[') || c.is_ascii_whitespace())
        .starts_with('"')
}

/// Whether the first reading has fewer faults than the second, then more documents, then is preferred.
fn is_better(a: &Parsed, b: &Parsed, is_preferred: bool) -> bool {
    let rank = |parsed: &Parsed| {
        (std::cmp::Reverse(parsed.faults.len()), parsed.values.iter().flatten().count())
    };
    rank(a).cmp(&rank(b)).then(is_preferred.cmp(&false)).is_gt()
}
