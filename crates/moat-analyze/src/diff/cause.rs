//! Which rules are responsible for a change, by asking both states about one flow of it.

use super::policies::Policies;
use moat_ir::{
    Bound, ClauseIdx, Direction, Flow, Half, HalfReason, Origin, PolicyIdx, Then, Verdict,
};

/// What a policy or rule has to do with a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What it has to do with it, as a sentence's end: `by netpol shop/db ingress[1]`.
    pub text: String,
    /// Whether the policy is looked up in the new state or in the old.
    pub new: bool,
    /// The policy; none when the pods themselves are the reason.
    pub policy: Option<PolicyIdx>,
    /// The rule's direction and index, when it is one rule.
    pub rule: Option<(Direction, u32)>,
    /// Where it was read.
    pub origin: Option<Origin>,
}

/// Causes kept for one change.
const CAUSES_MAX: usize = 64;

/// Both states and what their policies have in common.
#[derive(Clone, Copy)]
pub(crate) struct Both<'a> {
    pub(crate) old: &'a Bound,
    pub(crate) new: &'a Bound,
    pub(crate) policies: &'a Policies,
}

impl Both<'_> {
    /// Why the verdict on a flow is not what it was; the flow as each state numbers its pods.
    pub(crate) fn causes(&self, was: &Flow, is: &Flow, out: &mut Vec<Cause>) {
        let (before, after) = (self.old.decide(was), self.new.decide(is));
        for (direction, was_half, is_half) in [
            (Direction::Egress, &before.egress, &after.egress),
            (Direction::Ingress, &before.ingress, &after.ingress),
        ] {
            let rank = |verdict: Verdict| match verdict {
                Verdict::Denied => 0,
                Verdict::Undefined => 1,
                Verdict::Allowed => 2,
            };
            match rank(was_half.verdict).cmp(&rank(is_half.verdict)) {
                core::cmp::Ordering::Less => self.opened(direction, was_half, is_half, out),
                core::cmp::Ordering::Greater => self.closed(direction, was_half, is_half, out),
                core::cmp::Ordering::Equal => {}
            }
        }
        if out.is_empty() {
            out.push(note(
                "because of the pods' nodes: a node always reaches its own pods".to_owned(),
            ));
        }
    }

    fn opened(&self, direction: Direction, was: &Half, is: &Half, out: &mut Vec<Cause>) {
        match &was.reason {
            // What is isolated still has only got a rule that may match.
            HalfReason::Isolated(policies)
                if !matches!(is.reason, HalfReason::Rules(_) | HalfReason::Isolated(_)) =>
            {
                for &policy in policies.iter() {
                    let how = self.policies.fate(false, policy);
                    let text = format!(
                        "{} is no longer isolated ({} {how})",
                        subject(direction),
                        self.old.symbolic.policy(policy)
                    );
                    push(out, self.policy_cause(false, policy, text));
                }
            }
            HalfReason::Rules(rules) => {
                for rule in rules {
                    let how = self.policies.fate(false, self.old.symbolic.policy_of(rule.clause));
                    let text =
                        format!("no longer denied by {} ({how})", rule_text(self.old, rule.clause));
                    push(out, self.rule_cause(false, rule.clause, text));
                }
            }
            _ => {}
        }
        match &is.reason {
            HalfReason::Rules(rules) => {
                for rule in rules {
                    push(
                        out,
                        self.rule_cause(
                            true,
                            rule.clause,
                            format!("by {}", rule_text(self.new, rule.clause)),
                        ),
                    );
                }
            }
            HalfReason::Unmanaged => {
                push(
                    out,
                    note(format!("policies do not apply to {} any more", subject(direction))),
                );
            }
            _ => {}
        }
        self.doubts(is, out);
    }

    fn closed(&self, direction: Direction, was: &Half, is: &Half, out: &mut Vec<Cause>) {
        match &is.reason {
            HalfReason::Rules(rules) => {
                let deciding = rules
                    .iter()
                    .filter(|rule| self.new.symbolic.clause(rule.clause).then != Then::Allow);
                for rule in deciding {
                    push(
                        out,
                        self.rule_cause(
                            true,
                            rule.clause,
                            format!("by {} (Deny)", rule_text(self.new, rule.clause)),
                        ),
                    );
                }
            }
            HalfReason::Isolated(policies)
                if !matches!(was.reason, HalfReason::Rules(_) | HalfReason::Isolated(_)) =>
            {
                for &policy in policies.iter() {
                    let text = format!("by {} (isolates)", self.new.symbolic.policy(policy));
                    push(out, self.policy_cause(true, policy, text));
                }
                if matches!(was.reason, HalfReason::Unmanaged) {
                    push(out, note(format!("policies now apply to {}", subject(direction))));
                }
            }
            _ => {}
        }
        if let HalfReason::Rules(rules) = &was.reason {
            for rule in rules
                .iter()
                .filter(|rule| self.old.symbolic.clause(rule.clause).then == Then::Allow)
            {
                let how = self.policies.fate(false, self.old.symbolic.policy_of(rule.clause));
                let text = format!("no longer by {} ({how})", rule_text(self.old, rule.clause));
                push(out, self.rule_cause(false, rule.clause, text));
            }
        }
        for &clause in &was.doubts {
            let how = self.policies.fate(false, self.old.symbolic.policy_of(clause));
            let text = format!("no longer perhaps by {} ({how})", rule_text(self.old, clause));
            push(out, self.rule_cause(false, clause, text));
        }
        self.doubts(is, out);
    }

    fn doubts(&self, is: &Half, out: &mut Vec<Cause>) {
        for &clause in &is.doubts {
            let text = format!("perhaps by {}", rule_text(self.new, clause));
            push(out, self.rule_cause(true, clause, text));
        }
    }

    fn rule_cause(&self, new: bool, clause: ClauseIdx, text: String) -> Cause {
        let symbolic = &if new { self.new } else { self.old }.symbolic;
        let rule = symbolic.rule(symbolic.clause(clause).rule);
        Cause {
            text,
            new,
            policy: Some(rule.policy),
            rule: Some((rule.direction, rule.index)),
            origin: Some(rule.origin),
        }
    }

    fn policy_cause(&self, new: bool, policy: PolicyIdx, text: String) -> Cause {
        let origin = if new { self.new } else { self.old }.symbolic.policy(policy).origin;
        Cause { text, new, policy: Some(policy), rule: None, origin: Some(origin) }
    }
}

/// Whose half of a flow a direction is; changes are told of groups, so it has no name.
fn subject(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "the source",
        Direction::Ingress => "the destination",
    }
}

fn note(text: String) -> Cause {
    Cause { text, new: true, policy: None, rule: None, origin: None }
}

fn push(out: &mut Vec<Cause>, cause: Cause) {
    if out.len() < CAUSES_MAX && out.iter().all(|have| have.text != cause.text) {
        out.push(cause);
    }
}

/// `netpol shop/db ingress[1]`.
fn rule_text(bound: &Bound, clause: ClauseIdx) -> String {
    let rule = bound.symbolic.rule(bound.symbolic.clause(clause).rule);
    let name = rule.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    format!("{} {}[{}]{name}", bound.symbolic.policy(rule.policy), rule.direction, rule.index)
}
