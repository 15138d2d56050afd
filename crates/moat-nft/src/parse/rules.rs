//! Rules, statement by statement.

use super::lex::{Kind, Token};
use super::{ParseError, Parser, number, words};
use crate::model::{Field, Key, Log, Rule, Statement, States, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A field with the protocol that its spelling implies, as `tcp dport` does.
type Spelled = (Field, Option<u8>);

impl<'a> Parser<'a> {
    /// The rule that begins with this token, to the end of its line.
    pub(super) fn rule(&mut self, first: Token<'a>) -> Result<Rule, ParseError> {
        let mut rule = Rule::default();
        let mut token = first;
        loop {
            self.statement(token, &mut rule.statements)?;
            let next = self.peek()?;
            match next.kind {
                Kind::Line | Kind::Sign(";" | "}") => {
                    self.line_end()?;
                    return Ok(rule);
                }
                Kind::Word("comment") => {
                    self.next()?;
                    rule.comment = Some(self.quoted("a comment in quotes")?.into());
                    self.line_end()?;
                    return Ok(rule);
                }
                _ => token = self.next()?,
            }
        }
    }

    fn statement(&mut self, token: Token<'a>, into: &mut Vec<Statement>) -> Result<(), ParseError> {
        if let Some(verdict) = self.verdict(token)? {
            into.push(Statement::Verdict(verdict));
            return Ok(());
        }
        let statement = match token.kind {
            Kind::Word("counter") => {
                if self.take(Kind::Word("packets"))? {
                    self.number::<u64>("a number of packets")?;
                    self.keyword("bytes")?;
                    self.number::<u64>("a number of bytes")?;
                }
                Statement::Counter
            }
            Kind::Word("numgen") => {
                self.keyword("random")?;
                self.keyword("mod")?;
                let modulus = self.number("a number")?;
                self.keyword("0")?;
                Statement::OneIn(modulus)
            }
            Kind::Word("limit") => self.limit()?,
            Kind::Word("log") => self.log(token)?,
            Kind::Word("dnat") => self.dnat()?,
            Kind::Word("masquerade") => Statement::Masquerade,
            Kind::Word("reject") => self.reject()?,
            Kind::Word("ct") if self.take(Kind::Word("mark"))? => self.mark()?,
            _ => match self.field(token)? {
                Some(spelled) => return self.compare(spelled, into),
                None => {
                    return Err(self.expected(token, "a statement that tables of Moat have"));
                }
            },
        };
        into.push(statement);
        Ok(())
    }

    /// The field that begins with this token, if one does.
    fn field(&mut self, token: Token<'a>) -> Result<Option<Spelled>, ParseError> {
        let Kind::Word(first) = token.kind else { return Ok(None) };
        let field = match first {
            "ip" => self.word("`saddr` or `daddr`", |word| match word {
                "saddr" => Some(Field::SourceV4),
                "daddr" => Some(Field::DestinationV4),
                _ => None,
            })?,
            "ip6" => self.word("`saddr` or `daddr`", |word| match word {
                "saddr" => Some(Field::SourceV6),
                "daddr" => Some(Field::DestinationV6),
                _ => None,
            })?,
            "meta" => self.word("`l4proto` or `iifname`", |word| match word {
                "l4proto" => Some(Field::Protocol),
                "iifname" => Some(Field::InputName),
                _ => None,
            })?,
            "iifname" => Field::InputName,
            "icmpv6" => {
                self.keyword("type")?;
                Field::Icmpv6Type
            }
            "ct" => {
                self.word("`state` or `mark`", |word| (word == "state").then_some(Field::CtState))?
            }
            "th" => {
                self.keyword("dport")?;
                Field::DestinationPort
            }
            _ => match words::WITH_PORTS.iter().find(|(name, _)| *name == first) {
                Some((_, protocol)) => {
                    self.keyword("dport")?;
                    return Ok(Some((Field::DestinationPort, Some(*protocol))));
                }
                None => return Ok(None),
            },
        };
        Ok(Some((field, None)))
    }

    /// What a field or a key is compared with.
    fn compare(&mut self, first: Spelled, into: &mut Vec<Statement>) -> Result<(), ParseError> {
        let (field, mut protocol) = first;
        let mut key: Key = vec![field];
        while self.take(Kind::Word("."))? {
            let token = self.next()?;
            let Some((field, implied)) = self.field(token)? else {
                return Err(self.expected(token, "a field"));
            };
            protocol = protocol.or(implied);
            key.push(field);
        }
        // nft leaves a match of the protocol out where `tcp dport` implies it.
        if let Some(protocol) = protocol {
            let implied = Statement::Match {
                field: Field::Protocol,
                negate: false,
                value: Value::Protocol(protocol),
            };
            if !into.contains(&implied) {
                into.push(implied);
            }
        }
        if self.take(Kind::Word("vmap"))? {
            into.push(Statement::Vmap { key, map: self.set_name()? });
            return Ok(());
        }
        let (operator, negate) = match self.peek()?.kind {
            Kind::Sign("!=") => (Some("!="), true),
            Kind::Sign("!") if field == Field::CtState => (Some("!"), true),
            Kind::Sign("==") => (Some("=="), false),
            _ => (None, false),
        };
        if operator.is_some() {
            self.next()?;
        }
        let token = self.peek()?;
        into.push(match token.kind {
            Kind::Word(word) if word.starts_with('@') => {
                Statement::Lookup { key, set: self.set_name()?, negate }
            }
            _ if key.len() > 1 => {
                return Err(self.expected(token, "`vmap @MAP` or `@SET` after several fields"));
            }
            _ if field == Field::CtState => {
                let value = Value::States(self.states(operator == Some("!="))?);
                Statement::Match { field, negate, value }
            }
            _ => Statement::Match { field, negate, value: self.value(field)? },
        });
        Ok(())
    }

    fn value(&mut self, field: Field) -> Result<Value, ParseError> {
        match field {
            Field::SourceV4 | Field::DestinationV4 => {
                self.word("an IPv4 address or prefix", |word| match word.split_once('/') {
                    None => Some(Value::V4(word.parse().ok()?)),
                    Some((address, length)) => {
                        let length = u8::try_from(number(length)?).ok()?;
                        (length <= 32).then_some(())?;
                        Some(Value::PrefixV4(address.parse().ok()?, length))
                    }
                })
            }
            Field::SourceV6 | Field::DestinationV6 => {
                self.word("an IPv6 address or prefix", |word| match word.split_once('/') {
                    None => Some(Value::V6(word.parse().ok()?)),
                    Some((address, length)) => {
                        let length = u8::try_from(number(length)?).ok()?;
                        (length <= 128).then_some(())?;
                        Some(Value::PrefixV6(address.parse().ok()?, length))
                    }
                })
            }
            Field::Protocol => {
                self.word("an IP protocol", |word| words::protocol(word).map(Value::Protocol))
            }
            Field::DestinationPort => self.word("a port or FROM-TO", |word| {
                let port = |word| -> Option<u16> { number(word)?.try_into().ok() };
                let Some((from, to)) = word.split_once('-') else {
                    return Some(Value::Port(port(word)?));
                };
                let (from, to) = (port(from)?, port(to)?);
                (from < to).then_some(Value::Ports(from, to))
            }),
            Field::Icmpv6Type => self.word("an ICMPv6 type or FROM-TO", |word| {
                if let Some(one) = words::icmpv6_type(word) {
                    return Some(Value::Icmpv6Types(one, one));
                }
                let (from, to) = word.split_once('-')?;
                let (from, to) = (from.parse().ok()?, to.parse().ok()?);
                (from <= to).then_some(Value::Icmpv6Types(from, to))
            }),
            Field::InputName => {
                Ok(Value::Interface(self.quoted("the name of an interface in quotes")?.into()))
            }
            Field::CtState => Ok(Value::States(self.states(false)?)),
        }
    }

    /// States with commas between, in braces or not. With `alone` only one or those in braces: `!=` compares with all bits at once.
    fn states(&mut self, alone: bool) -> Result<States, ParseError> {
        let start = self.peek()?;
        if self.take(Kind::Word("0x0"))? {
            return Ok(States::default());
        }
        let braces = self.take(Kind::Sign("{"))?;
        let mut states = States::default();
        let mut count = 0_usize;
        loop {
            let state = self.word("a state of connections", |word| match word {
                "invalid" => Some(&mut states.invalid),
                "established" => Some(&mut states.established),
                "related" => Some(&mut states.related),
                "new" => Some(&mut states.new),
                _ => None,
            })?;
            *state = true;
            count += 1;
            if !(self.take(Kind::Sign(","))? || self.take(Kind::Sign("|"))?) {
                break;
            }
        }
        if braces {
            self.sign("}")?;
        } else if alone && count > 1 {
            let message = "`!=` with several states is true of every packet; \
                           use `ct state ! STATES` to ask for none of them";
            return Err(self.lex.error(start.place, message.to_owned()));
        }
        Ok(states)
    }

    /// After `ct mark`: `VALUE`, `VALUE/BITS` or `& MASK == VALUE`, each also with `!=`.
    fn mark(&mut self) -> Result<Statement, ParseError> {
        let masked = self.take(Kind::Sign("&"))?;
        let given = if masked { Some(self.number::<u32>("a mask")?) } else { None };
        let token = self.peek()?;
        let negate = match token.kind {
            Kind::Sign("!=") => true,
            Kind::Sign("==") => false,
            _ if masked => return Err(self.expected(token, "`==` or `!=`")),
            _ => false,
        };
        if matches!(token.kind, Kind::Sign("!=" | "==")) {
            self.next()?;
        }
        let (value, mask) = self.word("a mark", |word| match (given, word.split_once('/')) {
            (Some(mask), None) => Some((number(word)?, mask)),
            (None, None) => Some((number(word)?, u32::MAX)),
            (None, Some((value, length))) => {
                let length = u32::try_from(number(length)?).ok().filter(|n| *n <= 32)?;
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                Some((number(value)?, mask))
            }
            (Some(_), Some(_)) => None,
        })?;
        let value =
            u32::try_from(value).map_err(|_| self.expected(token, "a mark of at most 32 bits"))?;
        Ok(Statement::CtMarkMasked { mask, value, negate })
    }

    fn limit(&mut self) -> Result<Statement, ParseError> {
        self.keyword("rate")?;
        let over = self.take(Kind::Word("over"))?;
        let per_second =
            self.word("a rate such as 10/second", |word| number(word.strip_suffix("/second")?))?;
        let mut burst = 5;
        if self.take(Kind::Word("burst"))? {
            burst = self.number("a number of packets")?;
            self.keyword("packets")?;
        }
        Ok(Statement::Limit { over, per_second, burst })
    }

    fn log(&mut self, start: Token<'a>) -> Result<Statement, ParseError> {
        let (mut prefix, mut group, mut snaplen, mut queue_threshold) = ("", None, 0, 0);
        loop {
            match self.peek()?.kind {
                Kind::Word("prefix") => {
                    self.next()?;
                    prefix = self.quoted("a prefix in quotes")?;
                }
                Kind::Word("group") => {
                    self.next()?;
                    group = Some(self.number("the number of a log group")?);
                }
                Kind::Word("snaplen") => {
                    self.next()?;
                    snaplen = self.number("a number of bytes")?;
                }
                Kind::Word("queue-threshold") => {
                    self.next()?;
                    queue_threshold = self.number("a number of records")?;
                }
                _ => break,
            }
        }
        let Some(group) = group else {
            let message = "a log statement of Moat has a group; this one writes to the kernel log";
            return Err(self.lex.error(start.place, message.to_owned()));
        };
        Ok(Statement::Log(Log { prefix: prefix.into(), group, snaplen, queue_threshold }))
    }

    fn dnat(&mut self) -> Result<Statement, ParseError> {
        let v6 = self.word("`ip` or `ip6`", |word| match word {
            "ip" => Some(false),
            "ip6" => Some(true),
            _ => None,
        })?;
        self.keyword("to")?;
        let port = |word: &str| -> Option<u16> { number(word)?.try_into().ok() };
        let v4_target = |word: &str| match word.split_once(':') {
            None => Some((IpAddr::V4(word.parse::<Ipv4Addr>().ok()?), None)),
            Some((address, after)) => Some((IpAddr::V4(address.parse().ok()?), Some(port(after)?))),
        };
        let v6_target = |word: &str| match word.strip_prefix('[') {
            None => Some((IpAddr::V6(word.parse::<Ipv6Addr>().ok()?), None)),
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                let address = IpAddr::V6(address.parse().ok()?);
                match after.strip_prefix(':') {
                    Some(after) => Some((address, Some(port(after)?))),
                    None => after.is_empty().then_some((address, None)),
                }
            }
        };
        let (to, port) = if v6 {
            self.word("an IPv6 address or [ADDRESS]:PORT", v6_target)?
        } else {
            self.word("an IPv4 address or ADDRESS:PORT", v4_target)?
        };
        Ok(Statement::Dnat { to, port })
    }

    /// Plain, or with a reason spelled out: nft shows one where the rule fixes the family.
    fn reject(&mut self) -> Result<Statement, ParseError> {
        if self.take(Kind::Word("with"))? {
            let what = "`icmp`, `icmpv6` or `icmpx`";
            self.word(what, |word| matches!(word, "icmp" | "icmpv6" | "icmpx").then_some(()))?;
            self.take(Kind::Word("type"))?;
            let what = "`port-unreachable` or `admin-prohibited`";
            let known =
                |word| matches!(word, "port-unreachable" | "admin-prohibited").then_some(());
            self.word(what, known)?;
        }
        Ok(Statement::Reject)
    }
}
