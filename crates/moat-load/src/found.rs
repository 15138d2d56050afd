//! Gathering what comes of the sources, within the limits on values and findings.

use crate::limits::MAX_FINDINGS;
use crate::read::Problem;
use crate::tree::{Fault, Parsed};
use crate::{Document, source_id};
use moat_model::{Diagnostic, Severity, SourceId, Span, codes};

/// Documents and findings, in order.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) documents: Vec<Document>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The source that is being gathered, and its documents and findings so far.
    source: SourceId,
    index: u32,
    n_templates: usize,
    /// Documents that the limit on values leaves out, and the finding of the first of them.
    n_refused: usize,
    refused: Option<Diagnostic>,
    n_told: usize,
    n_untold: usize,
    /// Stands for those that are not told: at the first of them, as severe as the worst.
    untold: Option<Diagnostic>,
}

impl Found {
    /// Goes on to a source.
    pub(crate) fn enter(&mut self, idx: usize, problem: Option<Problem>) {
        self.leave();
        self.source = source_id(idx);
        (self.index, self.n_templates, self.n_told) = (0, 0, 0);
        self.diagnostics.extend(problem.map(|problem| problem.at(self.source)));
    }

    /// Ends a source.
    pub(crate) fn leave(&mut self) {
        let n_refused = std::mem::take(&mut self.n_refused);
        if let Some(mut finding) = self.refused.take() {
            if n_refused > 1 {
                finding.message.push_str(&format!("; {n_refused} documents are left out"));
            }
            self.diagnostics.push(finding);
        }
        let n_untold = std::mem::take(&mut self.n_untold);
        if let Some(mut finding) = self.untold.take() {
            let s = if n_untold == 1 { "" } else { "s" };
            finding.message = format!("{n_untold} more finding{s} in the rest of this source");
            self.diagnostics.push(finding);
        }
    }

    /// Takes what came of a part of the source. What a document takes is paid for with `values`.
    pub(crate) fn add(&mut self, parsed: Parsed, values: &mut u64) {
        for tree in parsed.documents {
            if let Some(value) = tree.value {
                if tree.cost <= *values {
                    *values -= tree.cost;
                    self.documents.push(Document { source: self.source, value, index: self.index });
                } else {
                    self.refuse(Fault::too_many(value.pos));
                }
            }
            self.index = self.index.saturating_add(1);
        }
        parsed.refusals.into_iter().for_each(|fault| self.refuse(fault));
        let last = parsed.diagnostics.last().map(|finding| finding.span);
        for finding in parsed.diagnostics {
            // Every piece of a template fails; one finding says it.
            self.n_templates += usize::from(finding.code == codes::TEMPLATE);
            if finding.code != codes::TEMPLATE || self.n_templates == 1 {
                self.tell(finding);
            }
        }
        if let (Some(span), 1..) = (last, parsed.n_untold) {
            self.leave_out(parsed.n_untold, span, Severity::Warning);
        }
    }

    fn refuse(&mut self, fault: Fault) {
        self.n_refused += 1;
        let source = self.source;
        self.refused.get_or_insert_with(|| {
            let mut finding = fault.finding();
            finding.span.source = source;
            finding
        });
    }

    fn tell(&mut self, mut finding: Diagnostic) {
        finding.span.source = self.source;
        if self.n_told < MAX_FINDINGS {
            self.n_told += 1;
            self.diagnostics.push(finding);
        } else {
            self.leave_out(1, finding.span, finding.severity);
        }
    }

    fn leave_out(&mut self, n_findings: usize, span: Span, severity: Severity) {
        self.n_untold += n_findings;
        let untold = self.untold.get_or_insert_with(|| {
            Diagnostic::warning(codes::LIMIT, Span { source: self.source, ..span }, "")
                .help("mend those before it first; one mistake often makes many")
        });
        if severity == Severity::Error {
            untold.severity = Severity::Error;
        }
    }
}
