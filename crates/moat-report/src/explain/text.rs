//! An explanation for a terminal.

use super::{clause_text, rule_text};
use crate::style::Style;
use core::fmt::Write as _;
use moat_analyze::explain::{Edit, Explanation, FlowExplanation, NearMiss, Opened, halves};
use moat_ir::{Bound, Change, Direction, Exemption, Half, HalfReason, Then, Verdict};

/// Caveats told in full.
const CAVEATS_MAX: usize = 3;
/// Most names that one flow's line lists.
const NAMES_MAX: usize = 4;

/// The whole explanation. `caveats` are things that were not read and could change the verdict.
#[must_use]
pub fn render(
    bound: &Bound,
    explanation: &Explanation,
    caveats: &[String],
    style: Style,
) -> String {
    let mut out = String::new();
    let several = explanation.flows.len() > 1;
    let point = match explanation.flows.as_slice() {
        _ if explanation.any_port => some_port(explanation).to_owned(),
        [one] => format!(":{}", one.flow.point).replace(":ICMP", " ICMP"),
        _ => String::new(),
    };
    let _ = writeln!(
        out,
        "{}  {} -> {}{}",
        verdict(explanation.verdict, style),
        style.bold(&explanation.from),
        style.bold(&explanation.to),
        if explanation.service.is_some() { String::new() } else { point }
    );
    if let Some(service) = &explanation.service {
        let _ = writeln!(out, "\n  service: {}", service.text);
    }
    for flow in &explanation.flows {
        out.push('\n');
        if several || explanation.any_port || explanation.service.is_some() {
            let _ = writeln!(
                out,
                "  {} {} -> {}:{}",
                verdict(flow.answer.verdict, style).trim_end(),
                names(&flow.from),
                names(&flow.to),
                flow.flow.point
            );
        }
        flow_text(&mut out, bound, flow, style);
    }
    if let Some(elsewhere) = &explanation.elsewhere {
        let says: Vec<String> = elsewhere
            .verdicts
            .iter()
            .map(|(dialect, verdict)| format!("{dialect} {}", verdict.name()))
            .collect();
        let word = style.doubt("implementation-defined:");
        let _ = writeln!(out, "\n  {word} {} (`moat dialects`)", says.join(", "));
        for question in &elsewhere.because {
            let _ = writeln!(out, "    {question}");
        }
    }
    for note in &explanation.notes {
        let _ = writeln!(out, "\n  {} {note}", style.doubt("note:"));
    }
    for caveat in caveats.iter().take(CAVEATS_MAX) {
        let _ = writeln!(out, "\n  {} {caveat}", style.doubt("caveat:"));
    }
    if caveats.len() > CAVEATS_MAX {
        let _ = writeln!(
            out,
            "\n  … {} more caveats; `moat lint` shows all that was not read",
            caveats.len() - CAVEATS_MAX
        );
    }
    out
}

/// What the verdict means for a question about no port in particular.
fn some_port(explanation: &Explanation) -> &'static str {
    let all = explanation.flows.iter().all(|flow| flow.answer.verdict == Verdict::Allowed);
    match explanation.verdict {
        Verdict::Allowed if all => " on every port",
        Verdict::Allowed => " on some ports",
        Verdict::Denied => " on any port",
        Verdict::Undefined => "",
    }
}

fn verdict(verdict: Verdict, style: Style) -> String {
    match verdict {
        Verdict::Allowed => style.good("ALLOWED"),
        Verdict::Denied => style.bad("DENIED "),
        Verdict::Undefined => style.doubt("UNDEFINED"),
    }
}

