//! Which chains look into which sets, kept up with changes.

use crate::edit::{Edit, looked_up};
use crate::model::{Name, Rule, Table, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// The dispatch maps, by what their names begin with, and what stands in for an element whose group is closed; nothing does where the
/// element is left out.
pub type Gates = BTreeMap<Name, Option<Verdict>>;

/// The gate that a set belongs to, if its name is that of a dispatch map: the gate's own, or with an underscore and letters and digits
/// that tell its content.
#[must_use]
pub fn gate<'a>(gates: &'a Gates, set: &str) -> Option<(&'a Name, &'a Option<Verdict>)> {
    gates.iter().find(|(prefix, _)| {
        set.strip_prefix(&***prefix).is_some_and(|rest| {
            rest.is_empty()
                || rest.strip_prefix('_').is_some_and(|content| {
                    !content.is_empty() && content.bytes().all(|byte| byte.is_ascii_alphanumeric())
                })
        })
    })
}

/// Which chains of a table look into which sets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uses {
    gates: Gates,
    chains: BTreeMap<Name, BTreeSet<Name>>,
    /// The dispatch maps that are looked into.
    dispatch: BTreeSet<Name>,
}

impl Uses {
    /// Those of a table.
    #[must_use]
    pub fn new(table: &Table, gates: &Gates) -> Self {
        let mut uses =
            Self { gates: gates.clone(), chains: BTreeMap::new(), dispatch: BTreeSet::new() };
        for (name, chain) in &table.chains {
            uses.add(name, &chain.rules);
        }
        uses
    }

    /// Follows a change that is about to be made to the table.
    pub fn follow(&mut self, edit: &Edit, table: &Table) {
        for name in edit.refill.keys().chain(&edit.drop_chains) {
            for set in table.chains.get(name).iter().flat_map(|c| &c.rules).flat_map(looked_up) {
                if let Some(chains) = self.chains.get_mut(set) {
                    chains.remove(name);
                    if chains.is_empty() {
                        self.chains.remove(set);
                        self.dispatch.remove(set);
                    }
                }
            }
        }
        let made = edit.make_chains.iter().map(|(name, chain)| (name, &chain.rules));
        for (name, rules) in made.chain(&edit.refill) {
            self.add(name, rules);
        }
    }

    /// The chains that look into a set.
    pub fn of(&self, set: &Name) -> impl Iterator<Item = &Name> {
        self.chains.get(set).into_iter().flatten()
    }

    /// The dispatch maps that are looked into.
    pub fn dispatch(&self) -> impl Iterator<Item = &Name> {
        self.dispatch.iter()
    }

    /// The gates that it knows dispatch maps by.
    #[must_use]
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    fn add(&mut self, chain: &Name, rules: &[Rule]) {
        for set in rules.iter().flat_map(looked_up) {
            match self.chains.get_mut(set) {
                Some(chains) => {
                    chains.insert(chain.clone());
                }
                None => {
                    self.chains.insert(set.clone(), [chain.clone()].into());
                    if gate(&self.gates, set).is_some() {
                        self.dispatch.insert(set.clone());
                    }
                }
            }
        }
    }
}
