//! What the tests share: loading a text, showing the result on a few lines, directories that go away.

use moat_load::{Input, Loaded, load};
use moat_model::{Data, Value};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) fn load_text(text: &str) -> Loaded {
    load(&[Input::Text { name: "x.yaml".to_owned(), text: text.to_owned() }])
}

/// Documents as `SOURCE#INDEX: JSON`, then findings.
pub(crate) fn show(loaded: &Loaded) -> String {
    let mut out = String::new();
    for document in &loaded.documents {
        let name = &loaded.sources[document.source.0 as usize].name;
        let _ = write!(out, "{name}#{}: ", document.index);
        json(&document.value, &mut out);
        out.push('\n');
    }
    for finding in &loaded.diagnostics {
        let name = &loaded.sources[finding.span.source.0 as usize].name;
        let _ = write!(
            out,
            "{}[{}] {name}:{}:{}",
            finding.severity, finding.code, finding.span.pos.line, finding.span.pos.column
        );
        if !finding.path.is_empty() {
            let _ = write!(out, " {}", finding.path);
        }
        let _ = writeln!(out, ": {}", finding.message);
        if let Some(help) = &finding.help {
            let _ = writeln!(out, "  help: {help}");
        }
    }
    out
}

/// Numbers bare, text quoted, floats marked.
pub(crate) fn json(value: &Value, out: &mut String) {
    let _ = match &value.data {
        Data::Null => write!(out, "null"),
        Data::Bool(flag) => write!(out, "{flag}"),
        Data::Int(number) => write!(out, "{number}"),
        Data::Float(number) => write!(out, "float({number})"),
        Data::String(text) => write!(out, "{text:?}"),
        Data::List(items) => {
            out.push('[');
            for (idx, item) in items.iter().enumerate() {
                out.push_str(if idx == 0 { "" } else { ", " });
                json(item, out);
            }
            write!(out, "]")
        }
        Data::Map(entries) => {
            out.push('{');
            for (idx, entry) in entries.iter().enumerate() {
                let _ = write!(out, "{}{:?}: ", if idx == 0 { "" } else { ", " }, entry.key);
                json(&entry.value, out);
            }
            write!(out, "}}")
        }
    };
}

pub(crate) fn json_of(text: &str) -> String {
    let loaded = load_text(text);
    assert!(loaded.diagnostics.is_empty(), "{}", show(&loaded));
    let mut out = String::new();
    for (idx, document) in loaded.documents.iter().enumerate() {
        out.push_str(if idx == 0 { "" } else { " | " });
        json(&document.value, &mut out);
    }
    out
}

/// A directory that goes away with the value.
#[derive(Debug)]
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("moat-load-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(std::fs::canonicalize(path).unwrap())
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Loads paths in it.
    pub(crate) fn load(&self, names: &[&str]) -> Loaded {
        load(&names.iter().map(|name| Input::Path(self.0.join(name))).collect::<Vec<_>>())
    }

    /// Loads paths in it and shows the result, with `DIR` for itself.
    pub(crate) fn show(&self, names: &[&str]) -> String {
        self.hide(&show(&self.load(names)))
    }

    pub(crate) fn hide(&self, text: &str) -> String {
        text.replace(self.0.to_str().unwrap(), "DIR")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
