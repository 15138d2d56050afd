//! `moat explain --flows`: a verdict a line, in order, as a stream.
//!
//! A flow is an object with `from`, `to`, `port` (a number, or a string as on the command line) and `protocol` (TCP unless said).
//! Flow logs have more fields, which are ignored; only one that can be nothing but a slip for a missing field is an error. Each answer
//! begins with the number of the line it answers; blank lines have none.

use crate::args::{Explain, ExplainOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::world::World;
use moat_analyze::flow::{FlowAnswer, flow};
use moat_analyze::query::{Names, Port, QueryError, port};
use moat_sets::{Protocol, mistakes};
use rayon::prelude::*;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::error::Category;
use serde_json::json;
use std::borrow::Cow;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read, Write};

/// A flow as written.
#[derive(Debug, Default)]
struct Line<'l> {
    from: Option<Word<'l>>,
    to: Option<Word<'l>>,
    port: Option<Word<'l>>,
    protocol: Option<Word<'l>>,
    /// Fields that are none of a flow.
    others: Vec<Cow<'l, str>>,
    /// A field that is given more than once.
    twice: Option<&'static str>,
}

/// A field of a flow, of whatever type.
#[derive(Debug)]
enum Word<'l> {
    Text(Cow<'l, str>),
    Number(u64),
    Null,
    /// Something else, in words.
    Other(&'static str),
}

impl<'de> Deserialize<'de> for Word<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Word::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Word::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Word::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Word::Other("a negative number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Word::Other("no whole number"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Word::Other("true or false"))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Word::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Word::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Word::Other("an object"))
    }
}

impl<'de> Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flow")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut line = Line::default();
        while let Some(Key(key)) = map.next_key()? {
            let (field, name) = match key.as_ref() {
                "from" => (&mut line.from, "from"),
                "to" => (&mut line.to, "to"),
                "port" => (&mut line.port, "port"),
                "protocol" => (&mut line.protocol, "protocol"),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    line.others.push(key);
                    continue;
                }
            };
            if field.is_some() {
                line.twice = Some(name);
            }
            *field = Some(map.next_value()?);
        }
        Ok(line)
    }
}

/// A field's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'l>(#[serde(borrow)] Cow<'l, str>);

pub(crate) fn run(args: &Explain, flows: &str) -> Outcome {
    if !matches!(args.output, ExplainOutput::Jsonl | ExplainOutput::Text) {
        return Err(Failure::with_help("--flows gives one JSON object a line", "use -o jsonl"));
    }
    if flows == "-" && args.common.files.iter().any(|file| file == "-") {
        return Err(Failure::input("standard input cannot be both the manifests and the flows"));
    }
    let world = World::read(&args.common)?;
    let services = world.services();
    let names = Names::new(&world.bound, &services, &args.common.namespace);
    if flows == "-" {
        answer(&names, std::io::stdin().lock(), std::io::stdout().lock())?;
        return world.ended(Ended::Yes);
    }
    let unreadable = |why: &dyn fmt::Display| {
        Failure::with_help(
            format!("cannot read `{flows}`: {why}"),
            "name a file with one flow a line, or - for standard input",
        )
    };
    let file = std::fs::File::open(flows).map_err(|error| unreadable(&error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(unreadable(&"it is a directory"));
    }
    answer(&names, file, std::io::stdout().lock())?;
    world.ended(Ended::Yes)
}

/// Longest line that is read, in bytes; a longer one is an error line in the answer.
const LINE_MAX: usize = 1 << 20;
/// Bytes that are read at once; what has come is answered in parallel, and nothing waits for more to come.
const CHUNK: usize = 1 << 20;
/// Lines that one task answers.
const LINES_EACH: usize = 256;

fn answer(names: &Names<'_>, input: impl Read, mut output: impl Write) -> Outcome {
    let mut input = BufReader::with_capacity(CHUNK, input);
    let mut n_before = 0u64;
    let (mut any, mut bad) = (false, false);
    loop {
        let lines = some_lines(&mut input)?;
        if lines.is_empty() {
            break;
        }
        let answers: Vec<(Vec<u8>, bool)> = lines
            .par_chunks(LINES_EACH)
            .enumerate()
            .map(|(at, lines)| {
                let first = n_before + 1 + (at * LINES_EACH) as u64;
                some_answers(names, lines, first)
            })
            .collect();
        for (text, some_bad) in answers {
            any |= !text.is_empty();
            bad |= some_bad;
            output.write_all(&text)?;
        }
        // Whoever feeds us line by line waits for the answer.
        output.flush()?;
        n_before += lines.len() as u64;
    }
    if bad {
        return Err(Failure::with_help(
            "some lines are no flows that can be answered",
            "their answers have `verdict` `error` and say why",
        ));
    }
    if !any {
        crate::out::remark("note: there was no flow to answer");
    }
    Ok(Ended::Yes)
}

/// At least one line, and all others that have come; none at the end.
fn some_lines<R: Read>(input: &mut BufReader<R>) -> std::io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        let n_read = input.by_ref().take(LINE_MAX as u64).read_until(b'\n', &mut line)?;
        if n_read == LINE_MAX && !line.ends_with(b"\n") {
            skip_line(input)?;
        }
        if n_read > 0 {
            lines.push(line);
        }
        if n_read == 0 || !input.buffer().contains(&b'\n') {
            return Ok(lines);
        }
    }
}

