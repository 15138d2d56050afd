//! `moat flows FILE`: recorded flows, filtered, counted, replayed; and how they come to be recorded.

use crate::args::{Flows as Args, FlowsOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::world::World;
use core::fmt::Write as _;
use moat_flow::{
    Epochs, Filter, Flags, Ink, Look, Reader, Record, Ruleset, Summary, Time, Trouble, Writer,
    attribute, line, replay,
};
use moat_kernel::nflog::LogRecord;
use moat_report::Style;
use moat_rig::live::Live;
use moat_rig::logs::packet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Rows of a summary.
const ROWS: usize = 40;

pub(crate) fn run(args: &Args) -> Outcome {
    let flags = Flags {
        verdict: args.verdict.as_deref(),
        from: args.from.as_deref(),
        to: args.to.as_deref(),
        direction: args.direction.as_deref(),
        protocol: args.protocol.as_deref(),
        port: args.port.as_deref(),
        since: args.since.as_deref(),
        policy: args.policy.as_deref(),
    };
    let now = Time::from_nanos(u64::try_from(now().as_nanos()).unwrap_or(u64::MAX));
    let filter = Filter::parse(&flags, now)
        .map_err(|error| Failure::with_help(error.to_string(), error.help.clone()))?;
    let input: Box<dyn BufRead> = if args.file == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let file = File::open(&args.file)
            .map_err(|error| Failure::input(format!("cannot read `{}`: {error}", args.file)))?;
        Box::new(BufReader::with_capacity(1 << 20, file))
    };
    let mut records = Records { reader: Reader::new(input, filter), args, n_bad: 0, io: None };
    let style = crate::out::style();
    let paint = paint(style);
    let look = Look::new(style.width, &paint);
    let mut ended = Ended::Yes;
    if args.replay {
        let world = World::read(&args.common)?.complete()?;
        let replayed = replay(&world.bound, records.by_ref());
        if !replayed.changes.is_empty() {
            ended = Ended::No;
        }
        crate::out::print(&match args.output {
            FlowsOutput::Text => replayed.text(look),
            FlowsOutput::Jsonl => format!("{}\n", replayed.data()),
        })?;
    } else if args.summary {
        let mut summary = Summary::default();
        records.by_ref().for_each(|record| summary.add(&record));
        crate::out::print(&match args.output {
            FlowsOutput::Text => summary.text(ROWS, look),
            FlowsOutput::Jsonl => format!("{}\n", summary.data(ROWS)),
        })?;
    } else {
        let mut out = BufWriter::new(std::io::stdout().lock());
        match args.output {
            FlowsOutput::Text => {
                for record in records.by_ref() {
                    writeln!(out, "{}", line(&record, look))?;
                }
            }
            FlowsOutput::Jsonl => {
                let mut writer = Writer::new(out);
                for record in records.by_ref() {
                    writer.write(&record)?;
                }
                writer.flush()?;
                out = writer.into_inner();
            }
        }
        out.flush()?;
    }
    match (records.io, records.n_bad) {
        (Some(error), _) => Err(Failure::input(format!("cannot read `{}`: {error}", args.file))),
        (None, 0) => Ok(ended),
        (None, n) => Err(Failure::input(format!(
            "{n} line{} could not be read, and the answer is without {}",
            if n == 1 { "" } else { "s" },
            if n == 1 { "it" } else { "them" }
        ))),
    }
}

/// The records of a file; what cannot be read is told and counted.
struct Records<'a> {
    reader: Reader<Box<dyn BufRead>>,
    args: &'a Args,
    n_bad: usize,
    io: Option<std::io::Error>,
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        /// Lines told one by one.
        const TOLD_MAX: usize = 5;
        loop {
            match self.reader.next()? {
                Ok(record) => return Some(record),
                Err(Trouble::Io(error)) => {
                    self.io = Some(error);
                    return None;
                }
                Err(trouble) => {
                    self.n_bad += 1;
                    if self.n_bad <= TOLD_MAX {
                        let mut text = format!("{}: {trouble}", self.args.file);
                        if let Some(help) = trouble.help() {
                            let _ = write!(text, "\nhelp: {help}");
                        }
                        crate::out::remark(&text);
                    }
                }
            }
        }
    }
}

/// Writes what the kernel logged as flow records.
pub(super) fn write(file: &str, live: &Live, log: &[(Arc<str>, LogRecord)]) -> Result<(), Failure> {
    let told = |error: std::io::Error| Failure::input(format!("cannot write `{file}`: {error}"));
    let mut epochs = Epochs::new(1);
    let staged =
        live.placed.staged.as_ref().map(|staged| Ruleset::new(staged.clone(), &live.staged));
    epochs.push(Ruleset::new(live.placed.bound.clone(), &live.reasons), staged);
    let mut writer = Writer::new(BufWriter::new(File::create(file).map_err(told)?));
    let now = now();
    for (node, record) in log {
        writer.write(&attribute(&epochs, &packet(node, record, now))).map_err(told)?;
    }
    writer.flush().map_err(told)
}

/// The time since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// How flow texts are coloured.
pub(super) fn paint(style: Style) -> impl Fn(Ink, &str) -> String {
    move |ink, text| match ink {
        Ink::Good => style.good(text),
        Ink::Bad => style.bad(text),
        Ink::Doubt => style.doubt(text),
        Ink::Dim => style.dim(text),
        Ink::Bold => style.bold(text),
    }
}
