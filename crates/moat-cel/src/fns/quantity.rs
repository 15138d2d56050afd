//! Quantities of resources.

use super::Found;
use crate::error::Stop;
use crate::eval::Run;
use crate::value::{Opaque, Value};
pub(crate) use moat_model::Quantity;
use std::cmp::Ordering;

fn order(ordering: Ordering) -> i64 {
    match ordering {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    _: bool,
    args: &[Value<'a>],
) -> Option<Found<'a>> {
    use Value as V;
    if let ("quantity" | "isQuantity", [V::Text(text)]) = (name, args) {
        if let Err(stop) = run.pay_for(text.len()) {
            return Some(Err(stop));
        }
        let read = Quantity::parse(text);
        return Some(match (name, read) {
            ("isQuantity", read) => Ok(V::Bool(read.is_some())),
            (_, Some(read)) => Ok(V::opaque(Opaque::Quantity(read))),
            _ => Err(Stop::new(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            )),
        });
    }
    let (V::Opaque(of), rest) = args.split_first()? else { return None };
    let Opaque::Quantity(of) = **of else { return None };
    let other = match rest {
        [] => None,
        [V::Int(units)] => Some(Quantity::whole(*units)),
        [V::Opaque(other)] => match **other {
            Opaque::Quantity(other) => Some(other),
            _ => return None,
        },
        _ => return None,
    };
    let whole = of == Quantity::whole(of.value());
    Some(Ok(match (name, other) {
        ("sign", None) => V::Int(order(of.cmp(&Quantity::default()))),
        ("isInteger", None) => V::Bool(whole),
        ("asInteger", None) if whole => V::Int(of.value()),
        ("asInteger", None) => return Some(Err(Stop::new("cannot convert value to integer"))),
        ("asApproximateFloat", None) => V::Double(of.ratio(Quantity::whole(1))),
        ("isGreaterThan", Some(other)) => V::Bool(other < of),
        ("isLessThan", Some(other)) => V::Bool(of < other),
        ("compareTo", Some(other)) => V::Int(order(of.cmp(&other))),
        ("add", Some(other)) => {
            let mut sum = of;
            sum += other;
            V::opaque(Opaque::Quantity(sum))
        }
        ("sub", Some(other)) => V::opaque(Opaque::Quantity(of.minus(other))),
        _ => return None,
    }))
}
