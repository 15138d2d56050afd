//! Findings for people and for machines: terminal text with source excerpts, JSON, SARIF, and the page of a rule.
//!
//! Rules come in as [`RuleMeta`], sources as [`Sources`]: nothing here knows which rules there are or where sources come from.

mod excerpt;
mod json;
mod markdown;
mod page;
mod sarif;
mod summary;
mod text;
mod token;

use moat_model::{Code, Severity, SourceId};
use std::collections::BTreeMap;

pub use json::json;
pub use page::rule_page;
pub use sarif::sarif;
pub use summary::{Counts, summary};
pub use text::{problems, report};

/// What is known of a rule beside its findings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleMeta {
    /// Its stable code.
    pub code: Code,
    /// Its name, such as `unknown-field`.
    pub name: String,
    /// What it does, in one paragraph on one line.
    pub summary: String,
    /// Its documentation: Markdown with `## ` sections.
    pub doc: String,
    /// How bad its findings are, unless they say otherwise.
    pub severity: Severity,
    /// How settled it is: `preview` or `stable`.
    pub lifecycle: &'static str,
}

/// The sources that findings point into.
pub trait Sources {
    /// The name shown to people: a path, or `<stdin>`.
    fn name(&self, source: SourceId) -> Option<&str>;
    /// The text.
    fn text(&self, source: SourceId) -> Option<&str>;
}

impl<N: AsRef<str>, T: AsRef<str>> Sources for [(N, T)] {
    fn name(&self, source: SourceId) -> Option<&str> {
        self.get(source.0 as usize).map(|(name, _)| name.as_ref())
    }

    fn text(&self, source: SourceId) -> Option<&str> {
        self.get(source.0 as usize).map(|(_, text)| text.as_ref())
    }
}

/// The rule of a code.
fn rule_of(rules: &[RuleMeta], code: Code) -> Option<&RuleMeta> {
    rules.iter().find(|rule| rule.code == code)
}

/// Lines of sources. A source is split once, however many findings it has.
struct Lines<'s, S: ?Sized> {
    sources: &'s S,
    split: BTreeMap<SourceId, Vec<&'s str>>,
}

impl<'s, S: Sources + ?Sized> Lines<'s, S> {
    fn new(sources: &'s S) -> Self {
        Self { sources, split: BTreeMap::new() }
    }

    /// A line by its number, from 1.
    fn get(&mut self, source: SourceId, line: u32) -> Option<&'s str> {
        let at = (line as usize).checked_sub(1)?;
        let sources = self.sources;
        let lines = self.split.entry(source).or_insert_with(|| {
            // YAML breaks lines at `\r` too, and positions count those breaks.
            let lines = sources.text(source).unwrap_or_default().split('\n');
            lines.flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')).collect()
        });
        lines.get(at).copied()
    }
}

/// Text from the input, made harmless for a terminal: control characters and those that reorder text become visible.
fn printable(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '\n' | '\r' | '\t' => ' ',
            char if is_harmful(char) => char::REPLACEMENT_CHARACTER,
            char => char,
        })
        .collect()
}

/// Whether a character could make a terminal show something else than what is there.
fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
