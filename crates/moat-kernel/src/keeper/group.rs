//! Groups: what one pod's dispatch element leads to, and a table with some of them closed.

use super::split::{Part, leads_to, parts};
use moat_nft::model::{Element, Name, Table, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// The dispatch maps, and what stands in for an element whose group is closed; nothing does where the element is left out.
pub type Gates = BTreeMap<Name, Option<Verdict>>;

/// The groups of a table, by the chain that they begin with.
pub(super) struct Groups {
    /// What belongs to each.
    of: BTreeMap<Name, BTreeSet<Part>>,
    /// What every packet may come by, whatever its pod.
    shared: BTreeSet<Part>,
}

impl Groups {
    pub(super) fn of(table: &Table, gates: &Gates) -> Self {
        let targets = gates
            .keys()
            .filter_map(|map| table.sets.get(map))
            .flat_map(|map| map.elements.values())
            .filter_map(|verdict| target(verdict.as_ref()));
        let of: BTreeMap<Name, BTreeSet<Part>> = targets
            .map(|chain| (chain.clone(), reach(table, [Part::Chain(chain.clone())], &Gates::new())))
            .collect();
        let bases = table.chains.iter().filter(|(_, chain)| chain.base.is_some());
        let mut shared = reach(table, bases.map(|(name, _)| Part::Chain(name.clone())), gates);
        let ends = gates.values().filter_map(|verdict| target(verdict.as_ref()));
        shared.extend(reach(table, ends.map(|name| Part::Chain(name.clone())), gates));
        Self { of, shared }
    }

    /// The chains that groups begin with, except those that stay as they are whichever group is closed.
    pub(super) fn names(&self) -> BTreeSet<Name> {
        let own = |name: &&Name| !self.shared.contains(&Part::Chain((*name).clone()));
        self.of.keys().filter(own).cloned().collect()
    }

    /// The groups that cannot be without a part; none if it is one of all.
    pub(super) fn with(&self, part: &Part) -> BTreeSet<Name> {
        if self.shared.contains(part) {
            return BTreeSet::new();
        }
        let has = self.of.iter().filter(|(_, parts)| parts.contains(part));
        has.map(|(name, _)| name.clone()).collect()
    }

    /// A group by itself, to tell whether it has changed.
    pub(super) fn alone(&self, table: &Table, group: &Name) -> Table {
        let mut own = Table::new(&table.name);
        for part in self.of.get(group).into_iter().flatten() {
            match part {
                Part::Chain(name) => {
                    own.chains.extend(table.chains.get(name).map(|c| (name.clone(), c.clone())));
                }
                Part::Set(name) => {
                    own.sets.extend(table.sets.get(name).map(|s| (name.clone(), s.clone())));
                }
            }
        }
        own
    }

    /// The table with some groups closed, without what only they lead to.
    pub(super) fn close(&self, table: &Table, gates: &Gates, closed: &BTreeSet<Name>) -> Table {
        if closed.is_empty() {
            return table.clone();
        }
        let mut result = table.clone();
        for (map, end) in gates {
            let Some(map) = result.sets.get_mut(map) else { continue };
            let is_closed = |verdict: &Option<Verdict>| {
                target(verdict.as_ref()).is_some_and(|c| closed.contains(c))
            };
            match end {
                Some(end) => {
                    for verdict in map.elements.values_mut().filter(|own| is_closed(own)) {
                        *verdict = Some(end.clone());
                    }
                }
                None => map.elements.retain(|_, verdict| !is_closed(verdict)),
            }
        }
        // What nothing leads to was so already, or is there because of a closed group alone.
        let of_closed: BTreeSet<&Part> =
            closed.iter().filter_map(|name| self.of.get(name)).flatten().collect();
        let others = parts(&result).into_iter().filter(|part| !of_closed.contains(part));
        let needed = reach(&result, others, &Gates::new());
        result.chains.retain(|name, _| needed.contains(&Part::Chain(name.clone())));
        result.sets.retain(|name, _| needed.contains(&Part::Set(name.clone())));
        result
    }

    /// The elements that lead to a group.
    pub(super) fn elements(table: &Table, gates: &Gates, group: &Name) -> Vec<(Name, Element)> {
        let maps = gates.keys().filter_map(|map| table.sets.get_key_value(map));
        maps.flat_map(|(name, map)| {
            let own = map.elements.iter().filter(|(_, to)| target(to.as_ref()) == Some(group));
            own.map(|(element, _)| (name.clone(), element.clone()))
        })
        .collect()
    }
}

/// All that some parts lead to, themselves among it; the elements of gates lead nowhere.
fn reach(table: &Table, from: impl IntoIterator<Item = Part>, gates: &Gates) -> BTreeSet<Part> {
    let mut found = BTreeSet::new();
    let mut open: Vec<Part> = from.into_iter().collect();
    while let Some(part) = open.pop() {
        if !found.insert(part.clone()) {
            continue;
        }
        if !matches!(&part, Part::Set(name) if gates.contains_key(name)) {
            open.extend(leads_to(table, &part));
        }
    }
    found
}

fn target(verdict: Option<&Verdict>) -> Option<&Name> {
    match verdict {
        Some(Verdict::Jump(chain) | Verdict::Goto(chain)) => Some(chain),
        _ => None,
    }
}
