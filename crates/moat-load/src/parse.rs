//! From sources to documents: which parser, in which order, with which budget.

use crate::found::Found;
use crate::limits::{
    BATCH_BYTES, BATCH_DOCUMENTS, BYTES_PER_VALUE, DOCUMENT_VALUES, MAX_ALIAS_NODES_TOTAL,
    MIN_VALUES,
};
use crate::read::Problem;
use crate::split::{self, Chunk};
use crate::tree::{Fault, Parsed, Tree};
use crate::{Source, explain, json, yaml};
use moat_model::{Pos, codes};
use rayon::prelude::*;

/// Parses every document of the sources; what comes of them, after the problem of each source, is in their order.
///
/// Batches bound what is held beyond the limits. Order and sizes alone decide what is over one, so that the result does not
/// depend on how the work falls to threads.
pub(crate) fn parse_all(sources: &[Source], problems: Vec<Option<Problem>>) -> Found {
    let n_bytes: usize = sources.iter().map(|source| source.text.len()).sum();
    let mut values = MIN_VALUES + n_bytes as u64 / BYTES_PER_VALUE;
    let mut alias_nodes = MAX_ALIAS_NODES_TOTAL;
    let mut found = Found::default();
    let mut chunks = sources
        .iter()
        .enumerate()
        .flat_map(|(idx, source)| split::split(&source.text).map(move |chunk| (idx, chunk)))
        .peekable();
    let mut problems = problems.into_iter().enumerate().peekable();
    while chunks.peek().is_some() {
        let mut batch: Vec<(usize, Chunk<'_>)> = Vec::new();
        let mut room = BATCH_BYTES;
        while batch.len() < BATCH_DOCUMENTS
            && let Some(next) =
                chunks.next_if(|(_, chunk)| batch.is_empty() || chunk.text.len() <= room)
        {
            room = room.saturating_sub(next.1.text.len());
            batch.push(next);
        }
        for ((source, _), parsed) in batch.iter().zip(parse_batch(&batch, values, &mut alias_nodes))
        {
            while let Some((idx, problem)) = problems.next_if(|(idx, _)| idx <= source) {
                found.enter(idx, problem);
            }
            found.add(parsed, &mut values);
        }
    }
    for (idx, problem) in problems {
        found.enter(idx, problem);
    }
    found.leave();
    found
}

fn parse_batch(batch: &[(usize, Chunk<'_>)], values: u64, alias_nodes: &mut u64) -> Vec<Parsed> {
    // Documents with aliases draw on one budget, so that they have to go one after the other. They are few.
    let mut parsed: Vec<Option<Parsed>> = batch
        .par_iter()
        .with_min_len(8)
        .map(|(_, chunk)| (!yaml::may_alias(chunk.text)).then(|| parse(*chunk, values, &mut 0)))
        .collect();
    for (parsed, (_, chunk)) in parsed.iter_mut().zip(batch) {
        if parsed.is_none() {
            *parsed = Some(parse(*chunk, values, alias_nodes));
        }
    }
    parsed.into_iter().map(Option::unwrap_or_default).collect()
}

/// Parses a chunk as what it looks like, and turns faults into findings.
fn parse(chunk: Chunk<'_>, values: u64, alias_nodes: &mut u64) -> Parsed {
    if split::is_bare(chunk.text) {
        return Parsed { documents: vec![Tree::default()], ..Parsed::default() };
    }
    if values <= DOCUMENT_VALUES {
        let mut parsed = Parsed { documents: vec![Tree::default()], ..Parsed::default() };
        parsed.refusals.push(Fault::too_many(Pos { line: chunk.line, column: 1 }));
        return parsed;
    }
    let mut parsed = match json_start(chunk.text) {
        None => yaml::parse(chunk.text, chunk.line, values, alias_nodes),
        Some(start) => {
            let as_json = json::parse(chunk.text, start, chunk.line, values);
            // YAML in flow style looks like JSON; so does a template.
            if as_json.faults.iter().all(|fault| fault.code == codes::LIMIT) {
                as_json
            } else {
                let as_yaml = yaml::parse(chunk.text, chunk.line, values, alias_nodes);
                if is_better(&as_yaml, &as_json, !has_quoted_start(&chunk.text[start..])) {
                    as_yaml
                } else {
                    as_json
                }
            }
        }
    };
    let faults;
    (parsed.refusals, faults) =
        std::mem::take(&mut parsed.faults).into_iter().partition(|fault| fault.is_refusal);
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
        (
            std::cmp::Reverse(parsed.faults.len()),
            parsed.documents.iter().filter(|tree| tree.value.is_some()).count(),
        )
    };
    rank(a).cmp(&rank(b)).then(is_preferred.cmp(&false)).is_gt()
}