/// Reads over the rest of a line that is too long.
fn skip_line<R: Read>(input: &mut BufReader<R>) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let n = end.map_or(buffer.len(), |at| at + 1);
        if n == 0 {
            return Ok(());
        }
        input.consume(n);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// The answers to lines, of which the first has this number; whether some are errors.
fn some_answers(names: &Names<'_>, lines: &[Vec<u8>], first: u64) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(lines.len() * 256);
    let mut bad = false;
    for (number, line) in (first..).zip(lines) {
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let result = if line.len() >= LINE_MAX {
            Err(refuse(format!("the line is longer than {LINE_MAX} bytes"), ""))
        } else {
            parse(text).and_then(|line| one(names, &line))
        };
        match result {
            Ok(found) => {
                let (bound, verdict) = (names.bound(), found.verdict.name());
                let answer =
                    moat_report::explain::flow_line(bound, &found.answer, verdict, found.note);
                write(&mut out, number, &answer);
            }
            Err(error) => {
                bad = true;
                let answer =
                    json!({"verdict": "error", "error": error.message, "help": error.help});
                write(&mut out, number, &answer);
            }
        }
    }
    (out, bad)
}

/// Writes an answer, which is a JSON object with fields, behind the number of its line.
fn write(out: &mut Vec<u8>, number: u64, answer: &impl Serialize) {
    out.extend_from_slice(b"{\"line\":");
    out.extend_from_slice(number.to_string().as_bytes());
    let brace = out.len();
    // Writing to memory fails only if the answer is no JSON, which it is by its type.
    let written = serde_json::to_writer(&mut *out, answer);
    debug_assert!(written.is_ok(), "{written:?}");
    if let Some(byte) = out.get_mut(brace) {
        *byte = b',';
    }
    out.push(b'\n');
}

const EXAMPLE: &str =
    r#"a flow is written {"from":"ns/pod","to":"ns/pod","port":80,"protocol":"TCP"}"#;

fn refuse(message: String, help: &str) -> QueryError {
    QueryError { message, help: (!help.is_empty()).then(|| help.to_owned()) }
}

fn parse(text: &[u8]) -> Result<Line<'_>, QueryError> {
    if text.first() != Some(&b'{') {
        return Err(refuse("not a JSON object".to_owned(), EXAMPLE));
    }
    serde_json::from_slice(text).map_err(|error| {
        let place = match error.classify() {
            Category::Eof => "it ends too early".to_owned(),
            _ => format!("column {}", error.column()),
        };
        refuse(format!("not valid JSON: {place}"), EXAMPLE)
    })
}

