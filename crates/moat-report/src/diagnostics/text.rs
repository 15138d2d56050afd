//! Findings as a terminal shows them.

use super::excerpt::excerpt;
use super::summary::plural;
use super::{Counts, Lines, Sources, printable, summary};
use crate::Style;
use moat_model::{Code, Diagnostic, Severity, Span};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Narrower terminals are laid out as if they had this many columns.
const WIDTH_MIN: usize = 40;
/// How many different notes of one code are shown before the rest is only counted.
const N_NOTES_MAX: usize = 10;

/// Errors and warnings with their source lines, in the order given; then notes, folded; then a summary line.
#[must_use]
pub fn report<S: Sources + ?Sized>(
    diagnostics: &[Diagnostic],
    sources: &S,
    counts: &Counts,
    style: Style,
) -> String {
    let mut out = String::new();
    let mut lines = Lines::new(sources);
    for finding in diagnostics.iter().filter(|finding| finding.severity != Severity::Note) {
        one(&mut out, finding, &mut lines, style);
        out.push('\n');
    }
    let notes = notes(diagnostics, sources, style);
    if !notes.is_empty() {
        out.push_str(&notes);
        out.push('\n');
    }
    let _ = writeln!(out, "{}", summary(diagnostics, counts));
    out
}

/// One finding with its source line.
fn one<S: Sources + ?Sized>(
    out: &mut String,
    finding: &Diagnostic,
    lines: &mut Lines<'_, S>,
    style: Style,
) {
    let head = head(finding.severity, finding.code, style);
    body(out, &head, finding, lines, style);
}

/// Findings about something else than manifests, which have no codes: each with its source line.
#[must_use]
pub fn problems<S: Sources + ?Sized>(findings: &[Diagnostic], sources: &S, style: Style) -> String {
    let mut out = String::new();
    let mut lines = Lines::new(sources);
    for (idx, finding) in findings.iter().enumerate() {
        if idx > 0 {
            out.push('\n');
        }
        let head = paint(finding.severity, finding.severity.name(), style);
        body(&mut out, &head, finding, &mut lines, style);
    }
    out
}

fn body<S: Sources + ?Sized>(
    out: &mut String,
    head: &str,
    finding: &Diagnostic,
    lines: &mut Lines<'_, S>,
    style: Style,
) {
    let _ = writeln!(out, "{head}{}", style.bold(&format!(": {}", printable(&finding.message))));
    let line = finding.span.pos.line;
    let n_digits = if line == 0 { 1 } else { line.to_string().len() };
    let own = place(lines.sources, finding.span, true);
    let parts: Vec<String> = [own.as_deref(), finding.object.as_deref(), Some(&finding.path)]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .map(printable)
        .collect();
    if !parts.is_empty() {
        let _ = writeln!(out, "{}{} {}", " ".repeat(n_digits), style.dim("-->"), parts.join("   "));
    }
    if let Some(text) = lines.get(finding.span.source, line) {
        // The line number, ` | `, and the line.
        let width = style.width.max(WIDTH_MIN).saturating_sub(n_digits + 3);
        let excerpt = excerpt(text, finding.span.pos.column, width);
        let margin = style.dim(&format!("{} |", " ".repeat(n_digits)));
        let carets = paint(finding.severity, &"^".repeat(excerpt.width), style);
        let _ = writeln!(out, "{margin}");
        let _ = writeln!(out, "{} {}", style.dim(&format!("{line} |")), excerpt.line);
        let _ = writeln!(out, "{margin} {}{carets}", " ".repeat(excerpt.start));
    }
    if let Some((what, span)) = finding.related
        && let Some(place) = place(lines.sources, span, false)
    {
        let _ = writeln!(out, "{}: {what} is at {}", style.bold("see"), printable(&place));
    }
    advice(out, finding.help.as_deref(), finding.effect.as_deref(), style);
}

/// Notes, one entry for all that say the same.
fn notes<S: Sources + ?Sized>(diagnostics: &[Diagnostic], sources: &S, style: Style) -> String {
    let mut by_code: BTreeMap<Code, Vec<Fold<'_>>> = BTreeMap::new();
    let mut known: BTreeMap<(Code, &str), usize> = BTreeMap::new();
    for note in diagnostics.iter().filter(|finding| finding.severity == Severity::Note) {
        let folds = by_code.entry(note.code).or_default();
        let at = *known.entry((note.code, &note.message)).or_insert(folds.len());
        match folds.get_mut(at) {
            Some(fold) => fold.add(note),
            None => folds.push(Fold {
                first: note,
                n: 1,
                help: note.help.as_deref(),
                effect: note.effect.as_deref(),
            }),
        }
    }
    let mut out = String::new();
    for (code, folds) in by_code {
        let head = head(Severity::Note, code, style);
        for fold in folds.iter().take(N_NOTES_MAX) {
            let place = place(sources, fold.first.span, false);
            let thing = if fold.first.object.is_some() { "object" } else { "place" };
            let count = match (fold.n, place) {
                (1, None) => String::new(),
                (1, Some(place)) => format!(" (at {})", printable(&place)),
                (n, None) => format!(" ({})", plural(n, thing)),
                (n, Some(place)) => {
                    format!(" ({}, first at {})", plural(n, thing), printable(&place))
                }
            };
            let _ =
                writeln!(out, "{head}: {}{}", printable(&fold.first.message), style.dim(&count));
            advice(&mut out, fold.help, fold.effect, style);
        }
        let rest: usize = folds.iter().skip(N_NOTES_MAX).map(|fold| fold.n).sum();
        if rest > 0 {
            let _ = writeln!(
                out,
                "{head}: {} of this kind; `-o json` lists all",
                plural(rest, "more note")
            );
        }
    }
    out
}

/// Notes with the same code and message.
struct Fold<'d> {
    first: &'d Diagnostic,
    n: usize,
    /// What all of them say.
    help: Option<&'d str>,
    effect: Option<&'d str>,
}

impl Fold<'_> {
    fn add(&mut self, note: &Diagnostic) {
        self.n += 1;
        self.help = self.help.filter(|help| note.help.as_deref() == Some(help));
        self.effect = self.effect.filter(|effect| note.effect.as_deref() == Some(effect));
    }
}

fn advice(out: &mut String, help: Option<&str>, effect: Option<&str>, style: Style) {
    for (word, text) in [("help", help), ("effect", effect)] {
        if let Some(text) = text {
            let _ = writeln!(out, "{}: {}", style.bold(word), printable(text));
        }
    }
}

/// `file:line:column`, or as much of it as is known.
fn place<S: Sources + ?Sized>(sources: &S, span: Span, column: bool) -> Option<String> {
    let name = sources.name(span.source)?;
    Some(match (span.pos.line, column) {
        (0, _) => name.to_owned(),
        (line, false) => format!("{name}:{line}"),
        (line, true) => format!("{name}:{line}:{}", span.pos.column),
    })
}

fn head(severity: Severity, code: Code, style: Style) -> String {
    paint(severity, &format!("{severity}[{code}]"), style)
}

fn paint(severity: Severity, text: &str, style: Style) -> String {
    match severity {
        Severity::Error => style.bad(text),
        Severity::Warning => style.doubt(text),
        Severity::Note => style.bold(text),
    }
}
