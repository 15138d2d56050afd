//! The smallest changes that would allow a denied flow, and what else each would open.
//!
//! Effects are found by asking `decide` about every pair the change touches, so they are exact for the pods at hand.

use super::expand::pods_of;
use super::near::{Lack, NearMiss};
use super::{FlowExplanation, halves, is_isolated};
use moat_ir::{Bound, ClauseIdx, Direction, End, Flow, HalfReason, PodIdx, SymPeer, Verdict};
use moat_sets::{Labels, PodTerm, ServicePoint};

/// A change that would allow the flow in one direction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// Which direction it is about.
    pub direction: Direction,
    /// What to do, in words.
    pub text: String,
    /// The policy file and line to change, when it is a policy.
    pub place: Option<String>,
    /// What to paste, when something is added.
    pub yaml: Option<String>,
    /// What else it would open, the flow asked about not among it.
    pub opened: Opened,
}

/// Pairs of pods that a change would newly connect.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Opened {
    /// How many.
    pub n_pairs: usize,
    /// Some of them: source, destination, port.
    pub examples: Vec<(String, String, String)>,
    /// Not all pairs were looked at.
    pub truncated: bool,
    /// Policies that would begin or cease to apply, or rules that would cease to match.
    pub side_effects: Vec<String>,
}

/// Most pairs that one edit's effects are looked for among.
const PAIRS_MAX: usize = 20_000;
/// Most examples that are told.
const EXAMPLES_MAX: usize = 5;

pub(super) fn edits(bound: &Bound, flow: &FlowExplanation) -> Vec<Edit> {
    let mut out = Vec::new();
    for (direction, half) in halves(&flow.answer) {
        if half.verdict != Verdict::Denied {
            continue;
        }
        if let HalfReason::Rules(rules) = &half.reason {
            out.extend(rules.first().map(|rule| narrow(bound, direction, rule.clause)));
        }
        if !is_isolated(half) {
            continue;
        }
        let nearest: Vec<&NearMiss> =
            flow.near.iter().filter(|miss| miss.direction == direction).collect();
        for miss in nearest.iter().take(2) {
            out.extend(mend(bound, flow, miss));
        }
        out.extend(add_rule(bound, flow, direction));
    }
    out.dedup();
    // The change that touches least comes first.
    out.sort_by_key(|edit: &Edit| {
        (edit.direction == Direction::Ingress, edit.opened.n_pairs + edit.opened.side_effects.len())
    });
    out
}

/// A cluster policy's rule denies: it has to be narrowed or preceded.
fn narrow(bound: &Bound, direction: Direction, clause: ClauseIdx) -> Edit {
    let rule = bound.symbolic.rule(bound.symbolic.clause(clause).rule);
    let policy = bound.symbolic.policy(rule.policy);
    Edit {
        direction,
        text: format!(
            "narrow rule {direction}[{}] of {policy}, or put an Accept rule before it",
            rule.index
        ),
        place: Some(bound.symbolic.place(rule.origin)),
        yaml: None,
        opened: Opened::default(),
    }
}

