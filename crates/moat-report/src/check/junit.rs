//! Test results as JUnit XML: a test suite a file, a test case a test.

use super::{Report, sentence, text};
use crate::style::Style;
use core::fmt::Write as _;
use moat_analyze::check::{Failure, Mutation, Test};

/// The report as XML.
#[must_use]
pub fn junit(report: &Report<'_>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"moat\" tests=\"{}\" failures=\"{}\" errors=\"0\">",
        report.tests.len() + report.mutation.map_or(0, |mutation| mutation.n_mutants),
        report.n_failed() + report.mutation.map_or(0, Mutation::n_survivors)
    );
    for (idx, file) in report.files.iter().enumerate() {
        let own: Vec<(&Test, &[Failure])> =
            report.runs().filter(|(test, _)| test.place.source as usize == idx).collect();
        let n_failed = own.iter().filter(|(_, failures)| !failures.is_empty()).count();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{n_failed}\" errors=\"0\">",
            escape(file),
            own.len()
        );
        for (test, failures) in own {
            case(&mut out, report, test, failures);
        }
        out.push_str("  </testsuite>\n");
    }
    if let Some(mutation) = report.mutation {
        survivors(&mut out, report, mutation);
    }
    out.push_str("</testsuites>\n");
    out
}

/// Removals that no test notices, each a failed case of a suite of their own.
fn survivors(out: &mut String, report: &Report<'_>, mutation: &Mutation) {
    let names = text::survivors(report, mutation);
    let _ = writeln!(
        out,
        "  <testsuite name=\"mutation\" tests=\"{}\" failures=\"{}\" errors=\"0\">",
        mutation.n_mutants,
        names.len()
    );
    for (name, place) in names {
        let (name, place) = (escape(&name), escape(&place));
        let _ = writeln!(
            out,
            "    <testcase name=\"{name}\" classname=\"mutation\">\n      \
             <failure message=\"no test notices when it is gone\">{place}</failure>\n    </testcase>"
        );
    }
    out.push_str("  </testsuite>\n");
}

fn case(out: &mut String, report: &Report<'_>, test: &Test, failures: &[Failure]) {
    let _ = write!(
        out,
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\"",
        escape(&test.name),
        test.assertion.name(),
        escape(report.file(test.place)),
        test.place.line
    );
    let Some(first) = failures.first() else {
        out.push_str("/>\n");
        return;
    };
    let more = match failures.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let message = format!("{}{more}", sentence(report.bound, first));
    let _ = write!(out, ">\n      <failure message=\"{}\">\n", escape(&message));
    for failure in failures {
        out.push_str(&escape(&text::told(report, failure, Style::default())));
    }
    out.push_str("</failure>\n    </testcase>\n");
}

/// Text as XML has it; characters that XML 1.0 forbids become visible.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(char),
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            char => out.push(char),
        }
    }
    out
}
