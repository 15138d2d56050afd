//! Addresses and domain names: where one end of a changed connection is no pod.

use super::pairs::{Common, Step};
use super::pool::{Pool, Ports};
use super::sides::State;
use moat_ir::{AtomTable, Bound, Direction, End, Flow, PodIdx, Verdict};
use moat_sets::{AddrSet, Family, IdSet, PortSet, Protocol, ServicePoint};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses that neither state tells apart, with their atoms before and after.
pub(crate) type Piece = (IpAddr, IpAddr, u32, u32);

/// The common refinement of both states' address atoms.
pub(crate) fn pieces(old: &AtomTable, new: &AtomTable) -> Vec<Piece> {
    let v4: BTreeSet<u32> = old.v4.iter().chain(&new.v4).copied().collect();
    let v6: BTreeSet<u128> = old.v6.iter().chain(&new.v6).copied().collect();
    let piece = |low: IpAddr, high: IpAddr| (low, high, old.of_address(low), new.of_address(low));
    let ends4 = v4.iter().skip(1).map(|next| next - 1).chain([u32::MAX]);
    let ends6 = v6.iter().skip(1).map(|next| next - 1).chain([u128::MAX]);
    let v4 = v4
        .iter()
        .zip(ends4)
        .map(|(&low, high)| piece(IpAddr::V4(low.into()), IpAddr::V4(high.into())));
    let v6 = v6
        .iter()
        .zip(ends6)
        .map(|(&low, high)| piece(IpAddr::V6(low.into()), IpAddr::V6(high.into())));
    v4.chain(v6).collect()
}

/// Changes with addresses in one direction: the step, the addresses and the units at the other end.
pub(crate) fn addresses(
    old: &State<'_>,
    new: &State<'_>,
    common: &Common,
    direction: Direction,
) -> Vec<(Step, AddrSet, IdSet)> {
    let pieces = pieces(&old.bound.atoms, &new.bound.atoms);
    let mut out: BTreeMap<(Step, AddrSet), IdSet> = BTreeMap::new();
    for ((was, is), members) in common.by_sides(old, new, direction) {
        let (before, after) = (old.spread(was), new.spread(is));
        let mut steps: BTreeMap<Step, Vec<AddrSet>> = BTreeMap::new();
        let mut last: Option<Step> = None;
        for &(low, high, old_atom, new_atom) in &pieces {
            let step = (before[old_atom as usize], after[new_atom as usize]);
            if step.0 == step.1 {
                last = None;
                continue;
            }
            let set = AddrSet::range(low, high);
            let sets = steps.entry(step).or_default();
            match sets.last_mut() {
                // Neighbours join at once, which keeps the sets few.
                Some(have) if last == Some(step) => *have = have.union(&set),
                _ => sets.push(set),
            }
            last = Some(step);
        }
        for (step, sets) in steps {
            let units = out.entry((step, sum(sets))).or_default();
            for &combo in &members {
                let range = &common.combos[combo as usize].units;
                units.union_with(&IdSet::range(range.start, range.end));
            }
        }
    }
    out.into_iter().map(|((step, set), units)| (step, set, units)).collect()
}

/// The union of many sets, in balance.
fn sum(mut sets: Vec<AddrSet>) -> AddrSet {
    while sets.len() > 1 {
        sets = sets
            .chunks(2)
            .map(|pair| pair.iter().fold(AddrSet::empty(), |sum, set| sum.union(set)))
            .collect();
    }
    sets.pop().unwrap_or_default()
}

/// Changes with the domain names that either state's policies name.
pub(crate) fn domains(
    old: &State<'_>,
    new: &State<'_>,
    common: &Common,
    pool: &mut Pool,
) -> Vec<(Step, Arc<str>, IdSet)> {
    let names: BTreeSet<Arc<str>> = [old, new]
        .iter()
        .flat_map(|state| &state.bound.atoms.domains)
        .map(|domain| domain.as_str().into())
        .collect();
    let mut out: BTreeMap<(Step, Arc<str>), IdSet> = BTreeMap::new();
    if names.is_empty() {
        return Vec::new();
    }
    for members in common.by_sides(old, new, Direction::Egress).values() {
        let first = members.first().and_then(|&combo| {
            common.units.get(common.combos[combo as usize].units.start as usize)
        });
        let Some(&(before, after)) = first.and_then(|unit| unit.pods.first()) else { continue };
        for name in &names {
            let (was, is) = (to_domain(old.bound, before, name), to_domain(new.bound, after, name));
            // Where a name's addresses may lie is told by the changes of addresses.
            if was.allow == is.allow {
                continue;
            }
            let units = out.entry(((pool.intern(was), pool.intern(is)), name.clone())).or_default();
            for &combo in members {
                let range = &common.combos[combo as usize].units;
                units.union_with(&IdSet::range(range.start, range.end));
            }
        }
    }
    out.into_iter().map(|((step, name), units)| (step, name, units)).collect()
}

/// The ports a pod may use to a domain name: one flow for each run of ports that no clause tells apart.
///
/// Several patterns may match one name, so that its atom alone does not say what a program does with it.
fn to_domain(bound: &Bound, pod: PodIdx, name: &Arc<str>) -> Ports {
    let program = bound.class_of(pod).program(Direction::Egress).map(|id| bound.program(id));
    let clauses =
        || program.into_iter().flat_map(|program| &program.stages).flat_map(|stage| &stage.clauses);
    let (mut allow, mut undefined) = (PortSet::empty(), PortSet::empty());
    for protocol in Protocol::WITH_PORTS.into_iter().chain([Protocol::Other]) {
        let mut cuts: BTreeSet<u16> = BTreeSet::from([0]);
        for (low, high) in clauses().flat_map(|clause| clause.ports.of(protocol)) {
            cuts.insert(low);
            cuts.extend(high.checked_add(1));
        }
        let ends = cuts.iter().skip(1).map(|next| next - 1).chain([u16::MAX]);
        for (&low, high) in cuts.iter().zip(ends) {
            let point = ServicePoint::new(protocol, low);
            let flow = Flow {
                from: End::Pod(pod),
                to: End::Domain(name.clone()),
                point,
                family: Family::V4,
            };
            let sum = match bound.decide(&flow).verdict {
                Verdict::Allowed => &mut allow,
                Verdict::Undefined => &mut undefined,
                Verdict::Denied => continue,
            };
            *sum = sum.union(&PortSet::range(protocol, low, high));
        }
    }
    Ports::new(allow, &undefined)
}
