//! Who is denied most, and how many records there are of what.

use crate::record::{End, Record, Verdict};
use crate::text::{Ink, Look, clean, point, who};
use crate::time::Time;
use crate::why::Why;
use core::fmt::Write as _;
use moat_sets::Protocol;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

/// Different rows that are kept: someone who scans ports makes 65535 of each pair of ends.
const ROWS_MAX: usize = 1 << 18;

/// How many records there are of what. Each record is in exactly one of these, the unknown ones excepted, which are extra.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Allowed by enforced policies.
    pub allowed: u64,
    /// Denied by enforced policies.
    pub denied: u64,
    /// Denied because a pod was not programmed yet.
    pub unprogrammed: u64,
    /// What a staged policy would allow.
    pub would_allow: u64,
    /// What a staged policy would deny.
    pub would_deny: u64,
    /// Records with a log prefix that is not Moat's.
    pub unknown_prefix: u64,
    /// Of those allowed or denied, the ones whose reason is not known any more.
    pub unknown_reason: u64,
}

impl Totals {
    /// Counts a record.
    pub fn add(&mut self, record: &Record) {
        let count = match (record.staged, record.verdict, &record.why) {
            (_, Verdict::Unknown, _) => &mut self.unknown_prefix,
            (true, Verdict::Allowed, _) => &mut self.would_allow,
            (true, Verdict::Denied, _) => &mut self.would_deny,
            (false, _, Why::Unprogrammed) => &mut self.unprogrammed,
            (false, Verdict::Allowed, _) => &mut self.allowed,
            (false, Verdict::Denied, _) => &mut self.denied,
        };
        *count += 1;
        self.unknown_reason += u64::from(matches!(record.why, Why::UnknownReason(_)));
    }
}

/// Denials of one source, destination, port and policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Who was denied.
    pub source: End,
    /// Who was not reached.
    pub destination: End,
    /// The protocol's number.
    pub protocol_number: u8,
    /// The policies that denied: `netpol shop/deny`, more than one with commas.
    pub policy: String,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Time,
    /// The last time.
    pub last: Time,
}

/// Counts records, and denials by who and why.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    totals: Totals,
    by_key: FxHashMap<Box<str>, usize>,
    rows: Vec<Row>,
    /// Denials that are in no row because there were too many rows.
    n_beyond: u64,
    key: String,
}

impl Summary {
    /// Counts a record.
    pub fn add(&mut self, record: &Record) {
        self.totals.add(record);
        if record.staged || record.verdict != Verdict::Denied {
            return;
        }
        self.key.clear();
        let (source, destination) = (who(&record.source), who(&record.destination));
        let _ = write!(self.key, "{source}\n{destination}\n{}", record.protocol_number);
        if let Some(port) = record.destination.port {
            let _ = write!(self.key, "\n{port}");
        }
        // A policy that has two rules on the way, or isolates by two, is one policy.
        let mut before = "";
        for policy in record.why.policies() {
            if policy != before {
                let _ = write!(self.key, "\n{policy}");
            }
            before = policy;
        }
        if record.why == Why::Unprogrammed {
            self.key.push_str("\n\n");
        }
        let idx = match self.by_key.get(self.key.as_str()) {
            Some(&idx) => idx,
            None if self.rows.len() >= ROWS_MAX => {
                self.n_beyond += 1;
                return;
            }
            None => {
                self.by_key.insert(self.key.as_str().into(), self.rows.len());
                self.rows.push(row(record));
                self.rows.len() - 1
            }
        };
        if let Some(row) = self.rows.get_mut(idx) {
            row.count += 1;
            row.first = row.first.min(record.time);
            row.last = row.last.max(record.time);
        }
    }

