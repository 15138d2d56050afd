//! YAML documents, from the parser's events straight to values.

use crate::elide;
use crate::guard::{Guarded, Pending};
use crate::limits::{ALIAS_TEXT_BYTES, MAX_ALIAS_NODES, MAX_DEPTH};
use crate::scalar;
use crate::tree::{Builder, Fault, Parsed};
use moat_model::{Data, Pos, Value};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Whether a text may copy anchored values.
pub(crate) fn may_alias(text: &str) -> bool {
    text.contains('&') && text.contains('*')
}

/// Parses a text whose first line is line `first_line` of its source, into at most so many values. Anchors and aliases are paid
/// for with `budget` nodes.
pub(crate) fn parse(text: &str, first_line: u32, values: u64, budget: &mut u64) -> Parsed {
    let mut parsed = Parsed::default();
    let pending = Pending::default();
    let mut parser = Parser::new(Guarded::new(text, &pending));
    let mut document = Document::new(first_line, may_alias(text), values, budget);
    while let Some(next) = parser.next_event() {
        let is_over = pending.restart();
        let taken = match next {
            Ok((_, span)) if is_over => Err(too_large(document.pos(span.start))),
            Err(error) if is_over => Err(too_large(document.pos(*error.marker()))),
            Ok((Event::StreamEnd, _)) => break,
            Ok((Event::DocumentStart(_), _)) => {
                let left = values.saturating_sub(parsed.cost);
                document = Document::new(first_line, document.has_aliases, left, document.budget);
                Ok(())
            }
            Ok((Event::DocumentEnd, _)) => {
                let mut builder = std::mem::take(&mut document.builder);
                parsed.push(Ok(builder.finish()), builder);
                Ok(())
            }
            Ok((event, span)) => document.take(event, document.pos(span.start)),
            Err(error) => Err(scan_fault(error.info(), document.pos(*error.marker()))),
        };
        if let Err(fault) = taken {
            parsed.push(Err(fault), document.builder);
            return parsed;
        }
    }
    parsed
}

/// A document being read.
struct Document<'b> {
    builder: Builder,
    first_line: u32,
    has_aliases: bool,
    /// Complete nodes with an anchor, by the parser's anchor id.
    anchored: BTreeMap<usize, Anchored>,
    /// The anchor ids of the open lists and mappings; 0 for none.
    open_anchors: Vec<usize>,
    /// Nodes that may still be copied, in all documents and in this one.
    budget: &'b mut u64,
    own_budget: u64,
}

struct Anchored {
    value: Value,
    size: Size,
}

/// How much a value takes.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: u64,
    depth: usize,
}

impl<'b> Document<'b> {
    fn new(first_line: u32, has_aliases: bool, values: u64, budget: &'b mut u64) -> Self {
        Self {
            builder: Builder::new(values),
            first_line,
            has_aliases,
            anchored: BTreeMap::new(),
            open_anchors: Vec::new(),
            budget,
            own_budget: MAX_ALIAS_NODES,
        }
    }

    fn pos(&self, marker: Marker) -> Pos {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Pos {
            line: self.first_line.saturating_add(number(marker.line().saturating_sub(1))),
            column: number(marker.col()).saturating_add(1),
        }
    }

