//! Runs a test.

use super::ends::{Ask, Destination, PROTOCOLS, destinations, pieces, running, sources};
use super::failure::{Source, finish, join};
use super::{Assertion, CheckError, Failure, Part, Recorder, Test};
use crate::query::{Names, shared_families};
use moat_ir::{Answer, Bound, Direction, End, Flow, HalfReason, ProgramId, Verdict};
use moat_sets::{AddrSet, Family, PortSet, Protocol, ServicePoint};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Runs a test; it passes when there is no failure. Who decided is noted in `recorder`.
pub fn run(
    names: &Names<'_>,
    test: &Test,
    recorder: &mut Recorder,
) -> Result<Vec<Failure>, CheckError> {
    let mut runner = Runner::new(names, test, recorder, false);
    runner.test()?;
    let failures = runner.failures;
    Ok(finish(names.bound(), failures))
}

/// Whether a test passes, found out as fast as can be.
pub fn passes(names: &Names<'_>, test: &Test) -> Result<bool, CheckError> {
    let mut recorder = Recorder::default();
    let mut runner = Runner::new(names, test, &mut recorder, true);
    runner.test()?;
    Ok(runner.failures.is_empty())
}

/// Ports that two programs treat alike, and one of them.
type Runs = Arc<[(ServicePoint, PortSet)]>;

struct Runner<'r, 'b> {
    names: &'r Names<'b>,
    bound: &'b Bound,
    test: &'r Test,
    recorder: &'r mut Recorder,
    /// Whether one failure is enough.
    brief: bool,
    failures: Vec<Failure>,
    n_asked: usize,
    runs: FxHashMap<[Option<ProgramId>; 2], Runs>,
}

impl<'r, 'b> Runner<'r, 'b> {
    fn new(names: &'r Names<'b>, test: &'r Test, recorder: &'r mut Recorder, brief: bool) -> Self {
        Self {
            names,
            bound: names.bound(),
            test,
            recorder,
            brief,
            failures: Vec::new(),
            n_asked: 0,
            runs: FxHashMap::default(),
        }
    }

    fn test(&mut self) -> Result<(), CheckError> {
        let (test, bound) = (self.test, self.bound);
        let listed = sources(self.names, &test.from)?;
        let destinations = destinations(self.names, &test.to, &test.ports)?;
        let everybody = test.assertion.is_about_everybody();
        let named = pieces(bound, &listed.addresses);
        let others = if everybody {
            pieces(bound, &AddrSet::all().minus(&listed.addresses))
        } else {
            Vec::new()
        };
        let part = if test.assertion == Assertion::Deny { Part::MustNot } else { Part::Must };
        for destination in &destinations {
            if test.assertion != Assertion::AtMost {
                for &pod in &listed.pods {
                    self.ask(part, &Source::Pod(pod), destination);
                }
                for piece in &named {
                    self.ask(part, &Source::Piece(piece), destination);
                }
            }
            if !everybody {
                continue;
            }
            for pod in running(bound).filter(|pod| !listed.pods.contains(pod)) {
                if destination.end != End::Pod(pod) {
                    self.ask(Part::Intruder, &Source::Pod(pod), destination);
                }
            }
            // Traffic from outside to outside is nobody's to stop.
            if matches!(destination.end, End::Pod(_)) {
                for piece in &others {
                    self.ask(Part::Intruder, &Source::Piece(piece), destination);
                }
            }
            if self.brief && !self.failures.is_empty() {
                return Ok(());
            }
        }
        if self.n_asked == 0 {
            return Err(CheckError::new(
                test.place,
                "no flow is left to test".to_owned(),
                if test.assertion == Assertion::AtMost {
                    "everybody is on the list"
                } else {
                    "sources and destinations are the same single pod, or share no IP family"
                },
            ));
        }
        Ok(())
    }

    fn ask(&mut self, part: Part, source: &Source<'_>, destination: &Destination) {
        let (from, to) = (source.end(), &destination.end);
        // A single pod reaches itself without a network.
        if let End::Pod(pod) = from
            && from == *to
            && self.bound.pod(pod).replicas <= 1
        {
            return;
        }
        for family in shared_families(self.bound, &from, to) {
            self.n_asked += 1;
            match &destination.ask {
                Ask::Points(points) => {
                    for &point in points {
                        let flow = Flow { from: from.clone(), to: to.clone(), point, family };
                        let answer = self.bound.decide(&flow);
                        self.recorder.record(self.bound, &flow, &answer);
                        if !fits(part, &answer) {
                            let ports = PortSet::point(point);
                            let ends = (source, destination.name.as_str());
                            join(&mut self.failures, part, ends, ports, flow, answer);
                        }
                    }
                }
                Ask::Any => self.any(part, source, &from, destination, family),
            }
        }
    }

