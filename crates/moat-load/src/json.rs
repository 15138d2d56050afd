//! JSON documents: strict (RFC 8259), one after the other, with positions.
//!
//! The YAML parser reads most JSON too, but holds all tokens of a flow collection until it is closed.

use crate::limits::{DOCUMENT_VALUES, MAX_JSON_FAULTS};
use crate::scalar;
use crate::tree::{Builder, Fault, Parsed};
use moat_model::{Data, Pos, Value};

/// Parses the documents from byte offset `start` of a text whose first line is line `first_line` of its source, into at most so
/// many values.
pub(crate) fn parse(text: &str, start: usize, first_line: u32, values: u64) -> Parsed {
    let mut parsed = Parsed::default();
    let mut cursor = Cursor { text, at: 0, line: first_line, mark: 0, mark_column: 1 };
    while cursor.at < start {
        cursor.step();
    }
    loop {
        cursor.blanks();
        if cursor.at == text.len() {
            return parsed;
        }
        let left = values.saturating_sub(parsed.cost);
        if left <= DOCUMENT_VALUES {
            parsed.push(Err(Fault::too_many(cursor.pos())), Builder::default());
            return parsed;
        }
        let mut builder = Builder::new(left);
        let document = cursor.document(&mut builder);
        let is_bad = document.is_err();
        parsed.push(document, builder);
        if is_bad && (parsed.faults.len() >= MAX_JSON_FAULTS || !cursor.next_line_with_object()) {
            return parsed;
        }
    }
}

/// A place in the text.
struct Cursor<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    /// An offset on this line whose column is known, so that columns are counted once.
    mark: usize,
    mark_column: u32,
}

