//! Equality, order and arithmetic.

use crate::error::Stop;
use crate::eval::Run;
use crate::types::ListKind;
use crate::value::{Key, List, Map, Value};
use std::cmp::Ordering;

/// Levels of nested values that are compared.
const DEPTH_MAX: usize = 128;

fn overflow() -> Stop {
    Stop::new("integer overflow")
}

/// Arithmetic of two values.
pub(crate) fn arithmetic<'a>(
    run: &mut Run<'a>,
    name: &str,
    one: &Value<'a>,
    other: &Value<'a>,
) -> Result<Value<'a>, Stop> {
    use Value as V;
    let sign = name.as_bytes().get(1).copied().unwrap_or(b'+');
    Ok(match (sign, one, other) {
        (_, V::Int(a), V::Int(b)) => V::Int(ints(sign, *a, *b)?),
        (_, V::Uint(a), V::Uint(b)) => V::Uint(uints(sign, *a, *b)?),
        (b'+', V::Double(a), V::Double(b)) => V::Double(a + b),
        (b'-', V::Double(a), V::Double(b)) => V::Double(a - b),
        (b'*', V::Double(a), V::Double(b)) => V::Double(a * b),
        (b'/', V::Double(a), V::Double(b)) => V::Double(a / b),
        (b'+', V::Text(a), V::Text(b)) => {
            run.pay_for(a.len() + b.len())?;
            V::text(format!("{}{}", &**a, &**b))
        }
        (b'+', V::Bytes(a), V::Bytes(b)) => {
            run.pay_for(a.len() + b.len())?;
            V::Bytes(a.iter().chain(b.iter()).copied().collect())
        }
        (b'+', V::List(a), V::List(b)) => concat(run, a, b)?,
        (b'+', V::Duration(a), V::Duration(b)) => {
            V::Duration(a.checked_add(*b).ok_or_else(overflow)?)
        }
        (b'-', V::Duration(a), V::Duration(b)) => {
            V::Duration(a.checked_sub(*b).ok_or_else(overflow)?)
        }
        (b'+', V::Timestamp(time), V::Duration(span))
        | (b'+', V::Duration(span), V::Timestamp(time)) => V::Timestamp(
            crate::fns::time::add(*time, *span).ok_or_else(|| Stop::new("timestamp overflow"))?,
        ),
        (b'-', V::Timestamp(time), V::Duration(span)) => {
            let span = span.checked_neg().ok_or_else(overflow)?;
            V::Timestamp(
                crate::fns::time::add(*time, span)
                    .ok_or_else(|| Stop::new("timestamp overflow"))?,
            )
        }
        (b'-', V::Timestamp(a), V::Timestamp(b)) => {
            let nanos = a.as_nanosecond() - b.as_nanosecond();
            V::Duration(i64::try_from(nanos).map_err(|_| overflow())?)
        }
        _ => return Err(Stop::Overload),
    })
}

fn ints(sign: u8, a: i64, b: i64) -> Result<i64, Stop> {
    match sign {
        b'/' if b == 0 => return Err(Stop::new("division by zero")),
        b'%' if b == 0 => return Err(Stop::new("modulus by zero")),
        b'+' => a.checked_add(b),
        b'-' => a.checked_sub(b),
        b'*' => a.checked_mul(b),
        b'/' => a.checked_div(b),
        _ => a.checked_rem(b),
    }
    .ok_or_else(overflow)
}

fn uints(sign: u8, a: u64, b: u64) -> Result<u64, Stop> {
    match sign {
        b'/' if b == 0 => return Err(Stop::new("division by zero")),
        b'%' if b == 0 => return Err(Stop::new("modulus by zero")),
        b'+' => a.checked_add(b),
        b'-' => a.checked_sub(b),
        b'*' => a.checked_mul(b),
        b'/' => a.checked_div(b),
        _ => a.checked_rem(b),
    }
    .ok_or_else(|| Stop::new("unsigned integer overflow"))
}

