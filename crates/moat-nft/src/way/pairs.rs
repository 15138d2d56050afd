//! Which packets could meet one end as it was and the other as it will be, and how they are kept from it.

use super::{Gates, Uses, gate, part};
use crate::edit::{Edit, Elements, looked_up};
use crate::model::{Element, Name, Rule, Set, Statement, Table, Verdict};
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};

/// A dispatch map, and what closes a pod in it.
pub(super) type Dispatch<'a> = (&'a Name, &'a Set, &'a Verdict);

/// A change as packets see it.
pub(super) struct Pairs<'a> {
    edit: &'a Edit,
    table: &'a Table,
    uses: &'a Uses,
    /// Who looks into what by the new rules of this change.
    fresh: Uses,
    /// Whether chains other than those that dispatch have other rules.
    changes_below: bool,
    /// The dispatch maps that packets of the old rules meet, and what closes a pod in them; and those of the new rules.
    before: Vec<Dispatch<'a>>,
    after: Vec<Dispatch<'a>>,
    /// By the sets that they come into, with elements that come.
    added: BTreeMap<&'a Element, BTreeSet<&'a Name>>,
    /// Addresses whose dispatch changes, with where they led and will lead.
    moved: Vec<(&'a Element, Option<&'a Verdict>, Option<&'a Verdict>)>,
    /// Addresses that packets of the old rules must not be of when elements change.
    pub(super) closed: BTreeSet<&'a Element>,
    /// Addresses that packets of the new rules must not be of until late elements are gone.
    pub(super) waiting: BTreeSet<&'a Element>,
    /// Addresses of local pods that stay open while elements of theirs change.
    pub(super) touched: BTreeSet<&'a Element>,
}

impl<'a> Pairs<'a> {
    pub(super) fn of(edit: &'a Edit, table: &'a Table, uses: &'a Uses) -> Option<Self> {
        let mut fresh = Uses::new(&Table::new(&table.name), uses.gates());
        fresh.follow(edit, table);
        let mut pairs = Self {
            edit,
            table,
            uses,
            fresh,
            changes_below: false,
            before: Vec::new(),
            after: Vec::new(),
            added: BTreeMap::new(),
            moved: Vec::new(),
            closed: BTreeSet::new(),
            waiting: BTreeSet::new(),
            touched: BTreeSet::new(),
        };
        if !pairs.is_possible() {
            return None;
        }
        pairs.changes_below = !edit.refill.keys().all(|chain| pairs.dispatches(chain));
        for (set, elements) in &edit.add {
            for (element, _) in elements {
                pairs.added.entry(element).or_default().insert(set);
            }
        }
        (pairs.before, pairs.after) = (pairs.find_before(), pairs.find_after());
        pairs.moved = pairs.moves();
        pairs.moved.extend(pairs.retold());
        pairs.find_closed();
        pairs.find_waiting();
        Some(pairs)
    }

    /// Whether it changes in place only what may change in place.
    fn is_possible(&self) -> bool {
        let Edit { make_sets, make_chains, add, remove, drop_chains, drop_sets, .. } = self.edit;
        let remakes = drop_sets.iter().any(|name| make_sets.contains_key(name))
            || drop_chains.iter().any(|name| make_chains.contains_key(name));
        let edited = add.keys().chain(remove.keys());
        !remakes && edited.into_iter().all(|name| self.is_editable(name))
    }

    /// Whether it is a set of exact keys, looked into by rules that ask nothing else and end there, in chains that are led to.
    fn is_editable(&self, name: &Name) -> bool {
        let notes = |own: &Statement| matches!(own, Statement::Log(_) | Statement::Counter);
        let plain = |rule: &Rule| match &*rule.statements {
            [
                Statement::Lookup { set, negate: false, .. },
                between @ ..,
                Statement::Verdict(end),
            ] if set == name => between.iter().all(notes) && !matches!(end, Verdict::Jump(_)),
            _ => !looked_up(rule).any(|set| set == name),
        };
        let exact = |set: &Set| !set.map && !set.interval;
        let led_to = |chain: &Name| {
            let chains = [self.table.chains.get(chain), self.edit.make_chains.get(chain)];
            chains.into_iter().flatten().all(|chain| chain.base.is_none())
        };
        self.table.sets.get(name).is_some_and(exact)
            && self.users(name).all(|chain| led_to(chain) && self.rules(chain).all(plain))
    }