/// What would make the nearest rule match.
fn mend(bound: &Bound, flow: &FlowExplanation, miss: &NearMiss) -> Option<Edit> {
    let clause = bound.symbolic.clause(miss.clause);
    let rule = bound.symbolic.rule(clause.rule);
    let policy = bound.symbolic.policy(rule.policy);
    let (_, peer) = ends(flow, miss.direction);
    match miss.lacks.as_slice() {
        [Lack::Port(_)] => {
            let point = flow.flow.point;
            let opened = pairs(
                bound,
                flow,
                miss.direction,
                |pod| in_clause(bound, miss.clause, pod),
                |pod| selects(bound, rule.policy, pod),
            );
            Some(Edit {
                direction: miss.direction,
                text: format!(
                    "add port {point} to rule {}[{}] of {policy}",
                    miss.direction, rule.index
                ),
                place: Some(bound.symbolic.place(rule.origin)),
                yaml: Some(format!("- protocol: {}\n  port: {}", point.protocol, point.port)),
                opened,
            })
        }
        [Lack::PodLabels { .. }] => {
            let (SymPeer::Pods(term), End::Pod(pod)) = (&clause.peer, peer) else { return None };
            let info = bound.pod(*pod);
            let changes = term.pods.completion(&info.labels)?;
            let labels = changed(&info.labels, &changes);
            Some(Edit {
                direction: miss.direction,
                text: format!("label {}: {}", info.display, words(&changes)),
                place: Some(bound.symbolic.place(info.origin)),
                yaml: None,
                opened: relabelled(bound, flow, *pod, &labels),
            })
        }
        [Lack::NamespaceLabels { .. }] => {
            let (
                SymPeer::Pods(PodTerm {
                    namespaces: moat_sets::NamespaceTerm::Matching(selector),
                    ..
                }),
                End::Pod(pod),
            ) = (&clause.peer, peer)
            else {
                return None;
            };
            let info = bound.pod(*pod);
            let changes = selector.completion(&info.namespace_labels)?;
            let labels = changed(&info.namespace_labels, &changes);
            Some(Edit {
                direction: miss.direction,
                text: format!("label namespace {}: {}", info.namespace, words(&changes)),
                place: None,
                yaml: None,
                opened: namespace_relabelled(bound, flow, &info.namespace, &labels),
            })
        }
        _ => None,
    }
}

/// A new rule for exactly this peer and port, in the first isolating policy.
fn add_rule(bound: &Bound, flow: &FlowExplanation, direction: Direction) -> Option<Edit> {
    let (_, half) = halves(&flow.answer).into_iter().find(|(own, _)| *own == direction)?;
    let HalfReason::Isolated(policies) = &half.reason else { return None };
    let idx = nearest_policy(bound, flow, direction).or_else(|| policies.first().copied())?;
    let policy = bound.symbolic.policy(idx);
    let (_, peer) = ends(flow, direction);
    let key = if direction == Direction::Ingress { "from" } else { "to" };
    let (peer_yaml, peers): (String, Box<dyn Fn(PodIdx) -> bool + '_>) = match peer {
        End::Pod(pod) => {
            let info = bound.pod(*pod);
            if info.host_network || info.labels.is_empty() {
                return None;
            }
            let stable = stable_labels(&info.labels);
            let mut yaml = String::new();
            if info.namespace != policy.namespace {
                yaml.push_str(&format!(
                    "namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {}}}}}\n    ",
                    info.namespace
                ));
            }
            let labels: Vec<String> =
                stable.iter().map(|(key, value)| format!("{key}: {}", quoted(value))).collect();
            yaml.push_str(&format!("podSelector: {{matchLabels: {{{}}}}}", labels.join(", ")));
            let namespace = info.namespace.clone();
            let matches = move |pod: PodIdx| {
                let pod = bound.pod(pod);
                pod.namespace == namespace
                    && !pod.host_network
                    && stable.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
            };
            (yaml, Box::new(matches))
        }
        End::Address(address) => {
            (format!("ipBlock: {{cidr: {}}}", moat_sets::Cidr::host(*address)), Box::new(|_| false))
        }
        End::Domain(_) => return None,
    };
    let point = flow.flow.point;
    let ports = if point.protocol == moat_sets::Protocol::Other {
        String::new()
    } else {
        format!("\n  ports:\n  - {{protocol: {}, port: {}}}", point.protocol, point.port)
    };
    Some(Edit {
        direction,
        text: format!("add an {direction} rule to {policy}"),
        place: Some(bound.symbolic.place(policy.origin)),
        yaml: Some(format!("- {key}:\n  - {peer_yaml}{ports}")),
        opened: pairs(bound, flow, direction, peers, |pod| selects(bound, idx, pod)),
    })
}

/// The policy of the nearest rule, else one that selects fewest pods.
fn nearest_policy(bound: &Bound, flow: &FlowExplanation, direction: Direction) -> Option<u32> {
    let (_, half) = halves(&flow.answer).into_iter().find(|(own, _)| *own == direction)?;
    let HalfReason::Isolated(policies) = &half.reason else { return None };
    let size =
        |policy: &u32| (bound.symbolic.policy(*policy).subject.pods.is_everything(), *policy);
    policies.iter().copied().min_by_key(size)
}