    fn take(&mut self, event: Event<'_>, pos: Pos) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, style, anchor, tag.as_deref(), pos)
            }
            Event::SequenceStart(anchor, _) => {
                self.open_anchors.push(anchor);
                self.builder.open_list(pos)
            }
            Event::MappingStart(anchor, _) => {
                self.open_anchors.push(anchor);
                self.builder.open_map(pos)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let value = self.builder.close();
                let anchor = self.open_anchors.pop().unwrap_or_default();
                self.remember(anchor, &value)?;
                self.builder.value(value)
            }
            Event::Alias(anchor) => self.alias(anchor, pos),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        pos: Pos,
    ) -> Result<(), Fault> {
        let is_plain = style == ScalarStyle::Plain;
        let is_key = self.builder.wants_key();
        // `isMerge` of goyaml.v2: `n.value == "<<" && (n.implicit == true || n.tag == yaml_MERGE_TAG)`.
        if is_key && text == "<<" && tag.map_or(is_plain, |tag| core_tag(tag) == Some("merge")) {
            self.builder.key(text.into(), pos, true);
            return Ok(());
        }
        let data = match tag {
            Some(tag) => tagged(&text, tag, pos)?,
            None if is_plain => scalar::resolve(&text),
            None => Data::String(text.into()),
        };
        let value = Value { pos, data };
        self.remember(anchor, &value)?;
        if is_key { self.key(value) } else { self.builder.value(value) }
    }

    fn key(&mut self, value: Value) -> Result<(), Fault> {
        let (pos, what) = (value.pos, value.kind());
        let Some(text) = scalar::key_text(value.data) else {
            return Err(Fault::syntax(pos, format!("a key must be text, not {what}"))
                .help("give the key a name, or quote it to use it as text"));
        };
        self.builder.key(text, pos, false);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, pos: Pos) -> Result<(), Fault> {
        let Some(Anchored { value, size }) = self.anchored.get(&anchor) else {
            return Err(Fault::syntax(pos, "an alias stands inside what it names")
                .help("a value cannot contain itself; write the inner part out"));
        };
        if self.builder.depth() + size.depth > MAX_DEPTH {
            return Err(Fault::too_deep(pos));
        }
        pay(self.budget, &mut self.own_budget, size.nodes, pos)?;
        let mut value = value.clone();
        value.pos = pos;
        if self.builder.wants_key() { self.key(value) } else { self.builder.value(value) }
    }

    /// Keeps a copy of a value that has an anchor.
    fn remember(&mut self, anchor: usize, value: &Value) -> Result<(), Fault> {
        if anchor != 0 && self.has_aliases {
            let size = size_of(value);
            pay(self.budget, &mut self.own_budget, size.nodes, value.pos)?;
            self.anchored.insert(anchor, Anchored { value: value.clone(), size });
        }
        Ok(())
    }
}

fn pay(budget: &mut u64, own_budget: &mut u64, nodes: u64, pos: Pos) -> Result<(), Fault> {
    if nodes > *own_budget {
        return Err(Fault::limit(
            pos,
            format!("aliases make more than {MAX_ALIAS_NODES} values in one document"),
        )
        .help(
            "write out what the document repeats, or leave it out; no manifest needs that many",
        ));
    }
    if nodes > *budget {
        return Err(Fault::limit(
            pos,
            "aliases make too many values in everything loaded together",
        )
        .help("load fewer files at a time, or write out what the documents repeat"));
    }
    *own_budget -= nodes;
    *budget -= nodes;
    Ok(())
}

/// Recursion is fine here: no value is deeper than [`MAX_DEPTH`].
fn size_of(value: &Value) -> Size {
    let text = |text: &str| text.len() as u64 / ALIAS_TEXT_BYTES;
    let children: Vec<Size> = match &value.data {
        Data::Null | Data::Bool(_) | Data::Int(_) => return Size { nodes: 1, depth: 0 },
        Data::Float(number) => return Size { nodes: 1 + text(number), depth: 0 },
        Data::String(string) => return Size { nodes: 1 + text(string), depth: 0 },
        Data::List(items) => items.iter().map(size_of).collect(),
        Data::Map(entries) => entries
            .iter()
            .map(|entry| {
                let size = size_of(&entry.value);
                Size { nodes: size.nodes + text(&entry.key), ..size }
            })
            .collect(),
    };
    let depth = children.iter().map(|size| size.depth).max().unwrap_or_default() + 1;
    Size { nodes: children.iter().map(|size| size.nodes).sum::<u64>() + 1, depth }
}

fn core_tag(tag: &Tag) -> Option<&str> {
    tag.is_yaml_core_schema().then_some(tag.suffix.as_str())
}

