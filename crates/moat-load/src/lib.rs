//! Sources of objects: YAML and JSON with the place of every value.

mod files;
mod yaml;

use moat_model::{Diagnostic, SourceId, Value};
use std::path::PathBuf;
use std::sync::Arc;

pub use files::load;

/// A text that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name shown to people.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
}

/// A document of a source.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its source.
    pub source: SourceId,
    /// Its value.
    pub value: Value,
    /// Its place among the documents of the source.
    pub index: u32,
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Sources.
    pub sources: Vec<Source>,
    /// Documents, in order.
    pub documents: Vec<Document>,
    /// Findings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Where to read from.
#[derive(Clone, Debug)]
pub enum Input {
    /// A file or directory.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// A text at hand.
    Text {
        /// The name shown to people.
        name: String,
        /// The text.
        text: String,
    },
    /// Files of a git revision.
    Git {
        /// The revision.
        rev: String,
        /// The path in it.
        path: Option<String>,
    },
}
