//! Why a store cannot be opened, and what was strange about one that could.

use std::fmt;
use std::io;

/// Why a directory cannot be opened as a store. Nothing in it was changed.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    InUse {
        /// The directory.
        dir: String,
        /// What that process said about itself: `process 123 (moat)`.
        holder: String,
    },
    /// A file has lost or changed something that was once stored, and is not merely unfinished at its end.
    Corrupt {
        /// The file.
        file: String,
        /// The byte at which it goes wrong.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// The file system refused something.
    Io {
        /// What was tried.
        what: String,
        /// Its answer.
        error: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { dir, holder } if holder.is_empty() => {
                write!(f, "`{dir}` is in use by another process")
            }
            Self::InUse { dir, holder } => write!(f, "`{dir}` is in use by {holder}"),
            Self::Corrupt { file, offset, why } => {
                write!(f, "`{file}` is damaged at byte {offset}: {why}")
            }
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// What opening a directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The revision of the last write.
    pub revision: u64,
    /// The revision of the snapshot that was read; 0 if there was none. History begins there.
    pub snapshot_revision: u64,
    /// Objects.
    pub n_objects: usize,
    /// Writes that were read from the log, after the snapshot.
    pub n_replayed: usize,
    /// The end of the log that was cut off, if there was something unfinished.
    pub torn: Option<Torn>,
}

/// An unfinished write at the end of the log, which nobody was told had succeeded. It is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The log's file.
    pub file: String,
    /// Where the unfinished write began: the file ends here now.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` ended in an unfinished write, which was never acknowledged: {} bytes from byte {} were cut off",
            self.file, self.bytes, self.offset
        )
    }
}
