//! Probes the network of a running world, and holds every answer and every log record against the engine.

use super::judge::{Judgement, Observed, Outcome, judge, marks};
use super::questions::{HostId, Question, Scope, Target, questions};
use super::records::Records;
use crate::live::Live;
use crate::logs::Logs;
use crate::probe::{self, ListenHost, Listeners, Probe, Prober, Seen};
use moat_ir::{Bound, Direction, End, HalfReason, ProgramId, Verdict};
use moat_kernel::netns::Netns;
use moat_kernel::nflog::LogRecord;
use moat_sets::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What probing found.
#[derive(Clone, PartialEq, Debug)]
pub struct Verified {
    /// Every question with what the network did, and the judgement.
    pub answers: Vec<(Question, Observed, Judgement)>,
    /// All log records, each with its node.
    pub log: Vec<(Arc<str>, LogRecord)>,
    /// Log records that the kernel says it lost.
    pub n_lost: u64,
    /// How long probing took.
    pub took: Duration,
}

/// The hosts of a world: who can ask, and who listens.
struct Hosts {
    ids: BTreeMap<HostId, usize>,
    netns: Vec<Arc<Netns>>,
    addresses: Vec<Vec<IpAddr>>,
}

impl Hosts {
    fn new(live: &Live) -> Self {
        let mut hosts = Self { ids: BTreeMap::new(), netns: Vec::new(), addresses: Vec::new() };
        for (at, node) in live.net.nodes.iter().enumerate() {
            hosts.add(HostId::Node(at), &node.netns, &node.addresses);
        }
        for (&idx, netns) in &live.net.pods {
            hosts.add(HostId::Pod(idx), netns, &live.placed.bound.pod(idx).addresses);
        }
        hosts.add(HostId::Outside, &live.net.outside, &live.net.outside_addresses);
        hosts
    }

    /// A pod that shares its node's network is the same host as its node.
    fn add(&mut self, id: HostId, netns: &Arc<Netns>, addresses: &[IpAddr]) {
        if let Some(known) = self.netns.iter().position(|own| Arc::ptr_eq(own, netns)) {
            self.ids.insert(id, known);
            return;
        }
        self.ids.insert(id, self.netns.len());
        self.netns.push(netns.clone());
        self.addresses.push(addresses.to_vec());
    }
}

/// The questions of a running world within a scope.
#[must_use]
pub fn ask(live: &Live, scope: &Scope) -> Vec<Question> {
    let placed = &live.placed;
    let nodes: Vec<Vec<IpAddr>> =
        live.net.nodes.iter().map(|node| node.addresses.clone()).collect();
    questions(&placed.bound, &placed.services, &nodes, &placed.pods, &placed.outside, scope)
}

/// Who listens while questions are asked.
#[derive(Clone, Copy, Debug)]
pub enum Listening<'a> {
    /// Every pod on the ports that it declares, for as long as it takes.
    Declared,
    /// These.
    Held(&'a Listeners),
}

/// Asks the network every question. `progress` hears how many are answered.
pub async fn verify(
    live: &Live,
    questions: Vec<Question>,
    settings: &probe::Settings,
    listening: Listening<'_>,
    progress: impl Fn(usize) + Sync,
) -> Result<Verified, Box<dyn std::error::Error + Send + Sync>> {
    let mut logs = Logs::open(live).await?;
    verify_by(live, &mut logs, questions, settings, listening, progress).await
}

