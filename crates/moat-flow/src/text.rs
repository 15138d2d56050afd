//! Records for a terminal, one a line.

use crate::record::{End, Name, Record, Verdict};
use moat_ir::Direction;
use moat_sets::Protocol;
use std::borrow::Cow;
use std::net::IpAddr;

/// What a piece of text is, for whoever colours it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ink {
    /// Allowed.
    Good,
    /// Denied.
    Bad,
    /// Neither: staged, unknown, undefined.
    Doubt,
    /// Places, asides.
    Dim,
    /// Names that matter.
    Bold,
}

/// How text is laid out: decided at the edge and passed in.
#[derive(Clone, Copy)]
pub struct Look<'l> {
    width: usize,
    ink: &'l dyn Fn(Ink, &str) -> String,
}

impl core::fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Look").field("width", &self.width).finish_non_exhaustive()
    }
}

impl<'l> Look<'l> {
    /// For a terminal of so many columns, coloured by `ink`.
    #[must_use]
    pub fn new(width: usize, ink: &'l dyn Fn(Ink, &str) -> String) -> Self {
        Self { width, ink }
    }

    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        (self.ink)(ink, text)
    }
}

impl Look<'static> {
    /// Without colours.
    #[must_use]
    pub fn plain(width: usize) -> Self {
        Self { width, ink: &|_, text| text.to_owned() }
    }
}

/// A record as a line without its end:
/// `12:34:56.789  DENIED   shop/web -> shop/db:5432/TCP  ingress: isolated by netpol shop/deny (deny.yaml:3)`.
///
/// Nothing is cut: what is too long moves the rest to the right.
#[must_use]
pub fn line(record: &Record, look: Look<'_>) -> String {
    let (ink, word) = match (record.staged, record.verdict) {
        (true, _) => (Ink::Doubt, "STAGED "),
        (false, Verdict::Allowed) => (Ink::Good, "ALLOWED"),
        (false, Verdict::Denied) => (Ink::Bad, "DENIED "),
        (false, Verdict::Unknown) => (Ink::Doubt, "UNKNOWN"),
    };
    let flow = flow(record);
    let pad = (look.width * 3 / 8).clamp(28, 60).saturating_sub(flow.chars().count());
    let direction = record.direction.map_or("unknown", Direction::name);
    let would = match (record.staged, record.verdict) {
        (true, Verdict::Allowed) => " would be allowed",
        (true, Verdict::Denied) => " would be denied",
        _ => "",
    };
    format!(
        "{}  {}  {flow}{:pad$}  {direction}{would}: {}",
        look.paint(Ink::Dim, &record.time.of_day()),
        look.paint(ink, word),
        "",
        record.why.words(look),
    )
}

fn flow(record: &Record) -> String {
    let to = point(
        &who(&record.destination),
        record.destination.address,
        record.destination.port,
        record.protocol_number,
    );
    format!("{} -> {to}", who(&record.source))
}

/// An end for readers: a pod by its name, a node by its name, anyone else by address.
pub(crate) fn who(end: &End) -> String {
    match &end.name {
        Name::Pod(name) => clean(name).into_owned(),
        Name::Node(name) => format!("node {}", clean(name)),
        Name::Outside => end.address.to_string(),
    }
}

/// A destination with its port, as questions are written: `shop/db:5432/TCP`, `[2001:db8::1]:53/UDP`, `shop/db ICMP`.
pub(crate) fn point(who: &str, address: IpAddr, port: Option<u16>, protocol: u8) -> String {
    let name = Protocol::of_number(protocol);
    match (name, port, protocol) {
        (Protocol::Other, _, 1) => format!("{who} ICMP"),
        (Protocol::Other, _, 58) => format!("{who} ICMPv6"),
        (Protocol::Other, _, number) => format!("{who} protocol {number}"),
        // A fragment behind the first, or a packet that was cut short.
        (_, None, _) => format!("{who} {name} without ports"),
        (_, Some(port), _) if address.is_ipv6() && who.parse::<IpAddr>().is_ok() => {
            format!("[{who}]:{port}/{name}")
        }
        (_, Some(port), _) => format!("{who}:{port}/{name}"),
    }
}

/// Text from outside without what a terminal would obey.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    Cow::Owned(text.chars().map(escape).collect())
}
