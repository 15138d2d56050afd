//! Text to tokens.

use crate::error::Error;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Ident(String),
    Int(String),
    Uint(String),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Sign(&'static str),
    End,
}

/// Longer ones come first.
const SIGNS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}",
];

/// All tokens with their places; the last is the end.
pub(crate) fn tokens(source: &str) -> Result<Vec<(usize, Token)>, Error> {
    let mut lexer = Lexer { text: source.chars().collect(), at: 0 };
    let mut all = Vec::new();
    loop {
        lexer.skip();
        let at = lexer.at;
        let token = lexer.next(at)?;
        let end = token == Token::End;
        all.push((at, token));
        if end {
            return Ok(all);
        }
    }
}

struct Lexer {
    text: Vec<char>,
    at: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn starts(&self, word: &str) -> bool {
        word.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    fn skip(&mut self) {
        while let Some(c) = self.peek(0) {
            if self.starts("//") {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else if c.is_ascii_whitespace() {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn next(&mut self, at: usize) -> Result<Token, Error> {
        let Some(c) = self.peek(0) else { return Ok(Token::End) };
        if let Some(prefix) = self.quoted() {
            return self.string(at, prefix);
        }
        if c.is_ascii_digit() || c == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            return self.number(at);
        }
        if c.is_ascii_alphabetic() || c == '_' {
            let name = self.take(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok(Token::Ident(name));
        }
        match SIGNS.iter().find(|sign| self.starts(sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => Err(Error::new(at, format!("Syntax error: token recognition error at: '{c}'"))),
        }
    }

    fn take(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek(0).filter(|c| fits(*c)) {
            taken.push(c);
            self.at += 1;
        }
        taken
    }

    fn number(&mut self, at: usize) -> Result<Token, Error> {
        if self.starts("0x") || self.starts("0X") {
            self.at += 2;
            let digits = format!("0x{}", self.take(|c| c.is_ascii_hexdigit()));
            return Ok(self.whole(digits));
        }
        let mut text = self.take(|c| c.is_ascii_digit());
        let mut float = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            float = true;
            self.at += 1;
            text = format!("{text}.{}", self.take(|c| c.is_ascii_digit()));
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                float = true;
                text.push('e');
                self.at += 1;
                if sign == 1 {
                    text.extend(self.peek(0));
                    self.at += 1;
                }
                text.push_str(&self.take(|c| c.is_ascii_digit()));
            }
        }
        if !float {
            return Ok(self.whole(text));
        }
        let text = if text.starts_with('.') { format!("0{text}") } else { text };
        text.parse().map(Token::Double).map_err(|_| Error::new(at, "invalid double literal"))
    }

    fn whole(&mut self, digits: String) -> Token {
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return Token::Uint(digits);
        }
        Token::Int(digits)
    }

    /// The letters before a quote (`r`, `b`, both), where a string begins here.
    fn quoted(&self) -> Option<usize> {
        let is_quote = |ahead| matches!(self.peek(ahead), Some('"' | '\''));
        let letters = (0..3).find(|ahead| is_quote(*ahead))?;
        let mut words: Vec<char> = (0..letters)
            .filter_map(|ahead| self.peek(ahead))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        words.sort_unstable();
        matches!(words.as_slice(), [] | ['r' | 'b'] | ['b', 'r']).then_some(letters)
    }

    fn string(&mut self, at: usize, letters: usize) -> Result<Token, Error> {
        let has = |letter: char| {
            (0..letters)
                .any(|ahead| self.peek(ahead).is_some_and(|c| c.to_ascii_lowercase() == letter))
        };
        let (raw, bytes) = (has('r'), has('b'));
        self.at += letters;
        let quote = self.peek(0).unwrap_or('"');
        let long: String = [quote; 3].iter().collect();
        let end = if self.starts(&long) { long } else { quote.to_string() };
        self.at += end.len();
        let mut out = Out { bytes, text: Vec::new() };
        loop {
            if self.starts(&end) {
                self.at += end.len();
                break;
            }
            let Some(c) = self.peek(0).filter(|c| end.len() == 3 || !matches!(c, '\n' | '\r'))
            else {
                return Err(Error::new(at, "Syntax error: a string that does not end"));
            };
            self.at += 1;
            if c == '\\' && !raw {
                self.escape(&mut out)?;
            } else {
                out.push(c);
            }
        }
        if bytes {
            return Ok(Token::Bytes(out.text));
        }
        String::from_utf8(out.text)
            .map(Token::Text)
            .map_err(|_| Error::new(at, "Syntax error: a string that is not UTF-8"))
    }

    fn escape(&mut self, out: &mut Out) -> Result<(), Error> {
        let at = self.at - 1;
        let wrong = || Error::new(at, "Syntax error: an escape that is not known");
        let c = self.peek(0).ok_or_else(wrong)?;
        self.at += 1;
        let plain = match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '\'' | '"' | '`' | '?' => c,
            'x' | 'X' | 'u' | 'U' | '0'..='3' => {
                let (skip, digits, base) = match c {
                    'x' | 'X' => (0, 2, 16),
                    'u' => (0, 4, 16),
                    'U' => (0, 8, 16),
                    _ => (1, 3, 8),
                };
                self.at -= skip;
                let mut code = 0_u32;
                for _ in 0..digits {
                    let digit = self.peek(0).and_then(|c| c.to_digit(base)).ok_or_else(wrong)?;
                    code = code.saturating_mul(base).saturating_add(digit);
                    self.at += 1;
                }
                if out.bytes && !matches!(c, 'u' | 'U') {
                    out.text.push(u8::try_from(code).map_err(|_| wrong())?);
                    return Ok(());
                }
                char::from_u32(code).ok_or_else(wrong)?
            }
            _ => return Err(wrong()),
        };
        out.push(plain);
        Ok(())
    }
}

/// What a string says so far.
struct Out {
    bytes: bool,
    text: Vec<u8>,
}

impl Out {
    fn push(&mut self, c: char) {
        self.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
