//! Which records are wanted.

mod parse;

pub use parse::{FilterError, Flags, seconds};

use crate::record::{End, Record, Verdict};
use crate::time::Time;
use crate::wire::{EndKind, Wire, WireEnd};
use moat_ir::Direction;
use moat_sets::{Cidr, Protocol};
use std::net::IpAddr;

/// Which records are wanted: those that meet every condition. The default takes all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// The verdict, and whether it is a staged policy's.
    verdict: Option<(Verdict, bool)>,
    from: Option<Who>,
    to: Option<Who>,
    direction: Option<Direction>,
    protocol: Option<Protocol>,
    port: Option<u16>,
    since: Option<Time>,
    policy: Option<Wanted>,
}

/// Which ends are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Who {
    /// The pod of this name, or the workload of whatever kind that it stands for.
    Pod(String),
    /// Pods whose names, with the kinds of workloads or without, begin so.
    Pods(String),
    /// Pods of this namespace, or the node of this name.
    Word(String),
    /// Ends that are no pod's and no node's.
    Outside,
    /// Ends by address.
    Addresses(Cidr),
}

/// Which policy is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Wanted {
    /// `ns/name` or `name`, whatever its kind.
    Id(String),
    /// `netpol ns/name`.
    Full(String),
}

impl Wanted {
    fn is(&self, policy: &str) -> bool {
        match self {
            Self::Full(full) => policy == full,
            Self::Id(id) => policy.split_once(' ').is_some_and(|(_, own)| own == id),
        }
    }
}

impl Who {
    fn is(&self, end: &Side<'_>) -> bool {
        match self {
            Self::Addresses(cidr) => cidr.contains(end.address),
            Self::Outside => end.kind == EndKind::Outside,
            Self::Pod(name) => {
                let alike = |own: &str, wanted: &str| own == wanted;
                end.kind == EndKind::Pod && (end.name == name || by_name(end.name, name, alike))
            }
            Self::Pods(start) => {
                let start = start.as_str();
                let begins = |own: &str, wanted: &str| own.starts_with(wanted);
                end.kind == EndKind::Pod
                    && (end.name.starts_with(start) || by_name(end.name, start, begins))
            }
            Self::Word(word) => match end.kind {
                EndKind::Pod => end.name.split_once('/').is_some_and(|(own, _)| own == word),
                EndKind::Node => end.name == word,
                EndKind::Outside => false,
            },
        }
    }
}

/// Whether a workload, whose name is `ns/kind/name`, is wanted without its kind, as in questions to the engine.
fn by_name(own: &str, wanted: &str, is: impl Fn(&str, &str) -> bool) -> bool {
    let mut parts = own.split('/');
    let (namespace, _, name) = (parts.next(), parts.next(), parts.next());
    wanted.split_once('/').is_some_and(|(of, wanted)| {
        namespace == Some(of) && name.is_some_and(|name| is(name, wanted))
    })
}

/// An end, as far as filters look.
pub(crate) struct Side<'r> {
    kind: EndKind,
    name: &'r str,
    address: IpAddr,
}

/// What filters look at, whether it is a record or still a line: lines that are not wanted are never copied.
pub(crate) trait Facts {
    fn verdict(&self) -> (Verdict, bool);
    fn direction(&self) -> Option<Direction>;
    fn protocol(&self) -> Protocol;
    fn port(&self) -> Option<u16>;
    fn time(&self) -> Time;
    fn ends(&self) -> (Side<'_>, Side<'_>);
    fn names_policy(&self, is: &mut dyn FnMut(&str) -> bool) -> bool;
}

impl Filter {
    /// Whether a record is wanted.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        self.takes(record)
    }

    pub(crate) fn takes(&self, facts: &impl Facts) -> bool {
        let (source, destination) = facts.ends();
        self.verdict.is_none_or(|verdict| verdict == facts.verdict())
            && self.since.is_none_or(|since| facts.time() >= since)
            && self.direction.is_none_or(|direction| facts.direction() == Some(direction))
            && self.protocol.is_none_or(|protocol| protocol == facts.protocol())
            && self.port.is_none_or(|port| facts.port() == Some(port))
            && self.from.as_ref().is_none_or(|who| who.is(&source))
            && self.to.as_ref().is_none_or(|who| who.is(&destination))
            && self
                .policy
                .as_ref()
                .is_none_or(|wanted| facts.names_policy(&mut |policy| wanted.is(policy)))
    }
}

impl Facts for Record {
    fn verdict(&self) -> (Verdict, bool) {
        (self.verdict, self.staged)
    }

    fn direction(&self) -> Option<Direction> {
        self.direction
    }

    fn protocol(&self) -> Protocol {
        self.protocol()
    }

    fn port(&self) -> Option<u16> {
        self.destination.port
    }

    fn time(&self) -> Time {
        self.time
    }

    fn ends(&self) -> (Side<'_>, Side<'_>) {
        (side(&self.source), side(&self.destination))
    }

    fn names_policy(&self, is: &mut dyn FnMut(&str) -> bool) -> bool {
        self.why.policies().any(is)
    }
}

impl Facts for Wire<'_> {
    fn verdict(&self) -> (Verdict, bool) {
        (self.verdict.0, self.staged)
    }

    fn direction(&self) -> Option<Direction> {
        self.direction.0
    }

    fn protocol(&self) -> Protocol {
        self.protocol.0
    }

    fn port(&self) -> Option<u16> {
        self.destination.port
    }

    fn time(&self) -> Time {
        self.time.0
    }

    fn ends(&self) -> (Side<'_>, Side<'_>) {
        (side_of(&self.source), side_of(&self.destination))
    }

    fn names_policy(&self, is: &mut dyn FnMut(&str) -> bool) -> bool {
        let rules = self.rules.iter().flatten().map(|rule| rule.policy.0.as_ref());
        let isolated = self.isolated_by.iter().flatten().map(|policy| policy.policy.0.as_ref());
        rules.chain(isolated).any(is)
    }
}

fn side(end: &End) -> Side<'_> {
    Side { kind: EndKind::of(&end.name), name: end.name.text(), address: end.address }
}

fn side_of<'r>(end: &'r WireEnd<'_>) -> Side<'r> {
    Side { kind: end.kind.0, name: &end.name.0, address: end.address }
}
