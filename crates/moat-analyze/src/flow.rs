//! One recorded flow: the verdict on all that it may stand for.

use crate::query::{Names, QueryError, Target};
use moat_ir::{Answer, End, Flow, Half, HalfReason, Verdict};
use moat_sets::{Family, ServicePoint};

/// The answer to a recorded flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowAnswer {
    /// The verdict; undefined when the flows it may stand for end differently.
    pub verdict: Verdict,
    /// The answer to one of them: one that does not pass, if there is one.
    pub answer: Answer,
    /// Why nothing was decided, when the destination leads nowhere.
    pub note: Option<&'static str>,
}

/// Answers a flow from a pod or address to a pod, Service or address.
pub fn flow(
    names: &Names<'_>,
    from: &str,
    to: &str,
    point: ServicePoint,
) -> Result<FlowAnswer, QueryError> {
    let bound = names.bound();
    let sources = ends(names, from)?;
    let (destinations, note) = match names.target(to)? {
        Target::Service(idx) => through(names, idx, point),
        _ => (ends(names, to)?.into_iter().map(|end| (end, point)).collect(), None),
    };
    let mut verdict: Option<Verdict> = None;
    let mut told: Option<Answer> = None;
    for source in &sources {
        for (destination, point) in &destinations {
            for family in families(names, source, destination) {
                let flow =
                    Flow { from: source.clone(), to: destination.clone(), point: *point, family };
                let answer = bound.decide(&flow);
                verdict = Some(match verdict {
                    Some(have) if have != answer.verdict => Verdict::Undefined,
                    _ => answer.verdict,
                });
                // Of flows that end differently, the one that does not pass says more.
                if told.as_ref().is_none_or(|told| {
                    told.verdict == Verdict::Allowed && answer.verdict != Verdict::Allowed
                }) {
                    told = Some(answer);
                }
            }
        }
    }
    let verdict = verdict.unwrap_or(Verdict::Denied);
    let none = || Half {
        verdict: Verdict::Allowed,
        reason: HalfReason::Unmanaged,
        doubts: Vec::new(),
        ambiguous: Vec::new(),
    };
    let answer = told.unwrap_or_else(|| Answer {
        verdict,
        egress: none(),
        ingress: none(),
        maybe_own_node: false,
    });
    Ok(FlowAnswer { verdict, answer, note })
}

fn ends(names: &Names<'_>, text: &str) -> Result<Vec<End>, QueryError> {
    Ok(match names.target(text)? {
        Target::Pods(pods) => pods.into_iter().map(End::Pod).collect(),
        Target::Addresses(cidr) => vec![End::Address(cidr.network())],
        Target::Domain(domain) => vec![End::Domain(domain)],
        Target::Service(_) => {
            return Err(QueryError {
                message: format!("`{text}` is a Service, which opens no connections"),
                help: None,
            });
        }
    })
}

/// The backends behind a Service's port.
fn through(
    names: &Names<'_>,
    idx: usize,
    point: ServicePoint,
) -> (Vec<(End, ServicePoint)>, Option<&'static str>) {
    let Some(service) = names.services().get(idx) else { return (Vec::new(), None) };
    if let Some(domain) = &service.external_name {
        return (
            vec![(End::Domain(domain.clone()), point)],
            Some("the Service is a DNS name outside the cluster"),
        );
    }
    let found = service
        .ports
        .iter()
        .find(|have| have.port == point.port && have.protocol == point.protocol);
    match found {
        Some(found) if found.backends.is_empty() => {
            (Vec::new(), Some("the Service has no backend"))
        }
        Some(found) => (
            found
                .backends
                .iter()
                .map(|(end, port)| (end.clone(), ServicePoint::new(point.protocol, *port)))
                .collect(),
            None,
        ),
        None if service.headless => {
            let mut pods: Vec<End> = service
                .ports
                .iter()
                .flat_map(|have| have.backends.iter().map(|(end, _)| end.clone()))
                .collect();
            pods.dedup();
            (pods.into_iter().map(|end| (end, point)).collect(), None)
        }
        None => (Vec::new(), Some("the Service has no such port")),
    }
}

fn families(names: &Names<'_>, from: &End, to: &End) -> impl Iterator<Item = Family> + use<> {
    let has = |end: &End, family: Family| match end {
        End::Pod(pod) => names.bound().class_of(*pod).atom(family).is_some(),
        End::Address(address) => Family::of(*address) == family,
        End::Domain(_) => true,
    };
    let shared = Family::BOTH.map(|family| has(from, family) && has(to, family));
    let any = shared.contains(&true);
    // Ends that share no family are asked about by the source's.
    let first = if has(from, Family::V4) { Family::V4 } else { Family::V6 };
    Family::BOTH
        .into_iter()
        .zip(shared)
        .filter(move |&(family, shared)| if any { shared } else { family == first })
        .map(|(family, _)| family)
}
