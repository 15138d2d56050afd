//! MOAT013 skipped-file.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a file in a directory that was passed over, because it is neither YAML nor JSON by its name.
    ///
    /// ## Why is this bad?
    /// It mostly is not. But a manifest with an unusual ending, such as `policy.yaml.bak` or `policy.txt`, is part of no answer.
    ///
    /// ## Example
    /// ```text
    /// policies/db.yaml.txt
    /// ```
    ///
    /// ## Use instead
    /// ```text
    /// policies/db.yaml
    /// ```
    ///
    /// ## When to allow
    /// When the file is no manifest.
    ///
    /// ## References
    /// - `moat lint --help`, under `-f`
    SkippedFile { code: codes::SKIPPED_FILE, name: "skipped-file", severity: Note, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_passes_through;

    #[test]
    fn passes_through() {
        check_passes_through(&SkippedFile::RULE);
    }
}
