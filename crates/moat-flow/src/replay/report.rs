//! A replay as text and as data: kind `FlowReplay`.

use super::{Recorded, Replay, Told};
use crate::text::{Ink, Look, clean, point, who};
use crate::time::Time;
use core::fmt::Write as _;
use moat_ir::Verdict;
use moat_sets::Protocol;
use serde_json::{Value, json};

/// Flows of one list that are told one by one; data has them all.
const SHOWN_MAX: usize = 100;

impl Replay {
    /// For a terminal: what would change, what cannot be decided, and a summary as the last line.
    #[must_use]
    pub fn text(&self, look: Look<'_>) -> String {
        let mut out = String::new();
        for change in self.changes.iter().take(SHOWN_MAX) {
            let (ink, word) = match change.now.verdict {
                Verdict::Allowed => (Ink::Good, "NOW ALLOWED  "),
                Verdict::Denied => (Ink::Bad, "NOW DENIED   "),
                Verdict::Undefined => (Ink::Doubt, "NOW UNDEFINED"),
            };
            head(&mut out, &look.paint(ink, word), &change.flow, look);
            for (word, told) in [("then", &change.then), ("now", &change.now)] {
                let _ = writeln!(
                    out,
                    "    {word:4}  {:9}  {}",
                    told.verdict.name(),
                    clean(&told.reasons.join("; "))
                );
            }
            for note in &change.notes {
                let _ = writeln!(out, "    {}  {}", look.paint(Ink::Doubt, "note"), clean(note));
            }
        }
        more(&mut out, self.changes.len(), "changes");
        for undecided in self.undecided.iter().take(SHOWN_MAX) {
            head(&mut out, &look.paint(Ink::Doubt, "NOT DECIDED  "), &undecided.flow, look);
            let _ = writeln!(out, "    cannot be decided: {}", clean(&undecided.because));
        }
        more(&mut out, self.undecided.len(), "flows that cannot be decided");
        if !out.is_empty() {
            out.push('\n');
        }
        let skipped = self.skipped;
        let _ = writeln!(
            out,
            "{} in {}: {} would change, {} would not, {} cannot be decided",
            count(self.n_records, "record", "records"),
            count(self.n_flows, "flow", "flows"),
            self.changes.len(),
            self.n_same,
            self.undecided.len(),
        );
        let skipped: Vec<String> = [
            (skipped.staged, "of staged policies"),
            (skipped.unprogrammed, "of pods that were not programmed yet"),
            (skipped.unknown, "of no known verdict"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", count(n, "record", "records")))
        .collect();
        if !skipped.is_empty() {
            let _ = writeln!(out, "left out: {}", skipped.join(", "));
        }
        out
    }

    /// As data.
    #[must_use]
    pub fn data(&self) -> Value {
        let changes = self.changes.iter().map(|change| {
            let mut value = flow(&change.flow);
            if let Some(map) = value.as_object_mut() {
                map.insert("then".to_owned(), told(&change.then));
                map.insert("now".to_owned(), told(&change.now));
                map.insert("notes".to_owned(), json!(change.notes));
            }
            value
        });
        let undecided = self.undecided.iter().map(|undecided| {
            let mut value = flow(&undecided.flow);
            if let Some(map) = value.as_object_mut() {
                map.insert("because".to_owned(), json!(undecided.because));
            }
            value
        });
        json!({
            "apiVersion": "moat.dev/v1",
            "kind": "FlowReplay",
            "records": self.n_records,
            "flows": self.n_flows,
            "same": self.n_same,
            "changes": changes.collect::<Vec<Value>>(),
            "undecided": undecided.collect::<Vec<Value>>(),
            "skipped": {
                "staged": self.skipped.staged,
                "unprogrammed": self.skipped.unprogrammed,
                "unknown": self.skipped.unknown,
            },
        })
    }
}

fn head(out: &mut String, word: &str, flow: &Recorded, look: Look<'_>) {
    let destination = &flow.destination;
    let to = point(&who(destination), destination.address, destination.port, flow.protocol_number);
    let names = look.paint(Ink::Bold, &format!("{} -> {to}", who(&flow.source)));
    let n_records = count(flow.n_records, "record", "records");
    let when = if flow.first == flow.last {
        second(flow.first)
    } else {
        format!("{} to {}", second(flow.first), second(flow.last))
    };
    let _ =
        writeln!(out, "{word}  {names}  {}", look.paint(Ink::Dim, &format!("{n_records}, {when}")));
}

/// To the second.
fn second(time: Time) -> String {
    time.to_string().split('.').next().map(|text| format!("{text}Z")).unwrap_or_default()
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn more(out: &mut String, n: usize, what: &str) {
    if n > SHOWN_MAX {
        let _ = writeln!(out, "… {} more {what}; `-o json` has all", n - SHOWN_MAX);
    }
}

fn flow(flow: &Recorded) -> Value {
    let protocol = Protocol::of_number(flow.protocol_number);
    let end = |end: &crate::record::End| json!({"kind": end.name.kind(), "name": end.name.text(), "address": end.address});
    json!({
        "source": end(&flow.source),
        "destination": end(&flow.destination),
        "port": flow.destination.port,
        "protocol": protocol.name(),
        "protocolNumber": flow.protocol_number,
        "records": flow.n_records,
        "first": flow.first.to_string(),
        "last": flow.last.to_string(),
    })
}

fn told(told: &Told) -> Value {
    json!({"verdict": told.verdict.name(), "reasons": told.reasons})
}
