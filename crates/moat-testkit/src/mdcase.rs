//! The Markdown corpus: prose, objects, and lines that say what must come out.
//!
//! A file has YAML blocks before its first `##`, loaded at the start of each case. A case is a `## IDS: title` section whose fenced
//! blocks run in order: `yaml` applies, `delete` and `label` change, `expect` and `diagnostics` check.

use crate::Json;
use crate::engine;
use crate::point::{End, Flow, Half, Outcome, Reason};
use crate::service;
use crate::subject::{self, Subject};
use crate::wire;
use moat_ir::Verdict;
use moat_load::Input;
use moat_model::Value;
use moat_sets::{Family, Protocol};
use std::net::IpAddr;
use std::path::Path;

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its language: `yaml`, `expect`, ...
    pub kind: String,
    /// Its text.
    pub text: String,
    /// The line of its first line, from 1.
    pub line: usize,
}

/// A `##` section.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its heading.
    pub title: String,
    /// Its blocks.
    pub blocks: Vec<Block>,
}

/// A file.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Where it is.
    pub path: String,
    /// Blocks before the first case.
    pub base: Vec<Block>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// Takes a file apart.
#[must_use]
pub fn parse(path: &str, text: &str) -> Suite {
    let mut suite = Suite { path: path.to_owned(), base: Vec::new(), cases: Vec::new() };
    let mut open: Option<Block> = None;
    for (idx, line) in text.lines().enumerate() {
        if let Some(mut block) = open.take() {
            if line.trim_end() == "```" {
                suite.cases.last_mut().map_or(&mut suite.base, |case| &mut case.blocks).push(block);
            } else {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
        } else if let Some(kind) = line.strip_prefix("```") {
            open = Some(Block { kind: kind.trim().to_owned(), text: String::new(), line: idx + 2 });
        } else if let Some(title) = line.strip_prefix("## ") {
            suite.cases.push(Case { title: title.to_owned(), blocks: Vec::new() });
        }
    }
    assert!(open.is_none(), "{path}: a block is not closed");
    suite
}

/// What a run found.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// Cases run.
    pub cases: usize,
    /// `expect` and `diagnostics` lines checked.
    pub checks: usize,
    /// Lines that the subject cannot be asked.
    pub skipped: usize,
    /// `file:line: what is wrong`.
    pub failures: Vec<String>,
}

impl Report {
    /// Adds another report to this one.
    pub fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.checks += other.checks;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }
}

/// Runs every case of a file on the subject of a name.
#[must_use]
pub fn run(suite: &Suite, subject: &str) -> Report {
    let mut report = Report::default();
    for case in &suite.cases {
        report.cases += 1;
        let mut state = State::default();
        let mut found = Vec::new();
        for block in suite.base.iter().chain(&case.blocks) {
            state.run(block, subject, &mut report, &mut found);
        }
        report.failures.extend(
            found
                .into_iter()
                .map(|(line, text)| format!("{}:{line}: {}: {text}", suite.path, case.title)),
        );
    }
    report
}

