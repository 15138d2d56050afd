//! What real packets said, for a terminal.

use super::Report;
use crate::style::Style;
use core::fmt::Write as _;

/// Disagreements told one by one; the data form has all.
const TOLD_MAX: usize = 20;

/// The whole report.
#[must_use]
pub fn render(report: &Report, style: Style) -> String {
    let mut out = String::new();
    for found in report.disagreements.iter().take(TOLD_MAX) {
        let _ = writeln!(out, "{}  {}", style.bad("DISAGREE"), style.bold(&found.question));
        let _ = writeln!(out, "    policies: {}    network: {}", found.expected, found.seen);
        for wrong in &found.wrong {
            let _ = writeln!(out, "    {wrong}");
        }
        for reason in &found.reasons {
            let _ = writeln!(out, "    {}", style.dim(reason));
        }
        out.push('\n');
    }
    if report.disagreements.len() > TOLD_MAX {
        let more = report.disagreements.len() - TOLD_MAX;
        let _ = writeln!(out, "… {more} more disagreements; `-o json` has all\n");
    }
    for note in &report.notes {
        let _ = writeln!(out, "{} {note}", style.doubt("note:"));
    }
    for refused in &report.refused {
        let _ = writeln!(out, "{} {refused}", style.doubt("closed:"));
    }
    world(&mut out, report);
    if !report.agreed.is_empty() {
        let _ = writeln!(out, "{:<10}{:>11}{:>11}{:>11}", "", "connected", "refused", "dropped");
        for row in &report.agreed {
            let _ = writeln!(
                out,
                "{:<10}{:>11}{:>11}{:>11}",
                row.protocol, row.connected, row.refused, row.dropped
            );
        }
    }
    for row in &report.not_exercised {
        let _ = writeln!(
            out,
            "{} {} ({}: {})",
            style.doubt("not exercised:"),
            row.protocol,
            questions(row.count),
            row.why
        );
    }
    if report.n_open > 0 {
        let _ = writeln!(out, "left open by the API or the input: {}", questions(report.n_open));
    }
    log(&mut out, report, style);
    let verdict = if report.disagreements.is_empty() {
        style.good(&format!("all {} agree", report.n_agreed()))
    } else {
        let n = report.disagreements.len();
        format!("{} agree, {}", report.n_agreed(), style.bad(&format!("{n} disagree")))
    };
    let _ = writeln!(out, "\n{} probes: {verdict}", report.n_probes);
    out
}

fn world(out: &mut String, report: &Report) {
    let left_out = match report.n_left_out {
        0 => String::new(),
        n => format!(" ({n} more are alike to every policy)"),
    };
    let _ = writeln!(
        out,
        "{} pods{left_out} on {} nodes, {} addresses outside; built in {}, probed in {}\n",
        report.n_pods,
        report.n_nodes,
        report.n_outside,
        time(report.build_ms),
        time(report.probe_ms)
    );
}

fn log(out: &mut String, report: &Report, style: Style) {
    let lost = match report.n_lost {
        0 => "none lost".to_owned(),
        n => style.bad(&format!("{n} lost")),
    };
    let _ = writeln!(out, "log: {} records, {lost}", report.n_records);
}

fn questions(n: usize) -> String {
    if n == 1 { "1 question".to_owned() } else { format!("{n} questions") }
}

/// `850 ms`, `12.3 s`.
fn time(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}
