//! What the kernel refused, in words that say what was asked.

use core::fmt;

/// The result of asking the kernel.
pub type Result<T> = core::result::Result<T, Error>;

/// A request that failed.
#[derive(Debug)]
pub struct Error {
    what: String,
    source: nlink::Error,
}

impl Error {
    /// The error number of the kernel, where it was the kernel that refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.source.errno()
    }

    /// Whether what was asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.source.is_not_found()
    }

    pub(crate) fn other(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), source: std::io::Error::other(why.into()).into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Says of a failure what was attempted.
pub(crate) trait Attempt<T> {
    /// `what` follows "cannot".
    fn to(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<nlink::Error>> Attempt<T> for core::result::Result<T, E> {
    fn to(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error { what: what(), source: source.into() })
    }
}
