//! Building a tree of values from a stream of scalars, openings and closings: without recursion, with the path of every fault.

use crate::elide;
use crate::limits::{BYTES_PER_VALUE, DOCUMENT_VALUES, MAX_DEPTH, MAX_FINDINGS};
use moat_model::{Code, Data, Diagnostic, Entry, Pos, SourceId, Span, Value, codes};
use std::borrow::Cow;

/// Why a document has no value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) pos: Pos,
    pub(crate) message: Cow<'static, str>,
    pub(crate) help: Option<Cow<'static, str>>,
    pub(crate) path: String,
    /// Whether the limit on all values leaves the document out.
    pub(crate) is_refusal: bool,
}

/// What came of a chunk.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// One per document.
    pub(crate) documents: Vec<Tree>,
    /// What all of them cost.
    pub(crate) cost: u64,
    /// Repeated keys; the source of their spans is filled in by the caller.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Repeated keys that were left out, as too many.
    pub(crate) n_untold: usize,
    pub(crate) faults: Vec<Fault>,
    /// Faults too, apart because one finding tells all of a source.
    pub(crate) refusals: Vec<Fault>,
}

/// A document that was parsed.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// `None` where it is empty or bad.
    pub(crate) value: Option<Value>,
    /// How many values it takes of those that there may be.
    pub(crate) cost: u64,
}

/// The document being built.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    open: Vec<Node>,
    /// What the open lists and mappings hold so far, innermost last: a finished one takes its part, in memory of the right size.
    items: Vec<Value>,
    entries: Vec<Entry>,
    root: Option<Value>,
    /// How many values there may be, and how many there are.
    budget: u64,
    cost: u64,
    /// Repeated keys, and how many more there are.
    diagnostics: Vec<Diagnostic>,
    n_untold: usize,
}

/// A list or mapping that is still open.
#[derive(Debug)]
struct Node {
    pos: Pos,
    content: Content,
}

#[derive(Debug)]
enum Content {
    List {
        /// Where its items start.
        start: usize,
    },
    Map {
        /// Where its entries start.
        start: usize,
        /// The key whose value comes next.
        key: Option<Key>,
        /// Which entries came through a merge key, ascending; these may be overridden silently.
        merged: Vec<usize>,
    },
}

#[derive(Debug)]
struct Key {
    text: Box<str>,
    pos: Pos,
    is_merge: bool,
}