/// Lists one after the other; lists that are sets or maps are united.
fn concat<'a>(run: &mut Run<'a>, one: &List<'a>, other: &List<'a>) -> Result<Value<'a>, Stop> {
    run.pay_each(one.len() + other.len())?;
    let mut all = one.all()?;
    for value in other.values() {
        let value = value?;
        let same = match one.kind() {
            ListKind::Atomic => None,
            kind => position(run, kind, &all, &value)?,
        };
        match (same, one.kind()) {
            (None, _) => all.push(value),
            (Some(at), ListKind::Map(_)) => {
                if let Some(own) = all.get_mut(at) {
                    *own = value;
                }
            }
            (Some(_), _) => {}
        }
    }
    Ok(Value::list(all))
}

fn position<'a>(
    run: &mut Run<'a>,
    kind: &ListKind,
    all: &[Value<'a>],
    wanted: &Value<'a>,
) -> Result<Option<usize>, Stop> {
    for (at, one) in all.iter().enumerate() {
        run.pay(1)?;
        let is = match kind {
            ListKind::Map(keys) => same_keys(run, keys, one, wanted)?,
            _ => equal(run, one, wanted, 0)?,
        };
        if is {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn same_keys<'a>(
    run: &mut Run<'a>,
    keys: &[String],
    one: &Value<'a>,
    other: &Value<'a>,
) -> Result<bool, Stop> {
    let (Value::Map(one), Value::Map(other)) = (one, other) else { return Ok(false) };
    for key in keys {
        let name = crate::schema::escape(key).unwrap_or_default();
        let name = Value::text(name);
        let is = match (one.get(&name).transpose()?, other.get(&name).transpose()?) {
            (Some(one), Some(other)) => equal(run, &one, &other, 0)?,
            (None, None) => true,
            _ => false,
        };
        if !is {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two values are equal; values of different types are not, but for numbers.
pub(crate) fn equal<'a>(
    run: &mut Run<'a>,
    one: &Value<'a>,
    other: &Value<'a>,
    depth: usize,
) -> Result<bool, Stop> {
    use Value as V;
    if DEPTH_MAX <= depth {
        return Err(Stop::new("values are nested too deep to be compared"));
    }
    Ok(match (one, other) {
        (V::Null, V::Null) => true,
        (V::Bool(a), V::Bool(b)) => a == b,
        (V::Text(a), V::Text(b)) => {
            run.pay_for(a.len().min(b.len()))?;
            **a == **b
        }
        (V::Bytes(a), V::Bytes(b)) => {
            run.pay_for(a.len().min(b.len()))?;
            a == b
        }
        (V::Timestamp(a), V::Timestamp(b)) => a == b,
        (V::Duration(a), V::Duration(b)) => a == b,
        (V::Type(a), V::Type(b)) => a == b,
        (V::Opaque(a), V::Opaque(b)) => a == b,
        (V::Optional(None), V::Optional(None)) => true,
        (V::Optional(Some(a)), V::Optional(Some(b))) => equal(run, a, b, depth + 1)?,
        (V::List(a), V::List(b)) => lists(run, a, b, depth)?,
        (V::Map(a), V::Map(b)) => maps(run, a, b, depth)?,
        _ => numbers(one, other) == Some(Ordering::Equal),
    })
}

fn lists<'a>(
    run: &mut Run<'a>,
    one: &List<'a>,
    other: &List<'a>,
    depth: usize,
) -> Result<bool, Stop> {
    if one.len() != other.len() {
        return Ok(false);
    }
    run.pay_each(one.len())?;
    if *one.kind() == ListKind::Atomic {
        for (a, b) in one.values().zip(other.values()) {
            if !equal(run, &a?, &b?, depth + 1)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    // The order of sets and maps does not count.
    let all = one.all()?;
    for value in other.values() {
        let value = value?;
        let Some(own) = position(run, one.kind(), &all, &value)?.and_then(|at| all.get(at)) else {
            return Ok(false);
        };
        if !equal(run, own, &value, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps<'a>(run: &mut Run<'a>, one: &Map<'a>, other: &Map<'a>, depth: usize) -> Result<bool, Stop> {
    if one.len() != other.len() {
        return Ok(false);
    }
    run.pay_each(one.len())?;
    // Both in JSON: by the names there, so that fields count that the type does not have.
    if let (Map::Json(a, _), Map::Json(b, _)) = (one, other) {
        for (name, json) in a.iter().filter(|(_, json)| !json.is_null()) {
            let Some(found) = b.get(name) else { return Ok(false) };
            let (mine, theirs) = (one.below(name), other.below(name));
            if !equal(
                run,
                &Value::of_json(json, mine)?,
                &Value::of_json(found, theirs)?,
                depth + 1,
            )? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    for (key, value) in one.entries()? {
        let Some(found) = other.get(&key) else { return Ok(false) };
        if !equal(run, &value, &found?, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The order of two numbers of any type.
fn numbers(one: &Value<'_>, other: &Value<'_>) -> Option<Ordering> {
    use Value as V;
    Some(match (one, other) {
        (V::Int(a), V::Int(b)) => a.cmp(b),
        (V::Uint(a), V::Uint(b)) => a.cmp(b),
        (V::Double(a), V::Double(b)) => return a.partial_cmp(b),
        (V::Int(a), V::Uint(b)) => i128::from(*a).cmp(&i128::from(*b)),
        (V::Uint(a), V::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
        #[allow(clippy::cast_precision_loss, reason = "as upstream compares them")]
        (V::Int(a), V::Double(b)) => return (*a as f64).partial_cmp(b),
        #[allow(clippy::cast_precision_loss, reason = "as upstream compares them")]
        (V::Double(a), V::Int(b)) => return a.partial_cmp(&(*b as f64)),
        #[allow(clippy::cast_precision_loss, reason = "as upstream compares them")]
        (V::Uint(a), V::Double(b)) => return (*a as f64).partial_cmp(b),
        #[allow(clippy::cast_precision_loss, reason = "as upstream compares them")]
        (V::Double(a), V::Uint(b)) => return a.partial_cmp(&(*b as f64)),
        _ => return None,
    })
}

/// The order of two values that have one. `None` where a number is none.
pub(crate) fn order(
    run: &mut Run<'_>,
    one: &Value<'_>,
    other: &Value<'_>,
) -> Result<Option<Ordering>, Stop> {
    use Value as V;
    Ok(Some(match (one, other) {
        (V::Bool(a), V::Bool(b)) => a.cmp(b),
        (V::Text(a), V::Text(b)) => {
            run.pay_for(a.len().min(b.len()))?;
            (**a).cmp(&**b)
        }
        (V::Bytes(a), V::Bytes(b)) => {
            run.pay_for(a.len().min(b.len()))?;
            a.cmp(b)
        }
        (V::Timestamp(a), V::Timestamp(b)) => a.cmp(b),
        (V::Duration(a), V::Duration(b)) => a.cmp(b),
        (V::Int(_) | V::Uint(_) | V::Double(_), V::Int(_) | V::Uint(_) | V::Double(_)) => {
            return Ok(numbers(one, other));
        }
        _ => return Err(Stop::Overload),
    }))
}

/// `wanted in list` and `wanted in map`.
pub(crate) fn is_in<'a>(
    run: &mut Run<'a>,
    wanted: &Value<'a>,
    all: &Value<'a>,
) -> Result<bool, Stop> {
    match all {
        Value::List(list) => {
            for value in list.values() {
                run.pay(1)?;
                if equal(run, &value?, wanted, 0)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(map) => Ok(map.get(wanted).transpose()?.is_some()),
        _ => Err(Stop::Overload),
    }
}

/// What is at an index. `None` where there is nothing.
pub(crate) fn at<'a>(of: &Value<'a>, index: &Value<'a>) -> Result<Option<Value<'a>>, Stop> {
    match of {
        Value::List(list) => match index.key() {
            Some(Key::Int(at)) => usize::try_from(at).ok().and_then(|at| list.get(at)).transpose(),
            Some(Key::Uint(_)) => Ok(None),
            _ => Err(Stop::Overload),
        },
        Value::Map(map) => map.get(index).transpose(),
        _ => Err(Stop::Overload),
    }
}
