//! Filters as flags give them.

use super::{Filter, Wanted, Who};
use crate::record::Verdict;
use crate::time::Time;
use core::fmt;
use moat_ir::Direction;
use moat_sets::{Cidr, CidrError, Protocol};
use std::net::IpAddr;

/// The flags of a filter, as given; what is not given is not asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags<'f> {
    /// `--verdict`: `allowed` or `denied`, and of staged policies `would-allow` or `would-deny`.
    pub verdict: Option<&'f str>,
    /// `--from`: `ns/pod`, `ns/prefix*`, a namespace, a node, an address, a CIDR or `outside`.
    pub from: Option<&'f str>,
    /// `--to`: the same, with `:PORT` or `:PORT/PROTOCOL`.
    pub to: Option<&'f str>,
    /// `--direction`: `ingress` or `egress`.
    pub direction: Option<&'f str>,
    /// `--protocol`: `TCP`, `UDP`, `SCTP` or `ICMP`.
    pub protocol: Option<&'f str>,
    /// `--port`: the destination port.
    pub port: Option<&'f str>,
    /// `--since`: `5m`, `1h30m`, or a time as RFC 3339 writes it.
    pub since: Option<&'f str>,
    /// `--policy`: `ns/name`, or `name` of a cluster policy; with its kind before it (`netpol ns/name`) only of that kind.
    pub policy: Option<&'f str>,
}

/// Why flags make no filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterError {
    /// The flag: `--since`.
    pub flag: &'static str,
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.flag, self.message)
    }
}

impl std::error::Error for FilterError {}

/// What is wrong, and the fix.
type Wrong = (String, String);

fn wrong(message: impl Into<String>, help: impl Into<String>) -> Wrong {
    (message.into(), help.into())
}

fn read<T>(
    flag: &'static str,
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Result<Option<T>, FilterError> {
    let told = |(message, help)| FilterError { flag, message, help };
    text.map(|text| parse(text).map_err(told)).transpose()
}

impl Filter {
    /// Reads flags. `now` is what `--since 5m` counts from.
    pub fn parse(flags: &Flags<'_>, now: Time) -> Result<Self, FilterError> {
        let to = read("--to", flags.to, destination)?;
        let (to, point) = to.map_or((None, None), |(who, point)| (Some(who), point));
        let own_protocol = read("--protocol", flags.protocol, protocol)?;
        let own_port = read("--port", flags.port, port)?;
        let clash = |flag, own: &dyn fmt::Display, other: &dyn fmt::Display| FilterError {
            flag,
            message: format!("says {own}, and --to says {other}"),
            help: "give it once".to_owned(),
        };
        let (point_port, point_protocol) = point.unwrap_or_default();
        if let (Some(own), Some(other)) = (own_port, point_port)
            && own != other
        {
            return Err(clash("--port", &own, &other));
        }
        if let (Some(own), Some(other)) = (own_protocol, point_protocol)
            && own != other
        {
            return Err(clash("--protocol", &own, &other));
        }
        let filter = Self {
            verdict: read("--verdict", flags.verdict, verdict)?,
            from: read("--from", flags.from, source)?,
            to,
            direction: read("--direction", flags.direction, direction)?,
            protocol: own_protocol.or(point_protocol),
            port: own_port.or(point_port),
            since: read("--since", flags.since, |text| since(text, now))?,
            policy: read("--policy", flags.policy, policy)?,
        };
        if filter.protocol == Some(Protocol::Other) && filter.port.is_some() {
            return Err(FilterError {
                flag: "--port",
                message: "ICMP has no ports".to_owned(),
                help: "leave the port out".to_owned(),
            });
        }
        Ok(filter)
    }
}

fn verdict(text: &str) -> Result<(Verdict, bool), Wrong> {
    match text {
        "allowed" => Ok((Verdict::Allowed, false)),
        "denied" => Ok((Verdict::Denied, false)),
        "unknown" => Ok((Verdict::Unknown, false)),
        "would-allow" => Ok((Verdict::Allowed, true)),
        "would-deny" => Ok((Verdict::Denied, true)),
        _ => Err(wrong(
            format!("`{text}` is no verdict"),
            "use allowed or denied; would-allow or would-deny for staged policies",
        )),
    }
}

fn direction(text: &str) -> Result<Direction, Wrong> {
    let found = Direction::BOTH.into_iter().find(|direction| direction.name() == text);
    found.ok_or_else(|| wrong(format!("`{text}` is no direction"), "use ingress or egress"))
}

fn protocol(text: &str) -> Result<Protocol, Wrong> {
    let none = || wrong(format!("`{text}` is no protocol"), "use TCP, UDP, SCTP or ICMP");
    Protocol::parse(text).ok_or_else(none)
}

fn port(text: &str) -> Result<u16, Wrong> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(
            format!("`{text}` is no port number"),
            "records have numbers, not names: write one from 1 to 65535",
        ));
    }
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| wrong(format!("port `{text}` is out of range"), "ports are 1 to 65535"))
}