impl Fault {
    pub(crate) fn syntax(pos: Pos, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: codes::SYNTAX,
            pos,
            message: message.into(),
            help: None,
            path: String::new(),
            is_refusal: false,
        }
    }

    pub(crate) fn limit(pos: Pos, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: codes::LIMIT, ..Self::syntax(pos, message) }
    }

    pub(crate) fn too_deep(pos: Pos) -> Self {
        Self::limit(pos, format!("nested deeper than {MAX_DEPTH} levels"))
            .help("no Kubernetes object needs that; split the document, or leave it out")
    }

    pub(crate) fn too_many(pos: Pos) -> Self {
        let message = format!("more values than one per {BYTES_PER_VALUE} bytes of text");
        Self { is_refusal: true, ..Self::limit(pos, message) }.help(
            "no manifest is that dense; leave the document out, or load fewer files at a time",
        )
    }

    /// The source of its span is filled in by the caller.
    pub(crate) fn finding(self) -> Diagnostic {
        let span = Span { source: SourceId::default(), pos: self.pos };
        let finding = Diagnostic::error(self.code, span, self.message).path(self.path);
        match self.help {
            Some(help) => finding.help(help),
            None => finding,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Parsed {
    /// Ends a document.
    pub(crate) fn push(&mut self, document: Result<Value, Fault>, builder: Builder) {
        let value = match document {
            Ok(value) => (!value.is_null()).then_some(value),
            Err(mut fault) => {
                fault.path = builder.path();
                self.faults.push(fault);
                None
            }
        };
        let cost = if value.is_some() { builder.cost + DOCUMENT_VALUES } else { 0 };
        self.cost += cost;
        self.documents.push(Tree { value, cost });
        let room = MAX_FINDINGS.saturating_sub(self.diagnostics.len());
        self.n_untold += builder.n_untold + builder.diagnostics.len().saturating_sub(room);
        self.diagnostics.extend(builder.diagnostics.into_iter().take(room));
    }
}

impl Builder {
    /// For a document that may take `budget` values.
    pub(crate) fn new(budget: u64) -> Self {
        Self { budget: budget.saturating_sub(DOCUMENT_VALUES), ..Self::default() }
    }

    /// How many lists and mappings are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Whether the next scalar is a key.
    pub(crate) fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Node { content: Content::Map { key: None, .. }, .. }))
    }

    /// Whether the innermost open node is a mapping.
    pub(crate) fn in_map(&self) -> bool {
        matches!(self.open.last(), Some(Node { content: Content::Map { .. }, .. }))
    }

    pub(crate) fn open_list(&mut self, pos: Pos) -> Result<(), Fault> {
        self.open(pos, Content::List { start: self.items.len() })
    }

    pub(crate) fn open_map(&mut self, pos: Pos) -> Result<(), Fault> {
        self.open(pos, Content::Map { start: self.entries.len(), key: None, merged: Vec::new() })
    }

    fn open(&mut self, pos: Pos, content: Content) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::too_deep(pos));
        }
        if self.wants_key() {
            let what = if matches!(content, Content::List { .. }) { "a list" } else { "a mapping" };
            return Err(Fault::syntax(pos, format!("a key must be text, not {what}"))
                .help("quote a text that starts with a bracket or a brace"));
        }
        self.open.push(Node { pos, content });
        Ok(())
    }

    /// Takes a key.
    pub(crate) fn key(&mut self, text: Box<str>, pos: Pos, is_merge: bool) {
        if let Some(Node { content: Content::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(Key { text, pos, is_merge });
        }
    }

    /// Takes a complete value: an item, the value of the key before, or the document.
    pub(crate) fn value(&mut self, value: Value) -> Result<(), Fault> {
        // An entry takes as much as two items.
        self.cost += 1 + u64::from(self.in_map());
        if self.cost > self.budget {
            return Err(Fault::too_many(value.pos));
        }
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Node { content: Content::List { .. }, .. }) => self.items.push(value),
            Some(Node { content: Content::Map { start, key, merged }, .. }) => {
                if key.as_ref().is_some_and(|key| key.is_merge) {
                    merge(value, &mut self.entries, *start, merged)?;
                    *key = None;
                } else if let Some(Key { text, pos, .. }) = key.take() {
                    self.entries.push(Entry { key: text, key_pos: pos, value });
                }
            }
        }
        Ok(())
    }

    /// Closes the innermost list or mapping, and hands it over for [`Builder::value`].
    pub(crate) fn close(&mut self) -> Value {
        let Some(Node { pos, content }) = self.open.pop() else { return Value::NULL };
        let data = match content {
            Content::List { start } => Data::List(take_from(&mut self.items, start)),
            Content::Map { start, merged, .. } => {
                let mut entries = take_from(&mut self.entries, start);
                self.drop_repeated(&mut entries, &merged);
                Data::Map(entries)
            }
        };
        Value { pos, data }
    }

    /// The document, when everything is closed.
    pub(crate) fn finish(&mut self) -> Value {
        self.root.take().unwrap_or(Value::NULL)
    }

    /// The field being read, such as `spec.ingress[0].from`, shortened where it is long.
    fn path(&self) -> String {
        elide::path(&self.steps())
    }

    fn steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        let starts = self.open.iter().filter_map(|node| match node.content {
            Content::List { start } => Some(start),
            Content::Map { .. } => None,
        });
        // The items of a list end where those of the next one inside it start.
        let mut ends = starts.skip(1).chain([self.items.len()]);
        for node in &self.open {
            match &node.content {
                Content::List { start } => {
                    steps.push(format!("[{}]", ends.next().unwrap_or(*start) - start));
                }
                Content::Map { key: Some(key), .. } => steps.push(step(&steps, &key.text)),
                Content::Map { key: None, .. } => {}
            }
        }
        steps
    }

    /// Keeps the last of entries with the same key, as the API server does, and reports those that were written twice.
    fn drop_repeated(&mut self, entries: &mut Vec<Entry>, merged: &[usize]) {
        const FEW: usize = 12;
        if entries.len() <= FEW {
            let key = |idx: usize| &entries[idx].key;
            if !(1..entries.len()).any(|later| (0..later).any(|idx| key(idx) == key(later))) {
                return;
            }
        }
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|&a, &b| entries[a].key.cmp(&entries[b].key).then(a.cmp(&b)));
        let mut dropped = vec![false; entries.len()];
        let mut reports = Vec::new();
        for same in
            order.chunk_by(|&a, &b| entries[a].key == entries[b].key).filter(|same| same.len() > 1)
        {
            let (last, earlier) = same.split_last().unwrap_or((&0, &[]));
            earlier.iter().for_each(|&idx| dropped[idx] = true);
            let written = |idx: &&usize| merged.binary_search(idx).is_err();
            if let (Some(&first), true) = (earlier.iter().find(written), written(&last)) {
                reports.push((*last, first));
            }
        }
        reports.sort_unstable();
        for (last, first) in reports {
            let (entry, first) = (&entries[last], &entries[first]);
            if self.diagnostics.len() >= MAX_FINDINGS {
                self.n_untold += 1;
                continue;
            }
            let mut steps = self.steps();
            steps.push(step(&steps, &entry.key));
            let span = Span { source: SourceId::default(), pos: entry.key_pos };
            let message = format!(
                "key `{}` is already on line {}; the last one wins",
                elide::text(&entry.key),
                first.key_pos.line
            );
            self.diagnostics.push(
                Diagnostic::warning(codes::DUPLICATE_KEY, span, message)
                    .path(elide::path(&steps))
                    .help("keep one of them; to give several values, use a list or mapping under one key"),
            );
        }
        let mut dropped = dropped.into_iter();
        entries.retain(|_| !dropped.next().unwrap_or(false));
    }
}

