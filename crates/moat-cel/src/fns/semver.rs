//! Versions, as semver.org has them.

use super::Found;
use crate::error::Stop;
use crate::eval::Run;
use crate::value::{Opaque, Value};
use std::cmp::Ordering;

/// A version. What is behind a plus does not count.
#[derive(Debug, PartialEq)]
pub struct Semver {
    numbers: [u64; 3],
    /// Parts before a release, in which numbers come before words.
    before: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

impl Semver {
    fn parse(text: &str) -> Option<Self> {
        let (rest, build) =
            text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
        let (core, before) =
            rest.split_once('-').map_or((rest, None), |(core, before)| (core, Some(before)));
        let word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if build.is_some_and(|build| !build.split('.').all(word)) {
            return None;
        }
        let numbers: Vec<u64> = core.split('.').map(number).collect::<Option<_>>()?;
        let before: Option<Vec<Part>> = before
            .into_iter()
            .flat_map(|before| before.split('.'))
            .map(|part| {
                if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
                    return number(part).map(Part::Number);
                }
                word(part).then(|| Part::Word(part.to_owned()))
            })
            .collect();
        Some(Self { numbers: numbers.try_into().ok()?, before: before? })
    }

    /// The same for what people write: a `v` in front, leading zeros, parts left out.
    fn parse_loosely(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (core, rest) = text.split_at(end);
        let mut parts: Vec<&str> = core
            .split('.')
            .map(|part| {
                let cut = part.trim_start_matches('0');
                if cut.is_empty() && !part.is_empty() { "0" } else { cut }
            })
            .collect();
        if parts.len() < 3 && !rest.is_empty() {
            return None;
        }
        parts.resize(parts.len().max(3), "0");
        Self::parse(&format!("{}{rest}", parts.join(".")))
    }

    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.before.is_empty(), other.before.is_empty()) {
                (true, true) => Ordering::Equal,
                // A release comes after all that is before it.
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.before.cmp(&other.before),
            }
        })
    }
}

fn number(digits: &str) -> Option<u64> {
    let right = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let zero = digits.len() > 1 && digits.starts_with('0');
    if right && !zero { digits.parse().ok() } else { None }
}

pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    _: bool,
    args: &[Value<'a>],
) -> Option<Found<'a>> {
    use Value as V;
    let (text, loosely) = match (name, args) {
        ("semver" | "isSemver", [V::Text(text)]) => (Some(text), false),
        ("semver" | "isSemver", [V::Text(text), V::Bool(loosely)]) => (Some(text), *loosely),
        _ => (None, false),
    };
    if let Some(text) = text {
        if let Err(stop) = run.pay_for(text.len()) {
            return Some(Err(stop));
        }
        let read = if loosely { Semver::parse_loosely(text) } else { Semver::parse(text) };
        return Some(match (name, read) {
            ("isSemver", read) => Ok(V::Bool(read.is_some())),
            (_, Some(read)) => Ok(V::opaque(Opaque::Semver(read))),
            _ => {
                Err(Stop::new(format!("semver parse error: {:?} is no semantic version", &**text)))
            }
        });
    }
    let (V::Opaque(of), rest) = args.split_first()? else { return None };
    let Opaque::Semver(of) = &**of else { return None };
    let part =
        |at: usize| of.numbers.get(at).map(|part| V::Int(i64::try_from(*part).unwrap_or(i64::MAX)));
    let other = match rest {
        [] => {
            return Some(Ok(match name {
                "major" => part(0)?,
                "minor" => part(1)?,
                "patch" => part(2)?,
                _ => return None,
            }));
        }
        [V::Opaque(other)] => other,
        _ => return None,
    };
    let Opaque::Semver(other) = &**other else { return None };
    let order = of.order(other);
    Some(Ok(match name {
        "isGreaterThan" => V::Bool(order.is_gt()),
        "isLessThan" => V::Bool(order.is_lt()),
        "compareTo" => V::Int(order as i64),
        _ => return None,
    }))
}
