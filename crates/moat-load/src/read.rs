//! From bytes to text: size limit, encodings, and the operating system's reasons in plain words.

use crate::limits::MAX_SOURCE_BYTES;
use moat_model::{Code, codes};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// A source that was read, or why not.
#[derive(Debug)]
pub(crate) struct Read {
    /// As shown to the user.
    pub(crate) name: String,
    /// Decoded, without byte order mark.
    pub(crate) text: Result<String, Problem>,
}

/// Why a source has no text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// Something still to be read.
#[derive(Debug)]
pub(crate) enum Item {
    File(PathBuf),
    Stdin,
    Ready(Read),
}

impl Item {
    /// Reads it.
    pub(crate) fn read(self) -> Read {
        match self {
            Self::File(path) => {
                let name = path.display().to_string();
                let text = read_file(&path, &name);
                Read { name, text }
            }
            Self::Stdin => {
                let text = from_reader(io::stdin().lock(), "<stdin>", MAX_SOURCE_BYTES);
                Read { name: "<stdin>".to_owned(), text }
            }
            Self::Ready(read) => read,
        }
    }
}

impl Problem {
    pub(crate) fn new(code: Code, message: String) -> Self {
        Self { code, message, help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// That something cannot be read, and why.
    pub(crate) fn io(name: &str, error: &io::Error) -> Self {
        let problem =
            Self::new(codes::UNREADABLE_SOURCE, format!("cannot read `{name}`: {}", reason(error)));
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                problem.help("give yourself read permission, or leave it out")
            }
            _ => problem,
        }
    }

    /// That a file of a directory is not read. The same words for all, so that reports can fold them.
    pub(crate) fn passed_over() -> Self {
        let message = "not read: neither `.yaml`, `.yml` nor `.json`".to_owned();
        Self::new(codes::SKIPPED_FILE, message).help("name the file after `-f` if it is a manifest")
    }

    /// That a source is over the size limit.
    pub(crate) fn too_large(name: &str, limit: u64) -> Self {
        let message =
            format!("`{name}` is larger than {} MiB, the limit of one source", limit >> 20);
        Self::new(codes::LIMIT, message).help("split it into several files")
    }
}

/// The operating system's reason, without its error number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            text.chars()
                .enumerate()
                .map(|(idx, c)| if idx == 0 { c.to_ascii_lowercase() } else { c })
                .collect()
        }
    }
}

fn read_file(path: &Path, name: &str) -> Result<String, Problem> {
    let file = File::open(path).map_err(|error| Problem::io(name, &error))?;
    from_reader(file, name, MAX_SOURCE_BYTES)
}

/// Reads to the end or to the limit.
pub(crate) fn from_reader(
    reader: impl io::Read,
    name: &str,
    limit: u64,
) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Problem::io(name, &error))?;
    if bytes.len() as u64 > limit {
        return Err(Problem::too_large(name, limit));
    }
    decode(bytes, name)
}

/// Text that is already decoded: without byte order mark, and without NUL.
pub(crate) fn from_text(name: &str, text: &str) -> Result<String, Problem> {
    if text.len() as u64 > MAX_SOURCE_BYTES {
        return Err(Problem::too_large(name, MAX_SOURCE_BYTES));
    }
    clean(text.to_owned(), name)
}

/// UTF-8, or UTF-16 with a byte order mark.
pub(crate) fn decode(bytes: Vec<u8>, name: &str) -> Result<String, Problem> {
    let text = match bytes.as_slice() {
        // The UTF-32 mark starts like the UTF-16 one.
        [0xff, 0xfe, 0, 0, ..] => return Err(not_text(name, 0, "UTF-32")),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes, name)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes, name)?,
        _ => String::from_utf8(bytes)
            .map_err(|error| not_text(name, error.utf8_error().valid_up_to(), "not UTF-8"))?,
    };
    clean(text, name)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, name: &str) -> Result<String, Problem> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    let mut at = 2;
    for decoded in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        let c = decoded.map_err(|_| not_text(name, at, "not UTF-16"))?;
        text.push(c);
        at += 2 * c.len_utf16();
    }
    if rest.is_empty() { Ok(text) } else { Err(not_text(name, at, "half a UTF-16 unit")) }
}

fn clean(mut text: String, name: &str) -> Result<String, Problem> {
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    match text.as_bytes().iter().position(|&byte| byte == 0) {
        Some(at) => Err(not_text(name, at, "NUL")),
        None => Ok(text),
    }
}

fn not_text(name: &str, at: usize, what: &str) -> Problem {
    Problem::new(codes::UNREADABLE_SOURCE, format!("`{name}` is not a text file: {what} at byte offset {at}"))
        .help("manifests are UTF-8 text, or UTF-16 with a byte order mark; save it as UTF-8, or leave it out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let utf16 = |mark: [u8; 2], of: fn(u16) -> [u8; 2]| {
            let units = "a: \u{e9}\u{1f600}\n".encode_utf16().flat_map(of);
            mark.into_iter().chain(units).collect::<Vec<u8>>()
        };
        assert_eq!(
            decode(utf16([0xff, 0xfe], u16::to_le_bytes), "x").unwrap(),
            "a: \u{e9}\u{1f600}\n"
        );
        assert_eq!(
            decode(utf16([0xfe, 0xff], u16::to_be_bytes), "x").unwrap(),
            "a: \u{e9}\u{1f600}\n"
        );
        assert_eq!(decode(b"\xef\xbb\xbfa: 1".to_vec(), "x").unwrap(), "a: 1");
    }

    #[test]
    fn what_is_no_text_says_where() {
        let message = |bytes: &[u8]| decode(bytes.to_vec(), "x").unwrap_err().message;
        assert_eq!(message(b"a: \xff\n"), "`x` is not a text file: not UTF-8 at byte offset 3");
        assert_eq!(message(b"a: \0\n"), "`x` is not a text file: NUL at byte offset 3");
        assert_eq!(
            message(b"\xff\xfea\0\0\xd8b\0"),
            "`x` is not a text file: not UTF-16 at byte offset 4"
        );
        assert_eq!(
            message(b"\xff\xfea\0b"),
            "`x` is not a text file: half a UTF-16 unit at byte offset 4"
        );
        assert_eq!(
            message(b"\xff\xfe\0\0a\0\0\0"),
            "`x` is not a text file: UTF-32 at byte offset 0"
        );
    }

    #[test]
    fn a_source_over_the_limit_is_refused_without_reading_it_all() {
        let problem = from_reader(io::repeat(b'a'), "<stdin>", 3 << 20).unwrap_err();
        assert_eq!(problem.code, codes::LIMIT);
        assert_eq!(problem.message, "`<stdin>` is larger than 3 MiB, the limit of one source");
        assert!(from_reader(io::repeat(b'a').take(3 << 20), "<stdin>", 3 << 20).is_ok());
    }
}
