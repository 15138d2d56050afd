//! What bounds the memory and the stack that input can take. Passing one is a `LIMIT` finding, never a crash.

/// Bytes of one source, before decoding. The largest clusters dump tens of megabytes; a tree takes some ten times its text.
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

/// Bytes of text for each value that everything loaded together may make, besides [`MIN_VALUES`]. A value takes some 50 bytes,
/// and an entry of a mapping, which counts as two, some 100; so the tree of `[1,1,1,…` would be twenty times its text. A
/// manifest has 6 bytes for each value even when it is written as JSON without blanks and with names of one letter.
pub const BYTES_PER_VALUE: u64 = 4;

/// Values that may be made from any text, however short: some 50 MB.
pub const MIN_VALUES: u64 = 1_000_000;

/// Values that a document counts as, besides those in it, so that millions of empty ones hit the limit too.
pub const DOCUMENT_VALUES: u64 = 8;

/// Findings told for one source; then one says how many more there are. Nobody reads more, and each takes some 500 bytes.
pub const MAX_FINDINGS: usize = 1000;

/// Indicators (`[`, `,`, `:`, …) that may be read before the YAML parser gives an event. It holds all tokens, some 150 bytes each,
/// of a collection in brackets until the collection is closed; text that large is JSON, which has its own parser.
pub const MAX_PENDING: u32 = 1_000_000;

/// Bytes and documents that are parsed at one time; what they make is then counted, in order.
pub const BATCH_BYTES: usize = 16 << 20;
/// See [`BATCH_BYTES`].
pub const BATCH_DOCUMENTS: usize = 32_768;
