//! Many pairs with the same change as few lines: sets of sources to sets of destinations.

use super::pairs::Common;
use super::sides::index;
use moat_sets::IdSet;
use rustc_hash::FxHashMap;

/// Runs of ids: a set as a key of maps.
type Runs = Vec<(u32, u32)>;

fn runs(set: &IdSet) -> Runs {
    let mut out: Runs = Vec::new();
    for id in set.iter() {
        match out.last_mut() {
            Some((_, high)) if *high + 1 == id => *high = id,
            _ => out.push((id, id)),
        }
    }
    out
}

/// Sources and destinations, both as units: every source takes the change to every destination but itself.
pub(crate) type Block = (IdSet, IdSet);

/// The fewest blocks that either sources or destinations give.
pub(crate) fn blocks(common: &Common, rows: Vec<(u32, IdSet)>) -> Vec<Block> {
    // A lone pod is no peer of itself, so whether it stands among its own destinations is free: that set is chosen which more sources share.
    let with_self = |source: u32, set: &IdSet| {
        let combo = &common.combos[source as usize];
        combo.lone.then(|| set.union(&IdSet::range(combo.units.start, combo.units.end)))
    };
    let mut popular: FxHashMap<Runs, usize> = FxHashMap::default();
    for (source, set) in &rows {
        *popular.entry(runs(set)).or_default() += 1;
        if let Some(wide) = with_self(*source, set) {
            *popular.entry(runs(&wide)).or_default() += 1;
        }
    }
    let mut at: FxHashMap<Runs, usize> = FxHashMap::default();
    let mut by_rows: Vec<Block> = Vec::new();
    for (source, set) in rows {
        let key = runs(&set);
        let count = |key: &Runs| popular.get(key).copied().unwrap_or(0);
        let (key, set) = match with_self(source, &set).map(|wide| (runs(&wide), wide)) {
            Some((wide_key, wide)) if count(&wide_key) > count(&key) => (wide_key, wide),
            _ => (key, set),
        };
        let slot = *at.entry(key).or_insert_with(|| {
            by_rows.push((IdSet::new(), set));
            by_rows.len() - 1
        });
        let units = &common.combos[source as usize].units;
        by_rows[slot].0.union_with(&IdSet::range(units.start, units.end));
    }
    if by_rows.len() < 2 {
        return by_rows;
    }
    let by_columns = columns(&by_rows, index(common.units.len()));
    if by_columns.len() < by_rows.len() { by_columns } else { by_rows }
}

/// The same blocks, destinations with equal sources together.
fn columns(rows: &[Block], n_units: u32) -> Vec<Block> {
    let mut seen: Vec<Vec<u32>> = vec![Vec::new(); n_units as usize];
    for (row, (_, units)) in rows.iter().enumerate() {
        for unit in units.iter() {
            seen[unit as usize].push(index(row));
        }
    }
    let mut at: FxHashMap<&[u32], usize> = FxHashMap::default();
    let mut out: Vec<Block> = Vec::new();
    for (unit, of) in (0u32..).zip(&seen).filter(|(_, of)| !of.is_empty()) {
        let slot = *at.entry(of).or_insert_with(|| {
            let mut sources = IdSet::new();
            of.iter().for_each(|&row| sources.union_with(&rows[row as usize].0));
            out.push((sources, IdSet::new()));
            out.len() - 1
        });
        out[slot].1.insert(unit);
    }
    out
}