pub(crate) fn names(list: &[String]) -> String {
    let shown: Vec<&str> = list.iter().take(NAMES_MAX).map(String::as_str).collect();
    let more = list.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn flow_text(out: &mut String, bound: &Bound, flow: &FlowExplanation, style: Style) {
    for (direction, half) in halves(&flow.answer) {
        let subject = names(if direction == Direction::Egress { &flow.from } else { &flow.to });
        half_text(out, bound, (direction, half), &subject, &flow.near, style);
        let edits: Vec<&Edit> =
            flow.edits.iter().filter(|edit| edit.direction == direction).collect();
        if !edits.is_empty() {
            let _ =
                writeln!(out, "    to allow it{}:", if edits.len() == 1 { "" } else { ", one of" });
            for (idx, edit) in edits.into_iter().enumerate() {
                edit_text(out, idx + 1, edit, style);
            }
        }
    }
}

/// What one direction does, and who decides: `egress of a/web: denied, ...`, the rules or policies, the nearest rules.
pub(crate) fn half_text(
    out: &mut String,
    bound: &Bound,
    (direction, half): (Direction, &Half),
    subject: &str,
    near: &[NearMiss],
    style: Style,
) {
    let word = match half.verdict {
        Verdict::Allowed => style.good("allowed"),
        Verdict::Denied => style.bad("denied"),
        Verdict::Undefined => style.doubt("undefined"),
    };
    let _ = writeln!(out, "  {direction} of {subject}: {word}{}", short_reason(half));
    long_reason(out, bound, half, style);
    let near: Vec<_> = near.iter().filter(|miss| miss.direction == direction).collect();
    if near.is_empty() {
        return;
    }
    let _ = writeln!(out, "    nearest rule{}:", if near.len() == 1 { "" } else { "s" });
    for miss in near {
        let sym = bound.symbolic.clause(miss.clause);
        let place = bound.symbolic.place(sym.origin);
        line(out, 6, &rule_text(&bound.symbolic, miss.clause), &place, style);
        for lack in &miss.lacks {
            let _ = writeln!(out, "        - {lack}");
        }
    }
}

fn short_reason(half: &Half) -> &'static str {
    match &half.reason {
        HalfReason::Unmanaged => ", policies do not apply to this end",
        HalfReason::Exempt(Exemption::SamePod) => ", a pod always reaches itself",
        HalfReason::Exempt(Exemption::OwnNode) => ", a node always reaches its own pods",
        HalfReason::Default => ", no policy decides and the default is to allow",
        HalfReason::Rules(_) => " by",
        HalfReason::Isolated(_) => ", the pod is isolated and no rule matches",
    }
}

fn long_reason(out: &mut String, bound: &Bound, half: &Half, style: Style) {
    let symbolic = &bound.symbolic;
    match &half.reason {
        HalfReason::Rules(rules) => {
            for rule in rules {
                let clause = symbolic.clause(rule.clause);
                let then = match clause.then {
                    Then::Allow => "",
                    Then::Deny => " (Deny)",
                    Then::Pass => " (Pass)",
                };
                let perhaps = if rule.certain { "" } else { ", perhaps" };
                let text = format!("{}{then}{perhaps}", rule_text(symbolic, rule.clause));
                line(out, 4, &text, &symbolic.place(clause.origin), style);
                let _ = writeln!(out, "      {}", style.dim(&clause_text(symbolic, rule.clause)));
            }
        }
        HalfReason::Isolated(policies) => {
            let _ = writeln!(out, "    isolated by:");
            for &policy in policies.iter() {
                let policy = symbolic.policy(policy);
                line(out, 6, &policy.to_string(), &symbolic.place(policy.origin), style);
            }
        }
        _ => {}
    }
    if !half.doubts.is_empty() {
        let _ = writeln!(out, "    in doubt:");
        for &clause in &half.doubts {
            line(
                out,
                6,
                &rule_text(symbolic, clause),
                &symbolic.place(symbolic.clause(clause).origin),
                style,
            );
            let _ = writeln!(out, "        {}", style.dim(&clause_text(symbolic, clause)));
        }
    }
}

/// A text with its place at the right, aligned where it fits.
pub(crate) fn line(out: &mut String, indent: usize, text: &str, place: &str, style: Style) {
    let _ = writeln!(
        out,
        "{:indent$}{text:<width$}  {}",
        "",
        style.dim(place),
        width = 56usize.saturating_sub(indent)
    );
}

fn edit_text(out: &mut String, number: usize, edit: &Edit, style: Style) {
    let _ = match &edit.place {
        Some(place) => writeln!(out, "      {number}. {}  {}", edit.text, style.dim(place)),
        None => writeln!(out, "      {number}. {}", edit.text),
    };
    for yaml in edit.yaml.iter().flat_map(|yaml| yaml.lines()) {
        let _ = writeln!(out, "           {yaml}");
    }
    let whole = match edit.change {
        Change::RemoveRule { .. } => "taken out whole, it ",
        _ => "",
    };
    opened_text(out, whole, &edit.opened);
    for effect in &edit.opened.side_effects {
        let _ = writeln!(out, "         side effect: {effect}");
    }
}

fn opened_text(out: &mut String, whole: &str, opened: &Opened) {
    if opened.n_pairs == 0 {
        let _ = writeln!(out, "         {whole}opens nothing else");
        return;
    }
    let plural = if opened.n_pairs == 1 { "" } else { "s" };
    let _ = writeln!(out, "         {whole}also opens {} pair{plural}:", opened.n_pairs);
    for (from, to, ports) in &opened.examples {
        let _ = writeln!(out, "           {from} -> {to} on {ports}");
    }
    let more = opened.n_pairs - opened.examples.len();
    if more > 0 {
        let _ = writeln!(out, "           … {more} more");
    }
}