    /// The chains that look into a set by the old rules or by the new ones.
    fn users(&self, set: &Name) -> impl Iterator<Item = &Name> {
        self.uses.of(set).chain(self.fresh.of(set))
    }

    /// The chains that look into a set by the new rules.
    pub(super) fn users_after(&self, set: &Name) -> impl Iterator<Item = &Name> {
        self.uses.of(set).filter(|chain| !self.is_switched(chain)).chain(self.fresh.of(set))
    }

    /// The rules of a chain, the old ones and the new ones.
    fn rules(&self, chain: &Name) -> impl Iterator<Item = &'a Rule> {
        self.rules_before(chain).into_iter().chain(self.rules_after(chain)).flatten()
    }

    fn rules_before(&self, chain: &Name) -> Option<&'a Vec<Rule>> {
        self.table.chains.get(chain).map(|chain| &chain.rules)
    }

    /// The rules that a chain has in the end.
    pub(super) fn rules_after(&self, chain: &Name) -> Option<&'a Vec<Rule>> {
        let made = self.edit.make_chains.get(chain).map(|chain| &chain.rules);
        let refilled = || self.edit.refill.get(chain);
        let stays = || self.rules_before(chain);
        made.or_else(refilled).or_else(stays)
    }

    fn is_switched(&self, chain: &Name) -> bool {
        self.edit.refill.contains_key(chain)
            || self.edit.make_chains.contains_key(chain)
            || self.edit.drop_chains.contains(chain)
    }

    /// Whether a chain is the same and one that it leads to, by the old rules or by the new ones, has other rules.
    fn leads_to_others(&self, chain: &Name) -> bool {
        if !self.changes_below {
            return false;
        }
        let mut seen: FxHashSet<&Name> = FxHashSet::default();
        let mut open: Vec<&'a Name> = Vec::new();
        let lead = |chain: &Name, open: &mut Vec<&'a Name>| {
            for statement in self.rules(chain).flat_map(|rule| &rule.statements) {
                self.led_by(statement, open);
            }
        };
        lead(chain, &mut open);
        while let Some(own) = open.pop() {
            if self.edit.refill.contains_key(own) {
                return true;
            }
            if seen.insert(own) {
                lead(own, &mut open);
            }
        }
        false
    }

    /// Whether a chain asks for local pods by the old rules and by the new ones: then it is entered, and no group leads to it.
    fn dispatches(&self, chain: &Name) -> bool {
        let asks = |rules: Option<&Vec<Rule>>| {
            let mut asked = rules.into_iter().flatten().flat_map(looked_up);
            asked.any(|set| gate(self.uses.gates(), set).is_some())
        };
        asks(self.rules_before(chain)) && asks(self.edit.refill.get(chain))
    }

    /// Adds the chains that a statement leads to.
    fn led_by(&self, statement: &'a Statement, to: &mut Vec<&'a Name>) {
        match statement {
            Statement::Verdict(end) => to.extend(target(end)),
            Statement::Vmap { map, .. } => {
                let both = [self.table.sets.get(map), self.edit.make_sets.get(map)];
                let elements = both.into_iter().flatten().flat_map(|set| set.elements.values());
                to.extend(elements.flatten().filter_map(target));
            }
            _ => {}
        }
    }

    /// The dispatch maps that packets of the old rules meet.
    pub(super) fn dispatch_before(&self) -> &[Dispatch<'a>] {
        &self.before
    }

    /// The dispatch maps that packets of the new rules meet.
    pub(super) fn dispatch_after(&self) -> &[Dispatch<'a>] {
        &self.after
    }

    fn find_before(&self) -> Vec<Dispatch<'a>> {
        let (table, gates) = (self.table, self.uses.gates());
        let names = self.uses.dispatch();
        names.filter_map(|name| of_gate(gates, name, table.sets.get(name))).collect()
    }

    fn find_after(&self) -> Vec<Dispatch<'a>> {
        let gates = self.uses.gates();
        let names = self.uses.dispatch().chain(self.fresh.dispatch());
        let used: BTreeSet<&Name> =
            names.filter(|name| self.users_after(name).next().is_some()).collect();
        let get = |name: &Name| {
            let (made, stays) = (&self.edit.make_sets, &self.table.sets);
            let (name, set) = made.get_key_value(name).or_else(|| stays.get_key_value(name))?;
            of_gate(gates, name, Some(set))
        };
        used.into_iter().filter_map(get).collect()
    }

    /// The addresses whose dispatch changes.
    fn moves(&self) -> Vec<(&'a Element, Option<&'a Verdict>, Option<&'a Verdict>)> {
        // No address is asked for in two maps of a gate, so what is in both tables moves nobody.
        let names = |maps: &[Dispatch<'a>]| -> BTreeSet<&'a Name> {
            maps.iter().map(|(name, ..)| *name).collect()
        };
        let (old, new) = (names(&self.before), names(&self.after));
        let gates = self.uses.gates();
        let mut moves = Vec::new();
        let mut by_gate: BTreeMap<&Name, [BTreeMap<&'a Element, &'a Option<Verdict>>; 2]> =
            BTreeMap::new();
        for (at, maps, others) in [(0, &self.before, &new), (1, &self.after, &old)] {
            for (name, set, _) in maps.iter().filter(|(name, ..)| !others.contains(name)) {
                let Some((gate, _)) = gate(gates, name) else { continue };
                if let Some(own) = by_gate.entry(gate).or_default().get_mut(at) {
                    own.extend(&set.elements);
                }
            }
        }
        for [before, after] in by_gate.values() {
            let addresses: BTreeSet<&'a Element> =
                before.keys().chain(after.keys()).copied().collect();
            for address in addresses {
                let (old, new) = (before.get(address), after.get(address));
                if old != new {
                    let target = |to: Option<&&'a Option<Verdict>>| to.and_then(|to| to.as_ref());
                    moves.push((address, target(old), target(new)));
                }
            }
        }
        moves
    }

    /// The addresses that are led to the same chain as before, whose rules say something else of peers that come or go: to packets it is
    /// another chain.
    fn retold(&self) -> Vec<(&'a Element, Option<&'a Verdict>, Option<&'a Verdict>)> {
        let mut chains: BTreeSet<&Name> = BTreeSet::new();
        for set in self.edit.add.keys().chain(self.edit.remove.keys()) {
            let ends = |rules: Option<&'a Vec<Rule>>| {
                let asks = |rule: &&&Rule| looked_up(rule).any(|own| own == set);
                let own = rules.into_iter().flatten().collect::<Vec<_>>();
                let end = own.iter().find(asks).and_then(|rule| rule.statements.last());
                end.cloned()
            };
            let is_retold = |chain: &&Name| {
                self.edit.refill.contains_key(*chain)
                    && ends(self.rules_before(chain)) != ends(self.edit.refill.get(*chain))
                    || self.leads_to_others(chain)
            };
            chains.extend(self.users(set).filter(is_retold));
        }
        if chains.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (_, map, _) in &self.before {
            for (address, verdict) in &map.elements {
                let to = verdict.as_ref();
                let is_moved = self.moved.iter().any(|(moved, ..)| *moved == address);
                if to.and_then(target).is_some_and(|chain| chains.contains(chain)) && !is_moved {
                    found.push((address, to, to));
                }
            }
        }
        found
    }

    /// Where an address led before, by all directions.
    fn before(&self, address: &Element) -> Vec<&'a Verdict> {
        let maps = self.before.iter();
        maps.filter_map(|(_, set, _)| set.elements.get(address)?.as_ref()).collect()
    }

    fn find_closed(&mut self) {
        let edited: BTreeSet<&'a Element> = self
            .edit
            .add
            .values()
            .chain(self.edit.remove.values())
            .flatten()
            .map(|(key, _)| key)
            .collect();
        let mut stays: Vec<(&'a Element, bool)> = Vec::new();
        for &address in &edited {
            let before = self.before(address);
            if before.is_empty() || !self.is_after(address) {
                continue;
            }
            let refilled = before
                .iter()
                .filter_map(|verdict| target(verdict))
                .any(|chain| self.edit.refill.contains_key(chain) || self.leads_to_others(chain));
            let moves = self.moved.iter().any(|(moved, ..)| *moved == address);
            stays.push((address, refilled || moves));
        }
        for &(address, switches) in &stays {
            let other = stays.iter().any(|(other, _)| {
                *other != address
                    && core::mem::discriminant(*other) == core::mem::discriminant(address)
            });
            if switches || other {
                self.closed.insert(address);
            } else {
                self.touched.insert(address);
            }
        }
        // Who leaves a group whose elements change would meet them by the old rules.
        if self.moved.iter().any(|(_, old, _)| old.is_some()) {
            let (at_once, _) = self.removals();
            let now = self.by_chain(self.edit.add.iter().chain(&at_once));
            let meets = |address: &Element, verdict: &Verdict| {
                let others = target(verdict).and_then(|chain| now.get(chain));
                others.into_iter().flatten().any(|other| **other != *address)
            };
            let leave = self.moved.iter().filter_map(|(address, old, _)| Some((*address, (*old)?)));
            let closed: Vec<&Element> = leave
                .filter(|(address, old)| meets(address, old))
                .map(|(address, _)| address)
                .collect();
            self.touched.retain(|address| !closed.contains(address));
            self.closed.extend(closed);
        }
    }

    /// Who comes to a group that has elements which are yet to go would meet them by the new rules.
    fn find_waiting(&mut self) {
        if self.moved.iter().all(|(_, _, new)| new.is_none()) {
            return;
        }
        let (_, late) = self.removals();
        let late = self.by_chain(late.iter());
        let meets = |address: &Element, verdict: &Verdict| {
            let others = target(verdict).and_then(|chain| late.get(chain));
            let mut others = others.into_iter().flatten();
            others.any(|other| **other != *address && !self.goes(other))
        };
        let come = self.moved.iter().filter_map(|(address, _, new)| Some((*address, (*new)?)));
        let waiting: Vec<&Element> =
            come.filter(|(address, new)| meets(address, new)).map(|(address, _)| address).collect();
        self.waiting.extend(waiting);
    }

    /// The elements that change, by the chains that look for them.
    fn by_chain<'b>(
        &self,
        edits: impl Iterator<Item = (&'b Name, &'b Elements)>,
    ) -> BTreeMap<Name, BTreeSet<&'b Element>> {
        let mut found: BTreeMap<Name, BTreeSet<&'b Element>> = BTreeMap::new();
        for (set, elements) in edits {
            for chain in self.users(set) {
                let keys = elements.iter().map(|(key, _)| key);
                let own = keys.filter(|key| !self.is_shut(key));
                found.entry(chain.clone()).or_default().extend(own);
            }
        }
        found
    }

    /// Whether no packet of the old rules passes that is from or to this address.
    fn is_shut(&self, address: &Element) -> bool {
        self.closed.contains(address)
            || self.moved.iter().any(|(moved, old, _)| *moved == address && old.is_none())
                && self.before(address).is_empty()
    }

    /// Whether no packet of the new rules passes that is from or to this address, of which some did.
    fn goes(&self, address: &Element) -> bool {
        let mut own = self.moved.iter().filter(|(moved, ..)| *moved == address).peekable();
        own.peek().is_some() && own.all(|(_, _, new)| new.is_none()) && !self.is_after(address)
    }

    /// Whether packets of the new rules are dispatched by this address.
    fn is_after(&self, address: &Element) -> bool {
        self.after.iter().any(|(_, set, _)| set.elements.contains_key(address))
    }

    /// The elements that are removed with the switch, and those that are removed a grace later.
    pub(super) fn removals(&self) -> (BTreeMap<Name, Elements>, BTreeMap<Name, Elements>) {
        let switches = |chain: &Name| self.is_switched(chain) || self.leads_to_others(chain);
        let is_switched = |set: &&Name| self.users(set).any(switches);
        let switched: BTreeSet<&Name> = self.edit.remove.keys().filter(is_switched).collect();
        let is_late = |set: &Name, element: &Element| {
            !self.is_shut(element)
                && (switched.contains(set) || self.comes_before(set, element) || self.goes(element))
        };
        let remove = &self.edit.remove;
        (part(remove, |set, key| !is_late(set, key)), part(remove, is_late))
    }

    /// Whether an element comes into a set that a chain asks before this one.
    fn comes_before(&self, set: &Name, element: &Element) -> bool {
        let Some(added) = self.added.get(element) else { return false };
        self.users(set).any(|chain| {
            let asked = self.rules_before(chain).into_iter().flatten().flat_map(looked_up);
            asked.take_while(|asked| *asked != set).any(|asked| added.contains(asked))
        })
    }
}

fn of_gate<'a>(
    gates: &'a Gates,
    name: &'a Name,
    set: Option<&'a Set>,
) -> Option<(&'a Name, &'a Set, &'a Verdict)> {
    // Nothing depends on a gate that has no end.
    let end = gate(gates, name)?.1.as_ref()?;
    set.filter(|set| set.map && !set.interval).map(|set| (name, set, end))
}

fn target(verdict: &Verdict) -> Option<&Name> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        _ => None,
    }
}
