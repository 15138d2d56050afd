//! The text as words, signs and quoted texts, each with its place.

use super::ParseError;

/// What stands at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind<'a> {
    /// A name, number, address, range, or one of the lone signs `.`, `:`, `-`, `+`.
    Word(&'a str),
    /// What is between quotes.
    Quoted(&'a str),
    /// Another sign.
    Sign(&'static str),
    /// An end of line.
    Line,
    /// The end of the text.
    End,
}

/// Something at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Where it begins.
    pub(super) place: Place,
}

/// A place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    at: usize,
    line: usize,
    line_start: usize,
}

/// Reads tokens one by one. It is small and can be copied to look ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    here: Place,
}

const SIGNS: [&str; 12] = ["!=", "==", "{", "}", ",", ";", "&", "|", "(", ")", "=", "!"];

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, here: Place { at: 0, line: 1, line_start: 0 } }
    }

    /// The next token; spaces and comments are passed over.
    pub(super) fn next(&mut self) -> Result<Token<'a>, ParseError> {
        self.pass_spaces();
        let place = self.here;
        let rest = self.rest();
        let token = |kind| Ok(Token { kind, place });
        let Some(first) = rest.chars().next() else { return token(Kind::End) };
        if first == '\n' {
            self.pass_line();
            return token(Kind::Line);
        }
        if let Some(text) = rest.strip_prefix('"') {
            let Some(length) = text.find(['"', '\n']).filter(|at| text[*at..].starts_with('"'))
            else {
                return Err(self.error(place, "this quote is not closed on its line".to_owned()));
            };
            self.here.at += length + 2;
            return token(Kind::Quoted(&text[..length]));
        }
        let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        if length > 0 {
            self.here.at += length;
            return token(Kind::Word(&rest[..length]));
        }
        match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            Some(sign) => {
                self.here.at += sign.len();
                token(Kind::Sign(sign))
            }
            None => Err(self.error(place, format!("the character {first:?} has no meaning here"))),
        }
    }

    /// Passes over a block whose opening brace has been read, whatever is in it, with its closing brace.
    pub(super) fn pass_block(&mut self) -> Result<(), ParseError> {
        let opened = self.here;
        let mut depth = 1_usize;
        while depth > 0 {
            self.pass_spaces();
            match self.rest().chars().next() {
                None => {
                    return Err(self.error(opened, "this block is not closed".to_owned()));
                }
                Some('\n') => self.pass_line(),
                Some('"') => {
                    self.next()?;
                }
                Some(c) => {
                    self.here.at += c.len_utf8();
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn error(&self, place: Place, message: String) -> ParseError {
        let before = &self.text[place.line_start..place.at];
        ParseError { line: place.line, column: before.chars().count() + 1, message }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.here.at..]
    }

    fn pass_line(&mut self) {
        self.here.at += 1;
        self.here.line += 1;
        self.here.line_start = self.here.at;
    }

    fn pass_spaces(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with([' ', '\t', '\r']) {
                self.here.at += 1;
            } else if rest.starts_with('#') {
                self.here.at += rest.find('\n').unwrap_or(rest.len());
            } else {
                return;
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.:/-+[]*@".contains(c)
}
