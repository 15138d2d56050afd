//! Addresses that come, go, or become others', where they belong in every group.

use super::Excess;
use super::ends::By;
use super::group::{Wanted, capacity, exact};
use super::host;
use super::layer::Work;
use super::peers::atoms;
use super::row::{self, Ports};
use crate::model::Name;
use moat_ir::{PeerSetId, ProgramId};
use moat_sets::{Family, IdSet};
use std::collections::BTreeMap;
use std::net::IpAddr;

impl Work<'_> {
    /// Puts addresses where they belong in every group, after they have come, gone, or become others'.
    pub(super) fn readdress(&mut self, addresses: &[IpAddr]) {
        let olds: Vec<(IpAddr, Option<u32>)> = addresses
            .iter()
            .map(|&address| (address, self.layer.pods.set(self.bound, address)))
            .collect();
        for (address, old) in olds {
            let concerned = self.concerned(address, old);
            concerned.iter().for_each(|name| self.readdress_in(name, address));
        }
        self.finish();
    }

    /// The groups that tell an address from those around it, as it is now or as it was.
    fn concerned(&self, address: IpAddr, old: Option<u32>) -> Vec<Name> {
        let family = Family::of(address);
        let around = self.bound.atoms.of_address(address);
        let new = atoms(self.bound, address).map(|(atom, _)| atom);
        // Whether a peer set tells them apart is asked once for all programs.
        let mut known: Vec<Option<bool>> = vec![None; self.bound.peer_sets.len()];
        let mut tells_apart = |id: PeerSetId| {
            let Some(known) = known.get_mut(id as usize) else { return true };
            *known.get_or_insert_with(|| {
                let set = self.bound.peers(id);
                let is_in = |atom| (set.must.contains(atom), set.may.contains(atom));
                let around = is_in(around);
                [old, new].into_iter().flatten().any(|atom| is_in(atom) != around)
            })
        };
        let mut concerned = Vec::new();
        for (name, group) in &self.layer.groups {
            // Who the peers are makes rules neither more nor fewer.
            if group.family != family || group.refused == Some(Excess::Rules) {
                continue;
            }
            let own = self.layer.meanings.get(&group.program);
            if own.is_none_or(|own| own.asks.iter().any(|&id| tells_apart(id))) {
                concerned.push(name.clone());
            }
        }
        concerned
    }

    fn readdress_in(&mut self, name: &Name, address: IpAddr) {
        let Some(group) = self.layer.groups.get(name) else { return };
        let wanted = self.own_row(group.program, address);
        let Some(group) = self.layer.groups.get(name) else { return };
        let element = host(address);
        let sets = &self.draft.table().sets;
        let is_in = |set: &Name| sets.get(set).is_some_and(|s| s.elements.contains_key(&element));
        if group.refused.is_some() || group.pods.is_some() {
            let same = group.refused.is_none()
                && !group.pods.as_ref().is_some_and(is_in)
                && wanted.is_none();
            if !same {
                self.rebuild(name);
            }
            return;
        }
        let (direction, family) = (group.direction, group.family);
        let now = group.rows.iter().find(|(_, set)| is_in(set));
        let now = now.map(|(row, set)| (row.clone(), set.clone()));
        if now.as_ref().map(|(row, _)| row) == wanted.as_ref().map(|(row, _)| row) {
            return;
        }
        let mut refill = false;
        if let Some((row, set)) = now {
            self.draft.remove(&set, &element);
            refill |= self.resize(name, &row, &set);
        }
        if let Some((row, ports)) = wanted {
            let n_elements: usize = self.n_elements(name);
            let Some(group) = self.layer.groups.get_mut(name) else { return };
            let is_new = !group.rows.contains_key(&row);
            let of_ports = if is_new { row::n_elements(&ports) } else { 0 };
            if n_elements + of_ports >= self.settings.elements_max
                || (is_new && group.rows.len() >= self.settings.rows_max)
            {
                return self.rebuild(name);
            }
            if is_new {
                group.n_others += of_ports;
                group.held.push((row.clone(), By::Rule));
                let set = exact(family, BTreeMap::from([(element, None)]));
                let own = Self::row_set(self.draft, name, &row, set);
                if let Some(group) = self.layer.groups.get_mut(name) {
                    group.rows.insert(row.clone(), own);
                }
                self.hold_row(direction, &row, &ports, By::Rule);
                refill = true;
            } else if let Some(set) = group.rows.get(&row).cloned() {
                self.draft.add(&set, element);
                refill |= self.resize(name, &row, &set);
            }
        }
        if refill {
            self.unwritten.insert(name.clone());
        }
    }

    /// Gives a row's set a name that says its size, or takes an empty row away; whether rules change with that.
    fn resize(&mut self, name: &Name, row: &Name, set: &Name) -> bool {
        let Some(own) = self.draft.table().sets.get(set) else { return false };
        let Some(group) = self.layer.groups.get_mut(name) else { return false };
        if own.elements.is_empty() {
            group.rows.remove(row);
            if let Some(at) = group.held.iter().rposition(|(held, _)| held == row) {
                group.held.remove(at);
            }
            self.draft.drop_set(set);
            self.release_row(row, By::Rule);
            return true;
        }
        if own.size == Some(capacity(own.elements.len())) {
            return false;
        }
        let resized = exact(group.family, own.elements.clone());
        self.draft.drop_set(set);
        let other = Self::row_set(self.draft, name, row, resized);
        if let Some(group) = self.layer.groups.get_mut(name) {
            group.rows.insert(row.clone(), other);
        }
        true
    }

    /// Makes a group anew under its name, because an address has become another's.
    fn rebuild(&mut self, name: &Name) {
        let Some(mut old) = self.layer.groups.remove(name) else { return };
        // The same peers are other addresses now.
        old.made_of = None;
        let of = Wanted { program: old.program, family: old.family, meaning: old.meaning };
        self.group(of, name, Some(old));
    }

    fn n_elements(&self, name: &Name) -> usize {
        let group = self.layer.groups.get(name);
        let pods = group.into_iter().flat_map(|group| group.rows.values().chain(&group.pods));
        let n_pods: usize = pods.map(|set| self.n_in(set)).sum();
        n_pods + group.map_or(0, |group| group.n_others)
    }

    /// The row of an address that a pod has, where it is not that of the addresses around it.
    fn own_row(&mut self, program: ProgramId, address: IpAddr) -> Option<(Name, Ports)> {
        let (atom, around) = atoms(self.bound, address)?;
        let program = self.bound.program(program);
        let mut row = |atom: u32| {
            let cells = self.bound.outcomes_among(program, IdSet::range(atom, atom + 1));
            let ports = cells.ok()?.into_iter().next()?.ports;
            Some((self.row_name(program.direction, &ports), ports))
        };
        let (own, other) = (row(atom)?, row(around)?);
        (own.0 != other.0).then_some(own)
    }
}
