//! `moat lint` and `moat rule`.

use crate::args::{Lint, LintOutput, Rule};
use crate::exit::{Ended, Failure, Outcome};
use crate::world::{World, dialect, inputs, texts};
use core::fmt::Write as _;
use moat_lint::{Context, Selection, registry};
use moat_model::{Diagnostic, Severity, codes};
use moat_report::diagnostics::{Counts, RuleMeta, json, report, rule_page, sarif};

pub(crate) fn run(args: &Lint) -> Outcome {
    if args.common.files.is_empty() {
        return Err(Failure::with_help(
            "nothing to read",
            "give manifests with -f FILE, -f DIR or -f - (standard input)",
        ));
    }
    let selection = Selection::parse(&args.select, &args.ignore)
        .map_err(|error| Failure::with_help(error.to_string(), "`moat rule` lists all"))?;
    let world = World::load(&inputs(&args.common.files), &args.common)?;
    let ctx = Context {
        loaded: &world.loaded.diagnostics,
        lowered: &world.lowered,
        symbolic: &world.symbolic,
        bound: &world.bound,
        dialect: dialect(args.common.dialect),
    };
    let findings = moat_lint::run(&ctx, &selection);
    let sources = texts(&world.loaded.sources);
    let text = match args.output {
        LintOutput::Text => {
            let passed_over = |finding: &&Diagnostic| finding.code == codes::SKIPPED_FILE;
            let n_passed_over = world.loaded.diagnostics.iter().filter(passed_over).count();
            let counts = Counts::of(sources.len() - n_passed_over, &world.lowered.objects);
            report(&findings, sources.as_slice(), &counts, crate::out::style())
        }
        LintOutput::Json => format!("{:#}\n", json(&findings, sources.as_slice(), &rules())),
        LintOutput::Sarif => format!(
            "{:#}\n",
            sarif(&findings, sources.as_slice(), &rules(), env!("CARGO_PKG_VERSION"))
        ),
    };
    crate::out::print(&text)?;
    let clean = findings.iter().all(|finding| finding.severity == Severity::Note);
    Ok(if clean { Ended::Yes } else { Ended::No })
}

pub(crate) fn rule(args: &Rule) -> Outcome {
    let Some(code) = &args.code else {
        let mut list = String::new();
        for rule in rules() {
            let severity = rule.severity.name();
            let _ =
                writeln!(list, "{}  {severity:<8} {:<28} {}", rule.code, rule.name, rule.summary);
        }
        crate::out::print(&list)?;
        return Ok(Ended::Yes);
    };
    let rules = rules();
    let found =
        registry::find(code).and_then(|rule| rules.iter().find(|meta| meta.code == rule.code));
    let Some(found) = found else {
        return Err(Failure::with_help(
            format!("there is no rule `{code}`"),
            "`moat rule` lists all",
        ));
    };
    crate::out::print(&rule_page(found, crate::out::style()))?;
    Ok(Ended::Yes)
}

/// Every rule, as reports want it.
fn rules() -> Vec<RuleMeta> {
    registry::RULES
        .iter()
        .map(|rule| RuleMeta {
            code: rule.code,
            name: rule.name.to_owned(),
            summary: rule.summary(),
            doc: rule.doc(),
            severity: rule.severity,
            lifecycle: rule.lifecycle.name(),
        })
        .collect()
}
