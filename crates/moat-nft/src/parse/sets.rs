//! Sets and maps with their elements.

use super::lex::{Kind, Token};
use super::{ParseError, Parser, number, words};
use crate::model::{Element, Set, SetKey, SetShape, Verdict};
use std::net::{Ipv4Addr, Ipv6Addr};

impl<'a> Parser<'a> {
    /// What follows the name.
    pub(super) fn set(&mut self, map: bool) -> Result<Set, ParseError> {
        self.sign("{")?;
        let mut set: Option<Set> = None;
        loop {
            let token = self.next()?;
            match (token.kind, &mut set) {
                (Kind::Line | Kind::Sign(";"), _) => {}
                (Kind::Word("type"), None) => {
                    let key = self.set_type(map)?;
                    set = Some(Set::new(SetShape { key, interval: false, map, size: None }));
                }
                (Kind::Word("flags"), Some(set)) if set.elements.is_empty() => {
                    set.interval = self.flags(&["interval", "constant"])?.contains(&"interval");
                    let concatenated = !matches!(set.key, SetKey::V4 | SetKey::V6 | SetKey::Port);
                    if set.interval && concatenated {
                        let message = "Moat has no intervals of keys with several parts";
                        return Err(self.lex.error(token.place, message.to_owned()));
                    }
                }
                (Kind::Word("size"), Some(set)) => {
                    set.size = Some(self.number("a number of elements")?);
                    self.line_end()?;
                }
                (Kind::Word("policy"), _) => {
                    let known = |word| matches!(word, "performance" | "memory").then_some(());
                    self.word("`performance` or `memory`", known)?;
                    self.line_end()?;
                }
                (Kind::Word("comment"), _) => {
                    self.quoted("a comment in quotes")?;
                    self.line_end()?;
                }
                (Kind::Word("elements"), Some(set)) => {
                    self.elements(set)?;
                    self.line_end()?;
                }
                (Kind::Sign("}"), Some(_)) => {
                    return set.ok_or_else(|| self.expected(token, "`type`"));
                }
                (_, None) => return Err(self.expected(token, "`type` first")),
                _ => return Err(self.expected(token, "`flags`, `elements` or `}`")),
            }
        }
    }

    fn set_type(&mut self, map: bool) -> Result<SetKey, ParseError> {
        let start = self.peek()?;
        let mut parts = vec![self.word("a type", Some)?];
        while self.take(Kind::Word("."))? {
            parts.push(self.word("a type", Some)?);
        }
        if map {
            self.keyword(":")?;
            self.keyword("verdict")?;
        }
        self.line_end()?;
        match parts.as_slice() {
            ["ipv4_addr"] => Ok(SetKey::V4),
            ["ipv6_addr"] => Ok(SetKey::V6),
            ["inet_service"] => Ok(SetKey::Port),
            ["inet_proto", "inet_service"] => Ok(SetKey::ProtocolPort),
            ["ipv4_addr", "ipv4_addr"] => Ok(SetKey::PairV4),
            ["ipv6_addr", "ipv6_addr"] => Ok(SetKey::PairV6),
            ["ipv4_addr", "inet_proto", "inet_service"] => Ok(SetKey::ServiceV4),
            ["ipv6_addr", "inet_proto", "inet_service"] => Ok(SetKey::ServiceV6),
            _ => {
                let message = format!("Moat has no sets of the type `{}`", parts.join(" . "));
                Err(self.lex.error(start.place, message))
            }
        }
    }

    fn elements(&mut self, set: &mut Set) -> Result<(), ParseError> {
        self.sign("=")?;
        self.sign("{")?;
        loop {
            let start = self.next_past_lines()?;
            if start.kind == Kind::Sign("}") {
                return Ok(());
            }
            let key = self.element(start, set.key, set.interval)?;
            if self.take(Kind::Word("comment"))? {
                self.quoted("a comment in quotes")?;
            }
            let verdict = if set.map {
                self.keyword(":")?;
                let token = self.next()?;
                let verdict = self.verdict(token)?;
                Some(verdict.ok_or_else(|| self.expected(token, "a verdict"))?)
            } else {
                None
            };
            if set.elements.insert(key, verdict).is_some() {
                let message = "this element is there already".to_owned();
                return Err(self.lex.error(start.place, message));
            }
            let end = self.next_past_lines()?;
            match end.kind {
                Kind::Sign("}") => return Ok(()),
                Kind::Sign(",") => {}
                _ => return Err(self.expected(end, "`,` or `}`")),
            }
        }
    }

