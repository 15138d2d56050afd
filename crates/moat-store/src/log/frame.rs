//! Frames: what one sync makes safe. A frame is read whole or not at all.
//!
//! ```text
//! file:   magic 8 | salt 8 | revision 8 | crc 4 | zero 4
//! frame:  magic 4 | payload length 4 | salt 8 | number 8 | payload crc 4 | header crc 4 | payload
//! ```
//!
//! All numbers are little-endian. The salt is drawn for each file, so that nothing that is stored can look like a frame. Frames of a file
//! are numbered from 0. A frame is written only when the one before is safe; hence a header with a higher number behind something
//! unreadable means that what is unreadable was once safe, and is damage; nothing behind it means that it is merely unfinished.

/// Bytes before the first frame of a file.
pub(crate) const FILE_HEADER: usize = 32;
/// Bytes before a frame's payload.
pub(crate) const FRAME_HEADER: usize = 32;
const FRAME_MAGIC: [u8; 4] = *b"MFrm";

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) magic: [u8; 8],
    pub(crate) salt: u64,
    /// Of the snapshot, or of the first write in a log.
    pub(crate) revision: u64,
}

impl FileHeader {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FILE_HEADER);
        bytes.extend_from_slice(&self.magic);
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&self.revision.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    }

    /// Reads a header; `None` if it is not one of this kind of file.
    pub(crate) fn decode(bytes: &[u8], magic: [u8; 8]) -> Option<Self> {
        let salt = u64::from_le_bytes(array(bytes, 8)?);
        let revision = u64::from_le_bytes(array(bytes, 16)?);
        let header = Self { magic, salt, revision };
        (bytes.get(..FILE_HEADER)? == header.encode()).then_some(header)
    }
}

/// What a frame says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) payload_len: u32,
    pub(crate) salt: u64,
    pub(crate) number: u64,
    pub(crate) payload_crc: u32,
}

impl FrameHeader {
    pub(crate) fn encode(self) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        let parts: [&[u8]; 5] = [
            &FRAME_MAGIC,
            &self.payload_len.to_le_bytes(),
            &self.salt.to_le_bytes(),
            &self.number.to_le_bytes(),
            &self.payload_crc.to_le_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        let crc = crc32fast::hash(&bytes[..at]);
        bytes[at..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` if it is not one of this file.
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let header = Self {
            payload_len: u32::from_le_bytes(array(bytes, 4)?),
            salt,
            number: u64::from_le_bytes(array(bytes, 16)?),
            payload_crc: u32::from_le_bytes(array(bytes, 24)?),
        };
        (bytes.get(..FRAME_HEADER)? == header.encode()).then_some(header)
    }
}

/// Finishes a frame whose payload was written behind room for its header.
pub(crate) fn finish(frame: &mut [u8], salt: u64, number: u64) {
    let Some((header, payload)) = frame.split_at_mut_checked(FRAME_HEADER) else { return };
    let payload_crc = crc32fast::hash(payload);
    let payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    header.copy_from_slice(&FrameHeader { payload_len, salt, number, payload_crc }.encode());
}

/// Whether somewhere in these bytes begins a frame of this file with at least this number.
pub(crate) fn has_later_frame(bytes: &[u8], salt: u64, number: u64) -> bool {
    let magic = FRAME_MAGIC;
    bytes.windows(FRAME_HEADER).any(|window| {
        window.starts_with(&magic)
            && FrameHeader::decode(window, salt).is_some_and(|header| number <= header.number)
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
