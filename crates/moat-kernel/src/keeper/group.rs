//! Groups: what one pod's dispatch element leads to, and a table with some of them closed.

use super::split::{Part, leads_to, parts};
use moat_nft::model::{Element, Name, Set, Statement, Table, Verdict};
use moat_nft::way::{Gates, gate};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The groups of a table, by the chain that they begin with.
pub(super) struct Groups {
    /// What belongs to each.
    of: BTreeMap<Name, BTreeSet<Part>>,
    /// What every packet may come by, whatever its pod.
    shared: BTreeSet<Part>,
}

impl Groups {
    pub(super) fn of(table: &Table, gates: &Gates) -> Self {
        let targets = dispatch(table, gates)
            .flat_map(|(_, map)| map.elements.values())
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

    /// The table with some groups closed, without what only they lead to. A dispatch map whose name tells its content gets another name.
    pub(super) fn close(&self, table: &Table, gates: &Gates, closed: &BTreeSet<Name>) -> Table {
        if closed.is_empty() {
            return table.clone();
        }
        let mut result = table.clone();
        let mut renamed = BTreeMap::new();
        let is_closed = |verdict: &Option<Verdict>| {
            target(verdict.as_ref()).is_some_and(|c| closed.contains(c))
        };
        for (name, map) in dispatch(table, gates) {
            let Some((prefix, end)) = gate(gates, name) else { continue };
            if !map.elements.values().any(is_closed) {
                continue;
            }
            let mut own = map.clone();
            match end {
                Some(end) => {
                    for verdict in own.elements.values_mut().filter(|own| is_closed(own)) {
                        *verdict = Some(end.clone());
                    }
                }
                None => own.elements.retain(|_, verdict| !is_closed(verdict)),
            }
            let other = if name == prefix { name.clone() } else { content_name(prefix, &own) };
            result.sets.remove(name);
            result.sets.insert(other.clone(), own);
            renamed.insert(name.clone(), other);
        }
        let rules = result.chains.values_mut().flat_map(|chain| &mut chain.rules);
        for statement in rules.flat_map(|rule| &mut rule.statements) {
            if let Statement::Vmap { map, .. } = statement
                && let Some(other) = renamed.get(map)
            {
                *map = other.clone();
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
        dispatch(table, gates)
            .flat_map(|(name, map)| {
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
        let is_gate = |name| table.sets.get(name).is_some_and(|set| is_dispatch(name, set, gates));
        if !matches!(&part, Part::Set(name) if is_gate(name)) {
            open.extend(leads_to(table, &part));
        }
    }
    found
}

/// The dispatch maps.
fn dispatch<'a>(table: &'a Table, gates: &'a Gates) -> impl Iterator<Item = (&'a Name, &'a Set)> {
    table.sets.iter().filter(|(name, set)| is_dispatch(name, set, gates))
}

fn is_dispatch(name: &Name, set: &Set, gates: &Gates) -> bool {
    set.map && !set.interval && gate(gates, name).is_some()
}

fn content_name(prefix: &Name, map: &Set) -> Name {
    let mut hasher = DefaultHasher::new();
    map.elements.hash(&mut hasher);
    format!("{prefix}_{:016x}x", hasher.finish()).into()
}

fn target(verdict: Option<&Verdict>) -> Option<&Name> {
    match verdict {
        Some(Verdict::Jump(chain) | Verdict::Goto(chain)) => Some(chain),
        _ => None,
    }
}
