//! Records as JSON lines.

use crate::filter::Filter;
use crate::record::Record;
use crate::wire::{Wire, fault};
use core::fmt;
use std::io::{self, BufRead, Read as _, Write};

/// Longest line that is read, in bytes.
const LINE_MAX: usize = 1 << 20;

/// Writes records, one a line, each by one call, so that a process that ends early tears at most the last line.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes to `output`, which should be buffered where single records need not be seen at once.
    pub fn new(output: W) -> Self {
        Self { output, line: Vec::with_capacity(1_024) }
    }

    /// Writes one record.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Wire::from(record))?;
        self.line.push(b'\n');
        self.output.write_all(&self.line)
    }

    /// Writes what the output holds back.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// The output.
    pub fn into_inner(self) -> W {
        self.output
    }
}

/// Why a line is no record. Reading can go on, except after [`Trouble::Io`].
#[derive(Debug)]
pub enum Trouble {
    /// The line is no record.
    Line {
        /// Its number, from 1.
        line: u64,
        /// The field that is wrong, if it is one: `source.address`.
        field: Option<String>,
        /// What is wrong.
        message: String,
        /// How to mend it.
        help: Option<String>,
    },
    /// The last line has no end and is no record: it was still being written, or its writer was stopped.
    Torn {
        /// Its number, from 1.
        line: u64,
    },
    /// The input cannot be read any further.
    Io(io::Error),
}

impl Trouble {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Line { help, .. } => help.as_deref(),
            Self::Torn { .. } => Some("all lines before it were read"),
            Self::Io(_) => None,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, field: Some(field), message, .. } => {
                write!(f, "line {line}: `{field}` {message}")
            }
            Self::Line { line, field: None, message, .. } => write!(f, "line {line}: {message}"),
            Self::Torn { line } => write!(f, "line {line}: the last line is not complete"),
            Self::Io(error) => write!(f, "cannot read on: {error}"),
        }
    }
}

impl std::error::Error for Trouble {}

/// Reads records, one a line, and gives those that a filter takes. Blank lines are no records.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    filter: Filter,
    line: u64,
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Gives the records of `input` that `filter` takes.
    pub fn new(input: R, filter: Filter) -> Self {
        Self { input, filter, line: 0, buffer: Vec::new(), ended: false }
    }

    /// Lines that were read so far.
    pub fn n_lines(&self) -> u64 {
        self.line
    }

    /// The next line into the buffer, without its end; `None` at the end of the input. Whether it is whole: neither torn nor too long.
    fn fill(&mut self) -> io::Result<Option<LineEnd>> {
        self.buffer.clear();
        let n = (&mut self.input).take(LINE_MAX as u64).read_until(b'\n', &mut self.buffer)?;
        if n == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.buffer.pop_if(|byte| *byte == b'\n').is_some() {
            return Ok(Some(LineEnd::Whole));
        }
        if n < LINE_MAX {
            return Ok(Some(LineEnd::Last));
        }
        self.skip()?;
        Ok(Some(LineEnd::TooLong))
    }

    /// Reads over the rest of a line.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let n = end.map_or(buffer.len(), |at| at + 1);
            self.input.consume(n);
            if end.is_some() || n == 0 {
                return Ok(());
            }
        }
    }
}

/// How a line ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LineEnd {
    Whole,
    /// With the input.
    Last,
    TooLong,
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let end = match self.fill() {
                Ok(Some(end)) => end,
                Ok(None) => break,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(Trouble::Io(error)));
                }
            };
            if end == LineEnd::TooLong {
                let message = format!("longer than {LINE_MAX} bytes");
                return Some(Err(Trouble::Line {
                    line: self.line,
                    field: None,
                    message,
                    help: None,
                }));
            }
            match read(&self.buffer, &self.filter) {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => {}
                Err(Bad { is_cut: true, .. }) if end == LineEnd::Last => {
                    return Some(Err(Trouble::Torn { line: self.line }));
                }
                Err(Bad { field, message, help, .. }) => {
                    return Some(Err(Trouble::Line { line: self.line, field, message, help }));
                }
            }
        }
        None
    }
}

/// What is wrong with a line.
struct Bad {
    /// It could be the beginning of a good line.
    is_cut: bool,
    field: Option<String>,
    message: String,
    help: Option<String>,
}

impl Bad {
    fn whole(message: String, is_cut: bool) -> Self {
        let help = "each line is one record as `moat flows -o jsonl` writes it".to_owned();
        Self { is_cut, field: None, message, help: Some(help) }
    }
}

/// The record of a line, if there is one and the filter takes it.
fn read(line: &[u8], filter: &Filter) -> Result<Option<Record>, Bad> {
    let text = match str::from_utf8(line) {
        Ok(text) => text,
        // The last character may be cut as well.
        Err(error) => {
            let is_cut = error.error_len().is_none();
            return Err(Bad::whole("not UTF-8 text".to_owned(), is_cut));
        }
    };
    let wire: Wire<'_> = match serde_json::from_str(text) {
        Ok(wire) => wire,
        Err(_) if text.trim().is_empty() => return Ok(None),
        Err(error) => return Err(bad(text, &error)),
    };
    wire.check().map_err(|fault| Bad {
        is_cut: false,
        field: Some(fault.field),
        message: fault.message,
        help: fault.help,
    })?;
    Ok(filter.takes(&wire).then(|| wire.record()))
}

fn bad(text: &str, error: &serde_json::Error) -> Bad {
    if let Some(fault) = fault(text) {
        let (field, message, help) = (Some(fault.field), fault.message, fault.help);
        return Bad { is_cut: false, field, message, help };
    }
    match error.classify() {
        serde_json::error::Category::Eof => {
            Bad::whole("not valid JSON: it ends too early".to_owned(), true)
        }
        serde_json::error::Category::Data if text.trim_start().starts_with('{') => {
            // A field that is given twice: no check of values finds it.
            let words = error.to_string();
            let words = words.split(" at line ").next().unwrap_or_default();
            Bad::whole(crate::text::clean(words).into_owned(), false)
        }
        serde_json::error::Category::Data => Bad::whole("not a JSON object".to_owned(), false),
        _ => Bad::whole(format!("not valid JSON: column {}", error.column()), false),
    }
}