    /// Asks about every port: one must pass, or none may.
    fn any(
        &mut self,
        part: Part,
        source: &Source<'_>,
        from: &End,
        destination: &Destination,
        family: Family,
    ) {
        let mut bad: Option<(PortSet, Flow, Answer)> = None;
        for (point, ports) in self.runs(from, &destination.end).iter() {
            let flow =
                Flow { from: from.clone(), to: destination.end.clone(), point: *point, family };
            let answer = self.bound.decide(&flow);
            let fit = fits(part, &answer);
            if fit || part != Part::Must {
                self.recorder.record(self.bound, &flow, &answer);
            }
            if fit && part == Part::Must {
                return;
            }
            if fit {
                continue;
            }
            match &mut bad {
                None => bad = Some((ports.clone(), flow, answer)),
                Some((sum, first, why)) => {
                    *sum = sum.union(ports);
                    // What is in doubt says more than what is denied.
                    if part == Part::Must && why.verdict < answer.verdict {
                        (*first, *why) = (flow, answer);
                    }
                }
            }
        }
        if let Some((ports, flow, answer)) = bad {
            self.recorder.record(self.bound, &flow, &answer);
            let ports = if is_every_port(&ports) { PortSet::all() } else { ports };
            let ends = (source, destination.name.as_str());
            join(&mut self.failures, part, ends, ports, flow, answer);
        }
    }

    /// Ports, cut where the programs of the two ends tell them apart.
    fn runs(&mut self, from: &End, to: &End) -> Runs {
        let bound = self.bound;
        let program = |end: &End, direction: Direction| match end {
            End::Pod(pod) => bound.class_of(*pod).program(direction),
            _ => None,
        };
        let programs = [program(from, Direction::Egress), program(to, Direction::Ingress)];
        self.runs.entry(programs).or_insert_with(|| cut(bound, programs)).clone()
    }
}

fn cut(bound: &Bound, programs: [Option<ProgramId>; 2]) -> Runs {
    let clauses = || {
        let programs = programs.into_iter().flatten().map(|id| bound.program(id));
        programs.flat_map(|program| &program.stages).flat_map(|stage| &stage.clauses)
    };
    let mut out = Vec::new();
    for protocol in PROTOCOLS {
        // Port 0 is no one's.
        let mut starts: BTreeSet<u32> = BTreeSet::from([1]);
        for clause in clauses() {
            for (low, high) in clause.ports.of(protocol) {
                starts.extend([u32::from(low.max(1)), u32::from(high) + 1]);
            }
        }
        let starts: Vec<u16> =
            starts.into_iter().filter_map(|start| u16::try_from(start).ok()).collect();
        for (at, &low) in starts.iter().enumerate() {
            let high = starts.get(at + 1).map_or(u16::MAX, |next| next - 1);
            out.push((ServicePoint::new(protocol, low), PortSet::range(protocol, low, high)));
        }
    }
    let other = ServicePoint::new(Protocol::Other, 0);
    out.push((other, PortSet::point(other)));
    out.into()
}

fn is_every_port(ports: &PortSet) -> bool {
    let zero = |protocol| PortSet::range(protocol, 0, 0);
    PROTOCOLS.into_iter().fold(ports.clone(), |sum, protocol| sum.union(&zero(protocol))).is_all()
}

/// Whether an answer is as it should be. What is undefined never is.
fn fits(part: Part, answer: &Answer) -> bool {
    match part {
        Part::Must => answer.verdict == Verdict::Allowed,
        Part::MustNot => answer.verdict == Verdict::Denied,
        Part::Intruder => answer.verdict == Verdict::Denied || is_beyond_policy(answer),
    }
}

/// Whether the flow passes only because a node reaches its own pods, which no policy can change and nobody would list.
fn is_beyond_policy(answer: &Answer) -> bool {
    let exempt = |reason: &HalfReason| matches!(reason, HalfReason::Exempt(_));
    exempt(&answer.egress.reason)
        || exempt(&answer.ingress.reason)
        || (answer.maybe_own_node
            && answer.egress.verdict.and(answer.ingress.verdict) == Verdict::Denied)
}
