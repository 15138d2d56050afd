//! What a verdict chain stands for: its name, its log prefix, and the way back from the prefix to the reason.

use core::fmt;
use moat_ir::{Bound, Decision, Direction, Ground};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Names a reason, the same in every ruleset that has it: a hash of the policies, rules and peers that decide, not of their numbers in
/// one compilation. A record that was logged before a change therefore still means what it meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonId(pub u64);

impl fmt::Display for ReasonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ReasonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One direction's verdict with its reason.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Reason {
    /// Which end decided.
    pub direction: Direction,
    /// What it decided.
    pub decision: Decision,
}

/// The reasons of a ruleset.
pub type Reasons = BTreeMap<ReasonId, Reason>;

/// What a log prefix says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mark {
    /// A decision of policies.
    Decided {
        /// Which end decided.
        direction: Direction,
        /// Whether the packet passed.
        allow: bool,
        /// Why.
        reason: ReasonId,
    },
    /// What a staged policy would have decided.
    Staged {
        /// Which end would have decided.
        direction: Direction,
        /// Whether the packet would have passed.
        allow: bool,
        /// Why.
        reason: ReasonId,
    },
    /// Denied because the local pod of this end is not programmed yet.
    Unprogrammed(Direction),
}

/// Every prefix begins with the version of its form.
const VERSION: &str = "moat1";

impl fmt::Display for Mark {
    /// The log prefix: `moat1:ai:0123456789abcdef`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |direction| if direction == Direction::Ingress { 'i' } else { 'e' };
        match *self {
            Self::Decided { direction, allow, reason } => {
                let verdict = if allow { 'a' } else { 'd' };
                write!(f, "{VERSION}:{verdict}{}:{reason}", side(direction))
            }
            Self::Staged { direction, allow, reason } => {
                let verdict = if allow { 'A' } else { 'D' };
                write!(f, "{VERSION}:{verdict}{}:{reason}", side(direction))
            }
            Self::Unprogrammed(direction) => write!(f, "{VERSION}:u{}:", side(direction)),
        }
    }
}

impl Mark {
    /// Reads a log prefix; `None` if it is not one of ours.
    #[must_use]
    pub fn parse(prefix: &str) -> Option<Self> {
        let (kind, id) = prefix.strip_prefix(VERSION)?.strip_prefix(':')?.split_once(':')?;
        let mut letters = kind.chars();
        let (verdict, side) = (letters.next()?, letters.next()?);
        let direction = match side {
            'i' => Direction::Ingress,
            'e' => Direction::Egress,
            _ => return None,
        };
        if verdict == 'u' {
            return Some(Self::Unprogrammed(direction));
        }
        let reason = ReasonId(u64::from_str_radix(id, 16).ok()?);
        match verdict {
            'a' | 'd' => Some(Self::Decided { direction, allow: verdict == 'a', reason }),
            'A' | 'D' => Some(Self::Staged { direction, allow: verdict == 'A', reason }),
            _ => None,
        }
    }
}

impl Reason {
    /// The reason as text that depends on names only: `ingress allow: netpol shop/db ingress[0].from[1]`.
    #[must_use]
    pub fn words(&self, bound: &Bound) -> String {
        let verdict = if self.decision.allow { "allow" } else { "deny" };
        let mut words = format!("{} {verdict}: ", self.direction);
        let symbolic = &bound.symbolic;
        match &self.decision.ground {
            Ground::Default => words.push_str("no policy applies"),
            Ground::Isolated(policies) => {
                words.push_str("isolated by ");
                for (at, &policy) in policies.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    let _ = write!(words, "{comma}{}", symbolic.policy(policy));
                }
            }
            Ground::Rules(clauses) => {
                for (at, &idx) in clauses.iter().enumerate() {
                    let clause = symbolic.clause(idx);
                    let rule = symbolic.rule(clause.rule);
                    let comma = if at > 0 { ", " } else { "" };
                    let policy = symbolic.policy(rule.policy);
                    let _ = write!(words, "{comma}{policy} {}[{}]", rule.direction, rule.index);
                    if let Some(peer) = clause.peer_index {
                        let list = if rule.direction == Direction::Ingress { "from" } else { "to" };
                        let _ = write!(words, ".{list}[{peer}]");
                    }
                }
            }
        }
        words
    }

    /// Its name.
    #[must_use]
    pub fn id(&self, bound: &Bound) -> ReasonId {
        ReasonId(hash(&self.words(bound)))
    }
}

/// FNV-1a of 64 bits: names in the kernel must be the same in every build, which hashes of the standard library do not promise.
#[must_use]
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
