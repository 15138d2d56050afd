//! Findings about the input: what is wrong, where, what it changes, and how to mend it.

use crate::value::Span;
use core::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The API server would refuse the object, or it cannot be read.
    Error,
    /// The object is accepted but probably does not mean what its writer thinks.
    Warning,
    /// Worth knowing; nothing to mend.
    Note,
}

impl Severity {
    /// The word shown before the message.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A stable finding code, such as `MOAT012`. What a code means is documented by its rule in `moat-lint`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MOAT{:03}", self.0)
    }
}

/// The codes of findings that loading, lowering and validation make. `moat rule CODE` explains each.
pub mod codes {
    use super::Code;
    /// A source cannot be read: no such file, no permission, not text, too large.
    pub const UNREADABLE_SOURCE: Code = Code(1);
    /// A document is no YAML or JSON.
    pub const SYNTAX: Code = Code(2);
    /// A mapping has the same key twice.
    pub const DUPLICATE_KEY: Code = Code(3);
    /// A document is no Kubernetes object: `apiVersion` or `kind` missing.
    pub const NOT_AN_OBJECT: Code = Code(4);
    /// A kind that Moat does not interpret.
    pub const UNSUPPORTED_KIND: Code = Code(5);
    /// The API has no such field.
    pub const UNKNOWN_FIELD: Code = Code(6);
    /// A field has a value of the wrong type.
    pub const WRONG_TYPE: Code = Code(7);
    /// The API server would refuse the object.
    pub const INVALID: Code = Code(8);
    /// Two objects have the same kind, namespace and name.
    pub const DUPLICATE_OBJECT: Code = Code(9);
    /// A version of the API that was removed or is not known.
    pub const API_VERSION: Code = Code(10);
    /// A custom kind read only for its pod template.
    pub const POD_TEMPLATE_ONLY: Code = Code(11);
    /// A template file, not a manifest: `{{`.
    pub const TEMPLATE: Code = Code(12);
    /// A file that is neither YAML nor JSON was passed over.
    pub const SKIPPED_FILE: Code = Code(13);
    /// A policy-like object of another vendor, which can change verdicts and is not interpreted.
    pub const FOREIGN_POLICY: Code = Code(14);
    /// Equal-priority cluster policies: either may win.
    pub const EQUAL_PRIORITY: Code = Code(15);
    /// A limit of the loader was hit.
    pub const LIMIT: Code = Code(16);
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lower case, no final period, user input in backticks.
    pub message: String,
    /// Where.
    pub span: Span,
    /// The JSON path of the field, such as `spec.ingress[0].from[1]`; empty for the whole object or file.
    pub path: String,
    /// `Kind namespace/name` of the object, when known.
    pub object: Option<String>,
    /// How to mend it.
    pub help: Option<String>,
    /// What it changes: how verdicts treat the object because of this finding.
    pub effect: Option<String>,
    /// Another place that matters, and what is there.
    pub related: Option<(&'static str, Span)>,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message.into())
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message.into())
    }

    /// A note.
    #[must_use]
    pub fn note(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, span, message.into())
    }

    fn new(severity: Severity, code: Code, span: Span, message: String) -> Self {
        Self {
            code,
            severity,
            message,
            span,
            path: String::new(),
            object: None,
            help: None,
            effect: None,
            related: None,
        }
    }

    /// With the field path.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// With the object.
    #[must_use]
    pub fn object(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// With the way to mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place and what is there.
    #[must_use]
    pub fn related(mut self, what: &'static str, span: Span) -> Self {
        self.related = Some((what, span));
        self
    }

    /// With the effect on verdicts.
    #[must_use]
    pub fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effect = Some(effect.into());
        self
    }
}
