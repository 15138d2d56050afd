//! YAML events to values.
use moat_model::{Data, Diagnostic, Entry, Pos, SourceId, Span, Value, codes};
use saphyr_parser::{Event, Parser, ScalarStyle};

enum Open { List(Pos, Vec<Value>), Map(Pos, Vec<Entry>, Option<(Box<str>, Pos)>) }

pub(crate) fn parse(text: &str, source: SourceId, out: &mut Vec<Value>, findings: &mut Vec<Diagnostic>) {
    let mut stack: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = error.marker();
                let pos = Pos { line: u32::try_from(at.line()).unwrap_or(0), column: u32::try_from(at.col()).unwrap_or(0) + 1 };
                findings.push(Diagnostic::error(codes::SYNTAX, Span { source, pos }, error.info().to_owned()));
                return;
            }
        };
        let pos = Pos { line: u32::try_from(span.start.line()).unwrap_or(0), column: u32::try_from(span.start.col()).unwrap_or(0) + 1 };
        let done = match event {
            Event::SequenceStart(..) => { stack.push(Open::List(pos, Vec::new())); None }
            Event::MappingStart(..) => { stack.push(Open::Map(pos, Vec::new(), None)); None }
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(Open::List(pos, items)) => Some(Value { pos, data: Data::List(items) }),
                Some(Open::Map(pos, entries, _)) => Some(Value { pos, data: Data::Map(entries) }),
                None => None,
            },
            Event::Scalar(text, style, ..) => Some(Value { pos, data: scalar(&text, style) }),
            _ => None,
        };
        let Some(value) = done else { continue };
        match stack.last_mut() {
            None => out.push(value),
            Some(Open::List(_, items)) => items.push(value),
            Some(Open::Map(_, entries, key)) => match key.take() {
                None => {
                    let text = match value.data { Data::String(text) => text, Data::Int(n) => n.to_string().into(), Data::Bool(b) => b.to_string().into(), _ => "".into() };
                    *key = Some((text, value.pos));
                }
                Some((key, key_pos)) => entries.push(Entry { key, key_pos, value }),
            },
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Data {
    if style != ScalarStyle::Plain { return Data::String(text.into()); }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ => match text.parse::<i64>() { Ok(n) => Data::Int(n), Err(_) => Data::String(text.into()) },
    }
}
