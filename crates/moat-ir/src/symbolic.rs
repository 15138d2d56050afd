//! Policies as clauses, before any pod is seen.

use crate::bound::{StageKind, Then};
use core::fmt;
use moat_sets::{AddrSet, DomainPattern, PodTerm, PortSet, Protocol, Selector};
use std::sync::Arc;

/// A direction, seen from the subject pod.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// Traffic into the subject.
    Ingress,
    /// Traffic out of the subject.
    Egress,
}

impl Direction {
    /// Both directions, in API order.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// `ingress` or `egress`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where something was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Origin {
    /// Index in [`SymbolicIr::sources`].
    pub source: u32,
    /// Line, from 1; 0 when unknown.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// Index of a policy in [`SymbolicIr::policies`].
pub type PolicyIdx = u32;
/// Index of a rule in [`SymbolicIr::rules`].
pub type RuleIdx = u32;
/// Index of a clause in [`SymbolicIr::clauses`].
pub type ClauseIdx = u32;

/// A policy, as far as consumers may know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyInfo {
    /// The API kind.
    pub kind: &'static str,
    /// The API short name: `netpol`, `cnp`, `anp`, `banp`.
    pub short: &'static str,
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// Where it was read.
    pub origin: Origin,
    /// When it is evaluated.
    pub stage: StageKind,
    /// Order within its stage; lower first. Equal ranks of different policies are the API's undefined order.
    pub rank: i32,
    /// The pods it applies to.
    pub subject: PodTerm,
    /// Whether it isolates its subjects, per direction (ingress, egress).
    pub isolates: [bool; 2],
}

impl PolicyInfo {
    /// `ns/name`, or `name` when cluster-scoped.
    #[must_use]
    pub fn id(&self) -> String {
        if self.namespace.is_empty() {
            self.name.to_string()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }

    /// Whether it isolates its subjects in this direction.
    #[must_use]
    pub fn isolates(&self, direction: Direction) -> bool {
        match (direction, self.isolates) {
            (Direction::Ingress, [ingress, _]) => ingress,
            (Direction::Egress, [_, egress]) => egress,
        }
    }
}

impl fmt::Display for PolicyInfo {
    /// `netpol ns/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.short, self.id())
    }
}

/// A rule of a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleInfo {
    /// Its policy.
    pub policy: PolicyIdx,
    /// Its direction.
    pub direction: Direction,
    /// Its index among the policy's rules of that direction, from 0.
    pub index: u32,
    /// The name a cluster policy may give it.
    pub name: Option<Arc<str>>,
    /// Where it was read.
    pub origin: Origin,
}

/// One peer of one rule with the rule's ports and action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SymClause {
    /// Its rule.
    pub rule: RuleIdx,
    /// The peer's index in the rule; `None` when the rule names no peer and means everyone.
    pub peer_index: Option<u32>,
    /// Where the peer (or rule) was read.
    pub origin: Origin,
    /// Whom it means.
    pub peer: SymPeer,
    /// On which destination ports.
    pub ports: SymPorts,
    /// What it does.
    pub then: Then,
}

/// Whom a clause means.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SymPeer {
    /// Everyone.
    Everyone,
    /// No one.
    Nobody,
    /// Pods.
    Pods(PodTerm),
    /// Addresses of an `ipBlock`: whether pod addresses count is the dialect's choice.
    Block(AddrSet),
    /// Addresses of `networks`: pod addresses always count.
    Networks(AddrSet),
    /// Nodes by labels.
    Nodes(Selector),
    /// A domain name.
    Domain(DomainPattern),
}

/// Destination ports: numbers, and names looked up on the destination pod.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SymPorts {
    /// Numbered ports.
    pub numbers: PortSet,
    /// Port names, with the protocol they must have if any.
    pub names: Vec<(Option<Protocol>, Arc<str>)>,
}

impl fmt::Display for SymPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            return write!(f, "{}", self.numbers);
        }
        if !self.numbers.is_empty() {
            write!(f, "{}; ", self.numbers)?;
        }
        for (idx, (protocol, name)) in self.names.iter().enumerate() {
            if idx > 0 {
                f.write_str("; ")?;
            }
            match protocol {
                Some(protocol) => write!(f, "{protocol} `{name}`")?,
                None => write!(f, "`{name}`")?,
            }
        }
        Ok(())
    }
}

/// All policies, compiled.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct SymbolicIr {
    /// Names of the sources that [`Origin`]s point to.
    pub sources: Vec<Arc<str>>,
    /// Policies, in evaluation order within each stage.
    pub policies: Vec<PolicyInfo>,
    /// Rules, by policy, direction and index.
    pub rules: Vec<RuleInfo>,
    /// Clauses, in the order of their rules and peers.
    pub clauses: Vec<SymClause>,
    /// For each policy and direction (ingress, egress), its range of clauses.
    pub spans: Vec<[(ClauseIdx, ClauseIdx); 2]>,
}

impl SymbolicIr {
    /// `file:line`, or `?` when unknown.
    #[must_use]
    pub fn place(&self, origin: Origin) -> String {
        match self.sources.get(origin.source as usize) {
            Some(name) if origin.line > 0 => format!("{name}:{}", origin.line),
            _ => "?".to_owned(),
        }
    }

    /// The file of an origin.
    #[must_use]
    pub fn file(&self, origin: Origin) -> &str {
        self.sources.get(origin.source as usize).map_or("", AsRef::as_ref)
    }

    /// A policy.
    #[must_use]
    pub fn policy(&self, idx: PolicyIdx) -> &PolicyInfo {
        &self.policies[idx as usize]
    }

    /// A rule.
    #[must_use]
    pub fn rule(&self, idx: RuleIdx) -> &RuleInfo {
        &self.rules[idx as usize]
    }

    /// A clause.
    #[must_use]
    pub fn clause(&self, idx: ClauseIdx) -> &SymClause {
        &self.clauses[idx as usize]
    }

    /// The policy of a clause.
    #[must_use]
    pub fn policy_of(&self, idx: ClauseIdx) -> PolicyIdx {
        self.rule(self.clause(idx).rule).policy
    }

    /// The clauses of one policy in one direction.
    pub fn clauses_of(
        &self,
        policy: PolicyIdx,
        direction: Direction,
    ) -> impl Iterator<Item = (ClauseIdx, &SymClause)> {
        let [ingress, egress] = self.spans[policy as usize];
        let (start, end) = if direction == Direction::Ingress { ingress } else { egress };
        (start..end).map(|idx| (idx, self.clause(idx)))
    }
}
