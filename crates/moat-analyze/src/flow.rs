//! One recorded flow: the verdict on all that it may stand for.

use crate::query::{Names, Port, QueryError, Target, families, named_port, only_pods_name_ports};
use moat_ir::{Answer, End, Flow, Half, HalfReason, Verdict};
use moat_sets::{Protocol, ServicePoint};

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

/// Answers a flow from a pod or address to a pod, Service or address. A named port has the protocol given, if one is given.
pub fn flow(
    names: &Names<'_>,
    from: &str,
    to: &str,
    port: &Port,
    protocol: Option<Protocol>,
) -> Result<FlowAnswer, QueryError> {
    let bound = names.bound();
    if *port == Port::Any {
        return Err(QueryError {
            message: "no port is given".to_owned(),
            help: Some("a flow has a `port`: a number or a port's name".to_owned()),
        });
    }
    let sources = ends(from, names.target(from)?)?;
    let (destinations, note) = match names.target(to)? {
        Target::Service(idx) => through(names, idx, port, protocol),
        target => {
            let mut destinations = Vec::new();
            for end in ends(to, target)? {
                match (port, &end) {
                    (Port::Number(number), _) => {
                        let point = ServicePoint::new(protocol.unwrap_or(Protocol::Tcp), *number);
                        destinations.push((end, point));
                    }
                    (Port::Name(name), End::Pod(pod)) => {
                        let points = named_port(bound.pod(*pod), name, protocol)?;
                        destinations.extend(points.into_iter().map(|point| (end.clone(), point)));
                    }
                    (Port::Name(name), _) => return Err(only_pods_name_ports(name)),
                    (Port::Any, _) => {}
                }
            }
            (destinations, None)
        }
    };
    let mut verdict: Option<Verdict> = None;
    let mut told: Option<Answer> = None;
    for source in &sources {
        for (destination, point) in &destinations {
            for family in families(bound, source, destination) {
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

fn ends(text: &str, target: Target) -> Result<Vec<End>, QueryError> {
    Ok(match target {
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
    port: &Port,
    protocol: Option<Protocol>,
) -> (Vec<(End, ServicePoint)>, Option<&'static str>) {
    let Some(service) = names.services().get(idx) else { return (Vec::new(), None) };
    let number = match port {
        Port::Number(number) => Some(*number),
        Port::Name(_) | Port::Any => None,
    };
    if let (Some(domain), Some(number)) = (&service.external_name, number) {
        let point = ServicePoint::new(protocol.unwrap_or(Protocol::Tcp), number);
        return (
            vec![(End::Domain(domain.clone()), point)],
            Some("the Service is a DNS name outside the cluster"),
        );
    }
    let found = service.ports.iter().find(|have| match port {
        Port::Number(number) => {
            have.port == *number && have.protocol == protocol.unwrap_or(Protocol::Tcp)
        }
        Port::Name(name) => {
            have.name.as_deref() == Some(name)
                && protocol.is_none_or(|protocol| protocol == have.protocol)
        }
        Port::Any => false,
    });
    match (found, number) {
        (Some(found), _) if found.backends.is_empty() => {
            (Vec::new(), Some("the Service has no backend"))
        }
        (Some(found), _) => (
            found
                .backends
                .iter()
                .map(|(end, port)| (end.clone(), ServicePoint::new(found.protocol, *port)))
                .collect(),
            None,
        ),
        (None, Some(number)) if service.headless => {
            let point = ServicePoint::new(protocol.unwrap_or(Protocol::Tcp), number);
            let mut pods: Vec<End> = service
                .ports
                .iter()
                .flat_map(|have| have.backends.iter().map(|(end, _)| end.clone()))
                .collect();
            pods.dedup();
            (pods.into_iter().map(|end| (end, point)).collect(), None)
        }
        (None, _) => (Vec::new(), Some("the Service has no such port")),
    }
}
