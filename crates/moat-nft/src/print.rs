//! A table as text: what `nft list table` of nftables 1.0.6 shows for it, and what `nft -f` loads.

mod elements;

use crate::model::{
    Base, BaseKind, Element, Field, Hook, Key, Log, Op, Rule, Set, SetKey, SetShape, Statement,
    States, Table, Value, Verdict,
};
use crate::parse::words;
use core::fmt::Write;
use std::net::IpAddr;

/// The table as `nft list table inet NAME` shows it, except that elements come in the order of their keys.
#[must_use]
pub fn text(table: &Table) -> String {
    let mut out = Text::default();
    out.say(format_args!("table inet {} {{\n", table.name));
    let mut first = true;
    for (name, set) in &table.sets {
        out.blank_unless(&mut first);
        out.set(name, set);
    }
    for (name, chain) in &table.chains {
        out.blank_unless(&mut first);
        out.say(format_args!("\tchain {name} {{\n"));
        if let Some(base) = &chain.base {
            out.put("\t\t");
            out.base(base);
            out.put("\n");
        }
        for rule in &chain.rules {
            out.put("\t\t");
            out.rule(rule);
            out.put("\n");
        }
        out.put("\t}\n");
    }
    out.put("}\n");
    out.0
}

/// The steps as an nft script for the table of this name, a step a line.
#[must_use]
pub fn ops(table: &str, ops: &[Op]) -> String {
    let mut out = Text::default();
    for op in ops {
        out.op(table, op);
        out.put("\n");
    }
    out.0
}

/// A rule as `nft list` shows it.
#[must_use]
pub fn rule(rule: &Rule) -> String {
    let mut out = Text::default();
    out.rule(rule);
    out.0
}

