//! Packets in flight while a table changes: every way in which the changes can fall between a packet's lookups.
//!
//! The model is that of `nf_tables_core.c` and `nf_tables_commit`. A packet keeps the generation's bit with which it began. Each chain has
//! rules for either bit, read when the packet comes to the chain; a commit writes those of the bit that comes into force. So a packet
//! walks the rules of its beginning until the second commit after it. Elements are looked up as they are at the moment. Chains that went
//! are there for packets that know the rules that lead to them; elements and sets that went are not.
//!
//! A set of ranges that a transaction makes may be found empty after it for as long as no other transaction follows: packets of the new
//! rules were seen to miss its elements (Linux 6.18), where they never missed those of a hash table.

use crate::edit::Edit;
use crate::model::{Element, Field, Hook, Name, Rule, Set, Statement, Table, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A table and what it becomes, change by change.
#[derive(Clone, Debug)]
pub struct Flight {
    states: Vec<Table>,
    /// Whether no packet is in flight both before and after each change.
    graces: Vec<bool>,
}

/// What may become of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ends {
    /// Some pass.
    pub allowed: bool,
    /// Some do not.
    pub denied: bool,
}

/// Where a packet is.
#[derive(Clone, Copy)]
struct At<'a> {
    /// The rules that are left of the chain.
    rules: &'a [Rule],
    /// The chains that it comes back to.
    back: Option<&'a At<'a>>,
    /// How many changes have been made.
    now: usize,
    /// How many more steps are believed to end somewhere.
    left: usize,
}

impl Flight {
    /// A table before it changes.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self { states: vec![table], graces: Vec::new() }
    }

    /// Changes it in one transaction; after a grace, if it is waited for.
    pub fn change(&mut self, edit: &Edit, grace: bool) {
        let mut next = self.table().clone();
        edit.apply_to(&mut next);
        self.states.push(next);
        self.graces.push(grace);
    }

    /// The table as it is in the end.
    #[must_use]
    pub fn table(&self) -> &Table {
        // There is a first one from the beginning.
        &self.states[self.states.len() - 1]
    }

    /// What may become of packets between two addresses at a hook, whenever they begin and wherever the changes fall.
    ///
    /// Follows lookups of addresses and verdicts; any other statement is one that every packet passes.
    #[must_use]
    pub fn ends(&self, hook: Hook, source: IpAddr, destination: IpAddr) -> Ends {
        let mut ends = Ends::default();
        for began in 0..self.states.len() {
            let walk = Walk { flight: self, source, destination, began, last: self.last(began) };
            let bases = self.states.get(began).into_iter().flat_map(|table| &table.chains);
            for chain in bases.map(|(_, chain)| chain) {
                if let Some(base) = chain.base.filter(|base| base.hook == hook) {
                    let at = At { rules: &chain.rules, back: None, now: began, left: 200 };
                    walk.go(at, base.accept, &mut ends);
                }
            }
        }
        ends
    }

    /// The last change that a packet can see that begins at this one.
    fn last(&self, began: usize) -> usize {
        let unseen = self.graces.iter().skip(began).position(|grace| *grace);
        unseen.map_or(self.states.len() - 1, |n| began + n)
    }
}

struct Walk<'a> {
    flight: &'a Flight,
    source: IpAddr,
    destination: IpAddr,
    began: usize,
    last: usize,
}

impl<'a> Walk<'a> {
    fn go(&self, mut at: At<'_>, accept: bool, ends: &mut Ends) {
        if (ends.allowed && ends.denied) || at.left == 0 {
            return;
        }
        at.left -= 1;
        let Some((rule, rest)) = at.rules.split_first() else {
            match at.back {
                Some(back) => self.go(At { now: at.now, left: at.left, ..*back }, accept, ends),
                None if accept => ends.allowed = true,
                None => ends.denied = true,
            }
            return;
        };
        let next = At { rules: rest, ..at };
        self.statement(&rule.statements, next, accept, ends);
    }

