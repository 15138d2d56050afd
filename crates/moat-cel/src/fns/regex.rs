//! Regular expressions, in the syntax of RE2, which take time in proportion to the text.

use super::Found;
use crate::error::Stop;
use crate::eval::Run;
use crate::value::Value;
use regex::Regex;

/// Bytes of a compiled pattern.
const COMPILED_MAX: usize = 1 << 20;

/// Compiles a pattern.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(COMPILED_MAX)
        .build()
        .map_err(|error| error.to_string().replace('\n', " "))
}

pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    args: &[Value<'a>],
    literal: Option<&Regex>,
) -> Option<Found<'a>> {
    let (text, pattern, limit) = match (name, args) {
        ("matches" | "find" | "findAll", [Value::Text(text), Value::Text(pattern)]) => {
            (text, pattern, -1)
        }
        ("findAll", [Value::Text(text), Value::Text(pattern), Value::Int(limit)]) => {
            (text, pattern, *limit)
        }
        _ => return None,
    };
    let work = (text.len() as u64 + 10).div_ceil(10) * (pattern.len() as u64).div_ceil(4).max(1);
    if let Err(stop) = run.pay(work) {
        return Some(Err(stop));
    }
    let made;
    let regex = match literal {
        Some(regex) => regex,
        // To compile is dear, and only what is not a literal is compiled in a run.
        None => match run
            .pay(pattern.len() as u64 * 10)
            .and_then(|()| compile(pattern).map_err(Stop::new))
        {
            Ok(regex) => {
                made = regex;
                &made
            }
            Err(stop) => return Some(Err(stop)),
        },
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Some(Ok(match name {
        "matches" => Value::Bool(regex.is_match(text)),
        "find" => Value::text(regex.find(text).map_or("", |found| found.as_str())),
        _ => Value::list(
            regex.find_iter(text).take(limit).map(|found| Value::text(found.as_str())).collect(),
        ),
    }))
}
