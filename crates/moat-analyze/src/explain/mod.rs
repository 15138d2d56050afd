//! One question, one answer with its whole reason.

mod edits;
mod entrances;
mod expand;
mod near;
mod opened;

pub use edits::{Edit, Opened, TryChange};
pub(crate) use near::nearest;
pub use near::{Lack, NearMiss};

use crate::query::{Names, Port, QueryError, Target, families};
use moat_ir::{Answer, Direction, End, Flow, Half, HalfReason, Verdict};
use moat_sets::{Family, Protocol, ServicePoint};

/// A question as asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The source, as written.
    pub from: String,
    /// The destination, as written, without port.
    pub to: String,
    /// The destination port.
    pub port: Port,
    /// The protocol.
    pub protocol: Protocol,
}

/// The answer to a question: flows that the question stands for, alike ones joined.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What becomes of all flows together.
    pub verdict: Verdict,
    /// The source, as named here.
    pub from: String,
    /// The destination, as named here.
    pub to: String,
    /// Whether no port was given: the flows are then examples, one that passes and one that does not.
    pub any_port: bool,
    /// The Service step, when the destination is a Service.
    pub service: Option<ServiceStep>,
    /// Why the verdict is [`Verdict::Undefined`] although single flows may be certain, and other things to know.
    pub notes: Vec<String>,
    /// The flows.
    pub flows: Vec<FlowExplanation>,
    /// Whose other verdict it would be, when Kubernetes leaves it open; whoever asks by several dialects fills this in.
    pub elsewhere: Option<Elsewhere>,
}

/// The verdicts of other dialects, when they differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elsewhere {
    /// Each dialect's verdict, by name; the asker's own first.
    pub verdicts: Vec<(&'static str, Verdict)>,
    /// The open choices that make the difference.
    pub because: Vec<&'static str>,
}

/// How a Service's address and port become pods and their ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceStep {
    /// Index in the Service table.
    pub service: usize,
    /// What happens, in words.
    pub text: String,
    /// Index of the Service's port, when it has the one asked about.
    pub port: Option<usize>,
}

/// Flows that are decided alike.
#[derive(Clone, Debug)]
pub struct FlowExplanation {
    /// Sources, as named here.
    pub from: Vec<String>,
    /// Destinations, as named here.
    pub to: Vec<String>,
    /// One of them.
    pub flow: Flow,
    /// The answer to that one, and in all that matters here to the others.
    pub answer: Answer,
    /// For each direction that does not allow, the rules that come nearest.
    pub near: Vec<NearMiss>,
    /// The smallest edits that would allow the flow, and what else each opens.
    pub edits: Vec<Edit>,
}

/// Most flows that one question is expanded to; beyond it the answer says that it is about a sample.
const FLOWS_MAX: usize = 4096;

/// Explains a question. `make` makes a change of the input, so that each edit can be told with what else it opens.
pub fn explain(
    names: &Names<'_>,
    question: &Question,
    make: &TryChange<'_>,
) -> Result<Explanation, QueryError> {
    let mut explanation = answer(names, question)?;
    let bound = names.bound();
    // Asked about any port, one that passes is an answer, and nobody wants the others opened.
    let wanted = !explanation.any_port || explanation.verdict != Verdict::Allowed;
    for flow in explanation.flows.iter_mut().filter(|_| wanted) {
        if flow.answer.verdict != Verdict::Allowed {
            flow.near = nearest(bound, flow);
            flow.edits = edits::edits(bound, flow, make);
        }
    }
    notes(names, &mut explanation);
    entrances::note(names, &mut explanation);
    Ok(explanation)
}

/// The verdict alone.
pub fn verdict(names: &Names<'_>, question: &Question) -> Result<Verdict, QueryError> {
    answer(names, question).map(|explanation| explanation.verdict)
}

