//! Running rules: which ones, and in which order their findings come.

use crate::registry::{self, RULES};
use crate::{Context, Lifecycle, Rule};
use core::fmt;
use moat_model::{Diagnostic, Severity};

/// All findings of the selected rules, sorted by source, line, column and code.
///
/// Findings made while reading are among them. Their errors cannot be deselected or ignored: where input was not understood, no
/// answer about it is worth anything.
#[must_use]
pub fn run(ctx: &Context<'_>, selection: &Selection) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for rule in RULES.iter().filter(|rule| selection.takes(rule)) {
        if let Some(check) = rule.check {
            check.check(ctx, &mut out);
        }
    }
    let read = ctx.loaded.iter().chain(&ctx.lowered.diagnostics).filter(|finding| {
        finding.severity == Severity::Error
            || registry::by_code(finding.code).is_none_or(|rule| selection.takes(rule))
    });
    out.extend(read.cloned());
    out.sort_by_key(|finding| (finding.span, finding.code));
    out
}

/// Which rules run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only these; all stable rules when empty.
    select: Vec<Pattern>,
    /// Never these.
    ignore: Vec<Pattern>,
}

impl Selection {
    /// A selection from command line words: `all`, a code, the beginning of a code, or a name.
    pub fn parse<S: AsRef<str>>(select: &[S], ignore: &[S]) -> Result<Self, UnknownRule> {
        let parse = |words: &[S]| {
            words.iter().map(|word| Pattern::parse(word.as_ref())).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { select: parse(select)?, ignore: parse(ignore)? })
    }

    /// Whether a rule runs. A preview rule does only when selected by its own code or name.
    #[must_use]
    pub fn takes(&self, rule: &Rule) -> bool {
        let exact = self
            .select
            .iter()
            .any(|pattern| matches!(pattern, Pattern::Rule(code) if *code == rule.code));
        let broad =
            self.select.is_empty() || self.select.iter().any(|pattern| pattern.matches(rule));
        let selected = exact || (broad && rule.lifecycle == Lifecycle::Stable);
        selected && !self.ignore.iter().any(|pattern| pattern.matches(rule))
    }
}

/// A word that names no rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownRule {
    /// The word.
    pub word: String,
}

impl fmt::Display for UnknownRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no rule is called `{}`", self.word)
    }
}

impl core::error::Error for UnknownRule {}

// === Pattern ===

#[derive(Clone, PartialEq, Eq, Debug)]
enum Pattern {
    All,
    Prefix(String),
    Rule(moat_model::Code),
}

impl Pattern {
    fn parse(word: &str) -> Result<Self, UnknownRule> {
        if word.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        if let Some(rule) = registry::find(word) {
            return Ok(Self::Rule(rule.code));
        }
        let prefix = word.to_ascii_uppercase();
        let known = prefix.starts_with("MOAT")
            && RULES.iter().any(|rule| rule.code.to_string().starts_with(&prefix));
        if known { Ok(Self::Prefix(prefix)) } else { Err(UnknownRule { word: word.to_owned() }) }
    }

    fn matches(&self, rule: &Rule) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => rule.code.to_string().starts_with(prefix),
            Self::Rule(code) => *code == rule.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{AllowsEverything, UnknownField};
    use crate::testing::World;

    fn takes(select: &[&str], ignore: &[&str], rule: &Rule) -> bool {
        Selection::parse(select, ignore).unwrap().takes(rule)
    }

    #[test]
    fn rules_are_selected_by_code_prefix_name_or_all() {
        let rule = &UnknownField::RULE;
        assert!(takes(&[], &[], rule));
        assert!(takes(&["unknown-field"], &[], rule));
        assert!(takes(&["moat006"], &[], rule));
        assert!(takes(&["MOAT00"], &[], rule));
        assert!(!takes(&["MOAT02"], &[], rule));
        assert!(!takes(&["all"], &["unknown-field"], rule));
        assert!(!takes(&["all"], &["all"], rule));
    }

    #[test]
    fn preview_rules_run_only_when_named() {
        let rule = Rule { lifecycle: Lifecycle::Preview, ..AllowsEverything::RULE };
        assert!(!takes(&[], &[], &rule));
        assert!(!takes(&["all"], &[], &rule));
        assert!(!takes(&["MOAT02"], &[], &rule));
        assert!(takes(&["allows-everything"], &[], &rule));
    }

    #[test]
    fn an_unknown_word_is_refused() {
        let error = Selection::parse(&["no-such-rule"], &[]).unwrap_err();
        assert_eq!(error.to_string(), "no rule is called `no-such-rule`");
        assert!(Selection::parse(&["X"], &[]).is_err());
    }

    #[test]
    fn findings_are_sorted_and_errors_stay() {
        let world = World::read(
            "apiVersion: networking.k8s.io/v1\n\
             kind: NetworkPolicy\n\
             metadata: {name: p, namespace: a}\n\
             spec:\n\
             \x20 podSelctor: {}\n\
             \x20 ingress:\n\
             \x20 - from: [{ipBlock: {cidr: 10.0.0.0/33}}]\n\
             \x20 - {}\n",
        );
        let codes = |selection: &Selection| -> Vec<(u32, String)> {
            run(&world.context(), selection)
                .iter()
                .map(|finding| (finding.span.pos.line, finding.code.to_string()))
                .collect()
        };
        let [unknown, invalid, open] = [(5, "MOAT006"), (7, "MOAT008"), (8, "MOAT022")]
            .map(|(line, code)| (line, code.to_owned()));
        assert_eq!(codes(&Selection::default()), [unknown, invalid.clone(), open]);
        assert_eq!(codes(&Selection::parse(&[], &["all"]).unwrap()), [invalid]);
    }
}
