//! Tokens to a tree, by precedence.

use crate::ast::{Expr, Node};
use crate::error::Error;
use crate::lex::{Token, tokens};
use crate::macros;

/// Levels of a tree, so that nothing that walks it runs out of stack.
const DEPTH_MAX: usize = 96;

/// Words that are no names, so that CEL may get them (those that are values or operators come apart).
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Operators of two sides, from the loosest to the tightest; `in` is a word.
const LEVELS: &[&[(&str, &str)]] = &[
    &[
        ("<", "_<_"),
        ("<=", "_<=_"),
        (">", "_>_"),
        (">=", "_>=_"),
        ("==", "_==_"),
        ("!=", "_!=_"),
        ("in", "@in"),
    ],
    &[("+", "_+_"), ("-", "_-_")],
    &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
];

pub(crate) fn parse(source: &str) -> Result<Expr, Error> {
    let mut parser = Parser { tokens: tokens(source)?, next: 0, depth: 0 };
    let expr = parser.expr()?;
    match parser.peek() {
        Token::End => Ok(expr),
        other => {
            let why = format!("Syntax error: mismatched input '{}' expecting <EOF>", words(other));
            Err(Error::new(parser.at(), why))
        }
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

fn words(token: &Token) -> String {
    match token {
        Token::Ident(name) | Token::Int(name) | Token::Uint(name) => name.clone(),
        Token::Double(value) => value.to_string(),
        Token::Text(text) => format!("{text:?}"),
        Token::Bytes(_) => "bytes".to_owned(),
        Token::Sign(sign) => (*sign).to_owned(),
        Token::End => "<EOF>".to_owned(),
    }
}

impl Parser {
    /// The last token is the end, which is never passed.
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(at, _)| *at)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn take(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Token::Sign(own) if *own == sign);
        self.next += usize::from(is);
        is
    }

    fn want(&mut self, sign: &str) -> Result<(), Error> {
        if self.take(sign) {
            return Ok(());
        }
        let found = words(self.peek());
        Err(Error::new(
            self.at(),
            format!("Syntax error: mismatched input '{found}' expecting '{sign}'"),
        ))
    }

    fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if DEPTH_MAX <= self.depth {
            let why = format!("expression recursion limit exceeded: {DEPTH_MAX}");
            return Err(Error::new(self.at(), why));
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }

    fn expr(&mut self) -> Result<Expr, Error> {
        self.deeper(|parser| {
            let first = parser.chain("||", Node::Or, |parser| {
                parser.chain("&&", Node::And, |parser| parser.level(0))
            })?;
            let at = parser.at();
            if !parser.take("?") {
                return Ok(first);
            }
            let then = parser.chain("||", Node::Or, |parser| {
                parser.chain("&&", Node::And, |parser| parser.level(0))
            })?;
            parser.want(":")?;
            let other = parser.expr()?;
            Ok(Expr::new(at, Node::If(Box::new((first, then, other)))))
        })
    }

    fn chain(
        &mut self,
        sign: &str,
        make: fn(Vec<Expr>) -> Node,
        below: impl Fn(&mut Self) -> Result<Expr, Error>,
    ) -> Result<Expr, Error> {
        let first = below(self)?;
        let at = self.at();
        if !matches!(self.peek(), Token::Sign(own) if *own == sign) {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.take(sign) {
            all.push(below(self)?);
        }
        Ok(Expr::new(at, make(all)))
    }

    fn level(&mut self, level: usize) -> Result<Expr, Error> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        // A chain makes the tree deeper by one for each of its operators.
        let mut links = 0;
        let result = loop {
            let at = self.at();
            let word = match self.peek() {
                Token::Sign(sign) => *sign,
                Token::Ident(name) if name == "in" => "in",
                _ => break Ok(left),
            };
            let Some((_, name)) = operators.iter().find(|(sign, _)| *sign == word) else {
                break Ok(left);
            };
            self.next += 1;
            links += 1;
            self.depth += 1;
            if DEPTH_MAX <= self.depth {
                let why = format!("expression recursion limit exceeded: {DEPTH_MAX}");
                break Err(Error::new(at, why));
            }
            match self.level(level + 1) {
                Ok(right) => left = Expr::operator(at, name, vec![left, right]),
                Err(error) => break Err(error),
            }
        };
        self.depth -= links;
        result
    }

    fn unary(&mut self) -> Result<Expr, Error> {
        let at = self.at();
        if self.take("!") {
            let of = self.deeper(Self::unary)?;
            return Ok(Expr::operator(at, "!_", vec![of]));
        }
        if self.take("-") {
            // The smallest number has no positive of itself.
            if let Token::Int(digits) = self.peek().clone() {
                self.next += 1;
                let number = Expr::new(at, int(&format!("-{digits}"), at)?);
                return self.members(number);
            }
            if let Token::Double(value) = *self.peek() {
                self.next += 1;
                return self.members(Expr::new(at, Node::Double(-value)));
            }
            let of = self.deeper(Self::unary)?;
            return Ok(Expr::operator(at, "-_", vec![of]));
        }
        let primary = self.primary()?;
        self.members(primary)
    }

    fn members(&mut self, first: Expr) -> Result<Expr, Error> {
        let (mut expr, mut links) = (first, 0);
        let result = loop {
            let at = self.at();
            if DEPTH_MAX <= self.depth {
                let why = format!("expression recursion limit exceeded: {DEPTH_MAX}");
                break Err(Error::new(at, why));
            }
            let next = if self.take(".") {
                self.member(at, expr)
            } else if self.take("[") {
                self.index(at, expr)
            } else {
                break Ok(expr);
            };
            match next {
                Ok(next) => expr = next,
                Err(error) => break Err(error),
            }
            links += 1;
            self.depth += 1;
        };
        self.depth -= links;
        result
    }

    fn member(&mut self, at: usize, of: Expr) -> Result<Expr, Error> {
        let optional = self.take("?");
        let name_at = self.at();
        let Token::Ident(field) = self.advance() else {
            self.next -= 1;
            let why =
                format!("Syntax error: no viable alternative at input '.{}'", words(self.peek()));
            return Err(Error::new(name_at, why));
        };
        if optional || !self.take("(") {
            return Ok(Expr::new(at, Node::Select { of: Box::new(of), field, optional }));
        }
        let args = self.until(")")?;
        macros::member(at, of, field, args)
    }

    fn index(&mut self, at: usize, of: Expr) -> Result<Expr, Error> {
        let optional = self.take("?");
        let index = Box::new(self.expr()?);
        self.want("]")?;
        Ok(Expr::new(at, Node::Index { of: Box::new(of), index, optional }))
    }

    /// Expressions up to a sign.
    fn until(&mut self, end: &str) -> Result<Vec<Expr>, Error> {
        let mut all = Vec::new();
        if self.take(end) {
            return Ok(all);
        }
        loop {
            all.push(self.expr()?);
            if self.take(end) {
                return Ok(all);
            }
            self.want(",")?;
        }
    }

    fn primary(&mut self) -> Result<Expr, Error> {
        let at = self.at();
        let node = match self.advance() {
            Token::Int(digits) => int(&digits, at)?,
            Token::Uint(digits) => Node::Uint(
                number::<u64>(&digits).ok_or_else(|| Error::new(at, "invalid uint literal"))?,
            ),
            Token::Double(value) => Node::Double(value),
            Token::Text(text) => Node::Text(text),
            Token::Bytes(bytes) => Node::Bytes(bytes),
            Token::Sign("(") => {
                let inner = self.expr()?;
                self.want(")")?;
                return Ok(inner);
            }
            Token::Sign("[") => Node::List(self.elements()?),
            Token::Sign("{") => Node::Map(self.entries()?),
            // A leading dot asks for the name outside of any container, and there is none.
            Token::Sign(".") => return self.primary(),
            Token::Ident(name) => return self.name(at, name),
            other => {
                let why = format!(
                    "Syntax error: mismatched input '{}' expecting an expression",
                    words(&other)
                );
                return Err(Error::new(at, why));
            }
        };
        Ok(Expr::new(at, node))
    }

    fn name(&mut self, at: usize, name: String) -> Result<Expr, Error> {
        let node = match name.as_str() {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            "null" => Node::Null,
            "in" => return Err(Error::new(at, "Syntax error: mismatched input 'in'")),
            reserved if RESERVED.contains(&reserved) => {
                return Err(Error::new(at, format!("reserved identifier: {reserved}")));
            }
            _ if self.take("(") => {
                let args = self.until(")")?;
                return macros::global(at, name, args);
            }
            _ if matches!(self.peek(), Token::Sign("{")) => {
                let why = format!("undeclared reference to '{name}' (in container '')");
                return Err(Error::new(at, why));
            }
            _ => Node::Ident(name),
        };
        Ok(Expr::new(at, node))
    }

    fn elements(&mut self) -> Result<Vec<(bool, Expr)>, Error> {
        let mut all = Vec::new();
        while !self.take("]") {
            let optional = self.take("?");
            all.push((optional, self.expr()?));
            if !self.take(",") {
                self.want("]")?;
                break;
            }
        }
        Ok(all)
    }

    fn entries(&mut self) -> Result<Vec<(bool, Expr, Expr)>, Error> {
        let mut all = Vec::new();
        while !self.take("}") {
            let optional = self.take("?");
            let key = self.expr()?;
            self.want(":")?;
            all.push((optional, key, self.expr()?));
            if !self.take(",") {
                self.want("}")?;
                break;
            }
        }
        Ok(all)
    }
}

fn int(digits: &str, at: usize) -> Result<Node, Error> {
    number::<i64>(digits).map(Node::Int).ok_or_else(|| Error::new(at, "invalid int literal"))
}

/// A number in decimal or hexadecimal digits.
fn number<T: TryFrom<i128>>(digits: &str) -> Option<T> {
    let (negative, rest) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    let value = match rest.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16),
        None => rest.parse(),
    };
    let value = value.ok()?;
    T::try_from(if negative { -value } else { value }).ok()
}
