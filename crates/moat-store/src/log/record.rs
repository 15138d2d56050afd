//! Records: one object written or deleted, as bytes in a frame.
//!
//! ```text
//! kind 1 | revision 8 | resource length 2 | path length 2 | value length 4 | resource | path | value
//! ```

use crate::key::{Key, Path, Resource};
use crate::state::{Change, ChangeKind};
use bytes::Bytes;

const PUT: u8 = 1;
/// A deletion after which the object is shown as it was.
const DELETE: u8 = 2;
/// A deletion that says how the object is shown.
const DELETE_SHOWN: u8 = 3;
const FIXED: usize = 17;

/// Adds a record of a change. Lengths fit, because keys and objects have limits.
pub(crate) fn encode(change: &Change, into: &mut Vec<u8>) {
    let (kind, value): (u8, &[u8]) = match &change.kind {
        ChangeKind::Put(value) => (PUT, value),
        ChangeKind::Delete(None) => (DELETE, &[]),
        ChangeKind::Delete(Some(last)) => (DELETE_SHOWN, last),
    };
    put(kind, change.revision, &change.key.resource, &change.key.path, value, into);
}

/// Adds a record of an object as it is.
pub(crate) fn encode_object(
    resource: &Resource,
    object: &crate::write::Object,
    into: &mut Vec<u8>,
) {
    put(PUT, object.revision, resource, &object.path, &object.value, into);
}

fn put(
    kind: u8,
    revision: u64,
    resource: &Resource,
    path: &Path,
    value: &[u8],
    into: &mut Vec<u8>,
) {
    let (resource, path) = (resource.as_str().as_bytes(), path.as_str().as_bytes());
    into.reserve(FIXED + resource.len() + path.len() + value.len());
    into.push(kind);
    into.extend_from_slice(&revision.to_le_bytes());
    into.extend_from_slice(&u16::try_from(resource.len()).unwrap_or(u16::MAX).to_le_bytes());
    into.extend_from_slice(&u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
    into.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(resource);
    into.extend_from_slice(path);
    into.extend_from_slice(value);
}

/// Reads the records of a frame. Resources are few, so each is made once and shared.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    last: Option<Resource>,
}

impl Decoder {
    /// Takes the first record off the bytes; what is no record is an error in words.
    pub(crate) fn take(&mut self, bytes: &mut &[u8]) -> Result<Change, String> {
        let short = || "a record that ends early".to_owned();
        let kind = *bytes.first().ok_or_else(short)?;
        let revision = u64::from_le_bytes(array(bytes, 1).ok_or_else(short)?);
        let resource_len = u16::from_le_bytes(array(bytes, 9).ok_or_else(short)?);
        let path_len = u16::from_le_bytes(array(bytes, 11).ok_or_else(short)?);
        let value_len = u32::from_le_bytes(array(bytes, 13).ok_or_else(short)?);
        let rest = bytes.get(FIXED..).ok_or_else(short)?;
        let (resource, rest) = rest.split_at_checked(resource_len.into()).ok_or_else(short)?;
        let (path, rest) = rest.split_at_checked(path_len.into()).ok_or_else(short)?;
        let value_len = usize::try_from(value_len).map_err(|_| short())?;
        let (value, rest) = rest.split_at_checked(value_len).ok_or_else(short)?;
        *bytes = rest;
        let resource = self.resource(text(resource)?)?;
        let path = Path::parse(text(path)?).map_err(|error| error.to_string())?;
        let kind = match kind {
            PUT => ChangeKind::Put(Bytes::copy_from_slice(value)),
            DELETE => ChangeKind::Delete(None),
            DELETE_SHOWN => ChangeKind::Delete(Some(Bytes::copy_from_slice(value))),
            other => return Err(format!("a record of unknown kind {other}")),
        };
        Ok(Change { key: Key { resource, path }, revision, kind })
    }

    fn resource(&mut self, name: &str) -> Result<Resource, String> {
        if let Some(last) = self.last.as_ref().filter(|last| last.as_str() == name) {
            return Ok(last.clone());
        }
        let resource = Resource::new(name).map_err(|error| error.to_string())?;
        self.last = Some(resource.clone());
        Ok(resource)
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a name that is not UTF-8".to_owned())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
