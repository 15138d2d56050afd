//! A difference for a terminal.

use super::members;
use crate::Style;
use core::fmt::Write as _;
use moat_analyze::diff::{Change, Diff, Group, Kind, Workload};
use moat_analyze::reach::{Namer, join};
use moat_ir::{Bound, Direction, SymPeer};

/// Most names or prefixes that one side of a line lists.
const NAMES_MAX: usize = 4;
/// Changes told one by one; data has them all.
const CHANGES_MAX: usize = 100;
/// Causes told for one change when there are many.
const CAUSES_MAX: usize = 2;
/// Workloads told one by one.
const WORKLOADS_MAX: usize = 20;

/// The difference, the most dangerous changes first, and a summary as the last line.
#[must_use]
pub fn render(old: &Bound, new: &Bound, diff: &Diff, style: Style) -> String {
    let mut out = String::new();
    let namer = Namer::new(new);
    for change in diff.changes.iter().take(CHANGES_MAX) {
        let word = format!("{} {:8}", mark(change.kind), change.kind.name());
        let word = match change.kind {
            // What opens is what a reviewer must look at.
            Kind::Opened | Kind::Widened => style.bad(&word),
            Kind::Closed | Kind::Narrowed => style.good(&word),
            Kind::Changed => style.doubt(&word),
        };
        let (from, to) = (side(new, &namer, &change.from), side(new, &namer, &change.to));
        let _ = writeln!(out, "{word}  {from}  ->  {to}   {}", ports(old, new, change));
        // One cause more is as short as saying that there is one more.
        let n_told = if change.by.len() > CAUSES_MAX + 1 { CAUSES_MAX } else { change.by.len() };
        for cause in change.by.iter().take(n_told) {
            let symbolic = &if cause.new { new } else { old }.symbolic;
            let place = cause.origin.map(|origin| symbolic.place(origin)).unwrap_or_default();
            let line = format!("            {:<44}  {}", cause.text, style.dim(&place));
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let n_more = change.by.len() - n_told;
        if n_more > 0 {
            let least = if change.by_more { "at least " } else { "" };
            let more = format!("… {least}{n_more} more causes; `-o json` has them");
            let _ = writeln!(out, "            {}", style.dim(&more));
        }
    }
    if diff.changes.len() > CHANGES_MAX {
        let _ =
            writeln!(out, "… {} more changes; `-o json` has all", diff.changes.len() - CHANGES_MAX);
    }
    workloads(&mut out, '+', "new", &diff.new, style);
    workloads(&mut out, '-', "gone", &diff.gone, style);
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{}", summary(diff));
    out
}

fn mark(kind: Kind) -> char {
    match kind {
        Kind::Opened => '+',
        Kind::Closed => '-',
        _ => '~',
    }
}

fn ports(old: &Bound, new: &Bound, change: &Change) -> String {
    match change.kind {
        Kind::Opened => change.after.to_string(),
        Kind::Closed => change.before.to_string(),
        _ if change.before.allow == change.after.allow => doubts(old, new, change),
        _ => format!("{}  =>  {}", change.before, change.after),
    }
}

/// What changed about ports whose verdict is not certain.
fn doubts(old: &Bound, new: &Bound, change: &Change) -> String {
    let gained = change.after.undefined.minus(&change.before.undefined);
    let lost = change.before.undefined.minus(&change.after.undefined);
    let mut parts = Vec::new();
    if !gained.is_empty() {
        parts
            .push(format!("{gained} may now pass, which depends on {}", unknown(old, new, change)));
    }
    if !lost.is_empty() {
        parts.push(format!("{lost} might pass before and is denied now"));
    }
    parts.join("; ")
}

/// What a verdict that is not certain depends on.
fn unknown(old: &Bound, new: &Bound, change: &Change) -> &'static str {
    let pods_without_address = |group: &Group| match group {
        Group::Pods(pods) => pods.iter().any(|&pod| new.pod(pod).addresses.is_empty()),
        Group::Addresses(_) | Group::Domain(_) => false,
    };
    let peers = change.by.iter().filter_map(|cause| {
        let symbolic = &if cause.new { new } else { old }.symbolic;
        let (direction, index) = cause.rule?;
        let clause = symbolic
            .clauses_of(cause.policy?, direction)
            .find(|(_, clause)| symbolic.rule(clause.rule).index == index);
        let peer = match direction {
            Direction::Ingress => &change.from,
            Direction::Egress => &change.to,
        };
        Some((&clause?.1.peer, peer))
    });
    for (rule, peer) in peers {
        match rule {
            SymPeer::Domain(_) => return "what a domain name resolves to",
            SymPeer::Block(_) | SymPeer::Networks(_) if pods_without_address(peer) => {
                return "pod addresses that are not known";
            }
            _ => {}
        }
    }
    "what is not known or Kubernetes leaves open"
}

fn side(new: &Bound, namer: &Namer<'_>, group: &Group) -> String {
    match group {
        // A few are named in full, as other commands take them.
        Group::Pods(pods) if pods.len() > NAMES_MAX => {
            let parts: Vec<String> =
                namer.name(pods).iter().map(|part| part.text(NAMES_MAX)).collect();
            join(&parts, NAMES_MAX)
        }
        _ => join(&members(new, group), NAMES_MAX),
    }
}

fn workloads(out: &mut String, mark: char, word: &str, list: &[Workload], style: Style) {
    for workload in list.iter().take(WORKLOADS_MAX) {
        let head = style.bold(&format!("{mark} {word:8}"));
        let outside = |yes: bool| if yes { " and the outside" } else { "" };
        let _ = writeln!(
            out,
            "{head}  {}   reaches {}{}, is reached by {}{}",
            workload.name,
            workload.reaches,
            outside(workload.reaches_outside),
            workload.reached_by,
            outside(workload.reached_from_outside),
        );
    }
    if list.len() > WORKLOADS_MAX {
        let _ = writeln!(out, "… {} more {word} workloads", list.len() - WORKLOADS_MAX);
    }
}

fn summary(diff: &Diff) -> String {
    let policies = &diff.policies;
    let policies = format!(
        "policies: +{} -{} ~{}",
        policies.added.len(),
        policies.removed.len(),
        policies.changed.len()
    );
    if diff.is_equal() {
        return format!("no connection and no workload differs; {policies}");
    }
    let counts: Vec<String> = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Changed || diff.pairs(*kind) > 0)
        .map(|kind| format!("{} {}", diff.pairs(kind), kind.name()))
        .collect();
    format!(
        "{} pairs; workloads: {} new, {} gone; {policies}",
        counts.join(", "),
        diff.new.len(),
        diff.gone.len()
    )
}
