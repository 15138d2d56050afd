//! `moat explain --flows`: a verdict a line, in order, as a stream.

use crate::args::{Explain, ExplainOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::world::World;
use moat_analyze::query::{Names, QueryError, Target};
use moat_ir::{Answer, End, Flow, Half, HalfReason, Verdict};
use moat_sets::{Family, Protocol, ServicePoint};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::io::{BufRead, BufReader, BufWriter, Write};

#[derive(Debug, Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    from: Cow<'l, str>,
    #[serde(borrow)]
    to: Cow<'l, str>,
    #[serde(default)]
    port: u32,
    #[serde(default, borrow)]
    protocol: Option<Cow<'l, str>>,
}

pub(crate) fn run(args: &Explain, flows: &str) -> Outcome {
    if !matches!(args.output, ExplainOutput::Jsonl | ExplainOutput::Text) {
        return Err(Failure::with_help("--flows gives one JSON object a line", "use -o jsonl"));
    }
    if flows == "-" && args.common.files.iter().any(|file| file == "-") {
        return Err(Failure::input("standard input cannot be both the manifests and the flows"));
    }
    let world = World::read(&args.common)?;
    let services = world.services();
    let names = Names::new(&world.bound, &services, &args.common.namespace);
    let input: Box<dyn BufRead> = if flows == "-" {
        Box::new(BufReader::new(std::io::stdin().lock()))
    } else {
        let file = std::fs::File::open(flows)
            .map_err(|error| Failure::input(format!("cannot read `{flows}`: {error}")))?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    answer(&names, input, BufWriter::with_capacity(1 << 16, std::io::stdout().lock()))
}

/// Longest line that is read, in bytes; a longer one is an error line in the answer.
const LINE_MAX: usize = 1 << 20;

fn answer(names: &Names<'_>, mut input: impl BufRead, mut output: impl Write) -> Outcome {
    let mut line = Vec::new();
    let mut number = 0u64;
    let mut bad = false;
    loop {
        line.clear();
        let n_read =
            std::io::Read::take(&mut input, LINE_MAX as u64).read_until(b'\n', &mut line)?;
        if n_read == 0 {
            break;
        }
        number += 1;
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let result = serde_json::from_slice::<Line<'_>>(text)
            .map_err(|error| QueryError { message: format!("not a flow: {error}"), help: None })
            .and_then(|flow| one(names, &flow, &mut output));
        match result {
            Ok(written) => written?,
            Err(error) => {
                bad = true;
                let object = json!({"verdict": "error", "line": number, "error": error.message, "help": error.help});
                serde_json::to_writer(&mut output, &object).map_err(std::io::Error::from)?;
            }
        }
        output.write_all(b"\n")?;
    }
    output.flush()?;
    if bad {
        Err(Failure::with_help(
            "some lines are no flows that can be answered",
            "their answers have `verdict` `error` and say why",
        ))
    } else {
        Ok(Ended::Yes)
    }
}

/// Answers one line.
fn one(
    names: &Names<'_>,
    line: &Line<'_>,
    output: &mut impl Write,
) -> Result<Result<(), Failure>, QueryError> {
    let protocol = match line.protocol.as_deref() {
        None => Protocol::Tcp,
        Some(text) => Protocol::parse(text).ok_or_else(|| QueryError {
            message: format!("`{text}` is no protocol"),
            help: None,
        })?,
    };
    let port = match u16::try_from(line.port) {
        Ok(port) if port > 0 || protocol == Protocol::Other => port,
        _ => {
            return Err(QueryError {
                message: format!("port `{}` is out of range", line.port),
                help: Some("ports are 1 to 65535".to_owned()),
            });
        }
    };
    let bound = names.bound();
    let sources = ends(names, &line.from)?;
    let (destinations, note) = match names.target(&line.to)? {
        Target::Service(idx) => through(names, idx, protocol, port),
        _ => (
            ends(names, &line.to)?
                .into_iter()
                .map(|end| (end, ServicePoint::new(protocol, port)))
                .collect(),
            None,
        ),
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
    let told = told.unwrap_or_else(|| Answer {
        verdict,
        egress: none(),
        ingress: none(),
        maybe_own_node: false,
    });
    let object = moat_report::explain::flow_line(bound, &told, verdict.name(), note);
    Ok(serde_json::to_writer(output, &object)
        .map_err(|error| Failure::from(std::io::Error::from(error))))
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
    protocol: Protocol,
    port: u16,
) -> (Vec<(End, ServicePoint)>, Option<&'static str>) {
    let Some(service) = names.services().get(idx) else { return (Vec::new(), None) };
    if let Some(domain) = &service.external_name {
        return (
            vec![(End::Domain(domain.clone()), ServicePoint::new(protocol, port))],
            Some("the Service is a DNS name outside the cluster"),
        );
    }
    let found = service.ports.iter().find(|have| have.port == port && have.protocol == protocol);
    match found {
        Some(found) if found.backends.is_empty() => {
            (Vec::new(), Some("the Service has no backend"))
        }
        Some(found) => (
            found
                .backends
                .iter()
                .map(|(end, port)| (end.clone(), ServicePoint::new(protocol, *port)))
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
            (pods.into_iter().map(|end| (end, ServicePoint::new(protocol, port))).collect(), None)
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
