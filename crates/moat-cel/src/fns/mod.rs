//! Functions. `signatures` says which there are; here is what they do.

mod format;
pub(crate) mod lists;
mod named;
mod net;
pub(crate) mod quantity;
pub(crate) mod regex;
pub(crate) mod semver;
mod standard;
mod strings;
pub(crate) mod time;
pub(crate) mod url;

use crate::error::Stop;
use crate::eval::Run;
use crate::ops;
use crate::value::Value;
use ::regex::Regex;
use std::cmp::Ordering;

pub(crate) type Found<'a> = Result<Value<'a>, Stop>;

/// Calls a function with values. Of a name there are several functions, so each module says whether the values are for it.
pub(crate) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    member: bool,
    args: &[Value<'a>],
    regex: Option<&Regex>,
) -> Found<'a> {
    if let [one, other] = args {
        let wanted: Option<fn(Ordering) -> bool> = match name {
            "_<_" => Some(Ordering::is_lt),
            "_<=_" => Some(Ordering::is_le),
            "_>_" => Some(Ordering::is_gt),
            "_>=_" => Some(Ordering::is_ge),
            _ => None,
        };
        if let Some(wanted) = wanted {
            return Ok(Value::Bool(ops::order(run, one, other)?.is_some_and(wanted)));
        }
        match name {
            "_==_" => return Ok(Value::Bool(ops::equal(run, one, other, 0)?)),
            "_!=_" => return Ok(Value::Bool(!ops::equal(run, one, other, 0)?)),
            "@in" => return Ok(Value::Bool(ops::is_in(run, one, other)?)),
            "_+_" | "_-_" | "_*_" | "_/_" | "_%_" => return ops::arithmetic(run, name, one, other),
            _ => {}
        }
    }
    // Whoever does not have the function for these values hands it on.
    let modules: [Module; 9] = [
        standard::call,
        strings::call,
        lists::call,
        time::call,
        net::call,
        quantity::call,
        semver::call,
        named::call,
        url::call,
    ];
    if let Some(found) = regex::call(run, name, args, regex) {
        return found;
    }
    for module in modules {
        if let Some(found) = module(run, name, member, args) {
            return found;
        }
    }
    Err(Stop::Overload)
}

type Module =
    for<'a, 'r, 'n, 'v> fn(&'r mut Run<'a>, &'n str, bool, &'v [Value<'a>]) -> Option<Found<'a>>;

/// A value in words: what `string` and `%s` say of it, or its type.
pub(crate) fn show(value: &Value<'_>) -> String {
    standard::text_of(value).unwrap_or_else(|| value.type_name().to_owned())
}