/// An element's key as `nft list` shows it.
#[must_use]
pub fn element(element: &Element) -> String {
    let mut out = Text::default();
    out.element(element);
    out.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn put(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// Writing to a string cannot fail.
    fn say(&mut self, what: core::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(what);
    }

    fn blank_unless(&mut self, first: &mut bool) {
        if !core::mem::take(first) {
            self.put("\n");
        }
    }

    /// The nft language has no way to write a quote or an end of line inside quotes, so these become something harmless.
    fn quoted(&mut self, text: &str) {
        self.put("\"");
        self.0.extend(text.chars().map(|c| match c {
            '"' => '\'',
            c if c.is_control() => ' ',
            c => c,
        }));
        self.put("\"");
    }

    fn set(&mut self, name: &str, set: &Set) {
        let word = if set.map { "map" } else { "set" };
        self.say(format_args!("\t{word} {name} {{\n\t\ttype {}", key_type(set.key)));
        self.put(if set.map { " : verdict\n" } else { "\n" });
        if let Some(size) = set.size {
            self.say(format_args!("\t\tsize {size}\n"));
        }
        if set.interval {
            self.put("\t\tflags interval\n");
        }
        if !set.elements.is_empty() {
            self.put("\t\telements = { ");
            let width = per_line(set.key);
            for (at, (key, verdict)) in set.elements.iter().enumerate() {
                match at {
                    0 => {}
                    _ if at % width == 0 => self.put(",\n\t\t\t     "),
                    _ => self.put(", "),
                }
                self.pair(key, verdict.as_ref());
            }
            self.put(" }\n");
        }
        self.put("\t}\n");
    }

    fn pair(&mut self, key: &Element, verdict: Option<&Verdict>) {
        self.element(key);
        if let Some(verdict) = verdict {
            self.put(" : ");
            self.verdict(verdict);
        }
    }

    fn base(&mut self, base: &Base) {
        let kind = match base.kind {
            BaseKind::Filter => "filter",
            BaseKind::Nat => "nat",
        };
        let hook = match base.hook {
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        };
        self.say(format_args!("type {kind} hook {hook} priority "));
        match words::priority_name(base.priority, base.hook) {
            Some((name, 0)) => self.put(name),
            Some((name, more @ 1..)) => self.say(format_args!("{name} + {more}")),
            Some((name, less)) => self.say(format_args!("{name} - {}", less.unsigned_abs())),
            None => self.say(format_args!("{}", base.priority)),
        }
        let policy = if base.accept { "accept" } else { "drop" };
        self.say(format_args!("; policy {policy};"));
    }

    fn rule(&mut self, rule: &Rule) {
        // nft writes `tcp dport 80` for `meta l4proto tcp th dport 80`, and then knows the protocol for the rest of the rule.
        let mut known = None;
        let mut first = true;
        let mut statements = rule.statements.iter().peekable();
        while let Some(statement) = statements.next() {
            if let Some(name) = ported(statement) {
                known = Some(name);
                if statements.peek().is_some_and(|next| uses_port(next)) {
                    continue;
                }
            }
            if !core::mem::take(&mut first) {
                self.put(" ");
            }
            self.statement(statement, known.unwrap_or("th"));
        }
        if let Some(comment) = &rule.comment {
            if !first {
                self.put(" ");
            }
            self.put("comment ");
            self.quoted(comment);
        }
    }

    fn statement(&mut self, statement: &Statement, ports_of: &str) {
        match statement {
            Statement::Match { field: Field::CtState, negate, value: Value::States(states) } => {
                self.states(*states, *negate);
            }
            Statement::Match { field, negate, value } => {
                self.field(*field, ports_of);
                self.put(if *negate { " != " } else { " " });
                self.value(value);
            }
            Statement::CtMarkMasked { mask, value, negate } => self.mark(*mask, *value, *negate),
            Statement::Lookup { key, set, negate } => {
                self.key(key, ports_of);
                self.say(format_args!(" {}@{set}", if *negate { "!= " } else { "" }));
            }
            Statement::Vmap { key, map } => {
                self.key(key, ports_of);
                self.say(format_args!(" vmap @{map}"));
            }
            Statement::OneIn(modulus) => {
                self.say(format_args!("numgen random mod {modulus} 0"));
            }
            Statement::Counter => self.put("counter packets 0 bytes 0"),
            Statement::Limit { over, per_second, burst } => {
                let over = if *over { "over " } else { "" };
                self.say(format_args!("limit rate {over}{per_second}/second"));
                // A burst of 5 packets is what nft takes if none is given, and does not show.
                if *burst != 5 {
                    self.say(format_args!(" burst {burst} packets"));
                }
            }
            Statement::Log(log) => self.log(log),
            Statement::Dnat { to, port } => self.dnat(*to, *port),
            Statement::Masquerade => self.put("masquerade"),
            Statement::Verdict(verdict) => self.verdict(verdict),
            Statement::Reject => self.put("reject"),
        }
    }

    fn key(&mut self, key: &Key, ports_of: &str) {
        for (at, field) in key.iter().enumerate() {
            if at > 0 {
                self.put(" . ");
            }
            self.field(*field, ports_of);
        }
    }

    fn field(&mut self, field: Field, ports_of: &str) {
        self.put(match field {
            Field::SourceV4 => "ip saddr",
            Field::DestinationV4 => "ip daddr",
            Field::SourceV6 => "ip6 saddr",
            Field::DestinationV6 => "ip6 daddr",
            Field::Protocol => "meta l4proto",
            Field::DestinationPort => return self.say(format_args!("{ports_of} dport")),
            Field::Icmpv6Type => "icmpv6 type",
            Field::InputName => "iifname",
            Field::CtState => "ct state",
        });
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::V4(address) => self.say(format_args!("{address}")),
            Value::PrefixV4(address, length) => self.say(format_args!("{address}/{length}")),
            Value::V6(address) => self.v6(*address),
            Value::PrefixV6(address, length) => {
                self.v6(*address);
                self.say(format_args!("/{length}"));
            }
            Value::Protocol(number) => self.protocol(*number),
            Value::Port(port) => self.say(format_args!("{port}")),
            Value::Ports(from, to) => self.say(format_args!("{from}-{to}")),
            Value::Icmpv6Types(from, to) if from == to => match words::icmpv6_type_name(*from) {
                Some(name) => self.put(name),
                None => self.say(format_args!("{from}")),
            },
            Value::Icmpv6Types(from, to) => self.say(format_args!("{from}-{to}")),
            Value::Interface(name) => self.quoted(name),
            Value::States(states) => self.state_list(*states),
        }
    }

    /// The negation is `!`, which asks for none of the states. `ct state != established,related` would compare with both bits at once,
    /// which no packet has, and so be true of every packet.
    fn states(&mut self, states: States, negate: bool) {
        self.put(if negate { "ct state ! " } else { "ct state " });
        self.state_list(states);
    }

    fn state_list(&mut self, states: States) {
        let States { invalid, established, related, new } = states;
        let all = [
            (invalid, "invalid"),
            (established, "established"),
            (related, "related"),
            (new, "new"),
        ];
        let mut first = true;
        for (_, name) in all.into_iter().filter(|(has, _)| *has) {
            if !core::mem::take(&mut first) {
                self.put(",");
            }
            self.put(name);
        }
        if first {
            self.put("0x0");
        }
    }

    fn mark(&mut self, mask: u32, value: u32, negate: bool) {
        let not = if negate { "!= " } else { "" };
        let length = mask.leading_ones();
        if mask == u32::MAX {
            self.say(format_args!("ct mark {not}0x{value:08x}"));
        } else if length == mask.count_ones() && value & !mask == 0 {
            // nft shows a mask of high bits as a prefix; it reads one with bits beyond the mask as if they were not there.
            self.say(format_args!("ct mark {not}0x{value:08x}/{length}"));
        } else {
            let is = if negate { "!=" } else { "==" };
            self.say(format_args!("ct mark & 0x{mask:08x} {is} 0x{value:08x}"));
        }
    }

    fn log(&mut self, log: &Log) {
        let Log { prefix, group, snaplen, queue_threshold } = log;
        self.put("log prefix ");
        self.quoted(prefix);
        self.say(format_args!(" group {group}"));
        if *snaplen > 0 {
            self.say(format_args!(" snaplen {snaplen}"));
        }
        if *queue_threshold > 0 {
            self.say(format_args!(" queue-threshold {queue_threshold}"));
        }
    }

    fn dnat(&mut self, to: IpAddr, port: Option<u16>) {
        match to {
            IpAddr::V4(address) => self.say(format_args!("dnat ip to {address}")),
            IpAddr::V6(address) => {
                self.put(if port.is_some() { "dnat ip6 to [" } else { "dnat ip6 to " });
                self.v6(address);
                self.put(if port.is_some() { "]" } else { "" });
            }
        }
        if let Some(port) = port {
            self.say(format_args!(":{port}"));
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Accept => self.put("accept"),
            Verdict::Drop => self.put("drop"),
            Verdict::Return => self.put("return"),
            Verdict::Jump(chain) => self.say(format_args!("jump {chain}")),
            Verdict::Goto(chain) => self.say(format_args!("goto {chain}")),
        }
    }

    fn op(&mut self, table: &str, op: &Op) {
        match op {
            Op::AddTable => self.say(format_args!("add table inet {table}")),
            Op::AddSet(name, SetShape { key, interval, map, size }) => {
                let (word, verdict) = if *map { ("map", " : verdict") } else { ("set", "") };
                let flags = if *interval { " flags interval;" } else { "" };
                let key = key_type(*key);
                let size = size.map(|size| format!(" size {size};")).unwrap_or_default();
                self.say(format_args!(
                    "add {word} inet {table} {name} {{ type {key}{verdict};{size}{flags} }}"
                ));
            }
            Op::AddChain(name, base) => {
                self.say(format_args!("add chain inet {table} {name}"));
                if let Some(base) = base {
                    self.put(" { ");
                    self.base(base);
                    self.put(" }");
                }
            }
            Op::FlushChain(name) => self.say(format_args!("flush chain inet {table} {name}")),
            Op::AddRule(name, rule) => {
                self.say(format_args!("add rule inet {table} {name} "));
                self.rule(rule);
            }
            Op::AddElements(name, elements) => self.elements("add", table, name, elements),
            Op::DelElements(name, elements) => self.elements("delete", table, name, elements),
            Op::DelChain(name) => self.say(format_args!("delete chain inet {table} {name}")),
            Op::DelSet(name) => self.say(format_args!("delete set inet {table} {name}")),
            Op::DelTable => self.say(format_args!("delete table inet {table}")),
        }
    }

    fn elements(
        &mut self,
        verb: &str,
        table: &str,
        name: &str,
        elements: &[(Element, Option<Verdict>)],
    ) {
        self.say(format_args!("{verb} element inet {table} {name} {{ "));
        for (at, (key, verdict)) in elements.iter().enumerate() {
            if at > 0 {
                self.put(", ");
            }
            self.pair(key, verdict.as_ref());
        }
        self.put(" }");
    }
}

