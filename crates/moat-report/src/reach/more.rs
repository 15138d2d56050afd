//! Hops and exposure for a terminal.

use super::view::outside_name;
use crate::Style;
use moat_analyze::reach::{Exposed, Matrix, Namer, Reached, count, join};
use moat_ir::{Direction, PodIdx};
use moat_sets::PortSet;
use std::collections::BTreeMap;

/// The blast radius, by distance; pods reached alike are one line.
#[must_use]
pub fn hops(
    matrix: &Matrix<'_>,
    namer: &Namer<'_>,
    focus: &[PodIdx],
    direction: Direction,
    reached: &[Reached],
    style: Style,
    wide: bool,
) -> String {
    let most = if wide { usize::MAX - 1 } else { 4 };
    let verb = if direction == Direction::Egress { "reaches" } else { "is reached by" };
    let n_pods = reached.iter().filter(|one| matrix.pod_of(one.end).is_some()).count();
    let farthest = reached.iter().map(|one| one.hops).max().unwrap_or(0);
    let start = names(namer, focus, most);
    let mut out =
        format!("{} {verb} {} of {}", style.bold(&start), n_pods, count(namer.n_pods(), "pod"));
    out.push_str(&if farthest > 0 {
        format!(" within {}\n", count(farthest as usize, "hop"))
    } else {
        "\n".to_owned()
    });
    for distance in 1..=farthest {
        out.push_str(&format!("\nhop {distance}\n"));
        let mut lines: BTreeMap<(Option<PodIdx>, &PortSet), (Vec<PodIdx>, Vec<String>)> =
            BTreeMap::new();
        for one in reached.iter().filter(|one| one.hops == distance) {
            // By whom the first hop goes is the question itself.
            let via = (distance > 1 || focus.len() > 1).then_some(one.via);
            let (pods, outside) = lines.entry((via, &one.ports)).or_default();
            match matrix.pod_of(one.end) {
                Some(pod) => pods.push(pod),
                None => outside.push(outside_name(matrix.name(one.end), most)),
            }
        }
        for ((via, ports), (mut pods, outside)) in lines {
            pods.sort_unstable();
            let mut who: Vec<String> = namer
                .name(&pods)
                .iter()
                .map(|part| part.text(most))
                .filter(|_| !pods.is_empty())
                .collect();
            who.extend(outside);
            let via = via
                .map(|pod| style.dim(&format!("  via {}", matrix.bound().pod(pod).display)))
                .unwrap_or_default();
            out.push_str(&format!(
                "  {}  {}{via}\n",
                join(&who, most),
                style.good(&ports.to_string())
            ));
        }
    }
    out
}

fn names(namer: &Namer<'_>, pods: &[PodIdx], most: usize) -> String {
    let mut pods = pods.to_vec();
    pods.sort_unstable();
    pods.dedup();
    let parts: Vec<String> = if pods.is_empty() {
        Vec::new()
    } else {
        namer.name(&pods).iter().map(|part| part.text(most)).collect()
    };
    join(&parts, most)
}

/// Exposure to pods that do not exist yet, by direction.
#[must_use]
pub fn exposure(namer: &Namer<'_>, exposed: &[Exposed], style: Style, wide: bool) -> String {
    let most = if wide { usize::MAX - 1 } else { 4 };
    let mut out = String::new();
    for direction in Direction::BOTH {
        let own: Vec<&Exposed> = exposed.iter().filter(|one| one.direction == direction).collect();
        if own.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        let title = match direction {
            Direction::Ingress => "pods to come that could reach",
            Direction::Egress => "pods to come that could be reached from",
        };
        out.push_str(&format!("{}\n", style.bold(title)));
        for one in own {
            out.push_str(&format!("  {}\n", names(namer, &one.pods, most)));
            if one.openings.is_empty() {
                out.push_str(&format!("    {}\n", style.dim("nobody")));
            }
            for opening in &one.openings {
                let peer =
                    if opening.anyone { style.bad(&opening.peer) } else { opening.peer.clone() };
                out.push_str(&format!("    {peer}  {}\n", opening.ports));
            }
        }
    }
    out
}
