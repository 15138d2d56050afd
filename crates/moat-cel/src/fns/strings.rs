//! Strings. Positions are those of characters.

use super::{Found, format};
use crate::error::Stop;
use crate::eval::Run;
use crate::value::{Text, Value};

pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    member: bool,
    args: &[Value<'a>],
) -> Option<Found<'a>> {
    use Value as V;
    if let ("strings.quote", [V::Text(text)]) = (name, args) {
        return Some(run.pay_for(text.len()).map(|()| V::text(quote(text))));
    }
    if !member {
        return None;
    }
    if let Some((V::List(_), _)) = args.split_first() {
        return (name == "join").then(|| join(run, args));
    }
    let (V::Text(of), rest) = args.split_first()? else { return None };
    let texts: Option<Vec<&Text<'a>>> = rest
        .iter()
        .map(|arg| match arg {
            V::Text(text) => Some(text),
            _ => None,
        })
        .collect();
    let known = matches!(
        name,
        "contains"
            | "startsWith"
            | "endsWith"
            | "charAt"
            | "indexOf"
            | "lastIndexOf"
            | "lowerAscii"
            | "upperAscii"
            | "replace"
            | "split"
            | "substring"
            | "trim"
            | "format"
    );
    if !known {
        return None;
    }
    let arguments = rest.iter().map(|arg| arg.as_text().map_or(0, str::len)).sum::<usize>();
    if let Err(stop) = run.pay_for(of.len() + arguments) {
        return Some(Err(stop));
    }
    let of = &**of;
    Some(match (name, rest, texts.as_deref()) {
        ("contains", _, Some([wanted])) => Ok(V::Bool(of.contains(&***wanted))),
        ("startsWith", _, Some([wanted])) => Ok(V::Bool(of.starts_with(&***wanted))),
        ("endsWith", _, Some([wanted])) => Ok(V::Bool(of.ends_with(&***wanted))),
        ("lowerAscii", [], _) => Ok(V::text(of.to_ascii_lowercase())),
        ("upperAscii", [], _) => Ok(V::text(of.to_ascii_uppercase())),
        ("trim", [], _) => Ok(V::text(of.trim())),
        ("charAt", [V::Int(at)], _) => char_at(of, *at),
        ("indexOf", _, Some([wanted])) => Ok(first(of, wanted, 0)),
        ("indexOf", [V::Text(wanted), V::Int(from)], _) => {
            bounded(of, *from).map(|from| first(of, wanted, from))
        }
        ("lastIndexOf", _, Some([wanted])) => Ok(last(of, wanted, usize::MAX)),
        ("lastIndexOf", [V::Text(wanted), V::Int(to)], _) => {
            bounded(of, *to).map(|to| last(of, wanted, to))
        }
        ("replace", _, Some([from, to])) => replace(run, of, from, to, -1),
        ("replace", [V::Text(from), V::Text(to), V::Int(n)], _) => replace(run, of, from, to, *n),
        ("split", _, Some([by])) => Ok(split(of, by, -1)),
        ("split", [V::Text(by), V::Int(n)], _) => Ok(split(of, by, *n)),
        ("substring", [V::Int(from)], _) => substring(of, *from, None),
        ("substring", [V::Int(from), V::Int(to)], _) => substring(of, *from, Some(*to)),
        ("format", [V::List(values)], _) => format::format(run, of, values),
        _ => return None,
    })
}

fn int<'a>(at: usize) -> Value<'a> {
    Value::Int(i64::try_from(at).unwrap_or(i64::MAX))
}

fn outside(at: i64) -> Stop {
    Stop::new(format!("index out of range: {at}"))
}

/// A position that is in the text or at its end, in characters.
fn bounded(of: &str, at: i64) -> Result<usize, Stop> {
    let n = of.chars().count();
    usize::try_from(at).ok().filter(|at| *at <= n).ok_or_else(|| outside(at))
}

fn char_at<'a>(of: &str, at: i64) -> Found<'a> {
    let place = bounded(of, at)?;
    Ok(Value::text(of.chars().nth(place).map(String::from).unwrap_or_default()))
}

/// The byte at which a character begins.
fn byte_at(of: &str, character: usize) -> usize {
    of.char_indices().nth(character).map_or(of.len(), |(at, _)| at)
}

fn first<'a>(of: &str, wanted: &str, from: usize) -> Value<'a> {
    let start = byte_at(of, from);
    let found = of.get(start..).and_then(|rest| rest.find(wanted));
    found.map_or(Value::Int(-1), |at| {
        int(of.get(..start + at).map_or(0, |before| before.chars().count()))
    })
}

fn last<'a>(of: &str, wanted: &str, to: usize) -> Value<'a> {
    // The match begins at the position or before it.
    let end = (byte_at(of, to) + wanted.len()).min(of.len());
    let end = (end..=of.len()).find(|end| of.is_char_boundary(*end)).unwrap_or(of.len());
    let found = of.get(..end).and_then(|rest| rest.rfind(wanted));
    found.map_or(Value::Int(-1), |at| int(of.get(..at).map_or(0, |before| before.chars().count())))
}

fn replace<'a>(run: &mut Run<'a>, of: &str, from: &str, to: &str, n: i64) -> Found<'a> {
    let times = of.matches(from).count();
    let times = usize::try_from(n).map_or(times, |n| n.min(times));
    run.pay_for(times.saturating_mul(to.len()))?;
    Ok(Value::text(of.replacen(from, to, times)))
}

fn split<'a>(of: &str, by: &str, n: i64) -> Value<'a> {
    let pieces: Vec<&str> = if by.is_empty() {
        // Into characters, of which the last piece has the rest.
        let mut pieces = Vec::new();
        let mut rest = of;
        while let Some(c) = rest.chars().next() {
            if usize::try_from(n).is_ok_and(|n| pieces.len() + 1 == n) {
                break;
            }
            let (one, after) = rest.split_at(c.len_utf8());
            pieces.push(one);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(rest);
        }
        pieces
    } else {
        match usize::try_from(n) {
            Ok(n) => of.splitn(n, by).collect(),
            Err(_) => of.split(by).collect(),
        }
    };
    let pieces = if n == 0 { Vec::new() } else { pieces };
    Value::list(pieces.into_iter().map(Value::text).collect())
}

fn substring<'a>(of: &str, from: i64, to: Option<i64>) -> Found<'a> {
    let start = bounded(of, from)?;
    let end = to.map(|to| bounded(of, to)).transpose()?;
    if end.is_some_and(|end| end < start) {
        let to = to.unwrap_or_default();
        return Err(Stop::new(format!("invalid substring range. start: {from}, end: {to}")));
    }
    let n = end.map_or(usize::MAX, |end| end - start);
    Ok(Value::text(of.chars().skip(start).take(n).collect::<String>()))
}

fn join<'a>(run: &mut Run<'a>, args: &[Value<'a>]) -> Found<'a> {
    let (list, by) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::Text(by)] => (list, &**by),
        _ => return Err(Stop::Overload),
    };
    let mut all = String::new();
    for (at, value) in list.values().enumerate() {
        let Value::Text(text) = value? else { return Err(Stop::Overload) };
        run.pay_for(text.len() + by.len())?;
        if 0 < at {
            all.push_str(by);
        }
        all.push_str(&text);
    }
    Ok(Value::text(all))
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
