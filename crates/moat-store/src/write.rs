//! Writes: what can be asked, and what is answered.

use crate::body::Body;
use crate::key::{Key, Path};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// An object at a revision. Copies share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its place in its resource.
    pub path: Path,
    /// The revision of the write that made it so.
    pub revision: u64,
    /// Its bytes.
    pub value: Bytes,
}

/// One change, or one condition, of a transaction.
#[derive(Clone, Debug)]
pub enum Write {
    /// Makes an object; it must not exist.
    Create {
        /// Which one.
        key: Key,
        /// What it is.
        body: Body,
    },
    /// Replaces an object; it must exist.
    Update {
        /// Which one.
        key: Key,
        /// What it becomes.
        body: Body,
        /// What it must be before.
        expect: Expect,
    },
    /// Removes an object; it must exist.
    Delete {
        /// Which one.
        key: Key,
        /// The object as watchers of its deletion see it, if not as it was. Kubernetes shows it with the revision of the deletion.
        last: Option<Body>,
        /// What it must be before.
        expect: Expect,
    },
    /// Changes nothing and takes no revision, but the transaction fails where the object is not as expected.
    Check {
        /// Which one.
        key: Key,
        /// What it must be.
        expect: Expect,
    },
}

impl Write {
    /// Which object it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Create { key, .. }
            | Self::Update { key, .. }
            | Self::Delete { key, .. }
            | Self::Check { key, .. } => key,
        }
    }

    /// Bytes of its body.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Create { body, .. } | Self::Update { body, .. } => body.len(),
            Self::Delete { last, .. } => last.as_ref().map_or(0, Body::len),
            Self::Check { .. } => 0,
        }
    }
}

/// What an object must be for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It exists.
    Exists,
    /// It exists, and nobody wrote it since this revision.
    Revision(u64),
}

/// Why a write did not happen. Nothing of its transaction was stored, with the one exception that [`WriteError::Unavailable`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// It was to be created and is there, at this revision.
    Exists {
        /// The revision of the object that is there.
        current: u64,
    },
    /// It was to be there and is not.
    NotFound,
    /// Somebody wrote it since.
    Conflict {
        /// The revision it has now.
        current: u64,
    },
    /// More bytes than the store takes for one object.
    TooLarge {
        /// Bytes of the object.
        bytes: usize,
        /// [`crate::Options::object_bytes_max`].
        max: usize,
    },
    /// More bytes are waiting to be written than [`crate::Options::queue_bytes_max`]; later there may be room.
    Busy,
    /// The disk refused the write. Readers go on; so will writers once the disk lets them. Nobody sees this write while the store is open;
    /// but when the process ends before the disk has worked again, the next one may find it on the disk.
    Unavailable(Arc<str>),
    /// The store was closed.
    Closed,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { current } => write!(f, "exists already, at revision {current}"),
            Self::NotFound => f.write_str("not found"),
            Self::Conflict { current } => {
                write!(f, "changed by another writer, now at revision {current}")
            }
            Self::TooLarge { bytes, max } => write!(f, "{bytes} bytes: at most {max} are stored"),
            Self::Busy => f.write_str("too many writes are waiting for the disk"),
            Self::Unavailable(why) => write!(f, "not stored: {why}"),
            Self::Closed => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for WriteError {}

/// Why a transaction did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionError {
    /// Which of its writes was refused, counted from 0; 0 where the reason is none of them.
    pub at: usize,
    /// Why.
    pub error: WriteError,
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {}: {}", self.at, self.error)
    }
}

impl std::error::Error for TransactionError {}

/// What a transaction did: for each write the object as it is now, or as it was last seen; `None` for a check.
pub type Outcome = Result<Vec<Option<Object>>, TransactionError>;
