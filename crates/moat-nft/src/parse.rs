//! A table from text: reads what [`crate::print::text`] writes and what `nft list` of nftables 1.0.6 shows for such a table.
//!
//! What the model cannot say is an error, so a table that somebody changed by hand is noticed rather than misread. Counters and handles
//! are no part of a table and are passed over, as are sizes, policies and comments of sets, chains and elements.

mod lex;
mod rules;
mod sets;
pub(crate) mod words;

use crate::model::{Base, BaseKind, Chain, Hook, Name, Table};
use core::fmt;
use lex::{Kind, Lexer, Token};

/// What is wrong with a text, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, in plain words.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// The one table of a text: the output of `nft list table inet NAME`.
pub fn table(text: &str) -> Result<Table, ParseError> {
    let mut parser = Parser::new(text);
    let start = parser.next_past_lines()?;
    let Some((family, name)) = parser.table_head(start)? else {
        return Err(parser.expected(start, "`table inet NAME {`"));
    };
    if family != "inet" {
        let message = format!("this is a table of family {family}; Moat's are of family inet");
        return Err(parser.lex.error(start.place, message));
    }
    let table = parser.table_body(name)?;
    let end = parser.next_past_lines()?;
    match end.kind {
        Kind::End => Ok(table),
        _ => Err(parser.expected(end, "the end of the text after the table")),
    }
}

/// The table `inet NAME` out of a text with any tables: the output of `nft list ruleset`. `None` if it is not there.
pub fn named(text: &str, name: &str) -> Result<Option<Table>, ParseError> {
    let mut parser = Parser::new(text);
    let mut found = None;
    loop {
        let start = parser.next_past_lines()?;
        if start.kind == Kind::End {
            return Ok(found);
        }
        match parser.table_head(start)? {
            Some(("inet", here)) if here == name => {
                if found.replace(parser.table_body(here)?).is_some() {
                    let message = format!("the table inet {name} is there twice");
                    return Err(parser.lex.error(start.place, message));
                }
            }
            Some(_) => parser.lex.pass_block()?,
            None => return Err(parser.expected(start, "`table FAMILY NAME {`")),
        }
    }
}

