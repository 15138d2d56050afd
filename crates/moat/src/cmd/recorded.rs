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
use std::io::{BufRead, BufReader, BufWriter, Read, Seek as _, Write as _};
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
        if args.follow {
            Box::new(BufReader::new(Growing { file }))
        } else {
            Box::new(BufReader::with_capacity(1 << 20, file))
        }
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
                    if args.follow {
                        out.flush()?;
                    }
                }
            }
            FlowsOutput::Jsonl => {
                let mut writer = Writer::new(out);
                for record in records.by_ref() {
                    writer.write(&record)?;
                    if args.follow {
                        writer.flush()?;
                    }
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

/// A file that somebody writes to: instead of its end there is what is written next.
struct Growing {
    file: File,
}

/// How often a file is looked at that may have grown.
const LOOK: Duration = Duration::from_millis(50);

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let n = self.file.read(buffer)?;
            if n > 0 {
                return Ok(n);
            }
            // Who records anew into the same file empties it first.
            if self.file.metadata()?.len() < self.file.stream_position()? {
                self.file.rewind()?;
            } else {
                std::thread::sleep(LOOK);
            }
        }
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

/// Makes flow records of what the kernel logs, and writes them to a file if there is one.
pub(super) struct Recorder {
    file: Option<(String, Writer<BufWriter<File>>)>,
    epochs: Epochs,
}

/// States that a record that is on its way may still be of.
const EPOCHS: usize = 4;

impl Recorder {
    pub(super) fn new(file: Option<&String>) -> Result<Self, Failure> {
        let writer = |name: &String| {
            let file = File::create(name).map_err(|error| unwritten(name, &error))?;
            Ok::<_, Failure>((name.clone(), Writer::new(BufWriter::new(file))))
        };
        Ok(Self { file: file.map(writer).transpose()?, epochs: Epochs::new(EPOCHS) })
    }

    /// From here on records are of the present state of a world.
    pub(super) fn follow(&mut self, live: &Live) {
        let staged =
            live.placed.staged.as_ref().map(|staged| Ruleset::new(staged.clone(), &live.staged));
        self.epochs.push(Ruleset::new(live.placed.bound.clone(), &live.reasons), staged);
    }

    /// The flow records of what was logged.
    pub(super) fn attribute<'a>(
        &self,
        log: impl IntoIterator<Item = (&'a Arc<str>, &'a LogRecord)>,
    ) -> Vec<Record> {
        let now = now();
        let own = |(node, own)| attribute(&self.epochs, &packet(node, own, now));
        log.into_iter().map(own).collect()
    }

    /// Writes what was logged; whoever follows the file sees it at once.
    pub(super) fn record<'a>(
        &mut self,
        log: impl IntoIterator<Item = (&'a Arc<str>, &'a LogRecord)>,
    ) -> Result<(), Failure> {
        if self.file.is_none() {
            return Ok(());
        }
        let records = self.attribute(log);
        let Some((name, writer)) = &mut self.file else { return Ok(()) };
        let written = records.iter().try_for_each(|record| writer.write(record));
        written.and_then(|()| writer.flush()).map_err(|error| unwritten(name, &error))
    }
}

fn unwritten(name: &str, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot write `{name}`: {error}"))
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
