//! A source line as a terminal shows it, and which of its columns to underline.

use super::{is_harmful, token};
use unicode_width::UnicodeWidthChar as _;

/// Tabs stop every so many columns.
const TAB_WIDTH: usize = 4;
/// Characters laid out on each side of the token: a cell takes some 60 bytes, and a hostile line may have 100 MB.
const REACH: usize = 4096;
/// Stands for what was cut away.
const CUT: &str = "...";

/// A line, laid out.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Excerpt {
    /// The line, without tabs and control characters, cut to the width.
    pub(super) line: String,
    /// The first underlined column, from 0.
    pub(super) start: usize,
    /// How many columns are underlined; at least one.
    pub(super) width: usize,
}

/// Lays out a line for `width_max` columns around the token at `column`, which counts characters from 1.
pub(super) fn excerpt(line: &str, column: u32, width_max: usize) -> Excerpt {
    // The rest of a long line is never shown.
    let before = column.max(1) as usize - 1;
    let skipped = before.saturating_sub(REACH);
    let chars: Vec<char> = line.trim_end().chars().skip(skipped).take(2 * REACH).collect();
    let first = (before - skipped).min(chars.len());
    let last = token::end(&chars, first);
    let (cells, offsets) = lay_out(&chars);
    let offset = |idx: usize| offsets.get(idx).copied().unwrap_or_default();
    let (total, mark) = (offset(chars.len()), (offset(first), offset(last)));
    if total <= width_max {
        return Excerpt { line: cells.concat(), start: mark.0, width: (mark.1 - mark.0).max(1) };
    }
    // A cut at the start keeps a third of the width for what is before the token.
    let keep = width_max.saturating_sub(CUT.len());
    let before = mark.0.saturating_sub(width_max / 3).min(total.saturating_sub(keep));
    let left = if mark.1.max(mark.0 + 1) <= keep { 0 } else { before };
    let from = offsets.iter().position(|&at| at >= left).unwrap_or_default();
    let left_cut = if from > 0 { CUT } else { "" };
    let room = width_max.saturating_sub(left_cut.len());
    let fits = total - offset(from) <= room;
    let room = if fits { room } else { room.saturating_sub(CUT.len()) };
    let to =
        (from..=chars.len()).rev().find(|&idx| offset(idx) - offset(from) <= room).unwrap_or(from);
    let body: String = cells.get(from..to).unwrap_or_default().concat();
    let start = left_cut.len() + mark.0 - offset(from);
    let end = left_cut.len() + mark.1.min(offset(to)).max(mark.0) - offset(from);
    Excerpt {
        line: format!("{left_cut}{body}{}", if fits { "" } else { CUT }),
        start,
        width: (end - start).max(1),
    }
}

/// What each character is shown as, and the column at which each starts; one more for the end.
fn lay_out(chars: &[char]) -> (Vec<String>, Vec<usize>) {
    let mut cells = Vec::with_capacity(chars.len());
    let mut offsets = vec![0];
    let mut column = 0;
    for &char in chars {
        let (cell, width) = match char {
            '\t' => {
                let width = TAB_WIDTH - column % TAB_WIDTH;
                (" ".repeat(width), width)
            }
            char if is_harmful(char) => (char::REPLACEMENT_CHARACTER.to_string(), 1),
            char => (char.to_string(), char.width().unwrap_or(0)),
        };
        column += width;
        cells.push(cell);
        offsets.push(column);
    }
    (cells, offsets)
}

#[cfg(test)]
mod tests {
    use super::excerpt;
    use expect_test::{Expect, expect};

    fn check(line: &str, column: u32, width: usize, want: &Expect) {
        let excerpt = excerpt(line, column, width);
        want.assert_eq(&format!(
            "|{}\n|{}{}\n",
            excerpt.line,
            " ".repeat(excerpt.start),
            "^".repeat(excerpt.width)
        ));
    }

    #[test]
    fn tabs_are_expanded_and_wide_characters_take_two_columns() {
        check(
            "\tname: x",
            8,
            80,
            &expect![[r#"
            |    name: x
            |          ^
        "#]],
        );
        check(
            "a: 日本 # é",
            4,
            80,
            &expect![[r#"
            |a: 日本 # é
            |   ^^^^
        "#]],
        );
        check(
            "日本: x",
            5,
            80,
            &expect![[r#"
            |日本: x
            |      ^
        "#]],
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_token() {
        let line = "- {podSelector: {matchLabels: {app: web, tier: frontend}}, ipBlock: {cidr: 10.0.0.0/33}, other: value} # end";
        check(
            line,
            76,
            50,
            &expect![[r#"
            |...ipBlock: {cidr: 10.0.0.0/33}, other: value} ...
            |                   ^^^^^^^^^^^
        "#]],
        );
        check(
            line,
            4,
            50,
            &expect![[r#"
            |- {podSelector: {matchLabels: {app: web, tier: ...
            |   ^^^^^^^^^^^
        "#]],
        );
        check(
            line,
            91,
            50,
            &expect![[r#"
            |...Block: {cidr: 10.0.0.0/33}, other: value} # end
            |                                ^^^^
        "#]],
        );
        check(
            &"x".repeat(200),
            1,
            50,
            &expect![[r#"
            |xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
            |^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#]],
        );
        check(
            &format!("key: {}", "日".repeat(100)),
            6,
            50,
            &expect![[r#"
            |key: 日日日日日日日日日日日日日日日日日日日日日...
            |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#]],
        );
    }

    #[test]
    fn every_cut_fits_and_underlines_inside() {
        let line = "- {a: 日本, b: [1, 2, 3], c: \"quoted text\", d: plain text, e: {f: g}}";
        for column in 0..100 {
            for width in 20..80 {
                let excerpt = excerpt(line, column, width);
                let shown = unicode_width::UnicodeWidthStr::width(excerpt.line.as_str());
                assert!(shown <= width, "{column} {width}: {}", excerpt.line);
                assert!(
                    excerpt.start + excerpt.width <= shown.max(excerpt.start + 1),
                    "{column} {width}"
                );
            }
        }
    }

    #[test]
    fn characters_that_reorder_or_control_are_shown() {
        check(
            "a: \u{1b}[31mred\u{202e}",
            4,
            80,
            &expect![[r#"
            |a: �[31mred�
            |   ^^^^^^^^^
        "#]],
        );
    }

    #[test]
    fn a_place_beyond_the_line_is_its_end() {
        check(
            "a:",
            99,
            80,
            &expect![[r#"
            |a:
            |  ^
        "#]],
        );
        check(
            "",
            1,
            80,
            &expect![[r#"
            |
            |^
        "#]],
        );
    }
}
