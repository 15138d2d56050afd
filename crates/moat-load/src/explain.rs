//! From the fault of a document to a finding: what it most likely is, and how to mend it.

use crate::split::{self, Chunk};
use crate::tree::Fault;
use moat_model::{Diagnostic, Pos, SourceId, Span, codes};

/// The finding for a fault in a chunk.
pub(crate) fn explain(fault: Fault, chunk: Chunk<'_>) -> Diagnostic {
    let at = |pos: Pos| Span { source: SourceId::default(), pos };
    if fault.code == codes::SYNTAX {
        if let Some(pos) = template(chunk) {
            return Diagnostic::error(codes::TEMPLATE, at(pos), "a template, not a manifest")
                .help("render it first, such as `helm template … | moat … -f -`");
        }
        if fault.message.starts_with("a tab after") {
            let pos = before_blanks(fault.pos, chunk);
            return Fault { pos, ..fault }.finding();
        }
        if let Some(pos) = tab(&fault, chunk) {
            return Diagnostic::error(codes::SYNTAX, at(pos), "a tab in the indentation")
                .path(fault.path)
                .help("indent with spaces: YAML does not allow tabs there");
        }
    }
    fault.finding()
}

/// The first `{{` or `{%` that is not in a comment line.
fn template(chunk: Chunk<'_>) -> Option<Pos> {
    numbered(chunk).find_map(|(line, text)| {
        let at = text
            .find("{{")
            .or_else(|| text.find("{%"))
            .filter(|_| !text.trim_start().starts_with('#'))?;
        Some(Pos { line, column: column(&text[..at]) })
    })
}

/// The tab that a fault is about: the one that indents its line, or, when the parser complains of tabs, the next one.
fn tab(fault: &Fault, chunk: Chunk<'_>) -> Option<Pos> {
    let is_about_tabs = fault.message.contains("a tab");
    // Brackets and quotes may be indented with tabs, and JSON often is.
    let may_be_a_tab = ["cannot stand here", "does not line up", "neither", "invalid YAML"];
    if !is_about_tabs && !may_be_a_tab.iter().any(|part| fault.message.contains(part)) {
        return None;
    }
    let mut tabs = numbered(chunk).filter_map(|(line, text)| {
        let indent = &text[..text.len() - text.trim_start_matches([' ', '\t']).len()];
        let at = indent.find('\t').filter(|_| !text.trim_start().is_empty())?;
        Some(Pos { line, column: column(&text[..at]) })
    });
    tabs.find(|pos| pos.line >= fault.pos.line)
        .filter(|pos| is_about_tabs || pos.line == fault.pos.line)
}

/// Where the blanks before a place start: the parser complains behind them.
fn before_blanks(pos: Pos, chunk: Chunk<'_>) -> Pos {
    let line = numbered(chunk).find(|(line, _)| *line == pos.line);
    let n_before = pos.column.saturating_sub(1);
    let before: Vec<char> =
        line.iter().flat_map(|(_, text)| text.chars()).take(n_before as usize).collect();
    let n_blanks = before.iter().rev().take_while(|c| matches!(c, ' ' | '\t')).count();
    Pos { column: pos.column.saturating_sub(u32::try_from(n_blanks).unwrap_or_default()), ..pos }
}

fn numbered(chunk: Chunk<'_>) -> impl Iterator<Item = (u32, &str)> {
    (chunk.line..).zip(split::lines(chunk.text))
}

fn column(before: &str) -> u32 {
    u32::try_from(before.chars().count()).unwrap_or(u32::MAX).saturating_add(1)
}