/// The same, by logs that are open already and of which nothing waits to be read.
pub async fn verify_by(
    live: &Live,
    logs: &mut Logs,
    questions: Vec<Question>,
    settings: &probe::Settings,
    listening: Listening<'_>,
    progress: impl Fn(usize) + Sync,
) -> Result<Verified, Box<dyn std::error::Error + Send + Sync>> {
    let start = Instant::now();
    let hosts = Hosts::new(live);
    let listeners = match listening {
        Listening::Declared => Some(Listeners::start(&declared(live, &hosts))?),
        Listening::Held(_) => None,
    };
    let probes: Vec<Probe> = questions.iter().map(|question| probe_of(&hosts, question)).collect();
    let bound = &live.placed.bound;
    let open: Vec<bool> = questions.iter().map(|question| is_open(bound, question)).collect();
    let prober = Prober::after(hosts.netns.clone(), live.ports.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let asking = async {
        let is_open = |at, _: &Probe| open.get(at) == Some(&true);
        let seen = prober.run(&probes, settings, is_open, progress).await;
        let expected = questions.iter().zip(&seen).map(|(own, seen)| n_expected(bound, own, seen));
        // The reader ends when it has as many as there should be, and waits a while for those that are missing.
        let _ = stop.send(expected.sum());
        seen
    };
    let (seen, records) = tokio::join!(asking, Records::read(logs, stopped));
    drop(listeners);
    let mut answers = Vec::with_capacity(questions.len());
    let refused: BTreeSet<ProgramId> =
        live.refused.iter().filter(|own| !own.staged).map(|own| own.program).collect();
    for (question, seen) in questions.into_iter().zip(seen) {
        let observed = Observed {
            outcome: outcome(&seen),
            answered_by: seen.answered_by,
            records: records.of(&question, &seen),
        };
        let judgement = match closed_ends(bound, &refused, &question) {
            Closed::No => judge(bound, &question, &observed, true),
            Closed::Some => Judgement::LeftOpen,
            Closed::All => judge_closed(&observed.outcome),
        };
        answers.push((question, observed, judgement));
    }
    Ok(Verified { answers, log: records.all, n_lost: records.n_lost, took: start.elapsed() })
}

/// Whether a question is one for pods that are closed because their policies are too many for the kernel.
enum Closed {
    No,
    /// Of the places where it may end up, some.
    Some,
    All,
}

fn closed_ends(bound: &Bound, refused: &BTreeSet<ProgramId>, question: &Question) -> Closed {
    if refused.is_empty() {
        return Closed::No;
    }
    let is_closed = |end: &End, direction| {
        let End::Pod(idx) = end else { return false };
        bound.class_of(*idx).program(direction).is_some_and(|own| refused.contains(&own))
    };
    let closed = |target: &&Target| {
        let answer = bound.decide(&target.flow);
        let halves = [answer.egress.reason, answer.ingress.reason];
        !halves.iter().any(|reason| matches!(reason, HalfReason::Exempt(_)))
            && (is_closed(&target.flow.from, Direction::Egress)
                || is_closed(&target.flow.to, Direction::Ingress))
    };
    match question.targets.iter().filter(closed).count() {
        0 => Closed::No,
        n if n == question.targets.len() => Closed::All,
        _ => Closed::Some,
    }
}

/// What is closed must not answer; whether its policies would let it says nothing then.
fn judge_closed(outcome: &Outcome) -> Judgement {
    match outcome {
        Outcome::Connected | Outcome::Refused => {
            let words = "policies that are too many close it, and the packet got through";
            Judgement::Disagreed(vec![words.to_owned()])
        }
        Outcome::NotExercised(why) => Judgement::NotExercised(why.clone()),
        Outcome::Dropped | Outcome::Broken(_) => {
            Judgement::NotExercised("its pods are closed: their policies are too many".to_owned())
        }
    }
}

/// Every host listens on the ports that its pods declare; a port without listener answers by refusing.
fn declared(live: &Live, hosts: &Hosts) -> Vec<ListenHost> {
    let mut points: Vec<BTreeSet<(Protocol, u16)>> = vec![BTreeSet::new(); hosts.netns.len()];
    for &idx in live.net.pods.keys() {
        let Some(&at) = hosts.ids.get(&HostId::Pod(idx)) else { continue };
        let declared = live.placed.bound.pod(idx).ports.iter();
        points[at].extend(declared.map(|(_, protocol, number)| (*protocol, *number)));
    }
    let rows = points.into_iter().zip(&hosts.addresses).zip(&hosts.netns);
    let rows = rows.map(|((points, addresses), netns)| ListenHost {
        netns: netns.clone(),
        addresses: addresses.clone(),
        points: points.into_iter().collect(),
        echo: Vec::new(),
    });
    rows.collect()
}

fn probe_of(hosts: &Hosts, question: &Question) -> Probe {
    Probe {
        from: hosts.ids.get(&question.host).copied().unwrap_or(0),
        source: Some(question.source),
        to: question.to,
        protocol: question.point.protocol,
        port: question.point.port,
    }
}

/// Whether the engine allows it to every place where it may end up: a drop is worth a second look, on a busy machine.
fn is_open(bound: &Bound, question: &Question) -> bool {
    let allowed = |verdict| verdict == Verdict::Allowed;
    question.targets.iter().all(|target| allowed(bound.decide(&target.flow).verdict))
}

fn outcome(seen: &Seen) -> Outcome {
    match &seen.outcome {
        probe::Outcome::Connected => Outcome::Connected,
        probe::Outcome::Refused => Outcome::Refused,
        probe::Outcome::Dropped => Outcome::Dropped,
        probe::Outcome::Unreachable(why) | probe::Outcome::Failed(why) => {
            Outcome::Broken(why.clone())
        }
        probe::Outcome::NotExercised(why) => Outcome::NotExercised((*why).to_owned()),
    }
}

/// How many records the log must hold of a question before it can be judged.
fn n_expected(bound: &Bound, question: &Question, seen: &Seen) -> usize {
    match (&seen.outcome, question.targets.as_slice()) {
        (probe::Outcome::NotExercised(_) | probe::Outcome::Failed(_), _) => 0,
        (_, [only]) => marks(bound, &bound.decide(&only.flow)).len(),
        // Which backend the kernel chose is what the records say; each leaves at least as many as the one with fewest.
        (_, many) => {
            many.iter().map(|at| marks(bound, &bound.decide(&at.flow)).len()).min().unwrap_or(0)
        }
    }
}