    fn element(
        &mut self,
        start: Token<'a>,
        key: SetKey,
        interval: bool,
    ) -> Result<Element, ParseError> {
        let Kind::Word(first) = start.kind else {
            return Err(self.expected(start, "an element"));
        };
        let mut parts = [first, "", ""];
        let mut length = 1;
        while self.take(Kind::Word("."))? {
            let part = self.word("a part of an element", Some)?;
            let Some(free) = parts.get_mut(length) else {
                return Err(self.lex.error(start.place, "too many parts".to_owned()));
            };
            *free = part;
            length += 1;
        }
        let element =
            if interval { range(key, &parts[..length]) } else { one(key, &parts[..length]) };
        element.ok_or_else(|| {
            let what = match (key, interval) {
                (SetKey::V4, false) => "an IPv4 address",
                (SetKey::V6, false) => "an IPv6 address",
                (SetKey::Port, false) => "a port",
                (SetKey::V4, true) => "IPv4 addresses: one, FROM-TO or ADDRESS/LENGTH",
                (SetKey::V6, true) => "IPv6 addresses: one, FROM-TO or ADDRESS/LENGTH",
                (SetKey::Port, true) => "ports: one or FROM-TO",
                (SetKey::ProtocolPort, _) => "PROTOCOL . PORT",
                (SetKey::PairV4, _) => "two IPv4 addresses with ` . ` between",
                (SetKey::PairV6, _) => "two IPv6 addresses with ` . ` between",
                (SetKey::ServiceV4, _) => "IPV4-ADDRESS . PROTOCOL . PORT",
                (SetKey::ServiceV6, _) => "IPV6-ADDRESS . PROTOCOL . PORT",
            };
            let found = parts[..length].join(" . ");
            self.lex.error(start.place, format!("expected {what}, found `{found}`"))
        })
    }

    /// The verdict that begins with this token, if it is one.
    pub(super) fn verdict(&mut self, token: Token<'a>) -> Result<Option<Verdict>, ParseError> {
        Ok(Some(match token.kind {
            Kind::Word("accept") => Verdict::Accept,
            Kind::Word("drop") => Verdict::Drop,
            Kind::Word("return") => Verdict::Return,
            Kind::Word("jump") => Verdict::Jump(self.name("the name of a chain")?.into()),
            Kind::Word("goto") => Verdict::Goto(self.name("the name of a chain")?.into()),
            _ => return Ok(None),
        }))
    }
}

/// An element that is no range.
fn one(key: SetKey, parts: &[&str]) -> Option<Element> {
    Some(match (key, parts) {
        (SetKey::V4, [address]) => Element::V4(address.parse().ok()?),
        (SetKey::V6, [address]) => Element::V6(address.parse().ok()?),
        (SetKey::Port, [port]) => Element::Port(read_port(port)?),
        (SetKey::ProtocolPort, [protocol, port]) => {
            Element::ProtocolPort(words::protocol(protocol)?, read_port(port)?)
        }
        (SetKey::PairV4, [one, other]) => Element::PairV4(one.parse().ok()?, other.parse().ok()?),
        (SetKey::PairV6, [one, other]) => Element::PairV6(one.parse().ok()?, other.parse().ok()?),
        (SetKey::ServiceV4, [address, protocol, port]) => {
            let protocol = words::protocol(protocol)?;
            Element::ServiceV4(address.parse().ok()?, protocol, read_port(port)?)
        }
        (SetKey::ServiceV6, [address, protocol, port]) => {
            let protocol = words::protocol(protocol)?;
            Element::ServiceV6(address.parse().ok()?, protocol, read_port(port)?)
        }
        _ => return None,
    })
}

/// An element of a set with intervals.
fn range(key: SetKey, parts: &[&str]) -> Option<Element> {
    let &[word] = parts else { return None };
    if let Some((address, length)) = word.split_once('/') {
        return prefix(key, address, number(length)?);
    }
    let (from, to) = word.split_once('-').unwrap_or((word, word));
    let element = match key {
        SetKey::V4 => Element::RangeV4(from.parse().ok()?, to.parse().ok()?),
        SetKey::V6 => Element::RangeV6(from.parse().ok()?, to.parse().ok()?),
        SetKey::Port => Element::PortRange(read_port(from)?, read_port(to)?),
        _ => return None,
    };
    let forward = match &element {
        Element::RangeV4(from, to) => from <= to,
        Element::RangeV6(from, to) => from <= to,
        Element::PortRange(from, to) => from <= to,
        _ => false,
    };
    forward.then_some(element)
}

fn prefix(key: SetKey, address: &str, length: u64) -> Option<Element> {
    let length = u32::try_from(length).ok()?;
    match key {
        SetKey::V4 if length <= 32 => {
            let low = u32::MAX.checked_shr(length).unwrap_or(0);
            let bits = address.parse::<Ipv4Addr>().ok()?.to_bits();
            let ends = (Ipv4Addr::from_bits(bits & !low), Ipv4Addr::from_bits(bits | low));
            Some(Element::RangeV4(ends.0, ends.1))
        }
        SetKey::V6 if length <= 128 => {
            let low = u128::MAX.checked_shr(length).unwrap_or(0);
            let bits = address.parse::<Ipv6Addr>().ok()?.to_bits();
            let ends = (Ipv6Addr::from_bits(bits & !low), Ipv6Addr::from_bits(bits | low));
            Some(Element::RangeV6(ends.0, ends.1))
        }
        _ => None,
    }
}

fn read_port(word: &str) -> Option<u16> {
    number(word)?.try_into().ok()
}
