//! Reading files of frames, through a window.

use super::frame::{self, FILE_HEADER, FRAME_HEADER, FileHeader, FrameHeader};
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use std::sync::Arc;

/// Bytes that are read at once, unless a frame has more: several frames of a snapshot, because what is cut by the end is read again.
const WINDOW: usize = 4 << 20;

/// A file and the place of the next frame.
#[derive(Debug)]
pub(crate) struct Reader {
    file: Box<dyn DiskFile>,
    /// What messages call it.
    path: String,
    /// The file's length.
    len: u64,
    /// Where the next frame begins.
    offset: u64,
    /// Its number.
    number: u64,
    salt: u64,
    window: Vec<u8>,
    /// Where in the file the window begins.
    window_at: u64,
}

/// What is at a reader's place.
#[derive(Debug)]
pub(crate) enum Next<'r> {
    /// A frame's payload.
    Frame(&'r [u8]),
    /// The end of the file.
    End,
    /// Bytes that are no frame.
    Broken,
}

impl Reader {
    /// Opens a file, which is read by [`Reader::header`] first.
    pub(crate) fn open(disk: &Arc<dyn Disk>, name: &str) -> Result<Self, OpenError> {
        let path = disk.describe(name);
        let io = |error| OpenError::Io { what: format!("cannot open `{path}`"), error };
        let file = disk.open(name).map_err(io)?;
        let len = file.len().map_err(io)?;
        Ok(Self {
            file,
            path,
            len,
            offset: 0,
            number: 0,
            salt: 0,
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// Reads the file's header; `None` if it has none of this kind.
    pub(crate) fn header(&mut self, magic: [u8; 8]) -> Result<Option<FileHeader>, OpenError> {
        let header = FileHeader::decode(self.window(0, FILE_HEADER)?, magic);
        if let Some(header) = header {
            self.salt = header.salt;
            self.offset = FILE_HEADER as u64;
        }
        Ok(header)
    }

    /// The next frame. The place moves only over a frame.
    pub(crate) fn next(&mut self) -> Result<Next<'_>, OpenError> {
        if self.offset == self.len {
            return Ok(Next::End);
        }
        let (salt, at) = (self.salt, self.offset);
        let Some(header) = FrameHeader::decode(self.window(at, FRAME_HEADER)?, salt) else {
            return Ok(Next::Broken);
        };
        let payload_len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        let end = at + FRAME_HEADER as u64 + u64::from(header.payload_len);
        // A length is believed only as far as there are bytes, so that none makes this allocate what the file does not have.
        if header.number != self.number || self.len < end {
            return Ok(Next::Broken);
        }
        self.window(at + FRAME_HEADER as u64, payload_len)?;
        let from = usize::try_from(at + FRAME_HEADER as u64 - self.window_at).unwrap_or(usize::MAX);
        let payload = self.window.get(from..).and_then(|rest| rest.get(..payload_len));
        match payload {
            Some(payload) if crc32fast::hash(payload) == header.payload_crc => {
                self.offset = end;
                self.number += 1;
                Ok(Next::Frame(payload))
            }
            _ => Ok(Next::Broken),
        }
    }

    /// Whether what is broken here was once safe: then a later frame is behind it.
    pub(crate) fn is_damage(&mut self) -> Result<bool, OpenError> {
        let rest = usize::try_from(self.len - self.offset).unwrap_or(usize::MAX);
        let (salt, number, at) = (self.salt, self.number, self.offset);
        Ok(frame::has_later_frame(self.window(at, rest)?, salt, number + 1))
    }

    /// An error about this place.
    pub(crate) fn corrupt(&self, offset: u64, why: impl Into<String>) -> OpenError {
        OpenError::Corrupt { file: self.path.clone(), offset, why: why.into() }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn salt(&self) -> u64 {
        self.salt
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn into_file(self) -> Box<dyn DiskFile> {
        self.file
    }

    /// So many bytes of the file, or as many as there are.
    fn window(&mut self, at: u64, wanted: usize) -> Result<&[u8], OpenError> {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = wanted.min(left);
        let from = at.checked_sub(self.window_at).and_then(|from| usize::try_from(from).ok());
        if let Some(from) = from
            && from.checked_add(wanted).is_some_and(|end| end <= self.window.len())
        {
            return Ok(self.window.get(from..from + wanted).unwrap_or_default());
        }
        self.window.resize(wanted.max(WINDOW).min(left), 0);
        let n_read = self.file.read_at(at, &mut self.window).map_err(|error| OpenError::Io {
            what: format!("cannot read `{}` at byte {at}", self.path),
            error,
        })?;
        self.window.truncate(n_read);
        self.window_at = at;
        Ok(self.window.get(..wanted).unwrap_or(&self.window))
    }
}
