//! What a test found otherwise than it says, alike flows joined.

use super::ends::Piece;
use crate::explain::{FlowExplanation, NearMiss, nearest};
use moat_ir::{Answer, Bound, End, Flow, PodIdx, Verdict};
use moat_sets::{AddrSet, Family, PortSet};

/// The part that the sources of a failure play in their test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// They are named, and must reach the destination.
    Must,
    /// They are named, and must not reach it.
    MustNot,
    /// They are not listed, and are not kept out.
    Intruder,
}

/// Flows that are not as a test says, all for one reason.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    /// What the sources should be.
    pub part: Part,
    /// Sources that are pods.
    pub pods: Vec<PodIdx>,
    /// Sources that are addresses.
    pub addresses: AddrSet,
    /// The destinations, for people.
    pub to: Vec<String>,
    /// The ports.
    pub ports: PortSet,
    /// One of the flows.
    pub flow: Flow,
    /// The answer to it.
    pub answer: Answer,
    /// Rules that nearly allow it, when it should be allowed.
    pub near: Vec<NearMiss>,
}

/// Failures of which the nearest rules are sought; readers see no more at once.
const EXPLAINED_MAX: usize = 8;

impl Failure {
    /// The sources for people: pods, then addresses.
    #[must_use]
    pub fn sources(&self, bound: &Bound) -> Vec<String> {
        let mut names: Vec<String> =
            self.pods.iter().map(|&pod| bound.pod(pod).display.to_string()).collect();
        if self.addresses == AddrSet::all() {
            names.push("outside".to_owned());
            return names;
        }
        for family in Family::BOTH {
            let all = AddrSet::family(family);
            let own = self.addresses.intersect(&all);
            let (cidrs, rest) = (own.cidrs(), all.minus(&own).cidrs());
            if !rest.is_empty() && rest.len() < cidrs.len() {
                let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
                names.push(format!("{all} but {}", rest.join(" ")));
            } else {
                names.extend(cidrs.iter().map(ToString::to_string));
            }
        }
        names
    }

    /// Seeks the rules that come nearest to allowing it.
    fn explain(&mut self, bound: &Bound) {
        let flow = FlowExplanation {
            from: Vec::new(),
            to: Vec::new(),
            flow: self.flow.clone(),
            answer: self.answer.clone(),
            near: Vec::new(),
            edits: Vec::new(),
        };
        self.near = nearest(bound, &flow);
    }
}

/// A source: a pod, or addresses that are treated alike.
#[derive(Clone, Debug)]
pub(super) enum Source<'p> {
    Pod(PodIdx),
    Piece(&'p Piece),
}

impl Source<'_> {
    pub(super) fn end(&self) -> End {
        match self {
            Self::Pod(pod) => End::Pod(*pod),
            Self::Piece(piece) => End::Address(piece.sample),
        }
    }
}

/// Adds a flow to those that fail alike.
pub(super) fn join(
    failures: &mut Vec<Failure>,
    part: Part,
    (source, to): (&Source<'_>, &str),
    ports: PortSet,
    flow: Flow,
    answer: Answer,
) {
    let alike = |have: &&mut Failure| {
        have.part == part
            && have.ports == ports
            && have.answer == answer
            && have.to.iter().any(|have| have == to)
            && core::mem::discriminant(&have.flow.from) == core::mem::discriminant(&flow.from)
    };
    let at = match failures.iter_mut().find(alike) {
        Some(failure) => failure,
        None => {
            failures.push(Failure {
                part,
                pods: Vec::new(),
                addresses: AddrSet::empty(),
                to: vec![to.to_owned()],
                ports,
                flow,
                answer,
                near: Vec::new(),
            });
            let Some(last) = failures.last_mut() else { return };
            last
        }
    };
    match source {
        // A pod that fails by both families is one source.
        Source::Pod(pod) if at.pods.contains(pod) => {}
        Source::Pod(pod) => at.pods.push(*pod),
        Source::Piece(piece) => at.addresses = at.addresses.union(&piece.part),
    }
}

/// Joins failures of the same sources at several destinations, and explains the first ones.
pub(super) fn finish(bound: &Bound, failures: Vec<Failure>) -> Vec<Failure> {
    let mut out: Vec<Failure> = Vec::new();
    for failure in failures {
        let alike = |have: &&mut Failure| {
            have.part == failure.part
                && have.ports == failure.ports
                && have.answer == failure.answer
                && have.pods == failure.pods
                && have.addresses == failure.addresses
        };
        match out.iter_mut().find(alike) {
            Some(have) => have.to.extend(failure.to),
            None => out.push(failure),
        }
    }
    let wanted = |failure: &&mut Failure| {
        failure.part == Part::Must && failure.answer.verdict != Verdict::Allowed
    };
    out.iter_mut().filter(wanted).take(EXPLAINED_MAX).for_each(|failure| failure.explain(bound));
    out
}
