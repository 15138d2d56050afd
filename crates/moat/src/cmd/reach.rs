//! `moat reach`: who can reach whom.

use crate::args::{DirectionName, Reach, ReachOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::world::World;
use moat_analyze::query::{Names, Target};
use moat_analyze::reach::{Namer, Options, matrix};
use moat_ir::{Direction, PodIdx};
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
    let matrix = matrix(&world.bound, &options);
    let caveats = world.lowered.inventory.taints.len();
    match args.output {
        ReachOutput::Csv => {
            let mut out = BufWriter::with_capacity(1 << 18, std::io::stdout().lock());
            let tally = moat_report::reach::csv::write_flat(&matrix, &mut out)?;
            out.flush()?;
            if tally.undefined > 0 {
                crate::out::remark(&format!(
                    "note: {} pairs have ports that depend on something not known, such as a pod's address; they are not listed",
                    tally.undefined
                ));
            }
        }
        ReachOutput::Text | ReachOutput::Wide => {
            let grouped = matrix.grouped();
            let namer = Namer::new(&world.bound);
            let wide = args.output == ReachOutput::Wide;
            let view = moat_report::reach::view::view(&matrix, &grouped, &namer, wide);
            crate::out::print(&moat_report::reach::text::render(&view, crate::out::style(), wide))?;
        }
        _ => return Err(Failure::input("this output is being built")),
    }
    if caveats > 0 {
        crate::out::remark(&format!("caveat: {caveats} things were not read or not interpreted and could change this; `moat lint` shows them"));
    }
    Ok(Ended::Yes)
}

/// The pods that `--focus` names.
fn focus(world: &World, args: &Reach) -> Result<Vec<PodIdx>, Failure> {
    let names = Names::new(&world.bound, &[], &args.common.namespace);
    let mut pods = Vec::new();
    for name in &args.focus {
        match names.target(name)? {
            Target::Pods(found) => pods.extend(found),
            _ => return Err(Failure::with_help(format!("`{name}` is no pod or workload"), "name one as ns/pod or ns/kind/name")),
        }
    }
    Ok(pods)
}

/// `443`, `53/UDP`, `8000-9000`, `icmp`.
fn port(text: &str) -> Result<PortSet, Failure> {
    let refuse = || Failure::with_help(format!("`{text}` is no port"), "write 443, 53/UDP, 8000-9000/TCP or ICMP");
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