impl Cursor<'_> {
    fn document(&mut self, builder: &mut Builder) -> Result<Value, Fault> {
        if builder.depth() == 0 && !matches!(self.peek(), Some(b'{' | b'[')) {
            return Err(
                self.unexpected("the end, `{` or `[`", "put one object or list in a document")
            );
        }
        loop {
            self.blanks();
            let pos = self.pos();
            match self.peek() {
                Some(b'{') => {
                    builder.open_map(pos)?;
                    self.at += 1;
                    self.blanks();
                    if self.peek() != Some(b'}') {
                        self.key(builder)?;
                        continue;
                    }
                }
                Some(b'[') => {
                    builder.open_list(pos)?;
                    self.at += 1;
                    self.blanks();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                _ => {
                    let data = self.scalar()?;
                    builder.value(Value { pos, data })?;
                }
            }
            if self.after_value(builder)? {
                return Ok(builder.finish());
            }
        }
    }

    /// Closes what ends here and goes on to the next value; true at the end of the document.
    fn after_value(&mut self, builder: &mut Builder) -> Result<bool, Fault> {
        while builder.depth() > 0 {
            self.blanks();
            let in_map = builder.in_map();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.blanks();
                    if matches!(self.peek(), Some(b'}' | b']')) {
                        return Err(self
                            .unexpected("a value after the comma", "remove the comma before it"));
                    }
                    if in_map {
                        self.key(builder)?;
                    }
                    return Ok(false);
                }
                Some(b'}') if in_map => {}
                Some(b']') if !in_map => {}
                _ if in_map => {
                    return Err(self.unexpected("`,` or `}`", "add the missing comma or brace"));
                }
                _ => return Err(self.unexpected("`,` or `]`", "add the missing comma or bracket")),
            }
            self.at += 1;
            let value = builder.close();
            builder.value(value)?;
        }
        Ok(true)
    }

    fn key(&mut self, builder: &mut Builder) -> Result<(), Fault> {
        let pos = self.pos();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes", "quote the key"));
        }
        let text = self.string()?;
        builder.key(text, pos, false);
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:` after the key", "add the `:` and a value"));
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self) -> Result<Data, Fault> {
        if self.peek() == Some(b'"') {
            return self.string().map(Data::String);
        }
        let rest = &self.text[self.at..];
        let len = rest
            .bytes()
            .position(|b| !(b.is_ascii_alphanumeric() || b"+-._".contains(&b)))
            .unwrap_or(rest.len());
        let word = &rest[..len];
        let data = match word {
            "true" => Data::Bool(true),
            "false" => Data::Bool(false),
            "null" => Data::Null,
            _ if is_number(word) => scalar::decimal(word),
            _ => return Err(self.unexpected("a value", "put text in double quotes")),
        };
        self.at += len;
        Ok(data)
    }

    /// A string, from its opening quote.
    fn string(&mut self) -> Result<Box<str>, Fault> {
        let mut owned = String::new();
        self.at += 1;
        let mut start = self.at;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let len = rest
                .iter()
                .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)
                .unwrap_or(rest.len());
            self.at += len;
            let piece = &self.text[start..self.at];
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(if owned.is_empty() {
                        piece.into()
                    } else {
                        (owned + piece).into()
                    });
                }
                Some(b'\\') => {
                    owned.push_str(piece);
                    owned.push(self.escape()?);
                    start = self.at;
                }
                _ => {
                    return Err(self.unexpected(
                        "`\"`",
                        "close the string; write a line break in it as `\\n`",
                    ));
                }
            }
        }
    }

    /// A character written with a backslash. A half of a surrogate pair becomes U+FFFD, as in Go.
    fn escape(&mut self) -> Result<char, Fault> {
        let kind = self.text.as_bytes().get(self.at + 1).copied();
        let character = match kind {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.bad_escape()),
        };
        self.at += 2;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, Fault> {
        let high = self.hex_at(self.at).ok_or_else(|| self.bad_escape())?;
        self.at += 6;
        let low = self.hex_at(self.at).filter(|_| (0xd800..0xdc00).contains(&high));
        if let Some(Ok(character)) =
            low.map(|low| char::decode_utf16([high, low]).next().unwrap_or(Ok('\u{fffd}')))
            && low.is_some_and(|low| (0xdc00..0xe000).contains(&low))
        {
            self.at += 6;
            return Ok(character);
        }
        Ok(char::from_u32(u32::from(high)).unwrap_or('\u{fffd}'))
    }

    fn hex_at(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u16::from_str_radix(digits, 16).ok())
            .flatten()
    }

    fn bad_escape(&mut self) -> Fault {
        let pos = self.pos();
        Fault::syntax(pos, "invalid JSON: a wrong escape").help("double the backslash")
    }

    fn unexpected(&mut self, want: &str, help: &'static str) -> Fault {
        let pos = self.pos();
        let found = match self.text[self.at..].chars().next() {
            None => "the end of the text".to_owned(),
            Some('\n' | '\r') => "the end of the line".to_owned(),
            Some(c) if c.is_control() => format!("the character {}", c.escape_unicode()),
            Some(c) => format!("`{c}`"),
        };
        let help = if self.at == self.text.len() {
            "the text is cut off; add what is missing"
        } else {
            help
        };
        Fault::syntax(pos, format!("invalid JSON: expected {want}, found {found}")).help(help)
    }

    /// After a bad document: goes to the next line that starts with `{`, when there is one.
    fn next_line_with_object(&mut self) -> bool {
        let Some(skipped) = self.text[self.at..].find("\n{") else { return false };
        let target = self.at + skipped + 1;
        while self.at < target {
            self.step();
        }
        true
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.step();
        }
    }

    /// Passes one byte, minding line breaks.
    fn step(&mut self) {
        let byte = self.peek();
        self.at += 1;
        if byte == Some(b'\n') || (byte == Some(b'\r') && self.peek() != Some(b'\n')) {
            self.line = self.line.saturating_add(1);
            (self.mark, self.mark_column) = (self.at, 1);
        }
    }

    fn pos(&mut self) -> Pos {
        let passed = &self.text.as_bytes()[self.mark..self.at];
        // Every byte starts a character, except the continuation bytes of UTF-8.
        let n_chars = passed.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        self.mark_column =
            self.mark_column.saturating_add(u32::try_from(n_chars).unwrap_or(u32::MAX));
        self.mark = self.at;
        Pos { line: self.line, column: self.mark_column }
    }
}

/// The grammar of numbers: `-? (0 | [1-9][0-9]*) (\. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) =
        word.split_once(['e', 'E']).map_or((word, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) =
        mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent
            .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
