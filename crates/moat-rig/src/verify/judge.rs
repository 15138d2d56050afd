//! One question's answer by the network, held against the engine's.

use super::questions::{Question, Target};
use moat_ir::{Answer, Bound, Decision, Direction, Exemption, Ground, Half, HalfReason, Verdict};
use moat_nft::reason::{Mark, Reason, Reasons};
use moat_sets::Protocol;
use std::net::IpAddr;

/// What the network did with a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// What the prober saw.
    pub outcome: Outcome,
    /// Who answered, where the answer says.
    pub answered_by: Option<(IpAddr, u16)>,
    /// The log records of its packets: where they were for, after translation, and what the prefix says.
    pub records: Vec<(IpAddr, u16, Mark)>,
}

/// What the prober saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Somebody answered.
    Connected,
    /// The far end said that nobody listens: the packet was let through.
    Refused,
    /// Nothing came back.
    Dropped,
    /// The network said that it cannot carry the packet, or the packet could not be sent.
    Broken(String),
    /// Not asked, and why.
    NotExercised(String),
}

/// Whether network and engine agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// They do.
    Agreed,
    /// The engine leaves it open, so any answer is right.
    LeftOpen,
    /// It was not asked.
    NotExercised(String),
    /// They do not: what is wrong, a sentence each.
    Disagreed(Vec<String>),
}

/// Judges one answer. `logged` says whether every verdict is logged, so that missing records are wrong.
#[must_use]
pub fn judge(bound: &Bound, question: &Question, observed: &Observed, logged: bool) -> Judgement {
    if let Outcome::NotExercised(why) = &observed.outcome {
        return Judgement::NotExercised(why.clone());
    }
    let answers: Vec<(&Target, Answer)> =
        question.targets.iter().map(|target| (target, bound.decide(&target.flow))).collect();
    if answers.iter().any(|(_, answer)| answer.verdict == Verdict::Undefined) {
        return Judgement::LeftOpen;
    }
    let mut wrong = Vec::new();
    let allowed = answers.iter().filter(|(_, answer)| answer.verdict == Verdict::Allowed).count();
    match &observed.outcome {
        Outcome::Connected | Outcome::Refused if allowed == 0 => {
            wrong.push("policies deny it, and the packet got through".to_owned());
        }
        Outcome::Dropped if allowed == answers.len() => {
            wrong.push("policies allow it, and nothing came back".to_owned());
        }
        Outcome::Broken(why) => wrong.push(format!("the network could not carry it: {why}")),
        _ => {}
    }
    if let Some((address, port)) = observed.answered_by {
        let known = question.targets.iter().any(|target| {
            target.address == address
                && (target.flow.point.port == port || question.point.protocol == Protocol::Other)
        });
        if !known {
            wrong.push(format!("{address} port {port} answered, which is no backend"));
        }
    }
    if logged && !matches!(observed.outcome, Outcome::Broken(_)) {
        records(bound, question, &answers, observed, &mut wrong);
    }
    if wrong.is_empty() { Judgement::Agreed } else { Judgement::Disagreed(wrong) }
}

/// Whether the log has, for the one target that the packet was for, exactly the records that the engine names.
fn records(
    bound: &Bound,
    question: &Question,
    answers: &[(&Target, Answer)],
    observed: &Observed,
    wrong: &mut Vec<String>,
) {
    // A question for a Service is about the backend that the kernel chose; the log says which.
    let portless = question.point.protocol == Protocol::Other;
    let is_for = |target: &Target| {
        observed.records.iter().any(|(address, port, _)| {
            target.address == *address && (portless || target.flow.point.port == *port)
        })
    };
    // A pod that reaches itself may leave no record, and its own answer says so.
    let answered = |target: &Target| {
        observed.answered_by.is_some_and(|(address, _)| target.address == address)
    };
    let chosen = answers
        .iter()
        .find(|(target, _)| is_for(target))
        .or_else(|| answers.iter().find(|(target, _)| answered(target)))
        .or(answers.first());
    let Some((target, answer)) = chosen else { return };
    let expected = marks(bound, answer);
    // What a pod sends to itself is never denied, but where rules allow it they say so.
    let own = matches!(answer.egress.reason, HalfReason::Exempt(Exemption::SamePod));
    let mut seen: Vec<Mark> = observed
        .records
        .iter()
        .filter(|(address, ..)| *address == target.address)
        .map(|(.., mark)| *mark)
        .filter(|mark| !(own && matches!(mark, Mark::Decided { allow: true, .. })))
        .collect();
    // What got no answer is sent again, and each is a packet of its own; a TCP connection has one first packet.
    if question.point.protocol != Protocol::Tcp {
        let mut once = Vec::new();
        for mark in seen {
            if !once.contains(&mark) {
                once.push(mark);
            }
        }
        seen = once;
    }
    seen.sort_unstable();
    let mut wanted = expected.clone();
    wanted.sort_unstable();
    // Where nothing of either end is decided, there is nothing to log and no way to tell the target.
    if seen != wanted {
        let words = |marks: &[Mark]| {
            let list: Vec<String> =
                marks.iter().map(|mark| mark_words(bound, answer, mark)).collect();
            if list.is_empty() { "nothing".to_owned() } else { list.join("; ") }
        };
        wrong.push(format!("the log should say {}, and says {}", words(&wanted), words(&seen)));
    }
}

/// The records that a flow's packet must leave, egress first.
#[must_use]
pub fn marks(bound: &Bound, answer: &Answer) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (direction, half) in
        [(Direction::Egress, &answer.egress), (Direction::Ingress, &answer.ingress)]
    {
        let Some(reason) = reason(direction, half) else { continue };
        let allow = reason.decision.allow;
        marks.push(Mark::Decided { direction, allow, reason: reason.id(bound) });
        if !allow {
            break;
        }
    }
    marks
}

/// A half's reason as rulesets name it; `None` where nobody decides.
#[must_use]
pub fn reason(direction: Direction, half: &Half) -> Option<Reason> {
    let ground = match &half.reason {
        HalfReason::Unmanaged | HalfReason::Exempt(_) => return None,
        HalfReason::Rules(rules) => Ground::Rules(
            rules.iter().filter(|matched| matched.certain).map(|matched| matched.clause).collect(),
        ),
        HalfReason::Isolated(policies) => Ground::Isolated(policies.clone()),
        HalfReason::Default => Ground::Default,
    };
    let allow = half.verdict == Verdict::Allowed;
    Some(Reason { direction, decision: Decision { allow, ground } })
}

/// A mark in words, where the answer knows it; its text otherwise.
fn mark_words(bound: &Bound, answer: &Answer, mark: &Mark) -> String {
    let halves = [(Direction::Egress, &answer.egress), (Direction::Ingress, &answer.ingress)];
    let known = halves.into_iter().filter_map(|(direction, half)| reason(direction, half));
    let own: Reasons = known.map(|reason| (reason.id(bound), reason)).collect();
    match mark {
        Mark::Decided { reason, .. } if own.contains_key(reason) => {
            format!("`{}`", own.get(reason).map_or_else(String::new, |reason| reason.words(bound)))
        }
        _ => format!("`{mark}`"),
    }
}
