//! Room on nodes: what does not fit, and how the rest is liked.

use super::SCORE_MAX;
use crate::node::Node;
use crate::pod::Pod;
use crate::profile::{Args, Plugin, Strategy};
use crate::refusal::{Reason, Refusal};
use crate::resources::{Resources, is_extended, is_scalar};

/// Refuses a node that has not enough of something.
pub(crate) fn filter(pod: &Pod, node: &Node, args: &Args) -> Option<Refusal> {
    let mut reasons: Vec<Reason> = Vec::new();
    let mut resolvable = true;
    let pods = i64::try_from(node.pods.len()).unwrap_or(i64::MAX);
    if pods >= node.pods_max {
        reasons.push("Too many pods".into());
    }
    let mut check = |wanted: i64, has: i64, used: i64, reason: fn(&str) -> Reason, name: &str| {
        if wanted > 0 && wanted > has.saturating_sub(used) {
            reasons.push(reason(name));
            // Even an empty node would not do.
            resolvable &= wanted <= has;
        }
    };
    let (wants, has, used) = (&pod.requests, &node.allocatable, &node.requested);
    check(wants.cpu, has.cpu, used.cpu, |_| "Insufficient cpu".into(), "");
    check(wants.memory, has.memory, used.memory, |_| "Insufficient memory".into(), "");
    let disk: fn(&str) -> Reason = |_| "Insufficient ephemeral-storage".into();
    check(wants.ephemeral, has.ephemeral, used.ephemeral, disk, "");
    for (name, wanted) in &wants.scalars {
        if is_extended(name) && is_ignored(name, args) {
            continue;
        }
        check(
            *wanted,
            has.get(name),
            used.get(name),
            |name| format!("Insufficient {name}").into(),
            name,
        );
    }
    let plugin = Some(Plugin::NodeResourcesFit);
    (!reasons.is_empty()).then_some(Refusal { plugin, reasons, resolvable })
}

fn is_ignored(name: &str, args: &Args) -> bool {
    let group = name.split_once('/').map_or("", |(group, _)| group);
    args.ignored.iter().any(|one| **one == *name)
        || args.ignored_groups.iter().any(|one| **one == *group)
}

/// How well the pod's share suits the node.
pub(crate) fn score(pod: &Pod, node: &Node, args: &Args) -> i64 {
    let (mut sum, mut weights) = (0, 0);
    let per_resource: &dyn Fn(i64, i64) -> Option<i64> = match &args.strategy {
        Strategy::LeastAllocated => &|wanted, has| Some(least(wanted, has)),
        Strategy::MostAllocated => &|wanted, has| Some(percent(wanted.min(has), has)),
        Strategy::RequestedToCapacityRatio(shape) => &|wanted, has| {
            let used = if wanted > has { 100 } else { percent(wanted, has) };
            Some(on_line(shape, used)).filter(|score| *score > 0)
        },
    };
    for (name, weight) in &args.resources {
        let Some((before, more, has)) = shares(pod, node, name, &pod.assumed, &node.assumed) else {
            continue;
        };
        if let Some(score) = per_resource(before.saturating_add(more), has) {
            sum += score * weight;
            weights += weight;
        }
    }
    match &args.strategy {
        _ if weights == 0 => 0,
        Strategy::RequestedToCapacityRatio(_) => rounded(sum, weights),
        _ => sum / weights,
    }
}

/// What is taken of a resource, what the pod takes, and what there is; nothing if the resource does not count.
fn shares(
    pod: &Pod,
    node: &Node,
    name: &str,
    asked: &Resources,
    taken: &Resources,
) -> Option<(i64, i64, i64)> {
    let has = node.allocatable.get(name);
    let (more, before) = match name {
        "cpu" | "memory" => (asked.get(name), taken.get(name)),
        _ => (pod.requests.get(name), node.requested.get(name)),
    };
    let counts = has != 0 && !(more == 0 && is_scalar(name));
    counts.then_some((before, more, has))
}

fn least(wanted: i64, has: i64) -> i64 {
    if wanted > has { 0 } else { percent(has - wanted, has) }
}

/// A hundredfold quotient, rounded down; huge amounts do not overflow.
fn percent(part: i64, whole: i64) -> i64 {
    let part = i128::from(part) * i128::from(SCORE_MAX) / i128::from(whole.max(1));
    i64::try_from(part).unwrap_or(0)
}

/// To the nearest whole number, halves up. Both are not negative.
fn rounded(sum: i64, by: i64) -> i64 {
    (2 * sum + by) / (2 * by)
}

/// The value at a place of a line through points.
fn on_line(points: &[(i64, i64)], at: i64) -> i64 {
    let mut before: Option<(i64, i64)> = None;
    for &(x, y) in points {
        if at <= x {
            return match before {
                None => y,
                Some((x0, y0)) => y0 + (y - y0) * (at - x0) / (x - x0),
            };
        }
        before = Some((x, y));
    }
    before.map_or(0, |(_, y)| y)
}

/// How evenly the node's resources are used with the pod, compared to without it.
pub(crate) fn balanced_score(pod: &Pod, node: &Node, args: &Args) -> i64 {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for name in &args.balanced {
        if let Some((before, more, has)) = shares(pod, node, name, &pod.requests, &node.requested) {
            with.push(share(before.saturating_add(more), has));
            without.push(share(before, has));
        }
    }
    SCORE_MAX / 2 + (SCORE_MAX / 2 + evenness(&with) - evenness(&without)) / 2
}

/// Whether balance says anything of a pod: of one that asks for nothing it does not.
pub(crate) fn is_balanced(pod: &Pod, args: &Args) -> bool {
    args.balanced.iter().any(|name| pod.requests.get(name) != 0)
}

#[allow(clippy::cast_precision_loss, reason = "upstream calculates in floating point")]
fn share(used: i64, has: i64) -> f64 {
    (used as f64 / has as f64).min(1.0)
}

/// 100 less the standard deviation in percent.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "upstream calculates in floating point"
)]
fn evenness(shares: &[f64]) -> i64 {
    let deviation = match shares {
        [a, b] => ((a - b) / 2.0).abs(),
        [_, _, _, ..] => {
            let count = shares.len() as f64;
            let mean = shares.iter().sum::<f64>() / count;
            let squares: f64 = shares.iter().map(|one| (one - mean) * (one - mean)).sum();
            (squares / count).sqrt()
        }
        _ => 0.0,
    };
    ((1.0 - deviation) * SCORE_MAX as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_points_is_flat_outside_them() {
        let shape = [(10, 0), (60, 100)];
        let at = |x| on_line(&shape, x);
        assert_eq!([at(0), at(10), at(35), at(60), at(100)], [0, 0, 50, 100, 100]);
        assert_eq!(on_line(&[(0, 100), (100, 0)], 25), 75);
    }

    #[test]
    fn huge_amounts_do_not_overflow() {
        assert_eq!(percent(i64::MAX, i64::MAX), 100);
        assert_eq!(least(0, i64::MAX), 100);
    }

    #[test]
    fn evenness_is_a_hundred_less_the_deviation() {
        assert_eq!(evenness(&[0.5, 0.5]), 100);
        assert_eq!(evenness(&[0.0, 1.0]), 50);
        assert_eq!(evenness(&[]), 100);
        assert_eq!(evenness(&[0.0, 0.0, 1.0]), 52);
    }
}