    /// How many records there are of what.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The rows with the most denials, at most `n`; of equal ones those first that come first by name.
    #[must_use]
    pub fn top(&self, n: usize) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_cached_key(|row| {
            let destination = (who(&row.destination), row.destination.port, row.protocol_number);
            (core::cmp::Reverse(row.count), who(&row.source), destination, row.policy.clone())
        });
        rows.truncate(n);
        rows
    }

    /// For a terminal: the `n` rows with the most denials, then the totals.
    #[must_use]
    pub fn text(&self, n: usize, look: Look<'_>) -> String {
        let rows: Vec<(String, String, &Row)> = self
            .top(n)
            .into_iter()
            .map(|row| {
                let end = &row.destination;
                let to = point(&who(end), end.address, end.port, row.protocol_number);
                (row.count.to_string(), format!("{} -> {to}", who(&row.source)), row)
            })
            .collect();
        let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let n_width = widest(&mut rows.iter().map(|(count, _, _)| count.len())).max("DENIED".len());
        let flow_width = widest(&mut rows.iter().map(|(_, flow, _)| flow.chars().count()));
        let mut out = String::new();
        if !rows.is_empty() {
            let head = format!("{:>n_width$}  {:flow_width$}  BY", "DENIED", "FLOW");
            let _ = writeln!(out, "{}", look.paint(Ink::Dim, &head));
        }
        for (count, flow, row) in &rows {
            let count = look.paint(Ink::Bad, &format!("{count:>n_width$}"));
            let _ = writeln!(out, "{count}  {flow:flow_width$}  {}", clean(&row.policy));
        }
        let n_more = self.rows.len() - rows.len();
        if n_more > 0 {
            let _ = writeln!(out, "… {n_more} more");
        }
        if self.n_beyond > 0 {
            let _ = writeln!(
                out,
                "… and {} denials of flows that were too many to tell apart",
                self.n_beyond
            );
        }
        if !out.is_empty() {
            out.push('\n');
        }
        let Totals {
            allowed,
            denied,
            unprogrammed,
            would_allow,
            would_deny,
            unknown_prefix,
            unknown_reason,
        } = self.totals;
        let _ = write!(out, "{allowed} allowed, {denied} denied");
        for (n, what) in [
            (unprogrammed, "denied before their pod was programmed"),
            (would_allow, "would be allowed by staged policies"),
            (would_deny, "would be denied by staged policies"),
            (unknown_reason, "for reasons that are not known any more"),
            (unknown_prefix, "with a log prefix that is not Moat's"),
        ] {
            if n > 0 {
                let _ = write!(out, ", {n} {what}");
            }
        }
        out.push('\n');
        out
    }

    /// As data, kind `FlowSummary`, with at most `n` rows.
    #[must_use]
    pub fn data(&self, n: usize) -> Value {
        let end = |end: &End| match &end.name {
            // One row may stand for many addresses of one name.
            crate::record::Name::Outside => json!({"kind": "outside", "name": end.address}),
            name => json!({"kind": name.kind(), "name": name.text()}),
        };
        let rows: Vec<Value> = self
            .top(n)
            .into_iter()
            .map(|row| {
                json!({
                    "source": end(&row.source),
                    "destination": end(&row.destination),
                    "port": row.destination.port,
                    "protocol": Protocol::of_number(row.protocol_number).name(),
                    "protocolNumber": row.protocol_number,
                    "policy": row.policy,
                    "count": row.count,
                    "first": row.first.to_string(),
                    "last": row.last.to_string(),
                })
            })
            .collect();
        let totals = self.totals;
        json!({
            "apiVersion": "moat.dev/v1",
            "kind": "FlowSummary",
            "totals": {
                "allowed": totals.allowed,
                "denied": totals.denied,
                "unprogrammed": totals.unprogrammed,
                "wouldAllow": totals.would_allow,
                "wouldDeny": totals.would_deny,
                "unknownPrefix": totals.unknown_prefix,
                "unknownReason": totals.unknown_reason,
            },
            "denied": rows,
            "moreRows": self.rows.len() - rows.len(),
            "deniedBeyond": self.n_beyond,
        })
    }
}

fn row(record: &Record) -> Row {
    let mut policies: Vec<&str> = record.why.policies().collect();
    policies.dedup();
    let policy = match &record.why {
        Why::Unprogrammed => "pod not programmed yet".to_owned(),
        Why::UnknownReason(_) => "not known any more".to_owned(),
        _ => policies.join(", "),
    };
    Row {
        source: record.source.clone(),
        destination: record.destination.clone(),
        protocol_number: record.protocol_number,
        policy,
        count: 0,
        first: record.time,
        last: record.time,
    }
}