/// The suites of `corpus/cases`, by name.
#[must_use]
pub fn corpus() -> Vec<Suite> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpus/cases"));
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "md"));
    paths.sort();
    assert!(!paths.is_empty());
    paths
        .iter()
        .map(|path| {
            let name = format!("corpus/cases/{}", path.file_name().unwrap().to_string_lossy());
            parse(&name, &std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The worlds that a suite asks about, each with the title of its case: the objects as they are at every `expect`.
#[must_use]
pub fn worlds(suite: &Suite) -> Vec<(String, Vec<Json>)> {
    let mut worlds = Vec::new();
    for case in &suite.cases {
        let mut state = State::default();
        let (mut report, mut found) = (Report::default(), Failures::new());
        for block in suite.base.iter().chain(&case.blocks) {
            if block.kind == "expect" {
                worlds.push((format!("{}: {}", suite.path, case.title), state.json()));
            } else if block.kind != "diagnostics" {
                state.run(block, "decide", &mut report, &mut found);
            }
        }
    }
    worlds.dedup_by(|a, b| a.1 == b.1);
    worlds
}

/// The objects of a case.
#[derive(Default)]
struct State {
    objects: Vec<Value>,
}

type Failures = Vec<(usize, String)>;

impl State {
    fn run(&mut self, block: &Block, subject: &str, report: &mut Report, found: &mut Failures) {
        let lines = || {
            block
                .text
                .lines()
                .enumerate()
                .map(|(idx, line)| (block.line + idx, line.trim()))
                .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        };
        match block.kind.as_str() {
            "yaml" => self.apply(block, found),
            "delete" => {
                for (line, text) in lines() {
                    match self.find(text) {
                        Some(at) => drop(self.objects.remove(at)),
                        None => found.push((line, format!("no object `{text}`"))),
                    }
                }
            }
            "label" => {
                for (line, text) in lines() {
                    if let Err(why) = self.label(text) {
                        found.push((line, why));
                    }
                }
            }
            "expect" => {
                let objects = self.json();
                let subject = subject::named(subject, &objects);
                for (line, text) in lines() {
                    match expect(text, &objects, subject.as_ref()) {
                        Ok(true) => report.checks += 1,
                        Ok(false) => report.skipped += 1,
                        Err(why) => found.push((line, why)),
                    }
                }
            }
            "diagnostics" => {
                let diagnostics = engine::lower(&self.json()).diagnostics;
                for (line, text) in lines() {
                    report.checks += 1;
                    if let Err(why) = diagnostic(text, &diagnostics) {
                        found.push((line, why));
                    }
                }
            }
            // Prose may show other languages.
            _ => {}
        }
    }

    fn json(&self) -> Vec<Json> {
        self.objects.iter().map(Json::from).collect()
    }

    fn apply(&mut self, block: &Block, found: &mut Failures) {
        let loaded = moat_load::load(&[Input::Text {
            name: "case.yaml".to_owned(),
            text: block.text.clone(),
        }]);
        for finding in loaded.diagnostics {
            found.push((block.line - 1 + finding.span.pos.line as usize, finding.message));
        }
        for document in loaded.documents {
            let new = identity(&document.value);
            match self.objects.iter().position(|have| identity(have) == new) {
                Some(at) => self.objects[at] = document.value,
                None => self.objects.push(document.value),
            }
        }
    }

    /// The object that `Kind name` or `Kind ns/name` names.
    fn find(&self, text: &str) -> Option<usize> {
        self.objects.iter().position(|have| {
            let (kind, namespace, name) = identity(have);
            text == if namespace.is_empty() {
                format!("{kind} {name}")
            } else {
                format!("{kind} {namespace}/{name}")
            }
        })
    }

    /// `Kind ns/name key=value` or `Kind ns/name key-`.
    fn label(&mut self, text: &str) -> Result<(), String> {
        let (object, edit) = text.rsplit_once(' ').ok_or("want `Kind ns/name key=value`")?;
        let at = self.find(object).ok_or_else(|| format!("no object `{object}`"))?;
        let mut json = Json::from(&self.objects[at]);
        if !json["metadata"]["labels"].is_object() {
            json["metadata"]["labels"] = serde_json::json!({});
        }
        let labels = json["metadata"]["labels"].as_object_mut().unwrap();
        match edit.split_once('=') {
            Some((key, value)) => drop(labels.insert(key.to_owned(), value.into())),
            None => {
                let key = edit.strip_suffix('-').ok_or("want `key=value` or `key-`")?;
                labels.remove(key).ok_or_else(|| format!("no label `{key}`"))?;
            }
        }
        self.objects[at] = Value::from(&json);
        Ok(())
    }
}

/// Kind, namespace and name.
fn identity(object: &Value) -> (String, String, String) {
    let json = Json::from(object);
    (wire::kind(&json).to_owned(), wire::namespace(&json).to_owned(), wire::name(&json).to_owned())
}

/// Checks `FROM -> TO:PORT[/PROTO] = VERDICT [by FACT, ...]`. `Ok(false)` when the subject cannot be asked.
fn expect(line: &str, objects: &[Json], subject: &dyn Subject) -> Result<bool, String> {
    let usage = "want `FROM -> TO:PORT[/PROTO] = allow|deny|undefined [by FACT, ...]`";
    let (flow, wanted) = line.split_once(" = ").ok_or(usage)?;
    let (from, to) = flow.split_once(" -> ").ok_or(usage)?;
    let (verdict, facts) =
        wanted.split_once(" by ").map_or((wanted, None), |(verdict, facts)| (verdict, Some(facts)));
    let (to, port) = to.rsplit_once(':').ok_or(usage)?;
    let (port, protocol) = port.split_once('/').unwrap_or((port, "TCP"));
    let protocol = Protocol::parse(protocol).ok_or_else(|| format!("no protocol `{protocol}`"))?;
    let wanted = match verdict.trim() {
        "allow" => Verdict::Allowed,
        "deny" => Verdict::Denied,
        "undefined" => Verdict::Undefined,
        other => return Err(format!("no verdict `{other}`")),
    };

    let outcomes = ask(from, to, port, protocol, objects, subject)?;
    let Some(outcomes) = outcomes else { return Ok(false) };
    let verdicts: Vec<Verdict> = outcomes.iter().map(|outcome| outcome.verdict).collect();
    let found = if verdicts.iter().all(|&verdict| verdict == Verdict::Denied) {
        // Also where there is nothing behind a Service.
        Verdict::Denied
    } else if verdicts.iter().all(|&verdict| verdict == Verdict::Allowed) {
        Verdict::Allowed
    } else {
        Verdict::Undefined
    };
    let shown: Vec<String> = outcomes.iter().map(ToString::to_string).collect();
    if found != wanted {
        return Err(format!(
            "`{line}`: {} says {}: {}",
            subject.name(),
            found.name(),
            shown.join(" | ")
        ));
    }
    for text in facts.into_iter().flat_map(|facts| facts.split(',')) {
        let mut holds = false;
        for outcome in outcomes.iter().filter(|outcome| outcome.verdict == found) {
            holds |= fact(text.trim(), outcome)?;
        }
        if !holds {
            return Err(format!(
                "`{line}`: {} does not say `{}`: {}",
                subject.name(),
                text.trim(),
                shown.join(" | ")
            ));
        }
    }
    Ok(true)
}

/// The answers to one line: one for each family and backend. `None` when the subject does not know an end.
fn ask(
    from: &str,
    to: &str,
    port: &str,
    protocol: Protocol,
    objects: &[Json],
    subject: &dyn Subject,
) -> Result<Option<Vec<Outcome>>, String> {
    let from = end(from, objects)?;
    let protocol_name = if protocol == Protocol::Other { "ICMP" } else { protocol.name() };
    let parts: Vec<&str> = to.split('/').collect();
    let targets: Vec<(End, u16)> = if let [namespace, "svc", name] = parts.as_slice() {
        let backends = service::backends(objects, namespace, name, port, protocol_name);
        backends
            .into_iter()
            .map(|to| (End::Pod { namespace: to.namespace, name: to.name }, to.port))
            .collect()
    } else {
        vec![(end(to, objects)?, port.parse().map_err(|_| format!("no port `{port}`"))?)]
    };
    let mut outcomes = Vec::new();
    for (to, port) in targets {
        let (have, want) = (families(&from, objects), families(&to, objects));
        let shared: Vec<Family> = Family::BOTH
            .into_iter()
            .filter(|family| have.contains(family) && want.contains(family))
            .collect();
        if shared.is_empty() {
            return Err(format!("{from} and {to} share no IP family"));
        }
        for family in shared {
            let flow = Flow { from: from.clone(), to: to.clone(), protocol, port, family };
            match subject.decide(&flow) {
                Some(outcome) => outcomes.push(outcome),
                None => return Err(format!("{} does not know an end of {flow}", subject.name())),
            }
        }
    }
    // Only the engine has pods of workloads.
    let of_workload = |end: &End| matches!(end, End::Pod { name, .. } if name.contains('/'));
    let askable = subject.name() == "decide"
        || !(of_workload(&from) || parts.len() == 3 && parts[1] != "svc");
    Ok(askable.then_some(outcomes))
}

/// `ns/pod`, `ns/kind/name`, an address (a pod's address is the pod), or `domain/name`.
fn end(text: &str, objects: &[Json]) -> Result<End, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        let pod = wire::pods(objects)
            .into_iter()
            .find(|pod| !pod.host_network && pod.addresses.contains(&address));
        return Ok(pod.map_or(End::Address(address), |pod| End::Pod {
            namespace: pod.namespace,
            name: pod.name,
        }));
    }
    match text.split_once('/') {
        Some(("domain", name)) => Ok(End::Domain(name.to_owned())),
        Some((namespace, name)) => {
            Ok(End::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        None => Err(format!("`{text}` is neither `ns/pod` nor an address")),
    }
}

/// The families an end can be reached by; IPv4 for pods whose addresses are not known.
fn families(end: &End, objects: &[Json]) -> Vec<Family> {
    match end {
        End::Address(address) => vec![Family::of(*address)],
        End::Domain(_) => Family::BOTH.to_vec(),
        End::Pod { namespace, name } => {
            let pod = wire::pods(objects)
                .into_iter()
                .find(|pod| pod.namespace == *namespace && pod.name == *name);
            pod.map(|pod| pod.families())
                .filter(|found| !found.is_empty())
                .unwrap_or_else(|| vec![Family::V4])
        }
    }
}

/// Whether an answer shows a fact.
fn fact(text: &str, outcome: &Outcome) -> Result<bool, String> {
    let (direction, what) = text.split_once(' ').unwrap_or((text, ""));
    let half: &Half = match direction {
        "ingress" => &outcome.ingress,
        "egress" => &outcome.egress,
        _ => return Err(format!("no fact `{text}`")),
    };
    // A policy without kind is a NetworkPolicy: `ns/name`.
    let id = |name: &str| {
        if ["cnp/", "anp/", "banp/"].iter().any(|short| name.starts_with(short)) {
            name.to_owned()
        } else {
            format!("np/{name}")
        }
    };
    Ok(match what {
        "" => half.verdict == Verdict::Denied,
        "default" => half.reason == Reason::Default,
        "exempt" => matches!(half.reason, Reason::Exempt(_)),
        "unmanaged" => half.reason == Reason::Unmanaged,
        _ => match (
            what.strip_prefix("isolated "),
            what.strip_suffix(']').and_then(|what| what.rsplit_once('[')),
        ) {
            (Some(policy), _) => {
                matches!(&half.reason, Reason::Isolated(policies) if policies.contains(&id(policy)))
            }
            (None, Some((policy, index))) => {
                let index: usize =
                    index.parse().map_err(|_| format!("no rule index in `{text}`"))?;
                matches!(&half.reason, Reason::Rules(rules) if rules.contains(&(id(policy), index)))
            }
            (None, None) => return Err(format!("no fact `{text}`")),
        },
    })
}

/// Checks `SEVERITY Kind ns/name FIELD.PATH: SUBSTRING`.
fn diagnostic(line: &str, found: &[moat_model::Diagnostic]) -> Result<(), String> {
    let usage = "want `SEVERITY Kind ns/name FIELD.PATH: SUBSTRING`";
    let (head, substring) = line.split_once(": ").ok_or(usage)?;
    let [severity, kind, name, path] = head.split(' ').collect::<Vec<_>>()[..] else {
        return Err(usage.to_owned());
    };
    let object = format!("{kind} {name}");
    let of_object: Vec<_> =
        found.iter().filter(|finding| finding.object.as_deref() == Some(&object)).collect();
    let holds = |finding: &&&moat_model::Diagnostic| {
        finding.severity.name() == severity
            && finding.path == path
            && finding.message.contains(substring)
    };
    if of_object.iter().any(|finding| holds(&finding)) {
        return Ok(());
    }
    let shown: Vec<String> = of_object
        .iter()
        .map(|finding| format!("{} {}: {}", finding.severity, finding.path, finding.message))
        .collect();
    Err(format!("`{line}`: found only [{}]", shown.join(" | ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# T\n```yaml\na: 1\n```\n\n## X-1: one\nwords\n```expect\na/b -> c/d:80 = allow\n```\n";

    #[test]
    fn blocks_before_a_heading_are_the_base() {
        let suite = parse("t.md", TEXT);
        assert_eq!(suite.base.len(), 1);
        assert_eq!((suite.cases.len(), suite.cases[0].title.as_str()), (1, "X-1: one"));
        assert_eq!(
            (suite.cases[0].blocks[0].kind.as_str(), suite.cases[0].blocks[0].line),
            ("expect", 9)
        );
    }
}
