//! `moat reach`: who can reach whom.

use crate::args::{DirectionName, Reach, ReachOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::Progress;
use crate::world::World;
use moat_analyze::query::Names;
use moat_analyze::reach::{Matrix, Namer, Options, matrix};
use moat_ir::{Direction, PodIdx};
use moat_model::lower::{Fate, ReadObject};
use moat_report::Style;
use moat_report::reach::{csv, data, graph, html, more, text, view};
use moat_report::yaml;
use moat_sets::{PortSet, Protocol};
use std::collections::BTreeMap;
use std::io::{BufWriter, IsTerminal as _, Write as _};

pub(crate) fn run(args: &Reach) -> Outcome {
    let ports = args.port.as_deref().map(port).transpose()?;
    let world = World::read(&args.common)?;
    let options = Options {
        focus: focus(&world, args)?,
        namespaces: args.in_namespace.iter().map(|name| name.as_str().into()).collect(),
        ports,
        direction: args.direction.map(|direction| match direction {
            DirectionName::Ingress => Direction::Ingress,
            DirectionName::Egress => Direction::Egress,
        }),
    };
    for name in &options.namespaces {
        if !world.lowered.inventory.namespaces.iter().any(|namespace| namespace.name == *name) {
            return Err(Failure::input(format!("there is no namespace `{name}`")));
        }
    }
    // Steps of a blast radius go through pods that were not asked about.
    let asked = if args.hops.is_some() {
        Options { focus: Vec::new(), ..options.clone() }
    } else {
        options.clone()
    };
    let matrix = matrix(&world.bound, &asked);
    let taints = world.lowered.inventory.taints.len();
    let caveat = format!(
        "{taints} things were not read or not interpreted and could change this; `moat lint` shows them"
    );
    let mut notes: Vec<String> = if taints > 0 { vec![caveat.clone()] } else { Vec::new() };
    notes.extend(finished(&world));
    notes.extend(makers(&world.lowered.objects));
    if let Some(most) = args.hops {
        hops(args, &world, &matrix, &options, most)?;
    } else if args.exposure {
        exposure(args, &world, &matrix)?;
    } else {
        show(args, &world, &matrix, &notes)?;
    }
    for note in &notes {
        let word = if *note == caveat { "caveat" } else { "note" };
        crate::out::remark(&format!("{word}: {note}"));
    }
    world.ended(Ended::Yes)
}

/// That pods which have ended are not shown.
fn finished(world: &World) -> Option<String> {
    match world.bound.pods.iter().filter(|pod| pod.finished).count() {
        0 => None,
        1 => Some("1 finished pod has no traffic (not listed)".to_owned()),
        n => Some(format!("{n} finished pods have no traffic (not listed)")),
    }
}

/// That objects which are not interpreted may make pods.
fn makers(objects: &[ReadObject]) -> Option<String> {
    /// Kinds told by name.
    const TOLD_MAX: usize = 4;
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for object in objects.iter().filter(|object| object.fate == Fate::Unsupported) {
        if may_make_pods(&object.kind) {
            *kinds.entry(&object.kind).or_default() += 1;
        }
    }
    let n: usize = kinds.values().sum();
    let told: Vec<&str> = kinds.keys().copied().take(TOLD_MAX).collect();
    let more = if kinds.len() > told.len() { ", …" } else { "" };
    let told = told.join(", ");
    match n {
        0 => None,
        1 => Some(format!(
            "1 object of a kind that is not interpreted ({told}) may make pods that are not shown"
        )),
        _ => Some(format!(
            "{n} objects of kinds that are not interpreted ({told}{more}) may make pods that are not shown"
        )),
    }
}

/// Whether a kind's name leaves open that its objects make pods: policies, rules and settings do not.
fn may_make_pods(kind: &str) -> bool {
    const SETTINGS: &[&str] = &[
        "Authentication",
        "Authorization",
        "Binding",
        "Certificate",
        "Class",
        "Config",
        "Configuration",
        "Entry",
        "Filter",
        "Gateway",
        "Issuer",
        "Kustomization",
        "Monitor",
        "Policy",
        "Pool",
        "Probe",
        "Profile",
        "Provider",
        "Repository",
        "Role",
        "Route",
        "Rule",
        "Secret",
        "Settings",
        "Sidecar",
        "Store",
        "Telemetry",
        "Template",
        "VirtualService",
    ];
    !SETTINGS.iter().any(|word| kind.ends_with(word))
}

/// The matrix, in the form asked for.
fn show(args: &Reach, world: &World, matrix: &Matrix<'_>, notes: &[String]) -> Result<(), Failure> {
    let wide = args.output == ReachOutput::Wide;
    if args.output == ReachOutput::Csv || args.flat {
        let mut out = BufWriter::with_capacity(1 << 18, std::io::stdout().lock());
        let tally = match args.output {
            ReachOutput::Csv | ReachOutput::Text | ReachOutput::Wide => {
                csv::write_flat(matrix, &mut out)?
            }
            ReachOutput::Json => data::write_flat(matrix, &mut out)?,
            _ => {
                return Err(Failure::with_help(
                    "--flat has no such output",
                    "use -o csv or -o json",
                ));
            }
        };
        out.flush()?;
        if tally.undefined > 0 {
            crate::out::remark(&format!(
                "note: {} pairs have ports that depend on something not known, such as a pod's address; they are not listed",
                tally.undefined
            ));
        }
        return Ok(());
    }
    let progress = Progress::new("grouping");
    let grouped = matrix.grouped();
    let namer = Namer::new(&world.bound);
    let text = match args.output {
        ReachOutput::Text | ReachOutput::Wide | ReachOutput::Csv => {
            text::render(&view::view(matrix, &grouped, &namer, wide), style(), wide)
        }
        ReachOutput::Json => format!("{:#}\n", data::grouped(matrix, &grouped, &namer, notes)),
        ReachOutput::Yaml => yaml::render(&data::grouped(matrix, &grouped, &namer, notes)),
        ReachOutput::Dot => graph::dot(&graph::graph(matrix, &grouped, &namer)),
        ReachOutput::Mermaid => graph::mermaid(&graph::graph(matrix, &grouped, &namer)),
        ReachOutput::Svg => graph::svg(&graph::graph(matrix, &grouped, &namer)),
        ReachOutput::Html => {
            html::render(matrix, &grouped, &namer, &args.common.files.join(" "), notes)
        }
    };
    drop(progress);
    crate::out::print(&text)
}

/// What the focus reaches, or what reaches it, step by step.
fn hops(
    args: &Reach,
    world: &World,
    matrix: &Matrix<'_>,
    options: &Options,
    most: u32,
) -> Result<(), Failure> {
    let direction = options.direction.unwrap_or(Direction::Egress);
    let reached = matrix.hops(&options.focus, most, direction);
    let namer = Namer::new(&world.bound);
    let value = || data::hops(matrix, &options.focus, most, direction, &reached);
    let text = match args.output {
        ReachOutput::Text | ReachOutput::Wide => {
            let wide = args.output == ReachOutput::Wide;
            more::hops(
                matrix,
                &namer,
                &options.focus,
                direction,
                &reached,
                crate::out::style(),
                wide,
            )
        }
        ReachOutput::Json => format!("{:#}\n", value()),
        ReachOutput::Yaml => yaml::render(&value()),
        _ => {
            return Err(Failure::with_help(
                "--hops has no such output",
                "use -o text, wide, json or yaml",
            ));
        }
    };
    crate::out::print(&text)
}

/// What pods to come could reach or be reached by.
fn exposure(args: &Reach, world: &World, matrix: &Matrix<'_>) -> Result<(), Failure> {
    let exposed = matrix.exposure();
    let namer = Namer::new(&world.bound);
    let value = || data::exposure(matrix, &namer, &exposed);
    let text = match args.output {
        ReachOutput::Text | ReachOutput::Wide => {
            more::exposure(&namer, &exposed, crate::out::style(), args.output == ReachOutput::Wide)
        }
        ReachOutput::Json => format!("{:#}\n", value()),
        ReachOutput::Yaml => yaml::render(&value()),
        _ => {
            return Err(Failure::with_help(
                "--exposure has no such output",
                "use -o text, wide, json or yaml",
            ));
        }
    };
    crate::out::print(&text)
}

/// The pods that `--focus` names.
fn focus(world: &World, args: &Reach) -> Result<Vec<PodIdx>, Failure> {
    let services = world.services();
    let names = Names::new(&world.bound, &services, &args.common.namespace);
    let mut pods = Vec::new();
    for name in &args.focus {
        pods.extend(names.pods(name)?);
    }
    pods.sort_unstable();
    pods.dedup();
    Ok(pods)
}

/// How the table is laid out: whatever reads a pipe wants whole lines.
fn style() -> Style {
    let style = crate::out::style();
    if std::io::stdout().is_terminal() || std::env::var_os("COLUMNS").is_some() {
        style
    } else {
        Style { width: usize::MAX, ..style }
    }
}

/// `443`, `53/UDP`, `8000-9000`, `icmp`.
fn port(text: &str) -> Result<PortSet, Failure> {
    let refuse = || {
        Failure::with_help(
            format!("`{text}` is no port"),
            "write 443, 53/UDP, 8000-9000/TCP or ICMP",
        )
    };
    let (numbers, protocol) = match text.split_once('/') {
        Some((numbers, protocol)) => (numbers, Protocol::parse(protocol).ok_or_else(refuse)?),
        None => match Protocol::parse(text) {
            Some(protocol) => return Ok(PortSet::protocol(protocol)),
            None => (text, Protocol::Tcp),
        },
    };
    let (low, high) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |text: &str| text.parse::<u16>().ok().filter(|&port| port > 0).ok_or_else(refuse);
    let (low, high) = (number(low)?, number(high)?);
    if low > high { Err(refuse()) } else { Ok(PortSet::range(protocol, low, high)) }
}
