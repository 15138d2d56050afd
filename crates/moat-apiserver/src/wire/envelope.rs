//! What is around every message of Kubernetes: a mark, and `runtime.Unknown`, which names the kind.

use super::encode::{bytes, encode, lengthened};
use super::reader::{Reader, Wire};
use super::table::find;
use super::{DEPTH_MAX, Wrong, decode};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The mark.
const PREFIX: &[u8] = b"k8s\0";

/// Kinds that every group and version has.
const EVERYWHERE: &[&str] = &[
    "CreateOptions",
    "DeleteOptions",
    "ListOptions",
    "PatchOptions",
    "UpdateOptions",
    "WatchEvent",
];
/// Kinds of `meta.k8s.io` that say that they are of the core.
const UNVERSIONED: &[&str] =
    &["Status", "APIGroup", "APIGroupList", "APIResourceList", "APIVersions"];

/// The message of a kind.
fn message(api_version: &str, kind: &str) -> Option<&'static super::table::Message> {
    find(api_version, kind).or_else(|| {
        let meta = EVERYWHERE.contains(&kind) || api_version == "v1" && UNVERSIONED.contains(&kind);
        if meta { find("meta.k8s.io/v1", kind) } else { None }
    })
}

/// Whether objects of a kind have a form in protobuf. Kinds that came later as resources of their own have none, as upstream.
pub(crate) fn has_message(api_version: &str, kind: &str) -> bool {
    message(api_version, kind).is_some()
}

/// The envelope's parts: version, kind and the message's bytes.
fn parts(body: &[u8]) -> Result<(String, String, &[u8]), Wrong> {
    if body.is_empty() {
        return Err("empty data".to_owned());
    }
    let Some(rest) = body.strip_prefix(PREFIX) else {
        return Err("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]".to_owned());
    };
    if rest.is_empty() {
        return Err("empty body".to_owned());
    }
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = Reader(rest);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                let mut reader = Reader(bytes);
                while let Some((number, wire)) = reader.next()? {
                    match (number, wire) {
                        (1, Wire::Bytes(text)) => {
                            version = String::from_utf8_lossy(text).into_owned();
                        }
                        (2, Wire::Bytes(text)) => kind = String::from_utf8_lossy(text).into_owned(),
                        (1 | 2, _) => return Err("proto: wrong wireType for TypeMeta".to_owned()),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            (1..=4, wire) if wire.number() != 2 => {
                return Err(format!(
                    "proto: wrong wireType = {} for field {number} of Unknown",
                    wire.number()
                ));
            }
            // Content encoding and type: upstream does not look at them either when the kind is known.
            _ => {}
        }
    }
    Ok((version, kind, raw))
}

/// Reads a body: the object with its kind and version. Where the body does not say them, it is of the given ones.
pub(crate) fn open(body: &[u8], api_version: &str, kind: &str) -> Result<Value, Wrong> {
    inner(body, api_version, kind, 0)
}

fn inner(body: &[u8], api_version: &str, kind: &str, depth: usize) -> Result<Value, Wrong> {
    let (own_version, own_kind, raw) = parts(body)?;
    let version = if own_version.is_empty() { api_version } else { &own_version };
    let kind = if own_kind.is_empty() { kind } else { &own_kind };
    let message = message(version, kind).ok_or_else(|| {
        format!("no kind {kind:?} is registered for version {version:?} in protobuf")
    })?;
    let mut map = Map::new();
    map.insert("kind".to_owned(), kind.into());
    map.insert("apiVersion".to_owned(), version.into());
    map.extend(decode::decode(message, raw, depth)?);
    Ok(Value::Object(map))
}

/// An object inside another: JSON, or a whole body again.
pub(super) fn raw(bytes: &[u8], depth: usize) -> Result<Value, Wrong> {
    if bytes.starts_with(PREFIX) {
        if DEPTH_MAX < depth {
            return Err(format!("a message of more than {DEPTH_MAX} levels"));
        }
        return inner(bytes, "", "", depth + 1);
    }
    serde_json::from_slice(bytes).map_err(|error| format!("a raw value is no JSON: {error}"))
}

/// Writes an object of a kind as a body.
pub(crate) fn seal(
    api_version: &str,
    kind: &str,
    object: &Map<String, Value>,
) -> Result<Vec<u8>, Wrong> {
    let message = message(api_version, kind).ok_or_else(|| {
        format!("no kind {kind:?} is registered for version {api_version:?} in protobuf")
    })?;
    let mut out = PREFIX.to_vec();
    lengthened(1, &mut out, |out| {
        bytes(1, api_version.as_bytes(), out);
        bytes(2, kind.as_bytes(), out);
        Ok(())
    })?;
    lengthened(2, &mut out, |out| encode(message, object, out, 0))?;
    bytes(3, &[], &mut out);
    bytes(4, &[], &mut out);
    Ok(out)
}

/// Appends a frame of a watch: its length, and an event about an object that is a body.
pub(crate) fn frame(kind: &str, object: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    bytes(1, kind.as_bytes(), out);
    let mut raw = Vec::new();
    bytes(1, object, &mut raw);
    bytes(2, &raw, out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length);
    if let Some(tail) = out.get_mut(start..) {
        tail.rotate_right(length.len());
    }
}

/// What an object of a kind has when nobody filled it: in Go structures are always there, and what is always written.
pub(crate) fn empty(api_version: &str, kind: &str) -> Arc<Value> {
    static KNOWN: Mutex<BTreeMap<&str, Arc<Value>>> = Mutex::new(BTreeMap::new());
    let Some(message) = message(api_version, kind) else {
        return Arc::new(Value::Object(Map::new()));
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let value = known.entry(message.name).or_insert_with(|| {
        let decoded = decode::decode(message, &[], 0).unwrap_or_default();
        Arc::new(Value::Object(decoded))
    });
    Arc::clone(value)
}
