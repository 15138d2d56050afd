//! Protobuf as Kubernetes writes it: one transcoder between messages and the JSON values that the server holds, driven by a table of fields.
//!
//! What is decoded is what Go's JSON encoder would have written of the same message: names, order of omission, base64, times and quantities as
//! text. Field numbers that the table does not know are dropped, as upstream drops them.

mod decode;
mod encode;
mod envelope;
mod reader;
mod special;
mod table;
#[cfg(test)]
mod tests;
mod tidy;

pub(crate) use envelope::{empty, frame, has_message, open, seal};
pub(crate) use tidy::Plan;

/// How fields are written, for messages that are not Kubernetes' own.
pub(crate) mod fields {
    pub(crate) use super::encode::{bytes, varint, varint_field};
}

/// Levels of messages inside each other. JSON bodies nest no deeper either.
const DEPTH_MAX: usize = 100;

/// Why bytes are no message, or a value cannot be one.
pub(crate) type Wrong = String;
