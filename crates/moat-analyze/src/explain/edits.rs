//! The smallest changes that would allow a denied flow, and what else each would open.
//!
//! What a change opens is not guessed: the change is made, bound again, and compared with what is.

use super::expand::pods_of;
use super::near::{Lack, NearMiss};
use super::opened::opened;
use super::{FlowExplanation, halves, is_isolated};
use moat_ir::{
    Bound, Change, ClauseIdx, Direction, End, HalfReason, LabelChanges, NewPeer, PodIdx, PodInfo,
    PolicyIdx, SymPeer, Verdict,
};
use moat_sets::PodTerm;
use rayon::prelude::*;

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
    /// The same for a machine.
    pub change: Change,
    /// What else it would open, the flow asked about not among it.
    pub opened: Opened,
}

/// Connections that a change would newly allow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Opened {
    /// How many pairs; what is outside counts as one for each pod and set of ports.
    pub n_pairs: usize,
    /// How many of them have an end outside.
    pub n_outside: usize,
    /// Some of them: source, destination, ports.
    pub examples: Vec<(String, String, String)>,
    /// Policies that would begin or cease to apply, or rules that would cease to match.
    pub side_effects: Vec<String>,
}

/// Most examples that are told.
pub(super) const EXAMPLES_MAX: usize = 5;

/// Makes a change and binds the result.
pub type TryChange<'t> = dyn Fn(&Change) -> Bound + Sync + 't;

pub(super) fn edits(bound: &Bound, flow: &FlowExplanation, make: &TryChange<'_>) -> Vec<Edit> {
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
    let tried = out.into_par_iter().filter_map(|mut edit| {
        let after = make(&edit.change);
        let answer = after.decide(&flow.flow);
        let [(_, egress), (_, ingress)] = halves(&answer);
        let half = if edit.direction == Direction::Egress { egress } else { ingress };
        // Other labels may bring a pod under other policies; behind a rule taken out another may deny.
        let narrows = matches!(edit.change, Change::RemoveRule { .. });
        if half.verdict != Verdict::Allowed && !narrows {
            return None;
        }
        edit.opened = opened(
            bound,
            &after,
            &touched(bound, &edit.change),
            directions(bound, &edit.change),
            &flow.flow,
        );
        edit.opened.side_effects = side_effects(bound, &after, &edit.change);
        Some(edit)
    });
    let mut out: Vec<Edit> = tried.collect();
    // The change that touches least comes first.
    out.sort_by_key(|edit: &Edit| {
        (edit.direction == Direction::Ingress, edit.opened.n_pairs + edit.opened.side_effects.len())
    });
    out
}

/// Pods whose own policies or labels a change touches.
fn touched(bound: &Bound, change: &Change) -> Vec<PodIdx> {
    let subjects = |policy: PolicyIdx| pods_of(bound, |pod| selects(bound, policy, pod));
    match change {
        Change::LabelPod { pod, .. } => vec![*pod],
        Change::LabelNamespace { namespace, .. } => {
            pods_of(bound, |pod| bound.pod(pod).namespace == *namespace)
        }
        Change::AddRule { policy, .. } | Change::RemovePolicy { policy } => subjects(*policy),
        Change::AddPort { rule, .. } | Change::RemoveRule { rule } => {
            subjects(bound.symbolic.rule(*rule).policy)
        }
    }
}