/// A field that must be a text.
fn text<'w>(word: Option<&'w Word<'_>>, name: &str) -> Result<Option<&'w str>, QueryError> {
    match word {
        None | Some(Word::Null) => Ok(None),
        Some(Word::Text(text)) => Ok(Some(text)),
        Some(Word::Number(_)) => {
            Err(refuse(format!("`{name}` is a number and must be a string"), ""))
        }
        Some(Word::Other(what)) => {
            Err(refuse(format!("`{name}` is {what} and must be a string"), ""))
        }
    }
}

fn one(names: &Names<'_>, line: &Line<'_>) -> Result<FlowAnswer, QueryError> {
    if let Some(name) = line.twice {
        return Err(refuse(format!("`{name}` is given more than once"), ""));
    }
    let missing = |name: &str| {
        let help = line
            .others
            .iter()
            .find(|other| mistakes(other, name).is_some())
            .map(|other| format!("is `{other}` meant to be `{name}`?"));
        let help = help.unwrap_or_else(|| EXAMPLE.to_owned());
        refuse(format!("no `{name}`"), &help)
    };
    let from = text(line.from.as_ref(), "from")?.ok_or_else(|| missing("from"))?;
    let to = text(line.to.as_ref(), "to")?.ok_or_else(|| missing("to"))?;
    let said = match text(line.protocol.as_ref(), "protocol")? {
        Some(text) => Some(Protocol::parse(text).ok_or_else(|| {
            refuse(format!("`{text}` is no protocol"), "use TCP, UDP, SCTP or ICMP")
        })?),
        None => match line.others.iter().find(|other| means_protocol(other)) {
            // TCP would be a guess, and the line says what it is.
            Some(other) => {
                return Err(refuse(
                    format!("`{other}` is no field of a flow"),
                    "name the protocol in `protocol`; without it TCP is meant",
                ));
            }
            None => None,
        },
    };
    let (port, protocol) = match &line.port {
        None | Some(Word::Null) if said == Some(Protocol::Other) => (Port::Number(0), said),
        None | Some(Word::Null) => {
            return Err(match port_in(to) {
                Some(port) => refuse(
                    format!("`to` is `{to}`, and no `port` is given"),
                    &format!("write `{port}` as the line's `port`"),
                ),
                None => missing("port"),
            });
        }
        Some(Word::Number(number)) => match u16::try_from(*number) {
            Ok(number) if number > 0 || said == Some(Protocol::Other) => {
                (Port::Number(number), said)
            }
            _ => return Err(refuse(format!("port `{number}` is out of range"), PORTS)),
        },
        Some(Word::Text(text)) => {
            let (port, protocol) = port(text)?;
            let in_port = (protocol == Protocol::Other || text.contains('/')).then_some(protocol);
            match (in_port, said) {
                (Some(own), Some(said)) if own != said => {
                    return Err(refuse(
                        format!("`port` says {own} and `protocol` says {said}"),
                        "",
                    ));
                }
                _ => (port, in_port.or(said)),
            }
        }
        Some(Word::Other(what)) => {
            return Err(refuse(format!("`port` is {what} and must be a port or its name"), PORTS));
        }
    };
    if let Some(port) = port_in(to) {
        return Err(refuse(
            format!("`to` is `{to}`, with a port of its own"),
            &format!("`{port}` belongs in `port`"),
        ));
    }
    flow(names, from, to, &port, protocol)
}

const PORTS: &str = "ports are 1 to 65535";

/// What follows a name's only colon: names have none, and IPv6 addresses more than one.
fn port_in(to: &str) -> Option<&str> {
    let (name, port) = to.split_once(':')?;
    (!name.is_empty() && !port.contains(':')).then_some(port)
}

/// Whether a field that is not ours can only mean the protocol.
fn means_protocol(field: &str) -> bool {
    let lower = field.to_ascii_lowercase();
    lower.contains("proto") || lower == "prot" || mistakes(field, "protocol").is_some()
}
