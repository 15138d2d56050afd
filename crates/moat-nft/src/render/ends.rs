//! What a packet meets in the end: the rules of a decision, in the rule that leads there or in a chain of their own.
//!
//! A decision that one rule says is said by each rule that leads to it: a packet walks a chain less, and the kernel, which walks all chains
//! with every change of rules, has fewer of them. A chain is needed where a map leads, or where it takes several rules.

use super::layer::Work;
use crate::model::{Name, Rule, Statement, Verdict};
use crate::reason::{Reason, ReasonId, hash};
use moat_ir::{Decision, Direction};
use std::sync::Arc;

/// A decision that something leads to.
#[derive(Clone, Debug)]
pub(super) struct End {
    id: ReasonId,
    rules: Vec<Rule>,
    /// How many lead to it.
    n_held: usize,
    /// How many of them need its chain.
    n_led: usize,
    /// Its chain; none if nobody needs one, or before it is known which.
    chain: Option<Name>,
}

/// What leads somewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    Rule,
    /// An element of a map, which leads to chains alone.
    Map,
}

/// A decision in the words of the present bound form.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) id: ReasonId,
    words: Arc<str>,
    /// Of the decision, and of its chain if there is one.
    pub(super) name: Name,
}

impl Work<'_> {
    /// What a decision is called.
    pub(super) fn called(&mut self, direction: Direction, decision: &Decision) -> Said {
        let own = (direction, decision.clone());
        if let Some(said) = self.said.get(&own) {
            return said.clone();
        }
        let reason = Reason { direction, decision: decision.clone() };
        let words = reason.words(self.bound);
        let id = ReasonId(hash(&words));
        let word = if decision.allow { "allow" } else { "deny" };
        let name = format!("{}{word}_{direction}_{id}", self.prefix()).into();
        let said = Said { id, words: words.into(), name };
        self.said.insert(own, said.clone());
        said
    }

    /// Learns a reason in the numbers of the present bound form: a changed policy may say the same words of another clause.
    pub(super) fn say(&mut self, direction: Direction, decision: &Decision) -> Said {
        let said = self.called(direction, decision);
        let reason = Reason { direction, decision: decision.clone() };
        self.layer.reasons.insert(said.id, reason);
        said
    }

    /// Notes that something leads to a decision.
    pub(super) fn hold_decision(&mut self, direction: Direction, decision: &Decision, by: By) {
        let Said { id, words, name } = self.say(direction, decision);
        if !self.layer.ends.contains_key(&name) {
            let rules = self.decided(direction, decision.allow, id, &words);
            let end = End { id, rules, n_held: 0, n_led: 0, chain: None };
            self.layer.ends.insert(name.clone(), end);
        }
        let Some(end) = self.layer.ends.get_mut(&name) else { return };
        end.n_held += 1;
        if end.is_chain(by) {
            end.n_led += 1;
            if end.n_led == 1 {
                self.shifts.ends.coming.insert(name.clone(), ());
            }
        }
        if by == By::Map {
            self.place_end(&name);
        }
    }

    /// Notes that something does not lead to a decision any more.
    pub(super) fn release_decision(&mut self, name: &Name, by: By) {
        let Some(end) = self.layer.ends.get_mut(name) else { return };
        if end.is_chain(by) {
            end.n_led = end.n_led.saturating_sub(1);
            if end.n_led == 0 {
                self.shifts.ends.leave(name, end.chain.take());
            }
        }
        end.n_held = end.n_held.saturating_sub(1);
        if end.n_held == 0 {
            self.layer.reasons.remove(&end.id);
            self.layer.ends.remove(name);
        }
    }

    /// Gives a decision that needs a chain one now, if it has none yet: an element of a map is never changed, so it has to be known where it
    /// leads.
    pub(super) fn place_end(&mut self, name: &Name) {
        if let Some(((), chain)) = self.shifts.ends.place(name, self.draft) {
            self.put_end(name, chain);
        }
    }

    /// Makes a decision's chain.
    pub(super) fn put_end(&mut self, name: &Name, chain: Name) {
        if let Some(end) = self.layer.ends.get_mut(name) {
            self.draft.put_chain(&chain, None, end.rules.clone());
            end.chain = Some(chain);
        }
    }

    /// The chain of a decision that has one.
    pub(super) fn end_chain(&self, name: &Name) -> Option<Name> {
        self.layer.ends.get(name)?.chain.clone()
    }

    /// Whether a decision takes more than a rule, so that it is a chain whatever leads there.
    pub(super) fn is_long(&self, name: &Name) -> bool {
        self.layer.ends.get(name).is_some_and(|end| end.rules.len() > 1)
    }

    /// A rule that leads to a row or a decision, or says it.
    pub(super) fn lead_to(&self, name: &Name) -> Rule {
        if let Some(End { rules, .. }) = self.layer.ends.get(name)
            && let [only] = &rules[..]
        {
            return only.clone();
        }
        Rule::new(vec![Statement::Verdict(Verdict::Goto(self.chain_of(name)))])
    }
}

impl End {
    fn is_chain(&self, by: By) -> bool {
        by == By::Map || self.rules.len() > 1
    }
}

/// A rule that does what another does, under conditions.
pub(super) fn only_if(conditions: impl IntoIterator<Item = Statement>, rule: Rule) -> Rule {
    let Rule { statements, comment } = rule;
    Rule { statements: conditions.into_iter().chain(statements).collect(), comment }
}
