//! The way of a change: transactions with graces between them, such that no packet is allowed that the old and the new table deny, and
//! none is denied that both allow, whatever is in flight.
//!
//! In the kernel a packet walks the rules of the generation in which it began (`nft_do_chain`), but looks elements up in the generation
//! of the moment (`nft_genmask_cur`). So rules switch at once for each packet, and elements under its feet. Hence the layout that this
//! relies on: what leads packets, the verdict maps, and sets of ranges never change; a change makes others beside them and other rules
//! that name those. What changes in place are sets of exact peer addresses, each looked up by a rule of its own in a group's chain.
//!
//! - One transaction makes what is new, switches rules, adds elements, and removes those whose packets cannot miss them. Only sets of
//!   ranges are made a grace earlier, with all else that is new.
//! - A grace later, when no packet of the old rules is left, the rest of the elements, the chains and the sets that went are removed.
//! - The two ends of a packet are judged one after the other. Where both change for it and not both by rules, it could meet the one as
//!   it was and the other as it will be. Such pods are closed meanwhile: a grace before the switch where the old rules would meet new
//!   elements, a grace after it where the new rules would meet old ones.
//!
//! An address in a dispatch map is one of those that the gate behind the map closes, so who is in no map is closed. What a pod sends to
//! itself is let through before either end is asked.

mod overlay;
mod pairs;
mod recent;
mod uses;

use crate::edit::{Edit, Elements};
use crate::model::{Element, Name, Op, Rule, SetKey, Table, Verdict};
use overlay::{Overlay, asked_first};
use pairs::{Dispatch, Pairs};
use std::collections::{BTreeMap, BTreeSet};

pub use recent::Recent;
pub use uses::{Gates, Uses, gate};

/// The way of a change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// The transactions, none of them empty; between any two there is a grace.
    pub edits: Vec<Edit>,
    /// How many of them make the change; the others take away what no packet meets any more.
    pub n_now: usize,
    /// Addresses of local pods that are closed meanwhile.
    pub closed: BTreeSet<Element>,
    /// Addresses of local pods that stay open while elements of theirs change.
    pub touched: BTreeSet<Element>,
}

/// A step of a way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Happens as a whole.
    Transaction(Vec<Op>),
    /// Waits until every packet that is in flight has finished.
    Grace,
}

impl Way {
    /// The way of a change of an installed table; `None` if the change is not one of the layout: a map or a set of ranges changes in
    /// place, or a name stands for something of another kind afterwards.
    #[must_use]
    pub fn of(edit: &Edit, table: &Table, uses: &Uses) -> Option<Self> {
        let pairs = Pairs::of(edit, table, uses)?;
        let (at_once, late) = pairs.removals();
        // Where packets enter is a matter of the switch.
        let is_base =
            |name: &&Name| table.chains.get(*name).is_some_and(|chain| chain.base.is_some());
        let (entered, led_to): (Vec<&Name>, Vec<&Name>) =
            edit.drop_chains.iter().partition(is_base);
        let mut switch = Edit {
            remove: at_once,
            drop_chains: entered.into_iter().cloned().collect(),
            drop_sets: BTreeSet::new(),
            ..edit.clone()
        };
        let mut last = Edit { remove: late, ..Edit::default() };
        let mut end = Edit {
            drop_chains: led_to.into_iter().cloned().collect(),
            drop_sets: edit.drop_sets.clone(),
            ..Edit::default()
        };
        let mut names = Fresh { edit, table, taken: BTreeSet::new() };
        let mut edits = Vec::new();
        let before = pairs.dispatch_before();
        let asking = |map: &Name| {
            let chains = uses.of(map).filter_map(|chain| table.chains.get(chain));
            chains.flat_map(|chain| &chain.rules).collect()
        };
        let close = closing(before, &pairs.closed, asking, &mut names);
        if !close.is_empty() {
            let rules = |chain: &Name| table.chains.get(chain).map(|chain| &chain.rules);
            let users = |map: &Name| uses.of(map).cloned().collect();
            let closed = close.edit(users, rules);
            for chain in closed.refill.keys().filter(|name| !edit.drop_chains.contains(*name)) {
                if let (false, Some(rules)) = (switch.refill.contains_key(chain), rules(chain)) {
                    switch.refill.insert(chain.clone(), rules.clone());
                }
            }
            end.drop_sets.extend(closed.make_sets.keys().cloned());
            edits.push(closed);
        }
        let after = pairs.dispatch_after();
        let asking = |map: &Name| {
            let chains = pairs.users_after(map).filter_map(|chain| pairs.rules_after(chain));
            chains.flatten().collect()
        };
        let wait = closing(after, &pairs.waiting, asking, &mut names);
        let mut n_now = edits.len() + 1;
        if !wait.is_empty() {
            let rules = |chain: &Name| pairs.rules_after(chain);
            let users = |map: &Name| pairs.users_after(map).cloned().collect();
            let closed = wait.edit(users, rules);
            n_now += 1;
            for chain in closed.refill.keys() {
                last.refill.extend(rules(chain).map(|rules| (chain.clone(), rules.clone())));
            }
            end.drop_sets.extend(closed.make_sets.keys().cloned());
            for (name, rules) in closed.refill {
                match switch.make_chains.get_mut(&name) {
                    Some(chain) => chain.rules = rules,
                    None => drop(switch.refill.insert(name, rules)),
                }
            }
            switch.make_sets.extend(closed.make_sets);
        }
        let early = early(&mut switch);
        match edits.first_mut() {
            Some(first) => {
                first.make_sets.extend(early.make_sets);
                first.make_chains.extend(early.make_chains);
            }
            None if !early.is_empty() => {
                edits.push(early);
                n_now += 1;
            }
            None => {}
        }
        let nothing = switch.is_empty();
        if last.refill.is_empty() {
            end.remove = core::mem::take(&mut last.remove);
        }
        edits.extend([switch, last, end]);
        edits.retain(|edit| !edit.is_empty());
        let closed = pairs.closed.union(&pairs.waiting).copied().cloned().collect();
        let touched = pairs.touched.iter().copied().cloned().collect();
        Some(Self { edits, n_now: n_now - usize::from(nothing), closed, touched })
    }