const FORMS: &str =
    "write `ns/pod`, `ns/prefix*`, a namespace, a node, an address, a CIDR or `outside`";

fn who(text: &str) -> Result<Who, Wrong> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(Who::Addresses(Cidr::host(address)));
    }
    let no_name = |c: char| !(c.is_ascii_alphanumeric() || "-._/*".contains(c));
    match Cidr::parse(bare) {
        Ok(cidr) => return Ok(Who::Addresses(cidr)),
        // No name is all digits and dots before a slash, and none has colons.
        Err(error)
            if bare.contains(':')
                || bare.starts_with(|c: char| c.is_ascii_digit())
                    && bare.bytes().all(|byte| byte.is_ascii_digit() || b"./".contains(&byte)) =>
        {
            let why = match error {
                CidrError::NoSlash => String::new(),
                error => format!(": {error}"),
            };
            return Err(wrong(format!("`{text}` is no address or CIDR{why}"), FORMS));
        }
        Err(_) => {}
    }
    if text.is_empty() || text.contains(no_name) || text.split('/').any(str::is_empty) {
        return Err(wrong(format!("`{text}` names no one"), FORMS));
    }
    match text.split_once('*') {
        Some((start, "")) if start.contains('/') => Ok(Who::Pods(start.to_owned())),
        Some(_) => Err(wrong(
            format!("`{text}` has `*` where none can be"),
            "`*` ends the name of a pod: `ns/web-*`; `ns` alone means all its pods",
        )),
        None if text == "outside" => Ok(Who::Outside),
        None if text.contains('/') => Ok(Who::Pod(text.to_owned())),
        None => Ok(Who::Word(text.to_owned())),
    }
}

/// A source has no port to ask for.
fn source(text: &str) -> Result<Who, Wrong> {
    match split(text) {
        Some((name, point)) => Err(wrong(
            format!("`{text}` has a port, and source ports are of no use here"),
            format!("write `--from {name}`; for the destination's port `--port {point}`"),
        )),
        None => who(text),
    }
}

type Point = (Option<u16>, Option<Protocol>);

fn destination(text: &str) -> Result<(Who, Option<Point>), Wrong> {
    let Some((name, point)) = split(text) else { return Ok((who(text)?, None)) };
    if point.eq_ignore_ascii_case("icmp") {
        return Ok((who(name)?, Some((None, Some(Protocol::Other)))));
    }
    let (number, name_of) = match point.split_once('/') {
        Some((number, name)) => (number, Some(name)),
        None => (point, None),
    };
    Ok((who(name)?, Some((Some(port(number)?), name_of.map(protocol).transpose()?))))
}

/// What is before and behind the colon of a port; an IPv6 address with a port stands in brackets.
fn split(text: &str) -> Option<(&str, &str)> {
    let (name, point) = text.rsplit_once(':')?;
    (name.ends_with(']') || !name.contains(':')).then_some((name, point))
}

fn since(text: &str, now: Time) -> Result<Time, Wrong> {
    if let Some(time) = Time::parse(text) {
        return Ok(time);
    }
    seconds(text).map(|seconds| now.earlier(seconds)).ok_or_else(|| {
        wrong(
            format!("`{text}` is no time"),
            "write how long ago, such as `30s`, `5m`, `1h30m` or `2d`, or a time such as `2026-01-31T12:00:00Z`",
        )
    })
}

/// `1h30m` in seconds; nothing where a text is no such time.
pub fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0u64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(end);
        let number: u64 = number.parse().ok()?;
        let unit = match tail.as_bytes().first()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(unit)?)?;
        rest = tail.get(1..)?;
    }
    (!text.is_empty()).then_some(sum)
}

fn policy(text: &str) -> Result<Wanted, Wrong> {
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        [id] if !id.is_empty() => Ok(Wanted::Id((*id).to_owned())),
        [kind, id] if !kind.is_empty() && !id.is_empty() => Ok(Wanted::Full(text.to_owned())),
        _ => Err(wrong(
            format!("`{text}` names no policy"),
            "write `ns/name`, or `name` of a cluster policy",
        )),
    }
}