fn key_type(key: SetKey) -> &'static str {
    match key {
        SetKey::V4 => "ipv4_addr",
        SetKey::V6 => "ipv6_addr",
        SetKey::Port => "inet_service",
        SetKey::ProtocolPort => "inet_proto . inet_service",
        SetKey::PairV4 => "ipv4_addr . ipv4_addr",
        SetKey::PairV6 => "ipv6_addr . ipv6_addr",
        SetKey::ServiceV4 => "ipv4_addr . inet_proto . inet_service",
        SetKey::ServiceV6 => "ipv6_addr . inet_proto . inet_service",
    }
}

/// How many elements nft puts on a line.
fn per_line(key: SetKey) -> usize {
    match key {
        SetKey::V4 => 2,
        SetKey::Port => 5,
        _ => 1,
    }
}

/// The protocol a statement fixes, if it is one whose ports have a name of their own.
fn ported(statement: &Statement) -> Option<&'static str> {
    let Statement::Match { field: Field::Protocol, negate: false, value: Value::Protocol(number) } =
        statement
    else {
        return None;
    };
    words::WITH_PORTS.iter().find(|(_, n)| n == number).map(|(name, _)| *name)
}

/// Whether a statement looks at the destination port.
fn uses_port(statement: &Statement) -> bool {
    match statement {
        Statement::Match { field, .. } => *field == Field::DestinationPort,
        Statement::Lookup { key, .. } | Statement::Vmap { key, .. } => {
            key.contains(&Field::DestinationPort)
        }
        _ => false,
    }
}