/// The step to a key, after other steps.
fn step(before: &[String], key: &str) -> String {
    format!("{}{}", if before.is_empty() { "" } else { "." }, elide::text(key))
}

/// The end of a vector, in memory of the right size; a large one without a copy when it is all of it.
fn take_from<T>(all: &mut Vec<T>, start: usize) -> Vec<T> {
    const LARGE: usize = 4096;
    if start > 0 || all.len() < LARGE {
        return all.drain(start..).collect();
    }
    let mut taken = std::mem::take(all);
    taken.shrink_to_fit();
    taken
}

/// Takes over the entries of the value of a merge key into the mapping whose entries begin at `start`.
///
/// As `goyaml.v2/decode.go`: keys are set in the order of the text, so that a merge overrides what is written before it and is
/// overridden by what is written after it; in a list of mappings, `// Step backwards as earlier nodes take precedence`.
fn merge(
    value: Value,
    entries: &mut Vec<Entry>,
    start: usize,
    merged: &mut Vec<usize>,
) -> Result<(), Fault> {
    let pos = value.pos;
    let mappings = match value.data {
        Data::List(items) => items.into_iter().rev().map(|item| item.data).collect(),
        data => vec![data],
    };
    for mapping in mappings {
        let Data::Map(more) = mapping else {
            return Err(Fault::syntax(
                pos,
                "a merge key `<<` needs a mapping or a list of mappings",
            )
            .help("give it an alias of a mapping, such as `<<: *defaults`"));
        };
        let n_before = entries.len() - start;
        merged.extend(n_before..n_before + more.len());
        entries.extend(more);
    }
    Ok(())
}