/// A scalar with a tag: the tags of numbers and words are honoured, all others make text.
fn tagged(text: &str, tag: &Tag, pos: Pos) -> Result<Data, Fault> {
    let what = match core_tag(tag) {
        Some("int") => "a whole number",
        Some("float") => "a number",
        Some("bool") => "true or false",
        Some("null") => "nothing",
        _ => return Ok(Data::String(text.into())),
    };
    let data = scalar::resolve(text);
    let fits = match &data {
        Data::Int(_) => matches!(core_tag(tag), Some("int" | "float")),
        Data::Float(number) => {
            core_tag(tag) == Some("float") || number.bytes().all(|byte| byte.is_ascii_digit())
        }
        Data::Bool(_) => core_tag(tag) == Some("bool"),
        Data::Null => core_tag(tag) == Some("null"),
        Data::String(_) | Data::List(_) | Data::Map(_) => false,
    };
    if fits {
        return Ok(data);
    }
    Err(Fault::syntax(
        pos,
        format!("`{}` is not {what}, which its tag `!!{}` says", elide::text(text), tag.suffix),
    )
    .help("remove the tag, or correct the value"))
}

fn too_large(pos: Pos) -> Fault {
    Fault::limit(pos, "a list or mapping in brackets that is too large")
        .help("write it without brackets, one item or key on a line, or as JSON")
}

/// The parser's error, in words for people.
fn scan_fault(info: &str, pos: Pos) -> Fault {
    let fault = |message: &'static str, help: &'static str| Fault::syntax(pos, message).help(help);
    let has = |part: &str| info.contains(part);
    if has("recursion limit") {
        Fault::too_deep(pos)
    } else if has("tab cannot be used")
        || has("tabs disallowed")
        || has("found a tab")
        || has("start with a tab")
    {
        fault("a tab in the indentation", "indent with spaces")
    } else if let Some(mark) = info.strip_suffix(" must be followed by a valid YAML whitespace") {
        Fault::syntax(pos, format!("a tab after {}", mark.replace('\'', "`")))
            .help("use spaces; what is nested under a key starts on its own line")
    } else if has("mapping values are not allowed") {
        fault(
            "a `key: value` cannot stand here",
            "quote a value that contains `: `, or correct the indentation of this line or the next one",
        )
    } else if has("did not find expected key") {
        fault(
            "this line does not line up with its mapping",
            "start all keys of one mapping in the same column",
        )
    } else if has("did not find expected '-'") {
        fault(
            "this line does not line up with its list",
            "start all items of one list with `-` in the same column",
        )
    } else if has("simple key expect") {
        fault(
            "the text before this is neither a `key: value` nor a list item",
            "add the `:` after the key",
        )
    } else if has("block sequence entries are not allowed") {
        fault("a list item cannot stand here", "put the items on the lines after their key")
    } else if has("quoted scalar, found unexpected") || has("in quoted scalar") {
        fault(
            "a quote is not closed",
            "close it, and indent the lines on which a quoted text goes on",
        )
    } else if has("hexadecimal") || has("escape") && has("quoted scalar") {
        fault(
            "a wrong escape in a double-quoted text",
            "double the backslash, or use single quotes",
        )
    } else if has("content after double-quoted") {
        fault(
            "text after the closing quote",
            "quote all of the value, and write a quote inside it as `\\\"`",
        )
    } else if has("flow mapping, did not find") {
        fault(
            "expected `,` or `}` in the mapping",
            "close the mapping that `{` opens; quote text that starts with `{`",
        )
    } else if has("flow sequence, expected") {
        fault(
            "expected `,` or `]` in the list",
            "close the list that `[` opens; quote text that starts with `[`",
        )
    } else if has("expected node content") {
        fault(
            "a value is missing here",
            "close what `{` or `[` opens before this, and remove a stray comma",
        )
    } else if has("misplaced bracket") {
        fault("a closing bracket without its opening one", "remove it, or quote the text")
    } else if has("unknown anchor") {
        fault(
            "an alias of an anchor that is not defined before it",
            "define `&name` first, or quote text that starts with `*`",
        )
    } else if let Some(character) =
        info.strip_prefix("unexpected character: `").and_then(|rest| rest.chars().next())
    {
        Fault::syntax(pos, format!("a value cannot start with `{character}`")).help("quote it")
    } else {
        let words = ["while scanning ", "while parsing "]
            .iter()
            .find_map(|start| info.strip_prefix(start))
            .unwrap_or(info);
        Fault::syntax(pos, format!("invalid YAML: {}", elide::text(words)))
            .help("check the indentation, quotes and brackets of this line")
    }
}
