//! What rule tests share: a rule's own documentation is its bad and its good example.

use crate::{Context, Rule, Selection, run};
use expect_test::Expect;
use moat_compile::{Dialect, bind, compile};
use moat_ir::{Bound, SymbolicIr};
use moat_load::Input;
use moat_model::{Diagnostic, Lowered, Options, Span, lower};
use std::fmt::Write as _;
use std::sync::Arc;

/// Manifests, read and compiled.
pub(crate) struct World {
    loaded: Vec<Diagnostic>,
    lowered: Lowered,
    symbolic: Arc<SymbolicIr>,
    bound: Bound,
}

impl World {
    pub(crate) fn read(text: &str) -> Self {
        Self::of(&[Input::Text { name: "x.yaml".to_owned(), text: text.to_owned() }])
    }

    pub(crate) fn of(inputs: &[Input]) -> Self {
        let loaded = moat_load::load(inputs);
        let documents = loaded.documents.iter().map(|document| (document.source, &document.value));
        let lowered = lower(documents, &loaded.diagnostics, &Options::default());
        let sources: Vec<Arc<str>> =
            loaded.sources.iter().map(|source| source.name.as_str().into()).collect();
        let symbolic = Arc::new(compile(&lowered.policies, &sources));
        let bound = bind(symbolic.clone(), &lowered.inventory, Dialect::MOAT);
        Self { loaded: loaded.diagnostics, lowered, symbolic, bound }
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            loaded: &self.loaded,
            lowered: &self.lowered,
            symbolic: &self.symbolic,
            bound: &self.bound,
            dialect: Dialect::MOAT,
        }
    }

    /// The findings of one rule, as text.
    pub(crate) fn findings(&self, rule: &Rule) -> String {
        let mut text = String::new();
        for finding in run(&self.context(), &Selection::default())
            .iter()
            .filter(|finding| finding.code == rule.code)
        {
            let Span { pos, .. } = finding.span;
            let object = finding.object.as_deref().unwrap_or("-");
            writeln!(
                text,
                "{}:{}: {}: {}\n  at {object} {}",
                pos.line, pos.column, finding.severity, finding.message, finding.path
            )
            .unwrap();
            for (word, line) in [("help", &finding.help), ("effect", &finding.effect)] {
                if let Some(line) = line {
                    writeln!(text, "  {word}: {line}").unwrap();
                }
            }
        }
        text
    }
}

/// The manifests in the code block of a section.
fn block(rule: &Rule, section: &str) -> String {
    let text = rule.section(section).unwrap();
    let (_, rest) = text
        .split_once("```yaml\n")
        .unwrap_or_else(|| panic!("{}: no YAML in `{section}`", rule.code));
    rest.split_once("\n```").unwrap().0.to_owned()
}

/// The documentation's example is reported like this, and what to use instead is not.
pub(crate) fn check_examples(rule: &Rule, bad: &Expect) {
    let found = World::read(&block(rule, "Example")).findings(rule);
    assert!(!found.is_empty(), "{}: the example is not reported", rule.code);
    bad.assert_eq(&found);
    assert_eq!(
        World::read(&block(rule, "Use instead")).findings(rule),
        "",
        "{}: the remedy is reported",
        rule.code
    );
}

/// A finding that the loader makes outside of one text comes through, and can be ignored unless it is an error.
pub(crate) fn check_passes_through(rule: &Rule) {
    let world = World {
        loaded: vec![rule.finding(Span::default(), "as the loader says")],
        ..World::read("")
    };
    let kept =
        |ignore: &[&str]| run(&world.context(), &Selection::parse(&[], ignore).unwrap()).len();
    assert_eq!(kept(&[]), 1);
    assert_eq!(kept(&[rule.name]), usize::from(rule.severity == moat_model::Severity::Error));
    assert_eq!(World::read("").findings(rule), "");
}