/// Labels that do not change from one rollout to the next.
fn stable_labels(labels: &Labels) -> Vec<(String, String)> {
    const CHANGING: [&str; 4] = [
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
    ];
    let stable: Vec<(&str, &str)> = labels
        .iter()
        .filter(|(key, _)| !CHANGING.contains(key) && !key.starts_with("batch.kubernetes.io/"))
        .collect();
    // One well-known identity label is enough; without it all are taken.
    let identity = ["app.kubernetes.io/name", "app", "k8s-app", "name", "run"];
    let known = identity.iter().find_map(|want| stable.iter().find(|(key, _)| key == want));
    let chosen: Vec<(&str, &str)> = known.map_or(stable.clone(), |found| vec![*found]);
    chosen.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A label value that YAML reads as text.
fn quoted(value: &str) -> String {
    let plain = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
            .contains(&value.to_ascii_lowercase().as_str());
    if plain { value.to_owned() } else { format!("\"{value}\"") }
}

fn ends(flow: &FlowExplanation, direction: Direction) -> (&End, &End) {
    match direction {
        Direction::Egress => (&flow.flow.from, &flow.flow.to),
        Direction::Ingress => (&flow.flow.to, &flow.flow.from),
    }
}

fn selects(bound: &Bound, policy: u32, pod: PodIdx) -> bool {
    let pod = bound.pod(pod);
    !pod.host_network
        && bound.symbolic.policy(policy).subject.matches(
            &pod.namespace,
            &pod.namespace_labels,
            &pod.labels,
        )
}

fn in_clause(bound: &Bound, clause: ClauseIdx, pod: PodIdx) -> bool {
    let info = bound.pod(pod);
    match &bound.symbolic.clause(clause).peer {
        SymPeer::Everyone => true,
        SymPeer::Pods(term) => {
            !info.host_network
                && term.matches(&info.namespace, &info.namespace_labels, &info.labels)
        }
        SymPeer::Block(set) | SymPeer::Networks(set) => {
            info.addresses.iter().any(|&address| set.contains(address))
        }
        _ => false,
    }
}

/// The pairs that would be connected on the flow's port if this direction allowed peers to subjects.
fn pairs(
    bound: &Bound,
    flow: &FlowExplanation,
    direction: Direction,
    peer: impl Fn(PodIdx) -> bool,
    subject: impl Fn(PodIdx) -> bool,
) -> Opened {
    let peers = pods_of(bound, peer);
    let subjects = pods_of(bound, subject);
    let mut opened =
        Opened { truncated: peers.len() * subjects.len() > PAIRS_MAX, ..Opened::default() };
    let all = subjects.iter().flat_map(|&subject| peers.iter().map(move |&peer| (subject, peer)));
    for (subject, peer) in all.take(PAIRS_MAX) {
        let (from, to) =
            if direction == Direction::Egress { (subject, peer) } else { (peer, subject) };
        record(bound, flow, direction, from, to, flow.flow.point, &mut opened);
    }
    opened
}

/// Counts a pair if only this direction denies it today.
fn record(
    bound: &Bound,
    flow: &FlowExplanation,
    direction: Direction,
    from: PodIdx,
    to: PodIdx,
    point: ServicePoint,
    opened: &mut Opened,
) {
    let asked = flow.flow.from == End::Pod(from) && flow.flow.to == End::Pod(to);
    if from == to || (asked && point == flow.flow.point) {
        return;
    }
    let answer = bound.decide(&Flow {
        from: End::Pod(from),
        to: End::Pod(to),
        point,
        family: flow.flow.family,
    });
    let (own, other) = if direction == Direction::Egress {
        (&answer.egress, &answer.ingress)
    } else {
        (&answer.ingress, &answer.egress)
    };
    if own.verdict == Verdict::Denied && is_isolated(own) && other.verdict == Verdict::Allowed {
        opened.n_pairs += 1;
        if opened.examples.len() < EXAMPLES_MAX {
            let name = |pod: PodIdx| bound.pod(pod).display.to_string();
            opened.examples.push((name(from), name(to), point.to_string()));
        }
    }
}

fn changed(labels: &Labels, changes: &[(String, Option<String>)]) -> Labels {
    let mut labels = labels.clone();
    for (key, value) in changes {
        match value {
            Some(value) => labels.set(key, value),
            None => labels.unset(key),
        }
    }
    labels
}

fn words(changes: &[(String, Option<String>)]) -> String {
    let one = |(key, value): &(String, Option<String>)| match value {
        Some(value) => format!("{key}={value}"),
        None => format!("{key}-"),
    };
    changes.iter().map(one).collect::<Vec<String>>().join(" ")
}

/// What other labels on one pod would change.
fn relabelled(bound: &Bound, flow: &FlowExplanation, pod: PodIdx, labels: &Labels) -> Opened {
    let info = bound.pod(pod);
    effects(bound, flow, &[(pod, info.namespace_labels.as_ref().clone(), labels.clone())])
}

/// What other labels on a namespace would change.
fn namespace_relabelled(
    bound: &Bound,
    flow: &FlowExplanation,
    namespace: &str,
    labels: &Labels,
) -> Opened {
    let pods = pods_of(bound, |pod| bound.pod(pod).namespace.as_ref() == namespace);
    let changed: Vec<(PodIdx, Labels, Labels)> =
        pods.into_iter().map(|pod| (pod, labels.clone(), bound.pod(pod).labels.clone())).collect();
    effects(bound, flow, &changed)
}

/// Follows changed pods through every policy: rules that begin to match them, and policies that begin or cease to select them.
fn effects(bound: &Bound, flow: &FlowExplanation, changed: &[(PodIdx, Labels, Labels)]) -> Opened {
    let symbolic = &bound.symbolic;
    let mut opened = Opened::default();
    let mut budget = PAIRS_MAX;
    for (idx, policy) in (0..).zip(&symbolic.policies) {
        for (pod, namespace_labels, labels) in changed {
            let info = bound.pod(*pod);
            let before =
                policy.subject.matches(&info.namespace, &info.namespace_labels, &info.labels);
            let after = policy.subject.matches(&info.namespace, namespace_labels, labels);
            if before != after {
                let verb = if after { "would begin to select" } else { "would no longer select" };
                side_effect(&mut opened, format!("{policy} {verb} {}", info.display));
            }
        }
        for direction in Direction::BOTH {
            for (_, clause) in symbolic.clauses_of(idx, direction) {
                let SymPeer::Pods(term) = &clause.peer else { continue };
                for (pod, namespace_labels, labels) in changed {
                    let info = bound.pod(*pod);
                    let before =
                        term.matches(&info.namespace, &info.namespace_labels, &info.labels);
                    let after = term.matches(&info.namespace, namespace_labels, labels);
                    let rule = symbolic.rule(clause.rule);
                    if before && !after {
                        side_effect(
                            &mut opened,
                            format!(
                                "{direction}[{}] of {policy} would no longer match {}",
                                rule.index, info.display
                            ),
                        );
                    }
                    if after && !before {
                        let points: Vec<ServicePoint> =
                            clause.ports.numbers.edges().take(1).collect();
                        let point = if clause.ports.numbers.contains(flow.flow.point) {
                            flow.flow.point
                        } else {
                            points.first().copied().unwrap_or(flow.flow.point)
                        };
                        for subject in pods_of(bound, |pod| selects(bound, idx, pod)) {
                            if budget == 0 {
                                opened.truncated = true;
                                return opened;
                            }
                            budget -= 1;
                            let (from, to) = if direction == Direction::Egress {
                                (subject, *pod)
                            } else {
                                (*pod, subject)
                            };
                            record(bound, flow, direction, from, to, point, &mut opened);
                        }
                    }
                }
            }
        }
    }
    opened
}

fn side_effect(opened: &mut Opened, text: String) {
    if opened.side_effects.len() < EXAMPLES_MAX && !opened.side_effects.contains(&text) {
        opened.side_effects.push(text);
    }
}
