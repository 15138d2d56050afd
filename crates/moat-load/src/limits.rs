//! What bounds the memory and the stack that input can take. Passing one is a `LIMIT` finding, never a crash.

/// Bytes of one source, before decoding. The largest clusters dump tens of megabytes; a tree takes some twenty times its text.
pub const MAX_SOURCE_BYTES: u64 = 512 << 20;

/// Levels of lists and mappings in one document, aliases expanded. The deepest Kubernetes schema (JSON schemas inside a
/// custom resource definition) stays below 50; everything after the loader may recurse.
pub const MAX_DEPTH: usize = 128;

/// Nodes that anchors and aliases may make in one document; long texts count as one node per [`ALIAS_TEXT_BYTES`]. Nested
/// aliases grow without bound otherwise (the "billion laughs"), and a real manifest repeats a few dozen nodes.
pub const MAX_ALIAS_NODES: u64 = 1_000_000;

/// Nodes that anchors and aliases may make in everything loaded together, so that many small bombs are no better than one.
pub const MAX_ALIAS_NODES_TOTAL: u64 = 4_000_000;

/// Bytes of text that count as one node: about what an empty node takes in memory.
pub const ALIAS_TEXT_BYTES: u64 = 64;

/// Faults in one run of JSON documents after which the rest is given up: a text that is no JSON has one on every line.
pub const MAX_JSON_FAULTS: usize = 100;