/// The directions in which a change can matter to the pods it touches.
fn directions(bound: &Bound, change: &Change) -> &'static [Direction] {
    let direction = match change {
        Change::AddRule { direction, .. } => *direction,
        Change::AddPort { rule, .. } | Change::RemoveRule { rule } => {
            bound.symbolic.rule(*rule).direction
        }
        _ => return &Direction::BOTH,
    };
    match direction {
        Direction::Ingress => &[Direction::Ingress],
        Direction::Egress => &[Direction::Egress],
    }
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
        change: Change::RemoveRule { rule: bound.symbolic.clause(clause).rule },
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
            Some(Edit {
                direction: miss.direction,
                text: format!(
                    "add port {point} to rule {}[{}] of {policy}",
                    miss.direction, rule.index
                ),
                place: Some(bound.symbolic.place(rule.origin)),
                yaml: Some(format!("- protocol: {}\n  port: {}", point.protocol, point.port)),
                change: Change::AddPort { rule: clause.rule, point },
                opened: Opened::default(),
            })
        }
        [Lack::PodLabels { .. }] => {
            let (SymPeer::Pods(term), End::Pod(pod)) = (&clause.peer, peer) else { return None };
            let info = bound.pod(*pod);
            let changes = term.pods.completion(&info.labels)?;
            Some(Edit {
                direction: miss.direction,
                text: format!("label {}: {}", info.display, words(&changes)),
                place: Some(bound.symbolic.place(info.origin)),
                yaml: None,
                change: Change::LabelPod { pod: *pod, labels: changes },
                opened: Opened::default(),
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
            // The API server sets this label, and no one else can.
            if changes.iter().any(|(key, _)| key == "kubernetes.io/metadata.name") {
                return None;
            }
            Some(Edit {
                direction: miss.direction,
                text: format!("label namespace {}: {}", info.namespace, words(&changes)),
                place: None,
                yaml: None,
                change: Change::LabelNamespace {
                    namespace: info.namespace.clone(),
                    labels: changes,
                },
                opened: Opened::default(),
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
    let (peer_yaml, peer) = match peer {
        End::Pod(pod) => {
            let info = bound.pod(*pod);
            if info.host_network || info.labels.is_empty() {
                return None;
            }
            let stable = stable_labels(bound, info);
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
            (yaml, NewPeer::Pods { namespace: info.namespace.clone(), labels: stable })
        }
        End::Address(address) => (
            format!("ipBlock: {{cidr: {}}}", moat_sets::Cidr::host(*address)),
            NewPeer::Address(*address),
        ),
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
        change: Change::AddRule { policy: idx, direction, peer, point },
        opened: Opened::default(),
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

/// The labels to select a pod by: those that do not change from one rollout to the next, and of them one that says who it is, if that
/// selects nobody else.
fn stable_labels(bound: &Bound, pod: &PodInfo) -> Vec<(String, String)> {
    const CHANGING: [&str; 4] = [
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
    ];
    const IDENTITY: [&str; 5] = ["app.kubernetes.io/name", "app", "k8s-app", "name", "run"];
    let stable: Vec<(&str, &str)> = pod
        .labels
        .iter()
        .filter(|(key, _)| !CHANGING.contains(key) && !key.starts_with("batch.kubernetes.io/"))
        .collect();
    let n_selected = |labels: &[(&str, &str)]| {
        let selected = pods_of(bound, |idx| {
            let own = bound.pod(idx);
            own.namespace == pod.namespace
                && labels.iter().all(|(key, value)| own.labels.get(key) == Some(*value))
        });
        selected.len()
    };
    let identity =
        IDENTITY.iter().find_map(|want| stable.iter().find(|(key, _)| key == want)).copied();
    let chosen = match identity {
        Some(one) if n_selected(&[one]) <= n_selected(&stable) => vec![one],
        _ => stable,
    };
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

fn words(changes: &LabelChanges) -> String {
    let one = |(key, value): &(String, Option<String>)| match value {
        Some(value) => format!("{key}={value}"),
        None => format!("{key}-"),
    };
    changes.iter().map(one).collect::<Vec<String>>().join(" ")
}

/// Policies that begin or cease to select a pod with other labels, and rules that cease to match it.
fn side_effects(bound: &Bound, after: &Bound, change: &Change) -> Vec<String> {
    let mut effects = Vec::new();
    if !matches!(change, Change::LabelPod { .. } | Change::LabelNamespace { .. }) {
        return effects;
    }
    let within = |term: &PodTerm, pod: &PodInfo| {
        !pod.host_network && term.matches(&pod.namespace, &pod.namespace_labels, &pod.labels)
    };
    for pod in touched(bound, change) {
        let (was, is) = (bound.pod(pod), after.pod(pod));
        for (idx, policy) in (0..).zip(&bound.symbolic.policies) {
            match (within(&policy.subject, was), within(&policy.subject, is)) {
                (false, true) => effects.push(format!("{policy} begins to select {}", was.display)),
                (true, false) => {
                    effects.push(format!("{policy} no longer selects {}", was.display));
                }
                _ => {}
            }
            for direction in Direction::BOTH {
                for (_, clause) in bound.symbolic.clauses_of(idx, direction) {
                    let SymPeer::Pods(term) = &clause.peer else { continue };
                    if within(term, was) && !within(term, is) {
                        let rule = bound.symbolic.rule(clause.rule);
                        effects.push(format!(
                            "{direction}[{}] of {policy} no longer matches {}",
                            rule.index, was.display
                        ));
                    }
                }
            }
        }
        if effects.len() > EXAMPLES_MAX {
            break;
        }
    }
    effects.truncate(EXAMPLES_MAX);
    effects
}