#[derive(Debug)]
struct Parser<'a> {
    lex: Lexer<'a>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { lex: Lexer::new(text) }
    }

    fn next(&mut self) -> Result<Token<'a>, ParseError> {
        self.lex.next()
    }

    fn peek(&self) -> Result<Token<'a>, ParseError> {
        let mut ahead = self.lex;
        ahead.next()
    }

    fn next_past_lines(&mut self) -> Result<Token<'a>, ParseError> {
        loop {
            let token = self.next()?;
            if token.kind != Kind::Line {
                return Ok(token);
            }
        }
    }

    /// Takes the next token if it is this one.
    fn take(&mut self, kind: Kind<'_>) -> Result<bool, ParseError> {
        let is = self.peek()?.kind == kind;
        if is {
            self.next()?;
        }
        Ok(is)
    }

    fn expected(&self, found: Token<'_>, what: &str) -> ParseError {
        let found_text = match found.kind {
            Kind::Word(word) => format!("`{word}`"),
            Kind::Quoted(text) => format!("\"{text}\""),
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::Line => "the end of the line".to_owned(),
            Kind::End => "the end of the text".to_owned(),
        };
        self.lex.error(found.place, format!("expected {what}, found {found_text}"))
    }

    fn sign(&mut self, sign: &'static str) -> Result<(), ParseError> {
        let token = self.next()?;
        if token.kind == Kind::Sign(sign) {
            return Ok(());
        }
        Err(self.expected(token, &format!("`{sign}`")))
    }

    /// The next word as something, or an error that says what it should be.
    fn word<T>(
        &mut self,
        what: &str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ParseError> {
        let token = self.next()?;
        let value = match token.kind {
            Kind::Word(word) => read(word),
            _ => None,
        };
        value.ok_or_else(|| self.expected(token, what))
    }

    /// Exactly this word.
    fn keyword(&mut self, keyword: &str) -> Result<(), ParseError> {
        self.word(&format!("`{keyword}`"), |word| (word == keyword).then_some(()))
    }

    fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, ParseError> {
        self.word(what, |word| number(word)?.try_into().ok())
    }

    fn quoted(&mut self, what: &str) -> Result<&'a str, ParseError> {
        let token = self.next()?;
        match token.kind {
            // What is printed has no control characters either, so that it reads as the same.
            Kind::Quoted(text) if !text.contains(char::is_control) => Ok(text),
            _ => Err(self.expected(token, what)),
        }
    }

    fn name(&mut self, what: &str) -> Result<&'a str, ParseError> {
        self.word(what, |word| is_name(word).then_some(word))
    }

    /// The end of a line or `;`; also, left there, the end of a block.
    fn line_end(&mut self) -> Result<(), ParseError> {
        let token = self.peek()?;
        match token.kind {
            Kind::Sign("}") => Ok(()),
            Kind::Line | Kind::Sign(";") => self.next().map(drop),
            _ => Err(self.expected(token, "the end of the line")),
        }
    }

    /// Family and name, if a table begins with this token.
    fn table_head(&mut self, start: Token<'a>) -> Result<Option<(&'a str, &'a str)>, ParseError> {
        if start.kind != Kind::Word("table") {
            return Ok(None);
        }
        let family = self.name("the family of the table")?;
        let name = self.word("the name of the table", Some)?;
        self.sign("{")?;
        Ok(Some((family, name)))
    }

    fn table_body(&mut self, name: &str) -> Result<Table, ParseError> {
        let mut table = Table::new(name);
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::Sign("}") => return Ok(table),
                Kind::Line | Kind::Sign(";") => {}
                Kind::Word(word @ ("set" | "map")) => {
                    let (at, name) = (self.peek()?, self.name("a name")?);
                    let set = self.set(word == "map")?;
                    if table.sets.insert(name.into(), set).is_some() {
                        return Err(self.twice(at, "set or map", name));
                    }
                }
                Kind::Word("chain") => {
                    let (at, name) = (self.peek()?, self.name("a name")?);
                    let chain = self.chain()?;
                    if table.chains.insert(name.into(), chain).is_some() {
                        return Err(self.twice(at, "chain", name));
                    }
                }
                Kind::Word("flags") => self.flags(&["owner", "persist", "dormant"]).map(drop)?,
                Kind::Word("comment") => self.quoted("a comment in quotes").map(drop)?,
                _ => return Err(self.expected(token, "`set`, `map`, `chain` or `}`")),
            }
        }
    }

    fn twice(&self, at: Token<'_>, what: &str, name: &str) -> ParseError {
        self.lex.error(at.place, format!("a {what} of the name `{name}` is there already"))
    }

    /// Words after `flags`, each of these.
    fn flags(&mut self, known: &[&str]) -> Result<Vec<&'a str>, ParseError> {
        let mut found = Vec::new();
        loop {
            let what = format!("one of the flags {}", known.join(", "));
            found.push(self.word(&what, |word| known.contains(&word).then_some(word))?);
            if !self.take(Kind::Sign(","))? {
                self.line_end()?;
                return Ok(found);
            }
        }
    }

    fn chain(&mut self) -> Result<Chain, ParseError> {
        let mut chain = Chain::default();
        self.sign("{")?;
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::Sign("}") => return Ok(chain),
                Kind::Line | Kind::Sign(";") => {}
                Kind::Word("comment") if chain.rules.is_empty() => {
                    self.quoted("a comment in quotes")?;
                    self.line_end()?;
                }
                Kind::Word("type") if chain.rules.is_empty() && chain.base.is_none() => {
                    chain.base = Some(self.base()?);
                }
                Kind::Word("policy") if chain.rules.is_empty() => match &mut chain.base {
                    Some(base) => {
                        base.accept = self.word("`accept` or `drop`", |word| match word {
                            "accept" => Some(true),
                            "drop" => Some(false),
                            _ => None,
                        })?;
                        self.line_end()?;
                    }
                    None => return Err(self.expected(token, "a rule")),
                },
                _ => {
                    let rule = self.rule(token)?;
                    chain.rules.push(rule);
                }
            }
        }
    }

    /// `type KIND hook HOOK priority PRIORITY`; the policy follows after a semicolon.
    fn base(&mut self) -> Result<Base, ParseError> {
        let kind = self.word("`filter` or `nat`", |word| match word {
            "filter" => Some(BaseKind::Filter),
            "nat" => Some(BaseKind::Nat),
            _ => None,
        })?;
        self.keyword("hook")?;
        let hook = self.word("a hook of family inet", |word| match word {
            "prerouting" => Some(Hook::Prerouting),
            "input" => Some(Hook::Input),
            "forward" => Some(Hook::Forward),
            "output" => Some(Hook::Output),
            "postrouting" => Some(Hook::Postrouting),
            _ => None,
        })?;
        self.keyword("priority")?;
        let what = "a priority: a number or a name such as `filter`";
        let start =
            self.word(what, |word| words::priority(word).or_else(|| word.parse::<i32>().ok()))?;
        let priority = match self.peek()?.kind {
            Kind::Word("+") => {
                self.next()?;
                self.word("a number", |word| start.checked_add(word.parse().ok()?))?
            }
            Kind::Word("-") => {
                self.next()?;
                self.word("a number", |word| start.checked_sub(word.parse().ok()?))?
            }
            _ => start,
        };
        self.line_end()?;
        Ok(Base { kind, hook, priority, accept: true })
    }

    /// The name after `@`.
    fn set_name(&mut self) -> Result<Name, ParseError> {
        self.word("`@` with the name of a set or map", |word| {
            word.strip_prefix('@').filter(|name| is_name(name)).map(Name::from)
        })
    }
}

/// A number, decimal or hexadecimal.
fn number(word: &str) -> Option<u64> {
    // The standard library reads a leading plus sign, which nft does not.
    match word.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok(),
        None if !word.starts_with('+') => word.parse().ok(),
        _ => None,
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
}
