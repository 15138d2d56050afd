//! A group whose program says something else of the same peers, as after most edits of a policy.

use super::ends::By;
use super::group::Group;
use super::layer::{Outcomes, Work};
use crate::model::Name;
use rustc_hash::FxHashMap;
use std::sync::Arc;

impl Work<'_> {
    /// Makes a group like the one before it: each of its rows has the peers that one had then, so everyone is told by the same sets and
    /// prefixes. `None` if that is not so, or if it would be too large.
    pub(super) fn alike(
        &mut self,
        mut group: Group,
        outcomes: &Arc<Outcomes>,
        old: &Group,
    ) -> Option<Group> {
        let before = old.made_of.as_ref()?;
        let is_plain = old.pods.is_none() && old.cidrs.is_none() && old.refused.is_none();
        let n_atoms = self.bound.atoms.len();
        let is_possible = is_plain && old.is_sole && old.n_atoms == n_atoms;
        if !is_possible || before.cells.len() != outcomes.cells.len() {
            return None;
        }
        let mut to: FxHashMap<&Name, usize> = FxHashMap::default();
        for (cell, row) in before.cells.iter().zip(&before.rows) {
            let at = outcomes.cells.iter().position(|own| own.peers == cell.peers)?;
            to.insert(row, at);
        }
        let row = |old: &Name| outcomes.rows.get(*to.get(old)?).cloned();
        group.rest = row(&old.rest)?;
        for (name, set) in &old.rows {
            group.rows.insert(row(name)?, set.clone());
        }
        for (value, name) in &old.prefixes {
            group.prefixes.push((value.clone(), row(name)?));
        }
        let held = old.held.iter().map(|(name, by)| Some((*to.get(name)?, *by)));
        let held: Vec<(usize, By)> = held.collect::<Option<_>>()?;
        group.n_ranges = old.n_ranges;
        group.n_others = old.n_ranges + outcomes.n_of_ports(&held);
        let of_pods: usize = group.rows.values().map(|set| self.n_in(set)).sum();
        if group.n_others + of_pods > self.settings.elements_max {
            return None;
        }
        self.hold(&mut group, outcomes, &held);
        group.n_atoms = n_atoms;
        group.is_sole = true;
        group.made_of = Some(outcomes.clone());
        Some(group)
    }
}
