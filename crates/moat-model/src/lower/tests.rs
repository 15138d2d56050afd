//! Lowering, one subject a file. Documents are written in the flow style of YAML, so that places can be checked too.

mod cluster_policy_tests;
mod kind_tests;
mod namespace_tests;
mod network_policy_tests;
mod port_tests;
mod refusal_tests;
mod selector_tests;
mod service_tests;
mod taint_tests;
mod unreadable_tests;
mod workload_tests;

use super::{Lowered, Options, lower};
use crate::policy::Policy;
use crate::value::{Data, Entry, Pos, SourceId, Value};

/// Lowers documents that are separated by lines of `---`.
fn lowered(text: &str) -> Lowered {
    let values = values(text);
    lower(values.iter().map(|value| (SourceId(0), value)), &[], &Options::default())
}

/// The one policy among documents.
fn policy(text: &str) -> Policy {
    let lowered = lowered(text);
    assert_eq!(lowered.policies.len(), 1, "{text}: {:#?}", lowered.diagnostics);
    lowered.policies[0].clone()
}

/// A NetworkPolicy `a/p` with this spec.
fn np(spec: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: a}}, spec: {spec}}}"
    )
}

/// A ClusterNetworkPolicy `p` of the Admin tier on every pod, with these further fields.
fn cnp(fields: &str) -> String {
    format!(
        "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: p}}, \
         spec: {{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, {fields}}}}}"
    )
}

/// Findings as `severity path: message`.
fn findings(text: &str) -> Vec<String> {
    let line =
        |found: &crate::Diagnostic| format!("{} {}: {}", found.severity, found.path, found.message);
    lowered(text).diagnostics.iter().map(line).collect()
}

/// Checks that the document has this one finding; the wanted text may leave the end of the message out.
fn check_finding(text: &str, wanted: &str) {
    let found = findings(text);
    assert!(
        found.len() == 1 && found[0].starts_with(wanted),
        "{text}\nwant {wanted}\nfound {found:#?}"
    );
}

fn values(text: &str) -> Vec<Value> {
    let mut reader = Flow { rest: text, pos: Pos { line: 1, column: 1 } };
    let mut values = Vec::new();
    loop {
        reader.space();
        if let Some(rest) = reader.rest.strip_prefix("---") {
            reader.take(reader.rest.len() - rest.len());
        } else if reader.rest.is_empty() {
            return values;
        } else {
            values.push(reader.value());
        }
    }
}

/// A reader of as much flow style as tests need: mappings, lists, quoted and plain scalars.
struct Flow<'t> {
    rest: &'t str,
    pos: Pos,
}

impl<'t> Flow<'t> {
    fn take(&mut self, len: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(len);
        for letter in taken.chars() {
            if letter == '\n' {
                self.pos = Pos { line: self.pos.line + 1, column: 1 };
            } else {
                self.pos.column += 1;
            }
        }
        self.rest = rest;
        taken
    }

    fn space(&mut self) {
        self.take(self.rest.len() - self.rest.trim_start().len());
    }

    /// Takes a sign if it comes next.
    fn sign(&mut self, sign: char) -> bool {
        self.space();
        let found = self.rest.starts_with(sign);
        if found {
            self.take(1);
        }
        found
    }

    fn scalar(&mut self) -> (&'t str, bool) {
        self.space();
        if self.sign('"') {
            let text = self.take(self.rest.find('"').unwrap());
            self.take(1);
            return (text, true);
        }
        // A colon inside a plain scalar is part of it, as in an IPv6 address.
        let ends = |at: usize, letter: char| {
            matches!(letter, ',' | '}' | ']' | '\n')
                || letter == ':'
                    && !self.rest[at + 1..].starts_with(|next: char| !next.is_whitespace())
        };
        let end = self.rest.char_indices().find(|&(at, letter)| ends(at, letter));
        (self.take(end.map_or(self.rest.len(), |(at, _)| at)).trim_end(), false)
    }

    fn value(&mut self) -> Value {
        self.space();
        let pos = self.pos;
        let data = if self.sign('{') {
            let mut entries = Vec::new();
            while !self.sign('}') {
                self.space();
                let key_pos = self.pos;
                let (key, _) = self.scalar();
                assert!(self.sign(':'), "no `:` after `{key}` at {key_pos:?}");
                entries.push(Entry { key: key.into(), key_pos, value: self.value() });
                self.sign(',');
            }
            Data::Map(entries)
        } else if self.sign('[') {
            let mut items = Vec::new();
            while !self.sign(']') {
                let n_left = self.rest.len();
                items.push(self.value());
                self.sign(',');
                assert!(
                    self.rest.len() < n_left,
                    "no item at {:?} in the `[` at {pos:?}",
                    self.pos
                );
            }
            Data::List(items)
        } else {
            let (text, quoted) = self.scalar();
            match text {
                _ if quoted => Data::String(text.into()),
                "" | "null" => Data::Null,
                "true" => Data::Bool(true),
                "false" => Data::Bool(false),
                _ => match (text.parse::<i64>(), text.parse::<f64>()) {
                    (Ok(number), _) => Data::Int(number),
                    (_, Ok(_)) => Data::Float(text.into()),
                    _ => Data::String(text.into()),
                },
            }
        };
        Value { pos, data }
    }
}

#[test]
fn the_helper_reads_flow_style() {
    let found = values("{a: [1, x/y.z, \"80\"],\n b: {c: null, d: fd00::1}}\n---\n{e: 1.5}");
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].get("a").unwrap().items()[2].data, Data::String("80".into()));
    assert_eq!(found[0].at(&["b", "d"]).unwrap().as_str(), Some("fd00::1"));
    assert_eq!(found[0].at(&["b", "c"]).unwrap().pos, Pos { line: 2, column: 9 });
    assert_eq!(found[1].get("e").unwrap().data, Data::Float("1.5".into()));
}
