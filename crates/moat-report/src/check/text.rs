//! Test results for a terminal: failures with their reasons, then what the tests do not touch.

use super::{Report, sentence};
use crate::explain::{half_text, line, names, rule_name};
use crate::style::Style;
use core::fmt::Write as _;
use moat_analyze::check::{Failure, Mutation, Recorder};
use moat_analyze::explain::halves;
use moat_ir::{Direction, Verdict};

/// Failures of one test told with their reasons.
const FAILURES_MAX: usize = 8;
/// Rules listed as not touched; the data form has all.
const LISTED_MAX: usize = 20;

/// The whole report.
#[must_use]
pub fn render(report: &Report<'_>, style: Style) -> String {
    let mut out = String::new();
    for (test, failures) in report.runs() {
        let word = if failures.is_empty() { style.good("PASS") } else { style.bad("FAIL") };
        let place = report.place(test.place);
        let _ = writeln!(out, "{word}  {:<62} {}", test.name, style.dim(&place));
        for failure in failures.iter().take(FAILURES_MAX) {
            out.push('\n');
            out.push_str(&told(report, failure, style));
        }
        if failures.len() > FAILURES_MAX {
            let more = failures.len() - FAILURES_MAX;
            let _ = writeln!(out, "\n      … {more} more of this test; `-o json` has all");
        }
        if !failures.is_empty() {
            out.push('\n');
        }
    }
    coverage(&mut out, report, style);
    mutation(&mut out, report, style);
    if let Some(first) = report.caveats.first() {
        let word = style.doubt("caveat:");
        let more = match report.caveats.len() {
            1 => String::new(),
            n => format!(" … and {} more; `moat lint` shows all", n - 1),
        };
        let _ = writeln!(out, "\n{word} {first}{more}");
    }
    let (n_tests, n_failed) = (report.tests.len(), report.n_failed());
    let verdict = if n_failed == 0 {
        style.good(&format!("{n_tests} passed"))
    } else {
        format!("{} passed, {}", n_tests - n_failed, style.bad(&format!("{n_failed} failed")))
    };
    let _ = writeln!(out, "\n{n_tests} test{}: {verdict}", if n_tests == 1 { "" } else { "s" });
    out
}

pub(super) fn told(report: &Report<'_>, failure: &Failure, style: Style) -> String {
    let bound = report.bound;
    let mut text = String::new();
    for (direction, half) in halves(&failure.answer) {
        // What let a flow pass is both halves' doing; what stopped it, only that of those that did.
        let wanted = failure.answer.verdict == Verdict::Allowed || half.verdict != Verdict::Allowed;
        if wanted {
            let subject = match direction {
                Direction::Egress => names(&failure.sources(bound)),
                Direction::Ingress => names(&failure.to),
            };
            half_text(&mut text, bound, (direction, half), &subject, &failure.near, style);
        }
    }
    let mut out = format!("      {}\n", style.bold(&sentence(bound, failure)));
    for line in text.lines() {
        let _ = writeln!(out, "      {line}");
    }
    out
}

fn coverage(out: &mut String, report: &Report<'_>, style: Style) {
    let (symbolic, recorder) = (&report.bound.symbolic, report.recorder);
    let rules = recorder.uncovered_rules();
    let isolations = recorder.uncovered_isolations(symbolic);
    let (n_rules, n_isolations) = (recorder.n_rules(), Recorder::n_isolations(symbolic));
    let _ = writeln!(
        out,
        "\ncoverage: {} of {n_rules} rules and {} of {n_isolations} isolations decide a tested flow",
        n_rules - rules.len(),
        n_isolations - isolations.len(),
    );
    let rules = rules.iter().map(|&rule| (rule_name(symbolic, rule), symbolic.rule(rule).origin));
    let isolations = isolations.iter().map(|&policy| {
        let policy = symbolic.policy(policy);
        (format!("{policy} (isolation)"), policy.origin)
    });
    let untouched = rules.chain(isolations).map(|(name, at)| (name, symbolic.place(at)));
    things(out, "not touched:", untouched.collect(), style);
}

fn mutation(out: &mut String, report: &Report<'_>, style: Style) {
    let Some(mutation) = report.mutation else { return };
    let _ = writeln!(
        out,
        "\nmutation: {} of {} removals make a test fail",
        mutation.n_mutants - mutation.n_survivors(),
        mutation.n_mutants
    );
    things(out, "no test notices when one of these is gone:", survivors(report, mutation), style);
}

/// Names and places of what no test misses.
pub(super) fn survivors(report: &Report<'_>, mutation: &Mutation) -> Vec<(String, String)> {
    let symbolic = &report.bound.symbolic;
    let rules = mutation.rules.iter();
    let rules = rules.map(|&rule| (rule_name(symbolic, rule), symbolic.rule(rule).origin));
    let policies = mutation.policies.iter().map(|&policy| {
        let policy = symbolic.policy(policy);
        (format!("{policy} (the whole policy)"), policy.origin)
    });
    rules.chain(policies).map(|(name, at)| (name, symbolic.place(at))).collect()
}

fn things(out: &mut String, head: &str, all: Vec<(String, String)>, style: Style) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "  {head}");
    for (name, place) in all.iter().take(LISTED_MAX) {
        line(out, 4, name, place, style);
    }
    if all.len() > LISTED_MAX {
        let _ = writeln!(out, "    … {} more; `-o json` has all", all.len() - LISTED_MAX);
    }
}
