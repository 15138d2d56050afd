//! How many findings, in how many files and objects.

use moat_model::lower::{Fate, ReadObject};
use moat_model::{Diagnostic, Severity};

/// How much was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// How many sources.
    pub n_files: usize,
    /// How many objects are part of the world.
    pub n_used: usize,
    /// How many a later object of the same identity replaced.
    pub n_replaced: usize,
    /// How many cannot change a verdict.
    pub n_irrelevant: usize,
    /// How many could and are not interpreted.
    pub n_unsupported: usize,
    /// How many cannot be read as the kind they say they are.
    pub n_unreadable: usize,
}

impl Counts {
    /// Counts objects by their fate.
    #[must_use]
    pub fn of(n_files: usize, objects: &[ReadObject]) -> Self {
        let mut counts = Self { n_files, ..Self::default() };
        for object in objects {
            *match object.fate {
                Fate::Used => &mut counts.n_used,
                Fate::Replaced => &mut counts.n_replaced,
                Fate::Irrelevant => &mut counts.n_irrelevant,
                Fate::Unsupported => &mut counts.n_unsupported,
                Fate::Unreadable => &mut counts.n_unreadable,
            } += 1;
        }
        counts
    }
}

/// `3 errors, 2 warnings in 12 files (148 objects: 120 used, 26 irrelevant, 2 unsupported)`.
#[must_use]
pub fn summary(diagnostics: &[Diagnostic], counts: &Counts) -> String {
    let of = |severity| diagnostics.iter().filter(|finding| finding.severity == severity).count();
    let found: Vec<String> = [(of(Severity::Error), "error"), (of(Severity::Warning), "warning")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| plural(n, word))
        .collect();
    let found =
        if found.is_empty() { "no errors, no warnings".to_owned() } else { found.join(", ") };
    let fates = [
        (counts.n_used, "used"),
        (counts.n_replaced, "replaced"),
        (counts.n_irrelevant, "irrelevant"),
        (counts.n_unsupported, "unsupported"),
        (counts.n_unreadable, "unreadable"),
    ];
    let n_objects: usize = fates.iter().map(|(n, _)| n).sum();
    let fates: Vec<String> =
        fates.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let detail = if fates.is_empty() { String::new() } else { format!(": {}", fates.join(", ")) };
    format!(
        "{found} in {} ({}{detail})",
        plural(counts.n_files, "file"),
        plural(n_objects, "object")
    )
}

/// `1 error`, `2 errors`.
pub(super) fn plural(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{Counts, summary};
    use expect_test::expect;
    use moat_model::{Diagnostic, Span, codes};

    #[test]
    fn summaries() {
        let error = Diagnostic::error(codes::INVALID, Span::default(), "e");
        let warning = Diagnostic::warning(codes::UNKNOWN_FIELD, Span::default(), "w");
        let note = Diagnostic::note(codes::UNSUPPORTED_KIND, Span::default(), "n");
        let counts = Counts {
            n_files: 12,
            n_used: 120,
            n_irrelevant: 26,
            n_unsupported: 2,
            ..Counts::default()
        };
        let lines = [
            summary(
                &[
                    error.clone(),
                    error.clone(),
                    error.clone(),
                    warning.clone(),
                    warning.clone(),
                    note.clone(),
                ],
                &counts,
            ),
            summary(
                &[warning],
                &Counts {
                    n_files: 1,
                    n_used: 1,
                    n_replaced: 1,
                    n_unreadable: 1,
                    ..Counts::default()
                },
            ),
            summary(&[error], &Counts { n_files: 1, ..Counts::default() }),
            summary(&[note], &counts),
        ];
        expect![[r#"
            3 errors, 2 warnings in 12 files (148 objects: 120 used, 26 irrelevant, 2 unsupported)
            1 warning in 1 file (3 objects: 1 used, 1 replaced, 1 unreadable)
            1 error in 1 file (0 objects)
            no errors, no warnings in 12 files (148 objects: 120 used, 26 irrelevant, 2 unsupported)
        "#]]
        .assert_eq(&(lines.join("\n") + "\n"));
    }
}
