//! Test files: `tests:`, each with a name and one assertion. Whatever is not understood is an error, with its place.

use moat_analyze::check::{Assertion, Place, PortWord, Test, Word};
use moat_analyze::query::port;
use moat_load::Document;
use moat_model::{Data, Diagnostic, Pos, SourceId, Span, Value, codes};
use moat_sets::nearest;

/// Reads the tests of all documents.
pub(super) fn tests(documents: &[Document], findings: &mut Vec<Diagnostic>) -> Vec<Test> {
    let mut tests = Vec::new();
    for document in documents {
        let mut reader = Reader { source: document.source, findings };
        if reader.known(&document.value, &["apiVersion", "kind", "tests"]).is_none() {
            continue;
        }
        let Some(list) = document.value.get("tests") else {
            reader.error(
                document.value.pos,
                "no `tests` here".to_owned(),
                "a test file is a mapping with a list under `tests:`; `moat test --help` shows one",
            );
            continue;
        };
        if !matches!(list.data, Data::List(_)) {
            reader.wrong(list, "a list of tests");
        }
        tests.extend(list.items().iter().filter_map(|item| reader.test(item)));
    }
    tests
}

struct Reader<'d> {
    source: SourceId,
    findings: &'d mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn test(&mut self, value: &Value) -> Option<Test> {
        let words = Assertion::ALL.map(Assertion::name);
        let fields: Vec<&str> = ["name"].into_iter().chain(words).collect();
        self.known(value, &fields)?;
        let said: Vec<(Assertion, &Value)> = Assertion::ALL
            .into_iter()
            .filter_map(|assertion| Some((assertion, value.get(assertion.name())?)))
            .collect();
        let &[(assertion, body)] = said.as_slice() else {
            let message = if said.is_empty() {
                "this test asserts nothing".to_owned()
            } else {
                "this test makes several assertions".to_owned()
            };
            self.error(
                value.pos,
                message,
                "give exactly one of `allow`, `deny`, `only` and `at-most`",
            );
            return None;
        };
        self.known(body, &["from", "to", "port", "ports"])?;
        let from = self.words(body, "from")?;
        let to = self.words(body, "to")?;
        // Nobody may be on a list of those who may; nobody can be asked about.
        let empty = if to.is_empty() {
            Some("to")
        } else {
            (from.is_empty() && !assertion.is_about_everybody()).then_some("from")
        };
        if let Some(key) = empty {
            let pos = body.get(key).map_or(body.pos, |value| value.pos);
            self.error(pos, format!("`{key}` names nobody"), "name at least one pod or address");
            return None;
        }
        let ports = self.ports(body)?;
        let name = match value.get("name").map(|name| (name, name.as_str())) {
            Some((_, Some(name))) => name.to_owned(),
            Some((name, None)) => {
                self.wrong(name, "a string");
                return None;
            }
            None => default_name(assertion, &from, &to, &ports),
        };
        Some(Test { name, assertion, from, to, ports, place: self.place(value.pos) })
    }

    /// One name or a list of names.
    fn words(&mut self, body: &Value, key: &str) -> Option<Vec<Word>> {
        let Some(value) = body.get(key) else {
            self.error(
                body.pos,
                format!("`{key}` is missing"),
                "every assertion says `from` and `to`",
            );
            return None;
        };
        let mut words = Vec::new();
        for item in one_or_many(value) {
            match item.as_str() {
                Some(text) => {
                    words.push(Word { text: text.to_owned(), place: self.place(item.pos) });
                }
                None => {
                    self.wrong(item, "a name: `ns/pod`, `ns/kind/name`, `ns/svc/name`, `ns/*`, `ns/key=value`, an address, a CIDR or `outside`");
                    return None;
                }
            }
        }
        Some(words)
    }

    fn ports(&mut self, body: &Value) -> Option<Vec<PortWord>> {
        let mut words = Vec::new();
        for value in ["port", "ports"].into_iter().filter_map(|key| body.get(key)) {
            for item in one_or_many(value) {
                let text = match &item.data {
                    Data::Int(number) => number.to_string(),
                    Data::String(text) => text.to_string(),
                    _ => {
                        self.wrong(item, "a port: `80`, `http`, `53/UDP` or `ICMP`");
                        return None;
                    }
                };
                match port(&text) {
                    Ok((port, protocol)) => {
                        words.push(PortWord { port, protocol, place: self.place(item.pos) });
                    }
                    Err(error) => {
                        self.error(item.pos, error.message, error.help.unwrap_or_default());
                        return None;
                    }
                }
            }
        }
        Some(words)
    }

    /// Reports keys that mean nothing, and values that are no mapping; `None` when there was something to report.
    fn known(&mut self, value: &Value, fields: &[&str]) -> Option<()> {
        let n_before = self.findings.len();
        if !matches!(value.data, Data::Map(_)) {
            self.wrong(value, "a mapping");
        }
        for entry in value.entries() {
            if fields.contains(&entry.key.as_ref()) {
                continue;
            }
            let help = match nearest(&entry.key, fields.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", fields.join(", ")),
            };
            self.error(entry.key_pos, format!("unknown field `{}`", entry.key), help);
        }
        (self.findings.len() == n_before).then_some(())
    }

    fn wrong(&mut self, value: &Value, want: &str) {
        let message = format!("want {want}, found {}", value.kind());
        self.findings.push(Diagnostic::error(codes::WRONG_TYPE, self.span(value.pos), message));
    }

    fn error(&mut self, pos: Pos, message: String, help: impl Into<String>) {
        let finding = Diagnostic::error(codes::INVALID, self.span(pos), message).help(help);
        self.findings.push(finding);
    }

    fn span(&self, pos: Pos) -> Span {
        Span { source: self.source, pos }
    }

    fn place(&self, pos: Pos) -> Place {
        Place { source: self.source.0, line: pos.line, column: pos.column }
    }
}

fn one_or_many(value: &Value) -> &[Value] {
    match &value.data {
        Data::List(items) => items,
        _ => std::slice::from_ref(value),
    }
}

/// `allow a/web -> a/db`.
fn default_name(assertion: Assertion, from: &[Word], to: &[Word], ports: &[PortWord]) -> String {
    let list = |words: &[Word]| -> String {
        let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        if words.is_empty() { "nobody".to_owned() } else { words.join(", ") }
    };
    let ports = match ports {
        [] => String::new(),
        ports => {
            let ports: Vec<String> = ports.iter().map(PortWord::to_string).collect();
            format!(" on {}", ports.join(", "))
        }
    };
    format!("{} {} -> {}{ports}", assertion.name(), list(from), list(to))
}