/// The flows of a question with their answers.
fn answer(names: &Names<'_>, question: &Question) -> Result<Explanation, QueryError> {
    let from = running(names, names.target(&question.from)?, &question.from)?;
    let to = running(names, names.target(&question.to)?, &question.to)?;
    let mut explanation = Explanation {
        verdict: Verdict::Denied,
        from: expand::display(names, &from),
        to: expand::display(names, &to),
        any_port: question.port == Port::Any && !matches!(to, Target::Service(_)),
        service: None,
        notes: Vec::new(),
        flows: Vec::new(),
        elsewhere: None,
    };
    if let Target::Service(_) = from {
        return Err(QueryError {
            message: format!("`{}` is a Service, which opens no connections", question.from),
            help: Some("ask about a pod or workload as the source".to_owned()),
        });
    }
    let sources = expand::sources(names, &from);
    let any_port = explanation.any_port;
    let mut flows: Vec<(End, End, ServicePoint, Family)> = Vec::new();
    if any_port {
        for end in expand::sources(names, &to) {
            for source in &sources {
                for family in families(names.bound(), source, &end) {
                    let points = expand::every_port(
                        names,
                        source,
                        &end,
                        family,
                        &to,
                        &mut explanation.notes,
                    );
                    flows.extend(
                        points
                            .into_iter()
                            .map(|point| (source.clone(), end.clone(), point, family)),
                    );
                }
            }
        }
    } else {
        for (end, point) in &expand::destinations(names, &to, question, &mut explanation)? {
            for source in &sources {
                for family in families(names.bound(), source, end) {
                    flows.push((source.clone(), end.clone(), *point, family));
                }
            }
        }
    }
    if flows.len() > FLOWS_MAX {
        explanation
            .notes
            .push(format!("{} flows are meant; the first {FLOWS_MAX} are answered", flows.len()));
        flows.truncate(FLOWS_MAX);
    }
    let bound = names.bound();
    for (source, destination, point, family) in flows {
        let flow = Flow { from: source, to: destination, point, family };
        let answer = bound.decide(&flow);
        join(names, &mut explanation.flows, flow, answer, &from, &to);
    }
    let mut verdicts: Vec<Verdict> =
        explanation.flows.iter().map(|flow| flow.answer.verdict).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    explanation.verdict = match verdicts.as_slice() {
        [] => Verdict::Denied,
        [one] => *one,
        // Asked about any port, one that passes is enough.
        _ if any_port && verdicts.contains(&Verdict::Allowed) => Verdict::Allowed,
        _ => {
            explanation.notes.push(expand::mixed(&to, &explanation.flows));
            Verdict::Undefined
        }
    };
    Ok(explanation)
}

/// The pods of a target that have not ended.
fn running(names: &Names<'_>, target: Target, text: &str) -> Result<Target, QueryError> {
    let Target::Pods(mut pods) = target else { return Ok(target) };
    pods.retain(|&pod| !names.bound().pod(pod).finished);
    if pods.is_empty() {
        return Err(QueryError {
            message: format!("`{text}` has finished, and a finished pod has no traffic"),
            help: Some("ask about a pod that runs, or about its workload".to_owned()),
        });
    }
    Ok(Target::Pods(pods))
}

/// Adds a flow to those that are decided alike.
fn join(
    names: &Names<'_>,
    flows: &mut Vec<FlowExplanation>,
    flow: Flow,
    answer: Answer,
    from: &Target,
    to: &Target,
) {
    let source = expand::end(names, &flow.from, from);
    let destination = expand::end(names, &flow.to, to);
    let alike = |have: &&mut FlowExplanation| {
        have.answer == answer
            && have.flow.point == flow.point
            && same_sort(&have.flow.from, &flow.from)
            && same_sort(&have.flow.to, &flow.to)
    };
    match flows.iter_mut().find(alike) {
        Some(have) => {
            if !have.from.contains(&source) {
                have.from.push(source);
            }
            if !have.to.contains(&destination) {
                have.to.push(destination);
            }
        }
        None => flows.push(FlowExplanation {
            from: vec![source],
            to: vec![destination],
            flow,
            answer,
            near: Vec::new(),
            edits: Vec::new(),
        }),
    }
}

fn same_sort(a: &End, b: &End) -> bool {
    core::mem::discriminant(a) == core::mem::discriminant(b)
}

/// What a reader should know beside the verdict.
fn notes(names: &Names<'_>, explanation: &mut Explanation) {
    let bound = names.bound();
    let mut notes = Vec::new();
    for flow in &explanation.flows {
        for (end, side) in [(&flow.flow.from, "source"), (&flow.flow.to, "destination")] {
            let End::Pod(idx) = end else { continue };
            let pod = bound.pod(*idx);
            if pod.host_network {
                notes.push(format!(
                    "the {side} {} uses its node's network: policies do not select it, and as a peer it is its node's address",
                    pod.display
                ));
            }
            let doubtful = [&flow.answer.egress, &flow.answer.ingress]
                .iter()
                .any(|half| !half.doubts.is_empty());
            if pod.addresses.is_empty() && doubtful {
                notes.push(format!(
                    "the address of {} is not known, and an address rule may or may not contain it: give `status.podIPs` or --pod-cidr",
                    pod.display
                ));
            }
        }
        for half in [&flow.answer.egress, &flow.answer.ingress] {
            for &policy in &half.ambiguous {
                notes.push(format!(
                    "ambiguous: {} has the same priority and would decide otherwise; Kubernetes does not say which wins",
                    bound.symbolic.policy(policy)
                ));
            }
        }
        if flow.answer.maybe_own_node {
            notes.push("a node reaches its own pods whatever the policies say, and whether the two share a node is not known".to_owned());
        }
    }
    for note in notes {
        if !explanation.notes.contains(&note) {
            explanation.notes.push(note);
        }
    }
}

/// The two directions of an answer, the source's first.
#[must_use]
pub fn halves(answer: &Answer) -> [(Direction, &Half); 2] {
    [(Direction::Egress, &answer.egress), (Direction::Ingress, &answer.ingress)]
}

/// Whether a direction denies because the pod is isolated and no rule matches.
#[must_use]
pub fn is_isolated(half: &Half) -> bool {
    matches!(half.reason, HalfReason::Isolated(_))
}
