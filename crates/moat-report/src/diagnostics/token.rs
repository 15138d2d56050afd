//! Where the YAML or JSON token that starts at a place ends on its line.

/// The end of the token that starts at `start`, as an index of characters; never before `start`.
pub(super) fn end(line: &[char], start: usize) -> usize {
    let at = |idx: usize| line.get(idx).copied();
    let blank = |idx: usize| at(idx).is_none_or(char::is_whitespace);
    let word = |from: usize| (from..line.len()).find(|&idx| blank(idx)).unwrap_or(line.len());
    match at(start) {
        None => start,
        Some(quote @ ('"' | '\'')) => quoted(line, start, quote),
        Some('[' | '{') => bracketed(line, start),
        // The dash of a list item.
        Some('-') if blank(start + 1) => start + 1,
        // A block scalar's header, an anchor, a tag, an alias.
        Some('|' | '>' | '&' | '!' | '*') => word(start),
        Some(_) => plain(line, start),
    }
}

/// To the closing quote, or to the end of the line when it is on another.
fn quoted(line: &[char], start: usize, quote: char) -> usize {
    let mut idx = start + 1;
    while let Some(&char) = line.get(idx) {
        let escaped = if quote == '"' {
            char == '\\'
        } else {
            char == quote && line.get(idx + 1) == Some(&quote)
        };
        if escaped {
            idx += 2;
        } else if char == quote {
            return idx + 1;
        } else {
            idx += 1;
        }
    }
    trimmed(line, start, line.len())
}

/// To the bracket that closes, or to the end of the line when it is on another.
fn bracketed(line: &[char], start: usize) -> usize {
    let mut depth = 0usize;
    let mut idx = start;
    while let Some(&char) = line.get(idx) {
        match char {
            '[' | '{' => depth += 1,
            ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return idx + 1;
                }
            }
            '"' | '\'' => {
                idx = quoted(line, idx, char);
                continue;
            }
            _ => {}
        }
        idx += 1;
    }
    trimmed(line, start, line.len())
}

/// To what ends a plain scalar: a comment, a colon, and between brackets a comma or a bracket.
fn plain(line: &[char], start: usize) -> usize {
    let in_flow = is_in_flow(line, start);
    let ends = |idx: usize| {
        let next = line.get(idx + 1).copied();
        match line.get(idx) {
            Some('#') => idx > 0 && line.get(idx - 1).is_some_and(|char| char.is_whitespace()),
            Some(':') => next.is_none_or(|next| {
                next.is_whitespace() || (in_flow && matches!(next, ',' | '[' | ']' | '{' | '}'))
            }),
            Some(',' | '[' | ']' | '{' | '}') => in_flow,
            _ => false,
        }
    };
    let end = (start..line.len()).find(|&idx| idx > start && ends(idx)).unwrap_or(line.len());
    let end = trimmed(line, start, end);
    // JSON over many lines: the bracket is on another line, and the comma is no part of the number.
    if end > start + 1 && line.get(end - 1) == Some(&',') { end - 1 } else { end }
}

/// Whether a bracket that is opened before `start` on the line is still open there.
fn is_in_flow(line: &[char], start: usize) -> bool {
    let mut depth = 0usize;
    let mut idx = 0;
    while idx < start {
        match line.get(idx) {
            Some('[' | '{') => depth += 1,
            Some(']' | '}') => depth = depth.saturating_sub(1),
            Some(&quote @ ('"' | '\'')) => {
                idx = quoted(line, idx, quote);
                continue;
            }
            _ => {}
        }
        idx += 1;
    }
    depth > 0
}

fn trimmed(line: &[char], start: usize, end: usize) -> usize {
    (start..end)
        .rev()
        .find(|&idx| line.get(idx).is_some_and(|char| !char.is_whitespace()))
        .map_or(start, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::end;

    /// The token at the first `@` of a line, which is taken out.
    fn token(marked: &str) -> String {
        let start = marked.chars().position(|char| char == '@').unwrap();
        let line: Vec<char> = marked.replacen('@', "", 1).chars().collect();
        line[start..end(&line, start)].iter().collect()
    }

    #[test]
    fn plain_scalars_end_at_comments_colons_and_the_line() {
        assert_eq!(token("cidr: @10.0.0.0/33"), "10.0.0.0/33");
        assert_eq!(token("cidr: @10.0.0.0/33   # one"), "10.0.0.0/33");
        assert_eq!(token("cidr: @2001:db8::/64"), "2001:db8::/64");
        assert_eq!(token("name: @two words "), "two words");
        assert_eq!(token("@podSelctor: {}"), "podSelctor");
        assert_eq!(token("@podSelctor:"), "podSelctor");
        assert_eq!(token("a: @x,y"), "x,y");
        assert_eq!(token("a: @#x"), "#x");
    }

    #[test]
    fn flow_scalars_end_at_commas_and_brackets() {
        assert_eq!(token("- {cidr: @10.0.0.0/33, except: []}"), "10.0.0.0/33");
        assert_eq!(token("- {cidr: @10.0.0.0/33}"), "10.0.0.0/33");
        assert_eq!(token("- {@a: b}"), "a");
        assert_eq!(token("- {\"}\": @b}"), "b");
        assert_eq!(token("  \"port\": @80,"), "80");
    }

    #[test]
    fn quotes_and_brackets_end_where_they_close() {
        assert_eq!(token(r#"a: @"x \" y" # c"#), r#""x \" y""#);
        assert_eq!(token("a: @'it''s' # c"), "'it''s'");
        assert_eq!(token("a: @\"open "), "\"open");
        assert_eq!(token("a: @[x, {y: ']'}] # c"), "[x, {y: ']'}]");
        assert_eq!(token("a: @{x: 1, "), "{x: 1,");
    }

    #[test]
    fn marks_are_their_own_tokens() {
        assert_eq!(token("@- a"), "-");
        assert_eq!(token("@-"), "-");
        assert_eq!(token("a: @-1"), "-1");
        assert_eq!(token("a: @|- # c"), "|-");
        assert_eq!(token("a: @&x 1"), "&x");
        assert_eq!(token("a:@"), "");
    }
}
