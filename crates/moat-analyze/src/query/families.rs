//! By which IP families two ends can talk.

use moat_ir::{Bound, End};
use moat_sets::Family;

/// The families that both ends have.
pub(crate) fn shared_families(
    bound: &Bound,
    from: &End,
    to: &End,
) -> impl Iterator<Item = Family> + use<> {
    let shared = Family::BOTH.map(|family| has(bound, from, family) && has(bound, to, family));
    Family::BOTH.into_iter().zip(shared).filter(|(_, shared)| *shared).map(|(family, _)| family)
}

/// The families to ask about: those that both ends have, and without one the source's.
pub(crate) fn families(
    bound: &Bound,
    from: &End,
    to: &End,
) -> impl Iterator<Item = Family> + use<> {
    let mut shared = shared_families(bound, from, to).peekable();
    let first = Family::BOTH.into_iter().find(|&family| has(bound, from, family));
    let alone = shared.peek().is_none().then(|| first.unwrap_or(Family::V4));
    shared.chain(alone)
}

fn has(bound: &Bound, end: &End, family: Family) -> bool {
    match end {
        End::Pod(pod) => bound.class_of(*pod).atom(family).is_some(),
        End::Address(address) => Family::of(*address) == family,
        End::Domain(_) => true,
    }
}
