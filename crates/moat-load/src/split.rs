//! Cutting a source into documents, by lines alone.
//!
//! A line that starts with `---` or `...` and then a blank or nothing ends a document wherever it stands: YAML allows it
//! neither in block scalars nor in quoted ones (`c-forbidden`), and JSON has no line breaks in strings. So a document with an
//! error never swallows the ones after it, and documents can be parsed in parallel.

/// A part of a source that holds one document, or none (only comments).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Chunk<'t> {
    pub(crate) text: &'t str,
    /// Line of the source on which it starts, from 1.
    pub(crate) line: u32,
}

/// The documents of a source, together the whole text. One at a time: there may be millions.
pub(crate) fn split(text: &str) -> impl Iterator<Item = Chunk<'_>> {
    Split { rest: text, line: 1, has_cr: text.contains('\r') }
}

/// Whether a chunk has nothing but a marker.
pub(crate) fn is_bare(text: &str) -> bool {
    matches!(text.trim_ascii_end(), "" | "---" | "...")
}

struct Split<'t> {
    rest: &'t str,
    /// Line of the source on which the rest starts.
    line: u32,
    has_cr: bool,
}

impl<'t> Iterator for Split<'t> {
    type Item = Chunk<'t>;

    fn next(&mut self) -> Option<Chunk<'t>> {
        if self.rest.is_empty() {
            return None;
        }
        let start_line = self.line;
        // Directives and comments before `---` belong to the document that it starts.
        let mut begun = false;
        let mut len = 0;
        for full in self.rest.split_inclusive('\n') {
            let marker = marker(full);
            if marker == Some(Marker::Start) && begun {
                break;
            }
            begun = begun || marker == Some(Marker::Start) || has_content(full);
            len += full.len();
            self.line = self.line.saturating_add(1);
            if self.has_cr {
                self.line = self.line.saturating_add(lone_carriage_returns(full));
            }
            if marker == Some(Marker::End) {
                break;
            }
        }
        let (text, rest) = self.rest.split_at(len);
        self.rest = rest;
        Some(Chunk { text, line: start_line })
    }
}

/// The lines of a text, broken where the parsers break them: `\n`, `\r\n` and `\r`.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    Start,
    End,
}

fn marker(line: &str) -> Option<Marker> {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let (marker, rest) = match line.as_bytes() {
        [b'-', b'-', b'-', rest @ ..] => (Marker::Start, rest),
        [b'.', b'.', b'.', rest @ ..] => (Marker::End, rest),
        _ => return None,
    };
    matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'\n')).then_some(marker)
}

/// Whether a line is more than a blank, a comment or a directive.
fn has_content(line: &str) -> bool {
    match line.as_bytes().first() {
        Some(b'%') => false,
        _ => !matches!(line.trim_start().as_bytes().first(), None | Some(b'#')),
    }
}

fn lone_carriage_returns(line: &str) -> u32 {
    let n_returns =
        line.bytes().filter(|&byte| byte == b'\r').count() - usize::from(line.ends_with("\r\n"));
    u32::try_from(n_returns).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, u32)]) {
        let found: Vec<(&str, u32)> = split(text).map(|chunk| (chunk.text, chunk.line)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn markers_split() {
        check("", &[]);
        check("a: 1", &[("a: 1", 1)]);
        check("a: 1\n---\nb: 1\n", &[("a: 1\n", 1), ("---\nb: 1\n", 2)]);
        check("---\na: 1\n---\nb: 1\n---", &[("---\na: 1\n", 1), ("---\nb: 1\n", 3), ("---", 5)]);
        check("a\r\n---\r\nb", &[("a\r\n", 1), ("---\r\nb", 2)]);
        check("a\n--- b\n---\tc\n", &[("a\n", 1), ("--- b\n", 2), ("---\tc\n", 3)]);
        check("a\n...\nb\n", &[("a\n...\n", 1), ("b\n", 3)]);
    }

    #[test]
    fn other_lines_do_not() {
        check("a\n----\nb\n", &[("a\n----\nb\n", 1)]);
        check("a: |\n  x\n  ---\n  y\n", &[("a: |\n  x\n  ---\n  y\n", 1)]);
    }

    #[test]
    fn directives_and_comments_stay_with_their_document() {
        check("# x\n%YAML 1.1\n---\na: 1\n", &[("# x\n%YAML 1.1\n---\na: 1\n", 1)]);
        check(
            "a: 1\n...\n%YAML 1.1\n---\nb: 1\n",
            &[("a: 1\n...\n", 1), ("%YAML 1.1\n---\nb: 1\n", 3)],
        );
    }

    #[test]
    fn lone_carriage_returns_are_line_breaks() {
        check("a\rb\n---\nc", &[("a\rb\n", 1), ("---\nc", 3)]);
        assert_eq!(lines("a\rb\r\nc\n").collect::<Vec<_>>(), ["a", "b", "c", ""]);
    }
}
