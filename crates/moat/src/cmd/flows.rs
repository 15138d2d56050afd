//! `moat explain --flows`: a verdict a line, in order, as a stream.

use crate::args::{Explain, ExplainOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::world::World;
use moat_analyze::flow::{FlowAnswer, flow};
use moat_analyze::query::{Names, QueryError};
use moat_sets::{Protocol, ServicePoint};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::io::{BufRead as _, BufReader, Read, Write};

#[derive(Debug, Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    from: Cow<'l, str>,
    #[serde(borrow)]
    to: Cow<'l, str>,
    #[serde(default)]
    port: u32,
    #[serde(default, borrow)]
    protocol: Option<Cow<'l, str>>,
}

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
        return answer(&names, std::io::stdin().lock(), std::io::stdout().lock());
    }
    let file = std::fs::File::open(flows)
        .map_err(|error| Failure::input(format!("cannot read `{flows}`: {error}")))?;
    answer(&names, file, std::io::stdout().lock())
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
    let mut bad = false;
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
            bad |= some_bad;
            output.write_all(&text)?;
        }
        // Whoever feeds us line by line waits for the answer.
        output.flush()?;
        n_before += lines.len() as u64;
    }
    if bad {
        Err(Failure::with_help(
            "some lines are no flows that can be answered",
            "their answers have `verdict` `error` and say why",
        ))
    } else {
        Ok(Ended::Yes)
    }
}

/// At least one line, and all others that have come; none at the end.
fn some_lines<R: Read>(input: &mut BufReader<R>) -> std::io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        let n_read = input.by_ref().take(LINE_MAX as u64).read_until(b'\n', &mut line)?;
        if n_read > 0 {
            lines.push(line);
        }
        if n_read == 0 || !input.buffer().contains(&b'\n') {
            return Ok(lines);
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
        let result = serde_json::from_slice::<Line<'_>>(text)
            .map_err(|error| QueryError { message: format!("not a flow: {error}"), help: None })
            .and_then(|line| one(names, &line));
        let written = match result {
            Ok(found) => {
                let bound = names.bound();
                let verdict = found.verdict.name();
                let line =
                    moat_report::explain::flow_line(bound, &found.answer, verdict, found.note);
                serde_json::to_writer(&mut out, &line)
            }
            Err(error) => {
                bad = true;
                let object = json!({"verdict": "error", "line": number, "error": error.message, "help": error.help});
                serde_json::to_writer(&mut out, &object)
            }
        };
        // Writing to memory fails only if the answer is no JSON, which it is by its type.
        debug_assert!(written.is_ok(), "{written:?}");
        out.push(b'\n');
    }
    (out, bad)
}

fn one(names: &Names<'_>, line: &Line<'_>) -> Result<FlowAnswer, QueryError> {
    let protocol = match line.protocol.as_deref() {
        None => Protocol::Tcp,
        Some(text) => Protocol::parse(text).ok_or_else(|| QueryError {
            message: format!("`{text}` is no protocol"),
            help: None,
        })?,
    };
    match u16::try_from(line.port) {
        Ok(port) if port > 0 || protocol == Protocol::Other => {
            flow(names, &line.from, &line.to, ServicePoint::new(protocol, port))
        }
        _ => Err(QueryError {
            message: format!("port `{}` is out of range", line.port),
            help: Some("ports are 1 to 65535".to_owned()),
        }),
    }
}
