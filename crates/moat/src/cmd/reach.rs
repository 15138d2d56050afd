//! `moat reach`: who can reach whom.

use crate::args::{DirectionName, Reach, ReachOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::Progress;
use crate::world::World;
use moat_analyze::query::{Names, Target};
use moat_analyze::reach::{Matrix, Namer, Options, matrix};
use moat_ir::{Direction, PodIdx};
use moat_report::reach::{csv, data, graph, html, more, text, view};
use moat_report::yaml;
use moat_sets::{PortSet, Protocol};
use std::io::{BufWriter, Write as _};

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
    if let Some(most) = args.hops {
        hops(args, &world, &matrix, &options, most)?;
    } else if args.exposure {
        exposure(args, &world, &matrix)?;
    } else {
        let notes: Vec<String> = if taints > 0 { vec![caveat.clone()] } else { Vec::new() };
        show(args, &world, &matrix, &notes)?;
    }
    if taints > 0 {
        crate::out::remark(&format!("caveat: {caveat}"));
    }
    Ok(Ended::Yes)
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
            text::render(&view::view(matrix, &grouped, &namer, wide), crate::out::style(), wide)
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
    let names = Names::new(&world.bound, &[], &args.common.namespace);
    let mut pods = Vec::new();
    for name in &args.focus {
        match names.target(name)? {
            Target::Pods(found) => pods.extend(found),
            _ => {
                return Err(Failure::with_help(
                    format!("`{name}` is no pod or workload"),
                    "name one as ns/pod or ns/kind/name",
                ));
            }
        }
    }
    Ok(pods)
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
