//! Sources of objects: YAML and JSON from files, directories, standard input and git revisions, with the place of everything.
//!
//! [`load`] never fails as a whole: what cannot be read or parsed becomes a finding, and one bad document or file never hides
//! the others. A source is split at its `---` lines first, and each document is parsed on its own, in parallel; the result
//! does not depend on the order in which that happens. Documents are not looked into: `List` is expanded by `moat-model`.

mod elide;
mod explain;
mod files;
mod found;
mod git;
mod guard;
mod json;
pub mod limits;
mod parse;
mod read;
mod scalar;
mod split;
mod tree;
mod yaml;

use moat_model::{Diagnostic, Pos, SourceId, Span, Value, codes};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Something to load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A file, whatever its name, or a directory: its `.yaml`, `.yml` and `.json` files, recursively, hidden ones excepted.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// Text at hand, under a name to show.
    Text {
        /// What the source is called in findings.
        name: String,
        /// The text.
        text: String,
    },
    /// Files of a git revision, in the repository of the current directory.
    Git {
        /// A branch, tag, commit or tree.
        rev: String,
        /// A file or directory, relative to the current directory, which is the default.
        path: Option<String>,
    },
}

/// A text that documents come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// As shown to the user: the path as given, `<stdin>`, `main:deploy/x.yaml`.
    pub name: String,
    /// Decoded, without byte order mark; empty when the source cannot be read.
    pub text: Arc<str>,
}

/// One document of a source.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// The source.
    pub source: SourceId,
    /// What it says; never `null`.
    pub value: Value,
    /// Which document of the source, from 0; empty and bad ones are counted.
    pub index: u32,
}

/// Everything that was loaded, in the order of the inputs, and by path within a directory.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Loaded {
    /// The sources; a [`SourceId`] is an index here. Unreadable ones are there for their findings.
    pub sources: Vec<Source>,
    /// The documents that could be parsed.
    pub documents: Vec<Document>,
    /// What is wrong, in the order of the sources.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads everything. Never fails: what is wrong is in the findings.
pub fn load(inputs: &[Input]) -> Loaded {
    let items = gather(inputs);
    let texts: Vec<read::Read> = items.into_par_iter().map(read::Item::read).collect();
    let mut loaded = Loaded::default();
    let mut problems = Vec::with_capacity(texts.len());
    for read in texts {
        let (text, problem) = match read.text {
            Ok(text) => (text, None),
            Err(problem) => (String::new(), Some(problem)),
        };
        loaded.sources.push(Source { name: read.name, text: text.into() });
        problems.push(problem);
    }

    let found = parse::parse_all(&loaded.sources, problems);
    (loaded.documents, loaded.diagnostics) = (found.documents, found.diagnostics);
    loaded
}

/// The line of a source that a place is on, without its line break.
pub fn excerpt(source: &Source, pos: Pos) -> Option<&str> {
    let n_before = usize::try_from(pos.line).ok()?.checked_sub(1)?;
    split::lines(&source.text).nth(n_before)
}

fn source_id(idx: usize) -> SourceId {
    SourceId(u32::try_from(idx).unwrap_or(u32::MAX))
}

/// The things to read, in order; nothing twice.
fn gather(inputs: &[Input]) -> Vec<read::Item> {
    let mut items = Vec::new();
    let mut seen_files = BTreeSet::new();
    let mut seen_names = BTreeSet::new();
    for input in inputs {
        match input {
            Input::Path(path) => items.extend(files::find(path, &mut seen_files)),
            Input::Stdin if seen_names.insert("<stdin>".to_owned()) => {
                items.push(read::Item::Stdin);
            }
            Input::Stdin => {}
            Input::Text { name, text } => {
                items.push(read::Item::Ready(read::Read {
                    name: name.clone(),
                    text: read::from_text(name, text),
                }));
            }
            Input::Git { rev, path } => {
                let reads = git::git_input(std::path::Path::new("."), rev, path.as_deref());
                items.extend(
                    reads
                        .into_iter()
                        .filter(|read| seen_names.insert(read.name.clone()))
                        .map(read::Item::Ready),
                );
            }
        }
    }
    items
}

impl read::Problem {
    fn at(self, source: SourceId) -> Diagnostic {
        let span = Span { source, pos: Pos::default() };
        let finding = match self.code {
            codes::SKIPPED_FILE => Diagnostic::note(self.code, span, self.message),
            _ => Diagnostic::error(self.code, span, self.message),
        };
        match self.help {
            Some(help) => finding.help(help),
            None => finding,
        }
    }
}
