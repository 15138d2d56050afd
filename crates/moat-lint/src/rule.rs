//! What a rule is, and the macro that makes one from a documentation comment.

use crate::Context;
use core::fmt;
use moat_model::{Code, Diagnostic, Severity, Span};

/// The sections that every rule's documentation has, in order.
pub const SECTIONS: [&str; 6] =
    ["What it does", "Why is this bad?", "Example", "Use instead", "When to allow", "References"];

/// How settled a rule is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lifecycle {
    /// May change or go; runs only when selected by its own code or name.
    Preview,
    /// Runs by default.
    Stable,
}

impl Lifecycle {
    /// `preview` or `stable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Preview => "preview",
            Self::Stable => "stable",
        }
    }
}

/// Looks at everything that was read and reports what its rule is about.
pub trait Check: fmt::Debug + Sync {
    /// Appends findings, in any order.
    fn check(&self, ctx: &Context<'_>, out: &mut Vec<Diagnostic>);
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its stable code.
    pub code: Code,
    /// Its name, which reads well after "allow".
    pub name: &'static str,
    /// How bad its findings are.
    pub severity: Severity,
    /// How settled it is.
    pub lifecycle: Lifecycle,
    /// Its documentation comment as the compiler sees it: every line has a leading space. See [`Rule::doc`].
    pub raw_doc: &'static str,
    /// What finds it; `None` when it is found while loading, lowering and validating.
    pub check: Option<&'static dyn Check>,
}

impl Rule {
    /// The documentation as Markdown.
    #[must_use]
    pub fn doc(&self) -> String {
        let lines: Vec<&str> =
            self.raw_doc.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        let mut text = lines.join("\n");
        text.push('\n');
        text
    }

    /// One section of the documentation, without its heading.
    #[must_use]
    pub fn section(&self, title: &str) -> Option<String> {
        let doc = self.doc();
        let mut lines = doc.lines().skip_while(|line| line.strip_prefix("## ") != Some(title));
        lines.next()?;
        let body: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
        Some(body.join("\n").trim().to_owned())
    }

    /// What it does, in one paragraph on one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let text = self.section("What it does").unwrap_or_default();
        let first = text.split("\n\n").next().unwrap_or_default();
        first.lines().collect::<Vec<_>>().join(" ")
    }

    /// A finding of this rule.
    #[must_use]
    pub fn finding(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        match self.severity {
            Severity::Error => Diagnostic::error(self.code, span, message),
            Severity::Warning => Diagnostic::warning(self.code, span, message),
            Severity::Note => Diagnostic::note(self.code, span, message),
        }
    }
}

/// Declares a rule. The documentation comment is both the rustdoc page and the text of `moat rule CODE`.
///
/// `found: while_reading` is for findings that the loader or `moat-model` makes, `found: by_check` for types that implement [`Check`].
macro_rules! rule {
    (
        $(#[doc = $doc:literal])+
        $type:ident { code: $code:expr, name: $name:literal, severity: $severity:ident, lifecycle: $lifecycle:ident, found: $found:ident $(,)? }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug)]
        pub struct $type;

        impl $type {
            /// The documentation of the rule, as the compiler sees it.
            pub const DOC: &'static str = concat!($($doc, "\n"),+);

            /// The rule as data.
            pub const RULE: $crate::Rule = $crate::Rule {
                code: $code,
                name: $name,
                severity: moat_model::Severity::$severity,
                lifecycle: $crate::Lifecycle::$lifecycle,
                raw_doc: Self::DOC,
                check: rule!(@$found $type),
            };
        }
    };
    (@while_reading $type:ident) => { None };
    (@by_check $type:ident) => { Some(&$type) };
}
pub(crate) use rule;
