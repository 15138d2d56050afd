//! Files and directories.
use crate::{Document, Input, Loaded, Source, yaml};
use moat_model::{Data, Diagnostic, SourceId, Span, codes};
use rayon::prelude::*;
use std::io::Read as _;
use std::path::Path;

/// Reads every input.
#[must_use]
pub fn load(inputs: &[Input]) -> Loaded {
    let mut loaded = Loaded::default();
    for input in inputs {
        match input {
            Input::Path(path) => walk(path, true, &mut loaded),
            Input::Stdin => {
                let mut text = String::new();
                let _ = std::io::stdin().read_to_string(&mut text);
                loaded.sources.push(Source { name: "<stdin>".into(), text: text.into() });
            }
            Input::Text { name, text } => loaded.sources.push(Source { name: name.clone(), text: text.as_str().into() }),
            Input::Git { .. } => {}
        }
    }
    let parsed: Vec<_> = loaded.sources.par_iter().enumerate().map(|(idx, source)| {
        let (mut values, mut findings) = (Vec::new(), Vec::new());
        yaml::parse(&source.text, SourceId(u32::try_from(idx).unwrap_or(0)), &mut values, &mut findings);
        (values, findings)
    }).collect();
    for (idx, (values, findings)) in parsed.into_iter().enumerate() {
        loaded.diagnostics.extend(findings);
        for (index, value) in values.into_iter().enumerate() {
            if !matches!(value.data, Data::Null) {
                loaded.documents.push(Document { source: SourceId(u32::try_from(idx).unwrap_or(0)), value, index: u32::try_from(index).unwrap_or(0) });
            }
        }
    }
    loaded
}

fn walk(path: &Path, explicit: bool, loaded: &mut Loaded) {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries { walk(&entry, false, loaded); }
        return;
    }
    if !explicit && !path.extension().is_some_and(|ext| ["yaml", "yml", "json"].iter().any(|want| ext == *want)) { return; }
    match std::fs::read_to_string(path) {
        Ok(text) => loaded.sources.push(Source { name: path.display().to_string(), text: text.into() }),
        Err(error) => {
            let source = SourceId(u32::try_from(loaded.sources.len()).unwrap_or(0));
            loaded.sources.push(Source { name: path.display().to_string(), text: "".into() });
            loaded.diagnostics.push(Diagnostic::error(codes::UNREADABLE_SOURCE, Span { source, ..Span::default() }, format!("cannot read `{}`: {error}", path.display())));
        }
    }
}