    /// Its transactions and graces.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for edit in &self.edits {
            if !steps.is_empty() {
                steps.push(Step::Grace);
            }
            steps.push(Step::Transaction(edit.ops()));
        }
        steps
    }
}

/// What has to be there before rules lead to it: everything that is made, if a set of ranges is.
///
/// A new set of ranges comes into force with the transaction that makes it like any other, but packets may find it empty for a moment
/// longer: its elements are looked up in a tree or an array that is put in place when the new rules are in force already.
fn early(switch: &mut Edit) -> Edit {
    if !switch.make_sets.values().any(|set| set.interval) {
        return Edit::default();
    }
    Edit {
        make_sets: core::mem::take(&mut switch.make_sets),
        make_chains: core::mem::take(&mut switch.make_chains),
        ..Edit::default()
    }
}

/// Maps in which some addresses are closed, each asked before a dispatch map.
struct Closing {
    maps: Vec<Overlay>,
}

/// Closes some addresses, whether they are in the maps or not: a pod is closed in both directions.
fn closing<'a>(
    maps: &[Dispatch<'a>],
    addresses: &BTreeSet<&Element>,
    asking: impl Fn(&Name) -> Vec<&'a Rule>,
    names: &mut Fresh<'_>,
) -> Closing {
    let mut closed = Vec::new();
    for &(name, map, end) in maps.iter().filter(|_| !addresses.is_empty()) {
        let rules: Vec<&Rule> =
            asking(name).into_iter().filter(|rule| overlay::asks(rule, name)).collect();
        let is_asked = |address: &Element| rules.iter().any(|rule| overlay::admits(rule, address));
        let of_map =
            addresses.iter().filter(|address| holds(map.key, address) && is_asked(address));
        let elements: BTreeMap<Element, Option<Verdict>> =
            of_map.map(|&address| (address.clone(), Some(end.clone()))).collect();
        if !elements.is_empty() {
            closed.push(Overlay::new(name, map, elements, names));
        }
    }
    Closing { maps: closed }
}

impl Closing {
    fn is_empty(&self) -> bool {
        self.maps.is_empty()
    }

    /// What makes the maps, and has the chains that ask the others ask them first.
    fn edit<'a>(
        self,
        users: impl Fn(&Name) -> Vec<Name>,
        rules: impl Fn(&Name) -> Option<&'a Vec<Rule>>,
    ) -> Edit {
        let mut edit = Edit::default();
        for chain in self.maps.iter().flat_map(|overlay| users(&overlay.over)) {
            let Some(rules) = rules(&chain) else { continue };
            edit.refill.entry(chain).or_insert_with(|| asked_first(rules, &self.maps));
        }
        edit.make_sets.extend(self.maps.into_iter().map(|overlay| (overlay.name, overlay.set)));
        edit
    }
}

/// Names that neither table has.
struct Fresh<'a> {
    edit: &'a Edit,
    table: &'a Table,
    taken: BTreeSet<Name>,
}

impl Fresh<'_> {
    /// A name of the same gate.
    fn like(&mut self, name: &Name) -> Name {
        let stem = if name.contains('_') { format!("{name}x") } else { format!("{name}_x") };
        let free = |name: &Name| {
            !self.table.sets.contains_key(name)
                && !self.edit.make_sets.contains_key(name)
                && !self.taken.contains(name)
        };
        let mut n = 0_usize;
        let name = loop {
            let name: Name = format!("{stem}{n}").into();
            if free(&name) {
                break name;
            }
            n += 1;
        };
        self.taken.insert(name.clone());
        name
    }
}

fn holds(key: SetKey, address: &Element) -> bool {
    matches!((key, address), (SetKey::V4, Element::V4(_)) | (SetKey::V6, Element::V6(_)))
}

/// Takes the elements that are wanted out of some.
fn part(
    all: &BTreeMap<Name, Elements>,
    is: impl Fn(&Name, &Element) -> bool,
) -> BTreeMap<Name, Elements> {
    let mut some = BTreeMap::new();
    for (name, elements) in all {
        let own: Elements = elements.iter().filter(|(key, _)| is(name, key)).cloned().collect();
        if !own.is_empty() {
            some.insert(name.clone(), own);
        }
    }
    some
}
