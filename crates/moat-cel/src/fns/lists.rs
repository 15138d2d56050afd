//! Lists and sets.

use super::Found;
use crate::error::Stop;
use crate::eval::Run;
use crate::ops;
use crate::value::{List, Value};

/// Numbers that `lists.range` makes.
const RANGE_MAX: i64 = 1_000_000;

pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    member: bool,
    args: &[Value<'a>],
) -> Option<Found<'a>> {
    use Value as V;
    if let ("lists.range", [V::Int(n)]) = (name, args) {
        return Some(range(run, *n));
    }
    let (V::List(list), rest) = args.split_first()? else { return None };
    if let ("sets.contains" | "sets.equivalent" | "sets.intersects", [V::List(other)]) =
        (name, rest)
    {
        return Some(sets(run, name, list, other).map(V::Bool));
    }
    if !member {
        return None;
    }
    Some(match (name, rest) {
        ("isSorted", []) => is_sorted(run, list),
        ("sum", []) => sum(run, list),
        ("min", []) => extreme(run, list, "min", false),
        ("max", []) => extreme(run, list, "max", true),
        ("indexOf", [wanted]) => find(run, list, wanted, false),
        ("lastIndexOf", [wanted]) => find(run, list, wanted, true),
        ("slice", [V::Int(from), V::Int(to)]) => slice(run, list, *from, *to),
        ("flatten", []) => flatten(run, list, 1).map(V::list),
        ("flatten", [V::Int(depth)]) => match u32::try_from(*depth) {
            Ok(depth) => flatten(run, list, depth.min(64)).map(V::list),
            Err(_) => Err(Stop::new("level must be non-negative")),
        },
        ("sort", []) => {
            let pairs =
                list.all().map(|all| all.into_iter().map(|one| (one.clone(), one)).collect());
            pairs.and_then(|pairs| sort(run, pairs))
        }
        ("distinct", []) => distinct(run, list),
        ("reverse", []) => run.pay_each(list.len()).and_then(|()| {
            let mut all = list.all()?;
            all.reverse();
            Ok(V::list(all))
        }),
        ("first", []) => list.get(0).transpose().map(V::optional),
        ("last", []) => {
            list.len().checked_sub(1).and_then(|at| list.get(at)).transpose().map(V::optional)
        }
        _ => return None,
    })
}

fn range<'a>(run: &mut Run<'a>, n: i64) -> Found<'a> {
    if !(0..=RANGE_MAX).contains(&n) {
        return Err(Stop::new(format!("lists.range: {n} is not between 0 and {RANGE_MAX}")));
    }
    run.pay(n.unsigned_abs())?;
    Ok(Value::list((0..n).map(Value::Int).collect()))
}

fn sets<'a>(run: &mut Run<'a>, name: &str, one: &List<'a>, other: &List<'a>) -> Result<bool, Stop> {
    let (one_value, other_value) = (Value::List(one.clone()), Value::List(other.clone()));
    // Whether all of the values (or any) are in a list.
    let mut within = |values: &List<'a>, all: &Value<'a>, any: bool| -> Result<bool, Stop> {
        for value in values.values() {
            run.pay(1)?;
            if ops::is_in(run, &value?, all)? == any {
                return Ok(any);
            }
        }
        Ok(!any)
    };
    Ok(match name {
        "sets.contains" => within(other, &one_value, false)?,
        "sets.intersects" => within(other, &one_value, true)?,
        _ => within(other, &one_value, false)? && within(one, &other_value, false)?,
    })
}