    fn statement(&self, statements: &[Statement], next: At<'_>, accept: bool, ends: &mut Ends) {
        let Some((statement, rest)) = statements.split_first() else {
            return self.go(next, accept, ends);
        };
        match statement {
            Statement::Lookup { key, set, negate } => {
                for now in next.now..=self.last {
                    let next = At { now, ..next };
                    for found in self.found(now, set, key) {
                        if found.is_some() == *negate {
                            self.go(next, accept, ends);
                        } else {
                            self.statement(rest, next, accept, ends);
                        }
                    }
                }
            }
            Statement::Vmap { key, map } => {
                for now in next.now..=self.last {
                    let next = At { now, ..next };
                    for found in self.found(now, map, key) {
                        match found {
                            Some(Some(verdict)) => self.verdict(verdict, next, accept, ends),
                            _ => self.statement(rest, next, accept, ends),
                        }
                    }
                }
            }
            Statement::Verdict(verdict) => self.verdict(verdict, next, accept, ends),
            Statement::Reject => ends.denied = true,
            _ => self.statement(rest, next, accept, ends),
        }
    }

    fn verdict(&self, verdict: &Verdict, next: At<'_>, accept: bool, ends: &mut Ends) {
        match verdict {
            Verdict::Accept => ends.allowed = true,
            Verdict::Drop => ends.denied = true,
            Verdict::Return => self.go(At { rules: &[], ..next }, accept, ends),
            Verdict::Jump(name) => self.enter(name, Some(&next), next, accept, ends),
            Verdict::Goto(name) => self.enter(name, next.back, next, accept, ends),
        }
    }

    /// Comes to a chain, before or after further changes.
    fn enter(&self, name: &Name, back: Option<&At<'_>>, at: At<'_>, accept: bool, ends: &mut Ends) {
        for now in at.now..=self.last {
            let rules = self.rules(name, now);
            let back: Option<&At<'_>> = back;
            self.go(At { rules, back, now, left: at.left }, accept, ends);
        }
    }

    /// The rules of a chain for a packet, with so many changes made: those that the last commit of its bit has left.
    fn rules(&self, name: &Name, now: usize) -> &'a [Rule] {
        let seen = now - (now - self.began) % 2;
        // A chain that went is there for those who are led to it; what it was when it went is what it is.
        let known = self.flight.states.get(..=seen).unwrap_or_default().iter().rev();
        known
            .filter_map(|table| table.chains.get(name))
            .map(|chain| &*chain.rules)
            .next()
            .unwrap_or(&[])
    }

    /// What a lookup may find.
    fn found(
        &self,
        now: usize,
        set: &Name,
        key: &[Field],
    ) -> impl Iterator<Item = Option<&'a Option<Verdict>>> + use<'a> {
        let sets = |at: usize| self.flight.states.get(at).map(|table| &table.sets);
        let is_ranges = sets(now).and_then(|own| own.get(set)).is_some_and(|own| own.interval);
        let before = now.checked_sub(1).and_then(sets);
        let is_new = is_ranges && before.is_some_and(|own| !own.contains_key(set));
        [self.find(now, set, key)].into_iter().chain(is_new.then_some(None))
    }

    fn find(&self, now: usize, set: &Name, key: &[Field]) -> Option<&'a Option<Verdict>> {
        let set = self.flight.states.get(now)?.sets.get(set)?;
        let part = |field: &Field| match field {
            Field::SourceV4 | Field::SourceV6 => Some(self.source),
            Field::DestinationV4 | Field::DestinationV6 => Some(self.destination),
            _ => None,
        };
        match key {
            [one] => address(set, part(one)?),
            [one, two] => match (part(one)?, part(two)?) {
                (IpAddr::V4(one), IpAddr::V4(two)) => set.elements.get(&Element::PairV4(one, two)),
                (IpAddr::V6(one), IpAddr::V6(two)) => set.elements.get(&Element::PairV6(one, two)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn address(set: &Set, address: IpAddr) -> Option<&Option<Verdict>> {
    let has = |element: &Element| match (element, address) {
        (Element::V4(own), IpAddr::V4(other)) => *own == other,
        (Element::V6(own), IpAddr::V6(other)) => *own == other,
        (Element::RangeV4(low, high), IpAddr::V4(other)) => within::<Ipv4Addr>(*low, other, *high),
        (Element::RangeV6(low, high), IpAddr::V6(other)) => within::<Ipv6Addr>(*low, other, *high),
        _ => false,
    };
    set.elements.iter().find(|(element, _)| has(element)).map(|(_, verdict)| verdict)
}

fn within<A: Ord>(low: A, own: A, high: A) -> bool {
    low <= own && own <= high
}
