//! The page of one rule, for `moat rule CODE`.

use super::RuleMeta;
use super::markdown::{Block, sections};
use crate::Style;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr as _;

/// Lines longer than this are hard to read, however wide the terminal is.
const WIDTH_MAX: usize = 100;
/// Narrower terminals are laid out as if they had this many columns.
const WIDTH_MIN: usize = 40;

/// A rule's documentation as a terminal shows it.
#[must_use]
pub fn rule_page(rule: &RuleMeta, style: Style) -> String {
    let width = style.width.clamp(WIDTH_MIN, WIDTH_MAX);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} {}   {}",
        style.bold(&rule.code.to_string()),
        style.bold(&rule.name),
        style.dim(&format!("{}, {}", rule.severity, rule.lifecycle))
    );
    for section in sections(&rule.doc) {
        let _ = write!(out, "\n{}\n", style.bold(&section.title));
        for (idx, block) in section.blocks.iter().enumerate() {
            let is_list = |at: usize| matches!(section.blocks.get(at), Some(Block::Item(_)));
            if idx > 0 && !(is_list(idx) && is_list(idx - 1)) {
                out.push('\n');
            }
            match block {
                Block::Paragraph(words) => wrap(&mut out, words, "  ", "  ", width),
                Block::Item(words) => wrap(&mut out, words, "  - ", "    ", width),
                Block::Code(lines) => {
                    for line in lines {
                        let _ = writeln!(out, "{}", format!("      {line}").trim_end());
                    }
                }
            }
        }
    }
    out
}

/// Words in lines of at most `width` columns, unless a word alone is longer.
fn wrap(out: &mut String, text: &str, first: &str, rest: &str, width: usize) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        // Addresses are in angle brackets only for Markdown.
        let word = word.strip_prefix('<').and_then(|word| word.strip_suffix('>')).unwrap_or(word);
        if !is_empty && line.width() + 1 + word.width() > width {
            let _ = writeln!(out, "{line}");
            rest.clone_into(&mut line);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    let _ = writeln!(out, "{line}");
}
