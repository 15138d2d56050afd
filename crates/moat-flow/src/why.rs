//! Why a packet fared as it did, in names that outlive the compilation they come from.

use crate::text::{Ink, Look, clean};
use core::fmt::Write as _;
use moat_ir::{Bound, ClauseIdx, Direction, Ground, Origin, PolicyIdx};
use std::sync::Arc;

/// Why a packet passed or was denied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// These rules decided: all that allow it of NetworkPolicies, otherwise the one that decides.
    Rules(Arc<[RuleRef]>),
    /// These policies isolate the pod, and no rule of theirs allows the packet.
    Isolated(Arc<[PolicyRef]>),
    /// No policy applies.
    Default,
    /// The node has not programmed the pod's policies yet.
    Unprogrammed,
    /// A decision of Moat whose reason no known state of the policies has; this is the log prefix.
    UnknownReason(Arc<str>),
    /// Not a record of Moat; this is the log prefix.
    UnknownPrefix(Arc<str>),
}

/// A rule, or one peer of it, by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleRef {
    /// The policy: `netpol shop/db`.
    pub policy: Arc<str>,
    /// The rule: `ingress[0]`.
    pub rule: Arc<str>,
    /// The name a cluster policy gives the rule.
    pub name: Option<Arc<str>>,
    /// The peer: `from[1]`; `None` when the rule names no peer.
    pub peer: Option<Arc<str>>,
    /// Where the rule was read: `db.yaml:12`.
    pub place: Option<Arc<str>>,
}

/// A policy by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyRef {
    /// The policy: `netpol shop/default-deny`.
    pub policy: Arc<str>,
    /// Where it was read: `deny.yaml:3`.
    pub place: Option<Arc<str>>,
}

/// Rules or policies that one line names.
const SHOWN_MAX: usize = 2;

impl Why {
    /// In the names of a compiled form.
    #[must_use]
    pub fn of(bound: &Bound, ground: &Ground) -> Self {
        match ground {
            Ground::Rules(clauses) => Self::rules(bound, clauses.iter().copied()),
            Ground::Isolated(policies) => Self::isolated(bound, policies),
            Ground::Default => Self::Default,
        }
    }

    pub(crate) fn rules(bound: &Bound, clauses: impl Iterator<Item = ClauseIdx>) -> Self {
        Self::Rules(clauses.map(|idx| rule(bound, idx)).collect())
    }

    pub(crate) fn isolated(bound: &Bound, policies: &[PolicyIdx]) -> Self {
        let named = |&idx: &PolicyIdx| {
            let policy = bound.symbolic.policy(idx);
            PolicyRef { policy: policy.to_string().into(), place: place(bound, policy.origin) }
        };
        Self::Isolated(policies.iter().map(named).collect())
    }

    /// The policies it names: `netpol shop/db`. One may come more than once.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        let (rules, isolated): (&[RuleRef], &[PolicyRef]) = match self {
            Self::Rules(rules) => (rules, &[]),
            Self::Isolated(policies) => (&[], policies),
            _ => (&[], &[]),
        };
        let of_rules = rules.iter().map(|rule| rule.policy.as_ref());
        of_rules.chain(isolated.iter().map(|policy| policy.policy.as_ref()))
    }

    /// In words: `isolated by netpol shop/default-deny (deny.yaml:3)`. Of many rules or policies the first are named.
    #[must_use]
    pub fn words(&self, look: Look<'_>) -> String {
        let mut out = String::new();
        match self {
            Self::Rules(rules) => list(&mut out, rules, |out, rule| {
                let _ = write!(out, "{} {}", clean(&rule.policy), clean(&rule.rule));
                if let Some(name) = &rule.name {
                    let _ = write!(out, " \"{}\"", clean(name));
                }
                if let Some(peer) = &rule.peer {
                    let _ = write!(out, " {}", clean(peer));
                }
                in_place(out, rule.place.as_deref(), look);
            }),
            Self::Isolated(policies) => {
                out.push_str("isolated by ");
                list(&mut out, policies, |out, policy| {
                    out.push_str(&clean(&policy.policy));
                    in_place(out, policy.place.as_deref(), look);
                });
            }
            Self::Default => out.push_str("no policy applies"),
            Self::Unprogrammed => out.push_str("the node has not programmed this pod yet"),
            Self::UnknownReason(prefix) => {
                let _ =
                    write!(out, "for a reason that is not known any more (`{}`)", clean(prefix));
            }
            Self::UnknownPrefix(prefix) => {
                let _ = write!(out, "the log prefix `{}` is not one of Moat's", clean(prefix));
            }
        }
        out
    }
}

fn list<T>(out: &mut String, items: &[T], one: impl Fn(&mut String, &T)) {
    for (at, item) in items.iter().take(SHOWN_MAX).enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        one(out, item);
    }
    if items.len() > SHOWN_MAX {
        let _ = write!(out, " and {} more", items.len() - SHOWN_MAX);
    }
}

fn in_place(out: &mut String, place: Option<&str>, look: Look<'_>) {
    if let Some(place) = place {
        out.push(' ');
        out.push_str(&look.paint(Ink::Dim, &format!("({})", clean(place))));
    }
}

fn rule(bound: &Bound, idx: ClauseIdx) -> RuleRef {
    let symbolic = &bound.symbolic;
    let clause = symbolic.clause(idx);
    let rule = symbolic.rule(clause.rule);
    let list = if rule.direction == Direction::Ingress { "from" } else { "to" };
    RuleRef {
        policy: symbolic.policy(rule.policy).to_string().into(),
        rule: format!("{}[{}]", rule.direction, rule.index).into(),
        name: rule.name.clone(),
        peer: clause.peer_index.map(|peer| format!("{list}[{peer}]").into()),
        place: place(bound, rule.origin),
    }
}

/// Objects of a live cluster were read from no file.
fn place(bound: &Bound, origin: Origin) -> Option<Arc<str>> {
    let known = origin.line > 0 && !bound.symbolic.file(origin).is_empty();
    known.then(|| bound.symbolic.place(origin).into())
}