fn is_sorted<'a>(run: &mut Run<'a>, list: &List<'a>) -> Found<'a> {
    let mut before: Option<Value<'a>> = None;
    for value in list.values() {
        run.pay(1)?;
        let value = value?;
        if let Some(before) = &before
            && run.less(&value, before)?
        {
            return Ok(Value::Bool(false));
        }
        before = Some(value);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(run: &mut Run<'a>, list: &List<'a>) -> Found<'a> {
    let mut total: Option<Value<'a>> = None;
    for value in list.values() {
        run.pay(1)?;
        let value = value?;
        total = Some(match total {
            None => value,
            Some(total) => ops::arithmetic(run, "_+_", &total, &value)?,
        });
    }
    Ok(total.unwrap_or(Value::Int(0)))
}

fn extreme<'a>(run: &mut Run<'a>, list: &List<'a>, name: &str, largest: bool) -> Found<'a> {
    let mut best: Option<Value<'a>> = None;
    for value in list.values() {
        run.pay(1)?;
        let value = value?;
        let better = match &best {
            None => true,
            Some(best) if largest => run.less(best, &value)?,
            Some(best) => run.less(&value, best)?,
        };
        if better {
            best = Some(value);
        }
    }
    best.ok_or_else(|| Stop::new(format!("{name} called on empty list")))
}

fn find<'a>(run: &mut Run<'a>, list: &List<'a>, wanted: &Value<'a>, last: bool) -> Found<'a> {
    let mut found = -1;
    for (at, value) in list.values().enumerate() {
        run.pay(1)?;
        if ops::equal(run, &value?, wanted, 0)? {
            found = i64::try_from(at).unwrap_or(i64::MAX);
            if !last {
                break;
            }
        }
    }
    Ok(Value::Int(found))
}

fn slice<'a>(run: &mut Run<'a>, list: &List<'a>, from: i64, to: i64) -> Found<'a> {
    let wrong = |why: String| Stop::new(format!("cannot slice({from}, {to}), {why}"));
    let (Ok(start), Ok(end)) = (usize::try_from(from), usize::try_from(to)) else {
        return Err(wrong("negative indexes not supported".to_owned()));
    };
    if end < start {
        return Err(wrong("start index must be less than or equal to end index".to_owned()));
    }
    if list.len() < end {
        return Err(wrong(format!("list is length {}", list.len())));
    }
    run.pay_each(end - start)?;
    let all: Result<Vec<_>, _> = (start..end).filter_map(|at| list.get(at)).collect();
    all.map(Value::list)
}

fn flatten<'a>(run: &mut Run<'a>, list: &List<'a>, depth: u32) -> Result<Vec<Value<'a>>, Stop> {
    let mut all = Vec::new();
    for value in list.values() {
        run.pay(1)?;
        match value? {
            Value::List(inner) if 0 < depth => all.extend(flatten(run, &inner, depth - 1)?),
            other => all.push(other),
        }
    }
    Ok(all)
}

fn distinct<'a>(run: &mut Run<'a>, list: &List<'a>) -> Found<'a> {
    let mut all: Vec<Value<'a>> = Vec::new();
    for value in list.values() {
        let value = value?;
        let mut known = false;
        for own in &all {
            run.pay(1)?;
            if ops::equal(run, own, &value, 0)? {
                known = true;
                break;
            }
        }
        if !known {
            all.push(value);
        }
    }
    Ok(Value::list(all))
}

/// Values in the order of what stands beside them. By merging, because an order may fail and must end then.
pub(crate) fn sort<'a>(run: &mut Run<'a>, pairs: Vec<(Value<'a>, Value<'a>)>) -> Found<'a> {
    let mut runs: Vec<Vec<(Value<'a>, Value<'a>)>> =
        pairs.into_iter().map(|pair| vec![pair]).collect();
    while 1 < runs.len() {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut rest = runs.into_iter();
        while let Some(one) = rest.next() {
            match rest.next() {
                Some(other) => merged.push(merge(run, one, other)?),
                None => merged.push(one),
            }
        }
        runs = merged;
    }
    Ok(Value::list(runs.into_iter().flatten().map(|(_, value)| value).collect()))
}

fn merge<'a>(
    run: &mut Run<'a>,
    one: Vec<(Value<'a>, Value<'a>)>,
    other: Vec<(Value<'a>, Value<'a>)>,
) -> Result<Vec<(Value<'a>, Value<'a>)>, Stop> {
    let (mut left, mut right) = (one.into_iter().peekable(), other.into_iter().peekable());
    let mut all = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        run.pay(1)?;
        if run.less(&b.0, &a.0)? {
            all.extend(right.next());
        } else {
            all.extend(left.next());
        }
    }
    all.extend(left);
    all.extend(right);
    Ok(all)
}
